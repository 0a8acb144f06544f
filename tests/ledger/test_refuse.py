"""`refuse` and `settle`: refusals leave evidence, and cannot fill the store with it."""

import json

import pytest

from delegation.audit.events import Events
from delegation.domain.errors import Cause, NotPermitted
from delegation.ledger.ledger import Limits, RedisLedger
from tests.parties import CALENDAR_MCP, a_case, a_client
from tests.valkey import PARTITIONS, decide, now_in_milliseconds

HOME = PARTITIONS.of_client(CALENDAR_MCP)
REFUSAL = NotPermitted(Cause.NO_GRANT, resource="https://calendar.example.com/api")
MINUTE = 60_000


@pytest.fixture(name="ledger")
def _ledger(store):
    """A ledger that writes two refusals of a client in a minute, and holds five of all."""
    limits = Limits(undrained_events=5, refusals_per_minute=2)
    return RedisLedger(store, events=Events(), limits=limits)


def refuse(ledger, times=1, **changes):
    """Refuse so many requests of one client; the decisions' ids."""
    return [ledger.refuse(REFUSAL, a_case(**changes)) for _ in range(times)]


def refusals(evidence, partition=HOME):
    """The events that stand in the stream of refusals."""
    events = evidence.read(partition.number, "refusals", count=100)
    assert [event.number for event in events] == list(range(1, len(events) + 1))
    return [json.loads(event.event) for event in events]


def a_minute_later(raw):
    """Let what has been counted be of the minute before this one."""
    for client, value in raw.hgetall(HOME.caps).items():
        window, _, rest = value.partition(b":")
        raw.hset(HOME.caps, client, b"%d:%s" % (int(window) - 1, rest))


def now_of_the_window():
    """The beginning of this minute."""
    return now_in_milliseconds() // MINUTE * MINUTE


def test_a_refusal_has_an_event_under_its_decision(ledger, evidence):
    """It is in its client's partition, since a subject may not be known; so is the decision's
    id.
    """
    [decision] = refuse(ledger)

    [event] = refusals(evidence)
    assert (event["type"], event["decision"]) == ("refusal", decision)
    assert PARTITIONS.of_exchange(decision) == HOME


def test_refusals_beyond_the_cap_are_counted(ledger, evidence):
    """So many are written in a minute, the others are not, and still have an id."""
    assert len(set(refuse(ledger, 5))) == 5

    assert [event["type"] for event in refusals(evidence)] == ["refusal"] * 2


def test_the_next_minute_says_how_many_were_suppressed(ledger, evidence, raw):
    """The count comes before the first refusal of the next minute, which is written again."""
    since = now_of_the_window()
    refuse(ledger, 5)
    a_minute_later(raw)

    refuse(ledger)

    *_, suppressed, last = refusals(evidence)
    assert suppressed["type"] == "refusals_suppressed"
    assert (suppressed["client"], suppressed["count"]) == (CALENDAR_MCP, 3)
    assert suppressed["since"] in {since - MINUTE, since}
    assert last["type"] == "refusal"


def test_each_client_has_a_cap_of_its_own(ledger, evidence):
    """One client's flood hides nobody else's refusals."""
    neighbour = next(
        name for name in map("mcp-{}".format, range(1000)) if PARTITIONS.of_client(name) == HOME
    )
    refuse(ledger, 3)

    refuse(ledger, client=a_client(id=neighbour))

    assert [event["client"] for event in refusals(evidence)] == [CALENDAR_MCP] * 2 + [neighbour]


def test_settling_writes_what_silent_clients_left(ledger, evidence, raw):
    """A client that never comes back leaves its count, too, and nothing else."""
    refuse(ledger, 5)
    a_minute_later(raw)

    evidence.settle()
    evidence.settle()

    *_, suppressed = refusals(evidence)
    assert (suppressed["type"], suppressed["count"]) == ("refusals_suppressed", 3)
    assert len(refusals(evidence)) == 3
    assert not raw.exists(HOME.caps)


def test_settling_leaves_the_running_minute_alone(ledger, evidence, raw):
    """A cap is in force until its minute is over."""
    refuse(ledger, 5)
    running = {CALENDAR_MCP.encode(): b"%d:2:3" % (now_in_milliseconds() // MINUTE + 1)}
    raw.hset(HOME.caps, mapping=running)  # a minute that will surely not end meanwhile

    evidence.settle()

    assert raw.hgetall(HOME.caps) == running
    assert [event["type"] for event in refusals(evidence)] == ["refusal"] * 2


def test_where_nothing_was_suppressed_nothing_is_said(ledger, evidence, raw):
    """A quiet client leaves no count."""
    refuse(ledger, 2)
    a_minute_later(raw)

    evidence.settle()

    assert [event["type"] for event in refusals(evidence)] == ["refusal"] * 2


def test_the_stream_of_refusals_is_bounded(ledger, evidence, raw):
    """Where it is full, refusals are counted, however long ago it filled; no count is lost."""
    for _ in range(4):
        refuse(ledger, 2)
        a_minute_later(raw)
    assert len(refusals(evidence)) == 5

    a_minute_later(raw)
    refuse(ledger, 2)
    evidence.trim(HOME.number, "refusals", evidence.read(HOME.number, "refusals", count=5)[-1])
    refuse(ledger)

    events = evidence.read(HOME.number, "refusals", count=10)
    found = [json.loads(event.event) for event in events]
    assert [event.number for event in events] == [6, 7]
    assert [event["type"] for event in found] == ["refusals_suppressed", "refusal"]
    assert found[0]["count"] == 5


def test_refusals_never_starve_exchanges(ledger, raw):
    """However full the stream of refusals is, exchanges are recorded and the service is ready."""
    for number in range(1, 100):
        raw.xadd(HOME.refusals, {"event": "x"}, id=f"{number}-0")

    refuse(ledger, 3)
    ledger.record(decide(ledger), a_case())

    assert ledger.problems() == []
