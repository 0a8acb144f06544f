"""Rounds: in turn, and again where others have used the machine."""

from collections.abc import Iterator

import pytest

from tests.benchmarks import rounds
from tests.benchmarks.rounds import Rounds


@pytest.fixture(name="foreign")
def _foreign(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What others use at each sample; nothing once that is over."""
    told: list[float] = []

    def others() -> float:
        return told.pop(0) if told else 0.0

    monkeypatch.setattr(rounds, "Others", lambda: others)
    return told


def test_every_second_round_goes_backwards(foreign: list[float]) -> None:
    """So nobody always comes after the same one."""
    assert not foreign
    order: list[str] = []
    samples = {name: lambda name=name: order.append(name) for name in "abc"}

    Rounds(count=2, seconds=0).of(samples)

    assert order == [*"abc", *"cba"]


def test_a_disturbed_sample_is_taken_again(foreign: list[float]) -> None:
    """Until one was quiet."""
    foreign += [1.0, 0.05]
    numbers = _numbers()

    found = Rounds(count=2, seconds=0).of({"a": lambda: next(numbers)})

    assert found == {"a": [2, 3]}


def test_of_disturbed_samples_the_least_disturbed_counts(foreign: list[float]) -> None:
    """And the report says so."""
    foreign += [1.0, 0.4, 0.9]
    numbers = _numbers()
    measured = Rounds(count=1, seconds=0)

    found = measured.of({"a": lambda: next(numbers)})

    assert found == {"a": [2]}
    assert "Others used 0.40" in measured.remark
    assert "100% of the samples were disturbed" in measured.remark


def _numbers() -> Iterator[int]:
    return iter(range(1, 100))
