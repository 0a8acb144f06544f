"""What has ended is forgotten when nothing that it stopped can be alive; what stands never is."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from delegation.domain.grants import MAX_LIFETIME
from delegation.domain.locks import EVERYTHING, State, Target
from delegation.domain.ports import UnknownLock
from delegation.domain.trust import LONGEST_LIFE, LONGEST_SESSION
from tests.parties import ALICE, LOGIN
from tests.valkey import PARTITIONS, an_order, move_clock, now_in_milliseconds, put

HOME = PARTITIONS.of(ALICE)
MARGIN = timedelta(minutes=2)


def targets(raw):
    """How many targets the locks of Alice's partition name."""
    return int(raw.hlen(HOME.locks))


def booked(raw):
    """How many locks the book of her partition has."""
    return int(raw.hlen(HOME.lock_book))


def msgpack(raw, packed):
    """What the server packed, read by the server."""
    return json.loads(raw.eval("return cjson.encode(cmsgpack.unpack(ARGV[1]))", 0, packed))


def sweep(locks):
    """Let the ledger look around, as it does at every lock: at a few others, so several times."""
    stir = put(locks, Target.pair(ALICE, ALICE))
    for _ in range(5):
        locks.lift(put(locks, Target.pair(ALICE, ALICE)), reason="-", author="-", mistaken=False)
    locks.lift(stir, reason="-", author="-", mistaken=True)


REACHES = [
    pytest.param({}, MAX_LIFETIME, id="ours"),
    pytest.param({"parents": True}, LONGEST_LIFE, id="parents"),
    pytest.param({"since_login": True}, LONGEST_LIFE + LONGEST_SESSION, id="logins"),
]


@pytest.mark.standard("REV-3")
@pytest.mark.parametrize(("reach", "kept"), REACHES)
@pytest.mark.parametrize("how", ["cut-off", "lifted", "ended"])
def test_an_end_is_kept_as_long_as_what_it_stopped_may_live(locks, raw, how, reach, kept):
    """What we issued, foreign tokens, or tokens of a login: the longest that any of them lives."""
    ended = now_in_milliseconds() + 60_000
    ends_at = {"cut-off": ended, "lifted": None, "ended": ended}[how]
    if how == "cut-off":
        move_clock(raw, ended)
    lock = put(locks, Target.subject(ALICE), ends_at=ends_at, **reach)
    move_clock(raw, ended)
    if how == "lifted":
        locks.lift(lock, reason="over", author="sec@example.com", mistaken=False)
    over = ended + int((kept + MARGIN).total_seconds() * 1000)

    move_clock(raw, over)
    sweep(locks)
    assert targets(raw) == 2

    move_clock(raw, over + 1)
    sweep(locks)
    assert targets(raw) == 1


@pytest.mark.parametrize("reach", [{}, {"parents": True}, {"since_login": True}], ids=str)
def test_what_stands_is_never_forgotten(locks, raw, reach):
    """Neither itself nor what the book says of it."""
    lock = put(locks, Target.subject(ALICE), **reach)

    move_clock(raw, now_in_milliseconds() + 10 * 366 * 24 * 3_600_000)
    sweep(locks)

    assert targets(raw) == 2
    assert locks.find(lock.order.id).state is State.STANDING


@pytest.mark.standard("REV-3")
def test_a_new_lock_is_not_forgotten_with_an_old_end(locks, raw):
    """What is known of its target is over, and at that moment it comes."""
    ended = now_in_milliseconds()
    put(locks, Target.subject(ALICE), ends_at=ended)
    move_clock(raw, ended + 366 * 24 * 3_600_000)

    put(locks, Target.subject(ALICE))

    assert targets(raw) == 1


def test_beside_a_lock_that_stands_no_end_is_forgotten(locks, raw):
    """A target is forgotten as a whole."""
    put(locks, Target.subject(ALICE), ends_at=now_in_milliseconds())
    put(locks, Target.subject(ALICE))

    move_clock(raw, now_in_milliseconds() + 10 * 366 * 24 * 3_600_000)
    sweep(locks)

    assert targets(raw) == 2


@pytest.mark.parametrize(
    ("reach", "kept"),
    [({}, LONGEST_LIFE), ({"since_login": True}, LONGEST_LIFE + LONGEST_SESSION)],
    ids=["usual", "logins"],
)
@pytest.mark.parametrize("mistaken", [True, False], ids=["mistaken", "over"])
def test_the_book_tells_of_a_lock_for_as_long_as_its_end_matters(locks, raw, reach, kept, mistaken):
    """Until then a late repetition is told that it was lifted; then it is unknown."""
    ended = now_in_milliseconds() + 60_000
    lock = put(locks, Target.subject(ALICE), **reach)
    move_clock(raw, ended)
    locks.lift(lock, reason="over", author="sec@example.com", mistaken=mistaken)
    over = ended + int((kept + MARGIN).total_seconds() * 1000)

    move_clock(raw, over)
    sweep(locks)
    assert locks.find(lock.order.id).ends_at == ended

    move_clock(raw, over + 1)
    sweep(locks)
    with pytest.raises(UnknownLock):
        locks.find(lock.order.id)


@pytest.mark.parametrize("sampled", [True, False], ids=["dropped", "not yet dropped"])
def test_a_cut_off_of_our_own_tokens_is_told_of_as_long_as_they_live(locks, raw, *, sampled):
    """Of these there may be many: every client can revoke."""
    ended = now_in_milliseconds()
    lock = put(locks, Target.subject(ALICE), ends_at=ended)
    over = lock.ends_at + int((MAX_LIFETIME + MARGIN).total_seconds() * 1000)

    move_clock(raw, over)
    assert locks.find(lock.order.id).state is State.ENDED

    move_clock(raw, over + 1)
    if sampled:
        sweep(locks)
    with pytest.raises(UnknownLock):
        locks.find(lock.order.id)
    assert lock not in locks.page(None, count=100).items


@pytest.mark.parametrize("how", ["ended", "lifted"])
@pytest.mark.parametrize("forgetful", [(0,), (1,), ()], ids=["first", "another", "none"])
def test_the_same_lock_again_when_it_is_forgotten_stands_everywhere(locks, raw, how, forgetful):
    """Whichever partition has dropped it by then, and whichever has not."""
    ends_at = now_in_milliseconds() + 60_000 if how == "ended" else None
    order = an_order(locks, EVERYTHING, key="nightly", ends_at=ends_at)
    locks.lock(order)
    if how == "lifted":
        locks.lift(locks.find(order.id), reason="-", author="-", mistaken=False)
    later = now_in_milliseconds() + int((LONGEST_LIFE + 2 * MARGIN).total_seconds() * 1000)
    move_clock(raw, later)
    for number in forgetful:
        raw.delete(PARTITIONS.all()[number].lock_book, PARTITIONS.all()[number].locks)

    locks.lock(replace(order, ends_at=None if ends_at is None else later + 60_000))

    assert locks.find(order.id).state is State.STANDING
    for partition in PARTITIONS.all():
        [entry] = (msgpack(raw, value) for value in raw.hvals(partition.locks))
        assert [*entry["standing"]] == [order.id]


def test_what_stands_anew_does_so_where_the_old_end_is_still_known(locks, raw):
    """The partition that tells of it has lost its book; the others have not."""
    soon = now_in_milliseconds() + 60_000
    order = an_order(locks, EVERYTHING, key="nightly", ends_at=soon)
    locks.lock(order)
    move_clock(raw, soon)
    raw.delete(PARTITIONS.all()[0].lock_book, PARTITIONS.all()[0].locks)

    locks.lock(replace(order, ends_at=soon + 60_000))

    for partition in PARTITIONS.all():
        [entry] = (msgpack(raw, value) for value in raw.hvals(partition.locks))
        assert [*entry["standing"]] == [order.id]


def test_a_mistake_leaves_nothing_to_remember(locks, raw):
    """Its target is forgotten at the next look around."""
    locks.lift(put(locks, EVERYTHING), reason="wrong", author="sec@example.com", mistaken=True)

    sweep(locks)

    assert targets(raw) == 1


def test_neither_locks_nor_book_grow_without_end(locks, raw):
    """Any number of cut-offs, a quarter of an hour apart: what is kept is bounded."""
    at, most = now_in_milliseconds(), 0

    for number in range(400):
        at += 15 * 60_000
        raw.hset(HOME.layout, "clock", at)
        put(locks, Target.exchange(f"{HOME.number}-{number:022}"), ends_at=at)
        if number > 200:
            most = max(most, targets(raw), booked(raw))

    assert 1 < most < 12


def test_what_is_kept_is_as_long_as_our_tokens_live_where_nothing_else_is_meant(locks, raw):
    """A cut-off on an exchange is over with the last token that came from it."""
    at = now_in_milliseconds()
    put(locks, Target.token(LOGIN, "login-1"), ends_at=at)
    before = targets(raw)

    move_clock(raw, at + 20 * 60_000)
    sweep(locks)

    assert (before, targets(raw)) == (1, 1)
