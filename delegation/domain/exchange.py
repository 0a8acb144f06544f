"""The use case: trade a subject token for one narrower token, recorded before it leaves."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from delegation.domain.case import Case, ExchangeRequest
from delegation.domain.errors import ActorTokenRejected, Cause, Refused
from delegation.domain.locks import milliseconds
from delegation.domain.policy import delegate
from delegation.domain.ports import Clock, Ledger, Quota, TokenSigner, TokenVerifier
from delegation.domain.tokens import IssuedToken


class Stage(StrEnum):
    """The stages of an exchange, in their order: to record is to send, to confirm is to be told."""

    VERIFY = "verify"
    DECIDE = "decide"
    RECORD = "record"
    SIGN = "sign"
    CONFIRM = "confirm"


Lap = Callable[[Stage], None]
"""Told when a stage is over."""


def _untimed() -> Lap:
    return lambda _: None


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """Trade a subject token for a token that lets the client act for its subject (RFC 8693).

    *stopwatch* is asked when an exchange begins, for somebody to tell of its stages. *quota* counts
    what is about to be recorded.
    """

    verifier: TokenVerifier
    ledger: Ledger
    signer: TokenSigner
    clock: Clock
    quota: Quota
    stopwatch: Callable[[], Lap] = _untimed

    def __call__(self, request: ExchangeRequest, case: Case) -> IssuedToken:
        """The issued token, which is recorded. Raises a `Refused`, or `Unavailable`.

        Verifying is I/O and comes first; deciding is pure; recording comes last. The token is
        signed while its record is on its way, and dropped where that is refused.
        """
        lap = self.stopwatch()
        case.request = request
        case.subject = subject = self.verifier.subject(request.subject_token, case.registry)
        if request.actor_token is not None:
            case.actor = self.verifier.actor(request.actor_token, case.registry)
        lap(Stage.VERIFY)

        case.delegation = delegation = delegate(
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

        self.quota.take(delegation, case)
        self._use_up_actor_token(case)
        with self.ledger.recording(delegation, case):
            lap(Stage.RECORD)
            issued = self.signer.sign(delegation)
            lap(Stage.SIGN)
        lap(Stage.CONFIRM)
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


class RefusalsRecorded:
    """A context that writes the event of any refusal inside, and gives it its decision's id.

    *told* is told of each, once it is recorded.
    """

    __slots__ = ("_case", "_ledger", "_told")

    def __init__(
        self, ledger: Ledger, case: Case, *, told: Callable[[Refused, Case], None] | None = None
    ) -> None:
        self._ledger = ledger
        self._case = case
        self._told = told

    def __enter__(self) -> None:
        """Nothing is refused yet."""

    def __exit__(self, _type: object, error: BaseException | None, _traceback: object) -> None:
        """Raises `Unavailable` where it cannot be written: then there is no answer at all."""
        if isinstance(error, Refused):
            error.decision = self._ledger.refuse(error, self._case)
            if self._told is not None:
                self._told(error, self._case)
