"""What an administrator's token has to be: an access token of an admin issuer, for us alone."""

from dataclasses import dataclass

from delegation.domain.administration import Administrator
from delegation.domain.errors import Cause
from delegation.domain.parties import Identity
from delegation.domain.trust import AdminIssuer
from delegation.jose import claims as read
from delegation.jose.parser import TokenFault, UnverifiedToken
from delegation.jose.profiles import OfForeignIssuer, must_be_access_token


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminAccessToken(OfForeignIssuer):
    """An access token (RFC 9068) that an admin issuer made for the admin API, and nothing else."""

    trusted: AdminIssuer
    audience: str

    def check_type(self, token: UnverifiedToken) -> None:
        """Nobody administers for somebody else, or by a token that is bound to a key.

        Whoever acts by a delegated token is an agent; and we ask nobody to show a key (RFC 9449
        §7.2).
        """
        must_be_access_token(token, self.trusted)
        if "act" in token.claims:
            raise TokenFault(Cause.ACTOR_IS_DELEGATED)
        if "cnf" in token.claims:
            raise TokenFault(Cause.TOKEN_TYPE, problem="cnf")

    def read(self, token: UnverifiedToken) -> Administrator:
        """We are its sole audience: who else is one could use it here."""
        trusted, claims = self.trusted, token.claims
        if read.audience(claims) != (self.audience,):
            raise TokenFault(Cause.AUDIENCE, claim="aud")
        read_scope = read.scope_array if trusted.scope_is_array else read.scope
        subject = Identity(trusted.issuer, read.name(claims.get("sub"), "sub"))
        return Administrator.of(subject, read_scope(claims, trusted.scope_claim))
