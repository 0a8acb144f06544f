"""What is read from files stays current, and what cannot be read changes nothing."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from delegation.watch import SETTLE, Watched, sight


class HeldClock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """The time."""
        return self.now


@pytest.fixture(name="clock")
def _clock() -> HeldClock:
    return HeldClock()


@pytest.fixture(name="file")
def _file(tmp_path: Path) -> Path:
    path = tmp_path / "value"
    path.write_text("1")
    return path


def watched(path: Path, clock: HeldClock, load: Callable[[], int] | None = None) -> Watched[int]:
    """The number in a file."""
    return Watched(
        "number",
        look=lambda: sight(path),
        load=load or (lambda: int(path.read_text())),
        describe=str,
        clock=clock,
    )


def settle(value: Watched[int], clock: HeldClock) -> None:
    """Let it look, wait until nothing can be being written any more, and look again."""
    value.check()
    clock.now += SETTLE
    value.check()


def test_a_change_is_read_once_it_stands_still(file: Path, clock: HeldClock) -> None:
    """A file that somebody may still be writing is left alone for a second."""
    value = watched(file, clock)

    file.write_text("22")
    value.check()
    before = value()
    settle(value, clock)

    assert (before, value()) == (1, 22)


def test_every_further_change_begins_the_second_anew(file: Path, clock: HeldClock) -> None:
    """As long as files keep changing, none of them is believed."""
    value = watched(file, clock)

    for length in range(2, 6):
        file.write_text("7" * length)
        value.check()
        clock.now += SETTLE / 2
        value.check()

    assert value() == 1


def test_a_swapped_link_is_read_at_once(tmp_path: Path, clock: HeldClock) -> None:
    """A swap is one step, and whole: there is nothing to wait for."""
    for version in ("1", "2"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "value").write_text(version)
    link, following = tmp_path / "link", tmp_path / "following"
    link.symlink_to(tmp_path / "1")
    following.symlink_to(tmp_path / "2")
    value = Watched(
        "number",
        look=lambda: sight(link),
        load=lambda: int((link / "value").read_text()),
        describe=str,
        clock=clock,
    )

    following.replace(link)
    value.check()

    assert value() == 2


def test_files_mounted_through_a_hidden_link_are_read_at_once(
    tmp_path: Path, clock: HeldClock
) -> None:
    """An orchestrator swaps `..data`, while the directory and the names in it stay."""
    for version in ("1", "2"):
        (tmp_path / f"..{version}").mkdir()
        (tmp_path / f"..{version}" / "value").write_text(version)
    (tmp_path / "..data").symlink_to(tmp_path / "..1")
    (tmp_path / "value").symlink_to(tmp_path / "..data" / "value")
    value = Watched(
        "number",
        look=lambda: sight(tmp_path),
        load=lambda: int((tmp_path / "value").read_text()),
        describe=str,
        clock=clock,
    )

    (tmp_path / "..new").symlink_to(tmp_path / "..2")
    (tmp_path / "..new").replace(tmp_path / "..data")
    value.check()

    assert value() == 2


def test_what_disappears_is_not_a_swap(file: Path, clock: HeldClock) -> None:
    """Between removing a link and making the next there is nothing: that is no state to believe."""
    value = watched(file, clock, load=lambda: int(file.read_text()) if file.exists() else 0)

    file.unlink()
    value.check()
    before = value()
    settle(value, clock)

    assert (before, value()) == (1, 0)


def test_what_cannot_be_read_leaves_the_last_good_value(file: Path, clock: HeldClock) -> None:
    """It is a problem until it is mended, and then it is none."""
    value = watched(file, clock)

    file.write_text("no number")
    settle(value, clock)
    broken = value(), value.problems()
    file.write_text("3333")
    settle(value, clock)

    assert broken == (1, ["number_invalid"])
    assert (value(), value.problems()) == (3333, [])


def test_a_reading_during_which_files_changed_is_not_believed(file: Path, clock: HeldClock) -> None:
    """It may be a mixture of two states; the next reading is of one."""
    texts = iter(["1", "half", "whole"])

    def load() -> int:
        number = len(next(texts))
        if number == len("half"):
            file.write_text("changed meanwhile")
        return number

    value = watched(file, clock, load)
    file.write_text("22")
    settle(value, clock)
    during = value()
    settle(value, clock)

    assert (during, value()) == (len("1"), len("whole"))


def test_the_first_reading_must_succeed(tmp_path: Path, clock: HeldClock) -> None:
    """There is no last good value yet: the caller hears what is wrong."""
    path = tmp_path / "value"
    path.write_text("no number")

    with pytest.raises(ValueError, match="no number"):
        watched(path, clock)


def test_it_looks_by_itself(file: Path) -> None:
    """In a thread of its own, until it is told to stop."""
    value = Watched(
        "number", look=lambda: sight(file), load=lambda: int(file.read_text()), describe=str
    )
    value.watch()

    file.write_text("22")
    deadline = time.monotonic() + 20
    while value() == 1 and time.monotonic() < deadline:
        time.sleep(0.05)
    value.stop()

    assert value() == 22
