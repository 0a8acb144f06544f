"""What was exchanged and has not expired: found, listed by whatever names it, with its lineage."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from delegation.domain.exchanges import Filter, RecordedExchange, blast_radius
from delegation.domain.locks import EVERYTHING, Kind, Target, milliseconds
from delegation.domain.parties import Identity
from delegation.ledger.partitions import entry
from tests.parties import (
    ALICE,
    CALENDAR_API,
    CALENDAR_API_CLIENT,
    CALENDAR_MCP,
    DESK_AGENT,
    LOGIN,
    OUR_ISSUER,
    ROOMS_API,
    a_case,
    a_verified_token,
)
from tests.valkey import PARTITIONS, decide, decide_next, move_clock, put, somebody_in

MCP, API = Identity(OUR_ISSUER, CALENDAR_MCP), Identity(OUR_ISSUER, CALENDAR_API_CLIENT)
AGENT = Identity(LOGIN, DESK_AGENT)
BOB = somebody_in((PARTITIONS.of(ALICE).number + 1) % PARTITIONS.count)
NEIGHBOUR = somebody_in(PARTITIONS.of(ALICE).number)


def recorded(ledger, subject=ALICE, now=None):
    """An exchange for *subject* that is recorded."""
    now = now or datetime.now(UTC)
    delegation = decide(ledger, now=now, subject=a_verified_token(now=now, subject=subject))
    ledger.record(delegation, a_case())
    return delegation


def onward(ledger, parent):
    """The exchange of what *parent* led to."""
    delegation = decide_next(ledger, parent)
    ledger.record(delegation, a_case())
    return delegation


def listed(exchanges, *targets, lineage=False, count=1000, budget=1000):
    """The ids of all that is meant, from as many pages as it takes."""
    meant, found, cursor = Filter(targets, lineage=lineage), [], None
    while True:
        page = exchanges.page(meant, cursor, count=count, budget=budget)
        assert len(page.items) <= count
        assert page.looked_at <= budget
        found += [one.id for one in page.items]
        cursor = page.cursor
        if cursor is None:
            return found


# One of them


def test_an_exchange_is_found_as_it_was_recorded(ledger, exchanges):
    """Who, for whom, where, what, from what, and until when."""
    first = recorded(ledger)
    second = onward(ledger, first)

    found = exchanges.find(second.id)

    assert found == RecordedExchange(
        id=second.id,
        alive=True,
        recorded_at=ledger.describe(second.id).recorded_at,
        expires_at=milliseconds(second.expires_at),
        subject=ALICE,
        actors=(API, MCP, AGENT),
        client=CALENDAR_API_CLIENT,
        agent=CALENDAR_MCP,
        resource=ROOMS_API,
        grant="rooms",
        scope=frozenset({"rooms.read"}),
        parent=first.id,
    )
    assert exchanges.find(first.id).parent is None


@pytest.mark.parametrize("id_", ["", "exchange-1", f"0-{'A' * 22}", f"9-{'A' * 22}"])
def test_there_is_no_exchange_of_an_unknown_id(exchanges, id_):
    """Whether it has our form or not."""
    assert exchanges.find(id_) is None


def test_what_is_void_is_not_found(ledger, exchanges):
    """Its token was never issued."""
    delegation = recorded(ledger)

    ledger.void(delegation, a_case())

    assert exchanges.find(delegation.id) is None
    assert listed(exchanges) == []


@pytest.mark.standard("7009-4")
def test_what_is_stopped_is_listed_as_dead(ledger, locks, exchanges):
    """With all that came from it, until it expires; the others are alive."""
    first, other = recorded(ledger), recorded(ledger)
    second = onward(ledger, first)

    put(locks, Target.exchange(first.id))

    assert {one.id: one.alive for one in exchanges.relatives(exchanges.find(other.id))} == {
        first.id: False,
        second.id: False,
        other.id: True,
    }


def test_relatives_are_all_that_is_done_for_one_person(ledger, exchanges):
    """Not for a neighbour in the same partition, nor for anybody elsewhere."""
    hers = [recorded(ledger).id for _ in range(3)]
    recorded(ledger, NEIGHBOUR)
    recorded(ledger, BOB)

    found = exchanges.relatives(exchanges.find(hers[0]))

    assert sorted(one.id for one in found) == sorted(hers)


# All that is meant


@pytest.fixture(name="world")
def _world(ledger):
    """Two hops for Alice, one for a neighbour and for Bob."""
    first = recorded(ledger)
    return {
        "first": first,
        "second": onward(ledger, first),
        "neighbour": recorded(ledger, NEIGHBOUR),
        "bob": recorded(ledger, BOB),
    }


FILTERS = {
    Kind.EVERYTHING: (EVERYTHING, "first second neighbour bob", "first second neighbour bob"),
    Kind.ISSUER: (Target.issuer(LOGIN), "first second neighbour bob", "first second neighbour bob"),
    Kind.SUBJECT: (Target.subject(ALICE), "first second", "first second"),
    Kind.AGENT: (Target.agent(MCP), "second", "second"),
    Kind.ACTOR: (Target.actor(API), "second", "second"),
    Kind.CLIENT: (Target.client(CALENDAR_MCP), "first neighbour bob", "first second neighbour bob"),
    Kind.RESOURCE: (Target.resource(ROOMS_API), "second", "second"),
    Kind.GRANT: (Target.grant("calendar"), "first neighbour bob", "first second neighbour bob"),
    Kind.EXCHANGE: (None, "first", "first second"),
    Kind.TOKEN: (Target.token(LOGIN, "login-1"), "", "first second neighbour bob"),
    Kind.PAIR: (Target.pair(ALICE, API), "second", "second"),
}


@pytest.mark.standard("REV-1")
@pytest.mark.parametrize("kind", Kind)
def test_whatever_a_lock_can_name_is_listed(world, exchanges, kind):
    """By itself, or as a lock would reach it: by what it grew from, too."""
    target, own, reached = FILTERS[kind]
    target = target or Target.exchange(world["first"].id)
    ids = {name: delegation.id for name, delegation in world.items()}

    assert set(listed(exchanges, target)) == {ids[name] for name in own.split()}
    assert set(listed(exchanges, target, lineage=True)) == {ids[name] for name in reached.split()}


@pytest.mark.standard("REV-1")
@pytest.mark.parametrize("kind", Kind)
def test_what_is_listed_with_its_lineage_is_what_a_lock_stops(world, exchanges, locks, kind):
    """No more and no less: so a dry run tells what will be."""
    target = FILTERS[kind][0] or Target.exchange(world["first"].id)
    foreseen = set(listed(exchanges, target, lineage=True))

    put(locks, target)

    page = exchanges.page(Filter(), None, count=100, budget=100)
    assert {one.id for one in page.items if not one.alive} == foreseen


def test_several_targets_must_all_match(world, exchanges):
    """They narrow each other, and contradict each other."""
    first, second = world["first"].id, world["second"].id

    assert listed(exchanges, Target.subject(ALICE), Target.client(CALENDAR_MCP)) == [first]
    assert listed(exchanges, Target.subject(ALICE), Target.actor(API)) == [second]
    assert listed(exchanges, Target.subject(ALICE), Target.subject(BOB)) == []
    assert listed(exchanges, Target.subject(ALICE), Target.subject(NEIGHBOUR)) == []
    assert listed(exchanges, Target.pair(ALICE, API), Target.subject(NEIGHBOUR)) == []


@pytest.mark.parametrize("target", [Target.subject(ALICE), Target.pair(ALICE, API)], ids=str)
def test_where_one_person_is_meant_one_partition_is_asked(world, exchanges, raw, target):
    """And of what is there, nobody else's records are looked at."""
    raw.config_resetstat()

    listed(exchanges, target)

    stats = raw.info("commandstats")
    assert stats["cmdstat_zrangebyscore"]["calls"] == 1
    assert stats["cmdstat_pexpiretime"]["calls"] == len(["first", "second"])
    assert world


# Page by page


@pytest.fixture(name="crowd")
def _crowd(ledger):
    """Fifteen exchanges of three people, which all expire at one time; and three that are later."""
    now = datetime.now(UTC)
    people = [ALICE, NEIGHBOUR, BOB]
    tied = [recorded(ledger, people[n % 3], now).id for n in range(15)]
    later = [recorded(ledger, person, now + timedelta(seconds=1.5)).id for person in people]
    return [*tied, *later]


@pytest.mark.parametrize("count", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("budget", [1, 4, 100])
def test_each_is_on_one_page(crowd, exchanges, count, budget):
    """However long the pages, however many expire at once."""
    assert sorted(listed(exchanges, count=count, budget=budget)) == sorted(crowd)
    assert sorted(listed(exchanges, EVERYTHING, count=count, budget=budget)) == sorted(crowd)


def test_the_soonest_to_expire_come_first(crowd, exchanges):
    """Within a partition; partition by partition."""
    page = exchanges.page(Filter(), None, count=100, budget=100)

    assert len(page.items) == len(crowd)
    place = [(PARTITIONS.of_exchange(one.id).number, one.expires_at) for one in page.items]
    assert place == sorted(place)


def test_what_looks_like_somebodys_is_not_taken_for_it(ledger, exchanges, raw):
    """An entry says whose it may be, and the record whose it is."""
    mine, other = recorded(ledger), recorded(ledger, NEIGHBOUR)
    live = PARTITIONS.of(ALICE).live
    raw.zrem(live, entry(NEIGHBOUR, other.id))
    raw.zadd(live, {entry(ALICE, other.id): milliseconds(other.expires_at)})

    assert listed(exchanges, Target.subject(ALICE)) == [mine.id]
    assert sorted(listed(exchanges)) == sorted([mine.id, other.id])


def test_what_comes_and_goes_meanwhile_changes_nothing_for_the_others(ledger, crowd, exchanges):
    """One is void, many expire at the same time: none is passed over or told twice."""
    now = datetime.now(UTC)
    expires_at = datetime.fromtimestamp(exchanges.find(crowd[0]).expires_at / 1000, UTC)
    page = exchanges.page(Filter(), None, count=2, budget=100)
    found = [one.id for one in page.items]
    ledger.void(replace(decide(ledger), id=found[0]), a_case())

    while page.cursor is not None:
        if len(found) < 20:
            for subject in (ALICE, BOB, NEIGHBOUR):
                token = a_verified_token(now=now, subject=subject)
                late = decide(ledger, now=now, subject=token)
                ledger.record(replace(late, expires_at=expires_at), a_case())
        page = exchanges.page(Filter(), page.cursor, count=2, budget=100)
        found += [one.id for one in page.items]

    assert len(found) == len(set(found))
    assert set(crowd) <= set(found)


def test_a_reader_goes_on_though_the_last_it_saw_is_gone(ledger, exchanges):
    """Those that expire at the same time may come again, but none is passed over."""
    now = datetime.now(UTC)
    mine = [recorded(ledger, ALICE, now) for _ in range(4)]
    page = exchanges.page(Filter(), None, count=2, budget=100)
    last = next(one for one in mine if one.id == page.items[-1].id)

    ledger.void(last, a_case())

    rest = exchanges.page(Filter(), page.cursor, count=10, budget=100)
    assert {one.id for one in (*page.items, *rest.items)} == {one.id for one in mine}


def test_what_expires_meanwhile_is_passed_over(crowd, exchanges, raw):
    """The page after that begins with what is left."""
    page = exchanges.page(Filter(), None, count=2, budget=100)
    move_clock(raw, page.items[0].expires_at + 1)

    rest = exchanges.page(Filter(), page.cursor, count=100, budget=100)

    assert {one.id for one in rest.items} == set(crowd[-3:])


def test_a_budget_is_what_may_be_looked_at(crowd, exchanges):
    """Nothing may be found within it, and yet the reader gets on."""
    nobody = Target.client("nobody")

    page = exchanges.page(Filter((nobody,)), None, count=10, budget=5)

    assert (page.items, page.looked_at) == ((), 5)
    assert page.cursor is not None
    assert listed(exchanges, nobody, budget=5) == []
    assert crowd


@pytest.mark.parametrize(
    "cursor",
    [
        *("", "0", "0.0", "0.0.x", "0.0.0", "-1.0.", "0.-1.", "x.0.", "0.0..", "0.0.\n", "0.0.AA"),
        *(f"0.{'9' * 16}.", f"{'9' * 5000}.0.", f"0.0.{'a' * 200}"),
    ],
)
def test_a_cursor_that_is_none_of_ours_is_refused(exchanges, cursor):
    """It is asked of nobody."""
    with pytest.raises(ValueError, match="not a cursor"):
        exchanges.page(Filter(), cursor, count=10, budget=10)


def test_a_cursor_of_another_filter_leads_on_all_the_same(crowd, exchanges):
    """It names a place among all of them."""
    page = exchanges.page(Filter(), None, count=1, budget=100)

    rest = exchanges.page(Filter((Target.subject(BOB),)), page.cursor, count=100, budget=100)

    assert {one.subject for one in rest.items} == {BOB}
    assert crowd


# What a stop would reach


@pytest.mark.standard("REV-1")
def test_the_blast_radius_counts_what_is_alive(world, exchanges, locks):
    """Exchanges, people, actors, and when the last token of each resource expires."""
    put(locks, Target.subject(BOB))
    page = exchanges.page(Filter((EVERYTHING,), lineage=True), None, count=100, budget=100)

    radius = blast_radius(page.items, looked_at=page.looked_at, cursor=page.cursor)

    assert radius.exchanges == 3
    assert radius.subjects == {ALICE, NEIGHBOUR}
    assert radius.actors == {MCP, API, AGENT}
    assert radius.deepest_chain == 3
    assert radius.latest_expiry == {
        CALENDAR_API: max(milliseconds(world[x].expires_at) for x in ("first", "neighbour")),
        ROOMS_API: milliseconds(world["second"].expires_at),
    }
    assert (radius.looked_at, radius.cursor) == (4, None)
