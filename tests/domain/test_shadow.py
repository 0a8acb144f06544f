"""A grant in shadow decides nothing, and what it would have decided is said beside."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import event, given

from delegation.domain.delegations import Delegation
from delegation.domain.errors import Cause, Refused
from delegation.domain.grants import Agents, Deny, Grant, Mode
from delegation.domain.registry import Registry
from delegation.domain.shadow import Shadow
from tests.parties import (
    NOW,
    a_delegation,
    a_deny,
    a_grant,
    a_registry,
    a_verified_token,
)
from tests.strategies import World, worlds

READ = frozenset({"events.read"})
BOTH = frozenset({"events.read", "events.write"})

IN_SHADOW: dict[str, Any] = {"mode": Mode.SHADOW}


def outcome(world: World) -> Delegation | Refused:
    """What is decided."""
    try:
        return world.delegate()
    except Refused as refused:
        return refused


def said(decided: Delegation | Refused) -> object:
    """All of a decision but what stands beside it."""
    if isinstance(decided, Delegation):
        return replace(decided, shadow=None)
    return type(decided), decided.cause, decided.detail, getattr(decided, "required", None)


def enforced(world: World) -> World:
    """The same world, where what is in shadow counts."""
    counting = [replace(one, mode=Mode.ENFORCE) for one in world.shadows]
    return world.but(
        grants=(*world.grants, *(one for one in counting if isinstance(one, Grant))),
        denies=(*world.denies, *(one for one in counting if isinstance(one, Deny))),
        shadows=(),
    )


@pytest.mark.standard("8693-5-1")
@given(world=worlds())
def test_a_shadow_never_changes_the_decision(world: World) -> None:
    """It is the one that would be without it, to the last limit and the last detail."""
    assert said(outcome(world)) == said(outcome(world.but(shadows=())))


@given(world=worlds())
def test_what_is_reported_is_what_would_be_decided(world: World) -> None:
    """With the same grants enforced; and nothing where that is the same, or none speaks of it."""
    real, instead = outcome(world), outcome(enforced(world))

    shadow = real.shadow
    event("nothing" if shadow is None else "refused" if shadow.cause else "granted")
    if shadow is not None:
        assert told(instead) == (shadow.cause, shadow.grant, shadow.scope, shadow.expires_at)
        assert told(instead) != told(real)
        speaking = [one.id for one in world.shadows if one.matches(world.subject, world.now)]
        assert list(shadow.grants) == [
            one.id
            for one in world.shadows
            if one.id in speaking and one.resource == resource_of(world)
        ]
    elif any(
        one.matches(world.subject, world.now) and one.resource == resource_of(world)
        for one in world.shadows
    ):
        assert told(instead) == told(real)


def told(decided: Delegation | Refused) -> tuple[object, ...]:
    """What of a decision is compared."""
    if isinstance(decided, Refused):
        return decided.cause.value, None, frozenset(), None
    return None, decided.grant, decided.scope, decided.expires_at


def resource_of(world: World) -> str | None:
    """Which one is asked for, if it is one at all."""
    try:
        return world.registry().resource(world.targets, by=world.client).identifier
    except Refused:
        return None


def decided(*grants: Grant | Deny, **arguments: Any) -> Shadow | None:
    """What is said beside the decision on the story's request."""
    try:
        return a_delegation(registry=a_registry(grants=grants), **arguments).shadow
    except Refused as refused:
        return refused.shadow


def test_a_deny_in_shadow_says_what_it_would_refuse() -> None:
    """While the token is issued all the same."""
    shadow = decided(a_grant(), a_deny(scopes=None, **IN_SHADOW))

    assert shadow == Shadow(grants=("no-writing",), cause="denied")


def test_a_deny_in_shadow_says_what_it_would_leave() -> None:
    """Where it takes only some of it."""
    shadow = decided(a_grant(), a_deny(**IN_SHADOW))

    assert shadow == Shadow(
        grants=("no-writing",),
        grant="calendar",
        scope=READ,
        expires_at=NOW + timedelta(minutes=5),
    )


def test_a_grant_in_shadow_says_what_it_would_give() -> None:
    """While it is refused all the same, as were there none."""
    grant = a_grant(**IN_SHADOW)
    alone = a_registry(grants=[grant])

    with pytest.raises(Refused) as caught:
        a_delegation(registry=alone)

    assert caught.value.cause is Cause.TARGET_NOT_ADMITTED
    assert caught.value.shadow == Shadow(
        grants=("calendar",), grant="calendar", scope=BOTH, expires_at=NOW + timedelta(minutes=5)
    )


@pytest.mark.parametrize(
    "shadow",
    [
        a_grant(id="z", **IN_SHADOW),
        a_deny(id="z", scopes=frozenset({"events.share"}), **IN_SHADOW),
        a_deny(id="z", scopes=None, expires_at=NOW, **IN_SHADOW),
        a_deny(id="z", scopes=None, agents=Agents(registered=frozenset({"x"})), **IN_SHADOW),
    ],
    ids=["gives-no-more", "takes-nothing", "is-over", "speaks-of-others"],
)
def test_what_would_change_nothing_is_not_reported(shadow: Grant | Deny) -> None:
    """There would be no end of it."""
    assert decided(a_grant(), shadow) is None


def test_only_those_that_speak_of_it_are_named() -> None:
    """And where none does, nothing is said, though with all enforced the cause were another."""
    others = a_grant(id="a", agents=Agents(registered=frozenset({"x"})), **IN_SHADOW)

    beside = decided(a_grant(), others, a_deny(scopes=None, **IN_SHADOW))

    assert beside is not None
    assert beside.grants == ("no-writing",)
    assert decided(others) is None


def test_a_longer_life_is_a_difference() -> None:
    """As another grant is, and another scope."""
    longer = a_grant(id="a", lifetime=timedelta(minutes=10), **IN_SHADOW)

    shadow = decided(a_grant(), longer)

    assert shadow is not None
    assert (shadow.grant, shadow.expires_at) == ("a", NOW + timedelta(minutes=10))


def test_what_is_always_checked_is_never_in_shadow() -> None:
    """A token for somebody else, one that has ended, an unknown target: no grant is asked."""
    shadow = a_deny(scopes=None, **IN_SHADOW)

    for arguments in (
        {"subject": a_verified_token(audience=("https://other.example.com",))},
        {"subject": a_verified_token(expires_at=NOW)},
    ):
        assert decided(a_grant(), shadow, **arguments) is None


def test_a_registry_knows_what_counts_and_what_does_not() -> None:
    """By client and resource, in order of their ids, and what is in shadow by itself."""
    place = (a_grant().client, a_grant().resource)
    second, first = a_deny(id="b"), a_deny(id="a")
    hidden = [a_deny(id="z", **IN_SHADOW), a_grant(id="y", **IN_SHADOW)]

    registry: Registry = a_registry(grants=[second, *hidden, a_grant(), first])

    assert registry.grants == {place: (a_grant(),)}
    assert registry.denies == {place: (first, second)}
    assert registry.shadows == {place: (hidden[1], hidden[0])}
