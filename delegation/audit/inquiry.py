"""Answers questions about the trail: which events there are, and why a decision was taken."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from delegation.audit.explain import explain, explain_absence
from delegation.audit.reading import Notes, Reader, cursor_of, exported, read_cursor
from delegation.audit.segments import Damaged, Segments, read_record
from delegation.audit.trace import Trace
from delegation.domain.errors import TrailUnreadable, Unavailable
from delegation.domain.evidence import Event, EventFilter, Explained
from delegation.domain.ports import EventPage, UndrainedEvents

_DECISION = re.compile(r"(0|[1-9][0-9]{0,8})-[A-Za-z0-9_-]{22}", re.ASCII)

_SUPPRESSED = b'"type":"refusals_suppressed"'

_READ = 1000
"""Events that are read of a stream in one reply."""

_REMEMBERED = 5
"""Of how many counts of refusals somebody is told who looks for one that was not written."""


class Inquiry:
    """Asks a *reader*. Raises `TrailUnreadable` where a segment cannot be read."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader

    def page(self, meant: EventFilter, cursor: str | None, *, count: int, budget: int) -> EventPage:
        """Some of the events *meant*, in order of time, and where to go on.

        It stops after *count* of them, or when about *budget* were looked at. Raises `ValueError`
        for a cursor that is none of ours.
        """
        after = None if cursor is None else read_cursor(cursor)
        found: list[Event] = []
        looked_at, notes, place = 0, Notes(), None
        with _readable():
            for entry in self.reader.events(meant, after=after, notes=notes):
                looked_at += entry.passed
                if entry.event is not None:
                    found.append(entry.event)
                if len(found) >= count or looked_at >= budget:
                    place = cursor_of(entry.key)
                    break
        return EventPage(
            items=tuple(found),
            cursor=place,
            looked_at=looked_at,
            **self._read(notes),
        )

    def explain(self, decision: str) -> Explained:
        """Why a request was answered as it was. Raises `Unavailable` where that cannot be told."""
        with _readable():
            event, suppressed = self._look_for(decision)
        said = explain_absence(decision, suppressed) if event is None else explain(event)
        return Explained(event=event, outcome=said.outcome, facts=said.facts, needed=said.needed)

    def trace(self, name: str, notes: Notes | None = None) -> EventPage:
        """All events that belong to one exchange, in order of time; none where it is not known.

        *name* is that of a decision or of a transaction. They are the exchanges that it came from,
        those that came from it, what was refused to them, and the locks that hit any of them. What
        there is to say besides, *notes* get.
        """
        with _readable():
            return self._trace(name, Notes() if notes is None else notes)

    def _trace(self, name: str, notes: Notes) -> EventPage:
        event = self._find(name)
        is_refusal = event is not None and event["type"] == "refusal"
        exchange = self._find(_parent(event)) if is_refusal else event
        if event is not None and exchange is None:
            return EventPage(items=(event,), cursor=None, **self._read(notes))
        trace = self._transaction(name, notes) if exchange is None else Trace.of_exchange(exchange)
        if trace is None:
            return EventPage(items=(), cursor=None, **self._read(notes))
        for entry in self.reader.events(trace.meant, notes=notes):
            if entry.event is not None:
                trace.take(entry.event)
        # Who presents an expired token is refused when it no longer is of the exchange.
        late = () if event is None or event in trace.found else (event,)
        return EventPage(items=(*trace.found, *late), cursor=None, **self._read(notes))

    def _transaction(self, txn: str, notes: Notes) -> Trace | None:
        """The trace of a transaction; `None` where there is none of that name."""
        since, expires_at = "", 0
        first = Notes()  # what is left out is counted once, when all of it is read
        for entry in self.reader.events(EventFilter(txn=txn), notes=first):
            if entry.event is not None:
                since = since or entry.event["at"]
                expires_at = max(expires_at, entry.event.get("expires_at", 0))
        notes.problem, notes.is_torn = first.problem, first.is_torn
        return Trace.of_transaction(txn, since=since, expires_at=expires_at) if since else None

    def _read(self, notes: Notes) -> dict[str, Any]:
        """What an answer was made from."""
        return {
            "is_sealed_read": self.reader.segments is not None,
            "is_store_read": self.reader.source is not None and not notes.problem,
            "missing": notes.missing,
            "is_torn": notes.is_torn,
        }

    def _find(self, decision: str) -> Event | None:
        return self._look_for(decision)[0] if _DECISION.fullmatch(decision) else None

    def _look_for(self, decision: str) -> tuple[Event | None, list[Event]]:
        """The last event of a decision; without one, what there was of refusals not written.

        Its id tells its partition: that is looked through in the store first, and then the
        segments, the newest first. So what is sealed meanwhile is found.
        """
        partition = int(decision.partition("-")[0])
        suppressed: list[Event] = []
        problem = None
        found = None
        try:
            if self.reader.source is not None:
                found = _last(self._in_store(self.reader.source, partition), decision, suppressed)
        except Unavailable as error:
            problem = error
        segments = self.reader.segments
        if found is None and segments is not None:
            for number in reversed(segments.numbers()):
                of_it = _in_segment(segments, number, partition, decision)
                found = _last(of_it, decision, suppressed)
                if found is not None:
                    break
        if found is None and problem is not None:
            raise problem
        return found, suppressed

    def _in_store(self, source: UndrainedEvents, partition: int) -> Iterator[Event]:
        known = self.reader.progress(self.reader.spans())
        streams = [stream for number, stream in source.streams() if number == partition]
        for stream in streams:
            after, is_more = 0, True
            while is_more:
                page = source.read(partition, stream, count=_READ, after=after)
                for stored in page:
                    event = exported(known.id_of(partition, stream, stored), stored)
                    if event is not None:
                        yield event
                is_more = len(page) == _READ
                after = page[-1].number if page else 0


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except (Damaged, OSError) as error:
        raise TrailUnreadable from error


def _parent(refusal: Event | None) -> str:
    parent = (refusal or {}).get("parent", {})
    return str(parent.get("id", ""))


def _in_segment(segments: Segments, number: int, partition: int, decision: str) -> Iterator[Event]:
    """What there may be of a decision in a segment; other lines are not parsed."""
    wanted = f'"decision":"{decision}"'.encode()
    of_partition = f":{partition}:refusals:".encode()
    for line, text in enumerate(segments.lines(number), 1):
        if wanted in text or (_SUPPRESSED in text and of_partition in text):
            yield read_record(text, segment=number, line=line, number=line).exported()


def _last(events: Iterable[Event], decision: str, suppressed: list[Event]) -> Event | None:
    """The last that is of the decision; some of those that say what was not written are kept."""
    found = None
    for event in events:
        if event.get("decision") == decision:
            found = event
        elif event.get("type") == "refusals_suppressed" and len(suppressed) < _REMEMBERED:
            suppressed.append(event)
    return found
