"""Rounds: what is compared is measured in turn, and again where others have used the machine."""

import os
import statistics
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from tests.benchmarks.machine import Others

T = TypeVar("T")

DISTURBED = 0.12
"""Cores that others may use meanwhile."""

_AGAIN = 3


@dataclass(slots=True, kw_only=True)
class Rounds:
    """So many rounds, of samples that last so many seconds, with so many live exchanges at most.

    *foreign* are others' cores, each time.
    """

    count: int
    seconds: float
    most_live: int = 1_000_000
    foreign: list[float] = field(default_factory=list)

    def of(self, samples: Mapping[str, Callable[[], T]]) -> dict[str, list[T]]:
        """In each round each of them, every second time from the last to the first."""
        found: dict[str, list[T]] = {name: [] for name in samples}
        for number in range(self.count):
            names = list(samples)
            for name in names if number % 2 == 0 else reversed(names):
                found[name].append(self._undisturbed(samples[name]))
            if sys.stderr.isatty():
                print(f"\r  round {number + 1} of {self.count} ", end="", file=sys.stderr)
        return found

    def _undisturbed(self, sample: Callable[[], T]) -> T:
        """The sample that the fewest cores of others were used in; the first that is good enough"""
        tries: list[tuple[float, T]] = []
        for _ in range(_AGAIN):
            others = Others()
            found = sample()
            tries.append((others(), found))
            if tries[-1][0] <= DISTURBED:
                break
        foreign, best = min(tries, key=lambda one: one[0])
        self.foreign.append(foreign)
        return best

    @property
    def remark(self) -> str:
        """How quiet the machine was."""
        if not self.foreign:
            return "These modes do not look at what others do meanwhile: watch that by yourself."
        quiet = sum(one <= DISTURBED for one in self.foreign)
        share = quiet / len(self.foreign)
        median = statistics.median(self.foreign)
        told = f"Others used {median:.2f} of {os.cpu_count()} cores meanwhile (median)"
        if share == 1:
            return f"{told}: the machine was quiet."
        return f"{told}; {1 - share:.0%} of the samples were disturbed, after {_AGAIN} tries each."
