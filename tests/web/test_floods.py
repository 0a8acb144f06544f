"""Nobody can stop the service by filling its log: floods are counted, and everybody else is served.

The application is the real one, on a real store; a fast flood shows the rule, a slow one the size.
"""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from delegation.audit.events import Events
from delegation.ledger.evidence import Evidence
from delegation.ledger.ledger import Limits, RedisLedger
from delegation.ledger.store import Store
from delegation.web.limits import close_logs
from tests.parties import CALENDAR_MCP
from tests.valkey import PARTITIONS
from tests.web.endpoint import WRONG_SECRET, Live, basic, form, issued, post

FLOODS = [
    pytest.param(300, id="300"),
    pytest.param(100_000, marks=[pytest.mark.slow, pytest.mark.timeout(600)], id="100000"),
]

HOME = PARTITIONS.of_client(CALENDAR_MCP)
CAP = 60
MEBIBYTE = 1 << 20


@pytest.fixture(name="live")
def _live(store: Store, raw) -> Iterator[Live]:
    """A service as it is by itself: a cap of 60 refusals, and 10000 undrained events.

    Its store writes to disk every second, so that the flood is as fast as can be.
    """
    raw.config_set("appendfsync", "everysec")
    close_logs()  # what logs of other tests in this process have left out is said before
    yield Live(RedisLedger(store, events=Events(), limits=Limits()), store)
    raw.config_set("appendfsync", "always")


def resident() -> int:
    """Bytes of memory that this process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def used(raw) -> int:
    """Bytes of memory that the store uses."""
    return int(raw.info("memory")["used_memory"])


@pytest.mark.parametrize("flood", FLOODS)
def test_a_flood_of_strangers(live: Live, raw, flood: int) -> None:
    """Who cannot authenticate writes nothing into the store, and thirty lines a minute in the log;
    the count says how many there were. Memory is bounded, and everybody else is served.
    """
    keys, resident_before = set(raw.keys()), resident()
    statuses: Counter[int] = Counter()

    with capture_logs() as logs:
        for number in range(flood):
            wrong = basic(f"client-{number % 20_000}", WRONG_SECRET)
            statuses[live.ask(form(), authorization=wrong).status_code] += 1
        close_logs()

    said = [line for line in logs if line["event"] == "authentication_failed"]
    assert set(raw.keys()) == keys
    assert len(logs) == len(said) + 1 == 31
    assert len(said) + logs[-1]["suppressed"] == flood
    assert set(statuses) == {401}
    assert resident() - resident_before < 32 * MEBIBYTE
    assert issued(live.ask())


@pytest.mark.parametrize("flood", FLOODS)
def test_a_flood_of_refusals(live: Live, evidence: Evidence, raw, flood: int) -> None:
    """A client whose requests are refused has so many of them written in each minute; all others
    are counted, to the last one. Its own exchanges go on, too.
    """
    asked = post(resource="https://elsewhere.example.com/api")
    assert live.ask(asked).status_code == 400
    before = used(raw)

    for _ in range(flood - 1):
        assert live.ask(asked).status_code == 400

    written = int(raw.xlen(HOME.refusals))
    assert used(raw) - before < 8 * MEBIBYTE
    assert issued(live.ask())
    for client, value in raw.hgetall(HOME.caps).items():
        window, _, rest = value.partition(b":")
        raw.hset(HOME.caps, client, b"%d:%s" % (int(window) - 1, rest))
    evidence.settle()
    events = [json.loads(one.event) for one in evidence.read(HOME.number, "refusals", count=10_000)]
    kinds = Counter(event["type"] for event in events)
    counted = sum(event.get("count", 0) for event in events)
    assert kinds["refusal"] + counted == flood
    assert written <= (CAP + 1) * kinds["refusals_suppressed"]
    assert raw.hlen(HOME.caps) == 0


def test_a_full_stream_of_refusals_harms_nobody(live: Live, raw) -> None:
    """Nobody has drained for long, and refusals fill what there is for them: exchanges go on."""
    with raw.pipeline() as pipeline:
        for number in range(1, Limits().undrained_events + 1):
            pipeline.xadd(HOME.refusals, {"event": "x"}, id=f"{number}-0")
        pipeline.execute()

    refused = live.ask(post(resource="https://elsewhere.example.com/api"))

    assert refused.status_code == 400
    assert "Delegation-Decision" in refused.headers
    assert issued(live.ask())
    assert int(raw.xlen(HOME.refusals)) == Limits().undrained_events
    assert raw.hget(HOME.caps, CALENDAR_MCP).endswith(b":0:1")
