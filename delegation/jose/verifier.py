"""The one path to belief: makes verified tokens and assertions of presented ones, or refuses."""

from datetime import datetime
from typing import TypeVar

from jwt import PyJWTError

from delegation.domain.errors import AssertionRejected, Cause, SubjectTokenRejected
from delegation.domain.parties import Client, VerifiedAssertion
from delegation.domain.ports import Clock
from delegation.domain.registry import Registry
from delegation.domain.tokens import PresentedToken, VerifiedToken
from delegation.jose.claims import date, name
from delegation.jose.jwks import ForeignKeys
from delegation.jose.keyring import Keyring
from delegation.jose.parser import TokenFault, UnverifiedToken, parse
from delegation.jose.profiles import (
    ClientAssertion,
    ForeignAccessToken,
    OwnAccessToken,
    Profile,
)

_MISREAD = (PyJWTError, KeyError, TypeError, ValueError)

Meaning = TypeVar("Meaning")


class JwtVerifier:
    """Verifies JWTs: ours with *keyring*, those of trusted issuers and clients with *keys*."""

    def __init__(self, *, keyring: Keyring, keys: ForeignKeys, clock: Clock) -> None:
        self._keyring = keyring
        self._keys = keys
        self._clock = clock

    def subject(self, token: PresentedToken, registry: Registry) -> VerifiedToken:
        """Verify a subject token, of either declared type: its issuer alone says how.

        Raises `SubjectTokenRejected`; `Unavailable` if keys are out of reach. That the token is
        addressed to the client that presents it has not been checked.
        """
        known: dict[str, object] = {}
        try:
            unverified = parse(token.value)
            profile = self._profile(unverified, registry)
            known["issuer"] = profile.issuer
            return self._verified(unverified, profile)
        except TokenFault as fault:
            raise SubjectTokenRejected(fault.cause, **known, **fault.detail) from fault
        except _MISREAD as error:
            problem = type(error).__name__
            raise SubjectTokenRejected(Cause.TOKEN_CLAIMS, **known, problem=problem) from error

    def assertion(self, value: str, registry: Registry) -> VerifiedAssertion:
        """Verify what a client says to authenticate (RFC 7523 §3, rfc7523bis).

        Raises `AssertionRejected`; `Unavailable` if keys are out of reach. That its id is used for
        the first time has not been checked.
        """
        claimed = None
        try:
            unverified = parse(value)
            claimed = name(unverified.claims.get("sub"), "sub")
            profile = self._assertion_profile(claimed, registry)
            return self._verified(unverified, profile)
        except TokenFault as fault:
            raise AssertionRejected(fault.cause, claimed=claimed, **fault.detail) from fault
        except _MISREAD as error:
            problem = type(error).__name__
            raise AssertionRejected(Cause.TOKEN_CLAIMS, claimed=claimed, problem=problem) from error

    def _profile(self, unverified: UnverifiedToken, registry: Registry) -> Profile[VerifiedToken]:
        """Only the issuer decides, compared as an exact string: nothing is derived from it."""
        issuer = unverified.claims.get("iss")
        if issuer == registry.issuer:
            return OwnAccessToken(registry=registry, keyring=self._keyring)
        trusted = registry.issuers.get(issuer) if isinstance(issuer, str) else None
        if trusted is None:
            raise TokenFault(Cause.ISSUER_NOT_TRUSTED)
        return ForeignAccessToken(trusted=trusted, our_issuer=registry.issuer, keys=self._keys)

    def _assertion_profile(self, claimed: str, registry: Registry) -> ClientAssertion:
        client = registry.clients.get(claimed)
        if client is None:
            client = Client(id=claimed, audience="", may_exchange=False)
        return ClientAssertion(client=client, our_issuer=registry.issuer, keys=self._keys)

    def _verified(self, unverified: UnverifiedToken, profile: Profile[Meaning]) -> Meaning:
        """What costs nothing comes first, so that no token that cannot be good causes a fetch."""
        profile.check_type(unverified)
        if unverified.algorithm not in profile.algorithms:
            raise TokenFault(Cause.ALGORITHM)
        key = profile.key(unverified)
        if unverified.algorithm != key.algorithm:
            raise TokenFault(Cause.ALGORITHM)
        if not key.verifies(unverified.signing_input, unverified.signature):
            raise TokenFault(Cause.SIGNATURE)
        _must_be_alive(unverified, profile, self._clock())
        return profile.read(unverified)


def _must_be_alive(token: UnverifiedToken, profile: Profile[object], now: datetime) -> None:
    """RFC 7519 §4.1.4 to §4.1.6. Leeway is for clocks that are ahead, never for `exp`."""
    issued_at, expires_at = date(token.claims, "iat"), date(token.claims, "exp")
    if expires_at <= now:
        raise TokenFault(Cause.EXPIRED)
    if issued_at > now + profile.skew:
        raise TokenFault(Cause.NOT_YET_VALID, claim="iat")
    if "nbf" in token.claims and date(token.claims, "nbf") > now + profile.skew:
        raise TokenFault(Cause.NOT_YET_VALID, claim="nbf")
    # Together with the limit on `iat` this also bounds how far ahead `exp` may be.
    if expires_at - issued_at > profile.longest_life:
        raise TokenFault(Cause.LIFETIME_TOO_LONG)
