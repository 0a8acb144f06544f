"""Laying out: once, never over what is there, and never by itself."""

import pytest

from delegation.domain.errors import NotPermitted, Unavailable
from delegation.domain.locks import EVERYTHING
from delegation.ledger.layout import LayoutDiffers, initialize, make_ready
from delegation.ledger.partitions import Partitions
from delegation.ledger.store import LAYOUT_VERSION
from tests.parties import ALICE, a_case
from tests.valkey import PARTITIONS, an_order, decide, now_in_milliseconds, snapshot


def test_an_empty_store_is_laid_out_once(server, raw):
    """The first time it is created; again nothing changes."""
    before = now_in_milliseconds()

    assert initialize(server, PARTITIONS) is True

    after = snapshot(raw)
    assert initialize(server, PARTITIONS) is False
    assert snapshot(raw) == after
    layouts = [raw.hgetall(partition.layout) for partition in PARTITIONS.all()]
    assert [layout[b"version"] for layout in layouts] == [b"%d" % LAYOUT_VERSION] * 8
    assert {layout[b"partitions"] for layout in layouts} == {b"8"}
    assert len({layout[b"epoch"] for layout in layouts}) == 1
    assert all(before - 1000 < int(layout[b"born"]) <= before + 5000 for layout in layouts)


@pytest.mark.parametrize("count", [4, 16])
def test_another_number_of_partitions_is_refused(server, raw, count):
    """The number never changes: where would the records be?"""
    initialize(server, PARTITIONS)
    before = {partition.layout: raw.hgetall(partition.layout) for partition in PARTITIONS.all()}

    with pytest.raises(LayoutDiffers, match=f"8 partitions; .* with {count}$"):
        initialize(server, Partitions(count))

    assert {key: raw.hgetall(key) for key in before} == before


def test_another_version_is_refused(server, raw):
    """What another version wrote is not ours to read."""
    initialize(server, PARTITIONS)
    raw.hset(PARTITIONS.all()[5].layout, "version", LAYOUT_VERSION + 1)

    with pytest.raises(LayoutDiffers, match=f"version {LAYOUT_VERSION + 1} "):
        initialize(server, PARTITIONS)


def test_a_partition_that_lost_its_layout_gets_a_new_epoch(ledger, server, raw, evidence):
    """Its events are evidence still: numbers go on, and another epoch tells them apart."""
    home = PARTITIONS.of(ALICE)
    ledger.record(decide(ledger), a_case())
    raw.delete(home.layout)

    assert initialize(server, PARTITIONS) is True

    ledger.record(decide(ledger), a_case())
    first, second = evidence.read(home.number, "events", count=10)
    assert [first.number, second.number] == [1, 2]
    assert first.epoch != second.epoch


def test_what_is_not_ready_takes_locks_and_nothing_else(server, locks, ledger, raw):
    """Until all that was stopped is stopped again, and it is opened; as often as wanted."""
    raw.flushall()
    assert initialize(server, PARTITIONS, ready=False) is True

    everything = put_where_nothing_is_read(locks)
    with pytest.raises(Unavailable, match="layout_not_ready"):
        ledger.record(decide(ledger), a_case())
    assert initialize(server, PARTITIONS) is False
    assert ledger.problems() == ["layout_not_ready"]

    make_ready(server, PARTITIONS)
    make_ready(server, PARTITIONS)

    assert ledger.problems() == []
    with pytest.raises(NotPermitted):
        ledger.record(decide(ledger), a_case())
    assert locks.find(everything).order.target == EVERYTHING


def put_where_nothing_is_read(locks):
    """Put a lock on everything; its id."""
    order = an_order(locks, EVERYTHING)
    locks.lock(order)
    return order.id


def test_what_lost_its_layout_is_not_opened(server, raw):
    """Whoever restores it has to begin again."""
    initialize(server, PARTITIONS, ready=False)
    raw.delete(PARTITIONS.all()[3].layout)

    with pytest.raises(LayoutDiffers, match="lost its layout"):
        make_ready(server, PARTITIONS)

    assert raw.exists(PARTITIONS.all()[3].layout) == 0


def test_a_store_that_cannot_be_reached_is_not_laid_out(server, raw):
    """No answer is no layout."""
    raw.replicaof("127.0.0.1", "1")

    with pytest.raises(Unavailable):
        initialize(server, PARTITIONS)

    raw.replicaof("NO", "ONE")
    assert not raw.keys()
