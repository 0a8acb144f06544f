"""The world that an exchange needs, in memory: small, honest, and quick to look into."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from delegation.domain.alarms import Alarm
from delegation.domain.case import Case, Origin
from delegation.domain.delegations import Delegation
from delegation.domain.errors import Cause, Refused, SubjectTokenRejected
from delegation.domain.exchanges import RecordedExchange
from delegation.domain.locks import Durability, LockOrder, Target, milliseconds
from delegation.domain.parties import Identity
from delegation.domain.ports import TokenVerifier
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
    alarms: list[Alarm] = field(default_factory=list)
    trouble: Exception | None = None

    def new_id(self, _root: Identity) -> str:
        """The next id in a row."""
        return f"exchange-{len(self.recorded) + 1}"

    def record(self, delegation: Delegation, case: Case) -> None:
        """Remember an exchange."""
        self._meet_trouble()
        self.recorded.append((delegation, case))

    @contextmanager
    def recording(self, delegation: Delegation, case: Case) -> Iterator[None]:
        """Remember it once what happens inside has happened."""
        try:
            yield
        except Exception:
            self.record(delegation, case)
            self.void(delegation, case)
            raise
        self.record(delegation, case)

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

    def is_alive(self, exchange: str, root: Identity) -> bool:
        """Whether it was recorded for this root, and not voided."""
        self._meet_trouble()
        voided = {delegation.id for delegation, _ in self.voided}
        known = {(one.id, one.subject) for one, _ in self.recorded if one.id not in voided}
        return (exchange, root) in known

    def find(self, id: str) -> RecordedExchange | None:  # noqa: A002, the field's own word
        """What was recorded, a second after it was decided."""
        self._meet_trouble()
        found = [one for one, _ in self.recorded if one.id == id]
        return _recorded(found[0]) if found else None

    def sound(self, alarm: Alarm) -> None:
        """Remember an alarm."""
        self._meet_trouble()
        self.alarms.append(alarm)

    def _meet_trouble(self) -> None:
        if self.trouble is not None:
            raise self.trouble


def _recorded(delegation: Delegation) -> RecordedExchange:
    """As the ledger has it."""
    return RecordedExchange(
        id=delegation.id,
        alive=True,
        recorded_at=milliseconds(delegation.decided_at) + 1000,
        expires_at=milliseconds(delegation.expires_at),
        subject=delegation.subject,
        actors=tuple(actor.identity for actor in delegation.actors),
        client=delegation.client,
        agent=delegation.parent.agent,
        resource=delegation.resource,
        grant=delegation.grant,
        scope=delegation.scope,
        parent=delegation.parent.id if delegation.parent.is_ours else None,
    )


@dataclass
class ListQuota:
    """Remembers what was taken; refuses or fails where *trouble* is put in its way."""

    trouble: Exception | None = None
    taken: list[tuple[Delegation, Case]] = field(default_factory=list)

    def take(self, delegation: Delegation, case: Case) -> None:
        """Remember it."""
        self.taken.append((delegation, case))
        if self.trouble is not None:
            raise self.trouble


@dataclass
class ListLocks:
    """Remembers what was stopped; stops nothing."""

    orders: list[LockOrder] = field(default_factory=list)
    origins: list[Origin | None] = field(default_factory=list)

    def new_id(self, target: Target, *, key: str | None = None) -> str:
        """An id that can be read."""
        return f"{target.kind.value}:{key}"

    def lock(self, order: LockOrder, origin: Origin | None = None) -> Durability:
        """Remember it, and where it was ordered from."""
        self.orders.append(order)
        self.origins.append(origin)
        return Durability()


@dataclass
class TableVerifier:
    """Knows which token string stands for which subject token; for actors asks a real verifier."""

    tokens: Mapping[str, VerifiedToken | Exception]
    actors: TokenVerifier

    def subject(self, token: PresentedToken, _registry: Registry) -> VerifiedToken:
        """Look it up; a string that is not in the table has no sound signature."""
        verified = self.tokens.get(token.value, SubjectTokenRejected(Cause.SIGNATURE))
        if isinstance(verified, Exception):
            raise verified
        return verified

    def actor(self, token: PresentedToken, registry: Registry) -> VerifiedActor:
        """Verify it."""
        return self.actors.actor(token, registry)


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
