"""Alarms: each is in the stream that people look at, counted, and no flood hides the others."""

import json

import pytest

from delegation.audit.events import Events
from delegation.domain.alarms import Alarm
from delegation.domain.errors import ALARMING, Cause, NotPermitted, SubjectTokenRejected
from delegation.ledger.alarms import RedisAlarms
from delegation.ledger.ledger import Limits, RedisLedger
from tests.parties import CALENDAR_MCP, a_case, a_client
from tests.valkey import PARTITIONS

STOLEN = SubjectTokenRejected(Cause.PRESENTED_BY_ANOTHER_CLIENT)
REPLAYED = Alarm(cause=Cause.ALREADY_USED, about=CALENDAR_MCP, source="192.0.2.1")


@pytest.fixture(name="alarms")
def _alarms(store):
    """What is read of them."""
    return RedisAlarms(store)


def refuse(ledger, cause, client=CALENDAR_MCP):
    """Refuse a request of *client*; the decision's id."""
    return ledger.refuse(NotPermitted(cause), a_case(client=a_client(id=client)))


def shown(page):
    """The events of a page."""
    return [json.loads(stored.event) for stored in page.items]


def everything(alarms, count):
    """Page after page, *count* at a time."""
    cursor, pages = None, []
    while True:
        page = alarms.page(cursor, count=count)
        pages.append(page.items)
        cursor = page.cursor
        if cursor is None:
            return pages


@pytest.mark.parametrize("cause", sorted(Cause))
def test_what_alarms_is_there_and_nothing_else(ledger, alarms, cause):
    """A refusal for an alarming cause is an alarm, with the event that it has anyway."""
    decision = refuse(ledger, cause)

    found = shown(alarms.page(None, count=10))
    assert [event["decision"] for event in found] == ([decision] if cause in ALARMING else [])
    assert alarms.counts() == ({cause.value: 1} if cause in ALARMING else {})


def test_what_is_no_refusal_is_there_too(ledger, alarms, evidence):
    """Its event stands in the audit trail, among the refusals of whom it is about."""
    ledger.sound(REPLAYED)

    [stored] = alarms.page(None, count=10).items
    assert json.loads(stored.event) == {
        "version": 1,
        "type": "alarm",
        "cause": "already_used",
        "alarm": True,
        "about": CALENDAR_MCP,
        "source": "192.0.2.1",
        "detail": {},
    }
    home = PARTITIONS.of_client(CALENDAR_MCP)
    assert evidence.read(home.number, "refusals", count=10) == [stored]
    assert alarms.counts() == {"already_used": 1}


@pytest.mark.parametrize("count", [1, 2, 3, 100])
def test_newest_first_over_all_partitions(ledger, alarms, count):
    """Each comes once, in the order of their time, however they are cut into pages."""
    for number in range(10):
        refuse(ledger, Cause.LINEAGE_DEAD, client=f"mcp-{number}")

    pages = everything(alarms, count)

    found = [json.loads(stored.event)["client"] for page in pages for stored in page]
    times = [stored.at for page in pages for stored in page]
    assert sorted(found) == [f"mcp-{number}" for number in range(10)]
    assert times == sorted(times, reverse=True)
    assert {len(page) for page in pages[:-1]} <= {count}
    assert pages[-1]


def test_those_of_one_moment(alarms, raw):
    """Two partitions may have an alarm at the very same time: a page may end between them."""
    for partition in PARTITIONS.all():
        for sequence in (1, 2):
            name = f"{partition.number}.{sequence}"
            fields = {"at": 7, "epoch": "0f", "number": sequence, "event": json.dumps(name)}
            raw.xadd(partition.alarms, fields, id=f"7-{sequence}")

    for count in range(1, 18):
        found = [json.loads(stored.event) for page in everything(alarms, count) for stored in page]

        assert len(found) == 2 * PARTITIONS.count
        assert found == sorted(found, key=lambda name: (name[2], name[0]), reverse=True)


def test_there_are_none(alarms):
    """An empty page is the last one."""
    page = alarms.page(None, count=10)

    assert (page.items, page.cursor) == ((), None)
    assert alarms.counts() == {}


@pytest.mark.parametrize(
    "cursor",
    ["", "1", "1-1", "1-1.", "1-1.x", "+.1", "1-1.1 ", "1-1.1\n", "\u0661-\u0661.\u0661", "1" * 99],
)
def test_a_cursor_that_is_none_of_ours(alarms, cursor):
    """It is refused, and never a part of a question."""
    with pytest.raises(ValueError, match="cursor"):
        alarms.page(cursor, count=10)


def test_a_flood_is_counted_and_cut(store, alarms):
    """Within a minute a client's cap holds for its alarms, too; the counter has them all."""
    limits = Limits(refusals_per_minute=2)
    ledger = RedisLedger(store, events=Events(), limits=limits)

    for _ in range(5):
        refuse(ledger, Cause.LINEAGE_DEAD)
    refuse(ledger, Cause.LINEAGE_DEAD, client="another")

    assert len(alarms.page(None, count=10).items) == 3
    assert alarms.counts() == {"lineage_dead": 6}


def test_the_latest_are_kept(ledger, alarms, raw):
    """The stream has an end; what falls off it is in the audit trail."""
    home = PARTITIONS.of_client(CALENDAR_MCP)
    pipeline = raw.pipeline()
    for number in range(1, 3001):
        fields = {"at": number, "epoch": "0f", "number": number, "event": "{}"}
        pipeline.xadd(home.alarms, fields, id=f"{number}-0")
    pipeline.execute()

    decision = refuse(ledger, Cause.LINEAGE_DEAD)

    assert 1000 <= raw.xlen(home.alarms) <= 1200
    assert shown(alarms.page(None, count=1))[0]["decision"] == decision


def test_where_evidence_is_full_it_is_counted_still(store, alarms):
    """What cannot be written is not forgotten altogether."""
    ledger = RedisLedger(store, events=Events(), limits=Limits(undrained_events=1))

    for _ in range(3):
        ledger.refuse(STOLEN, a_case())

    assert alarms.counts() == {"presented_by_another_client": 3}
    assert len(alarms.page(None, count=10).items) == 1
