"""Our own keys: what we sign with, and all that we publish so that others can check."""

import json
import os
import stat
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import AllowedPrivateKeys

from delegation.jose.keys import (
    ALGORITHMS,
    PRIVATE_MEMBERS,
    VerificationKey,
    public_members,
    read_key,
    thumbprint,
)
from delegation.jose.strict_json import read_object

DEFAULT_ALGORITHM = "ES256"

_RSA_BITS = 2048

_LATEST = 1 << 33
"""Seconds: what is later is no moment (it would be in the year 2242)."""


class Status(StrEnum):
    """Where a key is in its life. All are published; one signs."""

    NEXT = "next"
    ACTIVE = "active"
    RETIRING = "retiring"


def _new_rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS)


_MAKERS: Mapping[str, Any] = {
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
    "RS256": _new_rsa_key,
    "PS256": _new_rsa_key,
}

SUPPORTED = frozenset(_MAKERS)
"""The algorithms that we sign with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """One key pair of ours. *kid* is its RFC 7638 thumbprint.

    *since* is when it came to its status, in seconds; `None` where nobody wrote it down.
    """

    kid: str
    algorithm: str
    status: Status
    since: int | None = None
    private: AllowedPrivateKeys = field(repr=False)
    public: VerificationKey

    @classmethod
    def of(
        cls,
        private: AllowedPrivateKeys,
        algorithm: str,
        *,
        status: Status,
        since: int | None = None,
    ) -> Self:
        """The pair that belongs to *private*."""
        kid = thumbprint(public_members(private, algorithm))
        public = VerificationKey(kid=kid, algorithm=algorithm, key=private.public_key())
        return cls(
            kid=kid,
            algorithm=algorithm,
            status=status,
            since=since,
            private=private,
            public=public,
        )

    def sign(self, message: bytes) -> bytes:
        """The signature over *message*, as JWS writes it."""
        return ALGORITHMS[self.algorithm].sign(message, self.private)

    def published(self) -> dict[str, str]:
        """The key as others may see it (RFC 7517 §4)."""
        members = public_members(self.private, self.algorithm)
        return members | {"kid": self.kid, "alg": self.algorithm, "use": "sig"}

    def kept(self) -> dict[str, str | int]:
        """The key as it stands in its file, private members and status included."""
        jwk = ALGORITHMS[self.algorithm].to_jwk(self.private, as_dict=True)
        private = {member: jwk[member] for member in PRIVATE_MEMBERS & jwk.keys()}
        since = {} if self.since is None else {"since": self.since}
        return self.published() | {"status": self.status.value} | since | private


@dataclass(frozen=True, slots=True)
class Keyring:
    """All keys of ours at one moment: exactly one active, no two alike."""

    keys: tuple[SigningKey, ...]
    active: SigningKey = field(init=False)
    _published: Mapping[str, VerificationKey] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Refuse a set that leaves open what to sign with; raises `ValueError`."""
        active = [key for key in self.keys if key.status is Status.ACTIVE]
        if len(active) != 1:
            raise ValueError(f"{len(active)} keys are active: set the status of exactly one so")
        published = {key.kid: key.public for key in self.keys}
        if len(published) != len(self.keys):
            raise ValueError("a key is there twice: remove one of the two")
        object.__setattr__(self, "active", active[0])
        object.__setattr__(self, "_published", published)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the private JWK Set at *path*, which only its owner may write.

        Raises `ValueError` saying what to do about it, `OSError` where it cannot be read.
        """
        try:
            return cls.parse(read_private(path))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error

    @classmethod
    def parse(cls, document: bytes) -> Self:
        """The keys in a private JWK Set. Raises `ValueError` saying what to do about it."""
        return cls(tuple(map(_read, _listed(document))))

    def public_keys(self) -> dict[str, list[dict[str, str]]]:
        """The JWK Set to publish, the active key first: what to expect next, and what was."""
        ordered = sorted(self.keys, key=lambda key: key is not self.active)
        return {"keys": [key.published() for key in ordered]}

    def find(self, kid: str) -> VerificationKey | None:
        """The published key of that name, whatever its status."""
        return self._published.get(kid)


def new_key(
    algorithm: str = DEFAULT_ALGORITHM, status: Status = Status.NEXT, *, since: int | None = None
) -> SigningKey:
    """Make a key. Raises `ValueError` where we do not sign with *algorithm*."""
    if algorithm not in SUPPORTED:
        raise ValueError(f"choose one of {', '.join(sorted(SUPPORTED))} as the algorithm")
    return SigningKey.of(_MAKERS[algorithm](), algorithm, status=status, since=since)


def write_keys(path: Path, keys: Iterable[SigningKey]) -> None:
    """Put *keys* at *path* in one step: wholly there, or not at all.

    They are for who could read what was there, or else for the owner alone. Raises `ValueError`
    where they would not load again, `OSError` where they cannot be written like that.
    """
    document = {"keys": [key.kept() for key in Keyring(tuple(keys)).keys]}
    before = path.stat() if path.exists() else None
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # its mode is 0600
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            if before is not None:
                # Before there is anything to read: the service need not run as who rotates.
                os.fchown(file.fileno(), before.st_uid, before.st_gid)
                os.fchmod(file.fileno(), stat.S_IMODE(before.st_mode))
            json.dump(document, file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink()
        raise


def read_private(path: Path) -> bytes:
    """What is in the file at *path*. Raises `ValueError` where others than its owner have access,
    `OSError` where it cannot be read.
    """
    with path.open("rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        # A group may read: so do orchestrators mount a secret for a process that is not root.
        if mode & (stat.S_IWGRP | stat.S_IXGRP | stat.S_IRWXO):
            raise ValueError(f"others than its owner have access: chmod 600 {path}")
        return file.read()


def _listed(document: bytes) -> list[dict[str, Any]]:
    keys = read_object(document).get("keys")
    if not isinstance(keys, list) or not all(isinstance(key, dict) for key in keys):
        raise ValueError('write it as a JWK Set: an object with an array of objects in "keys"')
    return keys


def _read(jwk: Mapping[str, Any]) -> SigningKey:
    algorithm, status = jwk.get("alg"), jwk.get("status")
    if not isinstance(algorithm, str) or algorithm not in SUPPORTED:
        raise ValueError(f"set alg of every key to one of {', '.join(sorted(SUPPORTED))}")
    if jwk.get("use") != "sig":
        raise ValueError('set use of every key to "sig"')
    if status not in tuple(Status):
        raise ValueError(f"set status of every key to one of {', '.join(Status)}")
    since = jwk.get("since")
    if since is not None and not (type(since) is int and 0 <= since < _LATEST):
        raise ValueError("set since of every key to the seconds of a moment, or leave it out")
    if "d" not in jwk:
        raise ValueError("use private keys: one has no member d")
    # With `d` present this is a private key, or `read_key` raises.
    private: Any = read_key(jwk, algorithm)
    key = SigningKey.of(private, algorithm, status=Status(status), since=since)
    if jwk.get("kid") != key.kid:
        raise ValueError(f"set kid to the key's RFC 7638 thumbprint, {key.kid}")
    return key
