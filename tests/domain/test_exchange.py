"""The use case: what happens in which order, and what when a step fails."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime

import pytest

from delegation.domain.case import Case, ExchangeRequest
from delegation.domain.delegations import Delegation
from delegation.domain.errors import (
    ActorTokenRejected,
    Cause,
    NotPermitted,
    Refused,
    SubjectTokenRejected,
    Unavailable,
)
from delegation.domain.exchange import Exchange, RefusalsRecorded
from delegation.domain.locks import milliseconds
from delegation.domain.parties import Identity
from delegation.domain.registry import Registry
from delegation.domain.tokens import (
    IssuedToken,
    PresentedToken,
    TokenType,
    VerifiedActor,
    VerifiedToken,
)
from tests.fakes import ListQuota
from tests.parties import (
    ALICE,
    CALENDAR_MCP,
    NOW,
    PLANNER,
    a_case,
    a_client,
    a_presented_token,
    a_request,
    a_verified_token,
    a_workload,
    an_actor,
)

ACTOR_TOKEN = a_presented_token(value="actor", type=TokenType.JWT)
SHOWING = a_request(actor_token=ACTOR_TOKEN)
"""A request that shows who acts."""


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
    claimed: list[tuple[str, str, str, int, int]] = field(default_factory=list)
    shown: VerifiedActor = field(default_factory=an_actor)
    is_free: bool = True

    def exchange(self, request: ExchangeRequest, case: Case) -> IssuedToken:
        """Trade, in these surroundings."""
        trade = Exchange(
            verifier=self, ledger=self, signer=self, clock=self.clock, quota=ListQuota()
        )
        return trade(request, case)

    def subject(self, token: PresentedToken, registry: Registry) -> VerifiedToken:
        """Verify a token, which is always Alice's."""
        self._do("verify")
        assert (token, registry.revision) == (a_request().subject_token, "revision-1")
        return a_verified_token()

    def actor(self, token: PresentedToken, registry: Registry) -> VerifiedActor:
        """Verify an actor token, which always means the one that is *shown*."""
        self._do("verify_actor")
        assert (token, registry.revision) == (ACTOR_TOKEN, "revision-1")
        return self.shown

    def claim(self, owner: str, artefact: str, *, nonce: str, issued_at: int, until: int) -> bool:
        """Take an id, which *is_free* or not."""
        self._do("claim")
        self.claimed.append((owner, artefact, nonce, issued_at, until))
        return self.is_free

    def clock(self) -> datetime:
        """Tell the time of the story."""
        self._do("clock")
        return NOW

    def new_id(self, root: Identity) -> str:
        """Make up an id, for Alice."""
        self._do("new_id")
        assert root == ALICE
        return "exchange-1"

    @contextmanager
    def recording(self, delegation: Delegation, case: Case) -> Iterator[None]:
        """Record an exchange: sent at first, confirmed or voided at last."""
        self._do("record")
        assert case.subject is delegation.parent
        try:
            yield
        except Exception:
            self.voided.append(delegation)
            raise
        self._do("confirm")
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


def test_an_exchange_is_recorded_before_its_token_leaves() -> None:
    """Verified, decided, sent to be recorded, signed meanwhile, and confirmed.

    The clock is read once, after verification.
    """
    world, case = Surroundings(), a_case()

    token = world.exchange(a_request(), case)

    assert world.done == ["verify", "clock", "new_id", "record", "sign", "confirm"]
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
        pytest.param(
            "confirm", ["verify", "clock", "new_id", "record", "sign", "confirm"], id="confirm"
        ),
    ],
)
@pytest.mark.parametrize(
    "failure",
    [Unavailable("ledger"), SubjectTokenRejected(Cause.LINEAGE_DEAD), RuntimeError("a bug")],
    ids=["unavailable", "refused", "a-bug"],
)
def test_no_token_leaves_unless_it_is_recorded(
    failing: str, done: list[str], failure: Exception
) -> None:
    """Whatever fails, and however: it is raised as it is, and nothing follows."""
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

    assert world.done[-2:] == ["record", "sign"]
    assert [delegation.id for delegation in world.voided] == ["exchange-1"]


def test_a_refusal_is_recorded_and_told_its_decision() -> None:
    """The client gets the id under which the refusal can be explained."""
    world, case = Surroundings(), a_case()
    refused = NotPermitted(Cause.NO_GRANT)

    with pytest.raises(NotPermitted) as caught, RefusalsRecorded(world, case):
        raise refused

    assert caught.value is refused
    assert world.refused == [refused]
    assert refused.decision == "decision-1"


def test_a_refusal_that_cannot_be_recorded_is_no_answer() -> None:
    """Then the answer is that there is none; the refusal goes unsaid rather than unrecorded."""
    world = Surroundings(failing="refuse", failure=Unavailable("ledger"))
    refused = NotPermitted(Cause.NO_GRANT)

    with pytest.raises(Unavailable), RefusalsRecorded(world, a_case()):
        raise refused

    assert refused.decision is None


@pytest.mark.parametrize("failure", [Unavailable("ledger"), RuntimeError("a bug")], ids=str)
def test_only_refusals_are_recorded_as_such(failure: Exception) -> None:
    """Where there is no answer, there is no decision."""
    world = Surroundings()

    with pytest.raises(type(failure)), RefusalsRecorded(world, a_case()):
        raise failure

    assert world.done == []


def test_where_nothing_is_refused_nothing_is_recorded() -> None:
    """And the block's own result stands."""
    world = Surroundings()

    with RefusalsRecorded(world, a_case()):
        token = world.exchange(a_request(), a_case())

    assert token.id == "exchange-1"
    assert "refuse" not in world.done


@pytest.mark.standard("8693-2.1-14", "8693-A-6")
def test_an_actor_token_is_used_up_once_the_exchange_is_decided() -> None:
    """Both tokens are verified before anything is decided, and nothing is claimed before that."""
    world, case = Surroundings(), a_case()

    world.exchange(SHOWING, case)

    assert world.done == [
        *("verify", "verify_actor", "clock", "new_id"),
        *("claim", "record", "sign", "confirm"),
    ]
    assert case.actor == world.recorded[0].actor_token == an_actor()


@pytest.mark.standard("8693-A-6")
def test_an_actor_token_is_claimed_by_its_own_id_for_as_long_as_it_lives() -> None:
    """In the name of the client that signed it, as this request: as it would be to authenticate."""
    world = Surroundings()

    world.exchange(SHOWING, a_case(nonce="nonce-7"))

    now = milliseconds(NOW)
    assert world.claimed == [(CALENDAR_MCP, "actor-1", "nonce-7", now - 1000, now + 60_000)]


@pytest.mark.standard("8693-A-6", "8693-2.2.2-1")
def test_an_actor_token_that_was_used_is_refused() -> None:
    """Whoever comes second may be a thief: nothing is recorded for it, and it alarms."""
    world = Surroundings(is_free=False)

    with pytest.raises(ActorTokenRejected) as caught:
        world.exchange(SHOWING, a_case())

    assert caught.value.cause is Cause.ALREADY_USED
    assert caught.value.detail == {"issuer": CALENDAR_MCP}
    assert world.done[-1] == "claim"
    assert world.recorded == []


def test_what_an_issuer_wrote_is_good_for_its_whole_life() -> None:
    """The token of a workload is claimed by nobody."""
    world = Surroundings(shown=a_workload())
    case = a_case(client=a_client(may_present_actors=frozenset({PLANNER})))

    world.exchange(SHOWING, case)

    assert world.claimed == []
    assert world.recorded[0].actor_token == a_workload()


@pytest.mark.standard("8693-A-6")
@pytest.mark.parametrize(
    ("shown", "scope"),
    [
        pytest.param(an_actor(expires_at=NOW), None, id="by-the-actor-token"),
        pytest.param(an_actor(), frozenset({"events.share"}), id="by-the-scope"),
    ],
)
def test_a_refused_exchange_uses_no_actor_token_up(
    shown: VerifiedActor, scope: frozenset[str] | None
) -> None:
    """Whatever it is refused for; and the event still has the actor token."""
    world, case = Surroundings(shown=shown), a_case()

    with pytest.raises(Refused):
        world.exchange(a_request(actor_token=ACTOR_TOKEN, scope=scope), case)

    assert world.done[-1] == "new_id"
    assert case.actor is shown


@pytest.mark.parametrize(
    ("failing", "follows"),
    [("verify_actor", "verify_actor"), ("claim", "claim"), ("record", "record")],
)
def test_nothing_is_recorded_or_signed_where_a_step_before_fails(
    failing: str, follows: str
) -> None:
    """There is no answer then, neither yes nor no."""
    world = Surroundings(failing=failing, failure=Unavailable("ledger"))

    with pytest.raises(Unavailable):
        world.exchange(SHOWING, a_case())

    assert world.done[-1] == follows
    assert world.recorded == []


@pytest.mark.parametrize(
    ("failing", "told"),
    [
        ("", ["verify", "decide", "record", "sign", "confirm"]),
        ("verify", []),
        ("record", ["verify", "decide"]),
        ("sign", ["verify", "decide", "record"]),
        ("confirm", ["verify", "decide", "record", "sign"]),
    ],
)
def test_who_takes_the_time_is_told_of_each_stage(failing: str, told: list[str]) -> None:
    """Of those that were completed, when they are: one after the other."""
    world, heard = Surroundings(failing=failing), []
    exchange = Exchange(
        verifier=world,
        ledger=world,
        signer=world,
        clock=world.clock,
        quota=ListQuota(),
        stopwatch=lambda: lambda stage: heard.append((stage.value, world.done[-1])),
    )

    with suppress(RuntimeError):
        exchange(a_request(), a_case())

    steps = {"decide": "new_id"}
    assert heard == [(stage, steps.get(stage, stage)) for stage in told]
