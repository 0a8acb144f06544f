"""The world that an exchange needs, in memory: small, honest, and quick to look into."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from delegation.domain.case import Case
from delegation.domain.delegations import Delegation
from delegation.domain.errors import ActorTokenRejected, Cause, Refused, SubjectTokenRejected
from delegation.domain.parties import Identity
from delegation.domain.registry import Registry
from delegation.domain.tokens import (
    IssuedToken,
    PresentedToken,
    TokenType,
    VerifiedActor,
    VerifiedToken,
)
from tests.parties import NOW


@dataclass
class HeldClock:
    """A clock that stands still until it is told to go on."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        """The time that it shows."""
        return self.now

    def pass_(self, **duration: float) -> None:
        """Let time pass. Takes the arguments of `timedelta`."""
        self.now += timedelta(**duration)

    def seconds(self) -> float:
        """The same clock, as a number of seconds since some moment."""
        return self.now.timestamp()


@dataclass
class ListLedger:
    """Remembers everything in lists; refuses or fails where *trouble* is put in its way."""

    recorded: list[tuple[Delegation, Case]] = field(default_factory=list)
    voided: list[tuple[Delegation, Case]] = field(default_factory=list)
    refused: list[tuple[Refused, Case]] = field(default_factory=list)
    claimed: dict[tuple[str, str], tuple[str, int, int]] = field(default_factory=dict)
    trouble: Exception | None = None

    def new_id(self, _root: Identity) -> str:
        """The next id in a row."""
        return f"exchange-{len(self.recorded) + 1}"

    def record(self, delegation: Delegation, case: Case) -> None:
        """Remember an exchange."""
        self._meet_trouble()
        self.recorded.append((delegation, case))

    def void(self, delegation: Delegation, case: Case) -> None:
        """Remember that an exchange came to nothing."""
        self._meet_trouble()
        self.voided.append((delegation, case))

    def refuse(self, refused: Refused, case: Case) -> str:
        """Remember a refusal; the decision's id is its number."""
        self._meet_trouble()
        self.refused.append((refused, case))
        return f"refusal-{len(self.refused)}"

    def claim(self, owner: str, artefact: str, *, nonce: str, issued_at: int, until: int) -> bool:
        """Remember who took an id first, and for how long."""
        self._meet_trouble()
        holder, *_ = self.claimed.setdefault((owner, artefact), (nonce, issued_at, until))
        return holder == nonce

    def _meet_trouble(self) -> None:
        if self.trouble is not None:
            raise self.trouble


@dataclass
class TableVerifier:
    """Knows which token string stands for which verified token or actor, or which exception."""

    tokens: Mapping[str, VerifiedToken | VerifiedActor | Exception]

    def subject(self, token: PresentedToken, _registry: Registry) -> VerifiedToken:
        """Look it up; a string that is not in the table has no sound signature."""
        verified = self.tokens.get(token.value, SubjectTokenRejected(Cause.SIGNATURE))
        if isinstance(verified, Exception):
            raise verified
        assert isinstance(verified, VerifiedToken)
        return verified

    def actor(self, token: PresentedToken, _registry: Registry) -> VerifiedActor:
        """Likewise, for an actor."""
        verified = self.tokens.get(token.value, ActorTokenRejected(Cause.SIGNATURE))
        if isinstance(verified, Exception):
            raise verified
        assert isinstance(verified, VerifiedActor)
        return verified


@dataclass
class PlainSigner:
    """Writes the exchange's id where a signature would be; or fails as it is told to."""

    trouble: Exception | None = None

    def sign(self, delegation: Delegation) -> IssuedToken:
        """A token that nobody should believe."""
        if self.trouble is not None:
            raise self.trouble
        return IssuedToken(
            id=delegation.id,
            value=f"issued-as-{delegation.id}",
            type=TokenType.ACCESS_TOKEN,
            scope=delegation.scope,
            lifetime=int((delegation.expires_at - delegation.issued_at).total_seconds()),
        )


@dataclass
class Counter:
    """Gives what *make* makes, and counts how often it was asked."""

    make: Callable[[], object]
    calls: int = 0

    def __call__(self) -> object:
        """One more."""
        self.calls += 1
        return self.make()
