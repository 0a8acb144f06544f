"""Whose tokens we accept, and how each of these issuers writes them."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property

from delegation.domain.parties import PublishedKeys

SKEW = timedelta(seconds=30)
"""How far another issuer's clock may be ahead: leeway for `iat` and `nbf`, never for `exp`."""

CLIENT_SKEW = timedelta(seconds=60)
"""The same for the clock of a client, in its own assertions."""

LONGEST_ASSERTION = timedelta(minutes=5)
"""The longest life of a client's assertion."""

LONGEST_LIFE = timedelta(hours=24)
"""The longest life of a foreign token. Ended locks are remembered for as long, and no longer."""


LONGEST_SESSION = timedelta(days=366)
"""The longest that a login can be past. Ended locks on logins are remembered for as long."""


@dataclass(frozen=True, kw_only=True)
class ForeignIssuer:
    """An issuer whose tokens we can verify, with the profile that they follow.

    *alias* is its immutable short name. *types* are the `typ` values of its access tokens, in lower
    case and without `application/`; an issuer that sends none or `JWT` must say so with
    *legacy_types*. *id_claim* is `None` where its tokens carry no id; *client_claim* holds the
    client that a token was issued to.
    """

    issuer: str
    alias: str
    jwks_uri: str
    algorithms: frozenset[str]
    types: frozenset[str] = frozenset({"at+jwt"})
    legacy_types: bool = False
    id_claim: str | None = "jti"
    client_claim: str = "client_id"
    private_network: bool = False
    """Whether its keys may be fetched from a loopback or private address."""

    @cached_property
    def keys(self) -> PublishedKeys:
        """Where its keys are."""
        return PublishedKeys(
            owner=self.issuer,
            jwks_uri=self.jwks_uri,
            algorithms=self.algorithms,
            private_network=self.private_network,
        )

    def identify(self, claims: Mapping[str, object], signing_input: bytes) -> object:
        """The token's id: its id claim; where this issuer sends none, a digest of what was signed.

        Never the digest of the token string: that is malleable, for the signature can be written in
        more than one way.
        """
        if self.id_claim is None:
            return hashlib.sha256(signing_input).hexdigest()
        return claims.get(self.id_claim)


@dataclass(frozen=True, kw_only=True)
class TrustedIssuer(ForeignIssuer):
    """An issuer of subject tokens. Our `sub` is `<alias>|<sub>`.

    *claims* maps the names that grants use to the claims that hold them; no other claim leaves the
    verifier. *actor_issuer* is taken for hops of an `act` claim that name none; *asserts_actors*
    says whether its tokens may carry `act` at all. A token in which a claim of *service_claims* has
    one of the given values is no person's; `{client}` in a value stands for the client claim, in
    upper or lower case.
    """

    scope_claim: str = "scope"
    scope_is_array: bool = False
    several_audiences: bool = False
    asserts_actors: bool = False
    actor_issuer: str | None = None
    claims: Mapping[str, str] = field(default_factory=dict)
    service_claims: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def is_of_a_service(self, claims: Mapping[str, object], client: str | None) -> bool:
        """Whether its token with these *claims*, issued to *client*, is no person's."""
        return any(
            _says(claims.get(claim), value, client)
            for claim, values in self.service_claims.items()
            for value in values
        )


CLIENT_PLACEHOLDER = "{client}"
"""What stands for the client claim in the values of `service_claims`."""


def _says(claim: object, value: str, client: str | None) -> bool:
    """Whether *claim*, a text or an array of them, says *value* of *client*."""
    said = claim if isinstance(claim, list) else [claim]
    if CLIENT_PLACEHOLDER not in value:
        return value in said
    if client is None:
        return False
    # Some issuers make a user name of the client's id, and write that in lower case.
    expected = value.replace(CLIENT_PLACEHOLDER, client).casefold()
    return any(isinstance(one, str) and one.casefold() == expected for one in said)


@dataclass(frozen=True, kw_only=True)
class ActorIssuer(ForeignIssuer):
    """An issuer of actor tokens: a list of its own, for trust in subjects is none in actors.

    *assertion_types* are the `typ` values of the JWTs that name a workload to us; none counts as
    `jwt`.
    """

    assertion_types: frozenset[str] = frozenset({"jwt"})


@dataclass(frozen=True, kw_only=True)
class AdminIssuer(ForeignIssuer):
    """An issuer of administrators' tokens: a list of its own, too. Its scopes are our capabilities.

    *scope_claim* holds them, as one string or as an array.
    """

    scope_claim: str = "scope"
    scope_is_array: bool = False
