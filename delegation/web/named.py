"""What a request is called: in each line of the log that is written for it, and in its answer."""

from collections.abc import MutableMapping
from contextvars import ContextVar
from secrets import token_hex
from typing import Any

from flask import Request, Response

from delegation.proxies import REQUEST_ID

HEADER = "X-Request-Id"

SERVED: ContextVar[dict[str, Any] | None] = ContextVar("delegation_served", default=None)
"""The WSGI environ of the request that is being served."""


def request_named(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """A line of the log with the id of its request, which has one from now on; one of structlog's.

    A trusted proxy may have given it one. What is in no request has none.
    """
    environ = SERVED.get()
    if environ is not None:
        if REQUEST_ID not in environ:
            environ[REQUEST_ID] = token_hex(16)
        event["request_id"] = environ[REQUEST_ID]
    return event


def answer_named(http: Request, response: Response) -> Response:
    """*response* with the id of its request, where that has one: something can be found by it."""
    name = http.environ.get(REQUEST_ID)
    if name is not None:
        response.headers[HEADER] = name
    return response
