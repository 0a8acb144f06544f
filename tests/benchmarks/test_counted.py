"""Counting: what Valgrind says is read, and only where it has got to its end."""

import shutil

import pytest

from tests.benchmarks import counted
from tests.benchmarks.driving import NotGranted
from tests.benchmarks.rounds import Rounds

SAID = """\
==7== Cachegrind, a cache and branch-prediction profiler
{"event": "loaded"}
==7== I   refs:      5,916,737,620
==7== I1  misses:       71,805,406
==7== LLi misses:        2,009,522
==7== I1  miss rate:          1.21%
==7== D   refs:      2,838,172,411  (1,838,172,411 rd   + 999,999,999 wr)
==7== D1  misses:       55,041,157  (   46,547,861 rd   +   8,493,296 wr)
==7== LLd misses:       10,438,291  (    8,009,872 rd   +   2,428,419 wr)
"""


def test_what_valgrind_says() -> None:
    """Each count by its name."""
    found = counted.counts(SAID)

    assert [found[name] for name in counted.NAMES] == [
        5_916_737_620,
        71_805_406,
        55_041_157,
        2_009_522,
        10_438_291,
    ]


def test_a_run_that_did_not_get_there() -> None:
    """What it said instead is why nothing was measured."""
    with pytest.raises(NotGranted, match="it was refused"):
        counted.counts("it was refused: 400 BAD REQUEST")


def test_without_valgrind(monkeypatch: pytest.MonkeyPatch) -> None:
    """That is said, and nothing is made up."""
    monkeypatch.setattr(counted, "_VALGRIND", None)

    with pytest.raises(NotGranted, match="no valgrind"):
        [*counted.figures(Rounds(count=1, seconds=1))]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(shutil.which("valgrind") is None, reason="there is no valgrind on the path")
def test_an_exchange_is_counted() -> None:
    """More than the curve alone takes, and each figure is there."""
    found = {one.name: one.median for one in counted.figures(Rounds(count=1, seconds=1))}

    assert found["instructions"] > 500_000
    assert {*found} == {*counted.NAMES.values()}
