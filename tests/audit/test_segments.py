"""Reading segments: in order, by time, with the memory of one record; what is none is said."""

import pytest

from delegation.audit.segments import Damaged, Directory, Trail
from tests.audit.trails import EPOCH, Source, a_sealer, a_source, a_trail, an_event

NOON = "2026-11-20T12:00:0"


@pytest.fixture(name="trail")
def _trail(tmp_path):
    """Three segments: of two events, of one, and of three, a second after each other."""
    return Trail(a_trail(tmp_path / "audit", [{}, {}], [{"reason": "x"}], [{}, {}, {}]))


def test_all_records_in_order(trail):
    """Each with its segment, its line there, and its number in the whole trail."""
    records = list(trail.records())

    assert [(one.segment, one.line, one.number) for one in records] == [
        (1, 1, 1),
        (1, 2, 2),
        (2, 1, 3),
        (3, 1, 4),
        (3, 2, 5),
        (3, 3, 6),
    ]
    assert [str(one.id) for one in records] == [f"{EPOCH}:0:events:{n}" for n in range(1, 7)]
    assert records[2].exported() == {
        "version": 1,
        "type": "exchange",
        "decision": "0f-3",
        "reason": "x",
        "id": "0f:0:events:3",
        "at": f"{NOON}3.000Z",
    }


def test_some_segments(trail):
    """They are read alone, and numbered as in the whole."""
    assert [one.number for one in trail.records([3])] == [4, 5, 6]
    assert list(trail.records([])) == []
    assert list(trail.records([4])) == []


@pytest.mark.parametrize(
    ("since", "until", "numbers"),
    [
        (None, None, [1, 2, 3]),
        (f"{NOON}3.000Z", None, [2, 3]),
        (f"{NOON}2.001Z", f"{NOON}4.000Z", [2]),
        (None, f"{NOON}3.000Z", [1]),
        (f"{NOON}6.001Z", None, []),
    ],
)
def test_segments_of_a_time(trail, since, until, numbers):
    """Those that may hold something recorded then, and no others."""
    assert trail.numbers(since=since, until=until) == numbers


def test_what_the_sealer_says_is_no_event(tmp_path):
    """Gaps, new epochs, and what could not be read: nothing that the schema knows."""
    source = Source({(0, "events"): [an_event(2), an_event(1, epoch="1a")]})
    unreadable = an_event(2, epoch="1a")
    source.stood[0, "events"].append(
        type(unreadable)(epoch="1a", number=2, at=unreadable.at, event=b"\xff")
    )
    list(a_sealer(source, tmp_path)())

    gap, _, begun, _, broken = Trail(Directory(tmp_path)).records()

    assert (gap.gap.first, gap.gap.last, begun.epoch.epoch, broken.unreadable) == (
        1,
        1,
        "1a",
        b"\xff",
    )
    assert [one.exported() for one in (gap, begun, broken)] == [{}, {}, {}]


@pytest.mark.parametrize("length", [1 << 14, 1 << 18, (1 << 18) + 1, 1 << 20])
def test_a_last_line_of_any_length(tmp_path, length):
    """It is found from the end, however long it is."""
    segments = Directory(tmp_path)
    line = b"x" * (length - 1) + b"\n"

    for lines in ([line], [b"\n", line], [line, line]):
        segments.file(1).unlink(missing_ok=True)
        assert segments.create(1, lines)
        assert segments.last_line(1) == line


def test_a_last_line_that_never_began(tmp_path):
    """What is too long for a line comes as much of it as a line may be."""
    segments = Directory(tmp_path)
    segments.create(1, [b"x" * ((1 << 24) + 5)])

    assert len(segments.last_line(1)) == 1 << 24


def test_what_is_not_there(tmp_path):
    """It has no lines, and no size."""
    segments = Directory(tmp_path)

    assert segments.numbers() == []
    assert list(segments.lines(1)) == []
    assert (segments.last_line(1), segments.size(1)) == (b"", 0)


def test_what_is_no_segment_is_passed_over(tmp_path):
    """A directory may hold other things."""
    list(a_sealer(a_source(1), tmp_path)())
    for name in ("segment-1.jsonl", "segment-000000000002.jsonl.gz", "README", ".draft-x"):
        (tmp_path / name).touch()

    assert Directory(tmp_path).numbers() == [1]


def test_a_line_that_is_no_record(trail, tmp_path):
    """Whoever only reads is told, too."""
    path = Directory(tmp_path / "audit").file(2)
    path.write_bytes(b"{}\n" + path.read_bytes())

    with pytest.raises(Damaged, match="segment 2, line 1: this is no record: it has no seal"):
        list(trail.records())


def test_a_segment_is_made_once(tmp_path):
    """The second finds the first, and changes nothing."""
    segments = Directory(tmp_path)

    assert segments.create(1, [b"a\n"])
    assert not segments.create(1, [b"b\n"])

    assert list(segments.lines(1)) == [b"a\n"]
    assert [path.name for path in tmp_path.iterdir()] == ["segment-000000000001.jsonl"]
