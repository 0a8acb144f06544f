"""What is known of earlier exchanges, and for how long: decides alone, and does nothing else."""

import base64
import json
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from delegation.client.errors import DelegationError, NotPermitted, Refused
from delegation.client.rfc8693 import IssuedToken
from delegation.client.wanted import Key

T = TypeVar("T")

SKEW = 10
"""Seconds before its end from which a token is not used: clocks differ, and requests travel."""

REFRESH_AT = 0.8
"""The part of its life after which a token is replaced ahead."""

REFUSED_FOR = 10
"""Seconds for which what is not permitted is not asked for again."""

AGAIN_AFTER = 5
"""Seconds after which a replacement that failed is tried again."""

REPLACED_EVERY = 30
"""Seconds between replacements of tokens that an API rejects: it may reject all of them."""

_END_OF_TIME = 1 << 53


class Instant(NamedTuple):
    """A moment, on both clocks: the one stands still in a suspended machine, the other is set."""

    monotonic: float
    wall: float

    def plus(self, seconds: float) -> "Instant":
        """So much later."""
        return Instant(self.monotonic + seconds, self.wall + seconds)

    def is_before(self, other: "Instant") -> bool:
        """On both clocks."""
        return self.monotonic < other.monotonic and self.wall < other.wall


Clock = Callable[[], Instant]


def this_instant() -> Instant:
    """Now."""
    return Instant(time.monotonic(), time.time())


@dataclass(slots=True)
class Kept:
    """What is known for one key, *until* then; from *refresh_at* on, a newer one is due."""

    outcome: IssuedToken | Refused
    until: Instant
    refresh_at: float = math.inf


@dataclass(slots=True)
class Cache:
    """The last *size* keys that were used. Whoever uses it sees to it that nobody else does."""

    size: int
    _kept: "OrderedDict[Key, Kept]" = field(default_factory=OrderedDict, repr=False)
    _rejected: "OrderedDict[Key, float]" = field(default_factory=OrderedDict, repr=False)

    def find(self, key: Key, now: Instant) -> Kept | None:
        """What is known, and holds *now*."""
        kept = self._kept.get(key)
        if kept is None:
            return None
        if not now.is_before(kept.until):
            del self._kept[key]
            return None
        self._kept.move_to_end(key)
        return kept

    def learn(
        self,
        key: Key,
        outcome: IssuedToken | DelegationError,
        *,
        asked: Instant,
        now: Instant,
        subject_expires: float = math.inf,
    ) -> None:
        """Take note of the outcome of an exchange that was *asked* for then, and ended *now*.

        A token is kept until `SKEW` before its end or that of the subject token, which is in
        seconds of the wall clock. What is not permitted is kept for a while; and so long nothing
        else is, for it was stopped. What came of an outage says nothing: it leaves what was known.
        """
        match outcome:
            case IssuedToken():
                self._keep(key, outcome, asked, subject_expires - asked.wall)
            case NotPermitted():
                self._set(self._kept, key, Kept(outcome, now.plus(REFUSED_FOR)))
            case Refused(reason=str()) if outcome.reason != "malformed_request":
                self._kept.pop(key, None)
            case _:
                self._postpone(key, now, getattr(outcome, "retry_after", None))

    def reject(self, key: Key, token: IssuedToken, now: Instant) -> bool:
        """An API does not take *token*: forget it. Whether another is worth a try."""
        kept = self._kept.get(key)
        if kept is None or kept.outcome is not token:
            # Somebody was faster: there may be another by now.
            return True
        if now.monotonic - self._rejected.get(key, -math.inf) < REPLACED_EVERY:
            return False
        del self._kept[key]
        self._set(self._rejected, key, now.monotonic)
        return True

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()
        self._rejected.clear()

    def __len__(self) -> int:
        """How many keys there are."""
        return len(self._kept)

    def _keep(self, key: Key, token: IssuedToken, asked: Instant, subject_lives: float) -> None:
        seconds = min(token.expires_in, subject_lives) - SKEW
        if seconds <= 0:
            self._kept.pop(key, None)
            return
        # What ends with the subject token cannot be replaced by anything that lives longer.
        is_last = subject_lives <= token.expires_in + SKEW
        refresh_at = math.inf if is_last else asked.monotonic + REFRESH_AT * seconds
        self._set(self._kept, key, Kept(token, asked.plus(seconds), refresh_at))

    def _postpone(self, key: Key, now: Instant, retry_after: float | None) -> None:
        kept = self._kept.get(key)
        if kept is not None:
            kept.refresh_at = now.monotonic + max(AGAIN_AFTER, retry_after or 0)

    def _set(self, values: "OrderedDict[Key, T]", key: Key, value: T) -> None:
        values[key] = value
        values.move_to_end(key)
        if len(values) > self.size:
            values.popitem(last=False)


def expires(token: str) -> float:
    """When *token* ends by what it says itself, unverified; infinite where it says nothing."""
    try:
        _, payload, _ = token.split(".")
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        moment = claims["exp"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return math.inf
    if isinstance(moment, bool) or not isinstance(moment, int | float):
        return math.inf
    # Within what a float can hold: an integer may have any length.
    seconds = float(max(min(moment, _END_OF_TIME), -_END_OF_TIME))
    return math.inf if math.isnan(seconds) else seconds
