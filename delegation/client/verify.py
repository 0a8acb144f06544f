"""Reads an access token that the service issued: strictly, and as it is said there.

PyJWT checks signatures. The rest is done here, for PyJWT reads some tokens that two readers would
understand differently.
"""

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NoReturn, TypeGuard

from jwt import PyJWK

from delegation.client.bearer import InvalidToken
from delegation.client.wire import is_too_deep

ALGORITHMS = frozenset({"ES256", "EdDSA", "RS256", "PS256"})
"""Those that the service signs with; asymmetric without exception (RFC 8725 §3.1)."""

MAX_LENGTH = 16 * 1024
"""Characters in a token."""

MAX_ACTORS = 8
"""The longest chain that the service ever issues."""

SKEW = 30
"""Seconds by which the issuer's clock may be ahead. An end is an end: there is none for `exp`."""

_COMPACT = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
_KEY_ID = re.compile(r"[A-Za-z0-9._~+/=:@#-]{1,128}")
_SCOPE = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]+(?: [\x21\x23-\x5B\x5D-\x7E]+)*", re.ASCII)

_TYPES = frozenset({"at+jwt", "application/at+jwt"})

_BARRED = frozenset({"crit", "b64", "jwk", "jku", "x5u", "x5c", "zip", "enc"})
"""Header members that would bring a key along, or say that the token means something else."""

_NAME_LIMIT = 255
_END_OF_TIME = 253_402_300_799  # 9999-12-31T23:59:59Z, the last second that a datetime can tell


@dataclass(frozen=True, slots=True)
class Identity:
    """The pair (issuer, subject). A subject is unique only within its issuer (RFC 7519 §4.1.2)."""

    issuer: str
    subject: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """One who acts, or acted: an identity, and the two members that may describe it further."""

    issuer: str
    subject: str
    client_id: str | None = None
    sub_profile: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessToken:
    """What a verified token says.

    *subject* is the person as her own issuer knows her. *delegation_chain* are all who act for
    her, current first; only the first may count for a decision, the others are for the log (RFC
    8693 §4.1). *client_id* is who asked for the token. *scope* is all that it allows.
    """

    id: str
    subject: Identity
    delegation_chain: tuple[Actor, ...]
    client_id: str
    scope: frozenset[str]
    issued_at: datetime
    expires_at: datetime
    txn: str | None
    claims: Mapping[str, Any] = field(repr=False)

    @property
    def current_actor(self) -> Actor:
        """Who acts. Raises `IndexError` where nobody does, which an API can allow for."""
        return self.delegation_chain[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnverifiedToken:
    """A token in its parts, in proper form. Anybody can have written it."""

    algorithm: str
    kid: str
    claims: Mapping[str, Any] = field(repr=False)
    signing_input: bytes = field(repr=False)
    signature: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What a token has to be: from *issuer*, and for *resource* alone, each exactly as written."""

    issuer: str
    resource: str
    algorithms: frozenset[str] = ALGORITHMS
    actor_required: bool = True

    def parse(self, value: str) -> UnverifiedToken:
        """Take apart what could be such a token. Raises `InvalidToken`.

        What costs nothing is asked here, so that nobody fetches keys for what cannot be good.
        """
        token = _parsed(value)
        if token.algorithm not in self.algorithms:
            raise InvalidToken("the algorithm is not accepted")
        if token.claims.get("iss") != self.issuer:
            raise InvalidToken("the token is from another issuer")
        # One string: what is good at two APIs, each of them could use at the other.
        if token.claims.get("aud") != self.resource:
            raise InvalidToken("the token is for another API")
        return token

    def read(self, token: UnverifiedToken, key: PyJWK, now: float) -> AccessToken:
        """What *token* says at *now*, if *key* has signed it. Raises `InvalidToken`."""
        if key.algorithm_name != token.algorithm:
            raise InvalidToken("the key is for another algorithm")
        if not key.Algorithm.verify(token.signing_input, key.key, token.signature):
            raise InvalidToken("the signature is wrong")
        claims = token.claims
        issued_at, expires_at = _lifetime(claims, now)
        if "cnf" in claims:
            # RFC 9449 §7.2: whoever took it for a bearer token would let a thief use it.
            raise InvalidToken("the token is bound to a key: it is no bearer token")
        return AccessToken(
            id=_name(claims, "jti"),
            subject=_subject(claims),
            delegation_chain=self._actors(claims),
            client_id=_name(claims, "client_id"),
            scope=_scope(claims.get("scope", "")),
            issued_at=issued_at,
            expires_at=expires_at,
            txn=_name(claims, "txn") if "txn" in claims else None,
            claims=claims,
        )

    def _actors(self, claims: Mapping[str, Any]) -> tuple[Actor, ...]:
        if "act" not in claims and not self.actor_required:
            return ()
        return _chain(claims.get("act"))


def _parsed(value: str) -> UnverifiedToken:
    parts = _COMPACT.fullmatch(value) if len(value) <= MAX_LENGTH else None
    if parts is None:
        raise InvalidToken("the token is malformed, or too long")
    try:
        header, claims = _object(parts[1]), _object(parts[2])
        signature = _decoded(parts[3])
    except (ValueError, RecursionError):
        # The error would carry the whole document along.
        raise InvalidToken("the token is malformed") from None
    kid, algorithm, kind = header.get("kid"), header.get("alg"), header.get("typ")
    if _BARRED & header.keys():
        raise InvalidToken("the header says more than which key it is")
    if not isinstance(kind, str) or kind.lower() not in _TYPES:
        raise InvalidToken("the token is of another kind")
    if not isinstance(kid, str) or not _KEY_ID.fullmatch(kid) or not isinstance(algorithm, str):
        raise InvalidToken("the header names no key or no algorithm")
    return UnverifiedToken(
        algorithm=algorithm,
        kid=kid,
        claims=claims,
        signing_input=value.rpartition(".")[0].encode("ascii"),
        signature=signature,
    )


def _decoded(segment: str) -> bytes:
    decoded = base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    # The last character may have bits to spare, and so be written in several ways (RFC 4648 §3.5).
    if base64.urlsafe_b64encode(decoded).rstrip(b"=") != segment.encode("ascii"):
        raise ValueError("not the canonical encoding")
    return decoded


def _object(segment: str) -> dict[str, Any]:
    """The JSON object in *segment*, which no two readers can understand differently (RFC 8725
    §3.7). Raises `ValueError` or `RecursionError`.
    """
    text = _decoded(segment).decode("utf-8")
    value = json.loads(text, object_pairs_hook=_distinct, parse_constant=_refuse)
    # How much json itself can bear is another depth in each Python.
    if not isinstance(value, dict) or is_too_deep(value):
        raise ValueError("not an object, or nested too deeply")
    if "\\u" in text:
        # Only an escape can make a NUL, or half of a surrogate pair, which has no UTF-8.
        written = json.dumps(value, ensure_ascii=False)
        if "\\u0000" in written or not written.encode("utf-8"):
            raise ValueError("a string holds what is no text")
    return value


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member is named twice")
    return members


def _refuse(_: str) -> NoReturn:
    raise ValueError("not a JSON number")


def _lifetime(claims: Mapping[str, Any], now: float) -> tuple[datetime, datetime]:
    """RFC 7519 §4.1.4 to §4.1.6: a date is a number, and neither text nor truth value."""
    issued_at, expires_at = claims.get("iat"), claims.get("exp")
    not_before = claims.get("nbf", 0)
    if not (_is_date(issued_at) and _is_date(expires_at) and _is_date(not_before)):
        raise InvalidToken("a date is missing or malformed")
    if expires_at <= now:
        raise InvalidToken("the token has expired")
    if max(issued_at, not_before) > now + SKEW:
        raise InvalidToken("the token is not good yet")
    return datetime.fromtimestamp(issued_at, UTC), datetime.fromtimestamp(expires_at, UTC)


def _is_date(value: object) -> TypeGuard[float]:
    return type(value) in (int, float) and 0 <= value <= _END_OF_TIME  # type: ignore[operator]


def _is_name(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and 0 < len(value) <= _NAME_LIMIT and value.isprintable()


def _name(claims: Mapping[str, Any], claim: str) -> str:
    value = claims.get(claim)
    if not _is_name(value):
        raise InvalidToken(f"{claim} is missing or malformed")
    return value


def _scope(value: object) -> frozenset[str]:
    """RFC 6749 §3.3, and nothing looser. None at all allows nothing."""
    if value == "":
        return frozenset()
    if not isinstance(value, str) or not _SCOPE.fullmatch(value):
        raise InvalidToken("scope is malformed")
    return frozenset(value.split(" "))


def _subject(claims: Mapping[str, Any]) -> Identity:
    """The original pair (RFC 9493 §3.2.4); that of the token itself, where it tells no other."""
    issuer, subject = _name(claims, "iss"), _name(claims, "sub")
    if "sub_id" not in claims:
        return Identity(issuer, subject)
    original = claims["sub_id"]
    if not isinstance(original, dict) or original.get("format") != "iss_sub":
        raise InvalidToken("sub_id is malformed")
    return Identity(_name(original, "iss"), _name(original, "sub"))


def _chain(hop: object) -> tuple[Actor, ...]:
    """The `act` claim (RFC 8693 §4.1): current actor first, hop by hop, none left out."""
    actors: list[Actor] = []
    while isinstance(hop, dict) and len(actors) < MAX_ACTORS:
        actors.append(_actor(hop))
        if "act" not in hop:
            return tuple(actors)
        hop = hop["act"]
    raise InvalidToken("act is missing, malformed or too deep")


def _actor(hop: Mapping[str, Any]) -> Actor:
    described = {name: _name(hop, name) for name in ("client_id", "sub_profile") if name in hop}
    return Actor(issuer=_name(hop, "iss"), subject=_name(hop, "sub"), **described)
