"""Keys as JWKs, each bound to one algorithm: reading, naming and checking with them."""

import hashlib
import json
from binascii import b2a_base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from jwt import PyJWTError
from jwt.algorithms import Algorithm, AllowedKeys, get_default_algorithms

_ALPHABET = bytes.maketrans(b"+/", b"-_")

_MEMBERS = {
    "EC": ("crv", "kty", "x", "y"),
    "OKP": ("crv", "kty", "x"),
    "RSA": ("e", "kty", "n"),
}
"""The public members of each type of key (RFC 7638 §3.2), in the order of the thumbprint."""

_BY_CURVE = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512", "Ed25519": "EdDSA"}

ALGORITHMS: Mapping[str, Algorithm] = {
    name: algorithm
    for name, algorithm in get_default_algorithms().items()
    if name in {"EdDSA", "ES256", "ES384", "ES512"} or name.startswith(("RS", "PS"))
}
"""All that we can check: asymmetric without exception (RFC 8725 §3.1)."""

PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
"""What no published key may have (RFC 7518 §6)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationKey:
    """A public key, good for one algorithm only."""

    kid: str
    algorithm: str
    key: AllowedKeys = field(repr=False)

    def verifies(self, signing_input: bytes, signature: bytes) -> bool:
        """Whether *signature* is this key's over *signing_input*."""
        # PyJWT's own algorithm, without `jwt.decode` around it: our parser has already taken the
        # token apart, more strictly, and a second reading could only disagree with the first.
        return ALGORITHMS[self.algorithm].verify(signing_input, self.key, signature)


def read_key(jwk: Mapping[str, Any], algorithm: str) -> AllowedKeys:
    """The key that *jwk* holds, if it is one of *algorithm* and long enough. Raises `ValueError`.

    It is a private key where *jwk* has the private members.
    """
    implementation = ALGORITHMS.get(algorithm)
    if implementation is None:
        raise ValueError("the algorithm is not supported")
    # PyJWT's EdDSA covers two curves; one algorithm here means one kind of key.
    if jwk.get("kty") == "OKP" and jwk.get("crv") != "Ed25519":
        raise ValueError("the curve is not supported")
    try:
        key: AllowedKeys = implementation.prepare_key(implementation.from_jwk(dict(jwk)))
    except (PyJWTError, LookupError, TypeError, ValueError, UnsupportedAlgorithm) as error:
        raise ValueError(f"it holds no {algorithm} key") from error
    if weakness := implementation.check_key_length(key):
        raise ValueError(weakness)
    return key


def natural_algorithm(jwk: Mapping[str, Any]) -> str | None:
    """The algorithm that the type of key leaves no choice about; `None` for RSA and the unknown."""
    curve = jwk.get("crv")
    if jwk.get("kty") not in ("EC", "OKP") or not isinstance(curve, str):
        return None
    return _BY_CURVE.get(curve)


def public_members(key: AllowedKeys, algorithm: str) -> dict[str, str]:
    """The members of *key* that say what it is, and nothing else: no `kid`, nothing private."""
    jwk = ALGORITHMS[algorithm].to_jwk(key, as_dict=True)
    return {member: jwk[member] for member in _MEMBERS[jwk["kty"]]}


def thumbprint(members: Mapping[str, str]) -> str:
    """The name that follows from the key itself (RFC 7638), of its `public_members`."""
    canonical = json.dumps(members, sort_keys=True, separators=(",", ":")).encode("ascii")
    digest = hashlib.sha256(canonical).digest()
    return base64url(digest).decode("ascii")


def base64url(part: bytes) -> bytes:
    """As a JWS writes its parts (RFC 7515 §2): without padding."""
    return b2a_base64(part, newline=False).translate(_ALPHABET).rstrip(b"=")
