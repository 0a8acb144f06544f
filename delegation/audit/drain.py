"""Moves events from the store to files: there they are dropped only once they are safe on disk."""

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path

from delegation.domain.ports import StoredEvent, UndrainedEvents

_BATCH = 500


class AlreadyDraining(Exception):
    """Another process drains into the same directory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain:
    """Writes the events of every partition to JSON lines in *directory*, a file a day (UTC).

    Each line has an `id` that is its own for ever: partition, stream and number. A line may appear
    twice where a run was cut off between disk and store; it is never missing.
    """

    source: UndrainedEvents
    directory: Path

    def __call__(self) -> int:
        """Move all that is there now; how many events were moved.

        Raises `AlreadyDraining`, `Unavailable` where the store is out of reach, and `OSError` where
        the disk is. What was not moved stays where it is.
        """
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._alone():
            self.source.settle()
            return sum(self._move(partition, stream) for partition, stream in self.source.streams())

    def _move(self, partition: int, stream: str) -> int:
        moved = 0
        while events := self.source.read(partition, stream, count=_BATCH):
            self._write(_lines(partition, stream, events))
            self.source.trim(partition, stream, through=events[-1].number)
            moved += len(events)
        return moved

    def _write(self, lines: Iterable[bytes]) -> None:
        path = self.directory / f"events-{datetime.now(UTC):%Y-%m-%d}.jsonl"
        is_new = not path.exists()
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "ab") as file:
            file.writelines(lines)
            file.flush()
            os.fsync(descriptor)
        if is_new:
            self._sync_directory()

    def _sync_directory(self) -> None:
        """A new file is safe only when its name is."""
        descriptor = os.open(self.directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with (self.directory / ".lock").open("w") as file:
            try:
                flock(file, LOCK_EX | LOCK_NB)
            except BlockingIOError as error:
                raise AlreadyDraining(str(self.directory)) from error
            yield


def _lines(partition: int, stream: str, events: Iterable[StoredEvent]) -> Iterator[bytes]:
    for stored in events:
        at = datetime.fromtimestamp(stored.at / 1000, UTC).isoformat(timespec="milliseconds")
        head = {"id": f"{partition}:{stream}:{stored.number}", "at": at.replace("+00:00", "Z")}
        line = head | json.loads(stored.event)
        yield json.dumps(line, separators=(",", ":")).encode() + b"\n"
