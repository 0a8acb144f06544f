"""The one rule: what is delegated is no more than every party already holds."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delegation.domain.allowance import MIN_LIFETIME
from delegation.domain.delegations import Delegation
from delegation.domain.errors import (
    ActorTokenRejected,
    Cause,
    InvalidScope,
    InvalidTarget,
    NotPermitted,
    Refused,
    SubjectTokenRejected,
)
from delegation.domain.grants import MAX_LIFETIME, Agents, Grant, Subjects
from delegation.domain.locks import EVERYTHING, Target, milliseconds
from delegation.domain.parties import CHAIN_HARD_CAP, Actor, ActorChain, Identity
from delegation.domain.registry import Registry
from delegation.domain.resources import Resource, Targets
from delegation.domain.tokens import Authentication
from delegation.domain.trust import LONGEST_SESSION
from tests.parties import (
    ALICE,
    CALENDAR_API,
    CALENDAR_MCP,
    CALENDAR_MCP_AUDIENCE,
    DESK_AGENT,
    LOGIN,
    NOW,
    OUR_ISSUER,
    PLANNER,
    PLATFORM,
    ROOMS_API,
    a_chain,
    a_client,
    a_delegation,
    a_deny,
    a_grant,
    a_registry,
    a_resource,
    a_second_delegation,
    a_token_of_ours,
    a_verified_token,
    a_workload,
    an_actor,
    the_next_client,
    the_next_grant,
    the_next_resource,
)
from tests.strategies import World, worlds

READ, WRITE = frozenset({"events.read"}), frozenset({"events.write"})
BOTH = READ | WRITE
NONE = frozenset[str]()
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

DESK_AGENT_HOP = Actor(identity=Identity(LOGIN, DESK_AGENT), sub_profile="ai_agent")
CALENDAR_MCP_HOP = Actor(identity=Identity(OUR_ISSUER, CALENDAR_MCP))


def with_grants(*grants: Grant) -> Registry:
    """The story's registry with other grants."""
    return a_registry(grants=grants)


def with_grant(**changes: Any) -> Registry:
    """The story's registry with its one grant changed."""
    return with_grants(a_grant(**changes))


def with_resource(**changes: Any) -> Registry:
    """The story's registry with the calendar API changed."""
    return a_registry(resources=[a_resource(**changes), the_next_resource()])


def refusal(**arguments: Any) -> Refused:
    """The refusal that `delegate` answers with."""
    with pytest.raises(Refused) as caught:
        a_delegation(**arguments)
    return caught.value


# The properties


def decided(world: World) -> Delegation | None:
    """What is decided; `None` where the answer is no."""
    try:
        return world.delegate()
    except Refused:
        return None


def the_grant(world: World, delegation: Delegation) -> Grant:
    """The grant that a decision names."""
    return next(grant for grant in world.grants if grant.id == delegation.grant)


def the_resource(world: World, delegation: Delegation) -> Resource:
    """The resource that a decision names."""
    return next(entry for entry in world.resources if entry.identifier == delegation.resource)


@pytest.mark.standard("8693-5-1", "8693-4.2-1", "9068-3-1")
@given(world=worlds())
def test_the_scope_never_exceeds_what_anyone_holds(world: World) -> None:
    """Scope: within the translated subject scope, the grant, the admission and the catalogue."""
    delegation = decided(world)
    if delegation is None:
        return

    grant, resource = the_grant(world, delegation), the_resource(world, delegation)

    assert delegation.scope
    assert delegation.scope <= grant.translate(world.subject.scope) <= grant.ceiling
    assert delegation.scope <= resource.clients[world.client.id]
    assert delegation.scope <= resource.scopes
    if world.scope is not None:
        assert delegation.scope <= world.scope
        assert delegation.scope == world.scope or grant.downscope
        assert delegation.withheld == world.scope - delegation.scope


@pytest.mark.standard("9068-2.2-3")
@given(world=worlds())
def test_nothing_outlives_what_it_came_from(world: World) -> None:
    """Expiry: no later than either token, grant and fifteen minutes; and long enough to use."""
    delegation = decided(world)
    if delegation is None:
        return

    grant = the_grant(world, delegation)

    assert delegation.decided_at == world.now
    assert delegation.issued_at <= world.now < delegation.expires_at <= world.subject.expires_at
    assert delegation.expires_at <= world.now + min(grant.lifetime, timedelta(seconds=900))
    assert grant.expires_at is None or delegation.expires_at <= grant.expires_at
    assert world.actor is None or delegation.expires_at <= world.actor.expires_at
    assert delegation.expires_at - delegation.issued_at >= MIN_LIFETIME
    assert delegation.issued_at.microsecond == delegation.expires_at.microsecond == 0


@pytest.mark.standard("8707-2-3", "8707-2-6", "8693-4.3-1", "9068-3-1", "9700-2.3")
@given(world=worlds())
def test_the_token_is_for_one_registered_resource(world: World) -> None:
    """Audience: one registered identifier that admits the client; never ourselves or the client."""
    delegation = decided(world)
    if delegation is None:
        return

    resource, asked = the_resource(world, delegation), world.targets

    assert {*asked.resources, *asked.audiences} <= {resource.identifier, *resource.names}
    assert delegation.resource not in {OUR_ISSUER, world.client.audience, world.client.id}
    assert world.client.id in resource.clients
    assert world.client.audience in world.subject.audience
    assert delegation.client == the_grant(world, delegation).client == world.client.id
    assert delegation.subject == world.subject.subject


@pytest.mark.standard("8693-4.1-2", "8693-4.1-6", "8693-4.1-7")
@given(world=worlds())
def test_the_chain_only_grows_at_the_head(world: World) -> None:
    """Chain: the old one whole, one new head, and a registered agent where nobody acted yet.

    The head is whom the actor token names, else the client; and the agent does not act twice.
    """
    delegation = decided(world)
    if delegation is None:
        return

    grant = the_grant(world, delegation)
    head, *rest = delegation.actors
    client = Identity(OUR_ISSUER, world.client.id)

    assert head == Actor(identity=client if world.actor is None else world.actor.identity)
    agent = Identity(world.subject.issuer, world.subject.agent or "")
    vouched_for = agent.subject in grant.agents.registered
    if world.subject.actors or not vouched_for or agent in {world.subject.subject, head.identity}:
        assert tuple(rest) == world.subject.actors.actors
    else:
        assert rest == [Actor(identity=agent, sub_profile="ai_agent")]
    assert len(delegation.actors) <= grant.chain_limit <= CHAIN_HARD_CAP


@pytest.mark.standard("8693-A-1", "8693-A-2", "8693-A-4", "8693-4.4-2")
@given(world=worlds())
def test_an_actor_token_only_ever_narrows(world: World) -> None:
    """It is the client's own or listed, good for that client, not the subject; and `may_act` holds.

    What it adds to is the chain alone: scope and lifetime are no more than without it, where the
    client could act itself.
    """
    delegation, actor = decided(world), world.actor
    if delegation is None or actor is None:
        return

    alone = decided(world.but(actor=None, subject=replace(world.subject, may_act=None)))

    own = actor.identity == Identity(OUR_ISSUER, world.client.id)
    its_own = actor.issued_to == actor.identity.subject == world.client.id
    assert own or its_own or actor.identity in world.client.may_present_actors
    assert actor.issued_to in {None, world.client.id}
    assert actor.identity != world.subject.subject
    if world.subject.may_act is not None and not (own or its_own):
        assert world.subject.may_act["client_id"] == world.client.id
        assert world.subject.may_act["sub"] == actor.identity.subject
    if alone is not None and alone.grant == delegation.grant:
        assert delegation.scope == alone.scope
        assert delegation.expires_at <= alone.expires_at


@given(world=worlds())
def test_grants_are_never_added_up(world: World) -> None:
    """Among several grants, the decision is exactly what one of them gives by itself."""
    delegation = decided(world)
    if delegation is None:
        return

    alone = world.but(grants=(the_grant(world, delegation),), shadows=())

    assert alone.delegate() == replace(delegation, shadow=None)


@given(world=worlds())
def test_absence_never_widens(world: World) -> None:
    """Whatever can be had after something was taken away could be had before, for as long.

    Exempt is what *limits*, for to remove a limit is to allow more: `may_act`, a grant's end, its
    `single_use`, a condition that stands beside others in an entry of its subjects, and a hop of
    the chain, which counts towards the limit of its length; and a claim that a deny looks at, for
    whoever's token does not have it is not meant. Exempt is also what was asked for: to
    omit the scope asks for all that may be given (RFC 6749 §3.3), and to omit the actor token asks
    for the client itself to act.
    """
    before = decided(world)
    for what, less in reductions(world):
        after = decided(less)
        if after is None:
            continue

        same = decided(world.but(scope=after.scope))

        assert before is not None, f"without {what} the answer is yes"
        assert same is not None, f"without {what} there is a scope to be had that was not"
        assert same.scope == after.scope, what
        assert same.expires_at >= after.expires_at, f"without {what} it lives longer"


def reductions(world: World) -> Iterator[tuple[str, World]]:
    """Each world that is this one without one thing that somebody holds or allows."""
    subject = world.subject
    for less in without(subject.scope):
        yield "a scope of the subject", world.but(subject=replace(subject, scope=less))
    for audience in subject.audience:
        fewer = tuple(name for name in subject.audience if name != audience)
        yield "an audience", world.but(subject=replace(subject, audience=fewer))
    by_claims = any(entry.claims for deny in world.denies for entry in deny.subjects)
    for claims in () if by_claims else lessened(subject.claims):
        yield "a claim of the subject", world.but(subject=replace(subject, claims=claims))
    yield "the agent", world.but(subject=replace(subject, agent=None))
    for listed in world.client.may_present_actors:
        fewer_actors = world.client.may_present_actors - {listed}
        client = replace(world.client, may_present_actors=fewer_actors)
        yield "an actor that may be presented", world.but(client=client)
    for index, grant in enumerate(world.grants):
        before, after = world.grants[:index], world.grants[index + 1 :]
        yield "a grant", world.but(grants=before + after)
        for what, lesser in lesser_grants(grant):
            yield what, world.but(grants=(*before, lesser, *after))
    for index, resource in enumerate(world.resources):
        first, last = world.resources[:index], world.resources[index + 1 :]
        yield "a resource", world.but(resources=first + last)
        for what, smaller in smaller_resources(resource):
            yield what, world.but(resources=(*first, smaller, *last))


def lesser_grants(grant: Grant) -> Iterator[tuple[str, Grant]]:
    """Each grant that is this one without one thing that it allows."""
    for scopes in lessened(grant.scopes):
        yield "a scope of the grant", replace(grant, scopes=scopes)
    for flag in ("services", "cycles", "downscope"):
        off: dict[str, Any] = {flag: False}
        yield flag, replace(grant, **off)
    yield "any agent", replace(grant, agents=replace(grant.agents, any=False))
    if not grant.agents.any:
        for registered in without(grant.agents.registered):
            yield "an agent", replace(grant, agents=Agents(registered=registered))
    for index, entry in enumerate(grant.subjects):
        first, last = grant.subjects[:index], grant.subjects[index + 1 :]
        yield "an entry of the subjects", replace(grant, subjects=first + last)
        for what, lesser in lesser_subjects(entry):
            yield what, replace(grant, subjects=(*first, lesser, *last))


def lesser_subjects(entry: Subjects) -> Iterator[tuple[str, Subjects]]:
    """Each entry that is this one without somebody; its conditions stay conditions."""
    yield "everyone", replace(entry, everyone=False)
    for people in without(entry.people):
        if people or not (entry.claims or entry.everyone):
            yield "a person", replace(entry, people=people)
    for name, values in entry.claims.items():
        for fewer in without(values):
            yield "a claim's value", replace(entry, claims={**entry.claims, name: fewer})


def smaller_resources(resource: Resource) -> Iterator[tuple[str, Resource]]:
    """Each resource that is this one without one thing that it offers."""
    for scopes in without(resource.scopes):
        yield "a scope of the catalogue", replace(resource, scopes=scopes)
    for clients in lessened(resource.clients):
        yield "an admission", replace(resource, clients=clients)
    for names in without(resource.names):
        yield "a name", replace(resource, names=names)


def without(values: frozenset[str]) -> Iterator[frozenset[str]]:
    """*values* without each of them."""
    return (values - {value} for value in values)


def lessened(mapping: Mapping[str, frozenset[str]]) -> Iterator[dict[str, frozenset[str]]]:
    """*mapping* without each entry, and without each value of each entry."""
    for name, values in mapping.items():
        yield {key: value for key, value in mapping.items() if key != name}
        for fewer in without(values):
            yield {**mapping, name: fewer}


# The order of the checks

FAULTS: list[tuple[str, dict[str, dict[str, Any]], type[Refused], Cause]] = [
    ("expired", {"subject": {"expires_at": NOW}}, SubjectTokenRejected, Cause.EXPIRED),
    (
        "audience",
        {"subject": {"audience": ("https://other-mcp.example.com/mcp",)}},
        SubjectTokenRejected,
        Cause.PRESENTED_BY_ANOTHER_CLIENT,
    ),
    ("actor-expired", {"actor": {"expires_at": NOW}}, ActorTokenRejected, Cause.EXPIRED),
    (
        "actor-unlisted",
        {"actor": {"identity": Identity(PLATFORM, "spiffe://example.com/other")}},
        ActorTokenRejected,
        Cause.ACTOR_NOT_PRESENTABLE,
    ),
    ("may-act", {"subject": {"may_act": {"sub": "other-mcp"}}}, NotPermitted, Cause.MAY_ACT),
    (
        "target",
        {"call": {"at": Targets(resources=("https://unknown.example.com",))}},
        InvalidTarget,
        Cause.TARGET_UNKNOWN,
    ),
    ("admission", {"resource": {"clients": {}}}, InvalidTarget, Cause.TARGET_NOT_ADMITTED),
    ("grant", {"grant": {"subjects": ()}}, NotPermitted, Cause.NO_GRANT),
    ("deny", {"deny": {"scopes": None}}, NotPermitted, Cause.DENIED),
    ("chain", {"grant": {"chain_limit": 1}}, NotPermitted, Cause.CHAIN_TOO_LONG),
    (
        "scope",
        {"call": {"scope": frozenset({"events.share"})}},
        InvalidScope,
        Cause.SCOPE_EXCEEDED,
    ),
    (
        "lifetime",
        {"subject": {"expires_at": NOW + timedelta(seconds=4)}},
        SubjectTokenRejected,
        Cause.LIFETIME_TOO_SHORT,
    ),
    (
        "actor-lifetime",
        {"actor": {"expires_at": NOW + timedelta(seconds=4)}},
        ActorTokenRejected,
        Cause.LIFETIME_TOO_SHORT,
    ),
]
"""What can be wrong, in the order in which it is looked at; of an actor only where there is one."""

WITH_PLANNER = a_client(may_present_actors=frozenset({PLANNER}))
"""*calendar-mcp*, which may show the tokens of a workload."""


def refusal_with(*faults: dict[str, dict[str, Any]], with_actor: bool) -> Refused:
    """The refusal of the story's exchange with all *faults*, of which the first prevail."""
    parts: dict[str, dict[str, Any]] = {
        part: {} for part in ("subject", "actor", "call", "resource", "grant", "deny")
    }
    for fault in reversed(faults):
        for part, changes in fault.items():
            parts[part] |= changes
    denies = [a_deny(**parts["deny"])] if parts["deny"] else []
    registry = a_registry(
        resources=[a_resource(**parts["resource"])], grants=[a_grant(**parts["grant"]), *denies]
    )
    return refusal(
        subject=a_verified_token(**parts["subject"]),
        actor=a_workload(**parts["actor"]) if with_actor else None,
        by=WITH_PLANNER,
        registry=registry,
        **parts["call"],
    )


@pytest.mark.parametrize("with_actor", [False, True], ids=["client", "actor"])
@pytest.mark.parametrize("index", range(len(FAULTS)), ids=[fault[0] for fault in FAULTS])
def test_the_first_fault_is_the_one_that_is_named(index: int, *, with_actor: bool) -> None:
    """Subject, actor, `may_act`, target, grant, deny, chain, scope, lifetime, in this order."""
    _, fault, expected, cause = FAULTS[index]
    if "actor" in fault and not with_actor:
        return

    for _, later, _, _ in FAULTS[index:]:
        refused = refusal_with(fault, later, with_actor=with_actor)

        assert type(refused) is expected
        assert refused.cause is cause


# The target


@pytest.mark.standard("8693-2.1-9", "8693-2.1-8")
@pytest.mark.parametrize(
    "targets",
    [
        pytest.param(Targets(audiences=("calendar",)), id="by-name"),
        pytest.param(Targets(resources=(CALENDAR_API, CALENDAR_API)), id="twice"),
        pytest.param(
            Targets(resources=(CALENDAR_API,), audiences=("calendar",)), id="by-uri-and-name"
        ),
    ],
)
def test_several_values_may_name_the_same_resource(targets: Targets) -> None:
    """The token is for the registered identifier, however it was asked for."""
    assert a_delegation(at=targets).resource == CALENDAR_API


@pytest.mark.standard(
    "8693-2.1-8", "8693-2.1-9", "8693-2.1-10", "8693-2.1-12", "8707-2-4", "8707-2-6"
)
@pytest.mark.parametrize(
    ("targets", "cause"),
    [
        pytest.param(Targets(), Cause.TARGET_MISSING, id="none"),
        pytest.param(Targets(audiences=("Calendar",)), Cause.TARGET_UNKNOWN, id="other-case"),
        pytest.param(Targets(audiences=("calend",)), Cause.TARGET_UNKNOWN, id="prefix"),
        pytest.param(Targets(resources=(CALENDAR_API + "/",)), Cause.TARGET_UNKNOWN, id="slash"),
        pytest.param(
            Targets(resources=("https://calendar.example.com:443/api",)),
            Cause.TARGET_UNKNOWN,
            id="default-port",
        ),
        pytest.param(
            Targets(resources=(CALENDAR_API + "/events",)), Cause.TARGET_UNKNOWN, id="below"
        ),
        pytest.param(
            Targets(resources=("https://calendar.example.com.evil.example/api",)),
            Cause.TARGET_UNKNOWN,
            id="longer-host",
        ),
        pytest.param(
            Targets(resources=("https://calendar.example.com/%61pi",)),
            Cause.TARGET_UNKNOWN,
            id="percent-encoded",
        ),
        pytest.param(
            Targets(resources=(CALENDAR_API,), audiences=("unknown",)),
            Cause.TARGET_UNKNOWN,
            id="one-unknown",
        ),
        pytest.param(
            Targets(resources=(CALENDAR_API, ROOMS_API)), Cause.TARGET_AMBIGUOUS, id="two"
        ),
        pytest.param(
            Targets(resources=(ROOMS_API,), audiences=("calendar",)),
            Cause.TARGET_AMBIGUOUS,
            id="uri-and-name-disagree",
        ),
        pytest.param(
            Targets(resources=(ROOMS_API,)), Cause.TARGET_NOT_ADMITTED, id="another-client's"
        ),
    ],
)
def test_anything_but_one_known_resource_is_refused(targets: Targets, cause: Cause) -> None:
    """Unknown, several, none and another's target have one class, and so one text."""
    refused = refusal(at=targets)

    assert type(refused) is InvalidTarget
    assert refused.cause is cause


@pytest.mark.standard("8707-2-6")
@pytest.mark.parametrize("name", [OUR_ISSUER, CALENDAR_MCP_AUDIENCE, CALENDAR_MCP])
@pytest.mark.parametrize("how", ["identifier", "name"])
def test_neither_we_nor_the_client_are_ever_the_target(name: str, how: str) -> None:
    """Not even where the registry says otherwise: that would be self-minting."""
    changes = {"identifier": name} if how == "identifier" else {"names": frozenset({name})}
    resource = a_resource(**changes)
    registry = a_registry(resources=[resource], grants=[a_grant(resource=resource.identifier)])

    refused = refusal(registry=registry, at=Targets(audiences=(name,)))

    assert type(refused) is InvalidTarget
    assert refused.cause is Cause.TARGET_UNKNOWN


def test_an_alias_cannot_lead_back_to_the_client() -> None:
    """A resource that is the client is none, by whatever name it is asked for."""
    resource = a_resource(identifier=CALENDAR_MCP_AUDIENCE)
    registry = a_registry(resources=[resource], grants=[a_grant(resource=CALENDAR_MCP_AUDIENCE)])

    refused = refusal(registry=registry, at=Targets(audiences=("calendar",)))

    assert refused.cause is Cause.TARGET_UNKNOWN


@pytest.mark.standard("8693-5-2", "8693-2.2.2-2")
@pytest.mark.parametrize(
    "registry",
    [
        pytest.param(with_resource(clients={}), id="not-admitted"),
        pytest.param(
            with_resource(clients={"calendar-api": BOTH}), id="only-another-client-admitted"
        ),
        pytest.param(with_grants(), id="no-grant"),
        pytest.param(with_grant(client="calendar-api"), id="another-client's-grant"),
        pytest.param(with_grant(resource=ROOMS_API), id="another-resource's-grant"),
    ],
)
def test_both_sides_must_opt_in(registry: Registry) -> None:
    """The resource admits the client, and a grant sends it there; a forbidden target is as good as
    an unknown one.
    """
    refused = refusal(registry=registry)

    assert type(refused) is InvalidTarget
    assert refused.cause is Cause.TARGET_NOT_ADMITTED
    assert refused.detail == {"resource": CALENDAR_API}


# The grant


@pytest.mark.standard("8693-4.4-2")
def test_may_act_never_stands_in_for_a_grant() -> None:
    """It is a constraint on top of the grant."""
    subject = a_verified_token(may_act={"sub": CALENDAR_MCP})

    refused = refusal(subject=subject, registry=with_grant(subjects=()))

    assert refused.cause is Cause.NO_GRANT


STAFF = {"groups": frozenset({"staff"})}


@pytest.mark.parametrize(
    "subjects",
    [
        pytest.param(Subjects(issuer=LOGIN, everyone=True), id="everyone"),
        pytest.param(Subjects(issuer=LOGIN, people=frozenset({"alice", "bob"})), id="people"),
        pytest.param(Subjects(issuer=LOGIN, claims=STAFF), id="claims"),
        pytest.param(Subjects(issuer=LOGIN, people=frozenset({"alice"}), claims=STAFF), id="both"),
        pytest.param(
            Subjects(issuer=LOGIN, claims={"groups": frozenset({"board", "staff"})}),
            id="one-of-the-values",
        ),
    ],
)
def test_a_grant_is_for_those_it_names(subjects: Subjects) -> None:
    """By issuer, and by name, claim, or both, or in so many words for everyone."""
    subject = a_verified_token(claims={"groups": frozenset({"staff", "chess"})})

    delegation = a_delegation(subject=subject, registry=with_grant(subjects=(subjects,)))

    assert delegation.grant == "calendar"


@pytest.mark.parametrize(
    "subjects",
    [
        pytest.param((), id="no-entry"),
        pytest.param((Subjects(issuer=LOGIN),), id="nothing-stated"),
        pytest.param((Subjects(issuer=ROOMS_API, everyone=True),), id="another-issuer"),
        pytest.param(
            (Subjects(issuer=ROOMS_API, people=frozenset({"alice"})),),
            id="same-name-at-another-issuer",
        ),
        pytest.param((Subjects(issuer=LOGIN, people=frozenset({"Alice"})),), id="other-case"),
        pytest.param((Subjects(issuer=LOGIN, people=frozenset({"bob"})),), id="somebody-else"),
        pytest.param(
            (Subjects(issuer=LOGIN, people=frozenset({"bob"}), everyone=True),),
            id="everyone-does-not-undo-a-condition",
        ),
        pytest.param(
            (Subjects(issuer=LOGIN, claims={"groups": frozenset({"board"})}),), id="other-value"
        ),
        pytest.param(
            (Subjects(issuer=LOGIN, claims={"department": frozenset({"it"})}),), id="no-claim"
        ),
        pytest.param((Subjects(issuer=LOGIN, claims={"groups": NONE}),), id="no-value-will-do"),
        pytest.param(
            (Subjects(issuer=LOGIN, claims=STAFF | {"department": frozenset({"it"})}),),
            id="one-claim-of-two",
        ),
        pytest.param(
            (Subjects(issuer=LOGIN, people=frozenset({"bob"}), claims=STAFF),),
            id="the-claim-of-somebody-else",
        ),
    ],
)
def test_a_grant_is_for_nobody_else(subjects: tuple[Subjects, ...]) -> None:
    """What is not stated is not meant, and all that is stated must hold."""
    subject = a_verified_token(claims=STAFF)

    refused = refusal(subject=subject, registry=with_grant(subjects=subjects))

    assert type(refused) is NotPermitted
    assert refused.cause is Cause.NO_GRANT
    assert refused.detail == {"resource": CALENDAR_API}


@pytest.mark.parametrize(
    ("agents", "agent", "permitted"),
    [
        pytest.param(Agents(registered=frozenset({DESK_AGENT})), DESK_AGENT, True, id="registered"),
        pytest.param(Agents(registered=frozenset({"planner"})), DESK_AGENT, False, id="another"),
        pytest.param(Agents(), DESK_AGENT, False, id="nobody"),
        pytest.param(Agents(), None, False, id="nobody-and-no-agent"),
        pytest.param(Agents(any=True), DESK_AGENT, True, id="any"),
        pytest.param(Agents(any=True), None, False, id="any-but-no-agent"),
    ],
)
def test_a_grant_is_through_the_agents_it_names(
    agents: Agents, agent: str | None, *, permitted: bool
) -> None:
    """Any agent must be written, and a token that names none came through none."""
    subject, registry = a_verified_token(agent=agent), with_grant(agents=agents)

    if permitted:
        assert a_delegation(subject=subject, registry=registry).grant == "calendar"
    else:
        assert refusal(subject=subject, registry=registry).cause is Cause.NO_GRANT


@pytest.mark.standard("9700-4.15")
@pytest.mark.parametrize(
    ("subject", "services", "permitted"),
    [
        pytest.param(Identity(LOGIN, DESK_AGENT), False, False, id="service"),
        pytest.param(Identity(LOGIN, DESK_AGENT), True, True, id="service-admitted"),
        pytest.param(ALICE, True, True, id="person-where-services-are-admitted"),
    ],
)
def test_a_machines_own_token_is_no_persons(
    subject: Identity, *, services: bool, permitted: bool
) -> None:
    """A subject that is its own client is refused unless the grant is for services."""
    token, registry = a_verified_token(subject=subject), with_grant(services=services)

    if permitted:
        assert a_delegation(subject=token, registry=registry).subject == subject
    else:
        assert refusal(subject=token, registry=registry).cause is Cause.NO_GRANT


@pytest.mark.standard("9700-4.15")
def test_a_machine_cannot_pass_for_a_person_by_leaving_out_its_client_claim() -> None:
    """Where a token names no client, nobody can tell; so no grant matches."""
    subject = a_verified_token(subject=Identity(LOGIN, DESK_AGENT), agent=None)

    refused = refusal(subject=subject, registry=with_grant(agents=Agents(any=True)))

    assert refused.cause is Cause.NO_GRANT


@pytest.mark.parametrize("ago", [0, 1, 86400], ids=["now", "a-second-ago", "a-day-ago"])
def test_a_grant_ends(ago: int) -> None:
    """From its end on it permits nothing."""
    registry = with_grant(expires_at=NOW - timedelta(seconds=ago))

    assert refusal(registry=registry).cause is Cause.NO_GRANT


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"lifetime": timedelta(0)}, id="no-lifetime"),
        pytest.param({"lifetime": timedelta(seconds=-1)}, id="negative-lifetime"),
        pytest.param({"lifetime": MAX_LIFETIME + timedelta(seconds=1)}, id="too-long-a-lifetime"),
        pytest.param({"chain_limit": 0}, id="no-chain"),
        pytest.param({"chain_limit": CHAIN_HARD_CAP + 1}, id="too-long-a-chain"),
    ],
)
@pytest.mark.standard("8693-4.1-7", "9068-2.2-3")
def test_a_grant_cannot_exceed_the_limits_of_the_house(changes: dict[str, Any]) -> None:
    """Fifteen minutes and eight hops, whatever is configured."""
    with pytest.raises(ValueError, match="must be between"):
        a_grant(**changes)


# Several grants


def test_the_grant_that_gives_most_is_chosen() -> None:
    """Of two that downscope, the one that gives more of what was asked for."""
    some = a_grant(id="a", downscope=True, scopes={"calendar:read": READ})
    more = a_grant(id="b", downscope=True)

    delegation = a_delegation(registry=with_grants(some, more), scope=BOTH | {"events.share"})

    assert (delegation.grant, delegation.scope) == ("b", BOTH)


def test_a_grant_that_gives_is_preferred_to_one_that_would_refuse() -> None:
    """Even if the other could give more, were it willing to give less than was asked for."""
    strict = a_grant(id="a")
    lenient = a_grant(id="b", downscope=True, scopes={"calendar:read": READ})

    delegation = a_delegation(registry=with_grants(strict, lenient), scope=BOTH | {"events.share"})

    assert (delegation.grant, delegation.scope) == ("b", READ)


def test_a_grant_whose_chain_limit_holds_is_preferred_to_one_whose_does_not() -> None:
    """A grant that refuses takes nothing away from another."""
    short, long = a_grant(id="a", chain_limit=1), a_grant(id="b", chain_limit=2)

    assert a_delegation(registry=with_grants(short, long)).grant == "b"


def test_where_nothing_is_asked_for_the_grant_that_gives_most_is_chosen() -> None:
    """And never the sum of what several give."""
    grants = (
        a_grant(id="a", scopes={"calendar:read": READ}),
        a_grant(id="b", scopes={"calendar:read": frozenset({"events.share"})}),
        a_grant(id="c", scopes={"calendar:read": READ, "calendar:write": WRITE}),
    )

    delegation = a_delegation(registry=with_grants(*grants))

    assert (delegation.grant, delegation.scope) == ("c", BOTH)


@pytest.mark.parametrize(
    ("lifetimes", "chosen"),
    [
        pytest.param((60, 300), "b", id="longer-life"),
        pytest.param((300, 300), "a", id="then-by-id"),
    ],
)
def test_between_equals_the_choice_is_stable(lifetimes: tuple[int, int], chosen: str) -> None:
    """Whatever the order in which they were written."""
    grants = [
        a_grant(id=id, lifetime=timedelta(seconds=lifetime))
        for id, lifetime in zip("ab", lifetimes, strict=True)  # noqa: A001
    ]

    assert a_delegation(registry=with_grants(*grants)).grant == chosen
    assert a_delegation(registry=with_grants(*reversed(grants))).grant == chosen


def test_a_grant_that_does_not_match_is_no_choice() -> None:
    """However much it would give."""
    bobs = a_grant(id="a", subjects=(Subjects(issuer=LOGIN, people=frozenset({"bob"})),))
    hers = a_grant(id="b", scopes={"calendar:read": READ})

    assert a_delegation(registry=with_grants(bobs, hers)).grant == "b"


# The chain


@pytest.mark.standard("8693-4.1-2", "8693-4.1-4")
def test_a_registered_agent_stands_below_the_client() -> None:
    """The client is the current actor; the agent, vouched for by the grant, acted before."""
    assert a_delegation().actors == ActorChain((CALENDAR_MCP_HOP, DESK_AGENT_HOP))


@pytest.mark.standard("9700-4.15")
def test_nobody_acts_for_themselves() -> None:
    """A service is its own client: it is the subject, and not its own actor as well."""
    service = a_verified_token(subject=Identity(LOGIN, DESK_AGENT))

    delegation = a_delegation(subject=service, registry=with_grant(services=True))

    assert delegation.actors == ActorChain((CALENDAR_MCP_HOP,))


@pytest.mark.standard("8693-4.1-2")
def test_an_agent_that_nobody_vouches_for_does_not_enter_the_chain() -> None:
    """But a lock on it still finds the exchange."""
    delegation = a_delegation(registry=with_grant(agents=Agents(any=True)))

    assert delegation.actors == ActorChain((CALENDAR_MCP_HOP,))
    assert Target.agent(Identity(LOGIN, DESK_AGENT)) in delegation.targets()


@pytest.mark.standard("8693-4.1-2", "8693-4.1-6", "8693-4.4-4")
def test_who_acted_before_stays_in_the_chain() -> None:
    """Whole, in order, below the new actor; and the agent is not added to it."""
    before = ActorChain(
        (
            Actor(identity=Identity(LOGIN, "planner"), client_id="p", sub_profile="ai_agent"),
            Actor(identity=Identity(LOGIN, "caller")),
        )
    )

    delegation = a_delegation(subject=a_verified_token(actors=before))

    assert delegation.actors.actors == (CALENDAR_MCP_HOP, *before)


@pytest.mark.standard("8693-4.1-2", "8693-4.1-3", "8693-4.1-6", "8693-4.3-1")
def test_the_second_hop_continues_the_first() -> None:
    """Same root, longer chain, its own client; the agent is matched, and not added again."""
    delegation = a_second_delegation()

    assert delegation.subject == ALICE
    assert delegation.client == "calendar-api"
    assert delegation.resource == ROOMS_API
    assert delegation.scope == {"rooms.read"}
    assert delegation.txn == "exchange-1"
    assert delegation.actors == ActorChain(
        (Actor(identity=Identity(OUR_ISSUER, "calendar-api")), CALENDAR_MCP_HOP, DESK_AGENT_HOP)
    )


@pytest.mark.standard("8693-4.1-3")
def test_a_nested_actor_permits_nothing() -> None:
    """Only the subject token's own client is the agent, whoever else is in the chain."""
    grant = the_next_grant(agents=Agents(registered=frozenset({DESK_AGENT})))

    with pytest.raises(NotPermitted) as caught:
        a_second_delegation(registry=with_grants(grant))

    assert caught.value.cause is Cause.NO_GRANT


@pytest.mark.parametrize("position", [0, 1, 2], ids=["current", "before", "first"])
@pytest.mark.standard("8693-4.1-10")
def test_a_cycle_is_refused_unless_the_grant_allows_it(position: int) -> None:
    """Whoever acts already, anywhere in the chain, does not act again."""
    before = list(a_chain("planner", "caller", issuer=LOGIN))
    before.insert(position, CALENDAR_MCP_HOP)
    subject = a_verified_token(actors=ActorChain(tuple(before)))

    refused = refusal(subject=subject)
    delegation = a_delegation(subject=subject, registry=with_grant(cycles=True))

    assert type(refused) is NotPermitted
    assert refused.cause is Cause.CHAIN_CYCLE
    assert refused.detail == {"grant": "calendar"}
    assert delegation.actors.actors == (CALENDAR_MCP_HOP, *before)


@pytest.mark.standard("8693-4.1-8")
def test_the_same_name_at_another_issuer_is_no_cycle() -> None:
    """An actor is the pair of issuer and subject."""
    subject = a_verified_token(actors=a_chain(CALENDAR_MCP, issuer=LOGIN))

    assert len(a_delegation(subject=subject).actors) == 2


PLANNER_HOP = Actor(identity=PLANNER)


def by_planner(**arguments: Any) -> Delegation:
    """What is decided where *calendar-mcp* shows who acts: the planner, by its platform."""
    shown: dict[str, Any] = {"actor": a_workload(), "by": WITH_PLANNER}
    return a_delegation(**(shown | arguments))


@pytest.mark.standard("8693-4.1-2", "8693-4.1-6", "8693-4.3-1")
def test_whoever_the_actor_token_names_acts() -> None:
    """And not the client besides: that is whom the token is issued to."""
    delegation = by_planner()

    assert delegation.actors == ActorChain((PLANNER_HOP, DESK_AGENT_HOP))
    assert delegation.client == CALENDAR_MCP


@pytest.mark.standard("8693-4.1-2", "8693-4.1-8")
def test_a_client_that_shows_its_own_token_acts_as_without() -> None:
    """The chain is the same; by an access token it is who the issuer of that says."""
    itself = an_actor()
    by_access_token = a_workload(identity=Identity(PLATFORM, CALENDAR_MCP), issued_to=CALENDAR_MCP)

    assert a_delegation(actor=itself).actors == a_delegation().actors
    assert a_delegation(actor=by_access_token).actors == ActorChain(
        (Actor(identity=Identity(PLATFORM, CALENDAR_MCP)), DESK_AGENT_HOP)
    )


@pytest.mark.standard("8693-4.1-2", "8693-4.1-10")
def test_an_agent_that_acts_by_its_own_token_acts_once() -> None:
    """It is the head, and not below itself as well."""
    agent = Identity(LOGIN, DESK_AGENT)
    actor = a_workload(issuer=LOGIN, identity=agent)

    delegation = a_delegation(actor=actor, by=a_client(may_present_actors=frozenset({agent})))

    assert delegation.actors == ActorChain((Actor(identity=agent),))


@pytest.mark.standard("8693-4.1-2", "8693-4.1-6", "8693-4.4-4")
def test_who_acted_before_stays_below_the_actor() -> None:
    """Whole and in order, as below a client."""
    before = a_chain("caller", "assistant", issuer=LOGIN)

    assert by_planner(subject=a_verified_token(actors=before)).actors.actors == (
        PLANNER_HOP,
        *before,
    )


@pytest.mark.standard("8693-4.1-3", "8693-4.1-6", "8693-4.4-4")
def test_the_second_hop_continues_that_of_an_actor() -> None:
    """The client of the first hop is matched as the agent, and enters no chain: it never acted."""
    first = a_token_of_ours(actors=ActorChain((PLANNER_HOP, DESK_AGENT_HOP)))

    delegation = a_second_delegation(subject=first)

    assert delegation.actors == ActorChain(
        (Actor(identity=Identity(OUR_ISSUER, "calendar-api")), PLANNER_HOP, DESK_AGENT_HOP)
    )
    assert Target.agent(Identity(OUR_ISSUER, CALENDAR_MCP)) in delegation.targets()
    assert Target.actor(Identity(OUR_ISSUER, CALENDAR_MCP)) not in delegation.targets()


@pytest.mark.parametrize("position", [0, 1], ids=["current", "before"])
@pytest.mark.standard("8693-4.1-10")
def test_an_actor_that_acts_already_is_a_cycle(position: int) -> None:
    """Unless the grant allows it: also where another client shows its token anew."""
    before = [Actor(identity=Identity(LOGIN, "caller"))]
    before.insert(position, PLANNER_HOP)
    subject = a_verified_token(actors=ActorChain(tuple(before)))

    with pytest.raises(NotPermitted) as caught:
        by_planner(subject=subject)
    delegation = by_planner(subject=subject, registry=with_grant(cycles=True))

    assert caught.value.cause is Cause.CHAIN_CYCLE
    assert delegation.actors.actors == (PLANNER_HOP, *before)


@pytest.mark.standard("8693-4.1-7")
@pytest.mark.parametrize("limit", [1, 2])
def test_an_actor_counts_towards_the_length(limit: int) -> None:
    """With the agent below it there are two."""
    if limit == len((PLANNER_HOP, DESK_AGENT_HOP)):
        assert len(by_planner(registry=with_grant(chain_limit=limit)).actors) == limit
        return

    with pytest.raises(NotPermitted) as caught:
        by_planner(registry=with_grant(chain_limit=limit))

    assert caught.value.cause is Cause.CHAIN_TOO_LONG


@pytest.mark.standard("8693-4.1-7")
@pytest.mark.parametrize(
    ("length", "limit", "permitted"),
    [
        pytest.param(3, 4, True, id="at-the-limit"),
        pytest.param(4, 4, False, id="above-the-limit"),
        pytest.param(7, 8, True, id="at-the-hard-cap"),
        pytest.param(8, 8, False, id="above-the-hard-cap"),
    ],
)
def test_a_chain_that_would_be_too_long_is_refused(
    length: int, limit: int, *, permitted: bool
) -> None:
    """The limit is that of the resulting chain, and nothing is ever cut."""
    chain = a_chain(*(f"actor-{n}" for n in range(length)), issuer=LOGIN)
    subject, registry = a_verified_token(actors=chain), with_grant(chain_limit=limit)

    if permitted:
        assert len(a_delegation(subject=subject, registry=registry).actors) == length + 1
    else:
        refused = refusal(subject=subject, registry=registry)

        assert type(refused) is NotPermitted
        assert refused.cause is Cause.CHAIN_TOO_LONG
        assert refused.detail == {"grant": "calendar", "length": length + 1}


@pytest.mark.standard("8693-4.1-7")
def test_a_chain_of_too_many_bytes_is_refused() -> None:
    """Few hops can be a long claim too."""
    long = "x" * 255
    hops = (
        Actor(identity=Identity(long, f"{n}{long[1:]}"), client_id=long, sub_profile=long)
        for n in range(4)
    )
    subject = a_verified_token(actors=ActorChain(tuple(hops)))

    refused = refusal(subject=subject, registry=with_grant(chain_limit=CHAIN_HARD_CAP))

    assert type(refused) is NotPermitted
    assert refused.cause is Cause.CHAIN_TOO_LONG


# The scope


@pytest.mark.standard("8693-2.1-11", "6749-3.3-2")
@pytest.mark.parametrize(
    ("held", "asked", "given_scope"),
    [
        pytest.param({"calendar:read", "calendar:write"}, None, BOTH, id="all-that-is-allowed"),
        pytest.param({"calendar:read"}, None, READ, id="no-more-than-the-subject-holds"),
        pytest.param({"calendar:read", "calendar:write"}, READ, READ, id="less-than-allowed"),
        pytest.param({"calendar:read", "profile"}, None, READ, id="unmapped-means-nothing"),
        pytest.param({"calendar:read"}, READ, READ, id="exactly"),
    ],
)
def test_the_scope_given(held: set[str], asked: frozenset[str] | None, given_scope: object) -> None:
    """Where no scope is asked for, all that the others allow; else what is asked for."""
    subject = a_verified_token(scope=frozenset(held))

    delegation = a_delegation(subject=subject, scope=asked)

    assert delegation.scope == given_scope
    assert delegation.requested == asked
    assert delegation.withheld == NONE


@pytest.mark.standard("8693-2.1-11", "6749-3.3-1", "6749-3.3-3", "8707-3-1", "9068-3-1")
@pytest.mark.parametrize(
    "scope",
    [
        pytest.param({"events.share"}, id="not-in-the-grant"),
        pytest.param({"rooms.read"}, id="of-another-resource"),
        pytest.param({"calendar:read"}, id="of-the-other-vocabulary"),
        pytest.param({"EVENTS.READ"}, id="other-case"),
        pytest.param({"events.rea"}, id="prefix"),
        pytest.param({"events"}, id="parent"),
        pytest.param({"*"}, id="star"),
        pytest.param({"events.*"}, id="pattern"),
        pytest.param({"events.read%20events.write"}, id="percent-encoded"),
        pytest.param({"events.read", "events.share"}, id="partly"),
    ],
)
def test_more_than_is_allowed_is_refused(scope: set[str]) -> None:
    """A scope is a name and no pattern; and what no token could obtain has no way out."""
    refused = refusal(scope=frozenset(scope))

    assert type(refused) is InvalidScope
    assert refused.cause is Cause.SCOPE_EXCEEDED
    assert refused.required == NONE
    assert refused.detail == {"grant": "calendar", "withheld": sorted(scope - BOTH)}


@pytest.mark.standard("8693-5-1", "8693-4.2-1")
@pytest.mark.parametrize(
    ("subject", "registry", "scope"),
    [
        pytest.param({"scope": NONE}, {}, None, id="the-subject-holds-none"),
        pytest.param({"scope": frozenset({"profile"})}, {}, None, id="none-that-is-mapped"),
        pytest.param({}, {"registry": with_grant(scopes={})}, None, id="the-grant-has-none"),
        pytest.param(
            {}, {"registry": with_grant(scopes={"calendar:read": NONE})}, None, id="mapped-to-none"
        ),
        pytest.param({}, {"registry": with_resource(scopes=NONE)}, None, id="empty-catalogue"),
        pytest.param(
            {}, {"registry": with_resource(clients={CALENDAR_MCP: NONE})}, None, id="no-admission"
        ),
        pytest.param({}, {}, NONE, id="none-asked-for"),
        pytest.param(
            {"scope": frozenset({"calendar:read"})},
            {"registry": with_grant(downscope=True)},
            WRITE,
            id="all-of-it-withheld",
        ),
    ],
)
def test_an_empty_scope_is_refused(
    subject: dict[str, Any], registry: dict[str, Any], scope: frozenset[str] | None
) -> None:
    """Empty never means everything, wherever it comes from."""
    refused = refusal(subject=a_verified_token(**subject), scope=scope, **registry)

    assert type(refused) is InvalidScope
    assert refused.cause is Cause.SCOPE_EMPTY
    assert refused.detail == {"grant": "calendar"}


@pytest.mark.standard("MCP-3")
@pytest.mark.parametrize(
    ("held", "asked", "grant", "required"),
    [
        pytest.param({"calendar:read"}, WRITE, {}, {"calendar:write"}, id="one-more"),
        pytest.param({"calendar:read"}, BOTH, {}, {"calendar:write"}, id="only-what-is-missing"),
        pytest.param(set(), BOTH, {}, {"calendar:read", "calendar:write"}, id="each"),
        pytest.param(set(), None, {}, {"calendar:read", "calendar:write"}, id="nothing-asked-for"),
        pytest.param(set(), BOTH | {"events.share"}, {}, set(), id="nothing-would-do"),
        pytest.param(
            set(),
            READ | {"events.share"},
            {"downscope": True},
            {"calendar:read"},
            id="a-part-would-do",
        ),
        pytest.param(
            set(),
            READ,
            {"scopes": {"calendar:all": BOTH, "calendar:read": READ}},
            {"calendar:read"},
            id="the-one-that-stands-for-least",
        ),
        pytest.param(
            set(), READ, {"scopes": {"b": READ, "a": READ}}, {"a"}, id="then-the-first-by-name"
        ),
    ],
)
def test_a_client_is_told_which_scope_would_have_sufficed(
    held: set[str], asked: frozenset[str] | None, grant: dict[str, Any], required: set[str]
) -> None:
    """In the subject token's vocabulary, so that an MCP server can ask its user for it."""
    subject = a_verified_token(scope=frozenset(held))

    refused = refusal(subject=subject, scope=asked, registry=with_grant(**grant))

    assert isinstance(refused, InvalidScope)
    assert refused.required == required


def test_no_scope_is_named_that_the_resource_would_not_honour() -> None:
    """What the resource does not admit, no token of the user's will obtain."""
    registry = with_resource(clients={CALENDAR_MCP: READ})

    refused = refusal(subject=a_verified_token(scope=NONE), scope=WRITE, registry=registry)

    assert isinstance(refused, InvalidScope)
    assert refused.required == NONE


@pytest.mark.standard("6749-3.3-2")
def test_a_grant_may_give_less_than_was_asked_for() -> None:
    """Then the decision says what was withheld, and by whom."""
    registry = a_registry(
        resources=[a_resource(clients={CALENDAR_MCP: frozenset({"events.read", "events.write"})})],
        grants=[
            a_grant(
                downscope=True,
                scopes={
                    "calendar:read": READ,
                    "calendar:write": WRITE,
                    "calendar:share": frozenset({"events.share"}),
                },
            )
        ],
    )
    subject = a_verified_token(scope=frozenset({"calendar:read", "calendar:share"}))

    delegation = a_delegation(
        subject=subject, registry=registry, scope=BOTH | {"events.share", "events.purge"}
    )

    assert delegation.scope == READ
    assert delegation.withheld == {"events.purge", "events.share", "events.write"}
    assert delegation.limits == {
        "expiry": "grant",
        "scope:events.purge": "grant",
        "scope:events.share": "resource",
        "scope:events.write": "subject_token",
    }


# The lifetime


@pytest.mark.standard("9068-2.2-3")
@pytest.mark.parametrize(
    ("subject", "grant", "lifetime", "limit"),
    [
        pytest.param(3600, {}, 300, "grant", id="the-default"),
        pytest.param(60, {}, 60, "subject_token", id="the-subject-token's-rest"),
        pytest.param(5, {}, 5, "subject_token", id="as-little-as-five-seconds"),
        pytest.param(5.9, {}, 5, "subject_token", id="whole-seconds"),
        pytest.param(3600, {"lifetime": timedelta(seconds=900)}, 900, "grant", id="the-longest"),
        pytest.param(
            3600, {"expires_at": NOW + timedelta(seconds=45)}, 45, "grant", id="the-grant's-end"
        ),
        pytest.param(
            3600, {"expires_at": NOW + timedelta(seconds=301)}, 300, "grant", id="before-its-end"
        ),
    ],
)
def test_the_lifetime_given(
    subject: float, grant: dict[str, Any], lifetime: int, limit: str
) -> None:
    """The least of what the subject token and the grant leave, and who said so."""
    token = a_verified_token(expires_at=NOW + timedelta(seconds=subject))

    delegation = a_delegation(subject=token, registry=with_grant(**grant))

    assert delegation.expires_at - delegation.issued_at == timedelta(seconds=lifetime)
    assert delegation.limits == {"expiry": limit}


@pytest.mark.standard("9068-2.2-3")
@pytest.mark.parametrize(
    ("subject", "grant", "expected"),
    [
        pytest.param(4.9, {}, SubjectTokenRejected, id="the-subject-token's"),
        pytest.param(3600, {"lifetime": timedelta(seconds=4)}, NotPermitted, id="the-grant's"),
        pytest.param(
            3600, {"expires_at": NOW + timedelta(seconds=4)}, NotPermitted, id="the-grant-ends"
        ),
    ],
)
def test_a_token_that_would_not_live_long_enough_is_refused(
    subject: float, grant: dict[str, Any], expected: type[Refused]
) -> None:
    """And only the subject token is blamed where a new one would help."""
    token = a_verified_token(expires_at=NOW + timedelta(seconds=subject))

    refused = refusal(subject=token, registry=with_grant(**grant))

    assert type(refused) is expected
    assert refused.cause is Cause.LIFETIME_TOO_SHORT


@pytest.mark.standard("9068-2.2-3")
@pytest.mark.parametrize(
    ("actor", "lifetime", "limit"),
    [
        pytest.param(60, 60, "actor_token", id="the-actor-token's-rest"),
        pytest.param(5.9, 5, "actor_token", id="whole-seconds"),
        pytest.param(301, 300, "grant", id="not-longer-for-it"),
    ],
)
def test_no_token_outlives_the_actor_token(actor: float, lifetime: int, limit: str) -> None:
    """It is a parent too; and the decision says who cut the lifetime."""
    delegation = by_planner(actor=a_workload(expires_at=NOW + timedelta(seconds=actor)))

    assert delegation.expires_at - delegation.issued_at == timedelta(seconds=lifetime)
    assert delegation.limits == {"expiry": limit}


def test_of_those_that_end_together_the_grant_is_named_first() -> None:
    """Then the subject token: it is looked at before the actor token."""
    end = NOW + timedelta(seconds=60)
    subject, actor = a_verified_token(expires_at=end), a_workload(expires_at=end)

    both = by_planner(subject=subject, actor=actor)
    all_three = by_planner(subject=subject, actor=actor, registry=with_grant(expires_at=end))

    assert both.limits == {"expiry": "subject_token"}
    assert all_three.limits == {"expiry": "grant"}


@pytest.mark.standard("9068-2.2-3")
def test_the_actor_token_is_blamed_where_a_new_one_would_help() -> None:
    """It would not leave enough to live."""
    with pytest.raises(ActorTokenRejected) as caught:
        by_planner(actor=a_workload(expires_at=NOW + timedelta(seconds=4.9)))

    assert caught.value.cause is Cause.LIFETIME_TOO_SHORT


# The decision


def test_a_decision_says_what_it_was_made_on() -> None:
    """All that the record, the event and the token need."""
    now = NOW + timedelta(milliseconds=250)
    subject = a_verified_token()

    delegation = a_delegation(
        subject=subject, now=now, scope=READ, id="exchange-7", registry=with_grant(single_use=True)
    )

    assert delegation == Delegation(
        id="exchange-7",
        parent=subject,
        actors=ActorChain((CALENDAR_MCP_HOP, DESK_AGENT_HOP)),
        client=CALENDAR_MCP,
        resource=CALENDAR_API,
        grant="calendar",
        scope=READ,
        requested=READ,
        decided_at=now,
        issued_at=NOW,
        expires_at=NOW + timedelta(seconds=300),
        single_use=True,
        txn="exchange-7",
        revision="revision-1",
        limits={"expiry": "grant"},
    )


@pytest.mark.standard("9068-2.2-2")
def test_an_exchange_never_refreshes_the_authentication() -> None:
    """When and how the person authenticated is as the subject token has it."""
    authentication = Authentication(time=NOW - timedelta(hours=9), acr="high", amr=("pwd", "otp"))

    delegation = a_delegation(subject=a_verified_token(authentication=authentication))

    assert delegation.authentication == authentication


def test_a_transaction_goes_through() -> None:
    """A subject token that belongs to a transaction passes its id on."""
    assert a_delegation(subject=a_verified_token(txn="order-7")).txn == "order-7"


def test_everything_that_a_lock_could_name_is_found() -> None:
    """The exchange by itself: each party, each pair, the grant, the resource, its own id."""
    client, agent = Identity(OUR_ISSUER, CALENDAR_MCP), Identity(LOGIN, DESK_AGENT)

    assert a_delegation().targets() == {
        EVERYTHING,
        Target.issuer(LOGIN),
        Target.subject(ALICE),
        Target.agent(agent),
        Target.actor(agent),
        Target.actor(client),
        Target.pair(ALICE, agent),
        Target.pair(ALICE, client),
        Target.client(CALENDAR_MCP),
        Target.resource(CALENDAR_API),
        Target.grant("calendar"),
        Target.exchange("exchange-1"),
    }


def test_the_second_hop_is_found_by_its_root() -> None:
    """Locks see the root identity and its issuer at every hop, and every actor."""
    targets = a_second_delegation().targets()

    assert {
        Target.issuer(LOGIN),
        Target.subject(ALICE),
        Target.agent(Identity(OUR_ISSUER, CALENDAR_MCP)),
        Target.actor(Identity(LOGIN, DESK_AGENT)),
        Target.pair(ALICE, Identity(OUR_ISSUER, CALENDAR_MCP)),
        Target.client("calendar-api"),
    } <= targets
    assert Target.issuer(OUR_ISSUER) not in targets


@pytest.mark.parametrize(
    ("login", "logged_in_at"),
    [
        pytest.param(None, milliseconds(NOW - LONGEST_SESSION), id="unknown"),
        pytest.param(NOW - timedelta(hours=9), milliseconds(NOW) - 9 * 3_600_000, id="known"),
    ],
)
def test_the_foreign_token_is_the_first_link(login: datetime | None, logged_in_at: int) -> None:
    """It counts as issued at `iat` less the skew; a login that it does not tell of, as long ago."""
    chain = a_chain("planner", issuer=LOGIN)
    subject = a_verified_token(
        issued_at=NOW, actors=chain, agent=None, authentication=Authentication(time=login)
    )
    delegation = replace(a_delegation(), parent=subject)

    link = delegation.origin()

    assert link is not None
    assert link.targets == {
        EVERYTHING,
        Target.issuer(LOGIN),
        Target.subject(ALICE),
        Target.actor(Identity(LOGIN, "planner")),
        Target.pair(ALICE, Identity(LOGIN, "planner")),
        Target.token(LOGIN, "login-1"),
    }
    assert link.issued_at == milliseconds(NOW) - 30_000
    assert link.is_foreign
    assert link.logged_in_at == logged_in_at


def test_where_another_acts_locks_find_it_and_the_client() -> None:
    """The actor and its issuer stand where the client would; who asked is the client alone."""
    client = Identity(OUR_ISSUER, CALENDAR_MCP)

    targets, without = by_planner().targets(), a_delegation().targets()

    assert targets - without == {
        Target.issuer(PLATFORM),
        Target.actor(PLANNER),
        Target.pair(ALICE, PLANNER),
    }
    assert without - targets == {Target.actor(client), Target.pair(ALICE, client)}
    assert Target.client(CALENDAR_MCP) in targets


def test_without_an_actor_token_there_is_no_link_of_one() -> None:
    """The client authenticated, which is of this moment and leaves nothing to stop."""
    assert a_delegation().actor_origin() is None


def test_an_actor_token_is_a_link_of_its_own() -> None:
    """By its id, its issuer and who it names; as old as its issuer's clock allows."""
    link = by_planner(actor=a_workload(issued_at=NOW)).actor_origin()

    assert link is not None
    assert link.targets == {
        EVERYTHING,
        Target.issuer(PLATFORM),
        Target.actor(PLANNER),
        Target.token(PLATFORM, "actor-1"),
    }
    assert link.issued_at == milliseconds(NOW) - 30_000
    assert (link.is_foreign, link.logged_in_at) == (True, milliseconds(NOW - LONGEST_SESSION))


def test_what_a_client_signed_of_itself_is_found_by_that_client() -> None:
    """A lock on that client reaches it, for no issuer wrote it; its clock may be further off."""
    api = Identity(OUR_ISSUER, "calendar-api")
    actor = an_actor(issuer="calendar-api", identity=api, issued_at=NOW)

    link = by_planner(actor=actor, by=a_client(may_present_actors=frozenset({api}))).actor_origin()

    assert link is not None
    assert link.targets == {
        EVERYTHING,
        Target.client("calendar-api"),
        Target.actor(api),
        Target.token("calendar-api", "actor-1"),
    }
    assert link.issued_at == milliseconds(NOW) - 60_000


def test_a_token_of_ours_brings_no_foreign_link() -> None:
    """Its own record has it."""
    assert a_second_delegation().origin() is None


@given(now=st.integers(0, 4_000_000_000_000), rest=st.sampled_from([0, 1, 999]))
def test_milliseconds_are_exact(now: int, rest: int) -> None:
    """No rounding of fractions moves a time across a lock's end."""
    time = EPOCH + timedelta(milliseconds=now, microseconds=rest)

    assert milliseconds(time) == now


def test_the_story_needs_both_of_its_clients() -> None:
    """The second hop's client is addressed by the first hop's token, and by no other."""
    assert the_next_client().audience == a_delegation().resource
