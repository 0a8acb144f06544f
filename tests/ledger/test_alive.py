"""`is_alive`: an exchange lives for its own root identity, and for nobody else."""

import pytest

from delegation.domain.parties import Identity
from tests.parties import ALICE, LOGIN, a_case
from tests.valkey import decide


@pytest.fixture(name="done")
def _done(ledger):
    """An exchange for Alice."""
    delegation = decide(ledger)
    ledger.record(delegation, a_case())
    return delegation


@pytest.mark.standard("7662-4")
def test_what_is_recorded_is_alive(ledger, done):
    """Until it is voided, and nowhere but at its own id."""
    assert ledger.is_alive(done.id, ALICE)
    assert not ledger.is_alive(ledger.new_id(ALICE), ALICE)

    ledger.void(done, a_case())

    assert not ledger.is_alive(done.id, ALICE)


@pytest.mark.standard("7662-4")
@pytest.mark.parametrize("root", [Identity(LOGIN, "bob"), Identity("https://x.example", "alice")])
def test_an_exchange_of_somebody_else(ledger, done, root):
    """A token in which an id and a root do not belong together says nothing about either."""
    assert not ledger.is_alive(done.id, root)


@pytest.mark.parametrize("id_", ["", "x", "8-AAAAAAAAAAAAAAAAAAAAAA", "-1-AAAAAAAAAAAAAAAAAAAAAA"])
def test_an_id_that_is_none(ledger, id_):
    """It is of no exchange."""
    assert not ledger.is_alive(id_, ALICE)
