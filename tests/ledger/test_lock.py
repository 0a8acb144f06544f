"""`lock`: a stop stands everywhere it has to, or it is not acknowledged."""

import pytest

from delegation.domain.errors import Unavailable
from delegation.domain.locks import EVERYTHING, Kind, Lock, Target
from delegation.domain.parties import Identity
from delegation.ledger.ledger import LockIncomplete
from tests.parties import ALICE, CALENDAR_MCP, LOGIN, OUR_ISSUER, a_case
from tests.valkey import PARTITIONS, decide, now_in_milliseconds, snapshot

ACTOR = Identity(OUR_ISSUER, CALENDAR_MCP)
EVENT = b'{"type":"lock","version":1}'

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


def put(ledger, target, *, id="lock-1", **changes):  # noqa: A002, as the lock says
    """Put a lock on *target*."""
    lock = Lock(id=id, target=target, begins_at=0, **changes)
    ledger.lock(lock, description=b"because", event=EVENT)


def where(raw, name):
    """The numbers of the partitions that have this key."""
    return [p.number for p in PARTITIONS.all() if raw.exists(getattr(p, name))]


def counters(raw):
    """How many locks each partition has counted."""
    return [int(raw.hget(partition.layout, "locks")) for partition in PARTITIONS.all()]


def test_every_kind_has_its_place():
    """Every kind of lock is either about one root identity or about many."""
    assert LOCAL.keys() | EVERYWHERE.keys() == set(Kind)
    assert not LOCAL.keys() & EVERYWHERE.keys()


@pytest.mark.parametrize("target", LOCAL.values(), ids=LOCAL)
def test_a_lock_on_one_person_is_in_their_partition_alone(ledger, raw, target):
    """It stands there, is counted there, and its event is there."""
    put(ledger, target)

    assert where(raw, "locks") == where(raw, "lock_book") == where(raw, "events") == [HOME]
    assert counters(raw) == [int(number == HOME) for number in ALL]


@pytest.mark.parametrize("target", EVERYWHERE.values(), ids=EVERYWHERE)
def test_any_other_lock_is_in_every_partition(ledger, raw, target):
    """It stands in all; its event is in the first, once."""
    put(ledger, target)

    assert where(raw, "locks") == where(raw, "lock_book") == ALL
    assert where(raw, "events") == [0]
    assert raw.xlen(PARTITIONS.all()[0].events) == 1
    assert counters(raw) == [1] * len(ALL)


@pytest.mark.parametrize("exchange", ["exchange-1", "8-" + "A" * 22, ""])
def test_a_lock_that_would_stand_nowhere_is_no_lock(ledger, raw, exchange):
    """An exchange whose id is none of ours is never acknowledged as stopped."""
    before = snapshot(raw)

    with pytest.raises(ValueError, match="not the id of an exchange"):
        put(ledger, Target.exchange(exchange))

    assert snapshot(raw) == before


def test_the_same_lock_again_changes_nothing(ledger, raw):
    """A repetition is acknowledged; neither lock nor event is there twice."""
    put(ledger, EVERYTHING)
    before = snapshot(raw)

    put(ledger, EVERYTHING)

    assert snapshot(raw) == before


def test_another_lock_of_the_same_id_is_not_taken_for_it(ledger, raw):
    """An id that is taken by a lock on something else is refused: that stop does not stand."""
    put(ledger, Target.client("one"))
    before = snapshot(raw)

    with pytest.raises(Unavailable, match="lock_id_taken"):
        put(ledger, Target.client("other"))

    assert snapshot(raw) == before


def test_a_repetition_completes_what_is_missing(ledger, raw):
    """Not acknowledged until every partition has it; the event stands once."""
    layout = PARTITIONS.all()[3].layout
    kept = raw.hgetall(layout)
    raw.delete(layout)

    with pytest.raises(LockIncomplete) as incomplete:
        put(ledger, EVERYTHING)

    assert incomplete.value.problem == "lock_incomplete"
    assert incomplete.value.missing == (3,)
    assert where(raw, "locks") == [number for number in ALL if number != 3]
    raw.hset(layout, mapping=kept)
    put(ledger, EVERYTHING)
    assert where(raw, "locks") == ALL
    assert raw.xlen(PARTITIONS.all()[0].events) == 1


def test_there_is_no_effect_without_the_event(ledger, raw):
    """Where the event cannot be written, the stop stands nowhere, and nothing says it does."""
    first = PARTITIONS.all()[0]
    raw.xadd(first.events, {"later": "event"}, id="99-0")
    before = snapshot(raw)

    with pytest.raises(Unavailable, match="ledger_unwell"):
        put(ledger, EVERYTHING)

    assert snapshot(raw) == before


def test_two_locks_on_one_target_stand_side_by_side(ledger):
    """One that ends does not end the other."""
    delegation = decide(ledger)
    ledger.record(delegation, a_case())

    put(ledger, Target.client(CALENDAR_MCP), id="lasting")
    put(ledger, Target.client(CALENDAR_MCP), id="brief", ends_at=now_in_milliseconds() - 60_000)

    assert not ledger.describe(delegation.id).alive


def test_locks_that_have_ended_take_no_room(ledger, raw):
    """Of any number of cut-offs on one target only the latest ends are kept."""
    sizes = []

    for number in range(5):
        put(ledger, Target.subject(ALICE), id=f"lock-{number}", ends_at=number + 1, parents=True)
        [entry] = raw.hvals(PARTITIONS.of(ALICE).locks)
        sizes.append(len(entry))

    assert len(set(sizes)) == 1
