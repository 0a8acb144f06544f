"""The one rule: what may be delegated is no more than every party already holds."""

from datetime import datetime

from delegation.domain.allowance import Allowance, allow
from delegation.domain.bindings import bind
from delegation.domain.delegations import Delegation
from delegation.domain.errors import Cause, InvalidTarget, NotPermitted
from delegation.domain.parties import Client
from delegation.domain.registry import Registry
from delegation.domain.resources import Targets
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
    (translated by the grant), the grant, the resource's admission and the request allow, and
    nothing that outlives either token or the grant.
    """
    acting = bind(subject, actor, by=by, our_issuer=registry.issuer, now=now)
    resource = registry.resource(at, by=by)
    grants = registry.grants.get((by.id, resource.identifier), ())
    if by.id not in resource.clients or not grants:
        raise InvalidTarget(Cause.TARGET_NOT_ADMITTED, resource=resource.identifier)
    matching = [grant for grant in grants if grant.matches(subject, now)]
    if not matching:
        raise NotPermitted(Cause.NO_GRANT, resource=resource.identifier)
    issued_at = now.replace(microsecond=0)
    allowances = [
        allow(scope, subject, actor, grant, acting=acting, resource=resource, issued_at=issued_at)
        for grant in matching
    ]
    allowed = min(allowances, key=Allowance.preference)
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
        txn=subject.txn or id,
        revision=registry.revision,
        limits=allowed.limits(),
    )
