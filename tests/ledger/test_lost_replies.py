"""A reply that is lost: asked for once more, answered as before, written once."""

import pytest

from delegation.audit.acts import Acts
from delegation.audit.events import Events
from delegation.domain.errors import Unavailable
from delegation.domain.locks import EVERYTHING
from delegation.ledger.ledger import Limits, RedisLedger
from delegation.ledger.locks import RedisLocks
from delegation.ledger.server import Server
from delegation.ledger.store import Store
from tests.parties import ALICE, a_case
from tests.valkey import PARTITIONS, an_order, decide, now_in_milliseconds, snapshot

HOME = PARTITIONS.of(ALICE)


@pytest.fixture(name="behind")
def _behind(store, proxy):
    """The store behind the proxy."""
    server = Server(proxy.url, timeout=2)
    yield Store(server, store.partitions)
    server.close()


@pytest.fixture(name="ledger")
def _ledger(behind, raw):
    """A ledger in it, whose connection has been used before."""
    ledger = RedisLedger(behind, events=Events(), limits=Limits())
    assert ledger.problems() == []
    ledger.record(decide(ledger), a_case())
    raw.delete(HOME.events)
    return ledger


@pytest.fixture(name="locks")
def _locks(behind):
    """What is stopped in it."""
    return RedisLocks(behind, events=Acts())


def claim(ledger, nonce="attempt-1"):
    """Claim one assertion."""
    now = now_in_milliseconds()
    return ledger.claim("calendar-mcp", "one", nonce=nonce, issued_at=now, until=now + 60_000)


def test_a_record_is_acknowledged_and_written_once(ledger, proxy, evidence):
    """One record, one event, although it was sent twice."""
    delegation = decide(ledger)
    proxy.cuts = 1

    ledger.record(delegation, a_case())

    assert proxy.cuts == 0
    assert ledger.describe(delegation.id).alive
    assert len(evidence.read(HOME.number, "events", count=10)) == 1


def test_a_claim_gets_its_own_answer_again(ledger, proxy):
    """It is not taken for a replay of itself; a replay is still one."""
    proxy.cuts = 1

    assert claim(ledger)

    assert proxy.cuts == 0
    assert not claim(ledger, nonce="attempt-2")


def test_a_replay_stays_a_replay(ledger, proxy):
    """Losing the answer to a replay does not make it the first."""
    assert claim(ledger)
    proxy.cuts = 1

    assert not claim(ledger, nonce="attempt-2")


def test_a_void_is_written_once(ledger, proxy, evidence):
    """One event says that nothing was issued."""
    delegation = decide(ledger)
    ledger.record(delegation, a_case())
    proxy.cuts = 1

    ledger.void(delegation, a_case())

    assert len(evidence.read(HOME.number, "events", count=10)) == 2


@pytest.mark.parametrize("cuts", [1, 2])
def test_a_lock_stands_once(locks, proxy, raw, cuts):
    """Whichever reply is lost: one event, one lock, everywhere, be it after a repetition."""
    order = an_order(locks, EVERYTHING)
    proxy.cuts = cuts

    try:
        locks.lock(order)
    except Unavailable:
        locks.lock(order)

    assert [raw.hlen(p.lock_book) for p in PARTITIONS.all()] == [1] * PARTITIONS.count
    assert [int(raw.hget(p.layout, "locks")) for p in PARTITIONS.all()] == [1] * PARTITIONS.count
    assert raw.xlen(PARTITIONS.all()[0].events) == 1


@pytest.mark.parametrize("verb", ["record", "claim", "describe"])
def test_twice_lost_is_no_answer(ledger, proxy, verb):
    """It is sent once more and never again; after that, nothing is believed."""
    delegation = decide(ledger)
    ask = {
        "record": lambda: ledger.record(delegation, a_case()),
        "claim": lambda: claim(ledger),
        "describe": lambda: ledger.describe(delegation.id),
    }[verb]
    proxy.cuts = 2

    with pytest.raises(Unavailable, match="ledger_unreachable"):
        ask()

    assert proxy.cuts == 0
    ask()


@pytest.mark.parametrize("verb", ["record", "claim", "describe"])
def test_each_verb_is_one_round_trip(ledger, raw, verb):
    """One script by its digest, and no other command."""
    delegation = decide(ledger)
    ledger.describe(delegation.id)
    claim(ledger, nonce="before")
    raw.config_resetstat()

    {
        "record": lambda: ledger.record(delegation, a_case()),
        "claim": lambda: claim(ledger),
        "describe": lambda: ledger.describe(delegation.id),
    }[verb]()

    stats = raw.info("commandstats")
    assert stats["cmdstat_evalsha"]["calls"] == 1
    assert not {"cmdstat_eval", "cmdstat_script|load", "cmdstat_select"} & stats.keys()


def test_a_server_that_forgot_the_scripts_is_sent_them(ledger, raw):
    """A restart, or a new replica: the script itself follows once, and the answer is the same."""
    delegation = decide(ledger)
    raw.script_flush()

    ledger.record(delegation, a_case())

    before = snapshot(raw)
    raw.config_resetstat()
    ledger.record(delegation, a_case())
    assert snapshot(raw) == before
    assert "cmdstat_eval" not in raw.info("commandstats")
