"""Where a request came from, by its peer and its headers; what is malformed is left out."""

import re
from collections.abc import Mapping
from typing import Any

from delegation.domain.case import Claimed, Origin
from delegation.proxies import REQUEST_ID

# W3C Trace Context §3.2; version ff and ids of zeros are invalid.
_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII
)

_CLAIMS = (
    ("method", "HTTP_MCP_METHOD"),
    ("name", "HTTP_MCP_NAME"),
    ("consent", "HTTP_DELEGATION_CONSENT"),
)

# MCP 2026-07-28 writes the same of its headers, and encodes what does not fit (`=?base64?...?=`):
# that stays as it was sent.
_CLAIM = re.compile(r"[!-~](?:[ -~]{0,254}[!-~])?", re.ASCII)


def origin_of(environ: Mapping[str, Any]) -> Origin:
    """Where the request of this WSGI *environ* came from, and what its client says of its call.

    The headers `Mcp-Method`, `Mcp-Name` and `Delegation-Consent` are claims: 256 visible characters
    of ASCII at most, with spaces between them. Whatever is anything else is as good as absent.
    """
    return Origin(
        address=environ.get("REMOTE_ADDR") or "",
        traceparent=traceparent_of(environ),
        claimed=_claimed(environ),
        request_id=environ.get(REQUEST_ID),
    )


def traceparent_of(environ: Mapping[str, Any]) -> str | None:
    """The trace that the request of this WSGI *environ* belongs to, if it says so."""
    traceparent: str = environ.get("HTTP_TRACEPARENT", "")
    return traceparent if _TRACEPARENT.fullmatch(traceparent) else None


def _claimed(environ: Mapping[str, Any]) -> Claimed | None:
    said = {
        name: environ[header]
        for name, header in _CLAIMS
        if header in environ and _CLAIM.fullmatch(environ[header])
    }
    return Claimed(**said) if said else None
