"""The one rule: what may be delegated is no more than every party already holds."""

from collections.abc import Mapping
from datetime import datetime

from delegation.domain.allowance import Allowance, allow
from delegation.domain.delegations import Delegation
from delegation.domain.errors import Cause, InvalidTarget, NotPermitted, SubjectTokenRejected
from delegation.domain.parties import Actor, Client, Identity
from delegation.domain.registry import Registry
from delegation.domain.resources import Targets
from delegation.domain.tokens import Scope, VerifiedToken


def delegate(
    subject: VerifiedToken,
    *,
    by: Client,
    at: Targets,
    scope: Scope | None,
    registry: Registry,
    now: datetime,
    id: str,  # noqa: A002, the field's own word
) -> Delegation:
    """Let the client *by* act for the subject at one target: as little and briefly as all allow.

    *scope* is what was asked for, `None` where nothing was. Raises a `Refused`; never gives more
    than the subject token (translated by the grant), the grant, the resource's admission and the
    request allow, and nothing that outlives the subject token or the grant.
    """
    if subject.expires_at <= now:
        raise SubjectTokenRejected(Cause.EXPIRED)
    _must_be_addressed_to(by, subject)
    actor = Actor(identity=Identity(registry.issuer, by.id))
    _must_be_allowed_to_act(actor, by, subject.may_act)

    resource = registry.resource(at, by=by)
    grants = registry.grants.get((by.id, resource.identifier), ())
    if by.id not in resource.clients or not grants:
        raise InvalidTarget(Cause.TARGET_NOT_ADMITTED, resource=resource.identifier)
    matching = [grant for grant in grants if grant.matches(subject, now)]
    if not matching:
        raise NotPermitted(Cause.NO_GRANT, resource=resource.identifier)
    issued_at = now.replace(microsecond=0)
    allowances = [
        allow(scope, subject, grant, actor=actor, resource=resource, issued_at=issued_at)
        for grant in matching
    ]
    allowed = min(allowances, key=Allowance.preference)
    refusal = allowed.refusal()
    if refusal is not None:
        raise refusal
    return Delegation(
        id=id,
        parent=subject,
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


def _must_be_addressed_to(client: Client, subject: VerifiedToken) -> None:
    """Otherwise whoever holds a stolen token could launder it here (RFC 8725 §3.9, MCP)."""
    if client.audience not in subject.audience:
        raise SubjectTokenRejected(
            Cause.PRESENTED_BY_ANOTHER_CLIENT, audience=list(subject.audience)
        )


def _must_be_allowed_to_act(
    actor: Actor, client: Client, may_act: Mapping[str, str] | None
) -> None:
    """`may_act` is a constraint on top of the grant: every member must match (RFC 8693 §4.4)."""
    if may_act is None:
        return
    identity = actor.identity
    known = {"iss": identity.issuer, "sub": identity.subject, "client_id": client.id}
    if not may_act or not may_act.items() <= known.items():
        raise NotPermitted(Cause.MAY_ACT)
