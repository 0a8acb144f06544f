"""Tokens as they must not be: altered, or not signed; and what a token says, believed by nobody."""

import base64
import json
from collections.abc import Mapping
from typing import Any

from delegation.client.wire import read_object
from delegation.probe.findings import NotTried


def claims_in(token: str) -> Mapping[str, Any]:
    """What *token* says; nothing is verified. Raises `NotTried` where it is no JWT."""
    _, payload, _ = _parts(token)
    return _object(payload)


def altered(token: str) -> str:
    """*token*, with one bit of its signature changed, and still in proper form."""
    header, payload, signature = _parts(token)
    decoded = bytearray(_decoded(signature))
    if not decoded:
        raise NotTried("the subject token has no signature")
    # In the first byte: the last character may have bits that mean nothing (RFC 4648 §3.5).
    decoded[0] ^= 1
    return f"{header}.{payload}.{_encoded(bytes(decoded))}"


def unsigned(token: str) -> str:
    """*token* with all that it says, by the algorithm `none` (RFC 8725 §3.2)."""
    header, payload, _ = _parts(token)
    changed = _encoded(json.dumps({**_object(header), "alg": "none"}).encode())
    return f"{changed}.{payload}."


def _parts(token: str) -> tuple[str, str, str]:
    parts = token.split(".")
    if len(parts) != 3:  # noqa: PLR2004, RFC 7515 §3.1
        raise NotTried("the token is no JWT")
    return parts[0], parts[1], parts[2]


def _object(segment: str) -> Mapping[str, Any]:
    found = read_object(_decoded(segment))
    if found is None:
        raise NotTried("the token is no JWT")
    return found


def _decoded(segment: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    except ValueError:
        raise NotTried("the token is no JWT") from None


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode("ascii")
