"""Whether a client would be given a token: the real decision, with nothing recorded or signed."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import pairwise

from delegation.domain.delegations import Delegation
from delegation.domain.errors import Cause, Refused, UnauthorizedClient
from delegation.domain.nearest import Near, Refusal
from delegation.domain.parties import Client, Identity
from delegation.domain.policy import delegate
from delegation.domain.registry import Registry
from delegation.domain.resources import Targets, is_resource_uri
from delegation.domain.shadow import Shadow
from delegation.domain.tokens import SERVICE, Scope, VerifiedActor, VerifiedToken
from delegation.domain.trust import LONGEST_LIFE

_ABOUT_GRANTS = frozenset(
    {
        Cause.TARGET_NOT_ADMITTED,
        Cause.NO_GRANT,
        Cause.DENIED,
        Cause.CHAIN_CYCLE,
        Cause.CHAIN_TOO_LONG,
        Cause.SCOPE_EXCEEDED,
        Cause.SCOPE_EMPTY,
        Cause.LIFETIME_TOO_SHORT,
    }
)
"""Causes that another grant would help against."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Yes:
    """A token would be issued: *delegation* is what it would say.

    *shadows* are what grants in shadow would have changed, in order of the hops.
    """

    delegation: Delegation
    shadows: tuple[Shadow, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class No:
    """*client*, the one that asks or one before it, would be *refused* a token for *resource*.

    *nearest* is the grant that comes nearest; `None` where it has none there, or where no grant
    would help. *shadows* are what grants in shadow would have changed, in order of the hops.
    *revision* is the registry's.
    """

    refused: Refused
    client: str
    resource: str
    nearest: Near | None
    shadows: tuple[Shadow, ...] = ()
    revision: str


class Unaskable(Exception):
    """The question names what is not in the registry, or in no calendar: it has no answer.

    *what* says of which kind that is, and is constant; its name stands in the message alone.
    """

    def __init__(self, message: str, *, what: str) -> None:
        super().__init__(message)
        self.what = what


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """May *client* have a token for *resource* with *scope*, and act for *subject* there?

    *subject* came through *agent*, an MCP client, with a new access token of the trusted issuer
    *alias* that has *token_scope* and *claims*: what is not stated, it does not have. The token is
    for *client*, or for the first of *before*: clients that hand it on, each exchanging it for one
    that is for the next. *resource* is a URI or a name; *scope* is `None` for all there is.
    """

    client: str
    resource: str
    alias: str
    subject: str
    agent: str
    now: datetime
    token_scope: Scope = frozenset()
    claims: Mapping[str, frozenset[str]] = field(default_factory=dict)
    scope: Scope | None = None
    before: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """How a question is to be answered: a test beside the grants, written at *place*.

    *scope* is all that the token is to have, *cause* why it is to be refused; `None` where it does
    not matter.
    """

    name: str
    place: str
    question: Question
    granted: bool
    scope: Scope | None = None
    cause: Cause | None = None

    def is_met_by(self, answer: Yes | No) -> bool:
        """Whether *answer* is as expected."""
        if isinstance(answer, No):
            return not self.granted and self.cause in {None, answer.refused.cause}
        return self.granted and self.scope in {None, answer.delegation.scope}


def can_i(question: Question, registry: Registry) -> Yes | No:
    """The answer of *registry*, hop by hop. Raises `Unaskable`."""
    path = [_client(name, registry) for name in (*question.before, question.client)]
    subject = _subject_token(question, path[0], registry)
    shadows: tuple[Shadow, ...] = ()
    for client, following in pairwise(path):
        # An audience need not be a URI: as a name it finds the resource as well.
        onward = Targets(audiences=(following.audience,))
        answer = decide(
            subject, by=client, at=onward, scope=None, registry=registry, now=question.now
        )
        shadows += answer.shadows
        if isinstance(answer, No):
            return replace(answer, shadows=shadows)
        subject = _as_subject_token(answer.delegation, registry.issuer)
    try:
        targets = _targets(question.resource)
    except Refused as refused:
        return No(
            refused=refused,
            client=question.client,
            resource="",
            nearest=None,
            shadows=shadows,
            revision=registry.revision,
        )
    answer = decide(
        subject,
        by=path[-1],
        at=targets,
        scope=question.scope,
        registry=registry,
        now=question.now,
    )
    return replace(answer, shadows=shadows + answer.shadows)


def decide(
    subject: VerifiedToken,
    actor: VerifiedActor | None = None,
    *,
    by: Client,
    at: Targets,
    scope: Scope | None,
    registry: Registry,
    now: datetime,
) -> Yes | No:
    """What the token endpoint would say to an authenticated client that asks with these tokens.

    It does not look at what is locked, used up or dead: that is the ledger's.
    """
    try:
        if not by.may_exchange:
            raise UnauthorizedClient(Cause.CLIENT_NOT_ENABLED)
        delegation = delegate(
            subject,
            actor,
            by=by,
            at=at,
            scope=scope,
            registry=registry,
            now=now,
            id="question",
        )
    except Refused as refused:
        named = " ".join((*at.resources, *at.audiences))
        if refused.cause not in _ABOUT_GRANTS:
            return No(
                refused=refused,
                client=by.id,
                resource=named,
                nearest=None,
                revision=registry.revision,
            )
        resource = registry.resource(at, by=by)
        place = by.id, resource.identifier
        refusal = Refusal(
            subject=subject,
            actor=actor,
            acting=Identity(registry.issuer, by.id) if actor is None else actor.identity,
            resource=resource,
            scope=scope,
            now=now,
            denies=registry.denies.get(place, ()),
        )
        return No(
            refused=refused,
            client=by.id,
            resource=resource.identifier,
            nearest=refusal.nearest(registry.grants.get(place, ())),
            shadows=_known(refused.shadow),
            revision=registry.revision,
        )
    return Yes(delegation=delegation, shadows=_known(delegation.shadow))


def latest_end(now: datetime) -> datetime:
    """When a foreign token ends at the latest that is issued *now*. Raises `Unaskable`."""
    try:
        return now + LONGEST_LIFE
    except OverflowError:
        raise Unaskable("the calendar ends before the token would", what="time") from None


def _known(shadow: Shadow | None) -> tuple[Shadow, ...]:
    return () if shadow is None else (shadow,)


def _client(name: str, registry: Registry) -> Client:
    try:
        return registry.clients[name]
    except KeyError:
        raise Unaskable(f"there is no client {name}", what="client") from None


def _targets(resource: str) -> Targets:
    if is_resource_uri(resource):
        return Targets(resources=(resource,))
    return Targets(audiences=(resource,))


def _subject_token(question: Question, client: Client, registry: Registry) -> VerifiedToken:
    """As the verifier would give it: of a trusted issuer, with claims that its entry names."""
    issuer = registry.aliases.get(question.alias)
    if issuer is None:
        raise Unaskable(f"there is no trusted issuer {question.alias}", what="trusted issuer")
    unnamed = sorted(question.claims.keys() - issuer.claims.keys())
    if unnamed:
        raise Unaskable(f"the entry of {issuer.alias} names no claim {unnamed[0]}", what="claim")
    return VerifiedToken(
        issuer=issuer.issuer,
        id="question",
        subject=Identity(issuer.issuer, question.subject),
        alias=issuer.alias,
        audience=(client.audience,),
        scope=question.token_scope,
        issued_at=question.now,
        expires_at=latest_end(question.now),
        agent=question.agent,
        claims=question.claims,
    )


def _as_subject_token(delegation: Delegation, our_issuer: str) -> VerifiedToken:
    """The token that would be issued, as the verifier would give it at the next hop."""
    parent = delegation.parent
    return VerifiedToken(
        issuer=our_issuer,
        id=delegation.id,
        subject=parent.subject,
        alias=parent.alias,
        audience=(delegation.resource,),
        scope=delegation.scope,
        issued_at=delegation.issued_at,
        expires_at=delegation.expires_at,
        agent=delegation.client,
        actors=delegation.actors,
        authentication=parent.authentication,
        txn=delegation.txn,
        sub_profile=SERVICE if parent.is_of_a_service else None,
        is_ours=True,
    )
