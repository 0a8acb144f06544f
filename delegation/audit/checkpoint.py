"""The checkpoint that ends a segment: how far the trail goes, and what its last seal is, signed.

Its text begins as C2SP's tlog-checkpoint does (https://c2sp.org/tlog-checkpoint): whose trail it
is, how many records it has, and their hash. That hash is the last seal of a chain, not the root of
a tree: there are no proofs of inclusion.
"""

import hashlib
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from delegation.audit.chain import canonical

_HASH = r"[A-Za-z0-9+/]{43}="

_TIME = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z"

TIME = re.compile(_TIME, re.ASCII)
"""A time as the trail writes it."""

_TEXT = re.compile(
    rf"(?P<origin>[^\n]+)\n(?P<size>[1-9][0-9]*)\n(?P<head>{_HASH})\n"
    rf"segment (?P<segment>[1-9][0-9]*)\nprevious (?P<previous>{_HASH}|none)\n"
    rf"heads (?P<heads>{_HASH})\nevents (?P<earliest>{_TIME}) (?P<latest>{_TIME})\n"
    rf"sealed (?P<sealed>{_TIME})\n",
    re.ASCII,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """What is signed of a segment and of all before it.

    *size* counts the records of the whole trail, *head* is the last seal, *previous* the digest of
    the checkpoint before this one, *heads* that of the last numbers of all streams. The events of
    this segment were recorded between *earliest* and *latest*, and *sealed* is when it was made.
    """

    origin: str
    size: int
    head: bytes
    segment: int
    previous: bytes | None
    heads: bytes
    earliest: str
    latest: str
    sealed: str

    @property
    def text(self) -> str:
        """What the signature is over."""
        previous = "none" if self.previous is None else _written(self.previous)
        return (
            f"{self.origin}\n{self.size}\n{_written(self.head)}\n"
            f"segment {self.segment}\nprevious {previous}\n"
            f"heads {_written(self.heads)}\nevents {self.earliest} {self.latest}\n"
            f"sealed {self.sealed}\n"
        )

    @property
    def digest(self) -> bytes:
        """By which the next checkpoint names this one."""
        return hashlib.sha256(self.text.encode()).digest()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the text of a note. Raises `ValueError`."""
        found = _TEXT.fullmatch(text)
        if found is None:
            raise ValueError("its checkpoint has another form")
        fields = found.groupdict()
        return cls(
            origin=fields["origin"],
            size=int(fields["size"]),
            head=b64decode(fields["head"]),
            segment=int(fields["segment"]),
            previous=None if fields["previous"] == "none" else b64decode(fields["previous"]),
            heads=b64decode(fields["heads"]),
            earliest=fields["earliest"],
            latest=fields["latest"],
            sealed=fields["sealed"],
        )


def digest_of(heads: Mapping[str, object]) -> bytes:
    """The digest of the last numbers of all streams, as a checkpoint has it."""
    return hashlib.sha256(canonical(heads)).digest()


def timestamp(milliseconds: int) -> str:
    """A time as the trail writes it: in UTC, with milliseconds."""
    # Not by way of a float: what is written must be what was recorded.
    seconds, rest = divmod(milliseconds, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:03}Z"


def _written(hash_: bytes) -> str:
    return b64encode(hash_).decode()
