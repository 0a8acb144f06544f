"""The life of our keys: next, active, retiring, gone; and how long each step has to wait."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fcntl import LOCK_EX, flock
from pathlib import Path

from delegation.domain.grants import MAX_LIFETIME
from delegation.jose.keyring import Keyring, SigningKey, Status, new_key

PUBLISHED_BEFORE = timedelta(minutes=10)
"""How long a key is published before it signs. Who verifies may keep the set for five minutes, and
what stands between as long again."""

OUTLIVED_AFTER = MAX_LIFETIME + timedelta(minutes=5)
"""How long after its last signature a key is still published: a token's life, and some more for
clocks that are behind, and for workers that have not read the keys yet."""


class TooSoon(Exception):
    """Tokens would fail at those who verify them; the message says until when."""


def rotate(keyring: Keyring, now: datetime, *, at_once: bool = False) -> Keyring:
    """The next key signs, the active one retires, and a new one is next.

    Raises `TooSoon` where not everybody can know the next key yet, unless *at_once*; `ValueError`
    where there is none, or several.
    """
    following = [key for key in keyring.keys if key.status is Status.NEXT]
    if len(following) != 1:
        raise ValueError(f"{len(following)} keys are next: leave exactly one, with status next")
    (first,) = following
    if not at_once:
        _must_be_past(first, PUBLISHED_BEFORE, now, "not everybody knows the next key")
    kept = [key for key in keyring.keys if key not in (first, keyring.active)]
    return Keyring(
        (
            _becoming(Status.ACTIVE, first, now),
            new_key(keyring.active.algorithm, since=_seconds(now)),
            _becoming(Status.RETIRING, keyring.active, now),
            *kept,
        )
    )


def retire(keyring: Keyring, now: datetime, *, at_once: bool = False) -> Keyring:
    """What retires is gone, as far as no token that it signed can be alive.

    Raises `TooSoon` where that is none of them, unless *at_once*; `ValueError` where none retires.
    """
    retiring = [key for key in keyring.keys if key.status is Status.RETIRING]
    if not retiring:
        raise ValueError("no key retires: rotate first")
    gone = [key for key in retiring if at_once or is_outlived(key, now)]
    if not gone:
        first = min(retiring, key=lambda key: key.since or 0)
        _must_be_past(first, OUTLIVED_AFTER, now, "tokens that it signed are alive")
    return Keyring(tuple(key for key in keyring.keys if key not in gone))


def is_outlived(key: SigningKey, now: datetime) -> bool:
    """Whether no token can be alive that *key*, which retires, has signed."""
    return key.since is not None and now >= _at(key.since) + OUTLIVED_AFTER


@contextmanager
def alone_with(path: Path) -> Iterator[None]:
    """Nobody else changes the keys at *path* meanwhile. Raises `OSError`."""
    directory = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        flock(directory, LOCK_EX)
        yield
    finally:
        os.close(directory)


def _must_be_past(key: SigningKey, wait: timedelta, now: datetime, otherwise: str) -> None:
    """Refuse what is not known to be past, too: absence never widens."""
    if key.since is None:
        raise TooSoon(f"since when {key.kid} is {key.status} is not known, so perhaps {otherwise}")
    until = _at(key.since) + wait
    if now < until:
        raise TooSoon(f"until {until:%Y-%m-%dT%H:%M:%SZ} {otherwise}")


def _becoming(status: Status, key: SigningKey, now: datetime) -> SigningKey:
    return replace(key, status=status, since=_seconds(now))


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())


def _at(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
