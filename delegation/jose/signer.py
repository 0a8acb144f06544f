"""Writes what has been decided into a token: a signed RFC 9068 access token with an actor chain."""

from datetime import datetime
from functools import lru_cache
from typing import Any

import orjson

from delegation.domain.delegations import Delegation
from delegation.domain.errors import Unavailable
from delegation.domain.tokens import SEPARATOR, SERVICE, IssuedToken, TokenType, format_scope
from delegation.jose.keyring import Keyring
from delegation.jose.keys import base64url

TYPE = "at+jwt"
"""The header `typ` of our tokens (RFC 9068 §2.1)."""

_PROBE = b"delegation: signing self-test"


class JwtSigner:
    """Signs with the active key of *keyring*, in the name of *issuer*."""

    def __init__(self, keyring: Keyring, issuer: str) -> None:
        self._keyring = keyring
        self._issuer = issuer

    def sign(self, delegation: Delegation) -> IssuedToken:
        """Sign an access token that says exactly what was decided (RFC 9068 §2.2).

        Neither `may_act` nor `cnf` is ever passed on: they were about the subject token.
        """
        key = self._keyring.active
        claims = orjson.dumps(self._claims(delegation))
        signing_input = b"%b.%b" % (_header(key.algorithm, key.kid), base64url(claims))
        signature = base64url(key.sign(signing_input))
        return IssuedToken(
            id=delegation.id,
            value=(b"%b.%b" % (signing_input, signature)).decode("ascii"),
            type=TokenType.ACCESS_TOKEN,
            scope=delegation.scope,
            lifetime=_seconds(delegation.expires_at) - _seconds(delegation.issued_at),
        )

    def self_test(self) -> None:
        """Sign and check a constant. Raises `Unavailable` where that does not work."""
        key = self._keyring.active
        try:
            sound = key.public.verifies(_PROBE, key.sign(_PROBE))
        except Exception as error:  # whatever it is, we cannot sign
            raise Unavailable("signing_key") from error
        if not sound:
            raise Unavailable("signing_key")

    def _claims(self, delegation: Delegation) -> dict[str, Any]:
        act = delegation.actors.as_claim()
        if act is None:
            raise ValueError("nobody acts: that is impersonation, and never issued")
        root = delegation.subject
        return {
            "iss": self._issuer,
            "sub": f"{delegation.parent.alias}{SEPARATOR}{root.subject}",
            # RFC 9493 §3.2.4: an API gets the original pair.
            "sub_id": {"format": "iss_sub", "iss": root.issuer, "sub": root.subject},
            "aud": delegation.resource,
            "client_id": delegation.client,
            "scope": format_scope(delegation.scope),
            "act": act,
            "iat": _seconds(delegation.issued_at),
            "exp": _seconds(delegation.expires_at),
            "jti": delegation.id,
            "txn": delegation.txn,
        } | _optional(delegation)


def _optional(delegation: Delegation) -> dict[str, Any]:
    """What the subject token had, unchanged (RFC 9068 §2.2.1): an exchange is no login.

    And that the subject is no person, which nobody could tell from the token otherwise.
    """
    authentication = delegation.authentication
    claims: dict[str, Any] = {}
    if delegation.parent.is_of_a_service:
        claims["sub_profile"] = SERVICE
    if authentication.time is not None:
        claims["auth_time"] = _seconds(authentication.time)
    if authentication.acr is not None:
        claims["acr"] = authentication.acr
    if authentication.amr:
        claims["amr"] = list(authentication.amr)
    return claims


@lru_cache
def _header(algorithm: str, kid: str) -> bytes:
    """The same for all that a key signs."""
    return base64url(orjson.dumps({"alg": algorithm, "kid": kid, "typ": TYPE}))


def _seconds(time: datetime) -> int:
    return int(time.timestamp())
