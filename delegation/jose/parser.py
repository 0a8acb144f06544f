"""The one strict parser: takes a JWT apart, and believes nothing of it."""

import re
from binascii import a2b_base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeGuard

from delegation.domain.errors import Cause
from delegation.jose.strict_json import read_object

MAX_LENGTH = 16 * 1024
"""Characters in a token. An actor chain of the permitted size fits many times over."""

_PARTS = 3
_BASE64URL = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_KEY_ID = re.compile(r"[A-Za-z0-9._~+/=:@#-]{1,128}")

_ALPHABET = bytes.maketrans(b"-_", b"+/")

# The last character of a part may have bits to spare, and so be written in several ways (RFC 4648
# §3.5): these have none set. By how many characters there are beyond groups of four.
_LAST = {
    0: frozenset(range(128)),
    1: frozenset[int](),
    2: frozenset(b"AQgw"),
    3: frozenset(b"AEIMQUYcgkosw048"),
}

_HEADERS = 256
"""Headers that a worker remembers: there is one for each key, and no key changes its own."""

_BARRED = frozenset({"crit", "b64", "jwk", "jku", "x5u", "x5c", "zip", "enc"})
"""Header members that would bring a key along, or say that the token means something else.

A certificate's thumbprint (`x5t`) does neither: some issuers always send it, and nothing reads it.
"""

_DATES = ("exp", "iat", "nbf", "auth_time")
_NUMBERS = frozenset({int, float})  # by their exact types: to Python a boolean is an integer, too
_END_OF_TIME = 253_402_300_799  # 9999-12-31T23:59:59Z, the last second that a datetime can tell


class TokenFault(Exception):
    """The token is not acceptable, for *cause*; *detail* is for the event.

    It says nothing about which token of a request it is about: the verifier does.
    """

    def __init__(self, cause: Cause, **detail: object) -> None:
        super().__init__(cause.value)
        self.cause = cause
        self.detail = detail


@dataclass(frozen=True, slots=True, kw_only=True)
class UnverifiedToken:
    """A JWT in its parts, in proper form. Anybody can have written it.

    *type* is the header's `typ` as it stands. *signing_input* is what *signature* should be over.
    """

    algorithm: str
    kid: str
    type: str | None
    claims: Mapping[str, Any] = field(repr=False)
    signing_input: bytes = field(repr=False)
    signature: bytes = field(repr=False)


def parse(value: str) -> UnverifiedToken:
    """Take a JWT in compact serialisation apart (RFC 7515 §7.1). Raises `TokenFault`.

    There is exactly one way to write each part: no padding, no white space, no stray bits. Dates
    are JSON numbers in the range of the calendar.
    """
    if len(value) > MAX_LENGTH:
        raise TokenFault(Cause.TOKEN_TOO_LARGE, length=len(value))
    header_part, claims_part, signature_part = _parts(value)
    try:
        header = _header(header_part)
        claims, signature = read_object(_decode(claims_part)), _decode(signature_part)
    except ValueError:
        # The error would carry the whole document along; what it says is of no use to anyone.
        raise TokenFault(Cause.TOKEN_MALFORMED) from None
    for name in _DATES:
        if name in claims and not is_numeric_date(claims[name]):
            raise TokenFault(Cause.TOKEN_CLAIMS, claim=name)
    return UnverifiedToken(
        algorithm=header.algorithm,
        kid=header.kid,
        type=header.type,
        claims=claims,
        signing_input=b"%b.%b" % (header_part, claims_part),
        signature=signature,
    )


def is_numeric_date(value: object) -> TypeGuard[float]:
    """Whether *value* is a NumericDate (RFC 7519 §2) that a `datetime` can tell."""
    return type(value) in _NUMBERS and 0 <= value <= _END_OF_TIME  # type: ignore[operator]


def _parts(value: str) -> list[bytes]:
    parts = value.encode(errors="replace").split(b".")
    # What is left where all that a part may have is taken out? A regular expression is slower.
    if len(parts) != _PARTS or not all(parts) or b"".join(parts).translate(None, _BASE64URL):
        raise TokenFault(Cause.TOKEN_MALFORMED)
    return parts


@dataclass(frozen=True, slots=True, kw_only=True)
class _Header:
    algorithm: str
    kid: str
    type: str | None


@lru_cache(_HEADERS)
def _header(part: bytes) -> _Header:
    """RFC 8725 §3.10: the header names a key that we already have, and brings nothing along."""
    header = read_object(_decode(part))
    for name in header:
        if name in _BARRED:
            raise TokenFault(Cause.TOKEN_HEADER, member="barred")
    if not isinstance(header.get("alg"), str):
        raise TokenFault(Cause.TOKEN_HEADER, member="alg")
    kid = header.get("kid")
    if not isinstance(kid, str) or not _KEY_ID.fullmatch(kid):
        raise TokenFault(Cause.TOKEN_HEADER, member="kid")
    if "typ" in header and not isinstance(header["typ"], str):
        raise TokenFault(Cause.TOKEN_HEADER, member="typ")
    return _Header(algorithm=header["alg"], kid=kid, type=header.get("typ"))


def _decode(part: bytes) -> bytes:
    beyond = len(part) % 4
    if part[-1] not in _LAST[beyond]:
        raise ValueError("not the canonical encoding")
    return a2b_base64(part.translate(_ALPHABET) + b"=" * (-beyond % 4))
