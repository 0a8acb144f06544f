"""What is read from files stays current, and what cannot be read changes nothing."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from delegation.lastgood import LastGood
from delegation.watch import INTERVAL, RESTLESS, RETRY, SETTLE, Sighting, Watched, sight


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


@pytest.fixture(name="last_good")
def _last_good() -> Iterator[LastGood]:
    memory = LastGood()
    yield memory
    memory.close()


@pytest.fixture(name="file")
def _file(tmp_path: Path) -> Path:
    path = tmp_path / "value"
    path.write_text("1")
    return path


Watch = Callable[..., Watched[int]]


@pytest.fixture(name="watched")
def _watched(clock: HeldClock, last_good: LastGood) -> Watch:
    """Makes a watched number, of files that were written long before."""

    def watched(path: Path, file: Path | None = None, **changes: Any) -> Watched[int]:
        usual: dict[str, Any] = {
            "look": lambda: sight(path),
            "read": (file or path).read_bytes,
            "parse": int,
            "describe": str,
            "last_good": last_good,
            "clock": clock,
            "wall_clock": lambda: time.time() + 60,
        }
        return Watched("number", **(usual | changes))

    return watched


def settle(value: Watched[int], clock: HeldClock) -> None:
    """Let it look, wait until nothing can be being written any more, and look again."""
    value.check()
    clock.now += SETTLE
    value.check()


def test_a_change_is_read_once_it_stands_still(
    watched: Watch, file: Path, clock: HeldClock
) -> None:
    """A file that somebody may still be writing is left alone for a second."""
    value = watched(file)

    file.write_text("22")
    value.check()
    before = value()
    settle(value, clock)

    assert (before, value()) == (1, 22)


def test_each_reading_is_told(watched: Watch, file: Path, clock: HeldClock) -> None:
    """Whether it was good; and again, each time that what is broken is tried."""
    told: list[bool] = []
    value = watched(file, told=told.append)

    file.write_text("none")
    settle(value, clock)
    clock.now += RETRY
    value.check()
    file.write_text("22")
    settle(value, clock)

    assert told == [True, False, False, True]


def test_every_further_change_begins_the_second_anew(
    watched: Watch, file: Path, clock: HeldClock
) -> None:
    """As long as files keep changing, none of them is believed."""
    value = watched(file)

    for length in range(2, 6):
        file.write_text("7" * length)
        value.check()
        clock.now += SETTLE / 2
        value.check()

    assert value() == 1


@pytest.mark.parametrize("link", ["link", "link/below", "link/below/value"])
def test_a_swapped_link_is_read_at_once(watched: Watch, tmp_path: Path, link: str) -> None:
    """A swap is one step, and whole, wherever in the path the link is: nothing to wait for."""
    for version in ("1", "2"):
        (tmp_path / version / "below").mkdir(parents=True)
        (tmp_path / version / "below" / "value").write_text(version)
    (tmp_path / "link").symlink_to(tmp_path / "1")
    (tmp_path / "following").symlink_to(tmp_path / "2")
    value = watched(tmp_path / link, tmp_path / "link" / "below" / "value")

    (tmp_path / "following").replace(tmp_path / "link")
    value.check()

    assert value() == 2


def test_files_mounted_through_a_hidden_link_are_read_at_once(
    watched: Watch, tmp_path: Path
) -> None:
    """An orchestrator swaps `..data`, while the directory and the names in it stay."""
    for version in ("1", "2"):
        (tmp_path / f"..{version}").mkdir()
        (tmp_path / f"..{version}" / "value").write_text(version)
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "value").symlink_to("..data/value")
    values = [
        watched(tmp_path, tmp_path / "value"),
        watched(tmp_path / "value", last_good=LastGood()),
    ]

    (tmp_path / "..new").symlink_to("..2")
    (tmp_path / "..new").replace(tmp_path / "..data")
    for value in values:
        value.check()

    assert [value() for value in values] == [2, 2]


def test_what_comes_and_goes_is_not_a_swap(
    watched: Watch, tmp_path: Path, clock: HeldClock
) -> None:
    """Where there was or is nothing, somebody is still at it: that is no state to believe."""
    link = tmp_path / "link"
    for version in ("1", "2"):
        (tmp_path / version).write_text(version)
    link.symlink_to("1")
    value = watched(link, read=lambda: link.read_bytes() if link.exists() else b"0")

    link.unlink()
    value.check()
    gone = value()
    link.symlink_to("2")
    value.check()
    there = value()
    settle(value, clock)

    assert (gone, there, value()) == (1, 1, 2)


def test_nothing_is_a_value_too(watched: Watch, file: Path, clock: HeldClock) -> None:
    """What stays away for long enough has been taken away."""
    value = watched(file, read=lambda: file.read_bytes() if file.exists() else b"0")

    file.unlink()
    settle(value, clock)

    assert value() == 0


def test_an_editor_that_writes_by_renaming(watched: Watch, file: Path, clock: HeldClock) -> None:
    """Neither the same length nor the old time of a file hide that it is another one."""
    value = watched(file)
    other = file.with_name(".value.swp")
    other.write_text("2")
    before = file.stat()

    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(file)
    settle(value, clock)

    assert value() == 2


def test_what_cannot_be_read_leaves_the_last_good_value(
    watched: Watch, file: Path, clock: HeldClock, capfd: pytest.CaptureFixture[str]
) -> None:
    """It is a problem and an alarm until it is mended, and then it is none."""
    value = watched(file)

    file.write_text("no number")
    settle(value, clock)
    broken = value(), value.problems()
    alarms = capfd.readouterr().out
    file.write_text("3333")
    settle(value, clock)

    assert broken == (1, ["number_invalid"])
    assert "not_loaded" in alarms
    assert "alarm" in alarms
    assert (value(), value.problems()) == (3333, [])


def test_mending_by_taking_it_back(watched: Watch, file: Path, clock: HeldClock) -> None:
    """What was good before is good again."""
    value = watched(file)

    for text in ("no number", "1"):
        file.write_text(text)
        settle(value, clock)

    assert (value(), value.problems()) == (1, [])


def test_mending_the_rights(watched: Watch, file: Path, clock: HeldClock) -> None:
    """A file that is refused for its rights is read anew when they, and nothing else, change."""

    def read() -> bytes:
        if file.stat().st_mode & 0o007:
            raise ValueError("others have access")
        return file.read_bytes()

    file.chmod(0o600)
    value = watched(file, read=read)
    file.write_text("22")
    file.chmod(0o604)
    settle(value, clock)
    refused = value(), value.problems()
    file.chmod(0o600)
    settle(value, clock)

    assert refused == (1, ["number_invalid"])
    assert (value(), value.problems()) == (22, [])


def test_what_mends_itself(
    watched: Watch, file: Path, clock: HeldClock, capfd: pytest.CaptureFixture[str]
) -> None:
    """What failed for another reason than the files is tried again, and said once."""
    contents: list[bytes | OSError] = [b"1", OSError("a limit"), OSError("a limit"), b"22"]

    def read() -> bytes:
        content = contents.pop(0)
        if isinstance(content, OSError):
            raise content
        return content

    value = watched(file, read=read)
    file.touch()
    settle(value, clock)
    failed = value.problems()
    for _ in range(2):
        clock.now += RETRY
        value.check()

    assert failed == ["number_invalid"]
    assert (value(), value.problems()) == (22, [])
    assert capfd.readouterr().out.count("not_loaded") == 1


def test_files_that_never_stand_still(watched: Watch, file: Path, clock: HeldClock) -> None:
    """Nothing of them is ever read: somebody must hear of it."""
    value = watched(file)

    length = 2
    while clock.now <= RESTLESS:
        assert value.problems() == []
        file.write_text("7" * length)
        value.check()
        clock.now += SETTLE / 2
        length += 1
    restless = value.problems()
    settle(value, clock)

    assert restless == ["number_restless"]
    assert value.problems() == []


def test_a_reading_during_which_files_changed_is_not_believed(
    watched: Watch, file: Path, clock: HeldClock
) -> None:
    """It may be a mixture of two states; the next reading is of one."""
    contents = [b"1", b"5", b"22"]

    def read() -> bytes:
        content = contents.pop(0)
        if content == b"5":
            file.write_text("changed meanwhile")
        return content

    value = watched(file, read=read)
    file.touch()
    settle(value, clock)
    during = value()
    settle(value, clock)

    assert (during, value()) == (1, 22)


def test_the_first_reading_must_succeed(watched: Watch, file: Path) -> None:
    """There is no last good value yet: the caller hears what is wrong."""
    file.write_text("no number")

    with pytest.raises(ValueError, match="no number"):
        watched(file)


def test_the_first_reading_waits_until_files_stand_still(
    watched: Watch, file: Path, clock: HeldClock
) -> None:
    """Whoever starts while somebody writes does not begin with one half of it."""
    file.write_text("half")
    looks = 0

    def look() -> Sighting:
        nonlocal looks
        looks += 1
        if looks == 2:
            file.write_text("22")
        clock.now += SETTLE / 2
        return sight(file)

    value = watched(file, look=look, wall_clock=time.time)

    assert value() == 22
    assert looks > 3


@pytest.mark.parametrize("text", ["no number", "1"])
def test_one_that_starts_later_runs_what_the_others_run(
    watched: Watch, file: Path, clock: HeldClock, text: str
) -> None:
    """Where the files are broken meanwhile, it is what was good when they were last read."""
    first = watched(file)

    file.write_text(text)
    later = watched(file)
    begun = later()
    file.write_text("22")
    settle(first, clock)
    settle(later, clock)

    assert begun == 1
    assert (first(), first.problems()) == (later(), later.problems()) == (22, [])


def test_one_that_starts_later_says_what_is_wrong(watched: Watch, file: Path) -> None:
    """It serves, and is not ready, as its siblings are."""
    watched(file)
    file.write_text("no number")

    later = watched(file)

    assert (later(), later.problems()) == (1, ["number_invalid"])


def test_one_that_starts_while_somebody_writes(
    watched: Watch, file: Path, clock: HeldClock
) -> None:
    """It begins with what the others still run, and changes when they do."""
    watched(file)

    file.write_text("22")
    later = watched(file, wall_clock=time.time)
    begun = later()
    clock.now += SETTLE
    later.check()

    assert (begun, later()) == (1, 22)


def test_it_looks_by_itself(watched: Watch, file: Path) -> None:
    """In a thread of its own, which nothing ends but being told to stop."""
    looks = 0

    def look() -> Sighting:
        nonlocal looks
        looks += 1
        if looks == 4:
            raise RecursionError("cannot look")
        return sight(file)

    value = watched(file, look=look, clock=time.monotonic)
    value.watch()
    before = threading.active_count()

    deadline = time.monotonic() + 20
    while not value.problems() and time.monotonic() < deadline:
        time.sleep(INTERVAL / 5)
    unseen = value.problems()
    file.write_text("22")
    while value() == 1 and time.monotonic() < deadline:
        time.sleep(INTERVAL / 5)
    value.stop()

    assert unseen == ["number_invalid"]
    assert (value(), value.problems()) == (22, [])
    assert threading.active_count() == before - 1


def test_links_in_a_circle(tmp_path: Path) -> None:
    """They are looked at once, and not for ever."""
    below = tmp_path / "below"
    below.mkdir()
    for name in "abcdefgh":
        (below / name).symlink_to(tmp_path)
    (tmp_path / "self").symlink_to("self")

    began = time.monotonic()
    sighting = sight(tmp_path)

    assert len(sighting.state) == 2 + 8
    assert time.monotonic() - began < 5


def test_a_place_that_leads_nowhere(tmp_path: Path) -> None:
    """A link to itself is nothing, and nobody knows since when."""
    (tmp_path / "self").symlink_to("self")

    sighting = sight(tmp_path / "self")

    assert sighting.place is None
    assert sighting.changed_at > time.time()
