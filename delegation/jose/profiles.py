"""One profile per kind of token: no token fits two (RFC 8725 §3.12)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol, TypeVar

from delegation.domain.errors import Cause
from delegation.domain.grants import MAX_LIFETIME
from delegation.domain.parties import (
    ActorChain,
    Client,
    Identity,
    InlineKeys,
    KeySource,
    VerifiedAssertion,
)
from delegation.domain.registry import Registry
from delegation.domain.tokens import SEPARATOR, SERVICE, VerifiedToken
from delegation.domain.trust import (
    CLIENT_SKEW,
    LONGEST_ASSERTION,
    LONGEST_LIFE,
    LONGEST_SESSION,
    SKEW,
    ForeignIssuer,
    TrustedIssuer,
)
from delegation.jose import claims as read
from delegation.jose.jwks import ForeignKeys
from delegation.jose.keyring import SUPPORTED, Keyring, new_key
from delegation.jose.keys import VerificationKey
from delegation.jose.parser import TokenFault, UnverifiedToken
from delegation.jose.signer import TYPE

_OTHER_TOKENS = frozenset({"nonce", "at_hash", "c_hash", "events"})
"""What ID tokens and security events have, and access tokens have not (RFC 8693 §3)."""


_ASSERTION_TYPES = frozenset({None, "jwt", "client-authentication+jwt"})
"""The `typ` of a client assertion: it should have its own, and none may be refused for having none
(rfc7523bis).
"""

Meaning_co = TypeVar("Meaning_co", covariant=True)


class Profile(Protocol[Meaning_co]):
    """What a token of one kind, of one issuer, has to be."""

    @property
    def issuer(self) -> str:
        """What `iss` says."""
        ...

    @property
    def algorithms(self) -> frozenset[str]:
        """Those that the issuer may sign with."""
        ...

    @property
    def longest_life(self) -> timedelta:
        """From `iat` to `exp`."""
        ...

    @property
    def skew(self) -> timedelta:
        """How far the issuer's clock may be ahead."""
        ...

    def check_type(self, token: UnverifiedToken) -> None:
        """Raises `TokenFault` where the token is of another kind, by its header or its claims."""
        ...

    def key(self, token: UnverifiedToken) -> VerificationKey:
        """The issuer's key that the token names. Raises `TokenFault`, or `Unavailable`."""
        ...

    def read(self, token: UnverifiedToken) -> Meaning_co:
        """What the token says, once its signature and its lifetime have held.

        Raises `TokenFault` or `ValueError` where a claim is not as it must be.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class OfForeignIssuer:
    """What the profiles of all foreign issuers have in common: who signs, and with which keys."""

    trusted: ForeignIssuer
    keys: ForeignKeys
    longest_life: timedelta = LONGEST_LIFE
    skew: timedelta = SKEW

    @property
    def issuer(self) -> str:
        """As the registry has it."""
        return self.trusted.issuer

    @property
    def algorithms(self) -> frozenset[str]:
        """As the registry has them."""
        return self.trusted.algorithms

    def key(self, token: UnverifiedToken) -> VerificationKey:
        """Among the keys that this issuer publishes."""
        return self.keys.find(self.trusted.keys, token.kid)


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignAccessToken(OfForeignIssuer):
    """An access token of a trusted issuer, as its entry in the registry describes it."""

    trusted: TrustedIssuer
    our_issuer: str

    def check_type(self, token: UnverifiedToken) -> None:
        """RFC 8725 §3.11: a type of the entry; none or `JWT` only where claims make up for it."""
        must_be_access_token(token, self.trusted)
        telling = {self.trusted.scope_claim, self.trusted.client_claim}
        if media_type(token.type) not in self.trusted.types and not telling & token.claims.keys():
            raise TokenFault(Cause.TOKEN_TYPE, problem="neither scope nor client")

    def read(self, token: UnverifiedToken) -> VerifiedToken:
        """In the vocabulary of the issuer."""
        trusted, claims = self.trusted, token.claims
        audience = read.audience(claims)
        if len(audience) > 1 and not trusted.several_audiences:
            raise TokenFault(Cause.AUDIENCE, claim="aud")
        read_scope = read.scope_array if trusted.scope_is_array else read.scope
        agent = read.optional_name(claims, trusted.client_claim)
        issued_at, authentication = read.date(claims, "iat"), read.authentication(claims)
        if authentication.time and issued_at - authentication.time > LONGEST_SESSION:
            # Stops on logins are forgotten when no token of such a login can be left.
            raise TokenFault(Cause.LOGIN_TOO_OLD)
        return VerifiedToken(
            issuer=trusted.issuer,
            id=read.name(trusted.identify(claims, token.signing_input), "id"),
            subject=Identity(trusted.issuer, read.name(claims.get("sub"), "sub")),
            alias=trusted.alias,
            audience=audience,
            scope=read_scope(claims, trusted.scope_claim),
            issued_at=issued_at,
            expires_at=read.date(claims, "exp"),
            agent=agent,
            actors=self._actors(claims),
            may_act=read.may_act(claims),
            authentication=authentication,
            claims=read.named(claims, trusted.claims),
            sub_profile=SERVICE if trusted.is_of_a_service(claims, agent) else None,
        )

    def _actors(self, claims: Mapping[str, Any]) -> ActorChain:
        if "act" in claims and not self.trusted.asserts_actors:
            raise TokenFault(Cause.CHAIN_NOT_TRUSTED)
        chain = read.actors(claims, default_issuer=self.trusted.actor_issuer)
        # Our clients are identities of our issuer: only a token of ours can say that one acts.
        if any(actor.identity.issuer == self.our_issuer for actor in chain):
            raise TokenFault(Cause.CHAIN_NOT_TRUSTED)
        return chain


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnAccessToken:
    """An access token that we issued. The root identity is in its `sub`, with an actor chain."""

    registry: Registry
    keyring: Keyring
    algorithms: frozenset[str] = SUPPORTED
    longest_life: timedelta = MAX_LIFETIME
    skew: timedelta = SKEW

    @property
    def issuer(self) -> str:
        """We."""
        return self.registry.issuer

    def check_type(self, token: UnverifiedToken) -> None:
        """RFC 9068 §2.1, in the one way we write it."""
        if token.type != TYPE:
            raise TokenFault(Cause.TOKEN_TYPE, problem="typ")

    def key(self, token: UnverifiedToken) -> VerificationKey:
        """Any that we publish: one that retires has signed tokens that still live."""
        key = self.keyring.find(token.kid)
        if key is None:
            raise TokenFault(Cause.KEY_UNKNOWN, kid=token.kid)
        return key

    def read(self, token: UnverifiedToken) -> VerifiedToken:
        """As our signer writes it. `sub_id` is for others: `sub` alone says who the root is."""
        claims = token.claims
        root, alias = self._root(claims.get("sub"))
        audience = read.audience(claims)
        if len(audience) != 1:
            raise TokenFault(Cause.AUDIENCE, claim="aud")
        client = read.name(claims.get("client_id"), "client_id")
        return VerifiedToken(
            issuer=self.issuer,
            id=read.name(claims.get("jti"), "jti"),
            subject=root,
            alias=alias,
            audience=audience,
            scope=read.scope(claims, "scope"),
            issued_at=read.date(claims, "iat"),
            expires_at=read.date(claims, "exp"),
            agent=client,
            actors=self._actors(claims),
            may_act=read.may_act(claims),
            authentication=read.authentication(claims),
            txn=read.name(claims.get("txn"), "txn"),
            sub_profile=read.optional_name(claims, "sub_profile"),
            is_ours=True,
        )

    def _root(self, sub: object) -> tuple[Identity, str]:
        if not isinstance(sub, str):
            raise TokenFault(Cause.TOKEN_CLAIMS, claim="sub")
        # A foreign subject may hold the separator, an alias may not.
        alias, _, subject = sub.partition(SEPARATOR)
        trusted = self.registry.aliases.get(alias)
        if trusted is None:
            raise TokenFault(Cause.ISSUER_NOT_TRUSTED, claim="sub")
        return Identity(trusted.issuer, read.name(subject, "sub")), alias

    def _actors(self, claims: Mapping[str, Any]) -> ActorChain:
        chain = read.actors(claims)
        if not chain:
            raise TokenFault(Cause.CHAIN_MALFORMED, problem="nobody acts")
        return chain


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientAssertion:
    """What a client signs to authenticate: a client is just the issuer of its own assertions.

    No assertion verifies for a *client* without keys; so it may be one that does not exist.
    """

    client: Client
    our_issuer: str
    keys: ForeignKeys
    longest_life: timedelta = LONGEST_ASSERTION
    skew: timedelta = CLIENT_SKEW

    @property
    def issuer(self) -> str:
        """The client's id."""
        return self.client.id

    @property
    def algorithms(self) -> frozenset[str]:
        """As the registry has them."""
        return self._source.algorithms

    @property
    def _source(self) -> KeySource:
        return self.client.keys or _NO_KEYS

    def check_type(self, token: UnverifiedToken) -> None:
        """It speaks in its own name and of itself (RFC 7523 §3), which no access token does."""
        if media_type(token.type) not in _ASSERTION_TYPES:
            raise TokenFault(Cause.TOKEN_TYPE, problem="typ")
        for claim in ("iss", "sub"):
            if token.claims.get(claim) != self.issuer:
                raise TokenFault(Cause.TOKEN_CLAIMS, claim=claim)

    def key(self, token: UnverifiedToken) -> VerificationKey:
        """One that is registered for this client."""
        try:
            return self.keys.find(self._source, token.kid)
        except TokenFault:
            # It takes as long as a wrong signature: the clock tells nobody which clients there are.
            _DECOY.verifies(token.signing_input, token.signature)
            raise

    def read(self, token: UnverifiedToken) -> VerifiedAssertion:
        """We are its sole audience, by our issuer identifier alone (rfc7523bis).

        Another server that passes our endpoint off as its own gets nothing that is good here.
        """
        claims = token.claims
        if read.audience(claims) != (self.our_issuer,):
            raise TokenFault(Cause.AUDIENCE, claim="aud")
        return VerifiedAssertion(
            client=self.client,
            id=read.name(claims.get("jti"), "jti"),
            issued_at=read.date(claims, "iat"),
            expires_at=read.date(claims, "exp"),
        )


_NO_KEYS = InlineKeys(jwks=(), algorithms=frozenset({"ES256"}))
_DECOY = new_key().public


def media_type(value: str | None) -> str | None:
    """A `typ` as it is compared: in any case, with the prefix or without (RFC 7515 §4.1.9)."""
    return None if value is None else value.lower().removeprefix("application/")


def must_be_access_token(token: UnverifiedToken, issuer: ForeignIssuer) -> None:
    """Raises `TokenFault` where *token* is no access token of *issuer*, by type or by claims."""
    must_speak_of_another(token, issuer)
    kind = media_type(token.type)
    if kind not in issuer.types and (kind not in {None, "jwt"} or not issuer.legacy_types):
        raise TokenFault(Cause.TOKEN_TYPE, problem="typ")


def must_speak_of_another(token: UnverifiedToken, issuer: ForeignIssuer) -> None:
    """Raises `TokenFault` where *token* is an ID token, an event, or about *issuer* itself."""
    # What an issuer says of itself is an assertion to authenticate it (RFC 7523 §3).
    if _OTHER_TOKENS & token.claims.keys() or token.claims.get("sub") == issuer.issuer:
        raise TokenFault(Cause.TOKEN_TYPE, problem="claims")
