"""The one rule: what may be delegated is no more than every party already holds."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from delegation.domain.errors import (
    Cause,
    InvalidScope,
    InvalidTarget,
    NotPermitted,
    SubjectTokenRejected,
)
from delegation.domain.grants import MAX_LIFETIME, Grant
from delegation.domain.locks import EVERYTHING, Link, Target
from delegation.domain.parties import Actor, ActorChain, Client, Identity
from delegation.domain.registry import Registry
from delegation.domain.resources import Resource, Targets
from delegation.domain.tokens import Authentication, Scope, VerifiedToken

MIN_LIFETIME = timedelta(seconds=5)
"""A token with less to live than this is not worth issuing, and is refused."""

MAX_CHAIN_BYTES = 4096
"""How long the `act` claim may be, as JSON."""

SKEW = timedelta(seconds=30)
"""How far another issuer's clock may be ahead of ours: leeway for `iat` and `nbf`, never for
`exp`.
"""

AI_AGENT = "ai_agent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delegation:
    """What has been decided, before it is a token. Everything that the record and the event need to
    know.

    *parent* is the subject token. *limits* names what cut the scope or the lifetime, and where.
    """

    id: str
    parent: VerifiedToken
    actors: ActorChain
    client: str
    resource: str
    grant: str
    scope: Scope
    requested: Scope | None
    decided_at: datetime
    issued_at: datetime
    expires_at: datetime
    single_use: bool
    txn: str
    revision: str
    limits: Mapping[str, str] = field(default_factory=dict)

    @property
    def subject(self) -> Identity:
        """The root identity, the same at every hop."""
        return self.parent.subject

    @property
    def authentication(self) -> Authentication:
        """As the subject token has it: an exchange never refreshes it."""
        return self.parent.authentication

    @property
    def withheld(self) -> Scope:
        """What was asked for and not given."""
        return (self.requested or frozenset()) - self.scope

    def targets(self) -> frozenset[Target]:
        """All that a lock could name to stop this exchange by itself, apart from its lineage."""
        return _targets(self.parent, self.actors) | {
            Target.client(self.client),
            Target.resource(self.resource),
            Target.grant(self.grant),
            Target.exchange(self.id),
        }

    def origin(self) -> Link | None:
        """The foreign token that this grew from; `None` where the subject token is one of ours.

        The record of that one has it then.
        """
        parent = self.parent
        if parent.is_ours:
            return None
        login = parent.authentication.time
        return Link(
            targets=_targets(parent, parent.actors) | {Target.token(parent.issuer, parent.id)},
            issued_at=milliseconds(parent.issued_at - SKEW),
            is_foreign=True,
            logged_in_at=0 if login is None else milliseconds(login),
        )


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
    """Let the client *by* act for the subject at one target: as little, and as briefly, as all
    allow.

    *scope* is what was asked for, `None` where nothing was. Raises a `Refused`; never gives more
    than the subject token (translated by the grant), the grant, the resource's admission and the
    request allow, and nothing that outlives the subject token.
    """
    _must_be_addressed_to(by, subject)
    if subject.expires_at <= now:
        raise SubjectTokenRejected(Cause.EXPIRED)
    actor = Actor(identity=Identity(registry.issuer, by.id))
    _must_be_allowed_to_act(actor, by, subject.may_act)

    resource = registry.resource(at, by=by)
    grants = registry.grants.get((by.id, resource.identifier), ())
    if by.id not in resource.clients or not grants:
        raise InvalidTarget(Cause.TARGET_NOT_ADMITTED, resource=resource.identifier)
    matching = [grant for grant in grants if grant.matches(subject, now)]
    if not matching:
        raise NotPermitted(Cause.NO_GRANT, resource=resource.identifier)
    allowances = [
        _allow(scope, subject, grant, resource.clients[by.id], resource) for grant in matching
    ]
    allowed = min(allowances, key=_Allowance.preference)

    actors = _hand_over(subject, actor, allowed.grant)
    granted = allowed.granted()
    issued_at = now.replace(microsecond=0)
    expires_at, expiry_limit = _expiry(subject, allowed.grant, issued_at)
    return Delegation(
        id=id,
        parent=subject,
        actors=actors,
        client=by.id,
        resource=resource.identifier,
        grant=allowed.grant.id,
        scope=granted,
        requested=scope,
        decided_at=now,
        issued_at=issued_at,
        expires_at=expires_at,
        single_use=allowed.grant.single_use,
        txn=subject.txn or id,
        revision=registry.revision,
        limits={"expiry": expiry_limit} | allowed.limits(),
    )


def milliseconds(time: datetime) -> int:
    """*time* in whole milliseconds since the epoch."""
    return int(time.timestamp() * 1000)


def _targets(token: VerifiedToken, actors: ActorChain) -> frozenset[Target]:
    """What a lock could name of a subject, its agent, and those who act for it."""
    root = token.subject
    agent = (
        frozenset()
        if token.agent is None
        else frozenset({Target.agent(Identity(token.issuer, token.agent))})
    )
    return agent.union(
        {EVERYTHING, Target.issuer(root.issuer), Target.subject(root)},
        (Target.actor(actor.identity) for actor in actors),
        (Target.pair(root, actor.identity) for actor in actors),
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
    if not may_act or any(known.get(member) != value for member, value in may_act.items()):
        raise NotPermitted(Cause.MAY_ACT)


def _hand_over(subject: VerifiedToken, actor: Actor, grant: Grant) -> ActorChain:
    """The old chain, whole, with one new head (RFC 8693 §4.1).

    Where nobody acts yet, the agent is the first link if the grant vouches for it.
    """
    chain = subject.actors
    if not chain and subject.agent is not None and subject.agent in grant.agents.registered:
        agent = Identity(subject.issuer, subject.agent)
        chain = chain.handed_to(Actor(identity=agent, sub_profile=AI_AGENT))
    if actor.identity in chain and not grant.cycles:
        raise NotPermitted(Cause.CHAIN_CYCLE, grant=grant.id)
    chain = chain.handed_to(actor)
    if len(chain) > grant.chain_limit or _size(chain) > MAX_CHAIN_BYTES:
        raise NotPermitted(Cause.CHAIN_TOO_LONG, grant=grant.id, length=len(chain))
    return chain


def _size(chain: ActorChain) -> int:
    return len(json.dumps(chain.as_claim()))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Allowance:
    """What one grant would give of a request."""

    grant: Grant
    requested: Scope | None
    ceiling: Scope
    obtainable: Scope

    def preference(self) -> tuple[int, int, str]:
        """The grant that withholds least comes first, then the one that gives most, then by id."""
        asked = self.ceiling if self.requested is None else self.requested
        return len(asked - self.ceiling), -len(asked & self.ceiling), self.grant.id

    def granted(self) -> Scope:
        """What is asked for, if all of it may be given. Raises `InvalidScope`: empty never means
        all.
        """
        asked = self.ceiling if self.requested is None else self.requested
        withheld = asked - self.ceiling
        if withheld and not self.grant.downscope:
            raise InvalidScope(
                Cause.SCOPE_EXCEEDED,
                required=self._required(withheld),
                grant=self.grant.id,
                withheld=sorted(withheld),
            )
        if not asked & self.ceiling:
            wanted = self.obtainable if self.requested is None else asked
            raise InvalidScope(
                Cause.SCOPE_EMPTY, required=self._required(wanted), grant=self.grant.id
            )
        return asked & self.ceiling

    def limits(self) -> dict[str, str]:
        """For each scope that was asked for and not given: who said no."""
        return {
            f"scope:{name}": "subject_token" if name in self.obtainable else "grant"
            for name in sorted((self.requested or frozenset()) - self.ceiling)
        }

    def _required(self, withheld: Scope) -> Scope:
        """The scopes of the subject token that would have sufficed; none, where none would.

        For each withheld scope the one that stands for least.
        """
        if not withheld <= self.obtainable:
            return frozenset()
        narrow = sorted(self.grant.scopes.items(), key=lambda item: (len(item[1]), item[0]))
        return frozenset(
            next(name for name, meaning in narrow if scope in meaning) for scope in withheld
        )


def _allow(
    requested: Scope | None,
    subject: VerifiedToken,
    grant: Grant,
    admitted: Scope,
    resource: Resource,
) -> _Allowance:
    obtainable = grant.ceiling & admitted & resource.scopes
    return _Allowance(
        grant=grant,
        requested=requested,
        ceiling=grant.translate(subject.scope) & obtainable,
        obtainable=obtainable,
    )


def _expiry(subject: VerifiedToken, grant: Grant, issued_at: datetime) -> tuple[datetime, str]:
    """When the token ends, and who said so: never later than the subject token."""
    by_grant = issued_at + min(grant.lifetime, MAX_LIFETIME)
    by_subject = subject.expires_at.replace(microsecond=0)
    expires_at, limit = min((by_subject, "subject_token"), (by_grant, "grant"))
    if expires_at - issued_at < MIN_LIFETIME:
        raise SubjectTokenRejected(Cause.LIFETIME_TOO_SHORT)
    return expires_at, limit
