"""How a token comes to an API, and what the API answers where it is not served (RFC 6750)."""

import re
from collections.abc import Iterable
from typing import ClassVar
from urllib.parse import parse_qsl

FORM = "application/x-www-form-urlencoded"
"""The only type of body in which a token could come, too (RFC 6750 §2.2)."""

_BEARER = re.compile(r"Bearer +([A-Za-z0-9\-._~+/]+=*)", re.ASCII | re.IGNORECASE)


class NotServed(Exception):
    """The request is not served. *reason* is for the log: who asked is told *error* alone.

    *scope* is what the request would have needed, where that is known.
    """

    status: ClassVar[int]
    error: ClassVar[str]

    def __init__(self, reason: str, *, scope: Iterable[str] = ()) -> None:
        super().__init__(reason)
        self.reason = reason
        self.scope = frozenset(scope)


class NoToken(NotServed):
    """The request brings no token: it is told what to bring, and no error (RFC 6750 §3.1)."""

    status = 401
    error = ""


class MalformedRequest(NotServed):
    """The request brings something that can be no token, or tokens in more than one way."""

    status = 400
    error = "invalid_request"


class InvalidToken(NotServed):
    """The token is not good here, whatever the reason."""

    status = 401
    error = "invalid_token"


class LacksScope(NotServed):
    """The token is good, but not for this."""

    status = 403
    error = "insufficient_scope"


class CannotVerify(NotServed):
    """Nobody can tell whether the token is good: the issuer cannot be asked."""

    status = 503
    error = "temporarily_unavailable"


def presented(authorization: Iterable[str], *, query: str) -> str:
    """The token in the `Authorization` headers of a request, and from nowhere else.

    Raises `NoToken`; `MalformedRequest`, also where *query* brings one besides (RFC 6750 §3.1).
    """
    headers = list(authorization)
    if not any(header.partition(" ")[0].lower() == "bearer" for header in headers):
        raise NoToken("no bearer token")
    found = _BEARER.fullmatch(headers[0])
    if found is None or len(headers) > 1:
        raise MalformedRequest("the header is not one bearer token")
    must_not_hold_a_token(query)
    return found[1]


def must_not_hold_a_token(form: str) -> None:
    """Raise `MalformedRequest` where *form*, a query or a body, brings a token of its own."""
    if "access_token" in dict(parse_qsl(form, keep_blank_values=True)):
        raise MalformedRequest("the request brings tokens in two ways")


def challenge(refused: NotServed, *, resource_metadata: str) -> str:
    """What stands in `WWW-Authenticate` (RFC 6750 §3, RFC 9728 §5.1)."""
    parameters = {
        "error": refused.error,
        "scope": " ".join(sorted(refused.scope)),
        "resource_metadata": resource_metadata,
    }
    said = ", ".join(f'{name}="{value}"' for name, value in parameters.items() if value)
    return f"Bearer {said}"
