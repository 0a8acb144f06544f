"""The brake and the sampled log by themselves."""

import logging

import pytest
from structlog.testing import capture_logs

from delegation.web.limits import Brake, SampledLog, close_logs, settle_logs, shown
from tests.fakes import HeldClock


def test_window_slides() -> None:
    """The wait ends when the oldest failure is a minute old, and does not grow by trying."""
    clock = HeldClock()
    brake = Brake(clock.seconds, attempts=2)

    waits = []
    for _ in range(6):
        waits.append(brake.failed("192.0.2.1", "calendar-mcp"))
        clock.pass_(seconds=20)

    # Failures count at 0 and 20 seconds; at 60 the first is forgotten, at 80 the second.
    assert waits == [0, 0, 20, 0, 0, 20]


def test_capacity() -> None:
    """What is remembered is bounded; whoever failed last is remembered longest."""
    brake = Brake(HeldClock().seconds, attempts=1, capacity=2)

    brake.failed("192.0.2.1", "a")
    brake.failed("192.0.2.1", "b")
    brake.failed("192.0.2.1", "a")
    brake.failed("192.0.2.1", "c")

    assert brake.failed("192.0.2.1", "a") == 60
    assert brake.failed("192.0.2.1", "b") == 0


def test_names_of_any_length() -> None:
    """A long name costs no more than a short one."""
    brake = Brake(HeldClock().seconds, attempts=1)

    brake.failed("192.0.2.1", "x" * 1000)

    assert brake.failed("192.0.2.1", "x" * 1001) == 60


def test_sampled_log() -> None:
    """So many lines a minute; the next minute says what was left out, once."""
    clock = HeldClock()
    log = SampledLog(clock.seconds, level=logging.WARNING, lines=2)

    with capture_logs() as lines:
        for number in range(4):
            log("knock", number=number)
        clock.pass_(minutes=1)
        log("knock", number=4)
        log("knock", number=5)

    assert [(line["number"], line["suppressed"]) for line in lines] == [
        (0, 0),
        (1, 0),
        (4, 2),
        (5, 0),
    ]
    assert {line["log_level"] for line in lines} == {"warning"}


@pytest.fixture(name="_alone")
def _of_others() -> None:
    """What logs of other tests in this process have left out is said before."""
    close_logs()


@pytest.mark.usefixtures("_alone")
def test_a_count_that_nobody_asks_for() -> None:
    """A flood that has ended leaves its count, once its minute is over, and once."""
    clock = HeldClock()
    log = SampledLog(clock.seconds, level=logging.WARNING, lines=1)
    quiet = SampledLog(clock.seconds, level=logging.ERROR)

    with capture_logs() as lines:
        for _ in range(5):
            log("knock")
        quiet("step")
        settle_logs()
        clock.pass_(minutes=1)
        settle_logs()
        settle_logs()

    assert lines[2:] == [
        {"event": "suppressed", "lines": "knock", "suppressed": 4, "log_level": "warning"}
    ]


@pytest.mark.usefixtures("_alone")
def test_a_count_at_the_end() -> None:
    """Who stops says what they left out, whatever the time."""
    log = SampledLog(HeldClock().seconds, level=logging.WARNING, lines=1)

    with capture_logs() as lines:
        log("knock")
        log("knock")
        close_logs()
        close_logs()

    assert [line["suppressed"] for line in lines] == [0, 1]


def test_shown() -> None:
    """A name in the log is short, and harmless to a terminal."""
    assert shown("a\r\n\x1b[31m\u202eb\\") == "a\\r\\n\\x1b[31m\\u202eb\\\\"
    assert shown("x" * 1000) == "x" * 128
