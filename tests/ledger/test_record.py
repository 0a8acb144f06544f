"""`record`, `void` and `describe`: an exchange stands with its event, or not at all."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from delegation.audit.events import Events
from delegation.audit.packing import unpacked
from delegation.domain.errors import Cause, NotPermitted, SubjectTokenRejected, Unavailable
from delegation.domain.locks import EVERYTHING, Kind, Target, milliseconds
from delegation.domain.parties import Identity
from delegation.ledger.ledger import Description, Limits, RedisLedger
from delegation.ledger.partitions import entry
from tests.parties import (
    ALICE,
    CALENDAR_API,
    CALENDAR_MCP,
    DESK_AGENT,
    LOGIN,
    OUR_ISSUER,
    a_case,
    a_grant,
    a_registry,
    a_token_of_ours,
    a_verified_token,
)
from tests.valkey import (
    PARTITIONS,
    an_order,
    decide,
    decide_next,
    now_in_milliseconds,
    put,
    snapshot,
)

ONCE = a_registry(grants=[a_grant(single_use=True)])


@pytest.fixture(name="old_store")
def _old_store(store, raw):
    """A store that began long before any token in use."""
    for partition in store.partitions.all():
        raw.hset(partition.layout, "born", 0)


def refused_by(ledger, delegation):
    """The refusal of *delegation*."""
    with pytest.raises((NotPermitted, SubjectTokenRejected)) as refused:
        ledger.record(delegation, a_case())
    return refused.value


def place(delegation):
    """How the list of live exchanges names one."""
    return entry(delegation.subject, delegation.id)


def test_an_exchange_is_recorded_with_its_place_and_its_event(ledger, evidence, raw):
    """What is recorded can be described, is found under its subject, and has its event."""
    delegation = decide(ledger)
    partition = PARTITIONS.of(ALICE)
    before = now_in_milliseconds()

    ledger.record(delegation, a_case())

    known = ledger.describe(delegation.id)
    assert known.alive
    assert before <= known.recorded_at <= now_in_milliseconds()
    assert known.detail == {
        "subject": [LOGIN, "alice"],
        "actors": [[OUR_ISSUER, CALENDAR_MCP], [LOGIN, DESK_AGENT]],
        "client": CALENDAR_MCP,
        "agent": DESK_AGENT,
        "resource": CALENDAR_API,
        "grant": "calendar",
        "scope": ["events.read", "events.write"],
        "parent": None,
    }
    assert raw.zrange(partition.live, 0, -1) == [place(delegation)]
    [event] = evidence.read(partition.number, "events", count=10)
    assert event.number == 1
    assert unpacked(event.event)["decision"] == delegation.id
    assert event.at == known.recorded_at


def test_a_typical_record_is_short(ledger, raw):
    """The store holds one for each live exchange; where it were longer than 506, it takes 640."""
    first = decide(ledger)
    ledger.record(first, a_case())
    second = decide_next(ledger, first)
    ledger.record(second, a_case())

    partition = PARTITIONS.of(ALICE)
    length = [raw.strlen(partition.record(one.id)) for one in (first, second)]
    assert length[0] <= 480
    assert length[1] - length[0] <= 250
    assert [len(place) for place in raw.zrange(partition.live, 0, -1)] == [20, 20]


def test_a_record_ends_with_its_token(ledger, raw):
    """The record expires when the token does; the list outlives every token, and is pruned."""
    delegation = decide(ledger)
    partition = PARTITIONS.of(ALICE)
    raw.zadd(partition.live, {"long-gone": now_in_milliseconds() - 1})

    ledger.record(delegation, a_case())

    assert raw.pexpiretime(partition.record(delegation.id)) == milliseconds(delegation.expires_at)
    assert raw.pexpiretime(partition.live) >= now_in_milliseconds() + 900_000
    assert raw.zrange(partition.live, 0, -1) == [place(delegation)]


def test_events_are_numbered_without_gaps(ledger, locks, evidence):
    """Whatever writes an event takes the next number of its stream."""
    first, second = decide(ledger), decide(ledger)
    ledger.record(first, a_case())
    ledger.record(second, a_case())
    ledger.void(second, a_case())
    put(locks, Target.subject(ALICE))
    refused_by(ledger, decide(ledger))

    events = evidence.read(PARTITIONS.of(ALICE).number, "events", count=10)

    assert [event.number for event in events] == [1, 2, 3, 4]


@pytest.mark.standard("7009-4")
def test_the_lineage_is_copied_from_the_parent(locks, ledger):
    """Four hops down, a lock on the very first token, or on its agent, still reaches."""
    chain = [decide(ledger)]
    ledger.record(chain[0], a_case())
    for _ in range(3):
        chain.append(decide_next(ledger, chain[-1]))
        ledger.record(chain[-1], a_case())
    assert ledger.describe(chain[-1].id).alive

    put(locks, Target.token(LOGIN, "login-1"))

    assert not any(ledger.describe(link.id).alive for link in chain)
    assert refused_by(ledger, decide_next(ledger, chain[-1])).cause is Cause.LOCKED


@pytest.mark.standard("7009-4")
def test_a_lock_on_an_ancestor_spares_what_it_came_from(locks, ledger):
    """A stopped exchange stops all that came from it, and nothing else."""
    first = decide(ledger)
    ledger.record(first, a_case())
    second, sibling = decide_next(ledger, first), decide_next(ledger, first)
    ledger.record(second, a_case())
    ledger.record(sibling, a_case())
    third = decide_next(ledger, second)
    ledger.record(third, a_case())

    put(locks, Target.exchange(second.id))

    alive = [ledger.describe(one.id).alive for one in (first, second, sibling, third)]
    assert alive == [True, False, True, False]


@pytest.mark.standard("8693-2.2.2-1")
def test_a_parent_without_a_record_is_dead(ledger, raw):
    """A valid token of ours that the ledger does not know is not exchanged; nothing is written."""
    delegation = decide_next(ledger, decide(ledger))
    before = snapshot(raw)

    refusal = refused_by(ledger, delegation)

    assert (type(refusal), refusal.cause) == (SubjectTokenRejected, Cause.LINEAGE_DEAD)
    assert snapshot(raw) == before


@pytest.mark.parametrize(
    "number",
    [(PARTITIONS.of(ALICE).number + 1) % PARTITIONS.count, PARTITIONS.count, 10**8],
    ids=["another", "none of ours", "huge"],
)
def test_a_parent_in_another_partition_is_dead(ledger, raw, number):
    """An id that says another partition than its subject's is not looked for."""
    parent = a_token_of_ours(now=datetime.now(UTC), id=f"{number}-{'A' * 22}")
    delegation = decide_next(ledger, decide(ledger), subject=parent)
    before = snapshot(raw)

    assert refused_by(ledger, delegation).cause is Cause.LINEAGE_DEAD
    assert snapshot(raw) == before


@pytest.mark.usefixtures("old_store")
def test_a_token_is_used_once_where_the_grant_asks_for_it(ledger, raw):
    """The second exchange of the same token is refused, and nothing is written for it."""
    ledger.record(decide(ledger, registry=ONCE), a_case())
    before = snapshot(raw)

    refusal = refused_by(ledger, decide(ledger, registry=ONCE))

    assert (type(refusal), refusal.cause) == (SubjectTokenRejected, Cause.ALREADY_USED)
    assert refusal.detail == {"grant": "calendar", "resource": CALENDAR_API}
    assert snapshot(raw) == before


@pytest.mark.usefixtures("old_store")
def test_once_means_once_under_each_grant(ledger):
    """What one grant has used up, another may still use once."""
    other = a_registry(grants=[a_grant(single_use=True, id="another")])
    ledger.record(decide(ledger, registry=ONCE), a_case())

    ledger.record(decide(ledger, registry=other), a_case())

    assert refused_by(ledger, decide(ledger, registry=other)).cause is Cause.ALREADY_USED


@pytest.mark.usefixtures("old_store")
def test_the_mark_of_a_used_token_lasts_as_long_as_the_token(ledger, raw):
    """It is kept until the token itself is over."""
    delegation = decide(ledger, registry=ONCE)

    ledger.record(delegation, a_case())

    key = PARTITIONS.of(ALICE).once("calendar", LOGIN, "login-1")
    assert raw.pexpiretime(key) == milliseconds(delegation.parent.expires_at)


def test_a_token_from_before_the_store_counts_as_used(ledger, raw):
    """What was used before this store began is not known."""
    born = now_in_milliseconds() - 10_000
    raw.hset(PARTITIONS.of(ALICE).layout, "born", born)
    before = snapshot(raw)

    assert refused_by(ledger, decide(ledger, registry=ONCE)).cause is Cause.ALREADY_USED
    assert snapshot(raw) == before


@pytest.mark.parametrize("seconds", [-3, 3], ids=["worker behind", "worker ahead"])
def test_nothing_is_recorded_where_clocks_differ(ledger, raw, seconds):
    """More than two seconds between the worker's clock and the store's: no answer."""
    before = snapshot(raw)

    with pytest.raises(Unavailable, match="clocks_differ"):
        ledger.record(decide(ledger, now=datetime.now(UTC) + timedelta(seconds=seconds)), a_case())

    assert snapshot(raw) == before


def test_a_clock_that_is_a_little_off_is_borne(ledger):
    """Within two seconds the store's clock decides."""
    delegation = decide(ledger, now=datetime.now(UTC) - timedelta(seconds=1))

    ledger.record(delegation, a_case())

    assert ledger.describe(delegation.id).recorded_at > milliseconds(delegation.decided_at)


def test_nothing_is_recorded_where_too_many_events_are_undrained(store, raw):
    """The service stops rather than lose evidence; what drains lets it go on."""
    ledger = RedisLedger(store, events=Events(), limits=Limits(undrained_events=2))
    ledger.record(decide(ledger), a_case())
    ledger.record(decide(ledger), a_case())
    before = snapshot(raw)

    with pytest.raises(Unavailable, match="too_many_undrained_events"):
        ledger.record(decide(ledger), a_case())

    assert snapshot(raw) == before
    assert ledger.problems() == ["too_many_undrained_events"]
    raw.xtrim(PARTITIONS.of(ALICE).events, maxlen=1, approximate=False)
    ledger.record(decide(ledger), a_case())


@pytest.mark.usefixtures("old_store")
def test_a_repetition_gets_the_same_answer(ledger, raw):
    """The same record again is acknowledged, and written once."""
    delegation = decide(ledger, registry=ONCE)
    ledger.record(delegation, a_case())
    before = snapshot(raw)

    ledger.record(delegation, a_case())

    assert snapshot(raw) == before


def test_a_repetition_of_what_died_meanwhile_is_refused(ledger, locks, raw):
    """A record that was stopped between two attempts lets no token out."""
    delegation = decide(ledger)
    ledger.record(delegation, a_case())
    put(locks, Target.subject(ALICE))
    before = snapshot(raw)

    assert refused_by(ledger, delegation).cause is Cause.LOCKED
    assert snapshot(raw) == before


TARGETS = [
    EVERYTHING,
    Target.issuer(LOGIN),
    Target.subject(ALICE),
    Target.agent(Identity(LOGIN, DESK_AGENT)),
    Target.actor(Identity(OUR_ISSUER, CALENDAR_MCP)),
    Target.client(CALENDAR_MCP),
    Target.resource(CALENDAR_API),
    Target.grant("calendar"),
    Target.token(LOGIN, "login-1"),
    Target.pair(ALICE, Identity(OUR_ISSUER, CALENDAR_MCP)),
]


def test_every_kind_of_lock_is_covered():
    """The list above misses one kind, which needs an id and has its own test."""
    assert {target.kind for target in TARGETS} == set(Kind) - {Kind.EXCHANGE}


@pytest.mark.standard("7662-4")
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.kind)
def test_a_standing_lock_stops_what_it_matches(ledger, locks, raw, target):
    """While it stands, nothing it matches is alive or recorded, and nothing is written."""
    alive = decide(ledger)
    ledger.record(alive, a_case())

    put(locks, target)

    before = snapshot(raw)
    assert not ledger.describe(alive.id).alive
    refusal = refused_by(ledger, decide(ledger))
    assert (type(refusal), refusal.cause) == (NotPermitted, Cause.LOCKED)
    assert snapshot(raw) == before


def test_a_cut_off_kills_what_was_issued_and_lets_new_exchanges_through(locks, ledger):
    """A lock that ends when it begins: everything of ours up to now, and nothing after it."""
    old = decide(ledger)
    ledger.record(old, a_case())
    time.sleep(0.01)

    put(locks, Target.client(CALENDAR_MCP), ends_at=now_in_milliseconds())

    assert not ledger.describe(old.id).alive
    time.sleep(0.01)
    new = decide(ledger)
    ledger.record(new, a_case())
    assert ledger.describe(new.id).alive


@pytest.mark.standard("REV-3")
def test_a_cut_off_that_reaches_parents_stops_their_exchange(locks, ledger):
    """A foreign token issued up to the end gives nothing any more; a newer one does."""
    put(locks, Target.subject(ALICE), ends_at=now_in_milliseconds() - 1000, parents=True)

    refusal = refused_by(ledger, decide(ledger))

    assert (type(refusal), refusal.cause) == (SubjectTokenRejected, Cause.LINEAGE_DEAD)
    now = datetime.now(UTC)
    fresh = a_verified_token(now=now, id="login-2", issued_at=now + timedelta(seconds=40))
    ledger.record(decide(ledger, subject=fresh), a_case())


def test_a_lock_has_begun_even_where_the_clock_was_set_back(ledger, locks, raw):
    """The store's time is never before its latest lock: a slower clock lets nothing through."""
    delegation, partition = decide(ledger), PARTITIONS.of(ALICE)
    ledger.record(delegation, a_case())
    ahead = now_in_milliseconds() + 1500
    raw.hset(partition.layout, "clock", ahead)  # where it stood before it was set back

    put(locks, Target.subject(ALICE))

    assert not ledger.describe(delegation.id).alive
    assert refused_by(ledger, decide(ledger)).cause is Cause.LOCKED
    assert int(raw.hget(partition.layout, "clock")) == ahead


def test_a_lock_says_what_time_it_was(locks, raw):
    """Every lock moves the time that the store never goes back behind."""
    before = now_in_milliseconds()

    put(locks, Target.subject(ALICE))

    clock = int(raw.hget(PARTITIONS.of(ALICE).layout, "clock"))
    assert before <= clock <= now_in_milliseconds()


def test_a_voided_record_is_dead_and_says_so_once(ledger, evidence, raw):
    """The record and its place in the list go; one event says why; again changes nothing."""
    delegation = decide(ledger)
    ledger.record(delegation, a_case())

    ledger.void(delegation, a_case())
    after = snapshot(raw)
    ledger.void(delegation, a_case())

    assert snapshot(raw) == after
    assert ledger.describe(delegation.id) == Description(alive=False)
    partition = PARTITIONS.of(ALICE)
    assert not raw.exists(partition.record(delegation.id), partition.live)
    events = evidence.read(partition.number, "events", count=10)
    assert [unpacked(event.event)["type"] for event in events] == ["exchange", "not_issued"]


SUFFIX = "A" * 22
HOSTILE = {
    "empty": "",
    "no partition": f"-{SUFFIX}",
    "nothing else": "0-",
    "no hyphen": f"0{SUFFIX}",
    "negative": f"-1-{SUFFIX}",
    "leading zero": f"00-{SUFFIX}",
    "Arabic digit": f"\N{ARABIC-INDIC DIGIT THREE}-{SUFFIX}",
    "superscript": f"\N{SUPERSCRIPT TWO}-{SUFFIX}",
    "out of range": f"8-{SUFFIX}",
    "huge": "1" * 5000 + f"-{SUFFIX}",
    "short": f"1-{SUFFIX[1:]}",
    "long": f"1-{SUFFIX}A",
    "brace": f"1-{SUFFIX[1:]}}}",
    "line break": f"1-{SUFFIX}\n",
    "space": f" 1-{SUFFIX}",
    "umlaut": f"1-{SUFFIX[1:]}\N{LATIN CAPITAL LETTER A WITH DIAERESIS}",
    "lone surrogate": f"1-{SUFFIX[1:]}\ud800",
    "another form": "exchange-1",
}


@pytest.mark.parametrize("exchange", HOSTILE.values(), ids=HOSTILE)
def test_what_is_no_id_of_ours_is_not_alive(ledger, raw, exchange):
    """Unknown ids are not looked for, whatever they hold."""
    raw.config_resetstat()

    assert ledger.describe(exchange) == Description(alive=False)

    assert "cmdstat_evalsha" not in raw.info("commandstats")


def test_an_unknown_id_is_not_alive(ledger):
    """An id in proper form that was never given out."""
    assert ledger.describe(ledger.new_id(ALICE)) == Description(alive=False)


@pytest.mark.standard("9068-2.2-3")
def test_ids_are_unguessable_and_tell_their_partition(ledger):
    """128 random bits, behind the partition of the root identity."""
    ids = {ledger.new_id(ALICE) for _ in range(100)}

    assert len(ids) == 100
    assert {PARTITIONS.of_exchange(one) for one in ids} == {PARTITIONS.of(ALICE)}
    assert all(len(one.partition("-")[2]) == 22 for one in ids)


def test_a_stream_that_cannot_take_the_event_takes_no_record(ledger, raw):
    """No record without its event: where that cannot be written, nothing is."""
    raw.xadd(PARTITIONS.of(ALICE).events, {"later": "event"}, id="99-0")
    before = snapshot(raw)

    with pytest.raises(Unavailable, match="ledger_unwell"):
        ledger.record(decide(ledger), a_case())

    assert snapshot(raw) == before


def test_a_foreign_token_without_a_login_time_counts_as_old(locks, ledger):
    """Unknown is as long ago as can be: a lock since the login stops it."""
    long_ago = now_in_milliseconds() - 360 * 24 * 3_600_000
    put(locks, Target.subject(ALICE), ends_at=long_ago, since_login=True)

    assert refused_by(ledger, decide(ledger)).cause is Cause.LINEAGE_DEAD


def test_what_may_leave_is_recorded(ledger):
    """At the end of the context, and whatever was done inside."""
    delegation = decide(ledger)

    with ledger.recording(delegation, a_case()):
        pass

    assert ledger.describe(delegation.id).alive


def test_what_fails_inside_is_void(ledger, evidence):
    """It was recorded meanwhile: one event says so, and another one that nothing was issued."""
    delegation = decide(ledger)

    with pytest.raises(RuntimeError, match="no key"), ledger.recording(delegation, a_case()):
        raise RuntimeError("no key")

    assert not ledger.describe(delegation.id).alive
    events = evidence.read(PARTITIONS.of(ALICE).number, "events", count=10)
    assert [unpacked(one.event)["type"] for one in events] == ["exchange", "not_issued"]


def test_what_is_refused_is_refused_whatever_fails_inside(ledger, locks, evidence):
    """There is no record then, and nothing to make void."""
    locks.lock(an_order(locks, EVERYTHING))
    before = len(evidence.read(PARTITIONS.of(ALICE).number, "events", count=10))
    delegation = decide(ledger)

    with pytest.raises(NotPermitted), ledger.recording(delegation, a_case()):
        raise RuntimeError("no key")

    assert len(evidence.read(PARTITIONS.of(ALICE).number, "events", count=10)) == before


def test_who_is_told_to_stop_inside_stops(ledger):
    """At once: the answer is given up with its connection, and the next one is its own."""
    delegation, another = decide(ledger), decide(ledger)

    with pytest.raises(KeyboardInterrupt), ledger.recording(delegation, a_case()):
        raise KeyboardInterrupt

    assert ledger.describe(another.id) == Description(alive=False)
    ledger.record(another, a_case())
    assert ledger.describe(another.id).alive
