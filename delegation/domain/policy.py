"""The one rule: what may be delegated is no more than every party already holds."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from delegation.domain.errors import (
    Cause,
    InvalidScope,
    InvalidTarget,
    NotPermitted,
    Refused,
    SubjectTokenRejected,
)
from delegation.domain.grants import Grant
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

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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
        _allow(scope, subject, grant, actor=actor, resource=resource, issued_at=issued_at)
        for grant in matching
    ]
    allowed = min(allowances, key=_Allowance.preference)
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


def milliseconds(time: datetime) -> int:
    """*time* in whole milliseconds since the epoch."""
    return (time - _EPOCH) // timedelta(milliseconds=1)


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
    if not may_act or not may_act.items() <= known.items():
        raise NotPermitted(Cause.MAY_ACT)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Allowance:
    """What one grant would give of a request: to which chain, how much, and for how long."""

    grant: Grant
    requested: Scope | None
    ceiling: Scope
    obtainable: Scope
    actors: ActorChain
    issued_at: datetime
    expires_at: datetime
    expiry_limit: str

    @property
    def asked(self) -> Scope:
        """What is asked for; where nothing is, all that may be given."""
        return self.ceiling if self.requested is None else self.requested

    @property
    def scope(self) -> Scope:
        """What of it may be given."""
        return self.asked & self.ceiling

    @property
    def withheld(self) -> Scope:
        """What of it may not."""
        return self.asked - self.ceiling

    def preference(self) -> tuple[bool, int, float, str]:
        """Who refuses comes last; before that, who gives most, then who lasts longest; then by id.

        So a grant only ever adds, and nothing is gained where one is taken away.
        """
        return (
            self.refusal() is not None,
            -len(self.scope),
            -self.expires_at.timestamp(),
            self.grant.id,
        )

    def refusal(self) -> Refused | None:
        """Why nothing is given, if so: the chain first, then the scope, then the lifetime."""
        return self._chain_refusal() or self._scope_refusal() or self._lifetime_refusal()

    def limits(self) -> dict[str, str]:
        """Who said no: to a longer life, and to each scope that was asked for and not given."""
        return {"expiry": self.expiry_limit} | {
            f"scope:{name}": self._denied_by(name) for name in sorted(self.withheld)
        }

    def _chain_refusal(self) -> Refused | None:
        actor, *before = self.actors
        if actor.identity in ActorChain(tuple(before)) and not self.grant.cycles:
            return NotPermitted(Cause.CHAIN_CYCLE, grant=self.grant.id)
        length = len(self.actors)
        if length > self.grant.chain_limit or _size(self.actors) > MAX_CHAIN_BYTES:
            return NotPermitted(Cause.CHAIN_TOO_LONG, grant=self.grant.id, length=length)
        return None

    def _scope_refusal(self) -> Refused | None:
        """Empty never means all, and more than allowed refuses unless the grant downscopes."""
        if self.withheld and not self.grant.downscope:
            return InvalidScope(
                Cause.SCOPE_EXCEEDED,
                required=self._required(self.withheld),
                grant=self.grant.id,
                withheld=sorted(self.withheld),
            )
        if not self.scope:
            wanted = self.obtainable if self.requested is None else self.asked & self.obtainable
            return InvalidScope(
                Cause.SCOPE_EMPTY, required=self._required(wanted), grant=self.grant.id
            )
        return None

    def _lifetime_refusal(self) -> Refused | None:
        if self.expires_at - self.issued_at >= MIN_LIFETIME:
            return None
        if self.expiry_limit == "subject_token":
            return SubjectTokenRejected(Cause.LIFETIME_TOO_SHORT)
        return NotPermitted(Cause.LIFETIME_TOO_SHORT, grant=self.grant.id)

    def _denied_by(self, name: str) -> str:
        if name in self.obtainable:
            return "subject_token"
        return "resource" if name in self.grant.ceiling else "grant"

    def _required(self, wanted: Scope) -> Scope:
        """The scopes of the subject token that would have sufficed; none, where none would.

        For each wanted scope the one that stands for least.
        """
        if not wanted <= self.obtainable:
            return frozenset()
        narrow = sorted(self.grant.scopes.items(), key=lambda item: (len(item[1]), item[0]))
        return frozenset(
            next(name for name, meaning in narrow if scope in meaning) for scope in wanted
        )


def _allow(
    requested: Scope | None,
    subject: VerifiedToken,
    grant: Grant,
    *,
    actor: Actor,
    resource: Resource,
    issued_at: datetime,
) -> _Allowance:
    obtainable = grant.ceiling & resource.clients[grant.client] & resource.scopes
    expires_at, expiry_limit = _expiry(subject, grant, issued_at)
    return _Allowance(
        grant=grant,
        requested=requested,
        ceiling=grant.translate(subject.scope) & obtainable,
        obtainable=obtainable,
        actors=_hand_over(subject, actor, grant),
        issued_at=issued_at,
        expires_at=expires_at,
        expiry_limit=expiry_limit,
    )


def _hand_over(subject: VerifiedToken, actor: Actor, grant: Grant) -> ActorChain:
    """The old chain, whole, with one new head (RFC 8693 §4.1).

    Where nobody acts yet, the agent is the first link if the grant vouches for it.
    """
    chain = subject.actors
    if not chain and subject.agent is not None and subject.agent in grant.agents.registered:
        agent = Identity(subject.issuer, subject.agent)
        chain = chain.handed_to(Actor(identity=agent, sub_profile=AI_AGENT))
    return chain.handed_to(actor)


def _size(chain: ActorChain) -> int:
    return len(json.dumps(chain.as_claim()))


def _expiry(subject: VerifiedToken, grant: Grant, issued_at: datetime) -> tuple[datetime, str]:
    """When the token ends, and who said so: never later than the subject token or the grant."""
    ends = [(subject.expires_at, "subject_token"), (issued_at + grant.lifetime, "grant")]
    if grant.expires_at is not None:
        ends.append((grant.expires_at, "grant"))
    expires_at, limit = min(ends)
    return expires_at.replace(microsecond=0), limit
