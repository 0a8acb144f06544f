"""The use case: trade a subject token for one narrower token, recorded before it leaves."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from delegation.domain.case import Case, ExchangeRequest
from delegation.domain.errors import Refused
from delegation.domain.policy import delegate
from delegation.domain.ports import Clock, Ledger, TokenSigner, TokenVerifier
from delegation.domain.tokens import IssuedToken


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """Trade a subject token for a token that lets the client act for its subject (RFC 8693)."""

    verifier: TokenVerifier
    ledger: Ledger
    signer: TokenSigner
    clock: Clock

    def __call__(self, request: ExchangeRequest, case: Case) -> IssuedToken:
        """The issued token, which is recorded. Raises a `Refused`, or `Unavailable`.

        Verifying is I/O and comes first; deciding is pure; recording and signing come last.
        """
        case.request = request
        case.subject = subject = self.verifier.subject(request.subject_token, case.registry)

        delegation = delegate(
            subject,
            by=case.client,
            at=request.targets,
            scope=request.scope,
            registry=case.registry,
            now=self.clock(),
            id=self.ledger.new_id(subject.subject),
        )

        self.ledger.record(delegation, case)
        try:
            return self.signer.sign(delegation)
        except Exception:
            self.ledger.void(delegation, case)
            raise


@contextmanager
def refusals_recorded(ledger: Ledger, case: Case) -> Iterator[None]:
    """Write the event of any refusal that happens inside, and give it its decision's id."""
    try:
        yield
    except Refused as refused:
        refused.decision = ledger.refuse(refused, case)
        raise
