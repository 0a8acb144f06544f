"""What has been decided, before it is a token."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache

from delegation.domain.locks import EVERYTHING, Link, Target, milliseconds
from delegation.domain.parties import ActorChain, Identity
from delegation.domain.rates import Rate
from delegation.domain.shadow import Shadow
from delegation.domain.tokens import Authentication, Scope, VerifiedActor, VerifiedToken
from delegation.domain.trust import CLIENT_SKEW, LONGEST_SESSION, SKEW

_REMEMBERED = 4096
"""For how many people, with who acts for them, a worker knows their targets by heart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delegation:
    """What has been decided: all that the record, the event and the token need to know.

    *parent* is the subject token. *limits* names what cut the scope or the lifetime, and where.
    *rates* are the grant's own. *shadow* is what would have been decided with the grants in shadow,
    where that differs.
    """

    id: str
    parent: VerifiedToken
    actor_token: VerifiedActor | None = None
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
    rates: tuple[Rate, ...] = ()
    txn: str
    revision: str
    limits: Mapping[str, str] = field(default_factory=dict)
    shadow: Shadow | None = None

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
        shown = () if self.actor_token is None else (_signer(self.actor_token),)
        return _targets(self.subject, _agent(self.parent), self.actors).union(
            shown,
            (
                Target.client(self.client),
                Target.resource(self.resource),
                Target.grant(self.grant),
                Target.exchange(self.id),
            ),
        )

    def actor_origin(self) -> Link | None:
        """The actor token that this grew from, too; `None` where there was none."""
        return None if self.actor_token is None else _actor_link(self.actor_token)

    def origin(self) -> Link | None:
        """The foreign token that this grew from; `None` where the subject token is one of ours.

        The record of that one has it then.
        """
        parent = self.parent
        if parent.is_ours:
            return None
        login = parent.authentication.time or _earliest_login(parent)
        return Link(
            targets=_targets(self.subject, _agent(parent), parent.actors)
            | {Target.token(parent.issuer, parent.id)},
            issued_at=milliseconds(parent.issued_at - SKEW),
            is_foreign=True,
            logged_in_at=milliseconds(login),
        )


def _actor_link(actor: VerifiedActor) -> Link:
    token = Target.token(actor.issuer, actor.id)
    skew = CLIENT_SKEW if actor.is_one_time else SKEW
    return Link(
        targets=frozenset({EVERYTHING, _signer(actor), Target.actor(actor.identity), token}),
        issued_at=milliseconds(actor.issued_at - skew),
        is_foreign=True,
        logged_in_at=milliseconds(_earliest_login(actor)),
    )


def _earliest_login(token: VerifiedToken | VerifiedActor) -> datetime:
    """When whoever a token speaks of may have logged in, where it does not say."""
    return token.issued_at - LONGEST_SESSION


def _signer(actor: VerifiedActor) -> Target:
    """Who wrote the actor token: what is good for one use, a client did, of itself."""
    return Target.client(actor.issuer) if actor.is_one_time else Target.issuer(actor.issuer)


def _agent(token: VerifiedToken) -> Identity | None:
    return None if token.agent is None else Identity(token.issuer, token.agent)


@lru_cache(_REMEMBERED)
def _targets(root: Identity, agent: Identity | None, actors: ActorChain) -> frozenset[Target]:
    """What a lock could name of a subject, its agent, and those who act for it."""
    targets = [EVERYTHING, Target.issuer(root.issuer), Target.subject(root)]
    if agent is not None:
        targets.append(Target.agent(agent))
    for actor in actors:
        targets += Target.actor(actor.identity), Target.pair(root, actor.identity)
    return frozenset(targets)
