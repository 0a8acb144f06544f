"""`lock`: a stop stands everywhere it has to, or it is not acknowledged."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, assume, given, settings

from delegation.audit.acts import Acts
from delegation.domain.errors import Cause, LockIncomplete, NotPermitted, Unavailable
from delegation.domain.locks import EVERYTHING, Durability, Kind, State, Target
from delegation.domain.parties import Identity
from delegation.domain.ports import LockConflict
from delegation.ledger.locks import RedisLocks
from delegation.ledger.store import Store
from tests.parties import ALICE, CALENDAR_MCP, LOGIN, OUR_ISSUER, a_case, a_verified_token
from tests.strategies import NAMES
from tests.valkey import (
    PARTITIONS,
    an_order,
    decide,
    decide_next,
    let_a_moment_pass,
    move_clock,
    now_in_milliseconds,
    put,
    snapshot,
    somebody_in,
)

ACTOR = Identity(OUR_ISSUER, CALENDAR_MCP)

LOCAL = {
    Kind.SUBJECT: Target.subject(ALICE),
    Kind.PAIR: Target.pair(ALICE, ACTOR),
    Kind.EXCHANGE: Target.exchange(f"{PARTITIONS.of(ALICE).number}-{'A' * 22}"),
}
EVERYWHERE = {
    Kind.EVERYTHING: EVERYTHING,
    Kind.ISSUER: Target.issuer(LOGIN),
    Kind.AGENT: Target.agent(Identity(LOGIN, "desk-agent")),
    Kind.ACTOR: Target.actor(ACTOR),
    Kind.CLIENT: Target.client(CALENDAR_MCP),
    Kind.RESOURCE: Target.resource("https://calendar.example.com/api"),
    Kind.GRANT: Target.grant("calendar"),
    Kind.TOKEN: Target.token(LOGIN, "login-1"),
}
ALL = [partition.number for partition in PARTITIONS.all()]
HOME = PARTITIONS.of(ALICE).number


def where(raw, name):
    """The numbers of the partitions that have this key."""
    return [p.number for p in PARTITIONS.all() if raw.exists(getattr(p, name))]


def counters(raw):
    """How many locks and lifts each partition has counted."""
    return [int(raw.hget(partition.layout, "locks")) for partition in PARTITIONS.all()]


def recorded(ledger, subject=ALICE, now=None):
    """An exchange for *subject* that is recorded and alive."""
    now = now or datetime.now(UTC)
    delegation = decide(ledger, now=now, subject=a_verified_token(now=now, subject=subject))
    ledger.record(delegation, a_case())
    assert ledger.describe(delegation.id).alive
    return delegation


# Where it stands


def test_every_kind_has_its_place():
    """Every kind of lock is either about one root identity or about many."""
    assert LOCAL.keys() | EVERYWHERE.keys() == set(Kind)
    assert not LOCAL.keys() & EVERYWHERE.keys()


@pytest.mark.standard("REV-1")
@pytest.mark.parametrize("target", LOCAL.values(), ids=LOCAL)
def test_a_lock_on_one_person_is_in_their_partition_alone(locks, raw, target):
    """It stands there, is counted there, and its event is there."""
    put(locks, target)

    assert where(raw, "locks") == where(raw, "lock_book") == where(raw, "events") == [HOME]
    assert counters(raw) == [int(number == HOME) for number in ALL]


@pytest.mark.standard("REV-1")
@pytest.mark.parametrize("target", EVERYWHERE.values(), ids=EVERYWHERE)
def test_any_other_lock_is_in_every_partition(locks, raw, target):
    """It stands in all; its event is in the first, once."""
    put(locks, target)

    assert where(raw, "locks") == where(raw, "lock_book") == ALL
    assert where(raw, "events") == [0]
    assert raw.xlen(PARTITIONS.all()[0].events) == 1
    assert counters(raw) == [1] * len(ALL)


@pytest.mark.parametrize("exchange", ["exchange-1", "8-" + "A" * 22, ""])
def test_a_lock_that_would_stand_nowhere_is_no_lock(locks, raw, exchange):
    """An exchange whose id is none of ours is never acknowledged as stopped."""
    target = Target.exchange(exchange)
    order = replace(an_order(locks, EVERYTHING), target=target)
    before = snapshot(raw)

    with pytest.raises(ValueError, match="not the id of an exchange"):
        locks.new_id(target)
    with pytest.raises(ValueError, match="not the id of an exchange"):
        locks.lock(order)

    assert snapshot(raw) == before


# What it stops


@pytest.mark.standard("7009-4", "REV-3")
@pytest.mark.parametrize("kind", Kind)
def test_every_kind_of_lock_stops_what_was_and_what_comes(ledger, locks, kind):
    """At once, with everything derived from it; while it stands, nothing more is issued."""
    first = recorded(ledger)
    second = decide_next(ledger, first)
    ledger.record(second, a_case())
    target = Target.exchange(first.id) if kind is Kind.EXCHANGE else (LOCAL | EVERYWHERE)[kind]

    put(locks, target)

    assert not ledger.describe(first.id).alive
    assert not ledger.describe(second.id).alive
    next_one = decide_next(ledger, first) if kind is Kind.EXCHANGE else decide(ledger)
    with pytest.raises(NotPermitted) as refused:
        ledger.record(next_one, a_case())
    assert refused.value.cause is Cause.LOCKED


@given(locked=NAMES, other=NAMES)
@settings(
    max_examples=50,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@pytest.mark.standard("REV-2")
def test_a_lock_on_one_person_never_touches_another(ledger, locks, locked, other):
    """Whatever they are called, and whether or not they live in one partition."""
    assume(locked != other)
    theirs = recorded(ledger, Identity(LOGIN, other))

    lock = put(locks, Target.subject(Identity(LOGIN, locked)), parents=True, since_login=True)

    try:
        assert ledger.describe(theirs.id).alive
        recorded(ledger, Identity(LOGIN, other))
    finally:
        locks.lift(lock, reason="over", author="test", mistaken=True)


def test_a_lock_costs_the_same_whatever_it_kills(ledger, locks, raw):
    """As many commands for the first of a crowd as for all of it; none of them looks at records."""
    spent = []

    for crowd in (1, 30):
        for _ in range(crowd):
            recorded(ledger)
        assert ledger.problems() == []  # so that there is a connection for several commands at once
        raw.config_resetstat()
        locks.lock(an_order(locks, EVERYTHING))
        stats = raw.info("commandstats")
        spent.append({name: command["calls"] for name, command in stats.items()})
        raw.delete(*(key for one in PARTITIONS.all() for key in (one.locks, one.lock_book)))

    assert spent[0] == spent[1]
    assert "cmdstat_get" not in spent[0]


def test_two_locks_on_one_target_stand_side_by_side(ledger, locks):
    """One that ends does not end the other."""
    delegation = recorded(ledger)

    put(locks, Target.client(CALENDAR_MCP))
    put(locks, Target.client(CALENDAR_MCP), ends_at=now_in_milliseconds() - 60_000)

    assert not ledger.describe(delegation.id).alive


# When it ends


def test_a_lock_with_an_end_stands_until_then(ledger, locks, raw):
    """Then it has ended by itself: what it stopped stays dead, what comes after it lives."""
    now = datetime.now(UTC)
    ends_at = now_in_milliseconds() + 60_000
    before = recorded(ledger)
    lock = put(locks, Target.client(CALENDAR_MCP), ends_at=ends_at)
    assert (lock.state, lock.ends_at) == (State.STANDING, ends_at)

    move_clock(raw, ends_at - 1)
    later = now + timedelta(seconds=60)
    with pytest.raises(NotPermitted):
        ledger.record(decide(ledger, now=later), a_case())
    move_clock(raw, ends_at + 1)

    assert locks.find(lock.order.id).state is State.ENDED
    assert not ledger.describe(before.id).alive
    recorded(ledger, now=later)


@pytest.mark.standard("REV-3")
def test_a_cut_off_of_this_moment_is_one_by_the_clock_of_the_store(ledger, locks):
    """What was recorded a moment ago is stopped, though the clock of who asks may be behind."""
    delegation = recorded(ledger)

    lock = put(locks, Target.exchange(delegation.id), ends_at=now_in_milliseconds() - 1_900)

    assert lock.state is State.ENDED
    assert lock.ends_at == lock.begins_at
    assert not ledger.describe(delegation.id).alive


@pytest.mark.standard("REV-3")
def test_a_cut_off_in_the_past_spares_what_came_after_it(ledger, locks, raw):
    """Everything up to then is dead; of what followed, nothing."""
    early = recorded(ledger)
    then = now_in_milliseconds()
    move_clock(raw, then + 10_000)
    late = recorded(ledger, now=datetime.now(UTC) + timedelta(seconds=10))

    lock = put(locks, Target.subject(ALICE), ends_at=then)

    assert (lock.state, lock.ends_at) == (State.ENDED, then)
    assert not ledger.describe(early.id).alive
    assert ledger.describe(late.id).alive


@pytest.mark.standard("REV-3")
def test_a_lock_on_a_person_reaches_tokens_that_were_issued_before(ledger, locks):
    """With *parents*, a token from before the cut-off is no good after it, a new one is."""
    now = datetime.now(UTC)
    put(locks, Target.subject(ALICE), ends_at=now_in_milliseconds(), parents=True)
    let_a_moment_pass()

    with pytest.raises(Exception, match="lineage_dead") as refused:
        recorded(ledger)

    assert refused.value.cause is Cause.LINEAGE_DEAD
    fresh = a_verified_token(now=now, issued_at=now + timedelta(minutes=1))
    ledger.record(decide(ledger, now=now, subject=fresh), a_case())


def test_a_lock_holds_though_the_clock_is_behind(ledger, locks, raw):
    """Where the store's clock was set back, or a slower server took over, none begins too late."""
    ahead = now_in_milliseconds() + 1_500
    move_clock(raw, ahead)
    delegation = recorded(ledger)

    lock = put(locks, Target.subject(ALICE))

    assert lock.begins_at == ahead
    assert not ledger.describe(delegation.id).alive


def test_locks_that_have_ended_take_no_room(locks, raw):
    """Of any number of cut-offs on one target only the latest ends are kept."""
    sizes = []
    now = now_in_milliseconds()

    for number in range(5):
        put(locks, Target.subject(ALICE), ends_at=now - 60_000 + number, parents=True)
        [entry] = raw.hvals(PARTITIONS.of(ALICE).locks)
        sizes.append(len(entry))

    assert len(set(sizes)) == 1


# The same again, and what is not the same


@pytest.mark.standard("REV-1", "7009-4")
@pytest.mark.parametrize("target", [EVERYTHING, Target.subject(ALICE)], ids=["many", "one"])
def test_the_same_lock_again_changes_nothing(locks, raw, target):
    """A repetition is acknowledged; neither lock nor event is there twice."""
    first = put(locks, target, key="order-1")
    before = snapshot(raw)

    again = put(locks, target, key="order-1")

    assert again == first
    assert snapshot(raw) == before


def test_a_repetition_may_count_its_end_anew(locks):
    """A time to live is counted from the first attempt, and that end is kept."""
    now = now_in_milliseconds()
    first = put(locks, EVERYTHING, key="order-1", ends_at=now + 60_000)

    again = put(locks, EVERYTHING, key="order-1", ends_at=now + 61_000)

    assert again.ends_at == first.ends_at == now + 60_000


@pytest.mark.standard("REV-1")
@pytest.mark.parametrize(
    "other",
    [
        {"target": Target.client("other")},
        {"parents": True},
        {"since_login": True},
        {"ends_at": 1},
    ],
    ids=["target", "parents", "since-login", "end"],
)
def test_another_lock_of_the_same_id_is_not_taken_for_it(locks, raw, other):
    """An id that is taken by a lock that stops otherwise is refused: that stop does not stand."""
    put(locks, Target.client("one"), key="order-1")
    before = snapshot(raw)

    with pytest.raises(LockConflict) as conflict:
        put(locks, **({"target": Target.client("one"), "key": "order-1"} | other))

    assert conflict.value.problem == "lock_id_taken"
    assert snapshot(raw) == before


@pytest.mark.standard("REV-1")
def test_a_lock_that_was_lifted_is_not_acknowledged_again(locks, raw):
    """A late repetition must not say that it stands."""
    lock = put(locks, EVERYTHING, key="order-1")
    locks.lift(lock, reason="over", author="sec@example.com", mistaken=False)
    before = snapshot(raw)

    with pytest.raises(LockConflict) as conflict:
        locks.lock(lock.order)

    assert conflict.value.problem == "lock_lifted"
    assert snapshot(raw) == before


def test_ids_are_unguessable_unless_a_key_makes_them(locks):
    """They tell the partition whose book has the lock."""
    ids = [locks.new_id(EVERYTHING), locks.new_id(EVERYTHING), locks.new_id(EVERYTHING, key="k")]

    assert len(set(ids)) == 3
    assert ids[2] == locks.new_id(Target.client("any"), key="k")
    assert {PARTITIONS.of_exchange(one).number for one in ids} == {0}
    assert PARTITIONS.of_exchange(locks.new_id(Target.subject(ALICE))).number == HOME


# What is missing


class Interrupted(Store):
    """A store at which something happens between the first partition and the others."""

    def happens(self, what):
        """Let it happen, once, before anybody else is asked."""
        self._turns = [lambda: None, what]
        return self

    def ask_durably(self, *question):
        """As ever, after what happens."""
        if self._turns:
            self._turns.pop(0)()
        return super().ask_durably(*question)


@pytest.fixture(name="interrupted")
def _interrupted(store):
    """The same store, in other hands."""
    return Interrupted(store.server, PARTITIONS)


@pytest.mark.standard("REV-1")
def test_a_repetition_completes_what_is_missing(ledger, locks, raw):
    """Not acknowledged until every partition has it; the event stands once."""
    somebody = recorded(ledger, somebody_in(3))
    order = an_order(locks, EVERYTHING)
    layout = PARTITIONS.all()[3].layout
    kept = raw.hgetall(layout)
    raw.delete(layout)

    with pytest.raises(LockIncomplete) as incomplete:
        locks.lock(order)

    assert incomplete.value.problem == "lock_incomplete"
    assert incomplete.value.missing == (3,)
    assert where(raw, "locks") == [number for number in ALL if number != 3]
    raw.hset(layout, mapping=kept)
    assert ledger.describe(somebody.id).alive
    locks.lock(order)
    assert where(raw, "locks") == ALL
    assert raw.xlen(PARTITIONS.all()[0].events) == 1
    assert not ledger.describe(somebody.id).alive


def test_a_store_that_goes_away_half_way_is_not_said_to_have_it(interrupted, locks, raw):
    """Which of the others have it is not known: all of them are named, until it is repeated."""
    order = an_order(locks, EVERYTHING)

    def go_away():
        raise Unavailable("ledger_unreachable")

    with pytest.raises(LockIncomplete) as incomplete:
        RedisLocks(interrupted.happens(go_away), events=Acts()).lock(order)

    assert incomplete.value.missing == tuple(ALL[1:])
    assert where(raw, "locks") == [0]
    locks.lock(order)
    assert where(raw, "locks") == ALL


@pytest.mark.standard("REV-1")
def test_a_lock_that_is_lifted_meanwhile_stands_nowhere(ledger, interrupted, locks):
    """Who lifts it is faster than it is: it is not acknowledged, and arrives nowhere any more."""
    somebody = recorded(ledger, somebody_in(5))
    order = an_order(locks, EVERYTHING)

    def lift():
        locks.lift(locks.find(order.id), reason="over", author="them", mistaken=False)

    with pytest.raises(LockConflict) as conflict:
        RedisLocks(interrupted.happens(lift), events=Acts()).lock(order)

    assert conflict.value.problem == "lock_lifted"
    assert locks.find(order.id).state is State.LIFTED
    assert not ledger.describe(somebody.id).alive
    let_a_moment_pass()
    for number in ALL:
        recorded(ledger, somebody_in(number))


@pytest.mark.standard("REV-1")
def test_there_is_no_effect_without_the_event(locks, raw):
    """Where the event cannot be written, the stop stands nowhere, and nothing says it does."""
    first = PARTITIONS.all()[0]
    raw.xadd(first.events, {"later": "event"}, id="99-0")
    before = snapshot(raw)

    with pytest.raises(Unavailable, match="ledger_unwell"):
        put(locks, EVERYTHING)

    assert snapshot(raw) == before


def test_a_full_store_can_still_be_stopped(ledger, locks, raw):
    """Nothing more is recorded, but every stop is, and every end of one."""
    delegation = recorded(ledger)
    raw.config_set("maxmemory", 1)
    try:
        with pytest.raises(Unavailable, match="ledger_unwell"):
            ledger.record(decide(ledger), a_case())
        lock = put(locks, EVERYTHING)
        locks.lift(lock, reason="over", author="sec@example.com", mistaken=False)
    finally:
        raw.config_set("maxmemory", 0)

    assert locks.find(lock.order.id).state is State.LIFTED
    assert not ledger.describe(delegation.id).alive


# How safely it is kept


class Uneven(Store):
    """A store of several servers, which keep what they are told more or less safely."""

    def ask_durably(self, script, questions, arguments):
        """As ever, but that the one or the other says less."""
        said = {2: Durability(on_disk=False, replicas=3), 5: Durability(on_disk=True, replicas=1)}
        return [
            (answer, said.get(partition.number, Durability(on_disk=True, replicas=3)))
            for (partition, _), (answer, _) in zip(
                questions, super().ask_durably(script, questions, arguments), strict=True
            )
        ]


@pytest.mark.parametrize("verb", ["lock", "lift"])
def test_it_is_kept_as_safely_as_where_it_is_kept_least(store, verb):
    """On disk only where all are, and at no more replicas than the fewest."""
    locks = RedisLocks(Uneven(store.server, PARTITIONS), events=Acts())
    order = an_order(locks, EVERYTHING)

    reached = locks.lock(order)
    if verb == "lift":
        lock = locks.find(order.id)
        reached = locks.lift(lock, reason="over", author="sec@example.com", mistaken=False)

    assert reached == Durability(on_disk=False, replicas=1)


def test_a_lock_on_one_person_is_as_safe_as_their_server(locks):
    """Here it is on the disk, and nowhere else."""
    assert locks.lock(an_order(locks, Target.subject(ALICE))) == Durability(on_disk=True)
