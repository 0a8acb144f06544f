"""Which grant comes nearest to what was refused, and what is missing. For operators alone."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from delegation.domain.allowance import Allowance, allow
from delegation.domain.errors import Cause, InvalidScope, Refused
from delegation.domain.grants import Deny, Grant, Subjects
from delegation.domain.parties import Identity
from delegation.domain.resources import Resource
from delegation.domain.tokens import Scope, VerifiedActor, VerifiedToken


class Missing(StrEnum):
    """What can keep a grant from allowing something."""

    ADMISSION = "admission"
    EXPIRY = "expiry"
    SUBJECT = "subject"
    CLAIM = "claim"
    SERVICE = "service"
    AGENT = "agent"
    CHAIN = "chain"
    CYCLE = "cycle"
    SCOPE = "scope"
    DENY = "deny"
    LIFETIME = "lifetime"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lack:
    """One thing that is missing.

    *of* says of what: the resource that does not admit, the issuer of subjects, the claim, when it
    expired, the deny that is in the way. *needed* is what would do: any one of these subjects,
    values or agents, all of these scopes of the subject token; empty where it is none that can be
    named.
    """

    missing: Missing
    of: str = ""
    needed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Near:
    """A grant that did not allow it, with all that is missing: mend that, and it would."""

    grant: Grant
    lacks: tuple[Lack, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """What was refused, by no fault of its tokens: *acting* wants *scope* at *resource*.

    *denies* are those there that count.
    """

    subject: VerifiedToken
    actor: VerifiedActor | None
    acting: Identity
    resource: Resource
    scope: Scope | None
    now: datetime
    denies: tuple[Deny, ...] = ()

    def nearest(self, grants: tuple[Grant, ...]) -> Near | None:
        """That of *grants* to which least is missing, then the first by id; `None` of none."""
        near = [Near(grant=grant, lacks=self.lacks(grant)) for grant in grants]
        return min(near, key=lambda one: (len(one.lacks), one.grant.id), default=None)

    def lacks(self, grant: Grant) -> tuple[Lack, ...]:
        """All that *grant* is missing to allow this; nothing where it does allow it."""
        return (*self._unmatched(grant), *self._withheld(grant))

    def _unmatched(self, grant: Grant) -> Iterator[Lack]:
        """Why the grant does not speak of this: as `Grant.matches`, but to the end."""
        subject = self.subject
        if grant.client not in self.resource.clients:
            yield Lack(missing=Missing.ADMISSION, of=self.resource.identifier)
        if grant.expires_at is not None and self.now >= grant.expires_at:
            yield Lack(missing=Missing.EXPIRY, of=grant.expires_at.isoformat())
        nobody = (Lack(missing=Missing.SUBJECT),)
        per_entry = (tuple(_lacks(one, subject)) for one in grant.subjects)
        yield from min(per_entry, key=len, default=nobody)
        if subject.is_of_a_service and not grant.services:
            yield Lack(missing=Missing.SERVICE)
        if not grant.agents.admit(subject.agent):
            yield Lack(missing=Missing.AGENT, needed=tuple(sorted(grant.agents.registered)))

    def _withheld(self, grant: Grant) -> Iterator[Lack]:
        """What it would refuse even if it spoke of this, were it in force and its client let in."""
        admitting = {grant.client: self.resource.scopes, **self.resource.clients}
        in_force = grant.expires_at is None or self.now < grant.expires_at
        allowance = allow(
            self.scope,
            self.subject,
            self.actor,
            grant if in_force else replace(grant, expires_at=None),
            acting=self.acting,
            resource=replace(self.resource, clients=admitting),
            issued_at=self.now.replace(microsecond=0),
        )
        for refused in allowance.refusals():
            yield _lack(refused)
        yield from self._denied(allowance)

    def _denied(self, allowance: Allowance) -> Iterator[Lack]:
        """Each deny that takes of what *allowance* would give, once all else is mended.

        Where it gives less than is asked for, only if nothing is left.
        """
        denying = [deny for deny in self.denies if deny.matches(self.subject, self.now, self.actor)]
        if self.scope is None:
            wanted = allowance.scope or allowance.obtainable or self.resource.scopes
        elif allowance.grant.downscope:
            wanted = allowance.scope or self.scope & allowance.obtainable or self.scope
        else:
            wanted = self.scope
        taking = {deny.id: taken for deny in denying if (taken := deny.taken_from(wanted))}
        less_will_do = self.scope is None or allowance.grant.downscope
        if less_will_do and wanted.difference(*taking.values()):
            return
        for name in sorted(taking):
            yield Lack(missing=Missing.DENY, of=name)


def _lacks(subjects: Subjects, token: VerifiedToken) -> Iterator[Lack]:
    """Why *subjects* do not mean the subject of *token*."""
    people, nobody = subjects.people, not (subjects.people or subjects.claims or subjects.everyone)
    is_named = not people or token.subject.subject in people
    if token.subject.issuer != subjects.issuer or nobody or not is_named:
        yield Lack(missing=Missing.SUBJECT, of=subjects.issuer, needed=tuple(sorted(people)))
    for name, values in sorted(subjects.claims.items()):
        if not values & token.claims.get(name, frozenset()):
            yield Lack(missing=Missing.CLAIM, of=name, needed=tuple(sorted(values)))


def _lack(refused: Refused) -> Lack:
    if isinstance(refused, InvalidScope):
        return Lack(missing=Missing.SCOPE, needed=tuple(sorted(refused.required)))
    if refused.cause is Cause.LIFETIME_TOO_SHORT:
        return Lack(missing=Missing.LIFETIME)
    is_cycle = refused.cause is Cause.CHAIN_CYCLE
    return Lack(missing=Missing.CYCLE if is_cycle else Missing.CHAIN)
