"""What an actor token has to be, where an actor issuer wrote it: one profile for each kind.

What a client signs of itself is a `ClientAssertion`, as when it authenticates.
"""

from dataclasses import dataclass

from delegation.domain.errors import Cause
from delegation.domain.parties import Identity
from delegation.domain.tokens import VerifiedActor
from delegation.domain.trust import ActorIssuer
from delegation.jose import claims as read
from delegation.jose.parser import TokenFault, UnverifiedToken
from delegation.jose.profiles import (
    OfForeignIssuer,
    media_type,
    must_be_access_token,
    must_speak_of_another,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _OfAnActorIssuer(OfForeignIssuer):
    """What both kinds have in common. Each refuses the other by its audience."""

    trusted: ActorIssuer
    our_issuer: str
    admin_audience: str

    def _actor(self, token: UnverifiedToken, *, issued_to: str | None = None) -> VerifiedActor:
        trusted, claims = self.trusted, token.claims
        return VerifiedActor(
            issuer=trusted.issuer,
            id=read.name(trusted.identify(claims, token.signing_input), "id"),
            identity=Identity(trusted.issuer, read.name(claims.get("sub"), "sub")),
            issued_at=read.date(claims, "iat"),
            expires_at=read.date(claims, "exp"),
            issued_to=issued_to,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadToken(_OfAnActorIssuer):
    """A JWT in which an actor issuer names a workload to us, and to nobody else."""

    def check_type(self, token: UnverifiedToken) -> None:
        """One of the types of the entry; none counts as `jwt`."""
        must_speak_of_another(token, self.trusted)
        kind = "jwt" if token.type is None else media_type(token.type)
        if kind not in self.trusted.assertion_types:
            raise TokenFault(Cause.TOKEN_TYPE, problem="typ")

    def read(self, token: UnverifiedToken) -> VerifiedActor:
        """We are its sole audience, by our issuer identifier alone."""
        if read.audience(token.claims) != (self.our_issuer,):
            raise TokenFault(Cause.AUDIENCE, claim="aud")
        return self._actor(token)


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorAccessToken(_OfAnActorIssuer):
    """An access token of an actor issuer: whoever it was issued to acts by it."""

    def check_type(self, token: UnverifiedToken) -> None:
        """RFC 8725 §3.11: a type of the entry; none or `JWT` only where the entry says so."""
        must_be_access_token(token, self.trusted)

    def read(self, token: UnverifiedToken) -> VerifiedActor:
        """It is for any audience but us, and tells the client that it was issued to.

        The admin API is one of us: who administers by a token does not act by it.
        """
        if {self.our_issuer, self.admin_audience} & set(read.audience(token.claims)):
            raise TokenFault(Cause.AUDIENCE, claim="aud")
        claim = self.trusted.client_claim
        return self._actor(token, issued_to=read.name(token.claims.get(claim), claim))
