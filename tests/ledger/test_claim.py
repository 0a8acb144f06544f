"""`claim`: what can be had once is had once."""

import pytest

from delegation.domain.errors import Unavailable
from delegation.ledger import ledger as module
from tests.valkey import PARTITIONS, now_in_milliseconds, snapshot

pytestmark = pytest.mark.standard("7523-3", "STK-14")

MINUTE = 60_000


@pytest.fixture(name="claim")
def _claim(ledger):
    """Claim an assertion of *calendar-mcp* that is good for a minute, unless told otherwise."""

    def claim(artefact="assertion-1", *, owner="calendar-mcp", nonce="attempt-1", **times):
        now = now_in_milliseconds()
        times = {"issued_at": now, "until": now + MINUTE} | times
        return ledger.claim(owner, artefact, nonce=nonce, **times)

    return claim


def test_an_id_is_taken_once(claim):
    """The second to come gets nothing."""
    assert claim()
    assert not claim(nonce="attempt-2")


def test_the_same_attempt_gets_the_same_answer(claim, raw):
    """A reply that was lost is asked for again with the same nonce."""
    until = now_in_milliseconds() + MINUTE
    assert claim(until=until)
    before = snapshot(raw)

    assert claim(until=until)
    assert snapshot(raw) == before
    assert not claim(nonce="attempt-2")
    assert not claim(nonce="attempt-2")


def test_the_same_id_of_another_owner_is_another_id(claim):
    """Ids are told apart by whose they are."""
    assert claim(owner="calendar-mcp")
    assert claim(owner="mail-mcp", nonce="attempt-2")


def test_it_stays_taken_until_it_is_over_for_every_clock(claim, raw):
    """A worker whose clock is two seconds behind still finds it taken."""
    until = now_in_milliseconds() + MINUTE

    assert claim(until=until)

    partition = PARTITIONS.of_artefact("calendar-mcp", "assertion-1")
    key = partition.claim("calendar-mcp", "assertion-1")
    assert raw.pexpiretime(key) == until + 2000


def test_what_is_over_is_not_free(claim, raw):
    """What could not be held would be free twice."""
    before = snapshot(raw)

    assert not claim(until=now_in_milliseconds() - 3000)

    assert snapshot(raw) == before


def test_what_is_older_than_the_store_counts_as_taken(claim, raw):
    """What was claimed before this store began is not known."""
    before = snapshot(raw)

    assert not claim(issued_at=now_in_milliseconds() - 2000)

    assert snapshot(raw) == before


@pytest.mark.parametrize("behind", [-3000, 3000], ids=["worker ahead", "worker behind"])
def test_nothing_is_claimed_where_clocks_differ(claim, raw, monkeypatch, behind):
    """The hold would end too early for somebody."""
    before = snapshot(raw)
    monkeypatch.setattr(module, "_now", lambda: now_in_milliseconds() - behind)

    with pytest.raises(Unavailable, match="clocks_differ"):
        claim()

    assert snapshot(raw) == before
