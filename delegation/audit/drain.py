"""Moves events from the store to files: there they are dropped only once they are safe on disk."""

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from fcntl import LOCK_EX, LOCK_NB, flock
from mmap import ACCESS_READ, mmap
from pathlib import Path

from delegation.domain.ports import StoredEvent, UndrainedEvents

_BATCH = 500


class AlreadyDraining(Exception):
    """Another process drains into the same directory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain:
    """Writes the events of every partition to JSON lines in *directory*, a file a day (UTC).

    Each line has an `id` that is its own for ever: epoch, partition, stream and number. A line may
    appear twice where a run was cut off between disk and store; it is never missing, and never in
    part.
    """

    source: UndrainedEvents
    directory: Path

    def __call__(self) -> int:
        """Move all that is there now; how many events were moved.

        Raises `AlreadyDraining`, `Unavailable` where the store is out of reach, and `OSError` where
        the disk is. What was not moved stays where it is.
        """
        self._make_directory()
        with self._alone():
            self._mend()
            moved = self._move_all()
            # Only now: a store from which nothing can be moved must not be given more to hold.
            self.source.settle()
            return moved + self._move_all()

    def _move_all(self) -> int:
        return sum(self._move(partition, stream) for partition, stream in self.source.streams())

    def _move(self, partition: int, stream: str) -> int:
        moved = 0
        while events := self.source.read(partition, stream, count=_BATCH):
            self._write(_lines(partition, stream, events))
            self.source.trim(partition, stream, through=events[-1].number)
            moved += len(events)
            if len(events) < _BATCH:
                break
        return moved

    def _write(self, lines: Iterable[bytes]) -> None:
        path = self.directory / f"events-{datetime.now(UTC):%Y-%m-%d}.jsonl"
        with _open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT) as descriptor:
            with os.fdopen(descriptor, "ab", closefd=False) as file:
                file.writelines(lines)
            os.fsync(descriptor)
        _sync_names(self.directory)

    def _mend(self) -> None:
        """Take back a line that an earlier run was cut off in: its event is still in the store.

        The next line would else be written to its end, and both be lost.
        """
        for path in sorted(self.directory.glob("events-*.jsonl"))[-1:]:
            with _open(path, os.O_RDWR) as descriptor:
                whole = _whole_lines(descriptor)
                if whole < os.fstat(descriptor).st_size:
                    os.ftruncate(descriptor, whole)

    def _make_directory(self) -> None:
        if not self.directory.exists():
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            _sync_names(self.directory.parent)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with _open(self.directory / ".lock", os.O_RDWR | os.O_CREAT) as descriptor:
            try:
                flock(descriptor, LOCK_EX | LOCK_NB)
            except BlockingIOError as error:
                raise AlreadyDraining(str(self.directory)) from error
            yield


def _lines(partition: int, stream: str, events: Iterable[StoredEvent]) -> Iterator[bytes]:
    for stored in events:
        at = datetime.fromtimestamp(stored.at / 1000, UTC).isoformat(timespec="milliseconds")
        head = {
            "id": f"{stored.epoch}:{partition}:{stream}:{stored.number}",
            "at": at.replace("+00:00", "Z"),
        }
        line = head | json.loads(stored.event)
        yield json.dumps(line, separators=(",", ":")).encode() + b"\n"


def _whole_lines(descriptor: int) -> int:
    """How many bytes of a file are lines that have their end."""
    if os.fstat(descriptor).st_size == 0:
        return 0
    with mmap(descriptor, 0, access=ACCESS_READ) as content:
        return content.rfind(b"\n") + 1


def _sync_names(directory: Path) -> None:
    """A file is safe only when its name is."""
    with _open(directory, os.O_RDONLY) as descriptor:
        os.fsync(descriptor)


@contextmanager
def _open(path: Path, flags: int) -> Iterator[int]:
    """Nobody else may read what is written here."""
    descriptor = os.open(path, flags | os.O_CLOEXEC, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
