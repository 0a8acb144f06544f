"""Whether this client may use these tokens, and use them together; and who acts if so."""

from datetime import datetime

from delegation.domain.errors import (
    ActorTokenRejected,
    Cause,
    NotPermitted,
    SubjectTokenRejected,
)
from delegation.domain.parties import Client, Identity
from delegation.domain.tokens import VerifiedActor, VerifiedToken


def bind(
    subject: VerifiedToken,
    actor: VerifiedActor | None,
    *,
    by: Client,
    our_issuer: str,
    now: datetime,
) -> Identity:
    """Who acts: whoever *actor* names; without an actor token the client *by* itself.

    Raises `SubjectTokenRejected`, `ActorTokenRejected`, or `NotPermitted` where `may_act` of the
    subject token means somebody else.
    """
    if subject.expires_at <= now:
        raise SubjectTokenRejected(Cause.EXPIRED)
    _must_be_addressed_to(by, subject)
    client = Identity(our_issuer, by.id)
    acting = client if actor is None else actor.identity
    is_client = actor is None or _is_of(by, actor, client)
    if actor is not None:
        if actor.expires_at <= now:
            raise ActorTokenRejected(Cause.EXPIRED)
        _must_be_presentable(actor, by, is_client=is_client, our_issuer=our_issuer)
        if acting == subject.subject:
            raise ActorTokenRejected(Cause.ACTOR_IS_SUBJECT)
    _must_be_allowed_to_act(acting, by, subject, is_client=is_client)
    return acting


def _must_be_addressed_to(client: Client, subject: VerifiedToken) -> None:
    """Otherwise whoever holds a stolen token could launder it here (RFC 8725 §3.9, MCP)."""
    if client.audience not in subject.audience:
        raise SubjectTokenRejected(
            Cause.PRESENTED_BY_ANOTHER_CLIENT, audience=list(subject.audience)
        )


def _is_of(client: Client, actor: VerifiedActor, identity: Identity) -> bool:
    """Whether the actor is the client: as we know it, or by an access token of its very own."""
    return actor.identity == identity or actor.issued_to == client.id == actor.identity.subject


def _must_be_presentable(
    actor: VerifiedActor, client: Client, *, is_client: bool, our_issuer: str
) -> None:
    """Nobody pairs somebody else's actor token with a subject token of their own.

    An access token is for the client that it was issued to, whoever acts by it.
    """
    listed = is_client or actor.identity in client.may_present_actors
    if listed and actor.issued_to in {None, client.id}:
        return
    # Another client's token is stolen, or lent: somebody should look at that.
    is_a_clients = actor.issued_to is not None or actor.identity.issuer == our_issuer
    cause = Cause.PRESENTED_BY_ANOTHER_CLIENT if is_a_clients else Cause.ACTOR_NOT_PRESENTABLE
    raise ActorTokenRejected(cause, issuer=actor.issuer, actor=actor.identity.subject)


def _must_be_allowed_to_act(
    acting: Identity, client: Client, subject: VerifiedToken, *, is_client: bool
) -> None:
    """`may_act` is a constraint on top of the grant: every member must match (RFC 8693 §4.4).

    It binds who acts and who asks: where these are two, it has to name both.
    """
    may_act = subject.may_act
    if may_act is None:
        return
    known = {"iss": acting.issuer, "sub": acting.subject, "client_id": client.id}
    if not may_act or not may_act.items() <= known.items():
        raise NotPermitted(Cause.MAY_ACT)
    if not is_client and not {"sub", "client_id"} <= may_act.keys():
        raise NotPermitted(Cause.MAY_ACT)
