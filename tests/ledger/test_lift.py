"""`lift`: a lock ends, and what it stopped stays dead; or it was a mistake, and never was."""

from datetime import UTC, datetime, timedelta

import pytest

from delegation.domain.errors import Cause, LockIncomplete, SubjectTokenRejected, Unavailable
from delegation.domain.locks import EVERYTHING, State, Target
from delegation.domain.ports import UnknownLock
from tests.parties import ALICE, CALENDAR_MCP, LOGIN, a_case, a_verified_token
from tests.valkey import (
    PARTITIONS,
    an_order,
    decide,
    let_a_moment_pass,
    move_clock,
    now_in_milliseconds,
    put,
    snapshot,
    somebody_in,
)

HOME = PARTITIONS.of(ALICE)
TARGETS = [
    pytest.param(EVERYTHING, id="many"),
    pytest.param(Target.subject(ALICE), id="one"),
]


def recorded(ledger, subject=ALICE, **changes):
    """An exchange for *subject* that is recorded."""
    now = datetime.now(UTC)
    token = a_verified_token(now=now, subject=subject, **changes)
    delegation = decide(ledger, now=now, subject=token)
    ledger.record(delegation, a_case())
    return delegation


def lift(locks, lock, *, mistaken=False):
    """Lift it."""
    locks.lift(lock, reason="it is over", author="sec@example.com", mistaken=mistaken)
    let_a_moment_pass()


@pytest.mark.standard("REV-3")
@pytest.mark.parametrize("target", TARGETS)
def test_what_was_stopped_stays_dead(ledger, locks, target):
    """A lift revives nothing that we had issued; what comes after it lives."""
    before = recorded(ledger)
    lock = put(locks, target)

    lift(locks, lock)

    lifted = locks.find(lock.order.id)
    assert lifted.state is State.LIFTED
    assert lifted.ends_at >= lifted.begins_at
    assert lifted.order == lock.order
    assert not ledger.describe(before.id).alive
    assert ledger.describe(recorded(ledger).id).alive


@pytest.mark.standard("REV-3")
@pytest.mark.parametrize("parents", [True, False], ids=["parents", "ours"])
def test_a_foreign_token_from_before_stays_dead_where_the_lock_says_so(ledger, locks, parents):
    """Otherwise everybody who is logged in can go on."""
    lift(locks, put(locks, EVERYTHING, parents=parents))

    if parents:
        with pytest.raises(SubjectTokenRejected) as refused:
            recorded(ledger)
        assert refused.value.cause is Cause.LINEAGE_DEAD
    else:
        assert ledger.describe(recorded(ledger).id).alive


@pytest.mark.standard("REV-3")
def test_a_login_from_before_stays_dead_where_the_lock_says_so(ledger, locks):
    """However fresh the token, a login that nothing is known of counts as long ago."""
    fresh = {"issued_at": datetime.now(UTC) + timedelta(minutes=1)}
    lift(locks, put(locks, Target.subject(ALICE), since_login=True))

    with pytest.raises(SubjectTokenRejected) as refused:
        recorded(ledger, **fresh)

    assert refused.value.cause is Cause.LINEAGE_DEAD


@pytest.mark.parametrize("target", TARGETS)
def test_a_mistake_is_as_if_it_had_never_been(ledger, locks, target):
    """What it stopped is alive again."""
    before = recorded(ledger)
    lock = put(locks, target, parents=True, since_login=True)
    assert not ledger.describe(before.id).alive

    lift(locks, lock, mistaken=True)

    assert locks.find(lock.order.id).state is State.ANNULLED
    assert ledger.describe(before.id).alive
    recorded(ledger)


def test_a_mistake_leaves_what_another_lock_stopped(ledger, locks):
    """It annuls itself alone: not a lock that stands beside it, nor one that has ended."""
    before = recorded(ledger)
    mistake = put(locks, Target.client(CALENDAR_MCP))
    lift(locks, put(locks, Target.client(CALENDAR_MCP)))

    lift(locks, mistake, mistaken=True)

    assert not ledger.describe(before.id).alive
    assert ledger.describe(recorded(ledger).id).alive


@pytest.mark.parametrize("mistaken", [True, False], ids=["mistaken", "over"])
def test_of_two_locks_on_one_target_the_other_stands(ledger, locks, mistaken):
    """Each is lifted by itself."""
    before = recorded(ledger)
    first = put(locks, Target.client(CALENDAR_MCP))
    second = put(locks, Target.client(CALENDAR_MCP))

    lift(locks, first, mistaken=mistaken)

    assert locks.find(second.order.id).state is State.STANDING
    assert not ledger.describe(before.id).alive


def test_lifted_already_is_lifted(locks, raw):
    """A repetition changes nothing, whatever it says; there is one event."""
    lock = put(locks, EVERYTHING)
    lift(locks, lock)
    before = snapshot(raw)

    lift(locks, lock)
    lift(locks, lock, mistaken=True)

    assert snapshot(raw) == before
    assert raw.xlen(PARTITIONS.all()[0].events) == 2


def test_what_has_ended_by_itself_has_ended(ledger, locks, raw):
    """There is nothing to lift, nothing to tell, and nothing to annul."""
    before = recorded(ledger)
    lock = put(locks, EVERYTHING, ends_at=now_in_milliseconds() + 60_000)
    move_clock(raw, lock.ends_at)
    snapped = snapshot(raw)

    lift(locks, lock, mistaken=True)

    assert snapshot(raw) == snapped
    assert locks.find(lock.order.id).state is State.ENDED
    assert not ledger.describe(before.id).alive


def test_a_lift_says_what_time_it_was(locks, raw):
    """The store never goes back behind it: what is recorded later counts as later."""
    lock = put(locks, Target.subject(ALICE))

    lift(locks, lock)

    assert int(raw.hget(HOME.layout, "clock")) == locks.find(lock.order.id).ends_at


def test_a_lock_that_nobody_put_on_cannot_be_lifted(locks, store, raw):
    """It is unknown, and leaves no trace."""
    lock = put(locks, EVERYTHING)
    raw.delete(*(partition.lock_book for partition in store.partitions.all()))
    before = snapshot(raw)

    with pytest.raises(UnknownLock):
        lift(locks, lock)

    assert snapshot(raw) == before


@pytest.mark.standard("REV-1")
def test_there_is_no_end_without_the_event(ledger, locks, raw):
    """Where the event cannot be written, the lock goes on."""
    delegation = recorded(ledger)
    lock = put(locks, Target.subject(ALICE))
    raw.xadd(HOME.events, {"later": "event"}, id="99-0")
    before = snapshot(raw)

    with pytest.raises(Unavailable, match="ledger_unwell"):
        lift(locks, lock, mistaken=True)

    assert snapshot(raw) == before
    assert not ledger.describe(delegation.id).alive


def test_a_repetition_completes_what_is_missing(ledger, locks, raw):
    """Until then the others go on with it."""
    layout = PARTITIONS.all()[3].layout
    kept = raw.hgetall(layout)
    lock = put(locks, EVERYTHING)
    kept["locks"] = "1"
    raw.delete(layout)

    with pytest.raises(LockIncomplete) as incomplete:
        lift(locks, lock)

    assert incomplete.value.missing == (3,)
    raw.hset(layout, mapping=kept)
    with pytest.raises(Exception, match="locked"):
        recorded(ledger, somebody_in(3))
    lift(locks, lock)
    recorded(ledger, somebody_in(3))


@pytest.mark.standard("REV-3")
@pytest.mark.parametrize("mistaken", [True, False], ids=["mistaken", "over"])
def test_a_lift_reaches_where_the_lock_never_came(ledger, locks, raw, mistaken):
    """There it must not come any more, and what it was to stop is as dead as elsewhere."""
    somebody = recorded(ledger, somebody_in(3))
    layout = PARTITIONS.all()[3].layout
    kept = raw.hgetall(layout)
    order = an_order(locks, Target.issuer(LOGIN))
    raw.delete(layout)
    with pytest.raises(LockIncomplete):
        locks.lock(order)
    raw.hset(layout, mapping=kept)

    lift(locks, locks.find(order.id), mistaken=mistaken)

    assert ledger.describe(somebody.id).alive is mistaken
    assert ledger.describe(recorded(ledger, somebody_in(3)).id).alive
