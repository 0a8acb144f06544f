"""The states of a token (presented, verified, issued), and what scope is."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from delegation.domain.parties import NOBODY, ActorChain, Identity

Scope = frozenset[str]
"""Scope tokens, case-sensitive and without order (RFC 6749 §3.3). Empty allows nothing."""

_SCOPE = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]+(?: [\x21\x23-\x5B\x5D-\x7E]+)*", re.ASCII)


def parse_scope(text: str) -> Scope:
    """Read a scope by the grammar of RFC 6749 §3.3 and nothing looser; raises `ValueError`.

    `str.split` would take a no-break space, a tab or a line break for a separator:
    `read\\u00a0admin` would be two scopes here and one elsewhere.
    """
    if not _SCOPE.fullmatch(text):
        raise ValueError("not a scope")
    return frozenset(text.split(" "))


def format_scope(scope: Iterable[str]) -> str:
    """Write a scope, in a stable order."""
    return " ".join(sorted(scope))


SEPARATOR = "|"
"""Between the alias of the root identity's issuer and its subject, in the `sub` of our tokens."""

SERVICE = "service"
"""The `sub_profile` of a subject that is no person."""


class TokenType(StrEnum):
    """The token type identifiers of RFC 8693 §3 that we know, compared as exact strings."""

    ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
    JWT = "urn:ietf:params:oauth:token-type:jwt"


@dataclass(frozen=True, slots=True, kw_only=True)
class PresentedToken:
    """A token exactly as the client sent it. Nothing about it is to be believed yet."""

    value: str = field(repr=False)
    type: TokenType


@dataclass(frozen=True, slots=True, kw_only=True)
class Authentication:
    """When and how the person authenticated (RFC 9068 §2.2.1). An exchange never refreshes it."""

    time: datetime | None = None
    acr: str | None = None
    amr: tuple[str, ...] = ()


UNKNOWN = Authentication()
"""A token that says nothing about it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedToken:
    """What a subject token says, after its signature, issuer, type and lifetime have held.

    Only the verifier makes these. *subject* is the root identity: for one of our own tokens it is
    decoded from `sub`. *alias* is the short name of the root's trusted issuer. *may_act* is `None`
    where the claim is absent. *claims* are only those the registry names.
    """

    issuer: str
    id: str
    subject: Identity
    alias: str
    audience: tuple[str, ...]
    scope: Scope
    issued_at: datetime
    expires_at: datetime
    agent: str | None = None
    actors: ActorChain = NOBODY
    may_act: Mapping[str, str] | None = None
    authentication: Authentication = UNKNOWN
    claims: Mapping[str, frozenset[str]] = field(default_factory=dict)
    txn: str | None = None
    sub_profile: str | None = None
    is_ours: bool = False

    @property
    def is_of_a_service(self) -> bool:
        """Whether its subject is no person: a foreign token's own client, or what began as one."""
        if self.is_ours or self.sub_profile == SERVICE:
            return self.sub_profile == SERVICE
        return self.agent is not None and self.subject == Identity(self.issuer, self.agent)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedActor:
    """What an actor token says, after its signature, issuer, type and lifetime have held.

    Only the verifier makes these. *issuer* and *id* name the token, *identity* who acts.
    *issued_to* is the client claim of an access token. Where it *is_one_time*, its id must be
    claimed before anything is done for its sake.
    """

    issuer: str
    id: str
    identity: Identity
    issued_at: datetime
    expires_at: datetime
    issued_to: str | None = None
    is_one_time: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedToken:
    """What is handed back (RFC 8693 §2.2.1). *lifetime* is in seconds, as decided."""

    id: str
    value: str = field(repr=False)
    type: TokenType
    scope: Scope
    lifetime: int
