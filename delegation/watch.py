"""Keeps what is read from files current: the last good reading, and whether it still holds."""

import atexit
import hashlib
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Generic, TypeVar

import structlog

from delegation.lastgood import LastGood

T = TypeVar("T")

SETTLE = 1.0
"""Seconds that files must have stood still before they are read: somebody may still be writing."""

INTERVAL = 0.25
"""Seconds between two looks."""

RETRY = 10.0
"""Seconds after which files that could not be read are tried again, though nothing has changed."""

RESTLESS = 30.0
"""Seconds of uninterrupted change after which it is a problem that nothing can be read."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """What can be seen of files without reading them.

    *place* is where they really are: it changes when a link is swapped, which is one step, and
    whole. It is `None` where there is nothing. *state* changes with anything that is written, and
    with who may read it. *changed_at* is the latest of all changes, in seconds of the wall clock;
    nobody knows when nothing came to be there.
    """

    place: tuple[str, str] | None
    state: tuple[object, ...]
    changed_at: float


def sight(path: Path) -> Sighting:
    """What is to be seen at *path*: a file, or a directory with all that is not hidden in it."""
    # Resolved once, so that a link which is swapped meanwhile never shows some of each.
    place = os.path.realpath(path)
    state = tuple(_states(place))
    if not state:
        return Sighting(None, state, inf)
    # An orchestrator mounts files as links through `..data`, and swaps that.
    places = place, os.path.realpath(path / "..data")
    return Sighting(places, state, max(one.changed_at for one in state) / 1e9)


@dataclass(frozen=True, slots=True)
class _State:
    path: str
    identity: tuple[int, int]
    size: int
    # The time of the last change of the inode: rights change it, and no copy brings it along.
    changed_at: int


def _states(path: str, above: frozenset[tuple[int, int]] = frozenset()) -> Iterator[_State]:
    # What is gone, or cannot be read, is left out: that is a state, too.
    with suppress(OSError):
        found = os.stat(path)  # noqa: PTH116, four times a second: `Path` costs three times as much
        identity = found.st_dev, found.st_ino
        yield _State(path, identity, found.st_size, found.st_ctime_ns)
        if not stat.S_ISDIR(found.st_mode) or identity in above:
            return
        for name in sorted(os.listdir(path)):  # noqa: PTH208, likewise
            if not name.startswith("."):
                yield from _states(f"{path}/{name}", above | {identity})


class Watched(Generic[T]):
    """A value that is read from files, and read anew when they change.

    *look* tells what is there, *read* takes it in whole, *parse* understands it. What cannot be
    read or understood leaves the last good value in force, and is a problem until it is mended.
    *last_good* remembers that value beyond this process: where it remembers nothing, what the first
    reading raises is the caller's. Files that somebody may still be writing are waited for, and a
    reading during which they change is not believed. *told* hears of each reading, and whether it
    was good. Callers never wait.
    """

    _current: T

    def __init__(
        self,
        name: str,
        *,
        look: Callable[[], Sighting],
        read: Callable[[], bytes],
        parse: Callable[[bytes], T],
        describe: Callable[[T], str],
        last_good: LastGood,
        told: Callable[[bool], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._name = name
        self._look = look
        self._read = read
        self._parse = parse
        self._describe = describe
        self._last_good = last_good
        self._told = told or _unheard
        self._clock = clock
        self._wall_clock = wall_clock
        self._log = structlog.get_logger(__name__).bind(what=name, worker=os.getpid())
        self._digest = b""
        self._failure: Exception | None = None
        self._seen = look()
        self._since = self._restless_since = self._tried_at = clock()
        self._pending = True
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._until_stopped, name=name, daemon=True)
        remembered = last_good.recall()
        if remembered is None:
            self._begin()
        else:
            self._resume(remembered)

    def __call__(self) -> T:
        """The last good value."""
        return self._current

    def problems(self) -> list[str]:
        """What readiness has to say: empty while the files and the value agree."""
        if self._failure is not None:
            return [f"{self._name}_invalid"]
        if self._pending and self._clock() - self._restless_since > RESTLESS:
            return [f"{self._name}_restless"]
        return []

    def check(self) -> None:
        """Look once, and read what has changed and stands still."""
        if self._notices_a_swap() or self._is_due():
            self._reload()

    def watch(self) -> None:
        """Look every now and then, in a thread of its own, until `stop` or the process ends."""
        self._thread.start()
        # A thread that writes while the interpreter goes away would take it down with a signal.
        atexit.register(self.stop)

    def stop(self) -> None:
        """Look no more; returns when the last look is over."""
        atexit.unregister(self.stop)
        self._stopped.set()
        self._thread.join()

    def _begin(self) -> None:
        """Read what is there, as soon as it stands still; raise what keeps it from being read."""
        while self._pending:
            if self._stands_still():
                self._reload()
            else:
                self._stopped.wait(INTERVAL)
            self._notices_a_swap()
        if self._failure is not None:
            raise self._failure

    def _resume(self, content: bytes) -> None:
        """Begin with what was last good, for as long as what is there is not."""
        self._current, self._digest = self._parse(content), _digest(content)
        self._log.info("resumed", revision=self._describe(self._current))
        if self._stands_still():
            self._reload()

    def _stands_still(self) -> bool:
        """Whether nobody can be writing any more: by the files' own time, or by having waited."""
        return self._wall_clock() - self._seen.changed_at >= SETTLE or self._has_waited()

    def _has_waited(self) -> bool:
        return self._clock() - self._since >= SETTLE

    def _until_stopped(self) -> None:
        while not self._stopped.wait(INTERVAL):
            try:
                self.check()
            except Exception as error:  # noqa: BLE001, a watcher that died would not be missed
                with suppress(Exception):
                    self._fail(error)

    def _notices_a_swap(self) -> bool:
        """Look. Whether a link was swapped since: then all there is to read is there."""
        before, seen = self._seen, self._look()
        if seen == before:
            return False
        now = self._clock()
        if not self._pending:
            self._restless_since = now
        self._seen, self._since, self._pending = seen, now, True
        return seen.place != before.place and None not in {seen.place, before.place}

    def _is_due(self) -> bool:
        if self._pending:
            return self._has_waited()
        # What cannot be read may mend itself: a disk, a limit on open files.
        return self._failure is not None and self._clock() - self._tried_at >= RETRY

    def _reload(self) -> None:
        self._tried_at = self._clock()
        found = self._reading()
        if self._look() != self._seen:
            return  # it changed meanwhile: the next look begins anew
        self._pending = False
        if isinstance(found, Exception):
            self._fail(found)
            return
        self._current, self._failure = found.value, None
        self._last_good.keep(found.content)
        self._digest = found.digest
        self._told(True)  # noqa: FBT003, it is good
        self._log.info("loaded", revision=self._describe(found.value))

    def _reading(self) -> "_Reading[T] | Exception":
        try:
            content = self._read()
            digest = _digest(content)
            value = self._current if digest == self._digest else self._parse(content)
        except Exception as error:  # noqa: BLE001, whatever it is, the last good value stays
            return error
        return _Reading(value, content, digest)

    def _fail(self, failure: Exception) -> None:
        known, self._failure = self._failure, failure.with_traceback(None)
        self._told(False)  # noqa: FBT003, it is not
        if str(known) != str(failure):
            self._log.error("not_loaded", alarm=True, why=str(failure))


@dataclass(frozen=True, slots=True)
class _Reading(Generic[T]):
    value: T
    content: bytes
    digest: bytes


def _unheard(_: bool) -> None:  # noqa: FBT001
    """Nobody wants to know."""


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()
