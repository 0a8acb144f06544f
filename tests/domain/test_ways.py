"""`who-can` and `what-can` list every way that `can-i` would allow, and no other."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from delegation.domain.delegations import Delegation
from delegation.domain.grants import Agents, Deny, Grant, Subjects
from delegation.domain.parties import NOBODY, Actor, Identity
from delegation.domain.questions import No, Question, Unaskable, Yes, can_i, decide
from delegation.domain.registry import Registry
from delegation.domain.resources import Targets
from delegation.domain.tokens import Scope, VerifiedActor, VerifiedToken
from delegation.domain.ways import Way, what_can, who_can
from tests.parties import (
    ALIAS,
    ALICE,
    CALENDAR_API,
    CALENDAR_API_CLIENT,
    CALENDAR_MCP,
    DESK_AGENT,
    LOGIN,
    NOW,
    OUR_ISSUER,
    ROOMS_API,
    a_client,
    a_deny,
    a_grant,
    a_registry,
    a_resource,
    a_verified_token,
    an_actor_issuer,
    an_issuer,
    the_next_client,
    the_next_grant,
)
from tests.strategies import (
    API_SCOPES,
    MCP_SCOPES,
    OTHER_LOGIN,
    World,
    denies,
    grants,
    subsets,
    verified_actors,
    worlds,
)

ISSUERS = [an_issuer(claims={"groups": "groups", "department": "department"})]
ISSUERS += [replace(ISSUERS[0], issuer=OTHER_LOGIN, alias="partner")]


@st.composite
def registries(draw: st.DrawFn) -> Registry:
    """Grants of *calendar-mcp* at the calendar, and of *calendar-api* at the rooms after it."""
    world = draw(worlds())
    second = draw(grants(id="grant-3", now=NOW))
    onward = replace(
        second,
        client=CALENDAR_API_CLIENT,
        resource=ROOMS_API,
        agents=draw(st.sampled_from([second.agents, _THROUGH_CALENDAR, _THROUGH_BOTH])),
        scopes=draw(st.dictionaries(st.sampled_from(API_SCOPES), subsets(API_SCOPES))),
    )
    resources = [
        replace(one, clients={**one.clients, CALENDAR_API_CLIENT: one.scopes})
        for one in world.resources
    ]
    exchanging = draw(st.sampled_from([True, True, True, False]))
    return a_registry(
        issuers=ISSUERS,
        clients=[a_client(), the_next_client(may_exchange=exchanging)],
        resources=resources,
        grants=[*world.grants, onward, *world.denies, *draw(denies_onward()), *world.shadows],
    )


@st.composite
def denies_onward(draw: st.DrawFn) -> list[Deny]:
    """Sometimes, something is denied at the rooms."""
    if draw(st.booleans()):
        return []
    deny = draw(denies(id="deny-3"))
    agents = draw(st.sampled_from([deny.agents, _THROUGH_CALENDAR]))
    return [replace(deny, client=CALENDAR_API_CLIENT, resource=ROOMS_API, agents=agents)]


_THROUGH_CALENDAR = Agents(registered=frozenset({CALENDAR_MCP}))
_THROUGH_BOTH = Agents(registered=frozenset({CALENDAR_MCP, DESK_AGENT}))


@st.composite
def questions(draw: st.DrawFn) -> Question:
    """About both clients, of anybody, through anyone, with any token."""
    client = draw(st.sampled_from([CALENDAR_MCP, CALENDAR_API_CLIENT]))
    before = draw(st.sampled_from([(), (CALENDAR_MCP,)])) if client != CALENDAR_MCP else ()
    resources = [CALENDAR_API, "calendar", ROOMS_API] if client == CALENDAR_MCP else [ROOMS_API]
    held = st.just(frozenset(MCP_SCOPES + API_SCOPES))
    return Question(
        client=client,
        before=before,
        resource=draw(st.sampled_from(resources)),
        alias=draw(st.sampled_from([ALIAS, ALIAS, "partner"])),
        subject=draw(st.sampled_from(["alice", "bob", DESK_AGENT])),
        agent=draw(st.sampled_from([DESK_AGENT, DESK_AGENT, "planner", CALENDAR_MCP, "other"])),
        token_scope=draw(held | subsets(MCP_SCOPES + API_SCOPES)),
        claims=dict.fromkeys(["groups", "department"], draw(subsets(("staff", "board")))),
        scope=draw(st.none() | subsets(API_SCOPES, min_size=1)),
        now=NOW,
    )


def includes(way: Way, delegation: Delegation) -> bool:
    """Whether *way* says that this could happen."""
    token = delegation.parent
    named = not way.people or token.subject.subject in way.people
    through = way.before if token.is_ours else way.agents
    possible = frozenset().union(*(way.scopes.get(name, frozenset()) for name in token.scope))
    return (
        (way.grant.id, way.client, way.resource)
        == (delegation.grant, delegation.client, delegation.resource)
        and way.subjects.admit(token)
        and named
        and ((way.any_agent and not token.is_ours) or token.agent in through)
        and delegation.scope <= possible
    )


@given(registries(), questions())
def test_every_yes_is_listed(registry: Registry, question: Question) -> None:
    """Whatever `can-i` allows is on each of the lists that it belongs on."""
    answer = can_i(question, registry)
    event(type(answer).__name__)
    if isinstance(answer, No):
        return
    delegation = answer.delegation
    somebody = f"{question.alias}|{question.subject}"

    lists = [
        who_can(question.resource, None, registry, NOW),
        what_can(question.client, registry, NOW),
        what_can(somebody, registry, NOW),
        *(who_can(question.resource, scope, registry, NOW) for scope in delegation.scope),
    ]

    narrow = replace(delegation, scope=frozenset())
    assert all(any(includes(way, delegation) for way in one) for one in lists[:3])
    assert all(any(includes(way, narrow) for way in one) for one in lists[3:])


@given(worlds(), verified_actors())
def test_every_yes_to_an_actor_token_is_listed(world: World, actor: VerifiedActor) -> None:
    """Whoever acts: it may be the agent itself, and then the chain is shorter."""
    platforms = [an_actor_issuer(), an_actor_issuer(issuer=LOGIN, alias="login")]
    registry = a_registry(
        issuers=ISSUERS,
        actor_issuers=platforms,
        clients=[world.client],
        resources=world.resources,
        grants=[*world.grants, *world.denies],
    )
    answer = decide(
        world.subject,
        actor,
        by=world.client,
        at=world.targets,
        scope=world.scope,
        registry=registry,
        now=world.now,
    )
    event(type(answer).__name__)
    if isinstance(answer, No):
        return

    found = what_can(CALENDAR_MCP, registry, world.now)

    assert any(includes(way, answer.delegation) for way in found)


def test_an_agent_that_acts_itself_has_the_shorter_chain() -> None:
    """Where it is an actor issuer's, and its client may show its tokens."""
    itself = Identity(LOGIN, DESK_AGENT)
    showing = {"clients": [a_client(may_present_actors=frozenset({itself}))]}
    known = {"actor_issuers": [an_actor_issuer(issuer=LOGIN)]}
    short = a_grant(chain_limit=1)

    (way,) = ways(short, **showing, **known)

    assert (way.people, way.agents) == ((), (DESK_AGENT,))
    assert ways(short, **showing) == []
    assert ways(short, **known) == []


def tokens_for(way: Way, person: str, through: str, *, ours: bool) -> Iterator[VerifiedToken]:
    """Those that say what *way* asks for, with no claim's value too many; ours have no claims."""
    chain = NOBODY.handed_to(Actor(identity=Identity(OUR_ISSUER, through)))
    claims = way.subjects.claims
    for values in product(*map(sorted, claims.values())):
        said = {name: frozenset({value}) for name, value in zip(claims, values, strict=True)}
        yield a_verified_token(
            issuer=OUR_ISSUER if ours else way.subjects.issuer,
            subject=Identity(way.subjects.issuer, person),
            agent=through,
            scope=frozenset(way.scopes),
            actors=chain if ours else NOBODY,
            claims={} if ours else said,
            is_ours=ours,
        )


def given_to(token: VerifiedToken, way: Way, registry: Registry) -> Scope:
    """What *registry* gives to *token*, of what *way* says."""
    client = registry.clients[way.client]
    answer = decide(
        replace(token, audience=(client.audience,)),
        by=client,
        at=Targets(resources=(way.resource,)),
        scope=None,
        registry=replace(registry, grants={(way.client, way.resource): (way.grant,)}),
        now=NOW,
    )
    return answer.delegation.scope if isinstance(answer, Yes) else frozenset()


def gone(way: Way, registry: Registry) -> dict[tuple[str, str, bool], Scope]:
    """What each person is given through each agent and each client, whose token is ours."""
    through = [(one, False) for one in way.agents] + [(one, True) for one in way.before]
    through += [("any-agent", False)] * way.any_agent
    return {
        (person, one, ours): frozenset().union(
            *(given_to(token, way, registry) for token in tokens_for(way, person, one, ours=ours))
        )
        for person in way.people or ("somebody",)
        for one, ours in through
    }


@given(registries())
def test_every_way_can_be_gone(registry: Registry) -> None:
    """Each person by somebody, and through each agent and client somebody, with each scope."""
    for way in [one for name in registry.clients for one in what_can(name, registry, NOW)]:
        _hold_all(way, {one: got for one, got in gone(way, registry).items() if got})


@given(registries(), st.sampled_from(API_SCOPES), st.sampled_from([CALENDAR_API, ROOMS_API]))
def test_every_way_to_a_scope_leads_there(registry: Registry, scope: str, resource: str) -> None:
    """Who is denied that scope is not on its list, whatever else they may have."""
    if scope not in registry.resources[resource].scopes:
        return

    for way in who_can(resource, scope, registry, NOW):
        assert all(scope in meaning for meaning in way.scopes.values())
        _hold_all(way, {one: got for one, got in gone(way, registry).items() if scope in got})


def _hold_all(way: Way, found: dict[tuple[str, str, bool], Scope]) -> None:
    people = set(way.people or ("somebody",))
    through = {(one, False) for one in way.agents} | {(one, True) for one in way.before}
    through |= {("any-agent", False)} if way.any_agent else set()
    assert {person for person, _, _ in found} == people
    assert {(one, ours) for _, one, ours in found} == through
    assert way.scopes
    assert frozenset().union(*way.scopes.values()) <= frozenset().union(*found.values())


def ways(*grants: Grant | Deny, **changes: object) -> list[Way]:
    """What *calendar-mcp* can do by these grants."""
    return what_can(CALENDAR_MCP, a_registry(grants=grants, **changes), NOW)


def test_a_way_says_for_whom_through_whom_and_with_what() -> None:
    """What its grant says, of which only as much as the resource admits."""
    claims = {"groups": frozenset({"staff"})}
    subjects = Subjects(issuer=LOGIN, claims=claims)
    read = frozenset({"events.read"})
    grant = a_grant(subjects=(subjects,))

    found = ways(grant, resources=[a_resource(clients={CALENDAR_MCP: read})])

    assert found == [
        Way(
            client=CALENDAR_MCP,
            resource=CALENDAR_API,
            grant=grant,
            subjects=subjects,
            people=(),
            agents=(DESK_AGENT,),
            any_agent=False,
            before=(),
            scopes={"calendar:read": read},
        )
    ]


def test_a_client_before_is_named_where_it_could_have_a_token_to_hand_on() -> None:
    """One with a grant for what the next client is itself; and without claims."""
    staff = Subjects(issuer=LOGIN, claims={"groups": frozenset({"staff"})})
    everyone = Subjects(issuer=LOGIN, everyone=True)
    second = the_next_grant(subjects=(staff, everyone), agents=Agents(any=True))

    having = what_can(CALENDAR_API_CLIENT, a_registry(grants=[a_grant(), second]), NOW)
    having_none = what_can(CALENDAR_API_CLIENT, a_registry(grants=[second]), NOW)

    assert [way.before for way in having] == [(), (CALENDAR_MCP,)]
    assert [way.before for way in having_none] == [(), ()]


def test_a_service_that_is_its_own_agent_has_the_shorter_chain() -> None:
    """Where nobody else fits into the chain, it is named."""
    found = ways(a_grant(chain_limit=1, services=True))

    assert [(way.people, way.agents) for way in found] == [((DESK_AGENT,), (DESK_AGENT,))]


def test_what_can_be_done_for_a_subject_is_for_that_one_alone() -> None:
    """Its issuer and its name count; its claims are not known."""
    bob, others = (
        Subjects(issuer=LOGIN, people=frozenset({"bob"})),
        Subjects(issuer=OTHER_LOGIN, everyone=True),
    )
    everyone = Subjects(issuer=LOGIN, claims={"groups": frozenset({"staff"})})
    registry = a_registry(grants=[a_grant(subjects=(bob, others, everyone))])

    (way,) = what_can(f"{ALIAS}|{ALICE.subject}", registry, NOW)

    assert (way.subjects, way.people) == (everyone, (ALICE.subject,))


def test_what_leads_to_a_scope_is_listed_with_it() -> None:
    """And with none of the scopes that lead elsewhere."""
    registry = a_registry()

    (way,) = who_can(CALENDAR_API, "events.write", registry, NOW)

    assert way.scopes == {"calendar:write": {"events.write"}}
    assert who_can("calendar", "events.write", registry, NOW) == [way]


def test_what_leads_nowhere_is_not_listed() -> None:
    """An expired grant, a client that may not exchange, or one that is not admitted."""
    assert ways(a_grant(expires_at=NOW)) == []
    assert ways(a_grant(), clients=[a_client(may_exchange=False)]) == []
    assert ways(a_grant(), resources=[a_resource(clients={})]) == []
    assert who_can(ROOMS_API, None, a_registry(grants=[a_grant()]), NOW) == []
    narrow = a_grant(scopes={"calendar:read": frozenset({"events.read"})})
    assert who_can(CALENDAR_API, "events.write", a_registry(grants=[narrow]), NOW) == []


STAFF, BOARD = frozenset({"staff"}), frozenset({"board"})


def of_groups(*groups: str) -> tuple[Subjects, ...]:
    """Those who are in one of them."""
    return (Subjects(issuer=LOGIN, claims={"groups": frozenset(groups)}),)


def test_what_is_denied_is_no_way() -> None:
    """To everyone, to whom it is denied, or through whom; and what a deny may take is said."""
    grant = a_grant(subjects=(Subjects(issuer=LOGIN, people=frozenset({"alice", "bob"})),))
    of_bob = (Subjects(issuer=LOGIN, people=frozenset({"bob"})),)

    (way,) = ways(grant, a_deny(scopes=None, subjects=of_bob))
    (partly,) = ways(grant, a_deny())
    (elsewhere,) = ways(grant, a_deny(agents=Agents(registered=frozenset({"x"}))))

    assert (way.people, way.denies) == (("alice",), ("no-writing",))
    assert (partly.scopes, partly.denies) == (
        {"calendar:read": frozenset({"events.read"})},
        ("no-writing",),
    )
    assert elsewhere.denies == ()
    assert ways(grant, a_deny(scopes=None)) == []
    assert ways(grant, a_deny(scopes=None, expires_at=NOW))[0].denies == ()


def test_to_whom_a_scope_is_denied_is_not_on_its_list() -> None:
    """Though on that of another scope."""
    grant = a_grant(subjects=(Subjects(issuer=LOGIN, people=frozenset({"alice", "bob"})),))
    deny = a_deny(subjects=(Subjects(issuer=LOGIN, people=frozenset({"bob"})),))
    registry = a_registry(grants=[grant, deny])

    (writing,) = who_can("calendar", "events.write", registry, NOW)
    (reading,) = who_can("calendar", "events.read", registry, NOW)

    assert (writing.people, writing.denies) == (("alice",), ("no-writing",))
    assert (reading.people, reading.denies) == (("alice", "bob"), ())


def test_whoever_is_not_in_a_group_that_is_denied_has_a_way() -> None:
    """One value of a claim is enough for a grant; a deny of another is no matter then."""
    grant = a_grant(subjects=of_groups("staff", "board"))

    (way,) = ways(grant, a_deny(subjects=of_groups("board"), scopes=None))
    none = ways(a_grant(subjects=of_groups("board")), a_deny(subjects=of_groups("board")))

    assert (way.people, way.denies) == ((), ("no-writing",))
    assert list(none[0].scopes) == ["calendar:read"]


def test_values_that_no_deny_looks_at_are_one_case(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many a grant lists of several claims, a list of ways is found in no time."""
    asked = 0

    def counting(*arguments: Any, **named: Any) -> Yes | No:
        """The decision, counted."""
        nonlocal asked
        asked += 1
        return decide(*arguments, **named)

    monkeypatch.setattr("delegation.domain.ways.decide", counting)
    names = ("groups", "department", "office")
    values = frozenset(map(str, range(20)))
    grant = a_grant(subjects=(Subjects(issuer=LOGIN, claims=dict.fromkeys(names, values)),))
    one = dict.fromkeys(names, frozenset({"1"}))
    deny = a_deny(subjects=(Subjects(issuer=LOGIN, claims=one),), scopes=None)

    (way,) = ways(grant, deny)

    assert way.denies == (deny.id,)
    assert asked <= 2**3 * 4


def test_a_subject_who_is_denied_has_no_way() -> None:
    """Asked of by name; and a deny of somebody else is not theirs."""
    deny = a_deny(scopes=None, subjects=(Subjects(issuer=LOGIN, people=frozenset({"bob"})),))
    registry = a_registry(grants=[a_grant(), deny])

    (way,) = what_can(f"{ALIAS}|alice", registry, NOW)

    assert way.denies == ()
    assert what_can(f"{ALIAS}|bob", registry, NOW) == []


def test_a_deny_of_claims_closes_the_second_hop() -> None:
    """A token of ours does not say that it is for somebody else."""
    deny = a_deny(
        client=CALENDAR_API_CLIENT, resource=ROOMS_API, subjects=of_groups("board"), scopes=None
    )
    grants = [a_grant(), the_next_grant(), deny]

    (open_,) = what_can(CALENDAR_API_CLIENT, a_registry(grants=grants[:2]), NOW)
    (closed,) = what_can(CALENDAR_API_CLIENT, a_registry(grants=grants), NOW)

    assert (open_.before, closed.before) == ((CALENDAR_MCP,), ())


def test_through_whom_a_token_of_ours_came_is_not_known_beforehand() -> None:
    """A deny of an agent may take from those who come through it, at the second hop, too."""
    deny = a_deny(
        client=CALENDAR_API_CLIENT, resource=ROOMS_API, agents=a_grant().agents, scopes=None
    )

    (way,) = what_can(
        CALENDAR_API_CLIENT, a_registry(grants=[a_grant(), the_next_grant(), deny]), NOW
    )

    assert (way.before, way.denies) == ((CALENDAR_MCP,), ("no-writing",))


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda it: what_can("nobody", it, NOW), "there is no client nobody"),
        (lambda it: what_can("nobody|alice", it, NOW), "there is no trusted issuer nobody"),
        (lambda it: who_can("nothing", None, it, NOW), "there is no resource nothing"),
        (
            lambda it: who_can("calendar", "x", it, NOW),
            f"the resource {CALENDAR_API} has no scope x",
        ),
    ],
    ids=["client", "issuer", "resource", "scope"],
)
def test_what_is_not_in_the_registry_has_no_list(ask: object, message: str) -> None:
    """An empty list would say that nobody can."""
    assert callable(ask)

    with pytest.raises(Unaskable) as refused:
        ask(a_registry())

    assert str(refused.value) == message
