"""A sample API: it takes tokens that are for itself, from the service alone, and nothing else."""

from typing import Any

import jwt
from flask import Flask, jsonify, request
from flask.typing import ResponseReturnValue


def sample_api(*, issuer: str, jwks_uri: str, audience: str, scope: str) -> Flask:
    """An API with one endpoint, `/`, which answers who acts for whom to a token with *scope*.

    Anything else gets 401 or 403 as RFC 6750 §3.1 says.
    """
    app = Flask("sample_api", static_folder=None)
    keys = jwt.PyJWKClient(jwks_uri)

    def verify(token: str) -> dict[str, Any]:
        if jwt.get_unverified_header(token).get("typ") != "at+jwt":
            raise jwt.InvalidTokenError("not an access token")
        claims: dict[str, Any] = jwt.decode(
            token,
            keys.get_signing_key_from_jwt(token).key,
            algorithms=["ES256"],
            issuer=issuer,
            audience=audience,
            options={"require": ["exp", "iat", "sub", "act", "scope"], "strict_aud": True},
        )
        if "cnf" in claims:
            # RFC 9449 §7.2: it is bound to a key, and we ask nobody to show one.
            raise jwt.InvalidTokenError("not a bearer token")
        return claims

    def answer() -> ResponseReturnValue:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return {}, 401, {"WWW-Authenticate": "Bearer"}
        try:
            claims = verify(token)
        except jwt.PyJWTError:
            return _challenge(401, "invalid_token")
        if scope not in claims["scope"].split(" "):
            return _challenge(403, "insufficient_scope")
        return jsonify(subject=claims["sub"], actor=claims["act"]["sub"])

    app.add_url_rule("/", view_func=answer)
    return app


def _challenge(status: int, error: str) -> ResponseReturnValue:
    return {"error": error}, status, {"WWW-Authenticate": f'Bearer error="{error}"'}
