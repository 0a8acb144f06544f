"""Questions about the trail: why a decision was taken, and what belongs to an exchange."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delegation.audit.inquiry import Inquiry
from delegation.audit.reading import Notes, Reader
from delegation.domain.errors import TrailUnreadable, Unavailable
from delegation.domain.evidence import EventFilter, about
from delegation.domain.locks import EVERYTHING, Kind, Target
from tests.audit.events import histories, ids, split
from tests.audit.trails import BEGAN, InMemory, Source, a_sealer, a_trail, an_event

ALL = EventFilter()
US, LOGIN = "https://sts.example.com", "https://login.example.com"
ALICE = {"iss": LOGIN, "sub": "alice"}


def decision(name: str, partition: int = 0) -> str:
    """An id of ours."""
    return f"{partition}-{name.ljust(22, '0')}"


FIRST, SECOND, THIRD, OTHER = map(decision, ("first", "second", "third", "other"))


def exchange(own: str, *before: str, **changes: Any) -> dict[str, Any]:
    """An exchange of Alice's, with those before it, nearest first."""
    foreign = {"iss": LOGIN, "id": "login-1"}
    return {
        "type": "exchange",
        "decision": own,
        "client": "calendar-mcp",
        "subject": ALICE,
        "actors": [{"iss": US, "sub": "calendar-mcp"}],
        "parent": {"iss": US, "id": before[0]} if before else foreign,
        "lineage": {"exchanges": list(before), "foreign_parent": foreign},
        "resource": "https://calendar.example.com/api",
        "grant": "calendar-for-staff",
        "expires_at": BEGAN // 1000 + 600,
        "txn": before[-1] if before else own,
        **changes,
    }


def refusal(own: str, parent: str, **changes: Any) -> dict[str, Any]:
    """A refusal of a token that came from an exchange."""
    return {
        "type": "refusal",
        "decision": own,
        "client": "rooms-mcp",
        "parent": {"iss": US, "id": parent},
        "cause": "locked",
        **changes,
    }


def lock(target: Target, **changes: Any) -> dict[str, Any]:
    """A stop on it."""
    return {
        "type": "lock",
        "lock": "0-lock",
        "target": {"kind": target.kind.value, "names": list(target.names)},
        **changes,
    }


def lift(**changes: Any) -> dict[str, Any]:
    """The end of it."""
    return {"type": "lift", "lock": "0-lock", **changes}


def asked(*made: dict[str, Any], sealed: int = 0, at: Any = None) -> Inquiry:
    """Who answers about these events, a second after each other, of which some are sealed."""
    source, segments = Source({(0, "events"): (), (0, "refusals"): ()}), InMemory()
    for number, event in enumerate(made, 1):
        moment = None if at is None else BEGAN + 1000 * at(number)
        source.stood[0, "events"].append(an_event(number, at=moment, **event))
        if number == sealed:
            list(a_sealer(source, segments)())
    return Inquiry(Reader(source, segments))


def traced(inquiry: Inquiry, name: str) -> list[int]:
    """Which events belong to it, counted from one."""
    return [int(one.rpartition(":")[2]) for one in ids(inquiry.trace(name).items)]


FAMILY = (
    exchange(FIRST),
    exchange(OTHER),
    exchange(SECOND, FIRST),
    refusal(decision("r1"), SECOND),
    exchange(THIRD, SECOND, FIRST),
    refusal(decision("r2"), OTHER),
    exchange(THIRD, SECOND, FIRST, type="not_issued"),
)


@pytest.mark.parametrize("sealed", [0, 3, 7])
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (FIRST, [1, 3, 4, 5, 7]),
        (SECOND, [1, 3, 4, 5, 7]),
        (THIRD, [1, 3, 4, 5, 7]),
        (OTHER, [2, 6]),
        (decision("r1"), [1, 3, 4, 5, 7]),
        (decision("r2"), [2, 6]),
        (decision("none"), []),
        ("nothing", []),
    ],
)
def test_the_family_of_an_exchange(name: str, expected: list[int], sealed: int) -> None:
    """What it came from, what came from it, and the refusals on the way; and no other's."""
    assert traced(asked(*FAMILY, sealed=sealed), name) == expected


def test_a_branch() -> None:
    """Whoever asks of one branch is not told of another, but of what both came from."""
    fourth = decision("fourth")
    inquiry = asked(*FAMILY, exchange(fourth, FIRST))

    assert traced(inquiry, fourth) == [1, 8]
    assert traced(inquiry, SECOND) == [1, 3, 4, 5, 7]


@pytest.mark.parametrize("sealed", [0, 4])
def test_a_transaction(monkeypatch: pytest.MonkeyPatch, sealed: int) -> None:
    """All exchanges that share it, whatever they came from."""
    monkeypatch.setattr("delegation.audit.reading._PACE", 1)
    inquiry = asked(
        exchange(FIRST, txn="t"),
        exchange(OTHER, txn="t"),
        exchange(SECOND),
        refusal("r", OTHER),
        sealed=sealed,
    )

    assert traced(inquiry, "t") == [1, 2, 4]


def test_a_long_trail(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what was long before it nothing is looked at."""
    monkeypatch.setattr("delegation.audit.reading._PACE", 1)
    others = ({"type": "x"} for _ in range(5))
    late = exchange(FIRST, expires_at=BEGAN // 1000 + 6600)
    inquiry = asked(*others, late, sealed=6, at=lambda number: 1000 * number)

    assert traced(inquiry, FIRST) == [6]


@pytest.mark.parametrize(
    ("kind", "names", "hits"),
    [
        ("everything", (), True),
        ("subject", (LOGIN, "alice"), True),
        ("subject", (LOGIN, "bob"), False),
        ("issuer", (LOGIN,), True),
        ("client", ("calendar-mcp",), True),
        ("agent", (LOGIN, "desk-agent"), True),
        ("actor", (US, "calendar-mcp"), True),
        ("pair", (LOGIN, "alice", US, "calendar-mcp"), True),
        ("resource", ("https://calendar.example.com/api",), True),
        ("grant", ("calendar-for-staff",), True),
        ("grant", ("another",), False),
        ("exchange", (FIRST,), True),
        ("exchange", (OTHER,), False),
        ("token", (LOGIN, "login-1"), True),
        ("token", (US, "actor-1"), True),
    ],
)
def test_locks_that_hit_it(kind: str, names: tuple[str, ...], hits: Any) -> None:
    """Whatever of it they name, and their end; a lock on something else is not of it."""
    one = exchange(FIRST, agent="desk-agent", actor_token={"iss": US, "id": "actor-1"})
    stop = lock(Target(Kind(kind), names))

    assert traced(asked(one, stop, lift()), FIRST) == ([1, 2, 3] if hits else [1])


@pytest.mark.parametrize(
    ("change", "hits"),
    [
        ({"ends_at": BEGAN + 999}, False),
        ({"ends_at": BEGAN + 1000}, True),
        ({"ends_at": BEGAN + 60_000}, True),
    ],
)
def test_cut_offs(change: Any, hits: Any) -> None:
    """What stops what was issued up to before it was recorded does not stop it."""
    stop = lock(EVERYTHING, **change)

    assert traced(asked(exchange(FIRST), stop), FIRST) == ([1, 2] if hits else [1])


def test_what_comes_too_late_or_too_early() -> None:
    """A lock before it, or after it has expired, hits nothing; it is not even looked at."""
    stop = lock(EVERYTHING)
    late = asked(stop, exchange(FIRST), stop, stop, at=lambda number: (0, 1, 2, 603, 700)[number])

    assert traced(asked(stop, exchange(FIRST)), FIRST) == [2]
    assert traced(late, FIRST) == [2]


def test_who_comes_with_what_has_expired() -> None:
    """The refusal that was asked for is shown, with what the token came from."""
    inquiry = asked(exchange(FIRST), refusal(SECOND, FIRST), at=lambda number: (0, 1, 5000)[number])

    assert traced(inquiry, SECOND) == [1, 2]
    assert traced(inquiry, FIRST) == [1]
    assert traced(asked(refusal(SECOND, "login-1")), SECOND) == [1]


def test_what_cannot_be_understood() -> None:
    """Events of another form are of nothing."""
    strange = [{"type": "exchange"}, {"type": "refusal"}, {"type": "lock"}, lock(EVERYTHING)]
    strange[-1]["target"] = {"kind": "x", "names": []}

    assert traced(asked(exchange(FIRST), *strange), FIRST) == [1]
    assert about({"type": "lock", "target": {"kind": "client", "names": [1]}}) == frozenset()


@pytest.mark.parametrize("sealed", [0, 1, 2])
def test_the_last_event_of_a_decision(sealed: int) -> None:
    """What could not be signed was not issued, wherever its two events are."""
    last = exchange(FIRST, type="not_issued", **explicable())
    inquiry = asked(exchange(FIRST, **explicable()), last, sealed=sealed)

    found = inquiry.explain(FIRST)

    assert found.event is not None
    assert found.event["type"] == "not_issued"
    assert found.outcome.startswith("Granted, but not issued")
    assert ("when", "2026-11-20T12:00:02.000Z") in found.facts
    assert found.needed


def test_the_last_event_of_two_segments(tmp_path: Path) -> None:
    """The newest are looked through first."""
    first = exchange(FIRST, **explicable())
    segments = a_trail(tmp_path, [first], [first | {"type": "not_issued"}], [{}])

    found = Inquiry(Reader(None, segments)).explain(FIRST)

    assert found.outcome.startswith("Granted, but not issued")


def explicable() -> dict[str, Any]:
    """What else an explanation takes."""
    return {
        "authenticated_by": "client_secret_basic",
        "mcp_server": "https://calendar.example.com/mcp",
        "revision": "r1",
        "source": "192.0.2.7",
        "scope": {"granted": ["events.read"]},
        "limits": {"expiry": "grant"},
    }


@pytest.mark.parametrize("is_sealed", [False, True])
def test_a_decision_without_event(is_sealed: Any) -> None:
    """Then it may be one of those that were only counted in its partition."""
    count = {"type": "refusals_suppressed", "client": "c", "count": 3, "since": BEGAN}
    source, segments = Source({(0, "refusals"): (), (1, "refusals"): ()}), InMemory()
    source.stood[0, "refusals"] = [an_event(number, **count) for number in range(1, 9)]
    if is_sealed:
        list(a_sealer(source, segments)())
    inquiry = Inquiry(Reader(source, segments))

    found = inquiry.explain(decision("none"))
    nothing = inquiry.explain(decision("none", 1))

    assert found.event is None
    assert [label for label, _ in found.facts] == ["perhaps"] * 5
    assert nothing.facts == ()


def test_a_long_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is looked through to its end."""
    monkeypatch.setattr("delegation.audit.inquiry._READ", 2)
    others = [exchange(decision(str(number))) for number in range(3)]
    inquiry = asked(*others, exchange(FIRST, **explicable()), {"type": "x"})

    assert inquiry.explain(FIRST).event is not None


def test_bytes_that_are_no_event() -> None:
    """They hide nothing."""
    source, segments = Source({(0, "events"): (), (0, "refusals"): ()}), InMemory()
    forged = replace(an_event(1), event=f'"decision":"{FIRST}"'.encode())
    source.stood[0, "events"] = [forged, an_event(2, **exchange(FIRST, **explicable()))]
    inquiry = Inquiry(Reader(source, segments))
    assert inquiry.explain(FIRST).event is not None
    list(a_sealer(source, segments)())

    assert inquiry.explain(FIRST).event is not None


def test_a_store_out_of_reach() -> None:
    """What is sealed is told all the same; whether there is anything else is not known."""
    inquiry = asked(exchange(FIRST, **explicable()), exchange(OTHER), sealed=1)

    def away(_: str) -> None:
        raise Unavailable("ledger_unreachable")

    inquiry.reader.source.before = away  # type: ignore[union-attr]
    notes = Notes()

    assert inquiry.explain(FIRST).event is not None
    assert len(inquiry.trace(FIRST, notes).items) == 1
    assert notes.problem == "ledger_unreachable"
    with pytest.raises(Unavailable, match="ledger_unreachable"):
        inquiry.explain(OTHER)
    page = inquiry.page(ALL, None, count=9, budget=9)
    assert (len(page.items), page.is_store_read, page.is_sealed_read) == (1, False, True)


def test_the_segments_alone() -> None:
    """Without a store, of what is sealed."""
    inquiry = asked(exchange(FIRST, **explicable()), sealed=1)
    alone = Inquiry(Reader(None, inquiry.reader.segments))

    assert alone.explain(FIRST).event is not None
    assert alone.page(ALL, None, count=9, budget=9).is_store_read is False
    assert Inquiry(Reader(inquiry.reader.source, None)).explain(FIRST).event is None


def test_segments_that_cannot_be_read() -> None:
    """No answer is made from the rest."""
    inquiry = asked(exchange(FIRST), sealed=1)
    segments = inquiry.reader.segments
    assert isinstance(segments, InMemory)
    segments.held[1] = b"damaged\n"

    with pytest.raises(TrailUnreadable):
        inquiry.page(ALL, None, count=9, budget=9)
    with pytest.raises(TrailUnreadable):
        inquiry.trace(FIRST)
    with pytest.raises(TrailUnreadable):
        inquiry.explain(FIRST)


@given(history=histories, count=st.integers(1, 4))
def test_page_by_page(history: Any, count: int) -> None:
    """All pages together are all there is."""
    made = split(history)
    inquiry = Inquiry(Reader(made.source, made.segments))
    found, cursor = [], None
    while True:
        page = inquiry.page(ALL, cursor, count=count, budget=10_000)
        found += ids(page.items)
        cursor = page.cursor
        if cursor is None:
            break

    assert found == ids(made.all)


def test_a_page_of_which_nothing_is_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends all the same, and the next goes on behind it."""
    monkeypatch.setattr("delegation.audit.reading._PACE", 2)
    inquiry = asked(*({"type": "x", "client": "c"} for _ in range(9)), exchange(FIRST), sealed=10)
    meant = EventFilter(targets=frozenset({Target.exchange(FIRST)}))
    pages, cursor, found = 0, None, []
    while True:
        page = inquiry.page(meant, cursor, count=9, budget=2)
        pages, cursor, found = pages + 1, page.cursor, [*found, *page.items]
        if cursor is None:
            break

    assert pages > 2
    assert [event["decision"] for event in found] == [FIRST]
    with pytest.raises(ValueError, match="cursor"):
        inquiry.page(meant, "none", count=1, budget=1)
