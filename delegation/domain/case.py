"""One request as far as it is understood: what its decision is made on, and its event made of."""

from dataclasses import dataclass

from delegation.domain.delegations import Delegation
from delegation.domain.parties import Client
from delegation.domain.registry import Registry
from delegation.domain.resources import Targets
from delegation.domain.tokens import PresentedToken, Scope, VerifiedActor, VerifiedToken


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeRequest:
    """What the client asks for (RFC 8693 §2.1).

    *scope* is `None` where none was named, *actor_token* where the client itself is to act.
    """

    subject_token: PresentedToken
    targets: Targets
    scope: Scope | None
    actor_token: PresentedToken | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """What a client says of the MCP call that it asks for: evidence of what it said, and no more.

    *method* and *name* are those of the call (MCP 2026-07-28). *consent* is the client's own
    reference to what the person agreed to. Nobody has checked any of it, and nothing is decided by
    it.
    """

    method: str | None = None
    name: str | None = None
    consent: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a request came from: an *address*, and its trace (W3C Trace Context).

    The address is the peer's, or what the trusted proxies in front of us say of theirs; empty where
    there is none. *claimed* is `None` where the client says nothing of its call. *request_id* is
    what a trusted proxy calls the request, if it does.
    """

    address: str
    traceparent: str | None = None
    claimed: Claimed | None = None
    request_id: str | None = None


@dataclass(slots=True, kw_only=True)
class Case:
    """One request of an authenticated client, with what of it is understood so far.

    *nonce* is this request's own: what it claims, it may claim again.
    """

    client: Client
    authenticated_by: str
    registry: Registry
    origin: Origin
    nonce: str
    request: ExchangeRequest | None = None
    subject: VerifiedToken | None = None
    actor: VerifiedActor | None = None
    delegation: Delegation | None = None
