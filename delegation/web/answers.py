"""What every answer looks like: JSON that no cache keeps and no browser reinterprets."""

from collections.abc import Iterable, Mapping
from typing import Any

import orjson
from flask import Response
from werkzeug.http import HTTP_STATUS_CODES

_STATUS = {code: f"{code} {phrase.upper()}" for code, phrase in HTTP_STATUS_CODES.items()}

_NOT_SNIFFED = ("X-Content-Type-Options", "nosniff")
# RFC 6749 §5.1, on errors too.
_NOT_KEPT = (("Cache-Control", "no-store"), ("Pragma", "no-cache"), _NOT_SNIFFED)
_PRIVATE = (("Content-Type", "application/json"), *_NOT_KEPT)
_PUBLIC = (("Cache-Control", "public, max-age=300"), _NOT_SNIFFED)


class Answer(Response):
    """A body and headers that are whole, and ours: there is nothing to check, complete or escape.

    Werkzeug does all that for each header, three times: it takes as long as to sign a token.
    """

    # Werkzeug's are properties.
    status_code: int = 200
    status: Any = "200 OK"

    def __init__(self, body: bytes, status: int, headers: Iterable[tuple[str, str]]) -> None:
        self._body = body
        self.status_code = status
        self.status = _STATUS[status]
        self.headers = dict(headers)  # type: ignore[assignment]

    def __call__(self, environ: Mapping[str, Any], start_response: Any) -> list[bytes]:
        """As WSGI has it."""
        headers = [*self.headers.items(), ("Content-Length", str(len(self._body)))]
        start_response(self.status, headers)
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [self._body]


def private(
    status: int, body: Mapping[str, object] | bytes, headers: Iterable[tuple[str, str]] = ()
) -> Answer:
    """An answer for the one who asked, and for nobody after them. Bytes are JSON already."""
    written = body if isinstance(body, bytes) else orjson.dumps(body)
    return Answer(written, status, (*_PRIVATE, *headers))


def done() -> Answer:
    """An answer that says nothing but that it is done."""
    return Answer(b"", 200, _NOT_KEPT)


def public(body: Mapping[str, object], content_type: str) -> Answer:
    """A document for everyone, which may be kept for five minutes."""
    return Answer(orjson.dumps(body), 200, (("Content-Type", content_type), *_PUBLIC))
