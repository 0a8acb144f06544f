"""What Authlib calls at the introspection endpoint (RFC 7662)."""

from typing import Any

from authlib.oauth2.rfc6749 import TokenEndpoint

from delegation.domain.tokens import SEPARATOR, VerifiedToken, format_scope
from delegation.web.clients import AUTH_METHODS
from delegation.web.form import required
from delegation.web.service import Service

Answer = tuple[int, dict[str, Any] | bytes, list[tuple[str, str]]]

_INACTIVE = b'{"active": false}'
"""All that is ever said of a token that is not active (RFC 7662 §2.2), whatever the reason."""


class IntrospectionEndpoint(TokenEndpoint):
    """Tells who is entitled to know what a token of ours says, if it is alive.

    A hint is ignored, and so is the client's wish for a signed answer: there is one form.
    """

    ENDPOINT_NAME = "introspection"
    CLIENT_AUTH_METHODS = AUTH_METHODS

    def __init__(self, service: Service) -> None:
        super().__init__()
        self._service = service

    def create_endpoint_response(self, request: Any) -> Answer:
        """Who asks comes first, then what is asked."""
        self.authenticate_endpoint_client(request)
        token = self._service.introspect(required(request.form, "token"), request.case())
        return 200, _INACTIVE if token is None else _active(token), []


def _active(token: VerifiedToken) -> dict[str, Any]:
    """What the token itself says, in its own words (RFC 7662 §2.2, RFC 8693 §4.1)."""
    root = token.subject
    return {
        "active": True,
        "iss": token.issuer,
        "sub": f"{token.alias}{SEPARATOR}{root.subject}",
        "sub_id": {"format": "iss_sub", "iss": root.issuer, "sub": root.subject},
        "aud": token.audience[0],
        "client_id": token.agent,
        "scope": format_scope(token.scope),
        "act": token.actors.as_claim(),
        "iat": int(token.issued_at.timestamp()),
        "exp": int(token.expires_at.timestamp()),
        "jti": token.id,
        "txn": token.txn,
        "token_type": "Bearer",
    } | _optional(token)


def _optional(token: VerifiedToken) -> dict[str, Any]:
    """How the person authenticated, and that it is none, where the token says so."""
    authentication = token.authentication
    said = {
        "sub_profile": token.sub_profile,
        "auth_time": authentication.time and int(authentication.time.timestamp()),
        "acr": authentication.acr,
        "amr": list(authentication.amr) or None,
    }
    return {name: value for name, value in said.items() if value is not None}
