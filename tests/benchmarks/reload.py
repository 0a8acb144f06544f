"""What a reload costs those who call meanwhile: `python -m tests.benchmarks.reload [grants]`.

The registry changes all the time in every other round, by swaps and plain writes in turn.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

from tests.integration.conftest import endpoint_of
from tests.resilience.conftest import behind_a_link
from tests.resilience.load import load, revisions, wait_until
from tests.resilience.states import States
from tests.world import TestWorld

ROUNDS = 3
SECONDS = 10.0
CHANGES = 20
"""More than there can be in a round: their files are written beforehand."""


def main(grants: int) -> None:
    """Run, and print what was measured."""
    with (
        tempfile.TemporaryDirectory(prefix="delegation-bench-") as directory,
        behind_a_link(Path(directory)) as (world, states),
    ):
        states.add(grants)
        for number in range(1, ROUNDS * CHANGES):
            states.prepare(number)
        numbers = count(1)
        without: list[float] = []
        meanwhile: list[float] = []
        for _ in range(ROUNDS):
            without += _round(world, "no changes  ", lambda: time.sleep(0.1))
            meanwhile += _round(
                world, "all the time", lambda: _change(world, states, next(numbers))
            )
    print(f"  p99 of all rounds, to that without changes: {_p99(meanwhile) / _p99(without):.1f}")


def _round(world: TestWorld, name: str, act: Callable[[], None]) -> list[float]:
    """What each exchange took, in milliseconds."""
    endpoint = endpoint_of(world)
    acts, until = 0, time.monotonic() + SECONDS
    with load(lambda: endpoint.exchange(scope=None)) as found:
        while time.monotonic() < until:
            act()
            acts += 1
    took = sorted(one.took * 1000 for one in found.outcomes)
    failed = len(took) - found.count(200)
    print(
        f"  {name}  {len(took)} exchanges, {failed} failed, p50 {took[len(took) // 2]:.1f} "
        f"p99 {_p99(took):.1f} max {took[-1]:.1f} ms" + f", {acts} changes" * ("all" in name)
    )
    return took


def _p99(took: list[float]) -> float:
    return sorted(took)[len(took) * 99 // 100]


def _change(world: TestWorld, states: States, number: int) -> None:
    revision = (states.write if number % 2 else states.swap)(number)
    wait_until(lambda: revisions(world) == {revision})


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
