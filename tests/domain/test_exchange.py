"""The use case: what happens in which order, and what when a step fails."""

from dataclasses import dataclass, field
from datetime import datetime

import pytest

from delegation.domain.case import Case, ExchangeRequest
from delegation.domain.delegations import Delegation
from delegation.domain.errors import Cause, NotPermitted, Refused, SubjectTokenRejected, Unavailable
from delegation.domain.exchange import Exchange, refusals_recorded
from delegation.domain.parties import Identity
from delegation.domain.registry import Registry
from delegation.domain.tokens import IssuedToken, PresentedToken, TokenType, VerifiedToken
from tests.parties import ALICE, NOW, a_case, a_request, a_verified_token


@dataclass(kw_only=True)
class Surroundings:
    """All that the exchange needs of the world: writes down what it is asked, and fails on demand.

    *failing* names the step that raises *failure*.
    """

    failing: str = ""
    failure: Exception = field(default_factory=RuntimeError)
    done: list[str] = field(default_factory=list)
    recorded: list[Delegation] = field(default_factory=list)
    voided: list[Delegation] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)

    def exchange(self, request: ExchangeRequest, case: Case) -> IssuedToken:
        """Trade, in these surroundings."""
        trade = Exchange(verifier=self, ledger=self, signer=self, clock=self.clock)
        return trade(request, case)

    def subject(self, token: PresentedToken, registry: Registry) -> VerifiedToken:
        """Verify a token, which is always Alice's."""
        self._do("verify")
        assert (token, registry.revision) == (a_request().subject_token, "revision-1")
        return a_verified_token()

    def clock(self) -> datetime:
        """Tell the time of the story."""
        self._do("clock")
        return NOW

    def new_id(self, root: Identity) -> str:
        """Make up an id, for Alice."""
        self._do("new_id")
        assert root == ALICE
        return "exchange-1"

    def record(self, delegation: Delegation, case: Case) -> None:
        """Record an exchange."""
        self._do("record")
        assert case.subject is delegation.parent
        self.recorded.append(delegation)

    def sign(self, delegation: Delegation) -> IssuedToken:
        """Sign a token."""
        self._do("sign")
        return IssuedToken(
            id=delegation.id,
            value="signed",
            type=TokenType.ACCESS_TOKEN,
            scope=delegation.scope,
            lifetime=300,
        )

    def void(self, delegation: Delegation, case: Case) -> None:
        """Kill a record."""
        self._do("void")
        assert case.subject is delegation.parent
        self.voided.append(delegation)

    def refuse(self, refused: Refused, case: Case) -> str:
        """Write the event of a refusal."""
        self._do("refuse")
        assert case.client.id
        self.refused.append(refused)
        return "decision-1"

    def _do(self, step: str) -> None:
        self.done.append(step)
        if step == self.failing:
            raise self.failure


def test_an_exchange_is_recorded_before_it_is_signed() -> None:
    """Verified, decided, recorded, signed; the clock is read once, after verification."""
    world, case = Surroundings(), a_case()

    token = world.exchange(a_request(), case)

    assert world.done == ["verify", "clock", "new_id", "record", "sign"]
    assert [delegation.id for delegation in world.recorded] == [token.id] == ["exchange-1"]
    assert world.recorded[0].decided_at == NOW
    assert world.recorded[0].scope == token.scope


def test_a_case_is_told_what_is_understood() -> None:
    """So that the event of a refusal has the request, and the subject as soon as it is known."""
    request, case = a_request(), a_case()

    Surroundings().exchange(request, case)

    assert case.request is request
    assert case.subject == a_verified_token()


@pytest.mark.parametrize(
    ("failing", "done"),
    [
        pytest.param("verify", ["verify"], id="verify"),
        pytest.param("clock", ["verify", "clock"], id="clock"),
        pytest.param("new_id", ["verify", "clock", "new_id"], id="new-id"),
        pytest.param("record", ["verify", "clock", "new_id", "record"], id="record"),
    ],
)
@pytest.mark.parametrize(
    "failure",
    [Unavailable("ledger"), SubjectTokenRejected(Cause.LINEAGE_DEAD), RuntimeError("a bug")],
    ids=["unavailable", "refused", "a-bug"],
)
def test_nothing_is_signed_unless_it_is_recorded(
    failing: str, done: list[str], failure: Exception
) -> None:
    """Whatever fails before, and however: it is raised as it is, and nothing follows."""
    world, case = Surroundings(failing=failing, failure=failure), a_case()

    with pytest.raises(type(failure)) as caught:
        world.exchange(a_request(), case)

    assert caught.value is failure
    assert world.done == done
    assert case.request is not None
    assert (case.subject is None) == (failing == "verify")


def test_what_policy_refuses_is_not_recorded() -> None:
    """The ledger is asked for no more than an id."""
    world, case = Surroundings(), a_case()

    with pytest.raises(Refused):
        world.exchange(a_request(scope=frozenset({"events.share"})), case)

    assert world.done == ["verify", "clock", "new_id"]


def test_a_record_that_cannot_be_signed_is_voided() -> None:
    """So that no record stands for a token that never left."""
    world = Surroundings(failing="sign", failure=RuntimeError("no key"))

    with pytest.raises(RuntimeError, match="no key"):
        world.exchange(a_request(), a_case())

    assert world.done[-3:] == ["record", "sign", "void"]
    assert world.voided == world.recorded


def test_a_refusal_is_recorded_and_told_its_decision() -> None:
    """The client gets the id under which the refusal can be explained."""
    world, case = Surroundings(), a_case()
    refused = NotPermitted(Cause.NO_GRANT)

    with pytest.raises(NotPermitted) as caught, refusals_recorded(world, case):
        raise refused

    assert caught.value is refused
    assert world.refused == [refused]
    assert refused.decision == "decision-1"


def test_a_refusal_that_cannot_be_recorded_is_no_answer() -> None:
    """Then the answer is that there is none; the refusal goes unsaid rather than unrecorded."""
    world = Surroundings(failing="refuse", failure=Unavailable("ledger"))
    refused = NotPermitted(Cause.NO_GRANT)

    with pytest.raises(Unavailable), refusals_recorded(world, a_case()):
        raise refused

    assert refused.decision is None


@pytest.mark.parametrize("failure", [Unavailable("ledger"), RuntimeError("a bug")], ids=str)
def test_only_refusals_are_recorded_as_such(failure: Exception) -> None:
    """Where there is no answer, there is no decision."""
    world = Surroundings()

    with pytest.raises(type(failure)), refusals_recorded(world, a_case()):
        raise failure

    assert world.done == []


def test_where_nothing_is_refused_nothing_is_recorded() -> None:
    """And the block's own result stands."""
    world = Surroundings()

    with refusals_recorded(world, a_case()):
        token = world.exchange(a_request(), a_case())

    assert token.id == "exchange-1"
    assert "refuse" not in world.done
