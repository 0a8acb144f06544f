"""What an event is about: all that a lock could name of it, and no more than is understood."""

from typing import Any

import pytest

from delegation.domain.evidence import EventFilter, Outcome, about
from delegation.domain.locks import EVERYTHING, Target
from delegation.domain.parties import Identity

LOGIN = "https://login.example.com"
ALICE, AGENT = Identity(LOGIN, "alice"), Identity(LOGIN, "desk-agent")
CALENDAR = Identity("https://sts.example.com", "calendar-mcp")


def written(identity: Identity) -> dict[str, str]:
    """As events have it."""
    return {"iss": identity.issuer, "sub": identity.subject}


def test_a_refusal_is_about_what_was_asked_for() -> None:
    """Who asked, for whom, through which agent; which targets were named, what it came to."""
    event = {
        "type": "refusal",
        "client": "calendar-mcp",
        "subject": written(ALICE),
        "agent": "desk-agent",
        "parent": {"iss": LOGIN, "id": "login-1"},
        "asked": {"targets": ["https://a.example.com", 7]},
        "detail": {"grant": "g", "resource": "https://b.example.com", "names": ["x"]},
    }

    assert about(event) == {
        EVERYTHING,
        Target.client("calendar-mcp"),
        Target.subject(ALICE),
        Target.issuer(LOGIN),
        Target.agent(AGENT),
        Target.token(LOGIN, "login-1"),
        Target.resource("https://a.example.com"),
        Target.resource("https://b.example.com"),
        Target.grant("g"),
    }


def test_an_act_is_about_what_it_names() -> None:
    """A pair is a subject and an actor; whoever revoked is a client."""
    pair = Target.pair(ALICE, CALENDAR)
    event = {
        "type": "lock",
        "client": "calendar-mcp",
        "target": {"kind": "pair", "names": list(pair.names)},
    }

    expected = {pair, Target.subject(ALICE), Target.actor(CALENDAR), Target.client("calendar-mcp")}
    assert about(event) == expected


def test_all_that_is_named_must_fit() -> None:
    """One of two is not enough."""
    event = {"type": "alarm", "about": "notes-mcp"}
    notes, others = Target.client("notes-mcp"), Target.client("calendar-mcp")

    assert EventFilter(targets=frozenset({notes})).matches(event)
    assert not EventFilter(targets=frozenset({notes, others})).matches(event)


def test_an_alarm_is_about_somebody() -> None:
    """Whom it names."""
    assert about({"type": "alarm", "about": "notes-mcp", "detail": {}}) == {
        Target.client("notes-mcp")
    }


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"subject": "alice", "actors": 7, "parent": [], "client": None},
        {"subject": {"iss": 1, "sub": 2}, "actors": [[]], "target": {"kind": "x", "names": []}},
        {"type": "exchange", "decision": 7, "grant": {}, "resource": []},
    ],
    ids=str,
)
def test_what_is_not_understood(event: Any) -> None:
    """Is about nothing, and fits where nothing is named."""
    assert about(event) == frozenset()
    assert EventFilter().matches(event)
    assert not EventFilter(outcome=Outcome.ALARM).matches(event)
