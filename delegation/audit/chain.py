"""The chain of the audit trail: one form for each record, a seal over all before it, no gaps.

A record is one line of canonical JSON. Its last member, `seal`, is SHA-256 over the seal before it
and the record without that member: who changes, drops or moves a record breaks every later seal.
"""

import hashlib
import json
import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn, Self

START = bytes(32)
"""What stands for the seal before the first record."""

_LARGEST = 2**53 - 1
"""Beyond this two readers may take one number for another (RFC 8259 §6)."""

_DEEPEST = 100
"""Levels of nesting."""

_STRING_OR_BRACKET = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?|[\[\]{}]', re.DOTALL)

_ID = re.compile(r"([0-9a-f]+(?:\.[1-9][0-9]*)?):(0|[1-9][0-9]*):([a-z]+):([1-9][0-9]*)", re.ASCII)


def canonical(value: object) -> bytes:
    """The one form of *value*: compact JSON in ASCII, members in the order of their code points.

    It is RFC 8785 for what has no numbers but whole ones below 2^53, and with every character
    escaped that is not printable ASCII: no terminal acts upon a trail. Raises `ValueError` for text
    that is none (a lone surrogate).
    """
    form = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    if "\\ud" in form:
        # Half a character can be escaped, and written in no other way.
        json.dumps(value, ensure_ascii=False).encode()
    return form.encode()


def understood(data: bytes) -> Any:
    """The JSON that *data* is, where it has a canonical form. Raises `ValueError`."""
    text = data.decode()
    # json recurses: what is too deep for one reader must be too deep for all.
    if _depth_exceeds(_DEEPEST, text):
        raise ValueError("nested too deeply")
    return json.loads(text, parse_float=_refuse, parse_constant=_refuse, parse_int=_whole)


def _depth_exceeds(limit: int, text: str) -> bool:
    # Nearly every document ends here: it has fewer brackets than levels are allowed.
    if text.count("{") + text.count("[") <= limit:
        return False
    depth = 0
    for token in _STRING_OR_BRACKET.finditer(text):
        depth += {"{": 1, "[": 1, "}": -1, "]": -1}.get(token[0], 0)
        if depth > limit:
            return True
    return False


def _whole(digits: str) -> int:
    number = int(digits)
    if abs(number) > _LARGEST:
        raise ValueError("a number is too large")
    return number


def _refuse(_: str) -> NoReturn:
    raise ValueError("not a whole number")


def seal(before: bytes, body: bytes) -> bytes:
    """The seal of the record *body*, where *before* is that of the record before it."""
    return hashlib.sha256(before + body).digest()


def sealed_line(body: bytes, seal: bytes) -> bytes:
    """The line of the record *body*: itself, and its *seal* as the last member."""
    return b"".join((body[:-1], _BEFORE_SEAL, b64encode(seal), _AFTER_SEAL))


def split(line: bytes) -> tuple[bytes, bytes]:
    """The body of a record's line, and its seal as it stands there. Raises `ValueError`."""
    body, seal = line[:-_SEALED], line[-_SEALED:]
    if not body or not seal.startswith(_BEFORE_SEAL) or not seal.endswith(_AFTER_SEAL):
        raise ValueError("it has no seal at its end")
    return body + b"}", seal[len(_BEFORE_SEAL) : -len(_AFTER_SEAL)]


_BEFORE_SEAL, _AFTER_SEAL = b',"seal":"', b'"}\n'

_SEALED = len(_BEFORE_SEAL) + 44 + len(_AFTER_SEAL)


@dataclass(frozen=True, slots=True)
class EventId:
    """The id of an event: its own for ever.

    Where a store went back to an earlier state, it gives numbers away a second time: the *epoch*
    then has a generation behind a dot, which the sealer counts.
    """

    epoch: str
    partition: int
    stream: str
    number: int

    def __str__(self) -> str:
        """As it stands in a record."""
        return f"{self.epoch}:{self.partition}:{self.stream}:{self.number}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read one. Raises `ValueError`."""
        found = _ID.fullmatch(text)
        if found is None:
            raise ValueError("its id has another form")
        return cls(found[1], int(found[2]), found[3], int(found[4]))


Numbers = Mapping[str, Mapping[str, Mapping[str, int]]]
"""The last number by epoch, stream and partition, as it stands in a segment's last line."""


class Heads:
    """The last number of every stream in every epoch, as far as the trail goes.

    Whoever seals and whoever verifies move it by the same rule. Every verb raises `ValueError`
    where that number may not come now, and then nothing has changed.
    """

    def __init__(
        self, numbers: Mapping[str, Mapping[str, Mapping[str, int]]] | None = None
    ) -> None:
        """As they stand in a segment's last line: epoch, stream, partition, number."""
        self._streams: dict[tuple[int, str], dict[str, int]] = {}
        for epoch, streams in (numbers or {}).items():
            for stream, partitions in streams.items():
                for partition, number in partitions.items():
                    self.epochs(int(partition), stream)[epoch] = number

    def written(self) -> dict[str, dict[str, dict[str, int]]]:
        """As they stand in a segment's last line."""
        written: dict[str, dict[str, dict[str, int]]] = {}
        for (partition, stream), epochs in self._streams.items():
            for epoch, number in epochs.items():
                written.setdefault(epoch, {}).setdefault(stream, {})[str(partition)] = number
        return written

    def epochs(self, partition: int, stream: str) -> dict[str, int]:
        """The last number of one stream, by epoch."""
        return self._streams.setdefault((partition, stream), {})

    def event(self, event: EventId) -> None:
        """An event comes."""
        epochs = self.epochs(event.partition, event.stream)
        self._known(epochs, event.epoch)
        last = epochs.get(event.epoch, 0)
        if event.number != last + 1:
            raise ValueError(f"its number is {event.number}, where {last + 1} comes next")
        epochs[event.epoch] = event.number

    def gap(self, gap: "Gap") -> None:
        """Events are missing, and the trail says so."""
        epochs = self.epochs(gap.partition, gap.stream)
        self._known(epochs, gap.epoch)
        last = epochs.get(gap.epoch, 0)
        if gap.first != last + 1 or gap.last < gap.first:
            raise ValueError(f"it is a gap from {gap.first}, where {last + 1} comes next")
        epochs[gap.epoch] = gap.last

    def epoch(self, begun: "EpochBegun") -> None:
        """A stream that was known begins anew."""
        epochs = self.epochs(begun.partition, begun.stream)
        if not epochs or begun.epoch in epochs:
            raise ValueError("it is no new epoch of this stream")
        if not 0 < begun.first <= max(epochs.values()) + 1:
            raise ValueError(f"it begins an epoch at {begun.first}, which leaves numbers out")
        epochs[begun.epoch] = begun.first - 1

    @staticmethod
    def _known(epochs: Mapping[str, int], epoch: str) -> None:
        if epochs and epoch not in epochs:
            raise ValueError("it is of an epoch that the trail does not say has begun")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Events that were recorded, and were gone before they could be sealed: evidence of a loss."""

    epoch: str
    partition: int
    stream: str
    first: int
    last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochBegun:
    """A stream whose numbers begin anew, at *first*: what was not sealed by then is not known.

    The store was laid out anew, or went back to an earlier state.
    """

    epoch: str
    partition: int
    stream: str
    first: int
