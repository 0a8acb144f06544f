"""Rate limits at the token endpoint: what is answered, recorded and asked of the store."""

import json

import pytest
import redis

from delegation.audit.events import Events
from delegation.domain.rates import Per, Rate, Rates
from delegation.ledger.evidence import Evidence
from delegation.ledger.ledger import Limits, RedisLedger
from delegation.ledger.quota import RedisQuota
from delegation.ledger.server import Server
from delegation.ledger.store import Store
from tests.parties import CALENDAR_MCP
from tests.valkey import PARTITIONS, Proxy
from tests.web.endpoint import Live, body_of, issued, post, refused

RATES: Rates = {Per.CLIENT_AND_SUBJECT: [Rate(2, 3600)]}


@pytest.fixture(name="limited")
def _limited(ledger: RedisLedger, store: Store) -> Live:
    """A service whose clients may make two exchanges for a subject in an hour."""
    return Live(ledger, store, RedisQuota(store, RATES))


def test_who_asks_too_often_is_told_when_to_come_back(limited: Live, evidence: Evidence) -> None:
    """429, with the time to wait, and the event of a refusal that says which limit it was."""
    for _ in range(2):
        issued(limited.ask(post()))

    answer = limited.ask(post())

    assert refused(answer) == (429, "temporarily_unavailable", "rate_limited")
    assert 3600 - 180 <= int(answer.headers["Retry-After"]) <= 3600 + 180
    home = PARTITIONS.of_client(CALENDAR_MCP)
    [event] = [json.loads(one.event) for one in evidence.read(home.number, "refusals", count=9)]
    assert event["decision"] == answer.headers["Delegation-Decision"]
    assert event["error"] == "temporarily_unavailable"
    assert event["reason"] == "rate_limited"
    assert event["cause"] == "limit_per_client_and_subject"
    assert event["detail"] == {"limit": "2 in 3600 seconds"}
    assert event["subject"]["sub"] == "alice"
    assert "alarm" not in event


def test_nothing_of_the_request_is_said(limited: Live) -> None:
    """Neither who is asked for, nor which limit it was, nor how much there is."""
    for _ in range(3):
        answer = limited.ask(post())

    assert body_of(answer) == {
        "error": "temporarily_unavailable",
        "error_description": "too many exchanges; try again later",
        "reason": "rate_limited",
    }


MANY: Rates = {
    Per.CLIENT: [Rate(100, 1), Rate(1000, 60)],
    Per.CLIENT_AND_SUBJECT: [Rate(100, 60)],
    Per.GRANT: [Rate(100, 60)],
}


@pytest.mark.parametrize(
    ("rates", "expected"), [({}, 1), (RATES, 2), (MANY, 2)], ids=["off", "one", "many"]
)
def test_it_costs_one_round_trip(
    ledger: RedisLedger,
    store: Store,
    raw: "redis.Redis[bytes]",
    rates: Rates,
    expected: int,
) -> None:
    """However many limits there are; and by itself nothing is asked."""
    live = Live(ledger, store, RedisQuota(store, rates))
    issued(live.ask(post()))
    raw.config_resetstat()

    issued(live.ask(post()))

    stats = raw.info("commandstats")
    assert stats["cmdstat_evalsha"]["calls"] == expected
    assert "cmdstat_eval" not in stats


@pytest.mark.usefixtures("store")
def test_where_it_cannot_be_counted_nothing_is_issued(
    proxy: Proxy, raw: "redis.Redis[bytes]"
) -> None:
    """503, nothing is counted and nothing recorded; and afterwards all is as before."""
    server = Server(proxy.url, timeout=2)
    behind = Store(server, PARTITIONS)
    whole = RedisLedger(behind, events=Events(), limits=Limits())
    live = Live(whole, behind, RedisQuota(behind, RATES))
    proxy.reply = b"-LOADING it is not there yet\r\n"

    answer = live.ask(post())

    assert refused(answer) == (503, "temporarily_unavailable", None)
    assert "Retry-After" in answer.headers
    assert not raw.keys("dlg:*:rate:*")
    assert not raw.keys("dlg:*:x:*")
    proxy.reply = None
    issued(live.ask(post()))
    server.close()
