"""The segments of an audit trail: where they lie, and reading them. Nothing here verifies anything.

A segment is a file of JSON lines: its records, and in its last line the signed checkpoint, with the
last number of every stream. It is created whole, once, and never changed.
"""

import os
import re
import secrets
import time
from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from delegation.audit.chain import EpochBegun, EventId, Gap, Numbers, canonical, split, understood
from delegation.audit.checkpoint import TIME, Checkpoint

LONGEST_LINE = 1 << 24
"""Bytes: no line is longer, so that a reader can bound what it takes into memory."""

_FORGOTTEN = 600
"""Seconds after which what somebody began to make has been given up."""

_SEGMENT = re.compile(r"segment-([0-9]{12})\.jsonl", re.ASCII)


class Damaged(Exception):
    """A trail that is not what its sealer left: *what* is wrong, with *line* of *segment*.

    *line* is `None` where it is not one line of it.
    """

    def __init__(self, segment: int, line: int | None, what: str) -> None:
        self.segment, self.line, self.what = segment, line, what
        place = f"segment {segment}" if line is None else f"segment {segment}, line {line}"
        super().__init__(f"{place}: {what}")


class Segments(Protocol):
    """Where segments lie: a directory, or a bucket. Every verb raises `OSError`."""

    def numbers(self) -> list[int]:
        """Those that are there, in order."""
        ...

    def secure(self) -> None:
        """What is there by now is safe when this returns, whoever made it."""
        ...

    def lines(self, number: int) -> Iterator[bytes]:
        """The lines of one, each with its end; of one that is not there, none.

        A line that is longer than `LONGEST_LINE` comes in parts.
        """
        ...

    def last_line(self, number: int) -> bytes:
        """The last line of one, without reading the others; empty where it is not there."""
        ...

    def size(self, number: int) -> int:
        """How many bytes it has; none where it is not there."""
        ...

    def create(self, number: int, lines: Iterable[bytes]) -> bool:
        """Make it, in one step that cannot replace one; whether this was what made it.

        When it returns, the segment of that number is safe, whoever made it.
        """
        ...


@dataclass(frozen=True, slots=True)
class Directory:
    """Segments in a directory of a file system that has hard links."""

    path: Path

    def numbers(self) -> list[int]:
        """Those that are there, in order."""
        # The names alone are wanted, of perhaps a million files.
        found = filter(None, map(_SEGMENT.fullmatch, os.listdir(self.path)))  # noqa: PTH208
        return sorted(int(name[1]) for name in found)

    def secure(self) -> None:
        """What is there by now is safe when this returns, whoever made it."""
        _sync_names(self.path)

    def lines(self, number: int) -> Iterator[bytes]:
        """The lines of one, each with its end; of one that is not there, none."""
        try:
            file = self.file(number).open("rb")
        except FileNotFoundError:
            return
        with file:
            while line := file.readline(LONGEST_LINE):
                yield line

    def last_line(self, number: int) -> bytes:
        """The last line of one, without reading the others; empty where it is not there."""
        try:
            file = self.file(number).open("rb")
        except FileNotFoundError:
            return b""
        with file:
            size, found = file.seek(0, os.SEEK_END), b""
            for reach in _REACHES:
                file.seek(max(size - reach, 0))
                found = file.read()
                begin = found.rfind(b"\n", 0, -1)
                if begin >= 0:
                    return found[begin + 1 :]
            return found

    def size(self, number: int) -> int:
        """How many bytes it has; none where it is not there."""
        try:
            return self.file(number).stat().st_size
        except FileNotFoundError:
            return 0

    def create(self, number: int, lines: Iterable[bytes]) -> bool:
        """Make it, in one step that cannot replace one; whether this was what made it."""
        draft = self.path / f".draft-{secrets.token_hex(8)}"
        try:
            with _open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL) as descriptor:
                with os.fdopen(descriptor, "wb", closefd=False) as file:
                    file.writelines(lines)
                os.fsync(descriptor)
            made = _linked(draft, self.file(number))
        finally:
            draft.unlink(missing_ok=True)
        self.secure()
        return made

    def prepare(self) -> None:
        """Make the directory, for its owner alone, and clear away what was never finished."""
        if not self.path.exists():
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            _sync_names(self.path.parent)
        for draft in self.path.glob(".draft-*"):
            with suppress(FileNotFoundError):  # its maker has just finished with it
                # And one that should wake after all finds it gone, and begins anew.
                if draft.stat().st_mtime < time.time() - _FORGOTTEN:
                    draft.unlink()

    def file(self, number: int) -> Path:
        """The file of one."""
        return self.path / f"segment-{number:012}.jsonl"


_REACHES = (1 << 14, 1 << 18, 1 << 22, LONGEST_LINE)
"""How far from the end the last line is looked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One record of the trail, as it was read: *number* counts from its beginning, *line* here.

    Of *event*, *unreadable*, *gap* and *epoch* one is there: a decision or an act as the store had
    it, the bytes of one that is no event, or what the sealer itself had to say. The first two have
    an *id*. *at* is when the store recorded it, or when the sealer said it.
    """

    segment: int
    line: int
    number: int
    at: str
    id: EventId | None = None
    event: Mapping[str, Any] | None = None
    unreadable: bytes | None = None
    gap: Gap | None = None
    epoch: EpochBegun | None = None
    body: bytes
    seal: bytes

    def exported(self) -> dict[str, Any]:
        """An event as one flat object, by the published schema; empty where it is none."""
        if self.event is None:
            return {}
        return {**self.event, "id": str(self.id), "at": self.at}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """The last line of a segment: its signed checkpoint, as *note* and as read, and the heads."""

    note: str
    checkpoint: Checkpoint
    heads: Numbers

    def line(self) -> bytes:
        """As it stands in the segment."""
        return canonical({"checkpoint": self.note, "heads": self.heads}) + b"\n"


@dataclass(frozen=True, slots=True)
class Trail:
    """Reads a trail, segment by segment, with the memory of one record.

    It says what is written, and believes it: to know that it is what was sealed, verify first.
    """

    segments: Segments

    def numbers(self, *, since: str | None = None, until: str | None = None) -> list[int]:
        """The segments that are there, in order.

        Given times as the trail writes them, those only that may hold an event recorded from
        *since* on, and before *until*. Raises `Damaged` and `OSError`.
        """
        numbers = self.segments.numbers()
        if since is None and until is None:
            return numbers
        return [number for number in numbers if self._overlaps(number, since, until)]

    def _overlaps(self, number: int, since: str | None, until: str | None) -> bool:
        checkpoint = self.ending(number).checkpoint
        return not (
            (since is not None and checkpoint.latest < since)
            or (until is not None and checkpoint.earliest >= until)
        )

    def records(self, numbers: Iterable[int] | None = None) -> Iterator[Record]:
        """The records of the segments *numbers*, or of all, as they were sealed.

        Within a stream they are in order; among streams nearly so, by time. Raises `Damaged` where
        a line is none of a segment, and `OSError`.
        """
        for number in self.segments.numbers() if numbers is None else numbers:
            yield from self._records_of(number)

    def _records_of(self, number: int) -> Iterator[Record]:
        before = self._ending_before(number)
        for line, text in enumerate(self.segments.lines(number), 1):
            if text.startswith(ENDING):
                return
            yield read_record(text, segment=number, line=line, number=before + line)

    def _ending_before(self, number: int) -> int:
        """How many records there are before a segment; as if none where that is not to be found."""
        line = self.segments.last_line(number - 1)
        return read_ending(line, segment=number - 1).checkpoint.size if line else 0

    def begins(self) -> int:
        """The first segment that can be verified. Raises `OSError`.

        Where older ones were dropped, the checkpoint of the last of them stands alone before it.
        """
        first = min(self.segments.numbers(), default=1)
        is_dropped = next(self.segments.lines(first), b"").startswith(ENDING)
        return first + 1 if is_dropped else 1

    def ending(self, number: int) -> Ending:
        """The last line of a segment. Raises `Damaged` and `OSError`."""
        return read_ending(self.segments.last_line(number), segment=number)


ENDING = b'{"checkpoint":'
"""How the last line of a segment begins, and no other."""


def read_record(text: bytes, *, segment: int, line: int, number: int) -> Record:
    """The record in a line. Raises `Damaged`; neither its seal nor its place is checked."""
    try:
        body, seal = split(text)
        return _record(body, seal, segment=segment, line=line, number=number)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Damaged(segment, line, f"this is no record: {_said(error)}") from error


def _record(body: bytes, seal: bytes, *, segment: int, line: int, number: int) -> Record:
    members = understood(body)
    if canonical(members) != body:
        raise ValueError("it is not in canonical form")
    readers = _MEMBERS[tuple(members)]
    known: dict[str, Any] = {name: read(members[name]) for name, read in readers.items()}
    return Record(segment=segment, line=line, number=number, body=body, seal=seal, **known)


def _time(value: str) -> str:
    if not TIME.fullmatch(value):
        raise ValueError("its time has another form")
    return value


def _object(value: object) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    raise ValueError("its event is no object")


def _bytes(value: str) -> bytes:
    return b64decode(value, validate=True)


def _gap(value: dict[str, Any]) -> Gap:
    return Gap(**_place(value))


def _epoch(value: dict[str, Any]) -> EpochBegun:
    return EpochBegun(**_place(value))


def _place(value: dict[str, Any]) -> dict[str, Any]:
    if not all(type(one) is (str if name in _WORDS else int) for name, one in value.items()):
        raise ValueError("its place has another form")
    return value


_WORDS = frozenset({"epoch", "stream"})

_READERS: Sequence[Mapping[str, Callable[[Any], object]]] = (
    {"at": _time, "event": _object, "id": EventId.parse},
    {"at": _time, "id": EventId.parse, "unreadable": _bytes},
    {"at": _time, "gap": _gap},
    {"at": _time, "epoch": _epoch},
)

_MEMBERS = {tuple(readers): readers for readers in _READERS}


def read_ending(text: bytes, *, segment: int) -> Ending:
    """The last line of a segment. Raises `Damaged`; its signature is not checked."""
    try:
        members = understood(text)
        note, heads = members["checkpoint"], members["heads"]
        checkpoint = Checkpoint.parse(note.rpartition("\n\n")[0] + "\n")
        ending = Ending(note=note, checkpoint=checkpoint, heads=heads)
        in_form = ending.line() == text
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Damaged(
            segment, None, f"it does not end with a checkpoint: {_said(error)}"
        ) from error
    if not in_form:
        raise Damaged(segment, None, "it does not end with a checkpoint in canonical form")
    return ending


def _said(error: Exception) -> str:
    return str(error) if type(error) is ValueError else "it has another form"


def _linked(draft: Path, file: Path) -> bool:
    try:
        os.link(draft, file)
    except FileExistsError:
        return False
    return True


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
