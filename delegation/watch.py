"""Keeps what is read from files current: the last good reading, and whether it still holds."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import structlog

T = TypeVar("T")

SETTLE = 1.0
"""Seconds that files must have stood still before they are read: somebody may still be writing."""

INTERVAL = 0.25
"""Seconds between two looks."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """What can be seen of files without reading them.

    *place* is where they really are: it changes when a link is swapped, which is one step, and
    whole. It is `None` where there is nothing. *state* changes with anything that is written.
    """

    place: tuple[str, str] | None
    state: tuple[object, ...]


def sight(path: Path) -> Sighting:
    """What is to be seen at *path*: a file, or a directory with all that is not hidden in it."""
    state = tuple(sorted(_states(path)))
    if not os.path.exists(path):  # noqa: PTH110, it never raises
        return Sighting(None, state)
    # An orchestrator mounts files as links through `..data`, and swaps that.
    return Sighting((os.path.realpath(path), os.path.realpath(path / "..data")), state)


def _states(path: Path) -> Iterator[tuple[str, int, int, int]]:
    try:
        found = path.stat()
        if path.is_dir():
            for entry in path.iterdir():
                if not entry.name.startswith("."):
                    yield from _states(entry)
    except OSError:
        return  # it is gone, or cannot be read: that is a state, too
    yield str(path), found.st_mtime_ns, found.st_size, found.st_ino


class Watched(Generic[T]):
    """A value that is read from files, and read anew when they change.

    *look* tells what is there, *load* reads it; what *load* raises on the first reading is the
    caller's. Later, what cannot be read leaves the last good value in force, and is a problem until
    it is mended. A reading during which the files changed is not believed. Readers never wait.
    """

    def __init__(
        self,
        name: str,
        *,
        look: Callable[[], Sighting],
        load: Callable[[], T],
        describe: Callable[[T], str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._look = look
        self._load = load
        self._describe = describe
        self._clock = clock
        self._log = structlog.get_logger(__name__)
        self._seen = look()
        self._since = clock()
        self._pending = False
        self._failing = False
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._until_stopped, name=name, daemon=True)
        self._current = load()
        self._log.info("loaded", what=name, revision=describe(self._current))

    def __call__(self) -> T:
        """The last good value."""
        return self._current

    def problems(self) -> list[str]:
        """What readiness has to say: empty while the files and the value agree."""
        return [f"{self._name}_invalid"] if self._failing else []

    def check(self) -> None:
        """Look once, and read what has changed and stands still."""
        seen = self._look()
        if seen != self._seen:
            swapped = seen.place not in {None, self._seen.place}
            self._seen, self._since, self._pending = seen, self._clock(), True
            if not swapped:
                return
        elif not self._pending or self._clock() - self._since < SETTLE:
            return
        self._reload(seen)

    def watch(self) -> None:
        """Look every now and then, in a thread of its own, until `stop`."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more; returns when the last look is over."""
        self._stopped.set()
        self._thread.join()

    def _until_stopped(self) -> None:
        while not self._stopped.wait(INTERVAL):
            self.check()

    def _reload(self, seen: Sighting) -> None:
        try:
            value = self._load()
        except Exception as error:  # noqa: BLE001, whatever it is, the last good value stays
            value, failure = None, str(error)
        else:
            failure = ""
        if self._look() != seen:
            return  # it changed meanwhile: the next look begins anew
        self._pending = False
        if value is None:
            self._failing = True
            self._log.error("not_loaded", what=self._name, alarm=True, why=failure)
            return
        self._current, self._failing = value, False
        self._log.info("loaded", what=self._name, revision=self._describe(value))
