"""Rate limits: how many exchanges may be made, of what, within how long; and what is used of them.

By itself nothing is limited. A limit always counts what one client does: what others have left is
never used up by it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain
from math import inf


class Per(StrEnum):
    """What the exchanges of a client are counted together by."""

    CLIENT = "client"  # all of them
    CLIENT_AND_SUBJECT = "client_and_subject"  # those for one root identity
    GRANT = "grant"  # those under one grant


@dataclass(frozen=True, slots=True)
class Rate:
    """At most *amount* in any time of so many *seconds*."""

    amount: int
    seconds: int

    def __str__(self) -> str:
        """In words."""
        return f"{self.amount} in {self.seconds} seconds"


Rates = Mapping[Per, Iterable[Rate]]
"""All rates that are in force; none is, where there is none."""


def together(*several: Iterable[Rate]) -> tuple[Rate, ...]:
    """All of these at once: for each time the least amount."""
    least: dict[int, int] = {}
    for rate in chain(*several):
        least[rate.seconds] = min(rate.amount, least.get(rate.seconds, rate.amount))
    return tuple(Rate(amount, seconds) for seconds, amount in sorted(least.items()))


def lets_more(one: Iterable[Rate], than: Iterable[Rate]) -> bool:
    """Whether *one* may let pass what the other does not, time by time. No rates let all pass."""
    amounts = {rate.seconds: rate.amount for rate in one}
    return any(amounts.get(rate.seconds, inf) > rate.amount for rate in than)


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What is *used* of a rate. *resets_at* is when none of that counts any more, in milliseconds.

    It is `None` where nothing is used.
    """

    per: Per
    rate: Rate
    used: int
    resets_at: int | None

    @property
    def remaining(self) -> int:
        """How many are left now; none where the rate has been lowered below what was used."""
        return max(0, self.rate.amount - self.used)
