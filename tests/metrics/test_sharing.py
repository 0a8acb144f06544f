"""Workers come and go; what they have counted stays, in few places."""

import errno
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from delegation.metrics import catalogue, sharing
from delegation.metrics.sharing import DIRECTORY, Sharing
from delegation.metrics.tally import Place, Tally, Writer
from tests.metrics.conftest import Bench


def test_who_takes_a_place_goes_on(bench: Bench) -> None:
    """A successor begins where the one before stopped, and others count beside them."""
    bench.worker(0).throttled()
    bench.worker(1).throttled()
    bench.served()
    bench.worker(0).throttled()

    assert bench.served()["delegation_throttled_requests_total"] == 3
    assert {path.name for path in bench.directory.glob("counter*")} == {
        "counter_0.db",
        "counter_1.db",
    }


def test_what_is_written_once_is_not_written_twice(bench: Bench) -> None:
    """Between two writings nothing happens: nothing is added."""
    meter = bench.worker()
    meter.throttled()
    meter.ledger_answered(9.0)

    for _ in range(2):
        served = bench.served()

    assert served["delegation_throttled_requests_total"] == 1
    assert served["delegation_ledger_round_trip_duration_seconds_bucket 5.0"] == 0
    assert served["delegation_ledger_round_trip_duration_seconds_bucket +Inf"] == 1


def test_threads_lose_nothing(bench: Bench) -> None:
    """What several threads count while it is written adds up."""
    meter = bench.worker()
    threads = [
        threading.Thread(target=lambda: [meter.throttled() for _ in range(2000)]) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        bench.served()
    for thread in threads:
        thread.join()

    assert bench.served()["delegation_throttled_requests_total"] == 8000


def test_it_is_written_every_now_and_then(bench: Bench) -> None:
    """While the worker runs; and what is left, when it stops."""
    tally = Tally()
    writer = Writer(tally, Place(0), interval=0.001)
    tally.add(catalogue.THROTTLED)
    writer.start()
    while not bench.only("delegation_throttled_requests_total"):
        time.sleep(0.001)
    tally.add(catalogue.THROTTLED)
    writer.stop()

    assert bench.served()["delegation_throttled_requests_total"] == 2
    assert "metrics" not in {thread.name for thread in threading.enumerate()}


@pytest.fixture(name="unset")
def _unset(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the master leaves behind in its process is gone after the test."""
    monkeypatch.setitem(os.environ, DIRECTORY, "")
    monkeypatch.setattr(sharing, "_place", None)


@pytest.mark.usefixtures("unset")
def test_places_are_few() -> None:
    """A place is lent to one worker at a time, the lowest that is free; what a worker was goes with
    it, what it counted stays. Who serves it is there again with the next worker.
    """
    shared = Sharing("127.0.0.1:0", workers=2)
    first = shared._exposition  # noqa: SLF001, nobody else may know it
    taken = []
    for worker in "abc":
        shared.take(worker)
        taken.append(sharing._place)  # noqa: SLF001, likewise
        for kind in ("counter", "gauge_livesum"):
            (shared.directory / f"{kind}_{sharing._place}.db").touch()  # noqa: SLF001
    shared.leave("b")
    left = sorted(path.name for path in shared.directory.iterdir())
    first.kill()
    first.wait()
    shared.take("d")

    assert taken == [0, 1, 2]
    assert sharing._place == 1  # noqa: SLF001
    assert left == [
        *(f"counter_{number}.db" for number in range(3)),
        "gauge_livesum_0.db",
        "gauge_livesum_2.db",
    ]
    assert shared._exposition.poll() is None  # noqa: SLF001
    shared.close()
    assert not shared.directory.exists()


@pytest.mark.usefixtures("unset")
def test_a_worker_of_its_own(monkeypatch: pytest.MonkeyPatch, bench: Bench) -> None:
    """Where nobody serves it, it is counted for nobody; a place is written to when there is one."""
    sharing.meter.cache_clear()
    before = set(threading.enumerate())
    sharing.meter().throttled()
    assert set(threading.enumerate()) == before

    started: list[Writer] = []

    class Kept(Writer):
        def start(self) -> None:
            started.append(self)
            super().start()

    sharing.meter.cache_clear()
    monkeypatch.setattr(sharing, "_place", 0)
    monkeypatch.setattr(sharing, "Writer", Kept)
    monkeypatch.setitem(os.environ, DIRECTORY, str(bench.directory))
    sharing.meter().throttled()
    started[0].stop()

    assert bench.served()["delegation_throttled_requests_total"] == 1
    assert sharing.meter() is sharing.meter()
    assert len(started) == 1
    sharing.meter.cache_clear()


@pytest.mark.usefixtures("unset")
def test_where_there_is_no_directory_in_memory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Then it is where temporary files are."""
    monkeypatch.setattr(sharing, "_IN_MEMORY", tmp_path / "none")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    shared = Sharing("127.0.0.1:0", workers=1)

    assert shared.directory.parent == tmp_path
    shared.close()


class Full(Place):
    """A place that has no room the first time."""

    def __init__(self) -> None:
        super().__init__(0)
        self.refused = threading.Event()

    def value(self, *series: Any, **bound: str) -> Any:
        """Where the number stands, if there is room."""
        if not self.refused.is_set():
            self.refused.set()
            raise OSError(errno.ENOSPC, "no room")
        return super().value(*series, **bound)


def test_no_room_is_nobodys_trouble(bench: Bench) -> None:
    """What cannot be written is lost, and what comes later is not."""
    tally, place = Tally(), Full()
    writer = Writer(tally, place, interval=0.001)
    tally.add(catalogue.THROTTLED)
    writer.start()
    assert place.refused.wait(5)
    tally.add(catalogue.THROTTLED)
    writer.stop()

    assert bench.served()["delegation_throttled_requests_total"] == 1
