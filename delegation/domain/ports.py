"""What the exchange needs of the world, each as narrow as its use."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, Protocol, TypeVar

from delegation.domain.alarms import Alarm
from delegation.domain.case import Case, Origin
from delegation.domain.delegations import Delegation
from delegation.domain.errors import Refused
from delegation.domain.evidence import Event, EventFilter, Explained
from delegation.domain.exchanges import Filter, RecordedExchange
from delegation.domain.locks import BookedLock, Durability, LockOrder, Target
from delegation.domain.parties import Identity, VerifiedAssertion
from delegation.domain.rates import Rate, Usage
from delegation.domain.registry import Registry
from delegation.domain.tokens import IssuedToken, PresentedToken, VerifiedActor, VerifiedToken


class Clock(Protocol):
    """Tells the time, aware."""

    def __call__(self) -> datetime: ...


class TokenVerifier(Protocol):
    """Turns a presented token into a verified one."""

    def subject(self, token: PresentedToken, registry: Registry) -> VerifiedToken:
        """Verify a subject token. Raises `SubjectTokenRejected`, or `Unavailable` without keys."""
        ...

    def actor(self, token: PresentedToken, registry: Registry) -> VerifiedActor:
        """Verify an actor token. Raises `ActorTokenRejected`, or `Unavailable` without keys.

        Neither who may present it nor that it is used for the first time has been checked.
        """
        ...


class OwnTokens(Protocol):
    """Knows the tokens that we issued."""

    def own(self, value: str, registry: Registry) -> VerifiedToken | None:
        """What a token of ours says; `None` where it is none, or over. Asks nobody.

        Whether it was stopped has not been checked.
        """
        ...


class ClientAssertions(Protocol):
    """Turns what a client says to authenticate into a verified assertion."""

    def assertion(self, value: str, registry: Registry) -> VerifiedAssertion:
        """Verify an assertion (RFC 7523 §3). Raises `AssertionRejected`, or `Unavailable`.

        That it is used for the first time has not been checked.
        """
        ...


class TokenSigner(Protocol):
    """Turns a delegation into an issued token."""

    def sign(self, delegation: Delegation) -> IssuedToken:
        """Sign an RFC 9068 access token that says exactly what was decided."""
        ...


class Ledger(Protocol):
    """Remembers every exchange before its token leaves, and knows what has been stopped.

    Every verb raises `Unavailable` when it cannot be sure.
    """

    def new_id(self, root: Identity) -> str:
        """An id for an exchange on behalf of *root*: unguessable, and it tells the place."""
        ...

    def recording(self, delegation: Delegation, case: Case) -> AbstractContextManager[object]:
        """Record the exchange and its event, in one step, unless a lock or its lineage forbids it.

        What is done in the context is done meanwhile: only at its end is the exchange recorded, and
        nothing may leave before. It raises `SubjectTokenRejected` where the lineage is dead or the
        token was already used, `ActorTokenRejected` where the actor token is dead, `NotPermitted`
        where a lock stands. Where the context fails by itself, the record is killed, with an event.
        """
        ...

    def refuse(self, refused: Refused, case: Case) -> str:
        """Write the event of a refusal, within its client's cap; the decision's id."""
        ...

    def claim(self, owner: str, artefact: str, *, nonce: str, issued_at: int, until: int) -> bool:
        """Take the one-time id *artefact* of *owner*, once; whether it was free.

        It stays taken *until* then, which must not be before the artefact expires. *nonce* is this
        attempt's own: the same nonce gets the same answer again. Times are in milliseconds.
        """
        ...


class Quota(Protocol):
    """Counts exchanges against the rates that are in force."""

    def take(self, delegation: Delegation, case: Case) -> None:
        """Count an exchange that is to be made, or raise `TooManyExchanges`, or `Unavailable`.

        All rates together, in one step: where one is used up, nothing is counted. The same request
        is counted once.
        """
        ...


class QuotaUsage(Protocol):
    """Tells what is used of the rates that are in force."""

    def usage(
        self,
        client: str,
        *,
        subject: Identity | None = None,
        grant: str | None = None,
        rates: Sequence[Rate] = (),
    ) -> Sequence[Usage]:
        """What *client* uses: of its own rates, and of those for the subject and grant named.

        *rates* are the grant's own. Nothing is counted. Raises `Unavailable`.
        """
        ...


class LiveExchanges(Protocol):
    """Tells which exchanges are alive."""

    def is_alive(self, exchange: str, root: Identity) -> bool:
        """Whether an exchange on behalf of *root* is recorded, and nothing has stopped it.

        Raises `Unavailable` where that cannot be told.
        """
        ...


class RecordedExchanges(Protocol):
    """Tells what was exchanged."""

    def find(self, id: str) -> RecordedExchange | None:  # noqa: A002, the field's own word
        """The exchange of this id; `None` where there is none, or it has expired."""
        ...


T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Page(Generic[T_co]):
    """Some of many: *items*, and the *cursor* for the next; `None` where these were the last.

    *looked_at* counts what was looked at to find them.
    """

    items: tuple[T_co, ...]
    cursor: str | None
    looked_at: int = 0


class UnknownLock(Exception):
    """There is no lock of this id."""


class LockConflict(Exception):
    """There is a lock of this id, and it is not the one that was ordered.

    *problem* is `lock_lifted` where it was the same and has been lifted since, `lock_id_taken`
    where it is another.
    """

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem


class Locks(Protocol):
    """What administrators stop. Every verb raises `Unavailable` where it is not sure."""

    def new_id(self, target: Target, *, key: str | None = None) -> str:
        """The id for a lock on *target*; the same *key* leads to the same id.

        Raises `ValueError` where the target is an exchange whose id is none of ours.
        """
        ...

    def lock(self, order: LockOrder, origin: Origin | None = None) -> Durability:
        """Put a stop on its target, after its event; the same order again is one lock.

        *origin* is where it was ordered from, for the event. Raises `LockIncomplete` where it does
        not stand everywhere yet, and `LockConflict`.
        """
        ...

    def lift(
        self,
        lock: BookedLock,
        *,
        reason: str,
        author: str,
        mistaken: bool,
        origin: Origin | None = None,
    ) -> Durability:
        """End a lock that stands, after its event; a mistaken one never was.

        Raises `LockIncomplete` where it has not ended everywhere yet, and `UnknownLock`.
        """
        ...

    def find(self, id: str) -> BookedLock:  # noqa: A002, the field's own word
        """The lock of this id. Raises `UnknownLock`."""
        ...

    def page(self, cursor: str | None, *, count: int) -> Page[BookedLock]:
        """Some of all locks. Raises `ValueError` for a cursor that is none of ours."""
        ...


class Exchanges(Protocol):
    """What was exchanged and has not expired. Every verb raises `Unavailable`."""

    def find(self, id: str) -> RecordedExchange | None:  # noqa: A002, the field's own word
        """The exchange of this id."""
        ...

    def relatives(self, exchange: RecordedExchange) -> Sequence[RecordedExchange]:
        """All that is done for the same root identity, itself included."""
        ...

    def page(
        self, meant: Filter, cursor: str | None, *, count: int, budget: int
    ) -> Page[RecordedExchange]:
        """Some of the exchanges *meant*, after looking at *budget* records at most.

        Raises `ValueError` for a cursor that is none of ours.
        """
        ...


class LockEvents(Protocol):
    """Puts administrative acts into the words of the audit trail."""

    def locked(self, order: LockOrder, origin: Origin | None = None) -> bytes:
        """The event of a lock, ordered by a request of this *origin*, if by any."""
        ...

    def lifted(
        self,
        lock: BookedLock,
        *,
        reason: str,
        author: str,
        mistaken: bool,
        origin: Origin | None = None,
    ) -> bytes:
        """The event of its end."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerReport:
    """What a worker of the token service says of itself. Times are in milliseconds.

    *id* is its own alone; *revision* is that of its registry. It is ready where it has no
    *problems*. *seen_at* is when it said so, by the store's clock.
    """

    id: str
    revision: str
    problems: tuple[str, ...]
    started_at: int
    seen_at: int = 0


class Presence(Protocol):
    """Which workers there are. Every verb raises `Unavailable`."""

    def report(self, worker: WorkerReport) -> None:
        """Say that this worker is there; who has not said so for long is forgotten."""
        ...

    def workers(self) -> Sequence[WorkerReport]:
        """All that said so lately, by id."""
        ...


class EventWriter(Protocol):
    """Puts decisions into the words of the audit trail, each as it is to stand in the store."""

    def granted(self, delegation: Delegation, case: Case) -> bytes:
        """The event of an exchange."""
        ...

    def not_issued(self, delegation: Delegation, case: Case) -> bytes:
        """The event of an exchange that was recorded, but whose token could not be signed."""
        ...

    def refused(self, decision: str, refused: Refused, case: Case) -> bytes:
        """The event of a refusal."""
        ...

    def alarm(self, alarm: Alarm) -> bytes:
        """The event of an alarm that is no refusal."""
        ...


class Cooldown(Protocol):
    """Keeps a thing from being done too often, by all workers together."""

    def begin(self, name: str) -> bool:
        """Whether it may be done now; if so, nobody else may until the cool-down is over."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEvent:
    """An event as it stands in the store: its *number* in the stream, *at* in milliseconds.

    Numbers have no gaps; where the store was laid out anew, *epoch* tells one number from another.
    """

    epoch: str
    number: int
    at: int
    event: bytes


class Alarms(Protocol):
    """What somebody should look at now. Every verb raises `Unavailable`."""

    def page(self, cursor: str | None, *, count: int) -> Page[StoredEvent]:
        """Some of the latest alarms, newest first, and where to go on.

        Raises `ValueError` for a cursor that is none of ours.
        """
        ...

    def counts(self) -> Mapping[str, int]:
        """How many there have been of each cause."""
        ...


class AlarmBell(Protocol):
    """Makes an alarm heard, where there is no refusal that says so."""

    def sound(self, alarm: Alarm) -> None:
        """Write its event, within the cap of whom it is about, and count it.

        Raises `Unavailable`.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class EventPage(Page[Event]):
    """Some events, and what was read for them: sealed segments, the store, or both.

    *missing* events were gone before they were sealed, as the segments say; where it *is torn*,
    what stands in the store does not go on from what is in the segments.
    """

    is_sealed_read: bool
    is_store_read: bool
    missing: int = 0
    is_torn: bool = False


class AuditTrail(Protocol):
    """All events that are kept. Every verb raises `Unavailable` where that cannot be told."""

    def page(self, meant: EventFilter, cursor: str | None, *, count: int, budget: int) -> EventPage:
        """Some of the events *meant*, in order of time, and where to go on.

        Raises `ValueError` for a cursor that is none of ours.
        """
        ...

    def explain(self, decision: str) -> Explained:
        """Why a request was answered as it was."""
        ...

    def trace(self, name: str) -> EventPage:
        """All events that belong to one exchange, by the id of a decision or a transaction."""
        ...


class UndrainedEvents(Protocol):
    """The events that still stand in the store. Every verb raises `Unavailable`."""

    def streams(self) -> Iterator[tuple[int, str]]:
        """Every stream there is: its partition's number and its name."""
        ...

    def settle(self) -> None:
        """Write the counts of what was suppressed and has not been written yet."""
        ...

    def read(
        self, partition: int, stream: str, *, count: int, after: int = 0
    ) -> Sequence[StoredEvent]:
        """The first *count* events of a stream *after* a number. A full store answers this, too."""
        ...

    def trim(self, partition: int, stream: str, last: StoredEvent) -> None:
        """Drop the events up to and with *last*, if that one still stands as it was read.

        A store that went back gives numbers away a second time: nothing is dropped for another's
        number. A full store does this, too.
        """
        ...
