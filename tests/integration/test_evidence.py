"""What a running service writes down of a request: from where it came, and what was said of it."""

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from delegation.audit.explain import explain
from delegation.dev.cast import CALENDAR_API
from tests.attacks.endpoint import Answer, Endpoint, basic
from tests.integration.conftest import endpoint_of
from tests.world import TestWorld, a_test_world

PROXY = "127.77.0.1"
SOMEBODY, SPOOFED = "198.51.100.7", "203.0.113.9"
SAID = {
    "Mcp-Method": "tools/call",
    "Mcp-Name": "create_event",
    "Delegation-Consent": "consent-1",
}


@pytest.fixture(name="fronted", scope="module")
def _fronted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestWorld]:
    """A world with proxies in front of it, and one worker, which counts all failures."""
    directory = tmp_path_factory.mktemp("world")
    with a_test_world(directory, workers=1, DELEGATION_TRUSTED_PROXIES="127.77.0.0/16") as world:
        yield world


@pytest.fixture(name="through")
def _through(fronted: TestWorld) -> Endpoint:
    """A caller that comes through a proxy."""
    return replace(endpoint_of(fronted), source=PROXY)


def decision(answer: Answer) -> str:
    """The id of what was decided."""
    id_ = answer.header("Delegation-Decision")
    assert id_ is not None
    return id_


@pytest.mark.parametrize(
    ("forwarded", "source"),
    [
        (SOMEBODY, SOMEBODY),
        (f"{SPOOFED}, {SOMEBODY}", SOMEBODY),
        (f"{SPOOFED}\r\nX-Forwarded-For: {SOMEBODY}, 127.77.0.9", SOMEBODY),
        (f"{SOMEBODY}\r\nX_Forwarded_For: {SPOOFED}", SOMEBODY),
        (f"{SOMEBODY}\r\nForwarded: for={SPOOFED}", SOMEBODY),
        ("2001:db8::7", "2001:db8::7"),
        ("nonsense", PROXY),
        (None, PROXY),
    ],
    ids=["one", "spoofed", "two headers", "underscores", "Forwarded", "IPv6", "nonsense", "none"],
)
def test_the_address_behind_trusted_proxies(
    fronted: TestWorld, through: Endpoint, forwarded: str | None, source: str
) -> None:
    """Of granted and of refused alike."""
    granted = through.exchange(headers={"X-Forwarded-For": forwarded})
    refused = through.exchange(headers={"X-Forwarded-For": forwarded}, scope="nothing")

    assert (granted.status, refused.status) == (200, 400)
    assert fronted.books.exchange(decision(granted))["source"] == source
    assert fronted.books.refusal(decision(refused))["source"] == source


def test_nobody_else_says_where_they_come_from(fronted: TestWorld) -> None:
    """Who is no proxy is where they are, whatever they say."""
    endpoint = endpoint_of(fronted)

    answer = endpoint.exchange(headers={"X-Forwarded-For": SPOOFED})

    assert fronted.books.exchange(decision(answer))["source"] == endpoint.source


def test_the_brake_tells_those_behind_one_proxy_apart(through: Endpoint) -> None:
    """Who fails too often is told to stay away; their neighbour is not, and neither by a claim."""

    def knock(forwarded: str) -> Answer:
        wrong = {"Authorization": basic(through.client, "dlg_" + "W" * 43)}
        return through.exchange(headers=wrong | {"X-Forwarded-For": forwarded})

    statuses = [knock(f"203.0.113.{number}, 192.0.2.1").status for number in range(12)]

    assert statuses == [401] * 10 + [429] * 2
    assert knock("192.0.2.1, 192.0.2.2").status == 401


def test_an_event_tells_the_whole_story(fronted: TestWorld, through: Endpoint) -> None:
    """What the client says of its call is in the event, as what it says; and in the explanation."""
    answer = through.exchange(headers=SAID | {"X-Forwarded-For": SOMEBODY})

    event = fronted.books.exchange(decision(answer))
    told = dict(explain(event | {"at": "2026-11-21T12:00:00Z"}).facts)
    assert event["claimed"] == {
        "mcp_method": "tools/call",
        "mcp_name": "create_event",
        "consent": "consent-1",
    }
    assert event["lineage"]["foreign_parent"] == event["parent"]
    assert event["txn"] == event["decision"] == decision(answer)
    assert event["resource"] == CALENDAR_API
    assert told["for the call"] == "tools/call create_event (as the client says)"
    assert not {text.encode() for text in SAID.values()} & {*answer.echoes()}


def test_a_claim_never_refuses(fronted: TestWorld, through: Endpoint) -> None:
    """What is malformed is left out, and the token is issued."""
    answer = through.exchange(headers={"Mcp-Name": b"\xe9t\xe9 bar", "Mcp-Method": "x" * 300})

    assert answer.status == 200
    assert "claimed" not in fronted.books.exchange(decision(answer))


def test_the_log_names_the_address_behind_the_proxy(fronted: TestWorld, through: Endpoint) -> None:
    """The same as the events."""
    wrong = {"Authorization": basic("nobody", "x"), "X-Forwarded-For": "192.0.2.77"}

    through.exchange(headers=wrong)

    lines = [json.loads(line) for line in fronted.log.splitlines() if line.startswith("{")]
    assert "192.0.2.77" in [line.get("address") for line in lines]
