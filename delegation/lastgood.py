"""What the workers of one service last read and found good, in memory that outlives each of them.

A worker that is started while the files are broken runs what its siblings run.
"""

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import NamedTuple

_DIGEST = 32

_NUMBER = 8


class LastGood:
    """Bytes that every process sees that is forked from the one which made this; none at first.

    There are two slots, written in turn and each with a digest: who dies while writing leaves the
    other one whole. Nothing is written to a disk (Linux), for this may be a private key. Not for
    several threads of one process at once.
    """

    def __init__(self) -> None:
        self._slots = (_memory(), _memory())

    def keep(self, content: bytes) -> None:
        """From now on *content* is the last good one."""
        with self._alone():
            older, newer = self._by_age()
            if newer.content != content:
                _write(older.slot, newer.number + 1, content)

    def recall(self) -> bytes | None:
        """The last good one; `None` where nothing has ever been good."""
        with self._alone():
            _, newer = self._by_age()
        return newer.content

    def close(self) -> None:
        """Forget it, in this process."""
        for slot in self._slots:
            os.close(slot)

    def _by_age(self) -> list["_Kept"]:
        return sorted(map(_read, self._slots), key=lambda kept: kept.number)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        # It belongs to the process, not to all that share the descriptor, and ends with it.
        fcntl.lockf(self._slots[0], fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.lockf(self._slots[0], fcntl.LOCK_UN)


@cache
def shared(name: str) -> LastGood:  # noqa: ARG001, it tells them apart
    """The one of that *name*, in this process and in all that are forked after the first call."""
    return LastGood()


class _Kept(NamedTuple):
    """What is in a slot: no content, and the number 0, where its writer has not finished."""

    number: int
    slot: int
    content: bytes | None


def _memory() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("delegation")
    with tempfile.TemporaryFile() as file:  # pragma: no cover, elsewhere: a file without a name
        return os.dup(file.fileno())


def _write(slot: int, number: int, content: bytes) -> None:
    numbered = number.to_bytes(_NUMBER) + content
    os.ftruncate(slot, 0)
    with open(slot, "wb", closefd=False) as file:
        file.seek(0)
        file.write(hashlib.sha256(numbered).digest() + numbered)


def _read(slot: int) -> _Kept:
    with open(slot, "rb", closefd=False) as file:
        file.seek(0)
        digest, numbered = file.read(_DIGEST), file.read()
    if hashlib.sha256(numbered).digest() != digest:
        return _Kept(0, slot, None)
    return _Kept(int.from_bytes(numbered[:_NUMBER]), slot, numbered[_NUMBER:])
