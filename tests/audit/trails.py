"""Trails for tests: a source of events in memory, and directories that were sealed from it."""

import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

from delegation.audit.note import SignerKey
from delegation.audit.seal import Sealer
from delegation.audit.segments import Directory, Segments
from delegation.domain.ports import StoredEvent
from tests.parties import NOW

NAME = "sts.example.com/audit"
KEY = SignerKey.new(NAME)
EPOCH = "0f"
BEGAN = 1_795_176_000_000
"""Milliseconds: when the first event was recorded."""


def an_event(
    number: int, *, epoch: str = EPOCH, at: int | None = None, **members: Any
) -> StoredEvent:
    """An event of this number, as it stands in the store; a second after the one before it."""
    event = {"version": 1, "type": "exchange", "decision": f"{epoch}-{number}"} | members
    moment = BEGAN + 1000 * number if at is None else at
    return StoredEvent(epoch=epoch, number=number, at=moment, event=json.dumps(event).encode())


class Source:
    """Streams in memory. *log* says what was done to them."""

    def __init__(self, streams: Mapping[tuple[int, str], Iterable[StoredEvent]]) -> None:
        self.stood = {stream: list(events) for stream, events in streams.items()}
        self.log: list[tuple[object, ...]] = []
        self.before: Callable[[str], None] = lambda _: None
        """What happens before each verb, by its name."""

    def streams(self) -> Iterator[tuple[int, str]]:
        """Each of them."""
        return iter(self.stood)

    def settle(self) -> None:
        """Nothing was suppressed."""
        self.before("settle")
        self.log.append(("settle",))

    def read(
        self, partition: int, stream: str, *, count: int, after: int = 0
    ) -> Sequence[StoredEvent]:
        """What stands there."""
        self.before("read")
        events = self.stood[partition, stream]
        return [event for event in events if event.number > after][:count]

    def trim(self, partition: int, stream: str, last: StoredEvent) -> None:
        """Drop what the store would drop."""
        self.before("trim")
        self.log.append(("trim", partition, stream, last.number))
        events = self.stood[partition, stream]
        if last in events:
            self.stood[partition, stream] = [one for one in events if one.number > last.number]

    @property
    def left(self) -> int:
        """How many events stand there."""
        return sum(map(len, self.stood.values()))


def a_source(*numbers: int, streams: int = 1) -> Source:
    """*streams* streams, in each of which the events of these *numbers* stand."""
    return Source(
        {
            (partition, "events"): [an_event(number) for number in numbers]
            for partition in range(streams)
        }
    )


class Ticking:
    """A clock that is a second later each time it is asked."""

    def __init__(self) -> None:
        self._now = NOW

    def __call__(self) -> datetime:
        """What time it is."""
        self._now += timedelta(seconds=1)
        return self._now


def a_sealer(source: Source, where: Path | Segments, **changes: Any) -> Sealer:
    """What seals *source* into *where*; a directory is made."""
    if isinstance(where, Path):
        where = Directory(where)
        where.prepare()
    usual: dict[str, Any] = {"key": KEY, "clock": Ticking()}
    return Sealer(source, where, **(usual | changes))


def a_trail(
    directory: Path, *batches: Iterable[Mapping[str, Any]], key: SignerKey = KEY
) -> Directory:
    """A sealed trail in *directory*: a segment for each batch of events, all of one stream.

    An event is what stands in the record; its time is a second after that of the one before it.
    """
    source, number = Source({(0, "events"): ()}), 0
    sealer = a_sealer(source, directory, key=key)
    for batch in batches:
        for members in batch:
            number += 1
            source.stood[0, "events"].append(an_event(number, **members))
        list(sealer())
    return Directory(directory)


def lines_of(directory: Path) -> list[list[bytes]]:
    """What is in a trail: the lines of each segment, its checkpoint's included."""
    return [
        path.read_bytes().splitlines(keepends=True) for path in sorted(directory.glob("segment-*"))
    ]


def records_of(directory: Path) -> list[dict[str, Any]]:
    """The records of a trail, in order, as JSON."""
    return [json.loads(line) for lines in lines_of(directory) for line in lines[:-1]]


def ids_of(directory: Path) -> list[str]:
    """The ids of the events that were sealed, in order."""
    return [record["id"] for record in records_of(directory) if "id" in record]


class InMemory:
    """Segments in memory, which can be tampered with: the bytes of each."""

    def __init__(self, held: Mapping[int, bytes] = MappingProxyType({})) -> None:
        self.held = dict(held)

    def numbers(self) -> list[int]:
        """Those that are there, in order."""
        return sorted(self.held)

    def secure(self) -> None:
        """Nothing needs to be done."""

    def lines(self, number: int) -> Iterator[bytes]:
        """The lines of one."""
        return iter(io.BytesIO(self.held.get(number, b"")))

    def last_line(self, number: int) -> bytes:
        """The last line of one."""
        return [b"", *self.lines(number)][-1]

    def size(self, number: int) -> int:
        """How many bytes it has."""
        return len(self.held.get(number, b""))

    def create(self, number: int, lines: Iterable[bytes]) -> bool:
        """Make it."""
        made = b"".join(lines)
        return self.held.setdefault(number, made) is made
