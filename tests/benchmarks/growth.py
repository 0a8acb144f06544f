"""What an exchange costs where much is alive, or many locks stand, over what it costs beside.

Two services run, each with a store of its own: one stays as it begins, the other one grows.
"""

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from delegation.audit.events import Events
from delegation.domain.locks import LockOrder, Target
from delegation.domain.parties import Identity
from delegation.ledger.ledger import Limits, RedisLedger
from delegation.ledger.partitions import Partitions
from delegation.ledger.server import Server
from delegation.ledger.store import Store
from delegation.wiring import locks
from tests.benchmarks.driving import Sample
from tests.benchmarks.figures import Figure
from tests.benchmarks.machine import ALL_CORES, OTHER_CORES, spent
from tests.benchmarks.rounds import Rounds
from tests.benchmarks.scene import Scene, a_scene
from tests.parties import LOGIN, a_case, a_delegation

LEAST_LIVE = 1_000
LOCKS = (100, 10_000)

Sampled = tuple[Sample, float]
"""A sample, and microseconds of the store's CPU for each exchange in it."""


def of_live(rounds: Rounds) -> Iterator[Figure]:
    """From a thousand live exchanges on, ten times as many each time."""
    group = f"where more exchanges are alive, over {LEAST_LIVE} alive"
    with a_scene() as still, a_scene() as growing:
        for scene in (still, growing):
            _record(scene, LEAST_LIVE)
        empty, alive, taken = growing.memory(), LEAST_LIVE, 0.0
        while alive * 10 <= rounds.most_live:
            began = time.monotonic()
            _record(growing, alive * 9)
            taken = time.monotonic() - began
            alive *= 10
            yield Figure.of(group, f"to record {alive * 9 // 10} more by themselves", "s", [taken])
            bytes_each = (growing.memory() - empty) / (alive - LEAST_LIVE)
            yield Figure.of(group, f"bytes each, of {alive}, sealed", "bytes", [bytes_each])
            yield from _over(group, f"{alive} alive", rounds, still, growing)


def of_locks(rounds: Rounds) -> Iterator[Figure]:
    """From none to ten thousand, all of them in the one partition that is asked."""
    group = "where locks stand, over none"
    one_partition = {"DELEGATION_PARTITIONS": "1"}
    with a_scene(**one_partition) as still, a_scene(**one_partition) as growing:
        standing = 0
        for many in LOCKS:
            for number in range(standing, many):
                _lock(growing, Target.client(f"client-{number}"))
            standing = many
            yield from _over(group, f"{many} locks", rounds, still, growing)


def _over(group: str, name: str, rounds: Rounds, still: Scene, growing: Scene) -> Iterator[Figure]:
    found = rounds.of({"still": _sampled(still, rounds), "growing": _sampled(growing, rounds)})
    pairs = [*zip(found["growing"], found["still"], strict=True)]
    ratios = {
        "CPU of the worker": (grown.cpu / usual.cpu for (grown, _), (usual, _) in pairs),
        "CPU of the store": (grown / usual for (_, grown), (_, usual) in pairs),
        "per second": (grown.per_second / usual.per_second for (grown, _), (usual, _) in pairs),
        "latency p99": (grown.p99 / usual.p99 for (grown, _), (usual, _) in pairs),
    }
    for what, values in ratios.items():
        yield Figure.of(group, f"{what}, {name}", "", values)


def _sampled(scene: Scene, rounds: Rounds) -> Callable[[], Sampled]:
    target, pid = scene.target(), scene.store_pid

    def sampled() -> Sampled:
        before = spent(pid)
        sample = target.sample(rounds.seconds)
        return sample, (spent(pid) - before) / sample.requests * 1e6

    target.sample(rounds.seconds / 4)
    return sampled


def _lock(scene: Scene, target: Target) -> None:
    standing = locks(scene.world.store)
    order = LockOrder(id=standing.new_id(target), target=target, reason="-", author="-")
    standing.lock(order)


def _record(scene: Scene, count: int) -> None:
    """Record so many more exchanges, by processes on all cores, and drop their events."""
    settings = scene.world.settings
    context = multiprocessing.get_context("spawn")
    os.sched_setaffinity(0, ALL_CORES)
    share = count // len(ALL_CORES)
    parts = [share + count % len(ALL_CORES), *[share] * (len(ALL_CORES) - 1)]
    processes = [
        context.Process(target=record, args=(settings.redis_url, settings.partitions, part))
        for part in parts
    ]
    for process in processes:
        process.start()
    os.sched_setaffinity(0, OTHER_CORES)
    for process in processes:
        process.join()
    for partition in Partitions(settings.partitions).all():
        scene.store.xtrim(partition.events, maxlen=0)
    while scene.store.info("persistence")["aof_rewrite_in_progress"]:
        time.sleep(0.1)


def record(url: str, partitions: int, count: int) -> None:
    """Record so many, for a new person each time, as the service does; they live for an hour."""
    store = Store(Server(url, timeout=10), Partitions(partitions))
    ledger = RedisLedger(store, events=Events(), limits=Limits(undrained_events=10**9))
    pattern, case = a_delegation(), a_case()
    for number in range(count):
        now = datetime.now(UTC)
        person = Identity(LOGIN, f"person-{os.getpid()}-{number}")
        decided = replace(
            pattern,
            id=ledger.new_id(person),
            parent=replace(pattern.parent, subject=person),
            decided_at=now,
            issued_at=now,
            expires_at=now + timedelta(hours=1),
        )
        ledger.record(decided, case)
    store.server.close()
