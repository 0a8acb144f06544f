"""Which workers there are: those that said so lately, and nobody else."""

import time

import redis

from delegation.domain.ports import WorkerReport
from delegation.ledger.presence import RedisPresence
from delegation.ledger.store import Store


def test_what_a_worker_says(store: Store) -> None:
    """It is read as it was said, with the store's own time; said again, it is one worker."""
    presence = RedisPresence(store)
    worker = WorkerReport(id="b:1", revision="r", problems=("x", "y"), started_at=7)
    presence.report(worker)
    presence.report(worker)
    presence.report(WorkerReport(id="a:1", revision="r", problems=(), started_at=8))

    first, second = presence.workers()

    assert (first.id, second.id) == ("a:1", "b:1")
    assert (second.revision, second.problems, second.started_at) == ("r", ("x", "y"), 7)
    assert abs(second.seen_at - time.time() * 1000) < 10_000


def test_silence(store: Store, raw: "redis.Redis[bytes]") -> None:
    """Who says nothing for long is left out, and forgotten when another says something."""
    presence = RedisPresence(store, patience=100)
    silent = WorkerReport(id="a:1", revision="r", problems=(), started_at=7)
    talking = WorkerReport(id="b:1", revision="r", problems=(), started_at=7)
    presence.report(silent)
    presence.report(talking)
    both = [worker.id for worker in presence.workers()]
    deadline = time.monotonic() + 5
    while raw.hlen("dlg:{0}:workers") > 1 and time.monotonic() < deadline:
        presence.report(talking)

    assert both == ["a:1", "b:1"]
    assert [worker.id for worker in presence.workers()] == ["b:1"]
    assert raw.hkeys("dlg:{0}:workers") == [b"b:1"]
    assert raw.pttl("dlg:{0}:workers") > 0


def test_silence_of_all(store: Store, raw: "redis.Redis[bytes]") -> None:
    """They are left out though nobody is there to forget them."""
    presence = RedisPresence(store, patience=100)
    presence.report(WorkerReport(id="a:1", revision="r", problems=(), started_at=7))
    raw.persist("dlg:{0}:workers")
    deadline = time.monotonic() + 5
    while presence.workers() and time.monotonic() < deadline:
        time.sleep(0.005)

    assert presence.workers() == []
    assert raw.hkeys("dlg:{0}:workers") == [b"a:1"]
