"""What a lock costs, whatever it kills; and what the ledger's verbs cost where there are many."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import redis

from delegation.audit.acts import Acts
from delegation.audit.events import Events
from delegation.domain.delegations import Delegation
from delegation.domain.locks import EVERYTHING, LockOrder, Target
from delegation.domain.parties import Identity
from delegation.ledger.layout import initialize
from delegation.ledger.ledger import Limits, RedisLedger
from delegation.ledger.locks import RedisLocks
from delegation.ledger.partitions import Partitions
from delegation.ledger.server import Server
from delegation.ledger.store import Store
from tests.benchmarks.figures import Figure
from tests.benchmarks.rounds import Rounds
from tests.parties import CALENDAR_API, CALENDAR_MCP, LOGIN, a_case, a_delegation, a_verified_token
from tests.valkey import short_directory, start_valkey, url_of

LIVE = (100, 10_000, 100_000)
MANY = 10_000
ROUNDS = 15
CALLS_PER_ROUND = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Microseconds of one call: of the scripts in the server, and as its caller waits for it."""

    server: float
    wall: float


class Scene:
    """A store, with as many exchanges and locks as it is told to have."""

    def __init__(self, server: Server, raw: "redis.Redis", *, partitions: int) -> None:
        self._layout = Partitions(partitions)
        raw.flushall()
        initialize(server, self._layout)
        store = Store(server, self._layout)
        limits = Limits(undrained_events=10**9)
        self.ledger = RedisLedger(store, events=Events(), limits=limits)
        self.locks = RedisLocks(store, events=Acts())
        self.recorded: list[Delegation] = []
        self._raw = raw
        self._case = a_case()

    def have(self, live: int) -> None:
        """Record exchanges until there are so many: a new person for every ten."""
        while len(self.recorded) < live:
            self.record()

    def record(self) -> None:
        """Record one more."""
        # With all the time that a token may have: none expires while it is measured.
        now = datetime.now(UTC)
        person = Identity(LOGIN, f"person-{len(self.recorded) // 10}")
        decided = replace(
            _PATTERN,
            id=self.ledger.new_id(person),
            parent=replace(_PATTERN.parent, subject=person),
            decided_at=now,
            issued_at=now,
            expires_at=now + timedelta(hours=1),
        )
        self.ledger.record(decided, self._case)
        self.recorded.append(decided)

    def lock(self, target: Target) -> None:
        """Put a lock on *target*."""
        order = LockOrder(id=self.locks.new_id(target), target=target, reason="-", author="-")
        self.locks.lock(order)

    def cost_of_locks(self, targets: Sequence[Target]) -> Cost:
        """What each of them costs. Afterwards it is as if they had never been."""
        cost = self.cost(len(targets), lambda number: self.lock(targets[number]))
        for partition in self._layout.all():
            self._raw.delete(partition.locks, partition.lock_book)
        return cost

    def cost(self, times: int, call: Callable[[int], object]) -> Cost:
        """What each of so many calls costs."""
        self._raw.config_resetstat()
        began = time.perf_counter()
        for number in range(times):
            call(number)
        wall = time.perf_counter() - began
        # What scripts call counts apart, too; this is with it.
        scripts = self._raw.info("commandstats")["cmdstat_evalsha"]["usec"]
        return Cost(server=scripts / times, wall=wall / times * 1e6)


_PATTERN = a_delegation(subject=a_verified_token())


@contextmanager
def _scene(*, partitions: int) -> Iterator[Scene]:
    with short_directory() as directory:
        valkey = start_valkey(Path(directory), appendonly="no", save="")
        server = Server(url_of(valkey), timeout=10)
        with redis.Redis.from_url(url_of(valkey), protocol=2) as raw:
            yield Scene(server, raw, partitions=partitions)
        server.close()
        valkey.stop()


def costs_of_locks(targets: Callable[[Scene], Sequence[Target]]) -> dict[int, list[Cost]]:
    """Of one lock on each of *targets*, where there are no others, by how many exchanges live.

    Round by round, each in turn, so that what disturbs one disturbs all.
    """
    with ExitStack() as stack:
        scenes = {live: stack.enter_context(_scene(partitions=64)) for live in LIVE}
        for live, scene in scenes.items():
            scene.have(live)
        rounds = [
            {live: scene.cost_of_locks(targets(scene)) for live, scene in scenes.items()}
            for _ in range(1 + ROUNDS)
        ]
    return {live: [costs[live] for costs in rounds[1:]] for live in LIVE}


def costs_beside_locks() -> dict[str, tuple[list[Cost], list[Cost]]]:
    """Of `record` and `describe`, without a lock and with many, all in the partition asked."""
    verbs: dict[str, Callable[[Scene, int], object]] = {
        "record": lambda scene, _: scene.record(),
        "describe": lambda scene, number: scene.ledger.describe(scene.recorded[number].id),
    }
    with _scene(partitions=1) as without, _scene(partitions=1) as beside:
        for number in range(MANY):
            beside.lock(Target.client(f"client-{number}"))
        for scene in (without, beside):
            scene.have(CALLS_PER_ROUND)
        return {verb: _in_turn(without, beside, call) for verb, call in verbs.items()}


def _in_turn(
    without: Scene, beside: Scene, call: Callable[[Scene, int], object]
) -> tuple[list[Cost], list[Cost]]:
    rounds = [
        [scene.cost(CALLS_PER_ROUND, partial(call, scene)) for scene in (without, beside)]
        for _ in range(1 + ROUNDS)
    ]
    return [one for one, _ in rounds[1:]], [other for _, other in rounds[1:]]


def figures(_rounds: Rounds) -> Iterator[Figure]:
    """In the server, and as the caller waits; in rounds of their own."""
    group = "what a lock costs, and what the ledger's verbs cost beside many"
    for kind, targets in _KINDS.items():
        found = costs_of_locks(targets)
        for live, costs in found.items():
            yield from _both(group, f"a lock {kind}, {live} live exchanges", costs)
        for live in LIVE[1:]:
            name = f"a lock {kind}, {live} live exchanges, over {LIVE[0]}"
            yield from _ratio(group, name, found[live], found[LIVE[0]])
    for verb, (without, beside) in costs_beside_locks().items():
        yield from _both(group, f"{verb}, without a lock", without)
        yield from _ratio(group, f"{verb}, with {MANY} locks, over none", beside, without)


_KINDS: Mapping[str, Callable[[Scene], Sequence[Target]]] = {
    "on one person": lambda scene: [Target.subject(one.subject) for one in scene.recorded[:100:10]],
    "on all, in 64 partitions": lambda _: [
        EVERYTHING,
        Target.issuer(LOGIN),
        Target.client(CALENDAR_MCP),
        Target.resource(CALENDAR_API),
        Target.grant("calendar"),
    ],
}


def _both(group: str, name: str, costs: list[Cost]) -> Iterator[Figure]:
    yield Figure.of(group, f"{name}: in the store", "us", (one.server for one in costs))
    yield Figure.of(group, f"{name}: for the caller", "us", (one.wall for one in costs))


def _ratio(group: str, name: str, costs: list[Cost], others: list[Cost]) -> Iterator[Figure]:
    pairs = [*zip(costs, others, strict=True)]
    yield Figure.of(
        group, f"{name}: in the store", "", (one.server / other.server for one, other in pairs)
    )
    yield Figure.of(
        group, f"{name}: for the caller", "", (one.wall / other.wall for one, other in pairs)
    )
