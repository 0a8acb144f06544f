"""Alarms of a running service: in the store for whoever asks, and in the log for whoever hooks."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from delegation.dev.cast import ROOMS_API
from delegation.ledger.alarms import RedisAlarms
from delegation.ledger.partitions import digest
from tests.attacks.attack import SUBJECT_TOKEN, must_be_proper
from tests.attacks.endpoint import Answer, Endpoint
from tests.integration.conftest import endpoint_of
from tests.world import SIGNED_API, SIGNING_MCP, Login, TestWorld, a_test_world


@pytest.fixture(name="pair")
def _pair(tmp_path: Path) -> Iterator[TestWorld]:
    """A world of a test's own, with two workers."""
    with a_test_world(tmp_path, workers=2) as world:
        yield world


def _logged(world: TestWorld) -> list[dict[str, Any]]:
    """The lines of the log that a hook looks for."""
    lines = [json.loads(line) for line in world.log.splitlines() if line.startswith("{")]
    return [line for line in lines if line.get("event") == "alarm"]


def _events(world: TestWorld) -> list[Mapping[str, Any]]:
    page = RedisAlarms(world.world.store).page(None, count=100)
    return [json.loads(stored.event) for stored in page.items]


def _until(fetched: int, world: TestWorld, send: Callable[[], Answer]) -> None:
    """Send until the partner's keys were fetched so often in all: once for each worker."""
    deadline = time.monotonic() + 30
    while world.keys.requests["/partner/jwks"] < fetched:
        assert time.monotonic() < deadline
        # Each worker may ask at once: what they wait for between them is another test's matter.
        world.books.store.delete(f"dlg:cooldown:{digest(f'keys:{world.partner.issuer}').hex()}")
        assert send().status == 200


def test_an_issuer_that_is_another_suddenly(pair: TestWorld) -> None:
    """All keys of a trusted issuer are replaced: they are believed, for it may be meant; and there
    is one alarm, however many workers see it.
    """
    endpoint = endpoint_of(pair)
    thief = Login(pair.partner.issuer, usual=pair.partner.claims())
    _until(2, pair, lambda: endpoint.exchange(subject_token=pair.partner.token()))
    assert _events(pair) == []

    pair.keys.documents["/partner/jwks"] = thief.jwks()
    _until(4, pair, lambda: endpoint.exchange(subject_token=thief.token(**pair.partner.claims())))

    assert _events(pair) == [
        {
            "version": 1,
            "type": "alarm",
            "cause": "keys_replaced",
            "alarm": True,
            "about": pair.partner.issuer,
            "detail": {"keys": [thief.kid]},
        }
    ]
    assert RedisAlarms(pair.world.store).counts() == {"keys_replaced": 1}
    [line] = _logged(pair)
    assert (line["cause"], line["about"]) == ("keys_replaced", pair.partner.issuer)
    assert line["level"] == "error"


def _as(world: TestWorld, client: str, **sound: Any) -> Endpoint:
    """The token endpoint for another client."""
    return replace(endpoint_of(world), client=client, secret=world.secrets[client], **sound)


def test_what_looks_like_theft(alone: TestWorld) -> None:
    """A stolen token, a dead one, an assertion used twice: each is an event, is counted, and is a
    line that says of whom, and which decision.
    """
    endpoint = endpoint_of(alone)
    issued = endpoint.exchange().json["access_token"]
    assertion = alone.signer.assertion()
    signed = {
        "client_assertion": assertion,
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "subject_token": alone.login.token(aud=SIGNING_MCP),
        "resource": SIGNED_API,
    }
    onward = _as(alone, "calendar-api", resource=ROOMS_API, scope="rooms.read")

    stolen = _as(alone, "notes-mcp").exchange()
    endpoint.send(urlencode({"token": issued}).encode(), path="/revoke")
    dead = onward.exchange(subject_token=issued)
    used, replayed = (
        endpoint.exchange(headers={"Authorization": None}, **signed) for _ in range(2)
    )

    for answer in (stolen, dead):
        must_be_proper(answer, SUBJECT_TOKEN)
    assert (used.status, replayed.status) == (200, 401)
    assert RedisAlarms(alone.world.store).counts() == {
        "presented_by_another_client": 1,
        "lineage_dead": 1,
        "already_used": 1,
    }
    assert [(line["cause"], line["client"], line.get("decision")) for line in _logged(alone)] == [
        ("presented_by_another_client", "notes-mcp", stolen.header("Delegation-Decision")),
        ("lineage_dead", "calendar-api", dead.header("Delegation-Decision")),
        ("already_used", "signing-mcp", None),
    ]
    told = [event.get("client") or event["about"] for event in _events(alone)]
    assert told == ["signing-mcp", "calendar-api", "notes-mcp"]
    assert assertion not in alone.log
    assert issued not in alone.log
