"""The token-exchange grant: an authenticated client's form in, an issued token out (RFC 8693)."""

from collections.abc import Callable
from typing import Any

from authlib.oauth2.rfc6749 import BaseGrant, TokenEndpointMixin

from delegation.domain.errors import Cause, UnauthorizedClient
from delegation.domain.tokens import IssuedToken, TokenType, format_scope
from delegation.web.clients import AUTH_METHODS
from delegation.web.form import TOKEN_EXCHANGE, exchange_request, requested_token_type
from delegation.web.service import Service

Answer = tuple[int, dict[str, object], list[tuple[str, str]]]


class TokenExchangeGrant(BaseGrant, TokenEndpointMixin):
    """What Authlib calls when `grant_type` asks for token exchange."""

    GRANT_TYPE = TOKEN_EXCHANGE
    TOKEN_ENDPOINT_AUTH_METHODS = AUTH_METHODS

    service: Service

    def validate_token_request(self) -> None:
        """Find out who calls: everything after this can be told of them."""
        self.request.client = self.authenticate_token_endpoint_client()

    def create_token_response(self) -> Answer:
        """Exchange. Every refusal in here is recorded, and has a decision that explains it."""
        request = self.request
        case = request.case()
        with self.service.meter.exchange(case), self.server.refusals_recorded(case):
            if not case.client.may_exchange:
                raise UnauthorizedClient(Cause.CLIENT_NOT_ENABLED)
            requested = exchange_request(request.form)
            type_ = requested_token_type(request.form)
            issued = self.service.exchange(requested, case)
        return 200, _token_response(issued, type_), [("Delegation-Decision", issued.id)]


def serving(service: Service) -> Callable[[Any], None]:
    """A grant extension that gives each grant its *service*: Authlib makes one per request."""

    def extend(grant: TokenExchangeGrant) -> None:
        grant.service = service

    return extend


def _token_response(issued: IssuedToken, requested: TokenType) -> dict[str, object]:
    """RFC 8693 §2.2.1. Our access tokens are JWTs: both names are the truth."""
    return {
        "access_token": issued.value,
        "issued_token_type": requested,
        "token_type": "Bearer",
        "expires_in": issued.lifetime,
        "scope": format_scope(issued.scope),
    }
