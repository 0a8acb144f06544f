"""How a client authenticates: by a secret, or by a short-lived assertion that it signs."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_urlsafe
from typing import Any, Protocol, Self
from urllib.parse import quote_plus

import jwt

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

ASSERTION_LIFETIME = 60
"""Seconds that an assertion is good for: it is made for one request."""

_ALGORITHMS = frozenset({"ES256", "ES384", "ES512", "EdDSA", "RS256", "PS256"})


@dataclass(frozen=True, slots=True)
class Proof:
    """What is added to one request: *auth* for its header, *parameters* for its form."""

    auth: tuple[str, str] | None = field(default=None, repr=False)
    parameters: Mapping[str, str] = field(default_factory=dict, repr=False)


class Credential(Protocol):
    """Whatever a client can show that it is itself."""

    def prove(self, client_id: str, audience: str = "") -> Proof:
        """To *audience*, an issuer identifier, once."""
        ...


@dataclass(frozen=True, slots=True)
class Secret:
    """A shared secret, sent as `client_secret_basic`."""

    value: str = field(repr=False)

    def prove(self, client_id: str, audience: str = "") -> Proof:  # noqa: ARG002, as others have
        """Id and secret, form-urlencoded first, as RFC 6749 §2.3.1 wants it."""
        return Proof(auth=(quote_plus(client_id), quote_plus(self.value)))


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """A private key, used as `private_key_jwt` (RFC 7523 §2.2, with rfc7523bis).

    The registry's entry of the client holds its public half under the same `kid`.
    """

    kid: str
    algorithm: str
    private: Any = field(repr=False, compare=False)
    _text: str = field(repr=False)

    @classmethod
    def load(cls, path: Path) -> Self:
        """The key in the file at *path*. Raises `OSError`, or `ValueError` saying what is wrong."""
        return cls.parse(path.read_bytes())

    @classmethod
    def parse(cls, document: bytes) -> Self:
        """A private JWK, or a JWK Set with one that is active or the only one.

        Raises `ValueError` saying what is wrong, and nothing of the key.
        """
        members = _only(document)
        kid = members.get("kid")
        if not isinstance(kid, str) or not kid:
            raise ValueError("the key has no kid, by which the service could know it")
        try:
            jwk = jwt.PyJWK.from_dict({**members, "use": "sig"})
            algorithm = jwk.algorithm_name
            if algorithm in _ALGORITHMS:
                # What cannot sign is found here, and not at the first request.
                jwt.encode({}, jwk.key, algorithm)
        except (jwt.PyJWTError, TypeError, ValueError, AttributeError, NotImplementedError):
            raise ValueError("the key is no private JWK that can be used") from None
        if algorithm not in _ALGORITHMS:
            raise ValueError(f"the key is for none of {', '.join(sorted(_ALGORITHMS))}")
        return cls(kid, algorithm, jwk.key, json.dumps(members, sort_keys=True))

    def prove(self, client_id: str, audience: str = "") -> Proof:
        """An assertion that is for *audience* alone, good once and for a minute."""
        now = int(time.time())
        claims = {
            "iss": client_id,
            "sub": client_id,
            # rfc7523bis: the issuer identifier, as the sole value, and never the endpoint's URL.
            "aud": audience,
            "iat": now,
            "exp": now + ASSERTION_LIFETIME,
            "jti": token_urlsafe(16),
        }
        header = {"typ": "client-authentication+jwt", "kid": self.kid}
        assertion = jwt.encode(claims, self.private, self.algorithm, headers=header)
        return Proof(
            parameters={"client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion}
        )


def _only(document: bytes) -> dict[str, Any]:
    try:
        read = json.loads(document)
    except (ValueError, RecursionError):
        raise ValueError("must be a private JWK, or a JWK Set, as JSON") from None
    keys = read.get("keys", [read]) if isinstance(read, dict) else None
    if not isinstance(keys, list) or not all(isinstance(key, dict) for key in keys):
        raise ValueError("must be a private JWK, or a JWK Set, as JSON")
    active: list[dict[str, Any]] = [key for key in keys if key.get("status", "active") == "active"]
    if len(active) != 1:
        raise ValueError(f"must hold exactly one active key, and holds {len(active)}")
    return active[0]
