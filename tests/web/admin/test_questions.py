"""The questions that the admin API answers of the registry that is in force."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis
from werkzeug.test import TestResponse

from delegation.domain.grants import Mode, Subjects
from delegation.domain.questions import can_i
from delegation.web.admin.questions import CanI
from delegation.web.admin.verdict import decided
from tests.parties import (
    CALENDAR_API,
    CALENDAR_API_CLIENT,
    CALENDAR_MCP,
    DESK_AGENT,
    LOGIN,
    NOW,
    OUR_ISSUER,
    ROOMS_API,
    a_deny,
    a_grant,
    a_registry,
    the_next_grant,
)
from tests.web.admin.desk import Desk, an_admin_issuer, iss_sub, problem

AT_NOON = {"at": NOW.isoformat()}

ALICES: dict[str, Any] = {
    "client": CALENDAR_MCP,
    "subject": "corp|alice",
    "agent": DESK_AGENT,
    "mcp_scope": ["calendar:read"],
    "resource": "calendar",
} | AT_NOON
"""May the client read Alice's calendar?"""

FORCED: dict[str, Any] = {"admin_issuers": [an_admin_issuer()]}
"""What lets anybody in."""


def ask(desk: Desk, **changes: Any) -> TestResponse:
    """Ask Alice's question; what is `None` is left out."""
    asked = {name: value for name, value in (ALICES | changes).items() if value is not None}
    return desk.ask("POST", "/can-i", body=asked)


def can(desk: Desk, **changes: Any) -> Any:
    """The answer to it, which must be one."""
    answer = ask(desk, **changes)
    assert answer.status_code == 200, answer.data
    return answer.json


def look(desk: Desk, path: str, **query: str) -> TestResponse:
    """Ask for a list; *scope* is a parameter of some, and not what the token has."""
    headers = {"Authorization": f"Bearer {desk.staff.token(scope='registry.read')}"}
    return desk.app.test_client().get(f"/admin/v1{path}", query_string=query, headers=headers)


def test_yes(desk: Desk) -> None:
    """What would be issued, and by which registry."""
    assert can(desk) == {
        "allowed": True,
        "client": CALENDAR_MCP,
        "subject": iss_sub(LOGIN, "alice"),
        "resource": CALENDAR_API,
        "grant": "calendar",
        "scope": ["events.read"],
        "expires_in": 300,
        "actors": [iss_sub(OUR_ISSUER, CALENDAR_MCP), iss_sub(LOGIN, DESK_AGENT)],
        "single_use": False,
        "limits": {"expiry": "grant"},
        "shadow": [],
        "revision": "revision-1",
    }


def test_yes_at_the_second_hop(desk: Desk) -> None:
    """The one before hands on what it was given."""
    answer = can(
        desk,
        client=CALENDAR_API_CLIENT,
        hops=[CALENDAR_MCP],
        resource=ROOMS_API,
        scope=["rooms.read"],
    )

    assert (answer["allowed"], answer["grant"], len(answer["actors"])) == (True, "rooms", 3)


def test_no_names_the_nearest_grant(desk: Desk) -> None:
    """And everything that it is missing."""
    staff = Subjects(issuer=LOGIN, claims={"groups": frozenset({"staff"})})
    desk.registry = a_registry(grants=[a_grant(subjects=(staff,))], **FORCED)

    answer = can(desk, agent="planner", scope=["events.write"])

    assert answer == {
        "allowed": False,
        "client": CALENDAR_MCP,
        "resource": CALENDAR_API,
        "error": "invalid_request",
        "error_description": "the exchange is not permitted",
        "reason": "not_permitted",
        "required_scope": None,
        "cause": "no_grant",
        "nearest": {
            "grant": "calendar",
            "missing": [
                {"what": "claim", "of": "groups", "needed": ["staff"]},
                {"what": "agent", "of": "", "needed": [DESK_AGENT]},
                {"what": "scope", "of": "", "needed": ["calendar:write"]},
            ],
        },
        "shadow": [],
        "revision": "revision-1",
    }
    assert can(desk, claims={"groups": ["staff"]})["allowed"]


def test_no_names_the_deny(desk: Desk) -> None:
    """Where one is in the way; and where no grant would help, it names none."""
    desk.registry = a_registry(grants=[a_grant(), a_deny()], **FORCED)

    denied = can(desk, mcp_scope=["calendar:write"], scope=["events.write"])
    far = can(desk, resource=ROOMS_API)

    assert denied["nearest"] == {
        "grant": "calendar",
        "missing": [{"what": "deny", "of": "no-writing", "needed": []}],
    }
    assert (far["cause"], far["nearest"]) == ("target_not_admitted", None)


def test_shadows(desk: Desk) -> None:
    """What they would refuse, and what they would give."""
    shadow = a_deny(mode=Mode.SHADOW, scopes=None)
    desk.registry = a_registry(grants=[a_grant(), shadow], **FORCED)
    refused = can(desk)

    desk.registry = a_registry(grants=[a_grant(mode=Mode.SHADOW)], **FORCED)
    given = can(desk)

    assert (refused["allowed"], given["allowed"]) == (True, False)
    assert refused["shadow"] == [
        {
            "grants": ["no-writing"],
            "allowed": False,
            "cause": "denied",
            "grant": None,
            "scope": None,
            "expires_at": None,
        }
    ]
    assert given["shadow"] == [
        {
            "grants": ["calendar"],
            "allowed": True,
            "cause": None,
            "grant": "calendar",
            "scope": ["events.read"],
            "expires_at": (NOW + timedelta(minutes=5)).isoformat(),
        }
    ]


def test_who_can(desk: Desk) -> None:
    """Every way to a resource, or what leads to one scope of it."""
    every = desk.get("/who-can", resource="calendar", **AT_NOON)
    rooms = look(desk, "/who-can", resource=ROOMS_API, scope="rooms.read", **AT_NOON).json

    assert every["ways"] == [
        {
            "client": CALENDAR_MCP,
            "resource": CALENDAR_API,
            "grant": "calendar",
            "issuer": "corp",
            "people": "everyone",
            "if": {},
            "agents": [DESK_AGENT],
            "after": [],
            "scopes": {"calendar:read": ["events.read"], "calendar:write": ["events.write"]},
            "denies": [],
        }
    ]
    assert every["revision"] == "revision-1"
    assert [way["after"] for way in rooms["ways"]] == [[CALENDAR_MCP]]


def test_what_can(desk: Desk) -> None:
    """Of a client, or for a subject."""
    clients = desk.get("/what-can", client=CALENDAR_API_CLIENT, **AT_NOON)
    alices = desk.get("/what-can", subject="corp|alice", **AT_NOON)

    assert [way["grant"] for way in clients["ways"]] == ["rooms"]
    assert [way["people"] for way in alices["ways"]] == [["alice"]] * 2


def test_it_is_the_registry_in_force(desk: Desk) -> None:
    """As soon as another one is, the answer is of that."""
    before = can(desk)
    desk.registry = a_registry(grants=[the_next_grant()], revision="revision-2", **FORCED)

    after, ways = can(desk), desk.get("/who-can", resource="calendar", **AT_NOON)

    assert (before["allowed"], before["revision"]) == (True, "revision-1")
    assert (after["allowed"], after["revision"]) == (False, "revision-2")
    assert (ways["ways"], ways["revision"]) == ([], "revision-2")


def test_where_no_time_is_named_it_is_now(desk: Desk) -> None:
    """By the clock of the service: what has expired has, and what has not is there."""
    hour = timedelta(hours=1)
    for expires_at, allowed in ((datetime.now(UTC) + hour, True), (NOW - hour, False)):
        desk.registry = a_registry(grants=[a_grant(expires_at=expires_at)], **FORCED)

        assert can(desk, at=None)["allowed"] is allowed
        assert bool(desk.get("/who-can", resource="calendar")["ways"]) is allowed
        assert bool(desk.get("/what-can", client=CALENDAR_MCP)["ways"]) is allowed


def test_nothing_is_done(desk: Desk, raw: "redis.Redis[bytes]") -> None:
    """A question leaves nothing in the store: no record, no claim, no event."""
    before = {key: raw.dump(key) for key in raw.scan_iter()}

    can(desk)
    can(desk, agent="planner")
    desk.get("/who-can", resource="calendar")

    assert {key: raw.dump(key) for key in raw.scan_iter()} == before


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"client": "somebody"}, "client"),
        ({"hops": ["somebody"]}, "client"),
        ({"subject": "somewhere|alice"}, "trusted issuer"),
        ({"claims": {"somename": ["x"]}}, "claim"),
        ({"at": "9999-12-31T23:00:00Z"}, "time"),
    ],
    ids=["client", "hop", "issuer", "claim", "time"],
)
def test_what_is_not_in_the_registry_is_a_problem(
    desk: Desk, changes: dict[str, Any], what: str
) -> None:
    """It has no answer, which is no no; and its name is not repeated."""
    answer = ask(desk, **changes)

    assert problem(answer) == (422, "unaskable")
    assert answer.json["detail"] == f"there is no such {what}"
    assert "some" not in answer.text


@pytest.mark.parametrize(
    ("path", "query", "detail"),
    [
        ("/who-can", {"resource": "something"}, "there is no such resource"),
        ("/who-can", {"resource": "calendar", "scope": "some"}, "there is no such scope"),
        ("/what-can", {"client": "somebody"}, "there is no such client"),
        ("/what-can", {"subject": "some|x"}, "there is no such trusted issuer"),
        (
            "/what-can",
            {"client": CALENDAR_MCP, "at": "9999-12-31T23:00:00Z"},
            "there is no such time",
        ),
    ],
    ids=["resource", "scope", "client", "subject", "time"],
)
def test_nor_has_it_a_list(desk: Desk, path: str, query: dict[str, str], detail: str) -> None:
    """An empty one would say that nobody can."""
    answer = look(desk, path, **query)

    assert problem(answer) == (422, "unaskable")
    assert answer.json["detail"] == detail
    assert "some" not in answer.text


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ({}, "exactly one of client and subject must be given"),
        (
            {"client": CALENDAR_MCP, "subject": "corp|alice"},
            "exactly one of client and subject must be given",
        ),
        (
            {"client": CALENDAR_MCP, "at": "1969-12-31T23:59:59Z"},
            "at must not lie before 1970",
        ),
    ],
    ids=["neither", "both", "long-ago"],
)
def test_what_makes_no_sense(desk: Desk, query: dict[str, str], detail: str) -> None:
    """Is said so, and not taken for all."""
    answer = desk.ask("GET", "/what-can", **query)

    assert problem(answer) == (422, "impossible")
    assert answer.json["detail"] == detail


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"client": None}, "body/client"),
        ({"client": "a|b"}, "body/client"),
        ({"subject": "alice"}, "body/subject"),
        ({"subject": "corp|a\u202eb"}, "body/subject"),
        ({"agent": None}, "body/agent"),
        ({"agent": ""}, "body/agent"),
        ({"mcp_scope": []}, "body/mcp_scope"),
        ({"scope": ["a b"]}, "body/scope/0"),
        ({"scope": "events.read"}, "body/scope"),
        ({"hops": [""]}, "body/hops/0"),
        ({"resource": ""}, "body/resource"),
        ({"at": "noon"}, "body/at"),
        ({"claims": {"secretly": []}}, "body/claims"),
        ({"claims": {"secretly": "staff"}}, "body/claims"),
        ({"claims": {"secretly": ["sta\u0000ff"]}}, "body/claims"),
        ({"claims": []}, "body/claims"),
        ({"secretly": "x"}, "body"),
    ],
)
def test_what_is_malformed_is_named_by_the_schema(
    desk: Desk, changes: dict[str, Any], where: str
) -> None:
    """Not by what was sent: names of claims are the sender's own."""
    answer = ask(desk, **changes)

    assert problem(answer) == (400, "malformed-request")
    assert [fault["where"] for fault in answer.json["faults"]] == [where]
    assert "secretly" not in answer.text


def test_it_takes_the_scope_of_the_registry(desk: Desk) -> None:
    """For it names everybody whom a grant names."""
    asked = [("POST", "/can-i"), ("GET", "/who-can"), ("GET", "/what-can")]

    for method, path in asked:
        refused = desk.ask(method, path, scope="exchanges.read locks.read workers.read")
        assert problem(refused) == (403, "insufficient-scope")
        assert 'scope="registry.read"' in refused.headers["WWW-Authenticate"]


def test_it_is_the_same_question(desk: Desk) -> None:
    """The body says what the domain is asked, and the answer what it answers, to the word."""
    body = ALICES | {"scope": ["events.read"], "claims": {"groups": ["staff", "board"]}}

    question = CanI.model_validate(body).question(NOW)

    assert question.claims == {"groups": frozenset({"staff", "board"})}
    assert can(desk, **body) == decided(can_i(question, desk.registry))
