"""A login of the development world, as MCP clients want one: the code flow, for one MCP server."""

import base64
import hashlib
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlencode

from flask import Flask, jsonify, redirect, request
from flask.typing import ResponseReturnValue

from delegation.dev.issuer import DevelopmentIssuer
from delegation.dev.servers import serving

GROUPS = ["staff"]
"""Those of everybody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Consent:
    """What *user* has allowed an agent, until the agent comes for it."""

    user: str
    agent: str
    scope: str
    challenge: str


@contextmanager
def development_login(issuer: DevelopmentIssuer, *, audience: str) -> Iterator[str]:
    """Serve a login that gives out tokens of *issuer* for the MCP server *audience*; its URL.

    It lets anybody in, under the name in `login_hint`, and everybody consents to whatever is asked:
    not for production. It speaks OAuth 2.1 for public clients: PKCE (RFC 7636), `resource` (RFC
    8707) and `iss` (RFC 9207).
    """
    app = Flask("development_login", static_folder=None)
    consents: dict[str, _Consent] = {}
    with serving(app) as url:

        def metadata() -> ResponseReturnValue:
            return jsonify(
                issuer=url,
                authorization_endpoint=f"{url}/authorize",
                token_endpoint=f"{url}/token",
                response_types_supported=["code"],
                grant_types_supported=["authorization_code"],
                code_challenge_methods_supported=["S256"],
                token_endpoint_auth_methods_supported=["none"],
                authorization_response_iss_parameter_supported=True,
            )

        def authorize() -> ResponseReturnValue:
            asked = request.args
            if asked.get("resource") != audience or asked.get("code_challenge_method") != "S256":
                return {"error": "invalid_request"}, 400
            code = secrets.token_urlsafe(16)
            consents[code] = _Consent(
                user=asked["login_hint"],
                agent=asked["client_id"],
                scope=asked.get("scope", ""),
                challenge=asked["code_challenge"],
            )
            answer = {"code": code, "state": asked["state"], "iss": url}
            return redirect(f"{asked['redirect_uri']}?{urlencode(answer)}")

        def token() -> ResponseReturnValue:
            consent = consents.pop(request.form["code"], None)
            if consent is None or consent.challenge != _s256(request.form["code_verifier"]):
                return {"error": "invalid_grant"}, 400
            issued = issuer.token(
                user=consent.user,
                agent=consent.agent,
                audience=audience,
                scope=consent.scope,
                groups=GROUPS,
            )
            return jsonify({"access_token": issued, "token_type": "Bearer", "scope": consent.scope})

        app.add_url_rule("/.well-known/oauth-authorization-server", view_func=metadata)
        app.add_url_rule("/authorize", view_func=authorize)
        app.add_url_rule("/token", view_func=token, methods=["POST"])
        yield url


def _s256(verifier: str) -> str:
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
