"""Reads events, sealed and unsealed together: in order of time, each once, and filtered.

Segments are nearly in order of time. Those that overlap are read side by side, with the streams of
the store: of each one event is held, and of a stream a page. It believes what is written; to know
that it is what was sealed, verify.
"""

import json
import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush, merge
from itertools import count
from operator import attrgetter
from typing import Any, NamedTuple

from delegation.audit.chain import EventId
from delegation.audit.packing import unpacked
from delegation.audit.progress import Progress, moment
from delegation.audit.segments import ENDING, Damaged, Segments, Trail, read_record
from delegation.domain.errors import Unavailable
from delegation.domain.evidence import TYPES, Event, EventFilter
from delegation.domain.ports import StoredEvent, UndrainedEvents

_PAGE = 100
"""Events of each stream that are held."""

_PACE = 1000
"""Records after which a reader says how far it is, though none of them was meant."""

_AT = len('{"at":"')
_WHAT = _AT + len('2026-11-21T00:00:00.000Z","')

_EVENT = b'event":'
"""How the second member of a record that is an event begins."""

Key = tuple[str, tuple[str, int, str, int] | tuple[()]]
"""Where an event stands in the order: its time, and its id. Without an id: before all of a time."""


class Entry(NamedTuple):
    """An event, exported, at its place. Without an event: so far has been read.

    *passed* counts what was looked at for it.
    """

    key: Key
    event: Event | None
    passed: int = 1


@dataclass(slots=True)
class Notes:
    """What a reader has to say besides events: nothing is left out in silence.

    *problem* is why the store could not be read. *missing* events were gone before they were
    sealed, as the trail itself says; those *unreadable* are none. Where it *is torn*, what stands
    in the store does not go on from what is sealed here.
    """

    problem: str = ""
    missing: int = 0
    unreadable: int = 0
    is_torn: bool = False


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """From when to when the events of a segment were recorded."""

    earliest: str
    latest: str
    number: int


class Reader:
    """Reads the events in *segments*, and those that still stand in *source*; either may be none.

    What is sealed and dropped from the store while it reads, it reads where it is by then.
    """

    def __init__(self, source: UndrainedEvents | None, segments: Segments | None) -> None:
        self.source, self.segments = source, segments
        self._spans: dict[int, Span] = {}

    def events(
        self, meant: EventFilter, *, after: Key | None = None, notes: Notes | None = None
    ) -> Iterator[Entry]:
        """The events *meant*, in order of time and then of their ids, from *after* on.

        Among them are entries without event, which only say how far has been read. Where the store
        is out of reach *notes* say so, and the sealed events come all the same. Raises `Damaged`
        and `OSError` where a segment cannot be read.
        """
        notes = notes or Notes()
        passing = _Pass(meant, after or ("", ()), notes)
        spans = self.spans()
        sealed = _in_order(
            [span for span in spans if passing.overlaps(span)],
            lambda span: passing.sealed(self._lines(span.number), span.number),
        )
        streams: Iterable[Iterator[Entry]] = ()
        if self.source is not None:
            streams = self._streams(self.source, passing, spans)
        return merge(sealed, *streams, key=attrgetter("key"))

    def last(self, meant: EventFilter, most: int, spans: Sequence[Span]) -> list[Entry]:
        """The last of the events *meant* in the segments *spans*, in order, *most* of them.

        No more of the newest segments are read than it takes, or twice as many.
        """
        newest_first = sorted(spans, key=attrgetter("number"), reverse=True)
        found = deque[Entry](maxlen=most)
        many = 1
        while len(found) < most and many < 2 * len(spans):
            begin = min(span.earliest for span in newest_first[:many])
            is_all = many >= len(spans)
            since = meant.since if is_all else max(begin, meant.since or "")
            passing = _Pass(replace(meant, since=since), ("", ()), Notes())
            entries = self._sealed(passing, spans)
            found = deque((one for one in entries if one.event is not None), most)
            many *= 2
        return list(found)

    def spans(self) -> list[Span]:
        """The segments that are there, by their earliest event. Raises `Damaged` and `OSError`.

        A segment never changes: what is known of it is remembered.
        """
        if self.segments is None:
            return []
        trail, known = Trail(self.segments), self._spans
        spans: dict[int, Span] = {}
        for number in self.segments.numbers():
            span = known.get(number)
            if span is None:
                checkpoint = trail.ending(number).checkpoint
                span = Span(checkpoint.earliest, checkpoint.latest, number)
            spans[number] = span
        self._spans = spans  # in one step: several threads may ask
        return sorted(spans.values())

    def progress(self, spans: Sequence[Span]) -> Progress:
        """That of whoever has read these segments, which are all."""
        if self.segments is None or not spans:
            return Progress()
        latest = max(span.latest for span in spans)
        ending = Trail(self.segments).ending(max(span.number for span in spans))
        return Progress.of_heads(ending.heads, latest)

    def _sealed(self, passing: "_Pass", spans: Iterable[Span]) -> Iterator[Entry]:
        return _in_order(
            [span for span in spans if passing.overlaps(span)],
            lambda span: passing.sealed(self._lines(span.number), span.number),
        )

    def _lines(self, number: int) -> Iterator[bytes]:
        return iter(()) if self.segments is None else self.segments.lines(number)

    def _streams(
        self, source: UndrainedEvents, passing: "_Pass", spans: Sequence[Span]
    ) -> Iterator[Iterator[Entry]]:
        """The streams of the store, each read when it is asked for."""
        newest = max((span.number for span in spans), default=0)
        known = self.progress(spans)
        for place in source.streams():
            yield passing.stream(self._standing(source, place, known, newest, passing.notes))

    def _standing(
        self,
        source: UndrainedEvents,
        place: tuple[int, str],
        known: Progress,
        newest: int,
        notes: Notes,
    ) -> Iterator[tuple[EventId, str, Event | None]]:
        """What one stream has that is in no segment up to *newest*; where it cannot be read, none.

        The store is asked first, and then what was sealed meanwhile: what it has dropped is there.
        """
        after, is_more = 0, True
        while is_more:
            try:
                page = source.read(*place, count=_PAGE, after=after)
            except Unavailable as error:
                notes.problem = error.problem
                page = []
            while self.segments is not None and self.segments.size(newest + 1):
                newest += 1
                yield from self._sealed_meanwhile(newest, place, known)
            for stored in page:
                event_id = known.id_of(*place, stored)
                notes.is_torn |= known.leaves_out(event_id)
                if known.take(event_id, moment(stored)):
                    yield event_id, moment(stored), exported(event_id, stored)
            is_more = len(page) == _PAGE
            after = page[-1].number if page else 0

    def _sealed_meanwhile(
        self, number: int, place: tuple[int, str], known: Progress
    ) -> Iterator[tuple[EventId, str, Event | None]]:
        partition, stream = place
        named = f":{partition}:{stream}:".encode()
        for line, text in enumerate(self._lines(number), 1):
            if named in text and not text.startswith(ENDING):
                record = read_record(text, segment=number, line=line, number=line)
                found = record.id
                is_of_it = found is not None and (found.partition, found.stream) == place
                if found is not None and is_of_it and known.take(found, record.at):
                    yield found, record.at, record.exported() or None


def exported(event_id: EventId, stored: StoredEvent) -> Event | None:
    """An event that still stands in the store, by the published schema; `None` where it is none."""
    try:
        event = unpacked(stored.event)
    except ValueError:
        return None
    return {**event, "id": str(event_id), "at": moment(stored)}


@dataclass(slots=True)
class _Pass:
    """One way through the events: what is meant, after which place, and what is to be said."""

    meant: EventFilter
    after: Key
    notes: Notes
    needles: tuple[bytes, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.needles = tuple(needles(self.meant))

    def overlaps(self, span: Span) -> bool:
        """Whether a segment may have something of it."""
        since, until = self.meant.since, self.meant.until
        return not (
            (since is not None and span.latest < since)
            or (until is not None and span.earliest >= until)
            or span.latest < self.after[0]
        )

    def sealed(self, lines: Iterable[bytes], segment: int) -> Iterator[Entry]:
        """Those of a segment."""
        return self._ordered(self._records(lines, segment))

    def stream(self, standing: Iterator[tuple[EventId, str, Event | None]]) -> Iterator[Entry]:
        """Those of a stream."""
        return self._ordered(self._read(standing))

    def _records(self, lines: Iterable[bytes], segment: int) -> Iterator[tuple[str, Any]]:
        """Most records are passed over without being parsed: their form is canonical."""
        latest = ""
        for line, text in enumerate(lines, 1):
            if text.startswith(ENDING):
                return
            at = text[_AT : _WHAT - 3].decode("ascii", "replace")
            latest = max(latest, at)
            if text.startswith(_EVENT, _WHAT) and not self._may_be_meant(text, at, latest):
                yield at, None
                continue
            record = read_record(text, segment=segment, line=line, number=line)
            self._note(record.at, record.gap, is_readable=record.unreadable is None)
            event = record.exported()
            is_meant = event and self.meant.covers(record.at) and self.meant.matches(event)
            yield record.at, (record.id, event) if is_meant else None
        raise Damaged(segment, None, "it was cut off: it has no checkpoint")

    def _may_be_meant(self, text: bytes, at: str, latest: str) -> bool:
        return (
            latest >= self.after[0]
            and self.meant.covers(at)
            and all(needle in text for needle in self.needles)
        )

    def _note(self, at: str, gap: Any, *, is_readable: bool) -> None:
        # When they were recorded that are missing, nobody knows.
        self.notes.missing += 0 if gap is None else gap.last - gap.first + 1
        self.notes.unreadable += self.meant.covers(at) and not is_readable

    def _read(
        self, standing: Iterator[tuple[EventId, str, Event | None]]
    ) -> Iterator[tuple[str, Any]]:
        for event_id, at, event in standing:
            if event is None:
                self._note(at, None, is_readable=False)
            is_meant = event and self.meant.covers(at) and self.meant.matches(event)
            yield at, (event_id, event) if is_meant else None

    def _ordered(self, found: Iterable[tuple[str, Any]]) -> Iterator[Entry]:
        """Those of one millisecond by their ids. A time that lies before others counts as theirs.

        No clock of the ledger goes back; what somebody else wrote may say anything.
        """
        now, same, passed = "", list[Entry](), 0
        for at, one in found:
            if at > now:
                yield from sorted(same, key=attrgetter("key"))
                now, same = at, []
                if passed >= _PACE and now > self.after[0]:
                    yield Entry((now, ()), None, passed)
                    passed = 0
            passed += one is None
            if one is not None:
                event_id, event = one
                entry = Entry((now, order(event_id)), event)
                if entry.key > self.after:
                    same.append(entry)
        yield from sorted(same, key=attrgetter("key"))


def order(event: EventId) -> tuple[str, int, str, int]:
    """By which events of one time are in order."""
    return event.epoch, event.partition, event.stream, event.number


def needles(meant: EventFilter) -> Iterator[bytes]:
    """What stands in the line of every event that is meant: a record has one form only."""
    if meant.outcome is not None:
        yield f'"type":"{TYPES[meant.outcome]}"'.encode()
    if meant.cause is not None:
        yield f'"cause":"{meant.cause.value}"'.encode()
    if meant.txn is not None:
        yield f'"txn":{json.dumps(meant.txn)}'.encode()
    for name in {name for target in meant.targets for name in target.names}:
        yield json.dumps(name).encode()


def _in_order(spans: Sequence[Span], read: Any) -> Iterator[Entry]:
    """The entries of segments, which are by their earliest event; no more are open than overlap."""
    heap: list[tuple[Key, int, Entry, Iterator[Entry]]] = []
    waiting, turn = list(reversed(spans)), count()

    def push(entries: Iterator[Entry]) -> None:
        for entry in entries:
            heappush(heap, (entry.key, next(turn), entry, entries))
            return

    while heap or waiting:
        while waiting and (not heap or waiting[-1].earliest <= heap[0][0][0]):
            push(read(waiting.pop()))
        if heap:
            _, _, entry, entries = heappop(heap)
            yield entry
            push(entries)


_CURSOR = re.compile(r"([0-9]{17})(?:_([0-9a-f.]+)_([0-9]+)_([a-z]+)_([0-9]+))?", re.ASCII)


def cursor_of(key: Key) -> str:
    """A place in the order, for whoever comes back to it."""
    at, order = key
    return "_".join([re.sub(r"\D", "", at), *map(str, order)])


def read_cursor(cursor: str) -> Key:
    """What `cursor_of` gave. Raises `ValueError` for anything else."""
    found = _CURSOR.fullmatch(cursor)
    if found is None:
        raise ValueError("not a cursor of ours")
    digits, epoch, partition, stream, number = found.groups()
    date, time = digits[:8], digits[8:]
    at = f"{date[:4]}-{date[4:6]}-{date[6:]}T{time[:2]}:{time[2:4]}:{time[4:6]}.{time[6:]}Z"
    if epoch is None:
        return at, ()
    return at, order(EventId.parse(f"{epoch}:{partition}:{stream}:{number}"))
