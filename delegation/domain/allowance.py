"""What one grant would give of a request: to which chain, how much, and for how long."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from operator import itemgetter

from delegation.domain.errors import (
    ActorTokenRejected,
    Cause,
    InvalidScope,
    NotPermitted,
    Refused,
    SubjectTokenRejected,
)
from delegation.domain.grants import Deny, Grant
from delegation.domain.parties import Actor, ActorChain, Identity
from delegation.domain.resources import Resource
from delegation.domain.tokens import Scope, VerifiedActor, VerifiedToken

MIN_LIFETIME = timedelta(seconds=5)
"""A token with less to live than this is not worth issuing, and is refused."""

MAX_CHAIN_BYTES = 4096
"""How long the `act` claim may be, as JSON."""

AI_AGENT = "ai_agent"
"""The `sub_profile` of an agent that a grant vouches for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """What one grant would give of a request: to which chain, how much, and for how long.

    *obtainable* is what it could give for some subject token, and *denied* what it could not for a
    deny alone, with the id of that. *ceiling* is what it may give for this one.
    """

    grant: Grant
    requested: Scope | None
    ceiling: Scope
    obtainable: Scope
    denied: Mapping[str, str]
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
        return (
            self._cycle_refusal()
            or self._length_refusal()
            or self._scope_refusal()
            or self._lifetime_refusal()
        )

    def refusals(self) -> tuple[Refused, ...]:
        """All reasons why nothing is given, in the same order: to explain, not to decide."""
        found = (
            self._cycle_refusal(),
            self._length_refusal(),
            self._scope_refusal(),
            self._lifetime_refusal(),
        )
        return tuple(refused for refused in found if refused is not None)

    def limits(self) -> dict[str, str]:
        """Who said no: to a longer life, and to each scope that was asked for and not given."""
        return {"expiry": self.expiry_limit} | {
            f"scope:{name}": self._denied_by(name) for name in sorted(self.withheld)
        }

    def _cycle_refusal(self) -> Refused | None:
        actor, *before = self.actors
        if actor.identity in ActorChain(tuple(before)) and not self.grant.cycles:
            return NotPermitted(Cause.CHAIN_CYCLE, grant=self.grant.id)
        return None

    def _length_refusal(self) -> Refused | None:
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
                **self._denials(self.withheld),
            )
        if not self.scope:
            wanted = self.obtainable if self.requested is None else self.asked & self.obtainable
            return InvalidScope(
                Cause.SCOPE_EMPTY,
                required=self._required(wanted),
                grant=self.grant.id,
                **self._denials(self.denied if self.requested is None else self.requested),
            )
        return None

    def _lifetime_refusal(self) -> Refused | None:
        if self.expires_at - self.issued_at >= MIN_LIFETIME:
            return None
        if self.expiry_limit == "subject_token":
            return SubjectTokenRejected(Cause.LIFETIME_TOO_SHORT)
        if self.expiry_limit == "actor_token":
            return ActorTokenRejected(Cause.LIFETIME_TOO_SHORT)
        return NotPermitted(Cause.LIFETIME_TOO_SHORT, grant=self.grant.id)

    def _denied_by(self, name: str) -> str:
        if name in self.obtainable:
            return "subject_token"
        if name in self.denied:
            return f"deny:{self.denied[name]}"
        return "resource" if name in self.grant.ceiling else "grant"

    def _denials(self, names: Iterable[str]) -> dict[str, object]:
        """For the event of a refusal: which denies took some of *names*, if any did."""
        found = sorted({self.denied[name] for name in names if name in self.denied})
        return {"denied_by": found} if found else {}

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


def allow(
    requested: Scope | None,
    subject: VerifiedToken,
    actor: VerifiedActor | None,
    grant: Grant,
    *,
    acting: Identity,
    resource: Resource,
    issued_at: datetime,
    denies: Sequence[Deny] = (),
) -> Allowance:
    """What *grant* would give to *acting* at *resource* of what is *requested* for *subject*.

    The *denies* are those that match. Where several take the same, the first is named.
    """
    reach = grant.ceiling & resource.clients[grant.client] & resource.scopes
    denied = {name: deny.id for deny in reversed(denies) for name in deny.taken_from(reach)}
    obtainable = reach.difference(denied)
    expires_at, expiry_limit = _expiry(subject, actor, grant, issued_at)
    return Allowance(
        grant=grant,
        requested=requested,
        ceiling=grant.translate(subject.scope) & obtainable,
        obtainable=obtainable,
        denied=denied,
        actors=_hand_over(subject, acting, grant),
        issued_at=issued_at,
        expires_at=expires_at,
        expiry_limit=expiry_limit,
    )


def _hand_over(subject: VerifiedToken, acting: Identity, grant: Grant) -> ActorChain:
    """The old chain, whole, with one new head (RFC 8693 §4.1).

    Where nobody acts yet, the agent is the first link if the grant vouches for it; but nobody acts
    for themselves, or twice in a row.
    """
    chain = subject.actors
    if not chain and subject.agent is not None and subject.agent in grant.agents.registered:
        agent = Identity(subject.issuer, subject.agent)
        if agent not in {subject.subject, acting}:
            chain = chain.handed_to(Actor(identity=agent, sub_profile=AI_AGENT))
    return chain.handed_to(Actor(identity=acting))


@lru_cache(1024)
def _size(chain: ActorChain) -> int:
    return len(json.dumps(chain.as_claim()))


def _expiry(
    subject: VerifiedToken, actor: VerifiedActor | None, grant: Grant, issued_at: datetime
) -> tuple[datetime, str]:
    """When the token ends, and who said so: never later than either token or the grant.

    Of those that say the same, the one that a new token would not help against.
    """
    ends = [(issued_at + grant.lifetime, "grant")]
    if grant.expires_at is not None:
        ends.append((grant.expires_at, "grant"))
    ends.append((subject.expires_at, "subject_token"))
    if actor is not None:
        ends.append((actor.expires_at, "actor_token"))
    expires_at, limit = min(ends, key=itemgetter(0))
    return expires_at.replace(microsecond=0), limit
