"""The gunicorn worker: what is no HTTP is answered in JSON too, and neither echoed nor logged."""

import contextlib
from http import HTTPStatus
from typing import Any

from gunicorn.http.errors import LimitRequestHeaders, LimitRequestLine, ParseException
from gunicorn.util import write_nonblock
from gunicorn.workers.sync import SyncWorker


class Worker(SyncWorker):
    """A sync worker whose own errors keep to the form of the token endpoint (RFC 6749 §5.2).

    Gunicorn's answer to a malformed request is HTML that repeats the request line, and its log line
    repeats the address: a token in a query string would end up in both.
    """

    def handle_error(self, req: object, client: Any, addr: object, exc: Exception) -> None:  # noqa: ARG002
        """Answer a request that never reached the application, and log what kind of error it
        was.
        """
        self.log.warning("request not served: %s", type(exc).__name__)
        with contextlib.suppress(OSError):  # the peer is gone
            write_nonblock(client, _answer(_status(exc)))


def _status(error: Exception) -> HTTPStatus:
    if isinstance(error, LimitRequestLine):
        return HTTPStatus.REQUEST_URI_TOO_LONG
    if isinstance(error, LimitRequestHeaders):
        return HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    if isinstance(error, ParseException):
        return HTTPStatus.BAD_REQUEST
    return HTTPStatus.INTERNAL_SERVER_ERROR


def _answer(status: HTTPStatus) -> bytes:
    code = "invalid_request" if status < HTTPStatus.INTERNAL_SERVER_ERROR else "server_error"
    body = f'{{"error": "{code}"}}'
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}",
        "Connection: close",
        "Content-Type: application/json",
        "Cache-Control: no-store",
        "Pragma: no-cache",
        "X-Content-Type-Options: nosniff",
        f"Content-Length: {len(body)}",
    )
    return ("\r\n".join(head) + "\r\n\r\n" + body).encode("ascii")
