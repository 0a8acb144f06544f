"""A client assertion is good once: at the endpoint, with the real ledger, and whoever hurries."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import redis

from delegation.audit.events import Events
from delegation.ledger.ledger import Limits, RedisLedger
from delegation.ledger.server import Server
from delegation.ledger.store import Store
from tests.signing import b64, unb64
from tests.valkey import Proxy
from tests.web.endpoint import (
    INVALID_CLIENT,
    MCP,
    OTHER,
    Live,
    asserting,
    fresh,
    issued,
    refused,
)

pytestmark = [pytest.mark.attack(14), pytest.mark.standard("7523-3", "STK-7", "STK-14")]

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def test_twice(live: Live) -> None:
    """The second use is refused; another id is another assertion."""
    value = MCP.assertion(**fresh())

    assert issued(live.ask(asserting(value)))
    assert refused(live.ask(asserting(value))) == INVALID_CLIENT
    assert refused(live.ask(asserting(MCP.assertion(**fresh())))) == INVALID_CLIENT
    assert issued(live.ask(asserting(MCP.assertion(**fresh(jti="assertion-2")))))


def test_twenty_at_once(live: Live) -> None:
    """Of twenty who come together, exactly one gets in."""
    value = MCP.assertion(**fresh())
    start = threading.Barrier(20)

    def use(number: int) -> int:
        start.wait(10)
        return live.ask(asserting(value), REMOTE_ADDR=f"192.0.2.{number}").status_code

    with ThreadPoolExecutor(20) as pool:
        answers = [*pool.map(use, range(20))]

    assert sorted(answers) == [200] + [401] * 19


def test_the_same_id_of_another_client(live: Live) -> None:
    """Ids are each client's own: the other one gets past its authentication."""
    assert issued(live.ask(asserting(MCP.assertion(**fresh()))))

    other = live.ask(asserting(OTHER.assertion(**fresh())))

    assert refused(other) == (400, "invalid_request", "subject_token_rejected")
    assert refused(live.ask(asserting(OTHER.assertion(**fresh())))) == INVALID_CLIENT


def test_after_its_time(live: Live) -> None:
    """It is not good again when nobody remembers it any more: its own clock has run out."""
    value = MCP.assertion(**fresh())
    assert issued(live.ask(asserting(value)))

    live.running.ahead = timedelta(seconds=61)

    assert refused(live.ask(asserting(value))) == INVALID_CLIENT
    assert refused(live.ask(asserting(MCP.assertion(**fresh(jti="2"))))) == INVALID_CLIENT


@pytest.mark.attack(15)
@pytest.mark.standard("STK-10")
def test_a_malleated_copy(live: Live) -> None:
    """However else it can be written, it is the same assertion."""
    value = MCP.assertion(**fresh())
    signed, _, signature = value.rpartition(".")
    raw = unb64(signature)
    mirrored_s = P256_ORDER - int.from_bytes(raw[32:])
    mirrored = f"{signed}.{b64(raw[:32] + mirrored_s.to_bytes(32))}"
    assert issued(live.ask(asserting(value)))

    for copy in (mirrored, f"{value}=", f"{mirrored}==", f"{value}\u00a0"):
        assert live.ask(asserting(copy)).status_code in {400, 401}
    assert issued(live.ask(asserting(MCP.assertion(**fresh(jti="assertion-2")))))


@pytest.mark.attack(15)
def test_the_copy_may_come_first(live: Live) -> None:
    """Then the copy is the one use."""
    value = MCP.assertion(**fresh())
    signed, _, signature = value.rpartition(".")
    raw = unb64(signature)
    mirrored_s = P256_ORDER - int.from_bytes(raw[32:])
    mirrored = f"{signed}.{b64(raw[:32] + mirrored_s.to_bytes(32))}"

    assert issued(live.ask(asserting(mirrored)))
    assert refused(live.ask(asserting(value))) == INVALID_CLIENT


def test_what_cannot_be_good_takes_no_id(live: Live, raw: "redis.Redis[bytes]") -> None:
    """Only a sound assertion is written down: nobody can use up another's id, or fill the store."""
    keys = set(raw.keys())
    issuer = "https://sts.example.com"

    for claims in (
        fresh(exp=time.time() + 3600),
        fresh(aud=f"{issuer}/token"),
        fresh(aud=[issuer, "https://evil.example"]),
        fresh(sub=OTHER.issuer, iss=OTHER.issuer),
    ):
        assert refused(live.ask(asserting(MCP.assertion(**claims)))) == INVALID_CLIENT
    assert set(raw.keys()) == keys
    assert issued(live.ask(asserting(MCP.assertion(**fresh()))))


@pytest.mark.attack(25)
def test_a_lost_reply(store: Store, proxy: Proxy) -> None:
    """A claim whose reply was lost is no replay of itself: the request succeeds, once."""
    server = Server(proxy.url, timeout=2)
    ledger = RedisLedger(Store(server, store.partitions), events=Events(), limits=Limits())
    assert ledger.problems() == []
    live = Live(ledger)
    value = MCP.assertion(**fresh())
    proxy.cuts = 1

    response = live.ask(asserting(value))

    assert issued(response)
    assert proxy.cuts == 0
    assert refused(live.ask(asserting(value))) == INVALID_CLIENT
    server.close()


def test_what_is_older_than_the_store(live: Live) -> None:
    """What may have been used before the store began counts as used."""
    old = MCP.assertion(**fresh(iat=time.time() - 5))

    assert refused(live.ask(asserting(old))) == INVALID_CLIENT
