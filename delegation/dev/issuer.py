"""A development issuer: it signs access tokens for MCP servers with a key of its own."""

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import jwt
from flask import Flask, jsonify
from flask.typing import ResponseReturnValue

from delegation.dev.servers import serving
from delegation.jose.keyring import Keyring, SigningKey


@dataclass(frozen=True, slots=True)
class DevelopmentIssuer:
    """Signs whatever it is asked to: not for production. *url* is its issuer identifier."""

    url: str
    key: SigningKey

    @property
    def jwks_uri(self) -> str:
        """Where its key set is."""
        return f"{self.url}/jwks"

    def token(
        self,
        *,
        user: str,
        agent: str,
        audience: str,
        scope: str,
        lifetime: int = 3600,
        **claims: Any,
    ) -> str:
        """An access token (RFC 9068) of *user* for the MCP server *audience*, given to *agent*."""
        now = int(time.time())
        body = {
            "iss": self.url,
            "sub": user,
            "aud": audience,
            "client_id": agent,
            "scope": scope,
            "iat": now,
            "exp": now + lifetime,
            "jti": secrets.token_urlsafe(16),
        }
        return jwt.encode(
            body | claims,
            self.key.private,
            algorithm=self.key.algorithm,
            headers={"typ": "at+jwt", "kid": self.key.kid},
        )


@contextmanager
def development_issuer(key: SigningKey, *, port: int = 0) -> Iterator[DevelopmentIssuer]:
    """Serve an issuer: its metadata (RFC 8414) and its key set. Raises `OSError`."""
    app = Flask("development_issuer", static_folder=None)
    with serving(app, port=port) as url:
        issuer = DevelopmentIssuer(url, key)

        def metadata() -> ResponseReturnValue:
            return jsonify(issuer=issuer.url, jwks_uri=issuer.jwks_uri)

        def jwks() -> ResponseReturnValue:
            return jsonify(Keyring((key,)).public_keys())

        app.add_url_rule("/.well-known/oauth-authorization-server", view_func=metadata)
        app.add_url_rule("/jwks", view_func=jwks)
        yield issuer
