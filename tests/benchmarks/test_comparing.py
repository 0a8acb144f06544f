"""What has changed between two runs: it is shown where the rounds show it, and not otherwise."""

import math
from dataclasses import replace

import pytest

from tests.benchmarks.comparing import change, compared
from tests.benchmarks.figures import Figure, Report

BEFORE = (100.0, 104.0, 98.0, 101.0, 103.0, 99.0, 102.0)


def a_figure(values: tuple[float, ...], unit: str = "us") -> Figure:
    """Of so many rounds."""
    return Figure("an exchange", "CPU", unit, values)


def a_report(*figures: Figure) -> Report:
    """Of one machine."""
    return Report(machine={"machine": "one"}, settings={"load": "bundled"}, figures=figures)


def test_what_is_slower_in_every_round_is_worse() -> None:
    """And the ratio lies in its interval, which does not reach back to 1."""
    found = change(a_figure(BEFORE), a_figure(tuple(value * 1.2 for value in BEFORE)))

    assert found is not None
    assert found.verdict == "worse"
    assert 1 < found.low <= found.ratio <= found.high
    assert found.ratio == pytest.approx(1.2)
    # The most extreme of C(14, 7) orders, on both sides.
    assert found.p == pytest.approx(2 / math.comb(14, 7))


def test_more_per_second_is_better() -> None:
    """Of a rate one wants more."""
    found = change(a_figure(BEFORE, "/s"), a_figure(tuple(2 * one for one in BEFORE), "/s"))

    assert found is not None
    assert found.verdict == "better"


def test_the_same_rounds_show_no_difference() -> None:
    """The same figures twice: a ratio of 1, and nothing to see."""
    found = change(a_figure(BEFORE), a_figure(tuple(reversed(BEFORE))))

    assert found is not None
    assert (found.ratio, found.verdict, found.p) == (pytest.approx(1), "no difference shown", 1)


def test_a_difference_within_the_spread_is_not_shown() -> None:
    """A hundredth, where rounds differ by six."""
    found = change(a_figure(BEFORE), a_figure(tuple(value * 1.01 for value in BEFORE)))

    assert found is not None
    assert found.verdict == "no difference shown"
    assert found.low < 1 < found.high


@pytest.mark.parametrize("rounds", [1, 4])
def test_few_rounds_tell_nothing(rounds: int) -> None:
    """Four of each come in a certain order once in 35 times by chance alone."""
    few = BEFORE[:rounds]

    found = change(a_figure(few), a_figure(tuple(value * 9 for value in few)))

    assert found is not None
    assert found.verdict == "too few rounds to tell"


def test_five_rounds_can_tell() -> None:
    """It is the least that can: once in 126 times."""
    found = change(a_figure(BEFORE[:5]), a_figure(tuple(value * 2 for value in BEFORE[:5])))

    assert found is not None
    assert found.verdict == "worse"


def test_turned_round_a_change_is_its_inverse() -> None:
    """It does not matter which of the two is called the former."""
    now = tuple(value * 1.1 for value in reversed(BEFORE[1:]))

    there, back = change(a_figure(BEFORE), a_figure(now)), change(a_figure(now), a_figure(BEFORE))

    assert there is not None
    assert back is not None
    assert there.ratio == pytest.approx(1 / back.ratio)
    assert (there.low, there.high) == (pytest.approx(1 / back.high), pytest.approx(1 / back.low))
    assert there.p == back.p


def test_what_is_not_above_nothing_has_no_ratio() -> None:
    """A cost that came out below nothing is noise."""
    assert change(a_figure((1.0, -1.0)), a_figure((1.0, 1.0))) is None


def test_a_comparison_says_what_else_differs() -> None:
    """Another machine, other figures: nobody shall take that for a change of the code."""
    before = a_report(a_figure(BEFORE), Figure("an exchange", "gone", "us", BEFORE))
    now = replace(a_report(a_figure(BEFORE)), machine={"machine": "another"})

    told = "\n".join(compared(before, now))

    assert "machine: one before, another now" in told
    assert "no difference shown" in told
    assert "Compared 1 figures; 0 are new, 1 are no more there." in told
