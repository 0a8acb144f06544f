"""The notation of rate limits, for settings and registry: `600/minute`, or several of these."""

import re
from operator import attrgetter

from delegation.domain.rates import Rate

_ONE = r"[1-9][0-9]{0,9}(?: ?/ ?| per )(?:[1-9][0-9]{0,6} ?)?(?:second|minute|hour|day|month)s?"
PATTERN = rf"{_ONE}(?:[;,] ?{_ONE})*"
"""Stricter than the library is, which takes a stray colon, and 0 minutes for one."""

_LONGEST = 30 * 86_400
_MOST = 1_000_000_000

SHOULD_BE = (
    "a rate such as 600/minute, or several like 10/second; 5000/day, each of another time, of 30 "
    f"days at most, and of no more than {_MOST}"
)


def parse(text: str) -> tuple[Rate, ...]:
    """The rates that *text* says, by their times. Raises `ValueError` where it says none."""
    # Only here: it brings more than a hundred modules, and by itself nothing is limited.
    from limits import parse_many  # noqa: PLC0415

    found = parse_many(text) if re.fullmatch(PATTERN, text, re.ASCII) else []
    rates = tuple(
        sorted((Rate(one.amount, one.get_expiry()) for one in found), key=attrgetter("seconds"))
    )
    times = {rate.seconds for rate in rates}
    if not 0 < len(rates) == len(times) or not all(
        rate.amount <= _MOST and rate.seconds <= _LONGEST for rate in rates
    ):
        raise ValueError(f"must be {SHOULD_BE}")
    return rates


def is_rates(text: str) -> bool:
    """Whether *text* says any."""
    try:
        return bool(parse(text))
    except ValueError:
        return False
