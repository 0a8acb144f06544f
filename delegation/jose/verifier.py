"""The one path to belief: makes verified tokens and assertions of presented ones, or refuses."""

from datetime import datetime
from typing import TypeVar

from jwt import PyJWTError

from delegation.domain.administration import Administrator, AdministratorRejected
from delegation.domain.errors import (
    ActorTokenRejected,
    AssertionRejected,
    Cause,
    Refused,
    SubjectTokenRejected,
)
from delegation.domain.parties import Client, Identity, VerifiedAssertion
from delegation.domain.ports import Clock
from delegation.domain.registry import Registry
from delegation.domain.tokens import PresentedToken, TokenType, VerifiedActor, VerifiedToken
from delegation.jose.actors import ActorAccessToken, WorkloadToken
from delegation.jose.admin import AdminAccessToken
from delegation.jose.claims import date, name
from delegation.jose.jwks import ForeignKeys
from delegation.jose.keyring import Keyring
from delegation.jose.keys import VerificationKey
from delegation.jose.parser import TokenFault, UnverifiedToken, parse
from delegation.jose.profiles import (
    ClientAssertion,
    ForeignAccessToken,
    OwnAccessToken,
    Profile,
)
from delegation.jose.remembered import Memory, Remembered, digest_of

_MISREAD = (PyJWTError, KeyError, TypeError, ValueError)

Meaning = TypeVar("Meaning")


class JwtVerifier:
    """Verifies JWTs: ours with *keyring*, those of trusted issuers and clients with *keys*."""

    def __init__(self, *, keyring: Keyring, keys: ForeignKeys, clock: Clock) -> None:
        self._keyring = keyring
        self._keys = keys
        self._clock = clock
        self._memory = Memory()

    def subject(self, token: PresentedToken, registry: Registry) -> VerifiedToken:
        """Verify a subject token, of either declared type: its issuer alone says how.

        Raises `SubjectTokenRejected`; `Unavailable` if keys are out of reach. That the token is
        addressed to the client that presents it has not been checked.
        """
        with _Rejecting(SubjectTokenRejected) as known:
            digest = digest_of(token.value)
            remembered = self._memory.find(digest, registry)
            if remembered is not None:
                known["issuer"] = remembered.profile.issuer
                if remembered.holds():
                    _must_be_alive(remembered.unverified, remembered.profile, self._clock())
                    return remembered.meaning
            unverified = parse(token.value)
            profile = self._profile(unverified, registry)
            known["issuer"] = profile.issuer
            key, meaning = self._verified_by(unverified, profile)
            remembered = Remembered(
                key=key, unverified=unverified, profile=profile, meaning=meaning
            )
            self._memory.keep(digest, registry, remembered)
            return meaning

    def actor(self, token: PresentedToken, registry: Registry) -> VerifiedActor:
        """Verify an actor token: its declared type and its issuer together say how.

        Raises `ActorTokenRejected`; `Unavailable` if keys are out of reach. Neither who may present
        it nor that a one-time id is used for the first time has been checked.
        """
        with _Rejecting(ActorTokenRejected) as known:
            unverified = parse(token.value)
            _must_not_be_delegated(unverified)
            issuer = name(unverified.claims.get("iss"), "iss")
            if token.type is TokenType.JWT and issuer in registry.clients:
                known["issuer"] = issuer
                assertion = self._verified(unverified, self._assertion_profile(issuer, registry))
                return _by_itself(assertion, registry.issuer)
            profile = self._actor_profile(issuer, token.type, registry)
            known["issuer"] = profile.issuer
            return self._verified(unverified, profile)

    def own(self, value: str, registry: Registry) -> VerifiedToken | None:
        """What a token of ours says; `None` where it is none, or over. Asks nobody for keys."""
        try:
            unverified = parse(value)
            if unverified.claims.get("iss") != registry.issuer:
                return None
            profile = OwnAccessToken(registry=registry, keyring=self._keyring)
            return self._verified(unverified, profile)
        except (TokenFault, *_MISREAD):
            return None

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

    def administrator(self, value: str, registry: Registry) -> Administrator:
        """Verify what an administrator brings: an access token of an admin issuer, for us alone.

        Raises `AdministratorRejected`; `Unavailable` if keys are out of reach.
        """
        with _Rejecting(AdministratorRejected) as known:
            unverified = parse(value)
            issuer = name(unverified.claims.get("iss"), "iss")
            profile = self._admin_profile(issuer, registry)
            known["issuer"] = profile.issuer
            return self._verified(unverified, profile)

    def _profile(self, unverified: UnverifiedToken, registry: Registry) -> Profile[VerifiedToken]:
        """Only the issuer decides, compared as an exact string: nothing is derived from it."""
        issuer = unverified.claims.get("iss")
        if issuer == registry.issuer:
            return OwnAccessToken(registry=registry, keyring=self._keyring)
        trusted = registry.issuers.get(issuer) if isinstance(issuer, str) else None
        if trusted is None:
            raise TokenFault(Cause.ISSUER_NOT_TRUSTED)
        return ForeignAccessToken(trusted=trusted, our_issuer=registry.issuer, keys=self._keys)

    def _actor_profile(
        self, issuer: str, declared: TokenType, registry: Registry
    ) -> Profile[VerifiedActor]:
        trusted = registry.actor_issuers.get(issuer)
        if trusted is None:
            raise TokenFault(Cause.ISSUER_NOT_TRUSTED)
        kind = WorkloadToken if declared is TokenType.JWT else ActorAccessToken
        return kind(
            trusted=trusted,
            our_issuer=registry.issuer,
            admin_audience=registry.admin_audience,
            keys=self._keys,
        )

    def _admin_profile(self, issuer: str, registry: Registry) -> AdminAccessToken:
        trusted = registry.admin_issuers.get(issuer)
        if trusted is None:
            raise TokenFault(Cause.ISSUER_NOT_TRUSTED)
        return AdminAccessToken(trusted=trusted, audience=registry.admin_audience, keys=self._keys)

    def _assertion_profile(self, claimed: str, registry: Registry) -> ClientAssertion:
        client = registry.clients.get(claimed)
        if client is None:
            client = Client(id=claimed, audience="", may_exchange=False)
        return ClientAssertion(client=client, our_issuer=registry.issuer, keys=self._keys)

    def _verified(self, unverified: UnverifiedToken, profile: Profile[Meaning]) -> Meaning:
        return self._verified_by(unverified, profile)[1]

    def _verified_by(
        self, unverified: UnverifiedToken, profile: Profile[Meaning]
    ) -> tuple[VerificationKey, Meaning]:
        """By which key, and what it means.

        What costs nothing comes first, so that no token that cannot be good causes a fetch.
        """
        profile.check_type(unverified)
        if unverified.algorithm not in profile.algorithms:
            raise TokenFault(Cause.ALGORITHM)
        key = profile.key(unverified)
        if unverified.algorithm != key.algorithm:
            raise TokenFault(Cause.ALGORITHM)
        if not key.verifies(unverified.signing_input, unverified.signature):
            raise TokenFault(Cause.SIGNATURE)
        _must_be_alive(unverified, profile, self._clock())
        return key, profile.read(unverified)


class _Rejecting:
    """A context that turns what is wrong with a token into its refusal.

    What was *known* of the token by then is a part of that.
    """

    __slots__ = ("_known", "_rejected")

    def __init__(self, rejected: type[Refused] | type[AdministratorRejected]) -> None:
        self._rejected = rejected
        self._known: dict[str, object] = {}

    def __enter__(self) -> dict[str, object]:
        return self._known

    def __exit__(self, _type: object, error: BaseException | None, _traceback: object) -> None:
        if isinstance(error, TokenFault):
            raise self._rejected(error.cause, **self._known, **error.detail) from error
        if isinstance(error, _MISREAD):
            problem = type(error).__name__
            raise self._rejected(Cause.TOKEN_CLAIMS, **self._known, problem=problem) from error


def _must_not_be_delegated(actor: UnverifiedToken) -> None:
    """Who acts for somebody else already is not who acts: whatever the claim holds."""
    if "act" in actor.claims:
        raise TokenFault(Cause.ACTOR_IS_DELEGATED)


def _by_itself(assertion: VerifiedAssertion, our_issuer: str) -> VerifiedActor:
    """A client that says of itself who it is: as good as when it authenticates, and as often."""
    client = assertion.client.id
    return VerifiedActor(
        issuer=client,
        id=assertion.id,
        identity=Identity(our_issuer, client),
        issued_at=assertion.issued_at,
        expires_at=assertion.expires_at,
        is_one_time=True,
    )


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
