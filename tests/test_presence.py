"""A worker says that it is there, and goes on saying so."""

import threading
from datetime import UTC, datetime
from queue import SimpleQueue

from delegation.domain.errors import Unavailable
from delegation.domain.ports import WorkerReport
from delegation.presence import Reporter


class Presence:
    """Hears reports; the first one is lost."""

    def __init__(self) -> None:
        self.heard: SimpleQueue[WorkerReport] = SimpleQueue()
        self.lost = threading.Event()

    def report(self, worker: WorkerReport) -> None:
        """Take note."""
        if not self.lost.is_set():
            self.lost.set()
            raise Unavailable("ledger_unreachable")
        self.heard.put(worker)

    def workers(self) -> list[WorkerReport]:
        """Nobody asks."""
        raise NotImplementedError  # pragma: no cover


def test_reports_go_on() -> None:
    """One after the other, of one worker, whatever became of the one before; until it stops."""
    presence = Presence()
    problems = iter([["a"], ["b"], *[[]] * 1_000_000])
    reporter = Reporter(
        presence,
        revision=lambda: "r1",
        problems=lambda: next(problems),
        clock=lambda: datetime(2026, 1, 1, tzinfo=UTC),
        interval=0.001,
    )

    reporter.start()
    first, second = (presence.heard.get(timeout=5) for _ in range(2))
    reporter.stop()

    assert presence.lost.is_set()
    assert (first.revision, first.problems, second.problems) == ("r1", ("b",), ())
    assert first.id == second.id
    assert first.started_at == 1_767_225_600_000
    assert "presence" not in {thread.name for thread in threading.enumerate()}
