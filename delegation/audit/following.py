"""Follows a trail: every event in the order of its stream, as it is sealed or before it is.

It goes on where it was left: from a position that can be kept in a file, nothing is lost and little
comes twice.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from heapq import nlargest
from operator import itemgetter
from typing import Any, Self

from delegation.audit.chain import EventId
from delegation.audit.progress import Progress, moment
from delegation.audit.reading import Entry, Notes, Reader, Span, exported, order
from delegation.audit.segments import ENDING, Damaged, Segments, read_record
from delegation.domain.errors import Unavailable
from delegation.domain.evidence import EventFilter
from delegation.domain.ports import StoredEvent, UndrainedEvents

_PAGE = 1000
"""Events that are read of a stream in one reply."""

_VERSION = 1


class CannotGoOn(Exception):
    """A position that is none of this trail, or what came next is not there any more."""


@dataclass(slots=True)
class Position:
    """How far somebody has come: the *segment* that comes next, and what was met."""

    segment: int = 1
    progress: Progress = field(default_factory=Progress)

    @classmethod
    def after(cls, reader: Reader, spans: Sequence[Span]) -> Self:
        """After these segments, which are all."""
        newest = max((span.number for span in spans), default=0)
        return cls(newest + 1, reader.progress(spans))

    @classmethod
    def at(cls, reader: Reader, since: str | None) -> Self:
        """Before all that was recorded *since* then."""
        spans = reader.spans()
        later = [span.number for span in spans if since is None or span.latest >= since]
        return cls(min(later)) if later else cls.after(reader, spans)

    def written(self) -> str:
        """As a file has it."""
        members = {"version": _VERSION, "segment": self.segment, "met": self.progress.written()}
        return json.dumps(members, separators=(",", ":"), sort_keys=True) + "\n"

    @classmethod
    def read(cls, text: str) -> Self:
        """What `written` gave. Raises `CannotGoOn` for anything else."""
        try:
            members = json.loads(text)
            number = members["segment"]
            if members["version"] != _VERSION or type(number) is not int:
                raise CannotGoOn("it is no position that this release knows")
            return cls(number, Progress.read(members["met"]))
        except (ValueError, KeyError, TypeError) as error:
            raise CannotGoOn("it is no position of an export") from error


class Follower:
    """Gives what is new each time it is asked, from *position* on, which moves along.

    *position* is after the event that was given last. Raises `CannotGoOn` at once where the trail
    does not go on from there.
    """

    def __init__(
        self,
        source: UndrainedEvents | None,
        segments: Segments | None,
        position: Position,
        *,
        notes: Notes | None = None,
    ) -> None:
        self.position = position
        self.notes = notes or Notes()
        self._source, self._segments = source, segments
        numbers = [] if segments is None else segments.numbers()
        if numbers and position.segment not in {*numbers, numbers[-1] + 1}:
            raise CannotGoOn(f"segment {position.segment}, which comes next, is not there")
        if not numbers and position.segment > 1 and segments is not None:
            raise CannotGoOn("it is the position of another trail")

    def __call__(self) -> Iterator[Entry]:
        """All events that are new. Raises `Unavailable`, `Damaged` and `OSError`: ask again then.

        What could be had before that was given.
        """
        yield from self._sealed()
        if self._source is not None:
            for place in self._source.streams():
                for page in self._pages(self._source, place):
                    # What the store had dropped by then is in a segment by now.
                    yield from self._sealed()
                    yield from self._standing(place, page)
            yield from self._sealed()

    def _sealed(self) -> Iterator[Entry]:
        position, segments = self.position, self._segments
        while segments is not None and segments.size(position.segment):
            is_whole = False
            for line, text in enumerate(segments.lines(position.segment), 1):
                if text.startswith(ENDING):
                    is_whole = True
                    break
                record = read_record(text, segment=position.segment, line=line, number=line)
                self.notes.missing += (
                    0 if record.gap is None else record.gap.last - record.gap.first + 1
                )
                if record.id is not None:
                    yield from self._met(record.id, record.at, record.exported() or None)
            if not is_whole:
                raise Damaged(position.segment, None, "it was cut off: it has no checkpoint")
            position.segment += 1

    def _standing(self, place: tuple[int, str], page: Sequence[StoredEvent]) -> Iterator[Entry]:
        for stored in page:
            event_id = self.position.progress.id_of(*place, stored)
            self.notes.is_torn |= self.position.progress.leaves_out(event_id)
            yield from self._met(event_id, moment(stored), exported(event_id, stored))

    def _met(self, event_id: EventId, at: str, event: Any) -> Iterator[Entry]:
        if self.position.progress.take(event_id, at):
            self.notes.unreadable += event is None
            if event is not None:
                yield Entry((at, order(event_id)), event)

    def _pages(
        self, source: UndrainedEvents, place: tuple[int, str]
    ) -> Iterator[Sequence[StoredEvent]]:
        """What stands in a stream, from the last that was met on if that one still stands there.

        If not, from its beginning: the store has dropped it, went back, or was laid out anew.
        """
        last = self.position.progress.last(*place)
        page: Sequence[StoredEvent] = ()
        if last is not None:
            page = source.read(*place, count=_PAGE, after=last.number - 1)
        if last is None or not page or (page[0].number, moment(page[0])) != (last.number, last.at):
            page = source.read(*place, count=_PAGE)
        while page:
            yield page
            if len(page) < _PAGE:
                break
            page = source.read(*place, count=_PAGE, after=page[-1].number)


def tail(
    reader: Reader, meant: EventFilter, most: int, notes: Notes
) -> tuple[list[Entry], Follower]:
    """The last events *meant*, in order of time, *most* of them; and what follows after these.

    Of what comes meanwhile nothing is left out, and nothing comes twice. Raises what reading
    raises, but for `Unavailable`: *notes* say so.
    """
    spans = reader.spans()
    sealed = reader.last(meant, most, spans)
    follower = Follower(reader.source, reader.segments, Position.after(reader, spans), notes=notes)
    fresh = nlargest(most, meant_of(follower, meant), key=itemgetter(0))
    return sorted([*sealed, *fresh], key=itemgetter(0))[-most:], follower


def meant_of(follower: Follower, meant: EventFilter) -> Iterator[Entry]:
    """What is new and *meant*; where the store is out of reach, the notes say so."""
    follower.notes.problem = ""
    try:
        for entry in follower():
            if meant.covers(entry.key[0]) and meant.matches(entry.event or {}):
                yield entry
    except Unavailable as error:
        follower.notes.problem = error.problem
