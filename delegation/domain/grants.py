"""A platform team's rules: which client may act for whom, through whom, where, with what."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from delegation.domain.parties import CHAIN_HARD_CAP
from delegation.domain.rates import Rate
from delegation.domain.tokens import Scope, VerifiedActor, VerifiedToken

DEFAULT_LIFETIME = timedelta(seconds=300)
MAX_LIFETIME = timedelta(seconds=900)
DEFAULT_CHAIN_LIMIT = 4


class Mode(StrEnum):
    """Whether a grant counts. One in shadow neither gives nor takes: what it would is reported."""

    ENFORCE = "enforce"
    SHADOW = "shadow"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subjects:
    """For whom a grant may be used: people of one issuer. All that is stated must hold.

    *people* are named subjects; *claims* ask for one of the given values in each claim; *everyone*
    must be written. Where nothing is stated, nobody is meant.
    """

    issuer: str
    people: frozenset[str] = frozenset()
    claims: Mapping[str, frozenset[str]] = field(default_factory=dict)
    everyone: bool = False

    def admit(self, token: VerifiedToken) -> bool:
        """Whether the subject of *token* is meant. A token of ours has no claims to match."""
        if token.subject.issuer != self.issuer:
            return False
        if not (self.people or self.claims):
            return self.everyone
        if self.people and token.subject.subject not in self.people:
            return False
        return all(
            values & token.claims.get(name, frozenset()) for name, values in self.claims.items()
        )

    def may_mean(self, token: VerifiedToken) -> bool:
        """Whether the subject of *token* is meant for all that is known.

        A token of ours does not say what the claims were: they are taken to be what is asked for.
        """
        if not token.is_ours or not self.claims:
            return self.admit(token)
        return replace(self, claims={}, everyone=True).admit(token)


@dataclass(frozen=True, slots=True, kw_only=True)
class Agents:
    """Through which agents a grant may be used: the *registered* ones; *any* must be written.

    A registered agent is vouched for by this grant, and therefore enters the actor chain.
    """

    registered: frozenset[str] = frozenset()
    any: bool = False

    def admit(self, agent: str | None) -> bool:
        """Whether *agent*, the subject token's client, is meant: nobody's client never is.

        Without it a machine's own token could not be told from a person's (RFC 9700 §4.15).
        """
        return agent is not None and (self.any or agent in self.registered)

    def may_mean(self, token: VerifiedToken, actor: VerifiedActor | None) -> bool:
        """Whether *token* came through one of them, at any hop, for all that is known; or whether
        one of them is the *actor*, who is about to stand in the chain.
        """
        if self.any or token.agent is None:
            return True
        before = {name for one in token.actors for name in (one.identity.subject, one.client_id)}
        acting = () if actor is None else (actor.identity.subject, actor.issued_to)
        return not self.registered.isdisjoint({token.agent, *before, *acting})


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """This client may act for these subjects, through these agents, here, with these scopes.

    *scopes* maps each scope of the subject token to the scopes of the resource that it stands for:
    two vocabularies. *chain_limit* counts the hops of the resulting chain. *services* admits
    subjects that are their own client, which are no people (RFC 9700 §4.15). *single_use* lets a
    subject token be exchanged once under this grant. *downscope* gives less than was asked instead
    of refusing. *rates* are how often each client may exchange under it, besides the service's own.
    For each client of a team there is one with the same id.
    """

    id: str
    client: str
    resource: str
    subjects: tuple[Subjects, ...]
    agents: Agents
    scopes: Mapping[str, Scope]
    lifetime: timedelta = DEFAULT_LIFETIME
    chain_limit: int = DEFAULT_CHAIN_LIMIT
    expires_at: datetime | None = None
    services: bool = False
    cycles: bool = False
    downscope: bool = False
    single_use: bool = False
    rates: tuple[Rate, ...] = ()
    mode: Mode = Mode.ENFORCE

    def __post_init__(self) -> None:
        """Refuse limits that the house does not allow; raises `ValueError`."""
        if not timedelta(0) < self.lifetime <= MAX_LIFETIME:
            raise ValueError("lifetime must be between 1 and 900 seconds")
        if not 0 < self.chain_limit <= CHAIN_HARD_CAP:
            raise ValueError(f"chain_limit must be between 1 and {CHAIN_HARD_CAP}")

    def matches(self, token: VerifiedToken, now: datetime) -> bool:
        """Whether this grant speaks about the subject and the agent of *token*, at *now*."""
        if self.expires_at is not None and now >= self.expires_at:
            return False
        if token.is_of_a_service and not self.services:
            return False
        return self.agents.admit(token.agent) and any(
            subjects.admit(token) for subjects in self.subjects
        )

    def translate(self, scope: Scope) -> Scope:
        """The scopes of the resource that *scope*, of the subject token, stands for."""
        return frozenset().union(*(self.scopes.get(name, frozenset()) for name in scope))

    @property
    def ceiling(self) -> Scope:
        """The most that this grant can ever give."""
        return frozenset().union(*self.scopes.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Deny:
    """This client may not act for these subjects, through these agents, here, with these scopes.

    Whatever grants say. *scopes* are scopes of the resource; `None` is all of them. It is for
    services as for people; and what is not known of a token does not keep it from being meant.
    """

    id: str
    client: str
    resource: str
    subjects: tuple[Subjects, ...]
    agents: Agents
    scopes: Scope | None
    expires_at: datetime | None = None
    mode: Mode = Mode.ENFORCE

    def matches(
        self, token: VerifiedToken, now: datetime, actor: VerifiedActor | None = None
    ) -> bool:
        """Whether this speaks about the subject and the agents of *token*, at *now*.

        An *actor* that shows a token of its own is an agent like those before it.
        """
        if self.expires_at is not None and now >= self.expires_at:
            return False
        return self.agents.may_mean(token, actor) and any(
            subjects.may_mean(token) for subjects in self.subjects
        )

    def taken_from(self, scope: Scope) -> Scope:
        """What of *scope*, of the resource, this does not let be given."""
        return scope if self.scopes is None else scope & self.scopes
