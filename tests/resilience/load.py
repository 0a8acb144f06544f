"""Exchanges without a pause, and what became of each of them."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from threading import Event, Thread
from typing import Any

from tests.attacks.endpoint import Answer
from tests.world import TestWorld

PATIENCE = 20
"""Seconds within which everything that is waited for must have happened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one request: an answer, or none. *took* is in seconds."""

    answer: Answer | None
    took: float

    @property
    def status(self) -> int:
        """That of the answer; 0 where there was none."""
        return 0 if self.answer is None else self.answer.status


@dataclass(frozen=True, slots=True)
class Load:
    """What has become of the requests so far, in no particular order."""

    outcomes: list[Outcome] = field(default_factory=list)

    def answers(self, status: int) -> list[Answer]:
        """Those of one status."""
        return [one.answer for one in self.outcomes if one.answer and one.status == status]

    def count(self, status: int) -> int:
        """How many there are of one status."""
        return sum(one.status == status for one in self.outcomes)

    def go_on(self, more: int = 30) -> None:
        """Wait until so many more have been granted."""
        enough = self.count(200) + more
        wait_until(lambda: self.count(200) >= enough)


@contextmanager
def load(send: Callable[[], Answer], *, callers: int = 3, pause: float = 0.005) -> Iterator[Load]:
    """Let *callers* send for as long as the context lasts; all have been answered at its end."""
    stop, found = Event(), Load()

    def call() -> None:
        while not stop.wait(pause):
            began = time.perf_counter()
            try:
                answer = send()
            except (OSError, HTTPException):
                answer = None
            found.outcomes.append(Outcome(answer=answer, took=time.perf_counter() - began))

    threads = [Thread(target=call) for _ in range(callers)]
    for thread in threads:
        thread.start()
    try:
        yield found
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def wait_until(condition: Callable[[], bool]) -> None:
    """Return as soon as it holds; fail where it never does."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)


def workers(world: TestWorld) -> list[int]:
    """The processes that serve, by the process that looks after them."""
    pid = world.world.process.pid
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def said(world: TestWorld, what: str) -> Iterator[dict[str, Any]]:
    """What the workers have said about *what*, the oldest first."""
    for line in world.log.splitlines():
        if line.startswith("{") and line.endswith("}"):
            entry = json.loads(line)
            if entry.get("what") == what:
                yield entry


def revisions(world: TestWorld, what: str = "registry") -> set[str | None]:
    """Which revisions of *what* the workers run, by their own word."""
    running: dict[int, str] = {}
    for entry in said(world, what):
        if "revision" in entry:
            running[entry["worker"]] = entry["revision"]
    return {running.get(worker) for worker in workers(world)}
