"""The use case: trade a subject token for one narrower token, recorded before it leaves."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

from delegation.domain.case import Case, ExchangeRequest
from delegation.domain.errors import ActorTokenRejected, Cause, Refused
from delegation.domain.locks import milliseconds
from delegation.domain.policy import delegate
from delegation.domain.ports import Clock, Ledger, TokenSigner, TokenVerifier
from delegation.domain.tokens import IssuedToken


class Stage(StrEnum):
    """The stages of an exchange, in their order."""

    VERIFY = "verify"
    DECIDE = "decide"
    RECORD = "record"
    SIGN = "sign"


Lap = Callable[[Stage], None]
"""Told when a stage is over."""


def _untimed() -> Lap:
    return lambda _: None


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """Trade a subject token for a token that lets the client act for its subject (RFC 8693).

    *stopwatch* is asked when an exchange begins, for somebody to tell of its stages.
    """

    verifier: TokenVerifier
    ledger: Ledger
    signer: TokenSigner
    clock: Clock
    stopwatch: Callable[[], Lap] = _untimed

    def __call__(self, request: ExchangeRequest, case: Case) -> IssuedToken:
        """The issued token, which is recorded. Raises a `Refused`, or `Unavailable`.

        Verifying is I/O and comes first; deciding is pure; recording and signing come last.
        """
        lap = self.stopwatch()
        case.request = request
        case.subject = subject = self.verifier.subject(request.subject_token, case.registry)
        if request.actor_token is not None:
            case.actor = self.verifier.actor(request.actor_token, case.registry)
        lap(Stage.VERIFY)

        delegation = delegate(
            subject,
            case.actor,
            by=case.client,
            at=request.targets,
            scope=request.scope,
            registry=case.registry,
            now=self.clock(),
            id=self.ledger.new_id(subject.subject),
        )
        lap(Stage.DECIDE)

        self._use_up_actor_token(case)
        self.ledger.record(delegation, case)
        lap(Stage.RECORD)
        try:
            issued = self.signer.sign(delegation)
        except Exception:
            self.ledger.void(delegation, case)
            raise
        lap(Stage.SIGN)
        return issued

    def _use_up_actor_token(self, case: Case) -> None:
        """By its own id, in the name of who signed it; as an assertion to authenticate would be.

        Only once the exchange is decided: what is refused anyway uses nothing up.
        """
        actor = case.actor
        if actor is None or not actor.is_one_time:
            return
        free = self.ledger.claim(
            actor.issuer,
            actor.id,
            nonce=case.nonce,
            issued_at=milliseconds(actor.issued_at),
            until=milliseconds(actor.expires_at),
        )
        if not free:
            raise ActorTokenRejected(Cause.ALREADY_USED, issuer=actor.issuer)


@contextmanager
def refusals_recorded(ledger: Ledger, case: Case) -> Iterator[None]:
    """Write the event of any refusal that happens inside, and give it its decision's id."""
    try:
        yield
    except Refused as refused:
        refused.decision = ledger.refuse(refused, case)
        raise
