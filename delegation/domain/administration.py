"""What administrators do: see what was exchanged, stop it, and learn when the stop is complete."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Self

from delegation.domain.case import Origin
from delegation.domain.errors import Cause, Unavailable
from delegation.domain.exchanges import BlastRadius, Filter, RecordedExchange, blast_radius
from delegation.domain.grants import MAX_LIFETIME
from delegation.domain.locks import (
    REACHES_PARENTS,
    BookedLock,
    Durability,
    LockOrder,
    State,
    Target,
    milliseconds,
)
from delegation.domain.parties import Identity
from delegation.domain.ports import Clock, Exchanges, Locks, UnknownLock
from delegation.domain.registry import Registry
from delegation.domain.tokens import Scope

_LONGEST = int(MAX_LIFETIME.total_seconds() * 1000)

_LOOKED_AT_BEFORE_A_STOP = 2_000
"""Records that are counted before a stop takes effect: it must not wait for all of them."""

_BATCH = 1_000


class Capability(StrEnum):
    """What an administrator may do, each a scope of the administrator's token."""

    EXCHANGES_READ = "exchanges.read"
    LOCKS_READ = "locks.read"
    LOCKS_WRITE = "locks.write"
    LOCKS_EVERYTHING = "locks.everything"
    """Besides *LOCKS_WRITE*: for the kill switch, on or off."""
    WORKERS_READ = "workers.read"
    KEYS_READ = "keys.read"
    ALARMS_READ = "alarms.read"
    REGISTRY_READ = "registry.read"
    AUDIT_READ = "audit.read"


@dataclass(frozen=True, slots=True)
class Administrator:
    """Who administers: the *author* of acts, as events name it, and what *scope* allows."""

    author: str
    scope: Scope

    @classmethod
    def of(cls, identity: Identity, scope: Scope) -> Self:
        """Somebody of an admin issuer. No issuer's name holds the separator."""
        return cls(f"{identity.issuer}|{identity.subject}", scope)

    @classmethod
    def local(cls, user: str) -> Self:
        """Who runs a command on a machine that holds the settings: that is all it takes."""
        return cls(f"local:{user}", frozenset(Capability))


class AdministratorRejected(Exception):
    """An administrator's token is not acceptable, for *cause*; *detail* is for the log."""

    def __init__(self, cause: Cause, **detail: object) -> None:
        super().__init__(cause.value)
        self.cause = cause
        self.detail = detail


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """What is to be stopped and how. *ends_at* is in milliseconds, as in a `LockOrder`.

    *parents* is `None` for what is usual for the kind of target.
    """

    target: Target
    reason: str
    ends_at: int | None = None
    parents: bool | None = None
    since_login: bool = False

    @property
    def reaches_parents(self) -> bool:
        """Whether it also ends what grows from earlier foreign tokens."""
        return self.target.kind in REACHES_PARENTS if self.parents is None else self.parents


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """What a stop reaches, and by when it is *fully_effective_at*, in milliseconds, at the latest.

    *radius* is `None` where the store could not count. Resources that are *introspecting* ask each
    time: there it is effective at once.
    """

    radius: BlastRadius | None
    introspecting: frozenset[str]
    fully_effective_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """A stop that stands, how safely it is kept, and what it reached."""

    lock: BookedLock
    durability: Durability
    reach: Reach


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """An exchange with all that it grew from, nearest first, and all that grew from it."""

    exchange: RecordedExchange
    ancestors: tuple[RecordedExchange, ...]
    descendants: tuple[RecordedExchange, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Administration:
    """The use cases. Every one raises `Unavailable` where the store does not answer for sure."""

    locks: Locks
    exchanges: Exchanges
    registry: Callable[[], Registry]
    clock: Clock

    def now(self) -> int:
        """In milliseconds."""
        return milliseconds(self.clock())

    def reach(self, target: Target, cursor: str | None = None, *, budget: int) -> Reach:
        """What a stop on *target* would reach now, looking at *budget* records from *cursor* on.

        Raises `ValueError` for a cursor that is none of ours.
        """
        page = self.exchanges.page(
            Filter((target,), lineage=True), cursor, count=budget, budget=budget
        )
        return self._reach(
            blast_radius(page.items, looked_at=page.looked_at, cursor=page.cursor),
            whole=cursor is None,
        )

    def stop(
        self, wanted: Stop, *, author: str, key: str | None = None, origin: Origin | None = None
    ) -> Stopped:
        """Put a lock on the target. The same *author*, target and *key* again are one lock.

        *origin* is where it was ordered from, for its event. Raises `LockIncomplete` where it does
        not stand everywhere yet: the same again completes it.
        Raises `LockConflict` where it has been lifted since, and `ValueError` where the target is
        an exchange whose id is none of ours.
        """
        order = LockOrder(
            id=self.locks.new_id(wanted.target, key=_key(author, wanted.target, key)),
            target=wanted.target,
            reason=wanted.reason,
            author=author,
            ends_at=wanted.ends_at,
            parents=wanted.reaches_parents,
            since_login=wanted.since_login,
        )
        # A time to live is counted from the first attempt, wherever it has come to.
        known = None if key is None else self._known(order.id)
        order = order if known is None else replace(order, ends_at=known.order.ends_at)
        reach = self._counted(wanted.target)
        durability = self.locks.lock(order, origin)
        # Counted before, while it was alive; timed after, when nothing can come any more.
        timed = self._counted(wanted.target).fully_effective_at
        return Stopped(
            lock=self.locks.find(order.id),
            durability=durability,
            reach=replace(reach, fully_effective_at=timed),
        )

    def lift(
        self,
        lock: BookedLock,
        *,
        reason: str,
        author: str,
        mistaken: bool,
        origin: Origin | None = None,
    ) -> tuple[BookedLock, Durability]:
        """End a lock; what has become of it, and how safely that is kept."""
        durability = self.locks.lift(
            lock, reason=reason, author=author, mistaken=mistaken, origin=origin
        )
        return self.locks.find(lock.order.id), durability

    def tree(self, id: str) -> Tree | None:  # noqa: A002, the field's own word
        """An exchange among its relatives; `None` where there is none, or it has expired."""
        exchange = self.exchanges.find(id)
        if exchange is None:
            return None
        relatives = {one.id: one for one in self.exchanges.relatives(exchange)}
        return Tree(
            exchange=exchange,
            ancestors=tuple(_ancestors(exchange, relatives)),
            descendants=tuple(_descendants(exchange, [*relatives.values()])),
        )

    def standing(self) -> list[BookedLock]:
        """Every lock that stands now."""
        found: dict[str, BookedLock] = {}
        cursor = None
        while True:
            page = self.locks.page(cursor, count=_BATCH)
            found |= {lock.order.id: lock for lock in page.items if lock.state is State.STANDING}
            cursor = page.cursor
            if cursor is None:
                return list(found.values())

    def _known(self, id: str) -> BookedLock | None:  # noqa: A002
        try:
            return self.locks.find(id)
        except UnknownLock:
            return None

    def _counted(self, target: Target) -> Reach:
        """A stop never fails for the want of a number."""
        try:
            return self.reach(target, budget=_LOOKED_AT_BEFORE_A_STOP)
        except Unavailable:
            return self._reach(None, whole=False)

    def _reach(self, radius: BlastRadius | None, *, whole: bool) -> Reach:
        now = self.now()
        resources = self.registry().resources.values()
        introspecting = frozenset(one.identifier for one in resources if one.introspects)
        # What was not looked at expires no later than what was issued just now.
        latest = now + _LONGEST
        if radius is not None and radius.cursor is None and whole:
            latest = radius.fully_effective_at(introspecting, now)
        return Reach(radius=radius, introspecting=introspecting, fully_effective_at=latest)


def _key(author: str, target: Target, key: str | None) -> str | None:
    if key is None:
        return None
    return json.dumps([author, target.kind, *target.names, key])


def _ancestors(
    exchange: RecordedExchange, relatives: dict[str, RecordedExchange]
) -> list[RecordedExchange]:
    found = []
    parent = relatives.get(exchange.parent or "")
    while parent is not None:
        found.append(parent)
        parent = relatives.get(parent.parent or "")
    return found


def _descendants(
    exchange: RecordedExchange, relatives: Sequence[RecordedExchange]
) -> list[RecordedExchange]:
    """Generation by generation, each in the order in which they were recorded."""
    found: list[RecordedExchange] = []
    generation = {exchange.id}
    while generation:
        born = sorted(
            (one for one in relatives if one.parent in generation),
            key=lambda one: (one.recorded_at, one.id),
        )
        found += born
        generation = {one.id for one in born}
    return found
