"""What is denied no grant gives: by no other name, at no other hop, to no token that says less."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import event, given

from delegation.domain.delegations import Delegation
from delegation.domain.errors import Cause, InvalidScope, NotPermitted, Refused
from delegation.domain.grants import Agents, Deny, Grant, Mode, Subjects
from delegation.domain.parties import ActorChain, Identity
from delegation.domain.registry import Registry
from delegation.domain.resources import Targets
from delegation.domain.tokens import Scope, VerifiedToken
from tests.parties import (
    ALICE,
    CALENDAR_API_CLIENT,
    DESK_AGENT,
    LOGIN,
    NOW,
    OUR_ISSUER,
    PLANNER,
    ROOMS_API,
    a_chain,
    a_client,
    a_delegation,
    a_deny,
    a_grant,
    a_registry,
    a_second_delegation,
    a_token_of_ours,
    a_verified_token,
    a_workload,
    the_next_grant,
)
from tests.strategies import OTHER_LOGIN, World, worlds

READ, WRITE = frozenset({"events.read"}), frozenset({"events.write"})
BOTH = READ | WRITE
STAFF = {"groups": frozenset({"staff"})}
OF_STAFF = (Subjects(issuer=LOGIN, claims=STAFF),)


def with_denies(*denies: Deny, **changes: Any) -> Registry:
    """The story's registry, where also *denies* count; the grant can be changed."""
    return a_registry(grants=[a_grant(**changes), the_next_grant(), *denies])


def refusal(decide: Any = a_delegation, **arguments: Any) -> Refused:
    """The refusal that is the answer."""
    with pytest.raises(Refused) as caught:
        decide(**arguments)
    return caught.value


def decided(world: World) -> Delegation | None:
    """What is decided; `None` where the answer is no."""
    try:
        return world.delegate()
    except Refused:
        return None


# The properties


def forbidden(world: World, delegation: Delegation) -> Scope:
    """All that somebody who reads the denies would say is not to be given here, but for claims."""
    return frozenset().union(
        *(
            delegation.scope if deny.scopes is None else deny.scopes
            for deny in world.denies
            if (deny.client, deny.resource) == (delegation.client, delegation.resource)
            if deny.expires_at is None or world.now < deny.expires_at
            if deny.agents.any or world.subject.agent in deny.agents.registered
            if any(means(subjects, world.subject) for subjects in deny.subjects)
        )
    )


def means(subjects: Subjects, token: VerifiedToken) -> bool:
    """Whether the subject is surely one of them."""
    if token.subject.issuer != subjects.issuer:
        return False
    if not (subjects.people or subjects.claims):
        return subjects.everyone
    return (not subjects.people or token.subject.subject in subjects.people) and all(
        values & token.claims.get(name, frozenset()) for name, values in subjects.claims.items()
    )


@pytest.mark.standard("8693-2.2.2-1", "8693-5-1")
@given(world=worlds())
def test_what_is_denied_is_never_given(world: World) -> None:
    """Whatever grants say, whatever is asked for, and whoever shows which actor token."""
    delegation = decided(world)
    if delegation is None:
        return

    event(f"{len(world.denies)} denies")
    assert delegation.scope.isdisjoint(forbidden(world, delegation))


@given(world=worlds())
def test_a_deny_never_gives_more_and_to_lift_it_never_less(world: World) -> None:
    """What can be had beside a deny can be had without it: as much, and for as long."""
    beside = decided(world)
    if beside is None:
        return
    for index, deny in enumerate(world.denies):
        fewer = world.denies[:index] + world.denies[index + 1 :]
        without = decided(world.but(denies=fewer))
        same = decided(world.but(denies=fewer, scope=beside.scope))

        assert without is not None, deny.id
        assert len(without.scope) >= len(beside.scope)
        assert same is not None, deny.id
        assert same.scope == beside.scope
        assert same.expires_at >= beside.expires_at


@given(world=worlds())
def test_a_deny_that_speaks_of_something_else_changes_nothing(world: World) -> None:
    """Of another client, another resource, nobody, or a time that is over."""
    before = outcome(world.but(denies=()))
    elsewhere: list[dict[str, Any]] = [
        {"client": CALENDAR_API_CLIENT},
        {"resource": "https://other.example.com/api"},
        {"subjects": ()},
        {"subjects": (Subjects(issuer=LOGIN),)},
        {"subjects": (Subjects(issuer=OTHER_LOGIN + "/", everyone=True),)},
        {"expires_at": world.now},
        {"agents": Agents(registered=frozenset({"\0nobody"}))},
        {"scopes": frozenset({"EVENTS.READ", "events"})},
    ]

    denies = tuple(
        a_deny(id=f"elsewhere-{number}", **({"scopes": None} | changes))
        for number, changes in enumerate(elsewhere)
    )

    if world.subject.agent is not None:
        assert outcome(world.but(denies=denies)) == before


def outcome(world: World) -> object:
    """All that is decided, or all that a refusal says."""
    try:
        return world.delegate()
    except Refused as refused:
        return type(refused), refused.cause, refused.detail, getattr(refused, "required", None)


# What the client and the event are told


def test_where_nothing_is_left_no_token_will_help() -> None:
    """The client learns no more than where there is no grant; the event names what denied it."""
    only_write = a_deny(id="b"), a_deny(id="a", scopes=READ), a_deny(id="c", scopes=READ)

    denied = refusal(registry=with_denies(a_deny(scopes=None)))
    by_several = refusal(registry=with_denies(*only_write), scope=READ)
    no_grant = refusal(registry=with_denies(subjects=()))

    assert (denied.cause, denied.detail["denied_by"]) == (Cause.DENIED, ["no-writing"])
    assert (by_several.cause, by_several.detail["denied_by"]) == (Cause.DENIED, ["a", "b"])
    for refused in (denied, by_several):
        assert isinstance(refused, NotPermitted)
        assert (refused.error, refused.reason, refused.description) == (
            no_grant.error,
            no_grant.reason,
            no_grant.description,
        )


def test_what_is_denied_in_part_is_as_if_no_grant_gave_it() -> None:
    """More than is left refuses, and no scope of the subject token would do."""
    registry = with_denies(a_deny())

    refused = refusal(registry=registry, scope=BOTH)
    rest = a_delegation(registry=registry)

    assert isinstance(refused, InvalidScope)
    assert (refused.cause, refused.required) == (Cause.SCOPE_EXCEEDED, frozenset())
    assert refused.detail == {
        "grant": "calendar",
        "withheld": ["events.write"],
        "denied_by": ["no-writing"],
    }
    assert rest.scope == READ


def test_a_token_that_stands_only_for_what_is_denied_is_given_nothing() -> None:
    """What another token would lead to is told; and what denied this one, to the event alone."""
    writing = a_verified_token(scope=frozenset({"calendar:write"}))

    refused = refusal(registry=with_denies(a_deny()), subject=writing)

    assert isinstance(refused, InvalidScope)
    assert (refused.cause, refused.required) == (Cause.SCOPE_EMPTY, {"calendar:read"})
    assert refused.detail == {"grant": "calendar", "denied_by": ["no-writing"]}


def test_a_grant_that_downscopes_gives_the_rest_and_says_who_took_what() -> None:
    """By the id of the deny; where several take the same, of the first."""
    registry = with_denies(a_deny(id="b"), a_deny(id="a"), downscope=True)

    delegation = a_delegation(registry=registry, scope=BOTH | {"events.share"})

    assert delegation.scope == READ
    assert delegation.limits == {
        "expiry": "grant",
        "scope:events.share": "grant",
        "scope:events.write": "deny:a",
    }


def test_what_was_not_to_be_had_anyway_is_not_laid_to_a_deny() -> None:
    """What the resource does not admit, and what the token does not stand for."""
    registry = with_denies(a_deny(), downscope=True)
    reading = a_verified_token(scope=frozenset({"calendar:read"}))
    nowhere = a_registry(grants=[a_grant(scopes={"calendar:read": READ}), a_deny()])

    refused = refusal(registry=nowhere, scope=WRITE)
    limits = a_delegation(registry=registry, scope=BOTH, subject=reading).limits

    assert "denied_by" not in refused.detail
    assert limits["scope:events.write"] == "deny:no-writing"


# What might get around a deny, and does not

HOLDING: dict[str, dict[str, Any]] = {
    "another-grant": {"registry": a_registry(grants=[a_grant(), a_grant(id="z"), a_deny()])},
    "a-name-of-the-resource": {"at": Targets(audiences=("calendar",))},
    "both-names": {"at": Targets(audiences=("calendar",), resources=(a_deny().resource,))},
    "an-actor-token": {
        "actor": a_workload(),
        "by": a_client(may_present_actors=frozenset({a_workload().identity})),
    },
    "a-service": {
        "subject": a_verified_token(subject=Identity(LOGIN, DESK_AGENT)),
        "registry": with_denies(a_deny(), services=True),
    },
    "people-of-two-issuers": {
        "registry": with_denies(
            a_deny(subjects=(Subjects(issuer=OTHER_LOGIN, everyone=True), *a_deny().subjects))
        )
    },
    "another-team": {
        "registry": with_denies(
            a_deny(),
            subjects=(Subjects(issuer=LOGIN, people=frozenset({ALICE.subject})),),
        )
    },
    "a-deny-with-an-end": {
        "registry": with_denies(a_deny(expires_at=NOW + timedelta(microseconds=1)))
    },
}


@pytest.mark.parametrize("how", HOLDING)
@pytest.mark.parametrize("scope", [WRITE, BOTH])
def test_no_way_around_a_deny(how: str, scope: Scope) -> None:
    """However it is asked for, and under whatever grant."""
    refused = refusal(**({"registry": with_denies(a_deny())} | HOLDING[how]), scope=scope)

    assert refused.cause is Cause.SCOPE_EXCEEDED
    assert refused.detail["denied_by"] == ["no-writing"]


@pytest.mark.parametrize("scope", [frozenset({"EVENTS.WRITE"}), frozenset({"events.write "})])
def test_a_scope_in_other_letters_is_another_scope(scope: Scope) -> None:
    """And one that no grant gives: scopes are compared character by character."""
    refused = refusal(registry=with_denies(a_deny()), scope=scope)

    assert refused.cause is Cause.SCOPE_EXCEEDED


def test_a_deny_is_over_when_it_expires() -> None:
    """From that moment on, as a grant is."""
    ended = a_delegation(registry=with_denies(a_deny(expires_at=NOW)), scope=BOTH)

    assert ended.scope == BOTH


# What is not known of a token


@pytest.mark.parametrize(
    ("claims", "is_denied"),
    [(STAFF, True), ({"groups": frozenset({"guests"})}, False), ({}, False)],
    ids=["has-it", "has-another", "has-none"],
)
def test_a_claim_counts_where_the_issuer_says_it(
    claims: dict[str, frozenset[str]], *, is_denied: bool
) -> None:
    """Of a token of the trusted issuer: who does not have it is not meant."""
    registry = with_denies(a_deny(subjects=OF_STAFF, scopes=None))
    subject = a_verified_token(claims=claims)

    if is_denied:
        assert refusal(registry=registry, subject=subject).cause is Cause.DENIED
    else:
        assert a_delegation(registry=registry, subject=subject).scope == BOTH


def at_the_next(**changes: Any) -> Deny:
    """All is denied of *calendar-api* at the rooms API."""
    return a_deny(
        **({"client": CALENDAR_API_CLIENT, "resource": ROOMS_API, "scopes": None} | changes)
    )


NAMED = (Subjects(issuer=LOGIN, people=frozenset({"alice"}), claims=STAFF),)
BY_NAMED_AGENT = Agents(registered=frozenset({DESK_AGENT}))


@pytest.mark.parametrize(
    "changes",
    [
        {"subjects": OF_STAFF},
        {"subjects": NAMED},
        {"agents": BY_NAMED_AGENT},
        {"agents": BY_NAMED_AGENT, "subjects": OF_STAFF},
    ],
    ids=["claim", "person-with-claim", "agent", "both"],
)
def test_a_deny_holds_at_the_second_hop(changes: dict[str, Any]) -> None:
    """Its claims are not known any more, and might be these; its first agent is in the chain."""
    refused = refusal(a_second_delegation, registry=with_denies(at_the_next(**changes)))

    assert refused.cause is Cause.DENIED


@pytest.mark.parametrize(
    "subjects",
    [
        Subjects(issuer=LOGIN, people=frozenset({"bob"}), claims=STAFF),
        Subjects(issuer=OTHER_LOGIN, claims=STAFF),
        Subjects(issuer=LOGIN),
    ],
    ids=["somebody-else", "another-issuer", "nobody"],
)
def test_who_is_known_to_be_somebody_else_is_not_meant(subjects: Subjects) -> None:
    """The root identity is the same at every hop."""
    registry = with_denies(at_the_next(subjects=(subjects,)))

    assert a_second_delegation(registry=registry).scope == {"rooms.read"}


def agents() -> Iterator[tuple[VerifiedToken, bool]]:
    """Tokens of ours, and whether they came through the agent that is denied."""
    us = a_chain("calendar-mcp")
    named = us.actors[0]._replace(identity=Identity(LOGIN, "x"), client_id=DESK_AGENT)
    yield a_token_of_ours(), True
    yield a_token_of_ours(actors=us), False
    yield a_token_of_ours(actors=a_chain("calendar-mcp", DESK_AGENT, issuer=OUR_ISSUER)), True
    yield a_token_of_ours(actors=ActorChain((*us.actors, named))), True
    yield a_token_of_ours(actors=us, agent=DESK_AGENT), True
    yield a_token_of_ours(actors=us, agent=None), True


@pytest.mark.parametrize(("token", "is_meant"), list(agents()))
def test_an_agent_is_denied_wherever_it_stands_in_the_chain(
    token: VerifiedToken, *, is_meant: bool
) -> None:
    """And where nobody knows through whom it came."""
    assert at_the_next(agents=BY_NAMED_AGENT).matches(token, NOW) is is_meant


@pytest.mark.parametrize("mode", Mode)
def test_an_agent_is_denied_where_it_acts_itself(mode: Mode) -> None:
    """By an actor token it would stand in the chain, before whoever the subject token names."""
    deny = a_deny(scopes=None, agents=Agents(registered=frozenset({PLANNER.subject})), mode=mode)
    asked: dict[str, Any] = {
        "by": a_client(may_present_actors=frozenset({PLANNER})),
        "registry": with_denies(deny),
    }

    other = a_delegation(**asked)
    assert (other.scope, other.shadow) == (BOTH, None)
    if mode is Mode.ENFORCE:
        assert refusal(actor=a_workload(), **asked).cause is Cause.DENIED
    else:
        shadow = a_delegation(actor=a_workload(), **asked).shadow
        assert shadow is not None
        assert shadow.cause == Cause.DENIED


def test_the_client_of_an_actor_token_is_its_agent() -> None:
    """As it is the subject token's."""
    deny = at_the_next(agents=BY_NAMED_AGENT)
    token = a_token_of_ours(actors=a_chain("calendar-mcp"))

    assert deny.matches(token, NOW, a_workload(issued_to=DESK_AGENT))
    assert not deny.matches(token, NOW, a_workload())


@pytest.mark.parametrize("agent", [None, "x"])
def test_any_agent_is_any(agent: str | None) -> None:
    """A deny of any agent is for a token without one, too."""
    assert a_deny().matches(a_verified_token(agent=agent), NOW)


def test_a_deny_takes_only_from_its_own_grants() -> None:
    """What is denied at one resource is none of another's; nor does a deny alone make a grant."""
    grant: Grant = the_next_grant()

    second = a_second_delegation(registry=with_denies(a_deny(scopes=None)))
    alone = refusal(registry=a_registry(grants=[a_deny()]))

    assert second.grant == grant.id
    assert alone.cause is Cause.TARGET_NOT_ADMITTED
