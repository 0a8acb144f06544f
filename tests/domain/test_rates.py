"""Rate limits: what is counted when, and what a rate says of itself."""

from dataclasses import dataclass, field

import pytest

from delegation.domain.errors import Cause, Refused, TooManyExchanges, Unavailable
from delegation.domain.exchange import Exchange
from delegation.domain.rates import Per, Rate, Usage, lets_more, together
from delegation.domain.tokens import TokenType
from tests.fakes import HeldClock, ListLedger, ListQuota, PlainSigner, TableVerifier
from tests.parties import (
    PLANNER,
    a_case,
    a_client,
    a_presented_token,
    a_request,
    a_verified_token,
    an_actor,
)

SHOWING = a_request(actor_token=a_presented_token(value="actor", type=TokenType.JWT))


@dataclass
class OneActor:
    """Knows one actor token, which may be used once."""

    def actor(self, *_: object) -> object:
        """It, whatever is shown."""
        return an_actor(is_one_time=True)


@dataclass
class Surroundings:
    """What an exchange needs of the world, with a quota in it."""

    quota: ListQuota = field(default_factory=ListQuota)
    ledger: ListLedger = field(default_factory=ListLedger)

    def exchange(self, request: object = None, **case: object) -> None:
        """Trade Alice's token."""
        request = request or a_request()
        verifier = TableVerifier({request.subject_token.value: a_verified_token()}, OneActor())
        Exchange(
            verifier=verifier,
            ledger=self.ledger,
            signer=PlainSigner(),
            clock=HeldClock(),
            quota=self.quota,
        )(request, a_case(**case))


def test_what_is_recorded_was_counted():
    """Once, as it was decided."""
    around = Surroundings()

    around.exchange()

    assert around.quota.taken == around.ledger.recorded
    assert len(around.quota.taken) == 1


@pytest.mark.parametrize(
    "trouble", [TooManyExchanges(Cause.LIMIT_PER_CLIENT), Unavailable("ledger_unreachable")]
)
def test_what_could_not_be_counted_is_not_made(trouble):
    """Nothing is recorded, nothing signed, and no actor token used up."""
    around = Surroundings(ListQuota(trouble))
    may_show = a_client(may_present_actors=frozenset({PLANNER}))

    with pytest.raises(type(trouble)):
        around.exchange(SHOWING, client=may_show)

    assert len(around.quota.taken) == 1
    assert (around.ledger.recorded, around.ledger.claimed) == ([], {})


def test_what_is_refused_anyway_is_not_counted():
    """Only what is about to be made."""
    around = Surroundings()

    with pytest.raises(Refused):
        around.exchange(a_request(scope=frozenset({"everything"})))

    assert around.quota.taken == []


def test_a_rate_in_words():
    """As an event has it."""
    assert str(Rate(600, 60)) == "600 in 60 seconds"


A_MINUTE, TWO_A_MINUTE, AN_HOUR = Rate(1, 60), Rate(2, 60), Rate(9, 3600)


@pytest.mark.parametrize(
    ("several", "expected"),
    [
        ([], ()),
        ([[AN_HOUR, A_MINUTE]], (A_MINUTE, AN_HOUR)),
        ([[TWO_A_MINUTE], [AN_HOUR, A_MINUTE]], (A_MINUTE, AN_HOUR)),
        ([[A_MINUTE], [TWO_A_MINUTE]], (A_MINUTE,)),
    ],
)
def test_rates_together(several, expected):
    """Of each time the least."""
    assert together(*several) == expected


@pytest.mark.parametrize(
    ("one", "than", "expected"),
    [
        ([], [], False),
        ([], [A_MINUTE], True),
        ([A_MINUTE], [], False),
        ([A_MINUTE], [TWO_A_MINUTE], False),
        ([TWO_A_MINUTE], [A_MINUTE], True),
        ([A_MINUTE, AN_HOUR], [A_MINUTE], False),
        ([A_MINUTE], [A_MINUTE, AN_HOUR], True),
        ([A_MINUTE], [AN_HOUR], True),
    ],
)
def test_what_lets_more_pass(one, than, expected):
    """Time by time: a minute says nothing of an hour."""
    assert lets_more(one, than) is expected


@pytest.mark.parametrize(("used", "remaining"), [(0, 3), (2, 1), (3, 0), (5, 0)])
def test_what_remains(used, remaining):
    """Never less than nothing, even where the rate was lowered since."""
    usage = Usage(per=Per.GRANT, rate=Rate(3, 60), used=used, resets_at=None)

    assert usage.remaining == remaining
