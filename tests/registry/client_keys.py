"""Public keys of clients, as JWKs: one of every kind, real."""

import json
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

KINDS = {
    "ES256": lambda: ECAlgorithm.to_jwk(_ec(ec.SECP256R1()), as_dict=True),
    "ES384": lambda: ECAlgorithm.to_jwk(_ec(ec.SECP384R1()), as_dict=True),
    "ES512": lambda: ECAlgorithm.to_jwk(_ec(ec.SECP521R1()), as_dict=True),
    "EdDSA": lambda: OKPAlgorithm.to_jwk(
        ed25519.Ed25519PrivateKey.generate().public_key(), as_dict=True
    ),
    "RS256": lambda: RSAAlgorithm.to_jwk(_rsa(2048), as_dict=True),
    "PS512": lambda: RSAAlgorithm.to_jwk(_rsa(3072), as_dict=True),
}
"""How to make a key for each algorithm."""


@cache
def of(algorithm: str, name: str = "") -> dict[str, Any]:
    """A key for *algorithm*, called after it, or else by *name*; the same one at every call."""
    made = KINDS[algorithm]()
    numbers = {
        member: made[member] for member in ("kty", "crv", "x", "y", "n", "e") if member in made
    }
    return numbers | {"kid": name or algorithm.lower(), "alg": algorithm}


def as_text(jwk: dict[str, Any]) -> str:
    """The form that the domain keeps."""
    return json.dumps(jwk, sort_keys=True, separators=(",", ":"))


def _ec(curve: ec.EllipticCurve) -> ec.EllipticCurvePublicKey:
    return ec.generate_private_key(curve).public_key()


def _rsa(bits: int) -> rsa.RSAPublicKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=bits).public_key()
