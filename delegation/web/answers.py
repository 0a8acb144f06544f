"""What every answer looks like: JSON that no cache keeps and no browser reinterprets."""

import json
from collections.abc import Iterable, Mapping

from flask import Response

_NOT_SNIFFED = ("X-Content-Type-Options", "nosniff")
# RFC 6749 §5.1, on errors too.
_NOT_KEPT = (("Cache-Control", "no-store"), ("Pragma", "no-cache"), _NOT_SNIFFED)
_PRIVATE = (("Content-Type", "application/json"), *_NOT_KEPT)
_PUBLIC = (("Cache-Control", "public, max-age=300"), _NOT_SNIFFED)


def private(
    status: int, body: Mapping[str, object], headers: Iterable[tuple[str, str]] = ()
) -> Response:
    """An answer for the one who asked, and for nobody after them."""
    return Response(json.dumps(body), status, [*_PRIVATE, *headers])


def done() -> Response:
    """An answer that says nothing but that it is done."""
    response = Response(status=200, headers=_NOT_KEPT)
    del response.headers["Content-Type"]
    return response


def public(body: Mapping[str, object], content_type: str) -> Response:
    """A document for everyone, which may be kept for five minutes."""
    return Response(json.dumps(body), 200, [("Content-Type", content_type), *_PUBLIC])
