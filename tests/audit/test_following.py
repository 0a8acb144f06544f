"""Following a trail: nothing is lost, whatever happens to store and sealer, and little is twice."""

import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delegation.audit.following import CannotGoOn, Follower, Position, meant_of, tail
from delegation.audit.reading import Entry, Notes, Reader
from delegation.audit.segments import Damaged
from delegation.domain.errors import Unavailable
from delegation.domain.evidence import EventFilter
from tests.audit.events import STREAMS, ids
from tests.audit.trails import BEGAN, EPOCH, InMemory, Source, a_sealer, a_source, an_event

ALL = EventFilter()


def shown(entries: Iterable[Entry]) -> list[str]:
    """The ids of what came."""
    return ids(entry.event for entry in entries if entry.event is not None)


steps = st.lists(
    st.one_of(
        st.tuples(st.just("record"), st.sampled_from(STREAMS)),
        st.just(("seal", None)),
        st.just(("seal meanwhile", None)),
        st.just(("follow", None)),
        st.just(("restart", None)),
        st.just(("crash", None)),
    ),
    max_size=25,
)


@given(steps=steps, is_page_small=st.booleans())
def test_each_event_comes(steps: Any, *, is_page_small: bool) -> None:
    """Recorded, sealed, dropped, followed, stopped and begun again in any order: once each.

    Where it crashed before its position was kept, what came since comes again.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("delegation.audit.following._PAGE", 1 if is_page_small else 1000)
        source, segments = Source(dict.fromkeys(STREAMS, ())), InMemory()
        sealer = a_sealer(source, segments)
        numbers, now = dict.fromkeys(STREAMS, 0), BEGAN
        recorded: list[str] = []
        came: list[str] = []
        is_crashed = False
        kept = Position().written()
        follower = Follower(source, segments, Position.read(kept))
        for verb, stream in [*steps, ("follow", None)]:
            if verb == "record":
                numbers[stream] += 1
                now += 1
                stored = an_event(numbers[stream], at=now)
                source.stood[stream].append(stored)
                recorded.append(f"{EPOCH}:{stream[0]}:{stream[1]}:{stored.number}")
            elif verb == "seal":
                list(sealer())
            elif verb == "seal meanwhile":
                source.before = _once(source, lambda: list(sealer()))
            elif verb == "follow":
                came += shown(follower())
                kept = follower.position.written()
            elif verb == "restart":
                follower = Follower(source, segments, Position.read(kept))
            else:
                is_crashed = True
                came += shown(follower())
                follower = Follower(source, segments, Position.read(kept))

        assert set(came) == set(recorded)
        assert is_crashed or len(came) == len(recorded)
        assert not follower.notes.is_torn


def _once(source: Source, act: Any) -> Any:
    """Do something the next time the store is read, but not while that is done."""

    def before(verb: str) -> None:
        if verb == "read":
            source.before = lambda _: None
            act()

    return before


@pytest.mark.parametrize("recorded", [[], [2], [2, 3]])
def test_what_is_sealed_in_the_middle_of_a_round(recorded: list[int]) -> None:
    """It comes in that very round, and before what was recorded after it."""
    source, segments = a_source(1), InMemory()
    sealer = a_sealer(source, segments)

    def seal() -> None:
        list(sealer())
        source.stood[0, "events"] += map(an_event, recorded)

    source.before = _once(source, seal)

    found = shown(Follower(source, segments, Position())())

    assert found == [f"0f:0:events:{number}" for number in [1, *recorded]]


@given(history=st.lists(st.tuples(st.sampled_from(STREAMS), st.booleans()), max_size=10))
def test_the_tail_and_what_follows(history: Any) -> None:
    """The last events, then each that comes, none of them before or twice."""
    source, segments = Source(dict.fromkeys(STREAMS, ())), InMemory()
    sealer = a_sealer(source, segments)
    numbers, all_of_them = dict.fromkeys(STREAMS, 0), []

    def record(stream: tuple[int, str], at: int) -> None:
        numbers[stream] += 1
        source.stood[stream].append(an_event(numbers[stream], at=at))
        all_of_them.append(f"{EPOCH}:{stream[0]}:{stream[1]}:{numbers[stream]}")

    for at, (stream, is_sealed) in enumerate(history, BEGAN):
        record(stream, at)
        if is_sealed:
            list(sealer())

    last, follower = tail(Reader(source, segments), ALL, 3, Notes())
    before = all_of_them[-3:]
    list(sealer())
    record(STREAMS[1], BEGAN + 100)
    first = shown(meant_of(follower, ALL))
    list(sealer())
    record(STREAMS[0], BEGAN + 101)

    assert shown(last) == before
    assert first + shown(meant_of(follower, ALL)) == all_of_them[-2:]


def test_a_store_that_went_back() -> None:
    """It gives numbers away again: what has them now comes, before it is sealed and after."""
    source, segments = a_source(1, 2, 3), InMemory()
    sealer = a_sealer(source, segments)
    follower = Follower(source, segments, Position())
    assert len(shown(follower())) == 3
    source.stood[0, "events"] = [an_event(number, at=BEGAN + 60_000) for number in (2, 3)]

    again = shown(follower())
    list(sealer())

    assert again == ["0f:0:events:2", "0f:0:events:3"]
    assert shown(follower()) == []


def test_a_store_that_was_laid_out_anew() -> None:
    """Its numbers begin anew, in an epoch of their own."""
    source, segments = a_source(1, 2, 3), InMemory()
    follower = Follower(source, segments, Position())
    shown(follower())
    list(a_sealer(source, segments)())
    source.stood[0, "events"] = [an_event(1, epoch="1a", at=BEGAN + 60_000)]

    assert shown(follower()) == ["1a:0:events:1"]
    assert shown(follower()) == []
    list(a_sealer(source, segments)())
    assert shown(follower()) == []


def test_an_outage() -> None:
    """What is sealed comes, the outage is noted, and afterwards nothing is missing."""
    source, segments = a_source(1), InMemory()
    list(a_sealer(source, segments)())
    source.stood[0, "events"] = [an_event(2)]
    notes = Notes()
    follower = Follower(source, segments, Position(), notes=notes)

    def away(_: str) -> None:
        raise Unavailable("ledger_unreachable")

    source.before = away
    assert shown(meant_of(follower, ALL)) == ["0f:0:events:1"]
    assert notes.problem == "ledger_unreachable"
    source.before = lambda _: None
    assert shown(meant_of(follower, ALL)) == ["0f:0:events:2"]
    assert notes.problem == ""


def test_what_is_not_to_be_had() -> None:
    """Gaps, what is no event, and a directory that is not the one: counted and said."""
    source, segments = a_source(1, 3), InMemory()
    source.stood[0, "events"].append(replace(an_event(4), event=b"no event"))
    list(a_sealer(source, segments)())
    notes = Notes()
    follower = Follower(source, segments, Position(), notes=notes)

    assert shown(follower()) == ["0f:0:events:1", "0f:0:events:3"]
    assert (notes.missing, notes.unreadable, notes.is_torn) == (1, 1, False)
    source.stood[0, "events"] = [an_event(9)]
    assert shown(follower()) == ["0f:0:events:9"]
    assert notes.is_torn


def test_a_segment_that_was_cut_off() -> None:
    """It does not pass for one that was read to its end."""
    source, segments = a_source(1, 2), InMemory()
    list(a_sealer(source, segments)())
    segments.held[1] = segments.held[1].splitlines(keepends=True)[0]

    with pytest.raises(Damaged, match="cut off"):
        shown(Follower(None, segments, Position())())
    assert shown(Follower(None, None, Position())()) == []


def test_where_it_begins() -> None:
    """At a time: no event of then or later is left out."""
    source, segments = a_source(), InMemory()
    for number in (1, 2, 3):
        source.stood[0, "events"].append(an_event(number))
        list(a_sealer(source, segments)())
    source.stood[0, "events"].append(an_event(4))
    reader = Reader(source, segments)

    def begun(since: str | None) -> list[str]:
        position = Position.at(reader, since)
        return shown(meant_of(Follower(source, segments, position), EventFilter(since=since)))

    assert len(begun(None)) == 4
    assert begun("2026-11-20T12:00:02.000Z") == [f"0f:0:events:{number}" for number in (2, 3, 4)]
    assert begun("2026-11-20T12:00:03.500Z") == ["0f:0:events:4"]
    assert begun("2027-01-01T00:00:00.000Z") == []


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"version":2,"segment":1,"met":{}}', '{"version":1,"segment":"1","met":{}}'],
)
def test_positions_of_nobody(text: str) -> None:
    """Anything else is none, and is not begun anew with."""
    with pytest.raises(CannotGoOn):
        Position.read(text)


def test_a_position_of_another_trail() -> None:
    """It says so, rather than to leave out what it cannot know."""
    source, segments = a_source(1), InMemory()
    list(a_sealer(source, segments)())
    text = json.dumps({"version": 1, "segment": 7, "met": {}})

    with pytest.raises(CannotGoOn, match="segment 7"):
        Follower(source, segments, Position.read(text))
    with pytest.raises(CannotGoOn, match="another trail"):
        Follower(source, InMemory(), Position.read(text))
    assert shown(Follower(source, None, Position.read(text))()) == []
