"""Who takes part: identities, actors that act for them, clients that ask, and their keys."""

import hashlib
import hmac
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, Self, TypeGuard

CHAIN_HARD_CAP = 8
"""No chain is ever longer, whatever a grant says."""

NAME_LIMIT = 255
"""Characters in an identifier that came from outside (RFC 7519 sets none; OpenID Connect Core §2:
255).
"""


def is_name(value: object) -> TypeGuard[str]:
    """Whether *value* can name a party: a printable, non-empty string of bounded length.

    It is compared code point by code point; nothing is trimmed, folded or normalised.
    """
    return isinstance(value, str) and 0 < len(value) <= NAME_LIMIT and value.isprintable()


class Identity(NamedTuple):
    """The pair (issuer, subject). A subject is unique only within its issuer (RFC 7519 §4.1.2)."""

    issuer: str
    subject: str


class Actor(NamedTuple):
    """One hop of an actor chain: an identity, and the two members that may describe it further."""

    identity: Identity
    client_id: str | None = None
    sub_profile: str | None = None

    def as_claim(self) -> dict[str, Any]:
        """The members of this hop, without what is nested in it."""
        claim: dict[str, Any] = {"iss": self.identity.issuer, "sub": self.identity.subject}
        if self.client_id is not None:
            claim["client_id"] = self.client_id
        if self.sub_profile is not None:
            claim["sub_profile"] = self.sub_profile
        return claim


@dataclass(frozen=True, slots=True)
class ActorChain:
    """All who act, current first (RFC 8693 §4.1). Only the first counts for a decision."""

    actors: tuple[Actor, ...] = ()

    def __len__(self) -> int:
        """How many act."""
        return len(self.actors)

    def __iter__(self) -> Iterator[Actor]:
        """Current actor first, least recent last."""
        return iter(self.actors)

    def __contains__(self, identity: Identity) -> bool:
        """Whether *identity* acts anywhere in the chain."""
        return any(actor.identity == identity for actor in self.actors)

    def handed_to(self, actor: Actor) -> Self:
        """This chain with one new head; what was there stays below it, in order and whole."""
        return type(self)((actor, *self.actors))

    def as_claim(self) -> dict[str, Any] | None:
        """The `act` claim, the current actor outermost; `None` where nobody acts."""
        claim: dict[str, Any] | None = None
        for actor in reversed(self.actors):
            nested = {} if claim is None else {"act": claim}
            claim = actor.as_claim() | nested
        return claim

    @classmethod
    def from_claim(cls, claim: object, *, default_issuer: str | None = None) -> Self:
        """Read an `act` claim, hop by hop, keeping identity members and leaving out the others.

        A hop without `iss` takes *default_issuer*. Raises `ValueError` where any hop is not an
        object, has no usable `sub` or `iss`, or where there are more hops than the hard cap:
        nothing is ever cut.
        """
        actors: list[Actor] = []
        hop = claim
        while True:
            if len(actors) == CHAIN_HARD_CAP:
                raise ValueError("the chain has more hops than the hard cap")
            if not isinstance(hop, Mapping):
                raise ValueError("a hop is not an object")  # noqa: TRY004, one error for all causes
            actors.append(_actor(hop, default_issuer))
            if "act" not in hop:
                return cls(tuple(actors))
            hop = hop["act"]


NOBODY = ActorChain()
"""The chain of a token whose subject acts alone."""


def _actor(hop: Mapping[str, Any], default_issuer: str | None) -> Actor:
    issuer, subject = hop.get("iss", default_issuer), hop.get("sub")
    if not is_name(issuer) or not is_name(subject):
        raise ValueError("a hop does not name its actor")
    for member in ("client_id", "sub_profile"):
        if member in hop and not is_name(hop[member]):
            raise ValueError(f"a hop has an unusable {member}")
    return Actor(
        identity=Identity(issuer, subject),
        client_id=hop.get("client_id"),
        sub_profile=hop.get("sub_profile"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class InlineKeys:
    """Public keys that are written where they are needed.

    *jwks* are JWKs as JSON texts, public members only, each with its `kid` and `alg`; *algorithms*
    are those that the holder of the keys may sign with.
    """

    jwks: tuple[str, ...]
    algorithms: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedKeys:
    """Public keys that *owner*, an issuer or a client, publishes as a JWK Set at *jwks_uri*.

    *private_network* says whether they may be fetched from a loopback or private address.
    """

    owner: str
    jwks_uri: str
    algorithms: frozenset[str]
    private_network: bool = False


KeySource = InlineKeys | PublishedKeys
"""Where the public keys of a party are, and the algorithms that it signs with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """Who authenticates at the token endpoint: an MCP server.

    *audience* is its own registered resource identifier: what a subject token must be addressed to
    when this client presents it. No two clients share one. *secrets* are SHA-256 digests; two may
    be valid at once, so that they can be rotated. *keys* are for its assertions (RFC 7523 §2.2): a
    client is the issuer of these. Without secrets and keys it cannot authenticate.
    *may_present_actors* are those, besides itself, whose actor tokens it may show. An auditor may
    introspect every token of ours, not only those that are for its *audience*.
    """

    id: str
    audience: str
    may_exchange: bool
    secrets: tuple[bytes, ...] = field(default=(), repr=False)
    keys: KeySource | None = None
    may_present_actors: frozenset[Identity] = frozenset()
    is_auditor: bool = False

    def holds(self, secret: str) -> bool:
        """Whether *secret* is one of its secrets. Only the form that we make ever matches.

        Every digest is compared, each in constant time: how long it takes says nothing of where two
        differ, or which of them matched.
        """
        if not _SECRET.fullmatch(secret):
            return False
        digest = hashlib.sha256(secret.encode()).digest()
        return sum([hmac.compare_digest(digest, one) for one in self.secrets]) > 0


_SECRET = re.compile(r"dlg_[A-Za-z0-9_-]{43}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedAssertion:
    """What *client* says to authenticate, after signature, audience and lifetime have held.

    Only the verifier makes these. It is good for one use: *id* must be claimed before anything is
    done for its sake.
    """

    client: Client
    id: str
    issued_at: datetime
    expires_at: datetime
