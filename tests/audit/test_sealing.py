"""Sealing from time to time: what fails is tried again, and the log says what is wrong."""

import errno
from threading import Event

import pytest
from structlog.testing import capture_logs

from delegation.audit.seal import NotOurs
from delegation.audit.sealing import keep_sealing
from delegation.domain.errors import Unavailable
from tests.audit.trails import (
    BEGAN,
    InMemory,
    Source,
    a_sealer,
    a_source,
    an_event,
)


def kept_going(*rounds):
    """What the log says while each of *rounds* is done in turn, and then the end."""
    stopped, left = Event(), list(rounds)

    def seal():
        one = left.pop(0)
        if not left:
            stopped.set()
        yield from one()

    with capture_logs() as logs:
        keep_sealing(seal, interval=0, stopped=stopped)
    return logs


def test_what_was_sealed_is_said():
    """Each segment: how many records, the head, and how old the oldest event was."""
    sealer = a_sealer(a_source(1, 2), InMemory())

    [line] = kept_going(sealer)

    head = line.pop("head")
    assert len(head) == 44
    assert line == {
        "event": "sealed",
        "log_level": "info",
        "segment": 1,
        "records": 2,
        "size": 2,
        "lag_ms": 0,
    }


def test_several_segments_of_one_round():
    """What came while it sealed is sealed, too."""
    source = a_source(1)
    source.before = lambda verb: (
        source.stood[0, "events"].append(an_event(2)) if verb == "settle" else None
    )

    assert [line["segment"] for line in kept_going(a_sealer(source, InMemory()), list)] == [1, 2]


def test_how_late_it_was():
    """The lag is the age of the oldest event of a segment."""
    sealer = a_sealer(Source({(0, "events"): [an_event(1, at=BEGAN - 4000)]}), InMemory())

    [line] = kept_going(sealer)

    assert line["lag_ms"] == 5000


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (Unavailable("ledger_unreachable"), {"problem": "ledger_unreachable"}),
        (
            OSError(errno.ENOSPC, "No space left on device"),
            {"problem": "disk", "detail": "No space left on device"},
        ),
    ],
    ids=["store", "disk"],
)
def test_what_is_out_of_reach_is_tried_again(error, said):
    """The store or the disk: said, and sealed the next time."""

    def fail():
        raise error

    failed, sealed = kept_going(fail, a_sealer(a_source(1), InMemory()))

    assert failed == {"event": "not_sealed", "log_level": "error"} | said
    assert sealed["event"] == "sealed"


def test_what_does_not_mend_itself_ends_it():
    """A trail that is not ours is nothing to wait for."""

    def fail():
        raise NotOurs

    with pytest.raises(NotOurs):
        kept_going(fail)


def test_what_somebody_should_look_at():
    """Events that are missing or unreadable are alarms; a store that began anew is a warning."""
    source = a_source(2)
    source.stood[0, "events"] += [an_event(3, epoch="1a")]
    broken = an_event(4, epoch="1a")
    source.stood[0, "events"].append(type(broken)(epoch="1a", number=4, at=BEGAN, event=b"?"))

    _, *lines = kept_going(a_sealer(source, InMemory()))

    place = {"partition": 0, "stream": "events"}
    assert lines == [
        {"event": "alarm", "log_level": "error", "cause": "events_missing", "epoch": "0f"}
        | place
        | {"first": 1, "last": 1},
        {"event": "epoch_begun", "log_level": "warning", "epoch": "1a", "first": 3} | place,
        {
            "event": "alarm",
            "log_level": "error",
            "cause": "event_unreadable",
            "id": "1a:0:events:4",
        },
    ]


def test_where_nothing_happens_nothing_is_said():
    """However often it looks."""
    sealer = a_sealer(a_source(), InMemory())

    assert kept_going(sealer, sealer, sealer) == []


def test_who_is_told_to_stop_finishes_the_segment():
    """And begins no other."""
    stopped = Event()
    source = a_source(1)
    source.before = lambda verb: stopped.set() if verb == "trim" else None

    with capture_logs() as logs:
        keep_sealing(a_sealer(source, InMemory()), interval=3600, stopped=stopped)

    assert [line["event"] for line in logs] == ["sealed"]
    assert ("settle",) not in source.log
