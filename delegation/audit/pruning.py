"""Drops the oldest segments of a trail: what remains verifies, and no stop loses its evidence.

Of the last segment that is dropped its checkpoint stays, alone: from it the next one goes on.
"""

import os
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from delegation.audit.checkpoint import Checkpoint, timestamp
from delegation.audit.replay import orders
from delegation.audit.segments import (
    Directory,
    Record,
    Segments,
    Trail,
    read_record,
)
from delegation.domain.locks import milliseconds

_ACTS = (b'"type":"lock"', b'"type":"lift"')


class Rewritten(Exception):
    """A checkpoint that was kept does not stand in the trail as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruning:
    """What can be dropped: the segments *dropped* in whole, and of *anchor* all but its checkpoint.

    *anchor* is `None` where nothing can. *lock* is why no more: its event stands in the next
    segment, and it stops something yet.
    """

    dropped: tuple[int, ...] = ()
    anchor: int | None = None
    lock: str | None = None


def pruning(
    segments: Segments, *, before: datetime, kept: Iterable[Checkpoint], now: datetime
) -> Pruning:
    """What can be dropped of what was recorded *before* then: never the last segment.

    Checkpoints that were *kept* verify with what remains. Raises `Rewritten` where one does not
    now, `Damaged` and `OSError`.
    """
    trail, end = Trail(segments), timestamp(milliseconds(before))
    numbers = trail.numbers()
    last = min([*_kept(trail, numbers, kept), *(numbers[-2:-1] or [0])])
    old: list[int] = []
    for number in numbers:
        if number > last or trail.ending(number).checkpoint.latest >= end:
            break
        old.append(number)
    needed = _needed(segments, numbers, now) if old else {}
    lock = min(needed, key=lambda one: needed[one], default=None)
    if lock is None or needed[lock] > max(old):
        lock = None
    else:
        old = [number for number in old if number < needed[lock]]
    # Its checkpoint alone may be left of the first: then it has been dropped before.
    if len(old) == 1 and trail.begins() > old[0]:
        old = []
    return Pruning(dropped=tuple(old[:-1]), anchor=old[-1] if old else None, lock=lock)


def prune(directory: Directory, found: Pruning) -> None:
    """Drop it. Where that is interrupted, the same again completes it. Raises `OSError`."""
    if found.anchor is None:
        return
    _leave_checkpoint(directory, found.anchor)
    for number in found.dropped:
        directory.file(number).unlink()
    directory.secure()


def _kept(trail: Trail, numbers: list[int], kept: Iterable[Checkpoint]) -> Iterator[int]:
    for checkpoint in kept:
        number = checkpoint.segment
        if number not in numbers or trail.ending(number).checkpoint != checkpoint:
            raise Rewritten(f"segment {number} does not end with the checkpoint that was kept")
        yield number


def _needed(segments: Segments, numbers: Iterable[int], now: datetime) -> dict[str, int]:
    """The locks that stop something yet, each with the segment that has its event."""
    first: dict[str, int] = {}

    def acts() -> Iterator[Record]:
        for number in numbers:
            for line, text in enumerate(segments.lines(number), 1):
                if any(act in text for act in _ACTS):
                    record = read_record(text, segment=number, line=line, number=line)
                    if (record.event or {}).get("type") in {"lock", "lift"}:
                        first.setdefault((record.event or {})["lock"], number)
                        yield record

    return {order.id: first[order.id] for order in orders(acts(), now=now)}


def _leave_checkpoint(directory: Directory, number: int) -> None:
    """In one step: whoever reads meanwhile reads the one or the other."""
    ending = directory.last_line(number)
    draft = directory.path / f".draft-{secrets.token_hex(8)}"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(ending)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(directory.file(number))
    directory.secure()


def read_kept(note: str) -> Checkpoint:
    """The checkpoint in a note, whose signature is not checked. Raises `ValueError`."""
    return Checkpoint.parse(note.rpartition("\n\n")[0] + "\n")
