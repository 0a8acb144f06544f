"""Reading what is sealed and what is not as one: each event once, in order, and none left out."""

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delegation.audit.chain import EventId
from delegation.audit.progress import Progress
from delegation.audit.reading import Entry, Notes, Reader, cursor_of, order, read_cursor
from delegation.audit.segments import Damaged, Directory
from delegation.domain.errors import Unavailable
from delegation.domain.evidence import TYPES, EventFilter, Outcome
from delegation.domain.locks import Kind, Target
from tests.audit.events import (
    CAUSES,
    ISSUERS,
    NAMES,
    STREAMS,
    Split,
    exchanges,
    histories,
    ids,
    split,
)
from tests.audit.trails import InMemory, Source, a_sealer, a_source, a_trail, an_event

ALL = EventFilter()

_pairs = st.tuples(st.sampled_from(ISSUERS), st.sampled_from(NAMES))
_single = st.tuples(st.sampled_from(NAMES))
_targets = st.one_of(
    *(
        names.map(lambda found, kind=kind: Target(kind, found))
        for kind, names in {
            Kind.SUBJECT: _pairs,
            Kind.ACTOR: _pairs,
            Kind.AGENT: _pairs,
            Kind.CLIENT: _single,
            Kind.RESOURCE: _single,
            Kind.GRANT: _single,
        }.items()
    )
)
filters = st.builds(
    EventFilter,
    targets=st.frozensets(_targets, max_size=2),
    outcome=st.none() | st.sampled_from(Outcome),
    cause=st.none() | st.sampled_from(CAUSES),
    since=st.none() | st.integers(0, 20).map("2026-11-20T12:00:00.{:03}Z".format),
    until=st.none() | st.integers(0, 20).map("2026-11-20T12:00:00.{:03}Z".format),
)


def read(split: Split, meant: EventFilter = ALL, **options: Any) -> list[str]:
    """The ids of what is found, in order."""
    entries = Reader(split.source, split.segments).events(meant, **options)
    return ids(entry.event for entry in entries if entry.event is not None)


def naively(meant: EventFilter, event: dict[str, Any]) -> bool:
    """Whether an event fits, said once more and in another way."""
    return (
        (meant.outcome is None or TYPES[meant.outcome] == event["type"])
        and (meant.cause is None or meant.cause.value == event.get("cause"))
        and (meant.since is None or event["at"] >= meant.since)
        and (meant.until is None or event["at"] < meant.until)
        and all(_speaks_of(event, target) for target in meant.targets)
    )


def _speaks_of(event: dict[str, Any], target: Target) -> bool:
    kind, names = target.kind, list(target.names)
    ordered = event.get("target", {"kind": "", "names": []})
    if ordered == {"kind": kind.value, "names": names}:
        return True
    by_pair = ordered["names"] if ordered["kind"] == "pair" else []
    if kind is Kind.SUBJECT:
        return _names(event.get("subject")) == names or by_pair[:2] == names
    if kind is Kind.ACTOR:
        return names in map(_names, event.get("actors", [])) or by_pair[2:] == names
    if kind is Kind.AGENT:
        return "parent" in event and [event["parent"]["iss"], event.get("agent")] == names
    [name] = names
    if kind is Kind.CLIENT:
        signer = event.get("actor_token", {}).get("iss")
        return name in {event.get("client"), event.get("about"), signer}
    asked = event.get("asked", {}).get("targets", []) if kind is Kind.RESOURCE else []
    return name in [*asked, event.get(kind.value), event.get("detail", {}).get(kind.value)]


def _names(identity: dict[str, str] | None) -> list[str]:
    return [] if identity is None else [identity["iss"], identity["sub"]]


@given(history=histories, meant=filters)
def test_a_filter_is_what_it_says(history: Any, meant: EventFilter) -> None:
    """What is found is what fits of all there is, wherever it is by now, in order and once."""
    made = split(history)

    assert read(made, meant) == ids(event for event in made.all if naively(meant, event))


@pytest.mark.parametrize("is_sealed", [False, True])
def test_from_then_on_and_before_then(*, is_sealed: bool) -> None:
    """To the millisecond: the one is of it, the other is not."""
    made = split([({"type": "x"}, STREAMS[0], 1, is_sealed)] * 4)
    times = [None, *(event["at"] for event in made.all)]

    for since, until in product(times, times):
        meant = EventFilter(since=since, until=until)
        assert read(made, meant) == ids(event for event in made.all if naively(meant, event))


@given(history=histories, meant=filters, size=st.integers(1, 3))
def test_page_by_page_is_the_same(history: Any, meant: EventFilter, size: int) -> None:
    """From any cursor on comes what came after it, sealed meanwhile or not."""
    made = split(history)
    found, after = [], None
    sealer = a_sealer(made.source, made.segments)
    while True:
        reader = Reader(made.source, made.segments)
        entries = [one for one in reader.events(meant, after=after) if one.event is not None]
        if not entries:
            break
        found += ids(one.event for one in entries[:size] if one.event is not None)
        after = read_cursor(cursor_of(entries[:size][-1].key))
        list(sealer())

    assert found == read(made, meant)


@given(history=histories, most=st.integers(1, 4), since=st.integers(0, 9))
def test_the_last_of_them(history: Any, most: int, since: int) -> None:
    """The last that are sealed are those that come last where all are read."""
    made = split(history)
    reader = Reader(None, made.segments)
    meant = EventFilter(since=f"2026-11-20T12:00:00.{since:03}Z")

    last = reader.last(meant, most, reader.spans())

    assert last == [one for one in reader.events(meant) if one.event is not None][-most:]


@given(history=histories, turn=st.integers(0, 6))
def test_sealing_meanwhile(history: Any, turn: int) -> None:
    """What is sealed and dropped while somebody reads is read where it is by then."""
    made = split(history)
    sealer, reads = a_sealer(made.source, made.segments), []

    def seal(verb: str) -> None:
        reads.append(verb)
        if verb == "read" and reads.count("read") == turn:
            made.source.before = lambda _: None
            list(sealer())

    made.source.before = seal

    assert read(made) == ids(made.all)


def test_what_is_sealed_and_not_dropped_yet() -> None:
    """It stands in both, and comes once."""
    source, segments = a_source(1, 2), InMemory()

    def stays(verb: str) -> None:
        if verb == "trim":
            raise Unavailable("ledger_unreachable")

    source.before = stays
    with pytest.raises(Unavailable):
        list(a_sealer(source, segments)())
    source.stood[0, "events"].append(an_event(3))

    assert read(Split(source, segments, [])) == [f"0f:0:events:{one}" for one in (1, 2, 3)]


def test_pages_of_a_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many events stand in a stream, and though they are sealed between two pages."""
    monkeypatch.setattr("delegation.audit.reading._PAGE", 2)
    source, segments = a_source(*range(1, 8)), InMemory()
    sealer, reads = a_sealer(source, segments), []

    def seal(verb: str) -> None:
        reads.append(verb)
        if reads.count("read") == 3:
            source.before = lambda _: None
            list(sealer())

    source.before = seal

    found = read(Split(source, segments, []))

    assert found == [f"0f:0:events:{number}" for number in range(1, 8)]
    assert not source.left


def test_segments_that_overlap(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that was not sealed for long: each segment is of one stream, and all are of a day."""
    monkeypatch.setattr("delegation.audit.draft._MOST", 3)
    streams = {(number, "events"): [an_event(one) for one in range(1, 4)] for number in range(3)}
    made = Split(Source(streams), InMemory(), [])
    assert len(list(a_sealer(made.source, made.segments)())) == 3

    assert read(made) == [f"0f:{stream}:events:{one}" for one in range(1, 4) for stream in range(3)]


def test_no_more_files_are_open_than_overlap(tmp_path: Path) -> None:
    """Of a long trail one segment is read after the other."""
    segments = a_trail(tmp_path, *([{}] for _ in range(9)))
    opened: list[int] = []
    most = 0

    class Watched(Directory):
        def lines(self, number: int) -> Iterator[bytes]:
            nonlocal most
            opened.append(number)
            most = max(most, len(opened))
            try:
                yield from super().lines(number)
            finally:
                opened.remove(number)

    found = read(Split(a_source(), Watched(segments.path), []))

    assert (len(found), most) == (9, 1)


def test_what_somebody_wrote_with_another_time() -> None:
    """An event that claims to be older than those before it comes where it stands."""
    events = [an_event(1), an_event(2, at=0), an_event(3)]
    made = Split(Source({(0, "events"): events}), InMemory(), [])

    before = read(made)
    list(a_sealer(made.source, made.segments)())

    assert before == read(made) == [f"0f:0:events:{number}" for number in (1, 2, 3)]
    places = [entry.key for entry in Reader(None, made.segments).events(ALL)]
    assert [read(made, after=place) for place in places] == [before[1:], before[2:], []]


def test_what_is_no_event() -> None:
    """It is counted, sealed or not; what the trail says is missing, too."""
    forged = [replace(an_event(2), event=b"no event"), replace(an_event(3), event=b"[]")]
    source = Source({(0, "events"): [*forged, an_event(4)]})
    segments, notes = InMemory(), Notes()

    found = read(Split(source, segments, []), notes=notes)
    assert (found, notes.unreadable, notes.is_torn) == (["0f:0:events:4"], 2, True)
    list(a_sealer(source, segments)())
    notes = Notes()
    found = read(Split(source, segments, []), notes=notes)

    assert found == ["0f:0:events:4"]
    assert (notes.unreadable, notes.missing, notes.is_torn) == (2, 1, False)
    notes = Notes()
    meant = EventFilter(since="2027-01-01T00:00:00.000Z")
    assert [*Reader(source, segments).events(meant, notes=notes)] == []
    assert notes == Notes()
    meant = EventFilter(since="2026-11-20T12:00:02.000Z")
    assert len([*Reader(source, segments).events(meant, notes=notes)]) == 1
    assert (notes.unreadable, notes.missing) == (2, 1)


def test_a_trail_that_the_store_does_not_go_on_from() -> None:
    """Somebody else's directory, or an old copy: it is said that something is left out."""
    source, segments, notes = a_source(1, 2, 3), InMemory(), Notes()
    list(a_sealer(source, InMemory())())
    source.stood[0, "events"] = [an_event(4)]

    assert read(Split(source, segments, []), notes=notes) == ["0f:0:events:4"]
    assert notes.is_torn


def test_a_store_out_of_reach() -> None:
    """What is sealed comes all the same, and the reader knows."""
    made = split([({"type": "x"}, STREAMS[0], 1, True), ({"type": "x"}, STREAMS[0], 1, False)])
    notes = Notes()

    def away(_: str) -> None:
        raise Unavailable("ledger_unreachable")

    made.source.before = away

    assert read(made, notes=notes) == ["0f:0:events:1"]
    assert notes.problem == "ledger_unreachable"


def test_the_store_alone(tmp_path: Path) -> None:
    """Without segments, what stands in the store; without a store, what is sealed."""
    source = a_source(1, 2)
    a_sealer(source, tmp_path)

    assert len([*Reader(source, None).events(ALL)]) == 2
    assert [*Reader(None, None).events(ALL)] == []
    assert [*Reader(source, None).events(EventFilter(outcome=Outcome.ALARM))] == []


def test_a_segment_that_was_cut_off(tmp_path: Path) -> None:
    """It does not pass for one that was read to its end."""
    segments = a_trail(tmp_path, [{}, {}])
    reader = Reader(None, segments)
    reader.spans()
    file = segments.file(1)
    file.write_bytes(file.read_bytes().splitlines(keepends=True)[0])

    with pytest.raises(Damaged, match="cut off"):
        list(reader.events(ALL))


def test_it_says_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Though nothing is found: whoever pages need not wait for the end."""
    monkeypatch.setattr("delegation.audit.reading._PACE", 2)
    source, segments = a_source(*range(1, 8)), InMemory()
    list(a_sealer(source, segments)())
    meant = EventFilter(outcome=Outcome.ALARM)

    marks = [*Reader(None, segments).events(meant)]

    assert [(mark.event, mark.passed) for mark in marks] == [(None, 2)] * 3
    again = [*Reader(None, segments).events(meant, after=marks[1].key)]
    assert again[0].key > marks[1].key
    assert all(mark.event is None for mark in again)


@given(event=exchanges)
def test_what_is_remembered_of_segments(event: Any) -> None:
    """A reader that is used again sees what was sealed since."""
    made = split([(event, STREAMS[0], 1, True)])
    reader = Reader(made.source, made.segments)

    first = [*reader.events(ALL)]
    made.source.stood[STREAMS[0]].append(an_event(2))
    list(a_sealer(made.source, made.segments)())

    assert [*reader.events(ALL)][:1] == first
    assert len([*reader.events(ALL)]) == 2


@given(
    epoch=st.sampled_from(["0f", "0f.1", "a" * 32]),
    partition=st.integers(0, 1023),
    number=st.integers(1, 10**9),
    millisecond=st.integers(0, 999),
)
def test_cursors(epoch: str, partition: int, number: int, millisecond: int) -> None:
    """A cursor is the place that it was made of, and fits into a query."""
    at = f"2026-11-20T12:00:00.{millisecond:03}Z"
    for place in ((at, order(EventId(epoch, partition, "events", number))), (at, ())):
        assert read_cursor(cursor_of(place)) == place
        assert cursor_of(place).replace("_", "").replace(".", "").isalnum()


@pytest.mark.parametrize("text", ["", "x", "1.2", "2026", "20261120120000000_0f_1", "²" * 17])
def test_cursors_of_nobody(text: str) -> None:
    """Anything else is none."""
    with pytest.raises(ValueError, match="cursor"):
        read_cursor(text)


def test_progress_is_kept() -> None:
    """What was met is met, when it is read again."""
    progress = Progress()
    at = "2026-11-20T12:00:00.000Z"
    assert progress.take(EventId("0f.1", 3, "events", 7), at)

    again = Progress.read(json.loads(json.dumps(progress.written())))

    assert again.written() == progress.written()
    assert not again.take(EventId("0f.1", 3, "events", 7), at)
    assert again.take(EventId("0f.1", 3, "events", 8), at)


@pytest.mark.parametrize(
    "written",
    [
        [],
        {"0f": []},
        {"0f": {"events": {"0": 1}}},
        {"0f": {"events": {"0": [1, "now"]}}},
        {"0f": {"events": {"0": [1, 2]}}},
        {"0f": {"events": {"x": [1, "2026-11-20T12:00:00.000Z"]}}},
    ],
    ids=str,
)
def test_progress_of_nobody(written: Any) -> None:
    """Anything else is none."""
    with pytest.raises(ValueError, match="form"):
        Progress.read(written)


def test_an_entry_is_told_by_its_place() -> None:
    """Two events never have the same."""
    assert Entry(("a", ()), None) == Entry(("a", ()), None, 1)
