"""Real keys that sign anything: sound tokens, and every forgery a test can think of.

login = SigningParty(LOGIN)
registry = a_registry(issuers=[an_issuer()])
verifier = JwtVerifier(keyring=..., keys=keys_of(login), clock=lambda: NOW)
presented(login.token(scope="calendar:read"))
"""

import base64
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from delegation.domain.errors import Unavailable
from delegation.domain.parties import InlineKeys, PublishedKeys
from delegation.domain.tokens import PresentedToken, TokenType
from delegation.jose.jwks import ForeignKeys
from delegation.jose.keyring import Keyring, SigningKey, Status, new_key
from tests.parties import (
    ALICE,
    CALENDAR_MCP,
    CALENDAR_MCP_AUDIENCE,
    DESK_AGENT,
    LOGIN,
    NOW,
    OUR_ISSUER,
)


class Absent:
    """Stands for a claim or header member that is left out."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT = Absent()


class SigningParty:
    """Somebody who has one key, publishes it, and signs whatever it is told to.

    Its tokens are by default Alice's for *calendar-mcp*, a minute old at *now* and with an hour to
    live, as the builders of `tests.parties` describe them. Pass the real time as *now* where the
    service under test reads a real clock.
    """

    def __init__(
        self, issuer: str = LOGIN, *, algorithm: str = "ES256", now: datetime = NOW
    ) -> None:
        self.issuer = issuer
        self.now = now
        self.key: SigningKey = new_key(algorithm, Status.ACTIVE)

    @property
    def kid(self) -> str:
        """The name of its key."""
        return self.key.kid

    def jwks(self) -> dict[str, Any]:
        """The JWK Set that it publishes."""
        return {"keys": [self.key.published()]}

    def header(self, **changes: Any) -> dict[str, Any]:
        """The header of an access token. `ABSENT` leaves a member out."""
        return _changed({"typ": "at+jwt", "alg": self.key.algorithm, "kid": self.kid}, changes)

    def claims(self, **changes: Any) -> dict[str, Any]:
        """The claims of Alice's access token. `ABSENT` leaves a claim out."""
        claims = {
            "iss": self.issuer,
            "sub": ALICE.subject,
            "aud": CALENDAR_MCP_AUDIENCE,
            "exp": int((self.now + timedelta(hours=1)).timestamp()),
            "iat": int((self.now - timedelta(minutes=1)).timestamp()),
            "jti": "login-1",
            "client_id": DESK_AGENT,
            "scope": "calendar:read calendar:write",
        }
        return _changed(claims, changes)

    def token(self, *, header: Mapping[str, Any] | None = None, **claims: Any) -> str:
        """A signed token. *header* and *claims* are changes to the defaults."""
        return self.sign(self.header(**(header or {})), self.claims(**claims))

    def sign(self, header: Mapping[str, Any], claims: Any) -> str:
        """A token of exactly this header and these claims, signed with the party's own algorithm,
        whatever the header says.
        """
        return self.sign_bytes(json.dumps(header).encode(), json.dumps(claims).encode())

    def sign_bytes(self, header: bytes, payload: bytes) -> str:
        """A token of exactly these bytes, signed."""
        signing_input = f"{b64(header)}.{b64(payload)}"
        return f"{signing_input}.{b64(self.key.sign(signing_input.encode()))}"


class SigningClient(SigningParty):
    """A client that authenticates by assertions: these are by default a second old at *now*, and
    good for a minute.
    """

    def __init__(
        self, id_: str = CALENDAR_MCP, *, algorithm: str = "ES256", now: datetime = NOW
    ) -> None:
        super().__init__(id_, algorithm=algorithm, now=now)

    def assertion(self, *, header: Mapping[str, Any] | None = None, **claims: Any) -> str:
        """A signed assertion. *header* and *claims* are changes to the defaults."""
        usual = {
            "iss": self.issuer,
            "sub": self.issuer,
            "aud": OUR_ISSUER,
            "iat": (self.now - timedelta(seconds=1)).timestamp(),
            "exp": (self.now + timedelta(minutes=1)).timestamp(),
            "jti": "assertion-1",
        }
        kind = {"typ": "client-authentication+jwt"}
        return self.sign(self.header(**(kind | dict(header or {}))), _changed(usual, claims))


def inline(*parties: SigningParty, algorithms: frozenset[str] | None = None) -> InlineKeys:
    """The keys of *parties* as the registry has them; of their own algorithms, unless told."""
    jwks = [party.key.published() | {"kid": party.kid} for party in parties]
    own = frozenset(jwk["alg"] for jwk in jwks)
    return InlineKeys(jwks=tuple(map(json.dumps, jwks)), algorithms=algorithms or own)


class NoCooldown:
    """A cool-down that never says no, and counts how often it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def begin(self, name: str) -> bool:
        """Always."""
        self.asked.append(name)
        return True


def keys_of(*parties: SigningParty) -> ForeignKeys:
    """What `JwtVerifier` finds the keys of these parties with. Anybody else's are out of reach."""
    published = {party.issuer: party.jwks() for party in parties}

    def fetch(source: PublishedKeys) -> dict[str, Any]:
        if source.owner not in published:
            raise Unavailable("issuer_keys")
        return published[source.owner]

    return ForeignKeys(NoCooldown(), fetch=fetch)


def a_keyring(party: SigningParty | None = None) -> Keyring:
    """Our keyring; its active key is that of *party*, if one is given."""
    active = new_key(status=Status.ACTIVE) if party is None else party.key
    return Keyring((active, new_key(status=Status.NEXT)))


def presented(value: str, token_type: TokenType = TokenType.ACCESS_TOKEN) -> PresentedToken:
    """A token as the client sent it."""
    return PresentedToken(value=value, type=token_type)


def b64(data: bytes) -> str:
    """base64url without padding, as JOSE writes it (RFC 7515 §2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def unb64(text: str) -> bytes:
    """The bytes that `b64` wrote."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _changed(members: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in (members | changes).items() if value is not ABSENT}
