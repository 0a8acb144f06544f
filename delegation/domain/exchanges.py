"""What was exchanged and has not expired, as administrators see it; and what a stop would reach."""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from delegation.domain.locks import Target
from delegation.domain.parties import Identity
from delegation.domain.tokens import Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedExchange:
    """An exchange whose token has not expired. Times are in milliseconds.

    *actors* act, current first. *parent* is the exchange that it grew from, `None` where that was a
    foreign token. It is *alive* unless a lock says otherwise.
    """

    id: str
    alive: bool
    recorded_at: int
    expires_at: int
    subject: Identity
    actors: tuple[Identity, ...]
    client: str
    agent: str | None
    resource: str
    grant: str
    scope: Scope
    parent: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BlastRadius:
    """What a stop on one target would reach of what is alive now.

    *latest_expiry* is, for each resource, when the last of its tokens that are reached expires,
    stopped before or not, in milliseconds. Where not everything was looked at (*cursor* says where
    to go on), every number is the least that there is; *looked_at* counts the records.
    """

    exchanges: int = 0
    subjects: frozenset[Identity] = frozenset()
    actors: frozenset[Identity] = frozenset()
    latest_expiry: Mapping[str, int] = field(default_factory=dict)
    deepest_chain: int = 0
    looked_at: int = 0
    cursor: str | None = None

    def fully_effective_at(self, introspecting: AbstractSet[str], now: int) -> int:
        """When the last API stops taking what is stopped, in milliseconds.

        Those *introspecting* ask each time and stop now; the others when the last token expires.
        """
        ends = (at for name, at in self.latest_expiry.items() if name not in introspecting)
        return max(ends, default=now)


def blast_radius(
    reached: Iterable[RecordedExchange], *, looked_at: int, cursor: str | None
) -> BlastRadius:
    """Sum up what a stop would reach: of *reached*, all that is alive.

    When it takes effect is told of the others too: what is stopped already, an API that does not
    ask still takes.
    """
    reached = tuple(reached)
    alive = [one for one in reached if one.alive]
    latest: dict[str, int] = {}
    for one in reached:
        latest[one.resource] = max(one.expires_at, latest.get(one.resource, 0))
    return BlastRadius(
        exchanges=len(alive),
        subjects=frozenset(one.subject for one in alive),
        actors=frozenset(actor for one in alive for actor in one.actors),
        latest_expiry=latest,
        deepest_chain=max((len(one.actors) for one in alive), default=0),
        looked_at=looked_at,
        cursor=cursor,
    )


@dataclass(frozen=True, slots=True)
class Filter:
    """Which exchanges are meant: those that all of *targets* match.

    With *lineage* it is enough that what an exchange grew from matches, as it is for a lock.
    """

    targets: tuple[Target, ...] = ()
    lineage: bool = False
