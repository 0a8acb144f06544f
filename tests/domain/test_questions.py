"""`can-i` is the decision itself: as the exchange decides, and with what was missing."""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delegation.domain.errors import Cause, InvalidTarget, Refused, UnauthorizedClient
from delegation.domain.exchange import Exchange
from delegation.domain.grants import Agents, Grant, Mode, Subjects
from delegation.domain.nearest import Lack, Missing, Near
from delegation.domain.parties import CHAIN_HARD_CAP
from delegation.domain.questions import (
    Expectation,
    No,
    Question,
    Unaskable,
    Yes,
    can_i,
    decide,
)
from delegation.domain.registry import Registry
from delegation.domain.shadow import Shadow
from delegation.domain.tokens import PresentedToken, VerifiedActor, VerifiedToken
from delegation.jose.signer import JwtSigner
from delegation.jose.verifier import JwtVerifier
from tests.fakes import HeldClock, ListLedger, ListQuota, PlainSigner
from tests.parties import (
    ALIAS,
    ALICE,
    CALENDAR_API,
    CALENDAR_API_CLIENT,
    CALENDAR_MCP,
    DESK_AGENT,
    NOW,
    OUR_ISSUER,
    ROOMS_API,
    a_case,
    a_client,
    a_deny,
    a_grant,
    a_presented_token,
    a_registry,
    a_request,
    the_next_grant,
)
from tests.signing import a_keyring, keys_of, presented
from tests.strategies import World, worlds

READ = frozenset({"calendar:read"})

AGREEMENT = (
    "grant",
    "scope",
    "requested",
    "actors",
    "issued_at",
    "expires_at",
    "limits",
    "shadow",
)
"""What of a delegation does not depend on where it was decided."""


@dataclass(frozen=True, slots=True)
class Known:
    """A verifier to which the tokens of a world are presented."""

    world: World

    def subject(self, _token: PresentedToken, _registry: Registry) -> VerifiedToken:
        """The world's subject token."""
        return self.world.subject

    def actor(self, _token: PresentedToken, _registry: Registry) -> VerifiedActor:
        """The world's actor token, which is presented only where there is one."""
        assert self.world.actor is not None
        return self.world.actor


def answered(world: World, registry: Registry | None = None) -> Yes | No:
    """What `can-i` says of a world's request."""
    return decide(
        world.subject,
        world.actor,
        by=world.client,
        at=world.targets,
        scope=world.scope,
        registry=registry or world.registry(),
        now=world.now,
    )


def exchanged(world: World) -> tuple[Any, ...]:
    """What comes of it when it is asked for: what was recorded and issued, or the refusal."""
    ledger = ListLedger()
    exchange = Exchange(
        verifier=Known(world),
        ledger=ledger,
        signer=PlainSigner(),
        clock=HeldClock(world.now),
        quota=ListQuota(),
    )
    request = a_request(
        targets=world.targets,
        scope=world.scope,
        actor_token=None if world.actor is None else a_presented_token(),
    )
    case = a_case(client=world.client, registry=world.registry())
    try:
        issued = exchange(request, case)
    except Refused as refused:
        return said(refused)
    ((delegation, _),) = ledger.recorded
    assert int((delegation.expires_at - delegation.issued_at).total_seconds()) == issued.lifetime
    return tuple(getattr(delegation, name) for name in AGREEMENT)


def said(refused: Refused) -> tuple[Any, ...]:
    """All that a refusal says, to the client and to the event."""
    required = getattr(refused, "required", None)
    return type(refused), refused.cause, refused.detail, required, refused.shadow


@given(worlds())
def test_can_i_never_disagrees_with_the_exchange(world: World) -> None:
    """The same grant, scope, chain, times and limits; or the same error, for the same cause."""
    answer = answered(world)

    told = (
        tuple(getattr(answer.delegation, name) for name in AGREEMENT)
        if isinstance(answer, Yes)
        else said(answer.refused)
    )
    assert told == exchanged(world)


def test_a_client_that_may_not_exchange_is_told_so_first() -> None:
    """As the token endpoint does it, before it looks at anything else; and no grant would help."""
    registry = a_registry(clients=[a_client(may_exchange=False)], grants=[])

    answer = can_i(a_question(), registry)

    assert isinstance(answer, No)
    assert said(answer.refused) == said(UnauthorizedClient(Cause.CLIENT_NOT_ENABLED))
    assert answer.nearest is None


MENDED = {Missing.SUBJECT: "subject", Missing.CLAIM: "subject"}
"""What is mended by one change of a grant."""


def mend(world: World, grant: Grant, what: set[str], lacks: tuple[Lack, ...]) -> World:
    """The world with *grant* alone, changed in all that is missing of *what*, and in nothing else.

    What no grant can do, its tokens are changed for.
    """
    issuer = world.subject.subject.issuer
    widened: dict[str, dict[str, Any]] = {
        "expiry": {"expires_at": None},
        "subject": {"subjects": (Subjects(issuer=issuer, everyone=True),)},
        "service": {"services": True},
        "agent": {"agents": Agents(any=True)},
        "chain": {"chain_limit": CHAIN_HARD_CAP},
        "cycle": {"cycles": True},
        "lifetime": {"lifetime": timedelta(minutes=5), "expires_at": None},
    }
    for one in sorted(what & widened.keys()):
        grant = replace(grant, **widened[one])
    world = world.but(grants=(grant,))
    in_the_way = {lack.of for lack in lacks if lack.missing is Missing.DENY}
    if "admission" in what:
        world = admitting(world, grant)
    if "agent" in what:
        # Of an agent that is not known, a deny supposes the worst; so does this.
        denied = {
            name
            for deny in world.denies
            if deny.id in in_the_way
            for name in deny.agents.registered
        }
        agent = world.subject.agent or min(denied, default="some-agent")
        world = world.but(subject=replace(world.subject, agent=agent))
    if "scope" in what:
        (needed,) = (frozenset(lack.needed) for lack in lacks if lack.missing is Missing.SCOPE)
        world = giving(world, grant, needed)
    if "deny" in what:
        world = world.but(denies=tuple(one for one in world.denies if one.id not in in_the_way))
    return lasting(world) if "lifetime" in what else world


def admitting(world: World, grant: Grant) -> World:
    """The client is let in, to all there is."""
    return world.but(
        resources=tuple(
            replace(one, clients={**one.clients, grant.client: one.scopes})
            if one.identifier == grant.resource
            else one
            for one in world.resources
        )
    )


def giving(world: World, grant: Grant, needed: frozenset[str]) -> World:
    """The token has what is *needed*; where that is nothing, all three give what is asked for."""
    if needed:
        subject = replace(world.subject, scope=world.subject.scope | needed)
        return world.but(subject=subject)
    (resource,) = (one for one in world.resources if one.identifier == grant.resource)
    asked = world.scope or resource.scopes
    clients = {grant.client: asked} if grant.client in resource.clients else {}
    others = tuple(one for one in world.resources if one is not resource)
    return world.but(
        subject=replace(world.subject, scope=frozenset({"any"})),
        grants=(replace(grant, scopes={"any": asked}),),
        resources=(replace(resource, scopes=asked, clients=clients), *others),
    )


def lasting(world: World) -> World:
    """All tokens live for an hour."""
    later = world.now + timedelta(hours=1)
    return world.but(
        subject=replace(world.subject, expires_at=later),
        actor=world.actor and replace(world.actor, expires_at=later),
    )


def missing(answer: No) -> set[str]:
    """What the nearest grant is missing."""
    assert answer.nearest is not None
    return {MENDED.get(lack.missing, lack.missing.value) for lack in answer.nearest.lacks}


@given(worlds())
def test_the_nearest_grant_would_have_allowed_it(world: World) -> None:
    """Mend all that is missing, and it is allowed; nothing else was in the way."""
    answer = answered(world)
    if isinstance(answer, Yes) or answer.nearest is None:
        return
    near = answer.nearest

    mended = mend(world, near.grant, missing(answer), near.lacks)

    assert near.lacks
    assert isinstance(answered(mended), Yes)


@given(worlds(), st.data())
def test_everything_that_is_missing_is_needed(world: World, data: st.DataObject) -> None:
    """Mend all but one thing, and it is still refused."""
    answer = answered(world)
    if isinstance(answer, Yes) or answer.nearest is None:
        return
    lacking = missing(answer)
    left_out = data.draw(st.sampled_from(sorted(lacking)))

    mended = mend(world, answer.nearest.grant, lacking - {left_out}, answer.nearest.lacks)

    assert isinstance(answered(mended), No)


def test_a_deny_that_alone_is_in_the_way_is_named() -> None:
    """Of a grant that would give it: by its id, and nothing else is missing."""
    answers = [
        can_i(a_question(**changes), a_registry(grants=[a_grant(downscope=downscope), *denies]))
        for denies, changes, downscope in [
            ([a_deny(scopes=None)], {}, False),
            ([a_deny(scopes=READ_EVENTS)], {}, False),
            ([a_deny(scopes=READ_EVENTS)], {"scope": READ_EVENTS}, True),
            ([a_deny(scopes=READ_EVENTS), a_deny(id="b")], {"scope": READ_EVENTS}, False),
            ([a_deny()], {"scope": BOTH_EVENTS, "token_scope": BOTH_MCP}, False),
        ]
    ]

    for answer in answers:
        assert isinstance(answer, No)
        assert answer.nearest is not None
        assert answer.nearest.lacks == (Lack(missing=Missing.DENY, of="no-writing"),)


def test_a_deny_that_is_not_in_the_way_is_not_named() -> None:
    """It takes what is not wanted here, or less than all where less will do."""
    cases: list[tuple[Any, dict[str, Any]]] = [
        (a_grant(agents=NOBODYS), {"scope": READ_EVENTS}),
        (a_grant(agents=NOBODYS), {"token_scope": BOTH_MCP}),
        (a_grant(agents=NOBODYS, downscope=True), {"token_scope": BOTH_MCP, "scope": BOTH_EVENTS}),
    ]

    for grant, changes in cases:
        answer = can_i(a_question(**changes), a_registry(grants=[grant, a_deny()]))

        assert isinstance(answer, No)
        assert missing(answer) == {"agent"}


NOBODYS = Agents(registered=frozenset({"nobody"}))
READ_EVENTS = frozenset({"events.read"})
BOTH_MCP = frozenset({"calendar:read", "calendar:write"})
BOTH_EVENTS = frozenset({"events.read", "events.write"})


def test_what_grants_in_shadow_would_change_is_told_of_each_hop() -> None:
    """Of those before, too: what is refused there never comes to the last."""
    question = a_question(client=CALENDAR_API_CLIENT, resource=ROOMS_API, before=(CALENDAR_MCP,))
    first = a_deny(id="first", scopes=None, mode=Mode.SHADOW)
    second = a_deny(
        id="second", client=CALENDAR_API_CLIENT, resource=ROOMS_API, scopes=None, mode=Mode.SHADOW
    )
    denied = [Shadow(grants=(name,), cause="denied") for name in ("first", "second")]

    allowed = can_i(question, a_registry(grants=[a_grant(), the_next_grant(), first, second]))
    refused = can_i(question, a_registry(grants=[a_grant(), second, first]))
    nowhere = can_i(replace(question, resource=""), a_registry(grants=[a_grant(), first]))
    no_first = can_i(question, a_registry(grants=[replace(a_grant(), mode=Mode.SHADOW)]))

    assert isinstance(allowed, Yes)
    assert list(allowed.shadows) == denied
    assert isinstance(refused, No)
    assert [*refused.shadows, *nowhere.shadows] == [denied[0], denied[0]]
    assert [shadow.grant for shadow in no_first.shadows] == ["calendar"]


@pytest.mark.parametrize(
    ("granted", "scope", "cause", "met"),
    [
        (True, None, None, {"yes"}),
        (True, READ_EVENTS, None, {"yes"}),
        (True, BOTH_EVENTS, None, set()),
        (False, None, None, {"no"}),
        (False, None, Cause.SCOPE_EMPTY, {"no"}),
        (False, None, Cause.NO_GRANT, set()),
    ],
)
def test_an_expectation_is_met_or_not(
    granted: object, scope: Any, cause: Cause | None, met: set[str]
) -> None:
    """By the outcome, and by the exact scope or the cause where that is written."""
    registry = a_registry()
    asked = {"yes": a_question(), "no": a_question(token_scope=frozenset())}

    found = {
        name
        for name, question in asked.items()
        if Expectation(
            name="reading",
            place="0.yaml:1",
            question=question,
            granted=bool(granted),
            scope=scope,
            cause=cause,
        ).is_met_by(can_i(question, registry))
    }

    assert found == met


def test_the_nearest_grant_is_the_one_to_which_least_is_missing() -> None:
    """Then the first by its id; so the same question has the same answer."""
    far = a_grant(id="a", agents=Agents(registered=frozenset({"x"})), expires_at=NOW)
    near, as_near = (a_grant(id=name, agents=Agents(registered=frozenset({"x"}))) for name in "cb")

    answer = can_i(a_question(), a_registry(grants=[far, near, as_near]))

    assert isinstance(answer, No)
    assert answer.nearest == Near(
        grant=as_near, lacks=(Lack(missing=Missing.AGENT, needed=("x",)),)
    )


def test_a_grant_for_nobody_lacks_a_subject() -> None:
    """No entry at all means nobody, and so does one that states nothing."""
    nobody = Subjects(issuer=ALICE.issuer)

    for subjects in [(), (nobody,)]:
        answer = can_i(a_question(), a_registry(grants=[a_grant(subjects=subjects)]))

        assert isinstance(answer, No)
        assert missing(answer) == {"subject"}


def test_a_grant_that_is_about_to_end_lacks_time() -> None:
    """What it would give is not worth a token."""
    ending = a_grant(expires_at=NOW + timedelta(seconds=1))

    answer = can_i(a_question(), a_registry(grants=[ending]))

    assert isinstance(answer, No)
    assert answer.nearest == Near(grant=ending, lacks=(Lack(missing=Missing.LIFETIME),))


def test_a_claim_that_a_subject_lacks_is_named_with_what_it_may_hold() -> None:
    """By its name in the registry, and with every value of which one would do."""
    boards = Subjects(issuer=ALICE.issuer, claims={"groups": frozenset({"board", "audit"})})

    answer = can_i(a_question(), a_registry(grants=[a_grant(subjects=(boards,))]))

    assert isinstance(answer, No)
    assert answer.nearest is not None
    assert answer.nearest.lacks == (
        Lack(missing=Missing.CLAIM, of="groups", needed=("audit", "board")),
    )


def a_question(**changes: Any) -> Question:
    """May *calendar-mcp* read Alice's calendar, through *desk-agent*?"""
    return replace(
        Question(
            client=CALENDAR_MCP,
            resource=CALENDAR_API,
            alias=ALIAS,
            subject=ALICE.subject,
            agent=DESK_AGENT,
            token_scope=READ,
            now=NOW,
        ),
        **changes,
    )


def test_a_question_is_about_the_token_that_it_states() -> None:
    """What is not stated, the token does not have: no scope, no claims."""
    staff = Subjects(issuer=ALICE.issuer, claims={"groups": frozenset({"staff"})})
    registry = a_registry(grants=[a_grant(subjects=(staff,))])
    groups = {"groups": frozenset({"staff"})}

    answers = [
        can_i(question, registry)
        for question in (
            a_question(claims=groups),
            a_question(),
            a_question(claims=groups, token_scope=frozenset()),
        )
    ]

    assert isinstance(answers[0], Yes)
    assert [missing(one) for one in answers[1:] if isinstance(one, No)] == [{"subject"}, {"scope"}]


@pytest.mark.parametrize("name", [CALENDAR_API, "calendar"])
def test_a_resource_is_named_by_its_uri_or_by_a_name(name: str) -> None:
    """As in `resource` and `audience` of a request."""
    answer = can_i(a_question(resource=name), a_registry())

    assert isinstance(answer, Yes)
    assert answer.delegation.resource == CALENDAR_API


@pytest.mark.parametrize("name", ["unknown", "un\nknown", ""])
def test_what_is_no_resource_is_refused_as_the_service_refuses_it(name: str) -> None:
    """Unknown or malformed: `invalid_target`, and no grant is near."""
    answer = can_i(a_question(resource=name), a_registry())

    assert isinstance(answer, No)
    assert isinstance(answer.refused, InvalidTarget)
    assert answer.nearest is None


def test_a_second_hop_follows_from_the_first() -> None:
    """The client before exchanges the token first: what it is given, the next one presents."""
    question = a_question(client=CALENDAR_API_CLIENT, resource=ROOMS_API, before=(CALENDAR_MCP,))

    answer = can_i(question, a_registry())

    assert isinstance(answer, Yes)
    delegation = answer.delegation
    assert [actor.identity.subject for actor in delegation.actors] == [
        CALENDAR_API_CLIENT,
        CALENDAR_MCP,
        DESK_AGENT,
    ]
    assert delegation.scope == {"rooms.read"}
    assert delegation.parent.is_ours


@pytest.mark.parametrize("subject", [ALICE.subject, DESK_AGENT], ids=["person", "service"])
def test_what_a_hop_hands_on_is_what_the_verifier_would_make_of_it(subject: str) -> None:
    """Signed and verified with real keys, the token of the first hop says the same."""
    registry = a_registry(grants=[a_grant(services=True), the_next_grant(services=True)])
    question = a_question(subject=subject)
    onward = replace(
        question, client=CALENDAR_API_CLIENT, resource=ROOMS_API, before=(CALENDAR_MCP,)
    )
    keyring = a_keyring()
    verifier = JwtVerifier(keyring=keyring, keys=keys_of(), clock=HeldClock())

    first, second = can_i(question, registry), can_i(onward, registry)

    assert isinstance(first, Yes)
    assert isinstance(second, Yes)
    issued = JwtSigner(keyring, OUR_ISSUER).sign(first.delegation)
    assert second.delegation.parent == verifier.subject(presented(issued.value), registry)


def test_a_refusal_at_an_earlier_hop_names_its_client() -> None:
    """It is there that something is missing."""
    question = a_question(
        client=CALENDAR_API_CLIENT, resource=ROOMS_API, before=(CALENDAR_MCP,), agent="planner"
    )

    answer = can_i(question, a_registry())

    assert isinstance(answer, No)
    assert (answer.client, answer.resource) == (CALENDAR_MCP, CALENDAR_API)
    assert missing(answer) == {"agent"}


def test_a_service_stays_one_at_the_second_hop() -> None:
    """A machine's own token, and what grew from it, is for grants that admit services alone."""
    first = a_grant(services=True)
    question = a_question(
        client=CALENDAR_API_CLIENT, resource=ROOMS_API, before=(CALENDAR_MCP,), subject=DESK_AGENT
    )

    refused = can_i(question, a_registry(grants=[first, the_next_grant()]))
    allowed = can_i(question, a_registry(grants=[first, the_next_grant(services=True)]))

    assert isinstance(refused, No)
    assert missing(refused) == {"service"}
    assert isinstance(allowed, Yes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"client": "nobody"}, "there is no client nobody"),
        ({"before": ("nobody",)}, "there is no client nobody"),
        ({"alias": "nobody"}, "there is no trusted issuer nobody"),
        ({"claims": {"role": frozenset({"x"})}}, "the entry of corp names no claim role"),
    ],
)
def test_what_is_not_in_the_registry_cannot_be_asked_about(
    changes: dict[str, Any], message: str
) -> None:
    """There is no such party to decide about; a no would be misleading."""
    with pytest.raises(Unaskable, match=f"^{message}$"):
        can_i(a_question(**changes), a_registry())
