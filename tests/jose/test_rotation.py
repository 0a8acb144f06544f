"""The life of our keys: no token is signed by a key that somebody may not know yet, or any more."""

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delegation.domain.grants import MAX_LIFETIME
from delegation.jose.keyring import Keyring, SigningKey, Status, new_key
from delegation.jose.rotation import (
    OUTLIVED_AFTER,
    PUBLISHED_BEFORE,
    TooSoon,
    alone_with,
    is_outlived,
    retire,
    rotate,
)

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
CACHED = timedelta(minutes=5)
"""How long our answer lets others keep the key set."""


def a_keyring(since: datetime | None = NOW) -> Keyring:
    """As `delegation keys new` makes it."""
    at = None if since is None else int(since.timestamp())
    return Keyring((new_key(status=Status.ACTIVE, since=at), new_key(since=at)))


def with_status(keyring: Keyring, status: Status) -> list[SigningKey]:
    """Its keys of that status."""
    return [key for key in keyring.keys if key.status is status]


def test_a_rotation() -> None:
    """The next key signs, the active one is still published, and there is a new next one."""
    before = a_keyring(NOW - PUBLISHED_BEFORE)
    (following,) = with_status(before, Status.NEXT)

    after = rotate(before, NOW)

    assert after.active.kid == following.kid
    assert [key.kid for key in with_status(after, Status.RETIRING)] == [before.active.kid]
    (fresh,) = with_status(after, Status.NEXT)
    assert fresh.kid not in {key.kid for key in before.keys}
    assert fresh.algorithm == before.active.algorithm
    assert {key.since for key in after.keys} == {int(NOW.timestamp())}


@pytest.mark.parametrize("since", [NOW - PUBLISHED_BEFORE + timedelta(seconds=1), NOW, None])
def test_a_key_that_somebody_may_not_know(since: datetime | None) -> None:
    """Nothing is signed with it, unless that is asked for."""
    keyring = a_keyring(since)

    with pytest.raises(TooSoon):
        rotate(keyring, NOW)
    assert rotate(keyring, NOW, at_once=True).active.kid != keyring.active.kid


def test_two_rotations() -> None:
    """A second one leaves what retires since the first; a key that retires does not sign again."""
    once = rotate(a_keyring(NOW - PUBLISHED_BEFORE), NOW)

    twice = rotate(once, NOW + PUBLISHED_BEFORE)

    assert len(with_status(twice, Status.RETIRING)) == 2
    assert len(twice.keys) == 4


@pytest.mark.parametrize("number", [0, 2])
def test_what_is_next_must_be_clear(number: int) -> None:
    """None or several: nothing is guessed."""
    active, _ = a_keyring().keys
    keyring = Keyring((active, *(new_key(since=0) for _ in range(number))))

    with pytest.raises(ValueError, match=f"{number} keys are next: leave exactly one"):
        rotate(keyring, NOW)


def test_retiring() -> None:
    """A key goes when nothing that it signed can be alive; one that retires since later stays."""
    keyring = rotate(a_keyring(NOW - PUBLISHED_BEFORE), NOW)
    keyring = rotate(keyring, NOW + PUBLISHED_BEFORE)
    retiring = with_status(keyring, Status.RETIRING)
    earlier, later = sorted(retiring, key=lambda key: key.since or 0)

    after = retire(keyring, NOW + OUTLIVED_AFTER)

    assert with_status(after, Status.RETIRING) == [later]
    assert earlier not in after.keys


def test_a_key_whose_tokens_are_alive() -> None:
    """It stays, unless it has to go; so does one of which nobody knows since when it retires."""
    keyring = rotate(a_keyring(NOW - PUBLISHED_BEFORE), NOW)
    unknown = Keyring(tuple(replace(key, since=None) for key in keyring.keys))

    with pytest.raises(TooSoon, match="until 2026-11-21T12:20:00Z tokens that it signed are alive"):
        retire(keyring, NOW + MAX_LIFETIME)
    with pytest.raises(TooSoon, match="is not known"):
        retire(unknown, NOW + timedelta(days=365))
    for one in (keyring, unknown):
        assert not with_status(retire(one, NOW, at_once=True), Status.RETIRING)


def test_nothing_retires() -> None:
    """Then there is nothing to drop."""
    with pytest.raises(ValueError, match="no key retires: rotate first"):
        retire(a_keyring(), NOW)


MINUTES = (0, 1, 4, 5, 9, 10, 14, 15, 19, 20, 60)


@given(
    st.lists(st.tuples(st.sampled_from([rotate, retire]), st.sampled_from(MINUTES)), max_size=12)
)
def test_every_token_can_be_verified_all_its_life(steps: list[tuple[Any, int]]) -> None:
    """By whoever keeps the key set for as long as we let them, whatever operators do, and when."""
    keyring, now = a_keyring(NOW - PUBLISHED_BEFORE), NOW
    kept: list[tuple[datetime, Keyring]] = [(NOW - PUBLISHED_BEFORE, keyring)]
    signed: list[tuple[datetime, str]] = []
    for change, minutes in steps:
        signed.append((now, keyring.active.kid))
        now += timedelta(minutes=minutes)
        signed.append((now, keyring.active.kid))
        try:
            keyring = change(keyring, now)
        except (TooSoon, ValueError):
            continue
        kept.append((now, keyring))
        signed.append((now, keyring.active.kid))

    for at, kid in signed:
        for seconds in (0, 1, MAX_LIFETIME.total_seconds()):
            looked = at + timedelta(seconds=seconds)
            fetched = [one for since, one in kept if since <= looked]
            oldest = [one for since, one in kept if since <= looked - CACHED]
            for known in (fetched[-1], *oldest[-1:]):
                assert known.find(kid) is not None


def test_only_what_retires_is_outlived() -> None:
    """To the second."""
    key = new_key(status=Status.RETIRING, since=int(NOW.timestamp()))

    assert not is_outlived(key, NOW + OUTLIVED_AFTER - timedelta(seconds=1))
    assert is_outlived(key, NOW + OUTLIVED_AFTER)
    assert not is_outlived(replace(key, since=None), NOW + OUTLIVED_AFTER)


def test_one_change_at_a_time(tmp_path: Path) -> None:
    """Two who rotate at once are one after the other, and nothing is left lying about."""
    path = tmp_path / "keys.json"
    another = os.open(tmp_path, os.O_RDONLY)

    with alone_with(path), pytest.raises(BlockingIOError):
        flock(another, LOCK_EX | LOCK_NB)

    flock(another, LOCK_EX | LOCK_NB)
    os.close(another)
    assert list(tmp_path.iterdir()) == []
