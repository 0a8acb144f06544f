"""What a lock is, and `dead`: the plain definition that the ledger's script implements.

Times are whole milliseconds since the epoch, as the ledger keeps them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple, Self

from delegation.domain.parties import Identity

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def milliseconds(time: datetime) -> int:
    """*time* in whole milliseconds since the epoch."""
    return (time - _EPOCH) // _MILLISECOND


class Kind(StrEnum):
    """What a lock can match."""

    EVERYTHING = "everything"
    ISSUER = "issuer"
    SUBJECT = "subject"
    AGENT = "agent"
    ACTOR = "actor"
    CLIENT = "client"
    RESOURCE = "resource"
    GRANT = "grant"
    EXCHANGE = "exchange"
    TOKEN = "token"
    PAIR = "pair"


class Target(NamedTuple):
    """One thing that a lock can match, named by as many strings as it takes."""

    kind: Kind
    names: tuple[str, ...] = ()

    @classmethod
    def issuer(cls, issuer: str) -> Self:
        """All that grew from a token of this issuer, be it trusted in subjects or in actors."""
        return cls(Kind.ISSUER, (issuer,))

    @classmethod
    def subject(cls, root: Identity) -> Self:
        """All that is done for this root identity."""
        return cls(Kind.SUBJECT, (root.issuer, root.subject))

    @classmethod
    def agent(cls, agent: Identity) -> Self:
        """All that came through this agent, of this issuer."""
        return cls(Kind.AGENT, (agent.issuer, agent.subject))

    @classmethod
    def actor(cls, actor: Identity) -> Self:
        """All in which this identity acts, anywhere in the chain."""
        return cls(Kind.ACTOR, (actor.issuer, actor.subject))

    @classmethod
    def client(cls, client: str) -> Self:
        """All that this client obtained, or acts in by what it signed of itself."""
        return cls(Kind.CLIENT, (client,))

    @classmethod
    def resource(cls, identifier: str) -> Self:
        """All that was issued for this resource."""
        return cls(Kind.RESOURCE, (identifier,))

    @classmethod
    def grant(cls, grant: str) -> Self:
        """All that was issued under this grant."""
        return cls(Kind.GRANT, (grant,))

    @classmethod
    def exchange(cls, exchange: str) -> Self:
        """One exchange, with all that came from it."""
        return cls(Kind.EXCHANGE, (exchange,))

    @classmethod
    def token(cls, issuer: str, token: str) -> Self:
        """One foreign token, with all that came from it."""
        return cls(Kind.TOKEN, (issuer, token))

    @classmethod
    def pair(cls, root: Identity, actor: Identity) -> Self:
        """All that this actor does for this root identity."""
        return cls(Kind.PAIR, (root.issuer, root.subject, actor.issuer, actor.subject))


EVERYTHING = Target(Kind.EVERYTHING)
"""The kill switch."""

REACHES_PARENTS = frozenset({Kind.SUBJECT, Kind.TOKEN})
"""Kinds of lock that, unless told otherwise, also end what grows from earlier foreign tokens.

For the others that would log everybody out: a minute of kill switch, and nobody has a token left.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """A standing stop on *target* from *begins_at* until *ends_at*, or without end.

    Once it has ended, what we had issued up to its end stays dead; with *parents* also what grows
    from foreign tokens issued up to its end; with *since_login* also what grows from foreign tokens
    of a login up to its end. A cut-off is a lock that ends when it begins.
    """

    id: str
    target: Target
    begins_at: int
    ends_at: int | None = None
    parents: bool = False
    since_login: bool = False

    def stands(self, now: int) -> bool:
        """Whether it is in force at *now*."""
        return self.begins_at <= now and (self.ends_at is None or now < self.ends_at)

    def has_ended(self, now: int) -> bool:
        """Whether its end is past."""
        return self.ends_at is not None and self.ends_at <= now


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One exchange of a lineage, the foreign token at its start, or an actor token that came in.

    *issued_at* is the record's millisecond; for a foreign token its `iat` less the allowed skew.
    *logged_in_at* is a foreign token's `auth_time`; where it has none, the earliest that a login
    can be: unknown counts as long ago.
    """

    targets: frozenset[Target]
    issued_at: int
    is_foreign: bool = False
    logged_in_at: int = 0


class State(StrEnum):
    """What has become of a lock."""

    STANDING = "standing"
    ENDED = "ended"  # its time was over, or it was a cut-off
    LIFTED = "lifted"
    ANNULLED = "annulled"  # it was a mistake: as if it had never been


@dataclass(frozen=True, slots=True, kw_only=True)
class LockOrder:
    """What an administrator asks for: a stop on *target* that begins now, and for which *reason*.

    *ends_at* is in milliseconds: `None` until it is lifted; not later than now for a cut-off, which
    stops what was issued up to then and nothing that comes. Two seconds ago is now: that is how far
    clocks may differ. *id* makes a repetition one lock.
    """

    id: str
    target: Target
    reason: str
    author: str
    ends_at: int | None = None
    parents: bool = False
    since_login: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BookedLock:
    """A lock as the book has it: what was ordered, when it began, and what has become of it."""

    order: LockOrder
    begins_at: int
    ends_at: int | None
    state: State


@dataclass(frozen=True, slots=True, order=True)
class Durability:
    """How safely a write is kept: on the server's disk or not, and by how many *replicas*.

    What neither is on disk nor at a replica is lost with the server's process.
    """

    on_disk: bool = False
    replicas: int = 0


def dead(lineage: Iterable[Link], locks: Iterable[Lock], now: int) -> bool:
    """Whether a token is dead at *now*, given its own link and all it grew from.

    It is, if any lock that matches it or any of its lineage says so.
    """
    every_lock = tuple(locks)
    return any(_kills(lock, link, now) for link in lineage for lock in every_lock)


def _kills(lock: Lock, link: Link, now: int) -> bool:
    if lock.target not in link.targets:
        return False
    return lock.stands(now) or (lock.has_ended(now) and _reaches_back(lock, link))


def _reaches_back(lock: Lock, link: Link) -> bool:
    if lock.ends_at is None:  # pragma: no cover, a lock without end has not ended
        return True
    if not link.is_foreign:
        return link.issued_at <= lock.ends_at
    if lock.since_login and link.logged_in_at <= lock.ends_at:
        return True
    return lock.parents and link.issued_at <= lock.ends_at
