"""What was exchanged: listed by all that it can be known by, and each in its tree."""

from typing import Any

import pytest

from delegation.domain.parties import Identity
from tests.parties import (
    ALICE,
    CALENDAR_API,
    CALENDAR_MCP,
    DESK_AGENT,
    LOGIN,
    OUR_ISSUER,
    ROOMS_API,
    a_verified_token,
)
from tests.web.admin.desk import Desk, iss_sub, problem

BOB = Identity(LOGIN, "bob")


def ids(page: dict[str, Any]) -> set[str]:
    """Which exchanges are listed."""
    return {one["id"] for one in page["items"]}


def test_what_an_exchange_looks_like(desk: Desk) -> None:
    """Who acts for whom, through what, where, with which scope, under which grant, since when."""
    first = desk.exchanged()
    second = desk.exchanged_next(first)

    found = {one["id"]: one for one in desk.get("/exchanges")["items"]}

    assert found.keys() == {first.id, second.id}
    shown = found[second.id]
    assert shown["recorded_at"] < shown["expires_at"]
    assert {name: shown[name] for name in shown.keys() - {"recorded_at", "expires_at"}} == {
        "id": second.id,
        "state": "alive",
        "subject": iss_sub(LOGIN, "alice"),
        "actors": [
            iss_sub(OUR_ISSUER, "calendar-api"),
            iss_sub(OUR_ISSUER, CALENDAR_MCP),
            iss_sub(LOGIN, DESK_AGENT),
        ],
        "client": "calendar-api",
        "agent": CALENDAR_MCP,
        "resource": ROOMS_API,
        "grant": "rooms",
        "scope": ["rooms.read"],
        "parent": first.id,
    }


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, "12b"),
        ({"subject_issuer": LOGIN, "subject": "alice"}, "12"),
        ({"subject_issuer": LOGIN, "subject": "bob"}, "b"),
        ({"subject_issuer": OUR_ISSUER, "subject": "bob"}, ""),
        ({"actor_issuer": OUR_ISSUER, "actor": CALENDAR_MCP}, "12b"),
        ({"actor_issuer": OUR_ISSUER, "actor": "calendar-api"}, "2"),
        ({"agent_issuer": LOGIN, "agent": DESK_AGENT}, "1b"),
        ({"agent_issuer": OUR_ISSUER, "agent": CALENDAR_MCP}, "2"),
        ({"client": CALENDAR_MCP}, "1b"),
        ({"resource": CALENDAR_API}, "1b"),
        ({"grant": "rooms"}, "2"),
        ({"client": CALENDAR_MCP, "subject_issuer": LOGIN, "subject": "bob"}, "b"),
        ({"client": "calendar-api", "subject_issuer": LOGIN, "subject": "bob"}, ""),
        ({"state": "alive"}, "12b"),
        ({"state": "dead"}, ""),
    ],
)
def test_by_what_it_is_found(desk: Desk, query: dict[str, str], expected: str) -> None:
    """All that is named must fit."""
    first = desk.exchanged()
    made = {
        "1": first,
        "2": desk.exchanged_next(first),
        "b": desk.exchanged(subject=a_verified_token(now=first.issued_at, subject=BOB)),
    }

    page = desk.get("/exchanges", **query)

    assert ids(page) == {made[name].id for name in expected}
    assert page["cursor"] is None


def test_dead_ones(desk: Desk) -> None:
    """What was stopped is listed as dead until it expires."""
    first, bobs = (
        desk.exchanged(),
        desk.exchanged(subject=a_verified_token(now=desk.exchanged().issued_at, subject=BOB)),
    )
    desk.lock({"kind": "subject", "subject": iss_sub(LOGIN, "alice")})

    dead, alive = (ids(desk.get("/exchanges", state=state)) for state in ("dead", "alive"))

    assert first.id in dead
    assert alive == {bobs.id}


@pytest.mark.parametrize("half", ["subject", "subject_issuer", "actor", "agent_issuer"])
@pytest.mark.standard("REV-2")
def test_half_an_identity(desk: Desk, half: str) -> None:
    """RFC 9493: somebody is an issuer and a subject together, never a bare subject."""
    answer = desk.ask("GET", "/exchanges", **{half: "alice"})

    assert problem(answer) == (422, "impossible")


def test_page_by_page(desk: Desk) -> None:
    """Every one comes, once, however small the pages."""
    made = {desk.exchanged().id for _ in range(5)}

    seen: list[str] = []
    cursor = {}
    while True:
        page = desk.get("/exchanges", limit=2, **cursor)
        seen += [one["id"] for one in page["items"]]
        if page["cursor"] is None:
            break
        cursor = {"cursor": page["cursor"]}

    assert sorted(seen) == sorted(made)


@pytest.mark.parametrize(
    "query",
    [
        {"limit": "0"},
        {"limit": "1001"},
        {"limit": "+5"},
        {"limit": "5.0"},
        {"limit": "\u0665"},
        {"cursor": "x y"},
        {"cursor": ""},
        {"state": "living"},
        {"client": ""},
        {"client": "a\nb"},
        {"client": "\u200b"},
        {"sub": "alice"},
        {"client": ["a", "b"]},
    ],
    ids=str,
)
def test_what_cannot_be_asked(desk: Desk, query: dict[str, Any]) -> None:
    """Unknown, repeated, empty and odd parameters refuse; nothing of them is echoed."""
    answer = desk.ask("GET", "/exchanges", **query)

    assert problem(answer) == (400, "malformed-request")
    assert "alice" not in answer.text


def test_a_cursor_of_somebody_else(desk: Desk) -> None:
    """What we did not make leads nowhere."""
    answer = desk.ask("GET", "/exchanges", cursor="1")

    assert problem(answer) == (400, "unknown-cursor")


def test_the_tree(desk: Desk) -> None:
    """All that it grew from, and all that grew from it, and nobody else of the same person."""
    first, other = desk.exchanged(), desk.exchanged()
    second, sibling = desk.exchanged_next(first), desk.exchanged_next(first)

    top = desk.get(f"/exchanges/{first.id}")
    below = desk.get(f"/exchanges/{second.id}")

    assert top["id"] == first.id
    assert top["tree"]["ancestors"] == []
    assert {one["id"] for one in top["tree"]["descendants"]} == {second.id, sibling.id}
    assert [one["id"] for one in below["tree"]["ancestors"]] == [first.id]
    assert below["tree"]["descendants"] == []
    assert other.id not in str(top) + str(below)


def test_an_exchange_that_is_not_there(desk: Desk) -> None:
    """Expired, never recorded, of another store: there is none."""
    answer = desk.ask("GET", f"/exchanges/{desk.ledger.new_id(ALICE)}")

    assert problem(answer) == (404, "unknown-exchange")


@pytest.mark.parametrize("id_", ["7", "1-x", "999-" + "a" * 22 + "b", "01-" + "a" * 22])
def test_an_id_that_is_none(desk: Desk, id_: str) -> None:
    """Only what has the form of our ids is ever looked up."""
    answer = desk.ask("GET", f"/exchanges/{id_}")

    assert problem(answer) == (400, "malformed-request")
    assert id_ not in answer.text
