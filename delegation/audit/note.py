"""Signed notes, as C2SP defines them: a text, and below it who signed it with Ed25519.

https://c2sp.org/signed-note. Keys are written as Go's sumdb/note writes them.
"""

import hashlib
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

_ED25519 = b"\x01"

_LONGEST = 1_000_000

_MOST_SIGNATURES = 100

_DASH = "\N{EM DASH} "

_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")


class NotSigned(ValueError):
    """A note that is none, or that none of the keys has signed."""


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key and its *name*: what an auditor is given."""

    name: str
    public: bytes

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `name+hash+key`. Raises `ValueError`."""
        name, hash_, key = _parts(text)
        decoded = _base64(key)
        if decoded[:1] != _ED25519 or len(decoded) != 33:  # noqa: PLR2004, the type and 32 bytes
            raise ValueError("it is no Ed25519 key of a signed note")
        found = cls(name, decoded[1:])
        if hash_ != found.id.hex():
            raise ValueError("its hash is not that of its name and key")
        return found

    @property
    def id(self) -> bytes:
        """Four bytes that tell it from other keys of that name; no fingerprint."""
        return _key_id(self.name, self.public)

    def verifies(self, text: str, signature: bytes) -> bool:
        """Whether *signature* is over *text*, and made with this key."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, text.encode())
        except InvalidSignature:
            return False
        return True

    def __str__(self) -> str:
        """As `parse` reads it."""
        return f"{self.name}+{self.id.hex()}+{b64encode(_ED25519 + self.public).decode()}"


@dataclass(frozen=True, slots=True)
class SignerKey:
    """A private key and its *name*."""

    name: str
    private: Ed25519PrivateKey = field(repr=False)

    @classmethod
    def new(cls, name: str) -> Self:
        """Make one. Raises `ValueError` for a name that cannot stand in a note."""
        return cls(_name(name), Ed25519PrivateKey.generate())

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `PRIVATE+KEY+name+hash+key`. Raises `ValueError`, with nothing of it."""
        if not text.startswith(_PRIVATE):
            raise ValueError(f"it does not begin with {_PRIVATE}")
        name, hash_, key = _parts(text.removeprefix(_PRIVATE))
        decoded = _base64(key)
        if decoded[:1] != _ED25519 or len(decoded) != 33:  # noqa: PLR2004, the type and 32 bytes
            raise ValueError("it is no Ed25519 key of a signed note")
        found = cls(name, Ed25519PrivateKey.from_private_bytes(decoded[1:]))
        if hash_ != found.verifier.id.hex():
            raise ValueError("its hash is not that of its name and key")
        return found

    @property
    def verifier(self) -> VerifierKey:
        """What verifies."""
        return VerifierKey(self.name, self.private.public_key().public_bytes_raw())

    def sign(self, text: str) -> str:
        """The note: *text*, which ends its last line, and our signature."""
        signature = b64encode(self.verifier.id + self.private.sign(text.encode())).decode()
        return f"{text}\n{_DASH}{self.name} {signature}\n"

    def kept(self) -> str:
        """As `parse` reads it: a secret."""
        key = b64encode(_ED25519 + self.private.private_bytes_raw()).decode()
        return f"{_PRIVATE}{self.name}+{self.verifier.id.hex()}+{key}"


_PRIVATE = "PRIVATE+KEY+"


def opened(note: str, keys: Iterable[VerifierKey]) -> str:
    """The text of *note*, which one of *keys* has signed, and which none of them falsely has.

    Raises `NotSigned`. Signatures of other keys are passed over, as they must be.
    """
    text, signatures = _taken_apart(note)
    known = {(key.name, key.id): key for key in keys}
    signed = False
    for name, id_, signature in signatures:
        key = known.get((name, id_))
        if key is None:
            continue
        if not key.verifies(text, signature):
            raise NotSigned(f"the signature of {name} is wrong")
        signed = True
    if not signed:
        raise NotSigned("none of the keys given has signed it")
    return text


def _taken_apart(note: str) -> tuple[str, list[tuple[str, bytes, bytes]]]:
    if len(note) > _LONGEST or _CONTROL.search(note):
        raise NotSigned("it is no signed note")
    text, blank, below = note.rpartition("\n\n")
    lines = below.split("\n")
    if not blank or lines.pop() or not 0 < len(lines) <= _MOST_SIGNATURES:
        raise NotSigned("it is no signed note")
    return text + "\n", [_signature(line) for line in lines]


def _signature(line: str) -> tuple[str, bytes, bytes]:
    name, _, encoded = line.removeprefix(_DASH).partition(" ")
    try:
        decoded = _base64(encoded)
        _name(name)
    except ValueError:
        decoded = b""
    if not line.startswith(_DASH) or len(decoded) <= 4:  # noqa: PLR2004, the key's id
        raise NotSigned("it has a signature that is none")
    return name, decoded[:4], decoded[4:]


def _parts(text: str) -> tuple[str, str, str]:
    name, _, rest = text.partition("+")
    hash_, _, key = rest.partition("+")
    return _name(name), hash_, key


def _name(name: str) -> str:
    if not name.isprintable() or not name or "+" in name or any(map(str.isspace, name)):
        raise ValueError("a key's name has neither blanks nor +, and is not empty")
    return name


def _base64(text: str) -> bytes:
    """Strictly: no other text stands for the same bytes. Raises `ValueError`."""
    try:
        decoded = b64decode(text, validate=True)
    except ValueError:
        decoded = b""
    if b64encode(decoded).decode() != text:
        raise ValueError("it is not the base64 of anything")
    return decoded


def _key_id(name: str, public: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + _ED25519 + public).digest()[:4]
