"""What has changed between two runs, and how sure that is: ranks of rounds, and no distribution."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate

from tests.benchmarks.figures import Figure, Report

LEVEL = 0.99
"""How sure an interval is. There are dozens of figures, so one in twenty would be seen by chance"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A figure before and now. *ratio* is now to before, *low* to *high* is where it may be.

    Where the rounds are too few for the `LEVEL`, the interval has no ends.
    """

    before: Figure
    now: Figure
    ratio: float
    low: float
    high: float
    p: float

    @property
    def verdict(self) -> str:
        """In words."""
        if not math.isfinite(self.high):
            return "too few rounds to tell"
        if self.low <= 1 <= self.high:
            return "no difference shown"
        return "better" if (self.ratio > 1) == self.now.more_is_better else "worse"


def change(before: Figure, now: Figure) -> Change | None:
    """What the rounds of both say; `None` where a ratio means nothing, as what is not above 0.

    The ratio is the median of those of all pairs (Hodges and Lehmann), the interval and *p* are
    those of the rank-sum test (Mann and Whitney), exactly: nothing is assumed of how rounds differ.
    """
    if min(*before.values, *now.values) <= 0:
        return None
    ratios = sorted(new / old for new in now.values for old in before.values)
    outside = _outside(len(before.values), len(now.values))
    greater = sum((ratio > 1) + (ratio == 1) / 2 for ratio in ratios)
    return Change(
        before=before,
        now=now,
        ratio=_middle(ratios),
        low=ratios[outside - 1] if outside else 0,
        high=ratios[-outside] if outside else math.inf,
        p=_p(len(before.values), len(now.values), min(greater, len(ratios) - greater)),
    )


def compared(before: Report, now: Report) -> Iterator[str]:
    """What has changed, for people."""
    then = {**before.machine, **before.settings}
    differing = [
        f"{name}: {was} before, {new} now"
        for name, new in {**now.machine, **now.settings}.items()
        if (was := then.get(name, "nothing")) != new
    ]
    if differing:
        yield "The two runs differ in more than the code:"
        yield from (f"  {line}" for line in differing)
    former = {(figure.group, figure.name, figure.unit): figure for figure in before.figures}
    pairs = [
        (former[key], figure)
        for figure in now.figures
        if (key := (figure.group, figure.name, figure.unit)) in former
    ]
    width = max((len(figure.name) for _, figure in pairs), default=0)
    group = None
    for old, new in pairs:
        if new.group != group:
            group = new.group
            yield f"\n{group}: before, now, ratio and where it is, {LEVEL:.0%} sure"
        yield f"  {new.name:<{width}}  {_told(old, new)}"
    missing = len(now.figures) - len(pairs), len(before.figures) - len(pairs)
    yield f"\nCompared {len(pairs)} figures; {missing[0]} are new, {missing[1]} are no more there."
    yield "Rounds of one run are more alike than two runs: a few per cent need several of each."


def _told(old: Figure, new: Figure) -> str:
    medians = f"{old.median:10.4g} {new.median:10.4g} {new.unit:<5}"
    found = change(old, new)
    if found is None:
        return f"{medians} no ratio"
    if not math.isfinite(found.high):
        return f"{medians} {found.ratio:6.3f}  {found.verdict}"
    interval = f"{found.ratio:6.3f} ({found.low:.3f} to {found.high:.3f})"
    return f"{medians} {interval}  {found.verdict} (p {_rounded(found.p)})"


def _rounded(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _middle(values: Sequence[float]) -> float:
    """The median, in the scale of ratios: that of A to B is the inverse of that of B to A."""
    half = len(values) // 2
    return values[half] if len(values) % 2 else math.sqrt(values[half - 1] * values[half])


def _outside(n: int, m: int) -> int:
    """How many of the ratios of all pairs lie outside of the interval, at each end."""
    seldom = math.comb(n + m, n) * (1 - LEVEL) / 2
    return sum(below <= seldom for below in accumulate(_ways(n, m)))


def _p(n: int, m: int, smaller: float) -> float:
    """How often chance alone parts the rounds so much, or more."""
    ways = _ways(n, m)[: math.floor(smaller) + 1]
    return min(1.0, 2 * sum(ways) / math.comb(n + m, n))


@cache
def _ways(n: int, m: int) -> tuple[int, ...]:
    """In how many orders of *n* and *m* rounds so many pairs have the second greater, from 0 on."""
    if n == 0 or m == 0:
        return (1,)
    # The greatest of all is either of the second, and then greater than all *n*, or of the first.
    ways = [0] * (n * m + 1)
    for greater, count in enumerate(_ways(n, m - 1)):
        ways[greater + n] += count
    for greater, count in enumerate(_ways(n - 1, m)):
        ways[greater] += count
    return tuple(ways)
