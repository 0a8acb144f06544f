"""What Authlib calls at the revocation endpoint (RFC 7009)."""

from typing import Any

from authlib.oauth2.rfc6749 import TokenEndpoint

from delegation.domain.errors import SubjectTokenRejected
from delegation.web.clients import AUTH_METHODS
from delegation.web.form import required
from delegation.web.service import Service


class RevocationEndpoint(TokenEndpoint):
    """Lets a client end what was issued to it.

    There is one answer, whatever the token is: only who holds a token learns of it, and that
    nothing. A hint is ignored, so no type of token is unsupported (RFC 7009 §2.2.1): what is no
    access token of ours is none that was issued here, and as good as revoked.
    """

    ENDPOINT_NAME = "revocation"
    CLIENT_AUTH_METHODS = AUTH_METHODS

    def __init__(self, service: Service) -> None:
        super().__init__()
        self._service = service

    def create_endpoint_response(self, request: Any) -> tuple[int, None, list[tuple[str, str]]]:
        """Who asks comes first, then what is asked."""
        self.authenticate_endpoint_client(request)
        token, case = required(request.form, "token"), request.case()
        try:
            with self.server.refusals_recorded(case):
                self._service.revoke(token, case)
        except SubjectTokenRejected:
            # Another client's: it stays alive, and the answer says nothing of that (§2.1).
            pass
        return 200, None, []
