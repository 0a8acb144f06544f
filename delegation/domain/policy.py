"""The one rule: what may be delegated is no more than every party already holds."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from functools import partial

from delegation.domain.allowance import Allowance, allow
from delegation.domain.bindings import bind
from delegation.domain.delegations import Delegation
from delegation.domain.errors import Cause, InvalidTarget, NotPermitted, Refused
from delegation.domain.grants import Deny, Grant
from delegation.domain.parties import Client, Identity
from delegation.domain.registry import Registry
from delegation.domain.resources import Resource, Targets
from delegation.domain.shadow import Shadow
from delegation.domain.tokens import Scope, VerifiedActor, VerifiedToken


def delegate(
    subject: VerifiedToken,
    actor: VerifiedActor | None = None,
    *,
    by: Client,
    at: Targets,
    scope: Scope | None,
    registry: Registry,
    now: datetime,
    id: str,  # noqa: A002, the field's own word
) -> Delegation:
    """Let the actor act for the subject at one target: as little and briefly as all allow.

    The client *by* asks; without an *actor* token it is also who acts. *scope* is what was asked
    for, `None` where nothing was. Raises a `Refused`; never gives more than the subject token
    (translated by the grant), the grant, the resource's admission and the request allow, nothing
    that is denied, and nothing that outlives either token or the grant. Grants in shadow change
    nothing of it: what they would have changed is said beside.
    """
    acting = bind(subject, actor, by=by, our_issuer=registry.issuer, now=now)
    resource = registry.resource(at, by=by)
    decide = partial(
        _decide,
        subject,
        actor,
        acting=acting,
        by=by,
        resource=resource,
        scope=scope,
        revision=registry.revision,
        now=now,
        id=id,
    )
    place = by.id, resource.identifier
    grants, denies = registry.grants.get(place, ()), registry.denies.get(place, ())
    shadows = registry.shadows.get(place, ())
    speaking = tuple(one.id for one in shadows if _speaks(one, subject, actor, now))
    if not speaking:
        return decide(grants, denies)
    more_grants = (one for one in shadows if isinstance(one, Grant))
    more_denies = (one for one in shadows if isinstance(one, Deny))
    return _with_shadow(
        _outcome(partial(decide, grants, denies)),
        _outcome(partial(decide, (*grants, *more_grants), (*denies, *more_denies))),
        speaking,
    )


def _speaks(
    one: Grant | Deny, subject: VerifiedToken, actor: VerifiedActor | None, now: datetime
) -> bool:
    if isinstance(one, Deny):
        return one.matches(subject, now, actor)
    return one.matches(subject, now)


def _decide(
    subject: VerifiedToken,
    actor: VerifiedActor | None,
    grants: tuple[Grant, ...],
    denies: tuple[Deny, ...],
    *,
    acting: Identity,
    by: Client,
    resource: Resource,
    scope: Scope | None,
    revision: str,
    now: datetime,
    id: str,  # noqa: A002, the field's own word
) -> Delegation:
    """What *grants* and *denies*, which are all that count, say of a sound request."""
    if by.id not in resource.clients or not grants:
        raise InvalidTarget(Cause.TARGET_NOT_ADMITTED, resource=resource.identifier)
    matching = [grant for grant in grants if grant.matches(subject, now)]
    if not matching:
        raise NotPermitted(Cause.NO_GRANT, resource=resource.identifier)
    issued_at = now.replace(microsecond=0)
    denying = [deny for deny in denies if deny.matches(subject, now, actor)]
    allowances = [
        allow(
            scope,
            subject,
            actor,
            grant,
            acting=acting,
            resource=resource,
            issued_at=issued_at,
            denies=denying,
        )
        for grant in matching
    ]
    _refuse_where_all_is_denied(allowances, resource)
    # Nearly always there is one alone.
    allowed = allowances[0] if len(allowances) == 1 else min(allowances, key=Allowance.preference)
    refusal = allowed.refusal()
    if refusal is not None:
        raise refusal
    return Delegation(
        id=id,
        parent=subject,
        actor_token=actor,
        actors=allowed.actors,
        client=by.id,
        resource=resource.identifier,
        grant=allowed.grant.id,
        scope=allowed.scope,
        requested=scope,
        decided_at=now,
        issued_at=issued_at,
        expires_at=allowed.expires_at,
        single_use=allowed.grant.single_use,
        rates=allowed.grant.rates,
        txn=subject.txn or id,
        revision=revision,
        limits=allowed.limits(),
    )


def _refuse_where_all_is_denied(allowances: Iterable[Allowance], resource: Resource) -> None:
    """Where nothing is left of what the grants could give for some token, no token will help."""
    if any(one.obtainable for one in allowances):
        return
    denies = {deny for one in allowances for deny in one.denied.values()}
    if denies:
        raise NotPermitted(Cause.DENIED, resource=resource.identifier, denied_by=sorted(denies))


def _outcome(decide: Callable[[], Delegation]) -> Delegation | Refused:
    try:
        return decide()
    except Refused as refused:
        return refused


def _with_shadow(
    decided: Delegation | Refused, instead: Delegation | Refused, speaking: tuple[str, ...]
) -> Delegation:
    """What is *decided*, and with it what would have been *instead*, where that differs."""
    shadow = _shadow(instead, speaking)
    differing = None if shadow == _shadow(decided, speaking) else shadow
    if isinstance(decided, Refused):
        decided.shadow = differing
        raise decided
    return replace(decided, shadow=differing)


def _shadow(outcome: Delegation | Refused, speaking: tuple[str, ...]) -> Shadow:
    if isinstance(outcome, Refused):
        return Shadow(grants=speaking, cause=outcome.cause.value)
    return Shadow(
        grants=speaking,
        grant=outcome.grant,
        scope=outcome.scope,
        expires_at=outcome.expires_at,
    )
