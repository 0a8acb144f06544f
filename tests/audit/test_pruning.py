"""Retention: what is old goes, what remains verifies, and no stop loses its evidence."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delegation.audit.note import SignerKey
from delegation.audit.pruning import Pruning, Rewritten, prune, pruning, read_kept
from delegation.audit.reading import Reader
from delegation.audit.segments import Directory, Trail
from delegation.audit.verify import CannotVerify, verify
from delegation.domain.evidence import EventFilter
from tests.audit.trails import BEGAN, KEY, NAME, InMemory, a_sealer, a_source, a_trail, an_event

NOW = datetime.fromtimestamp(BEGAN / 1000, UTC) + timedelta(days=500)
LOCK = {
    "type": "lock",
    "lock": "7-lock",
    "target": {"kind": "everything", "names": []},
    "reason": "test",
    "author": "carol",
    "parents": False,
    "since_login": False,
}
LIFT = {"type": "lift", "lock": "7-lock", "mistaken": False}


def at(second: float) -> datetime:
    """So long after the first event of a trail was due."""
    return datetime.fromtimestamp(BEGAN / 1000 + second, UTC)


def found(segments: Directory, before: datetime = NOW, **options: Any) -> Pruning:
    """What can be dropped."""
    return pruning(segments, **({"before": before, "kept": [], "now": NOW} | options))


def test_what_remains_verifies(tmp_path: Path) -> None:
    """The first that remains goes on from the checkpoint of the last that was dropped."""
    segments = a_trail(tmp_path, [{}], [{}], [{}], [{}])

    prune(segments, found(segments, at(2.5)))

    assert segments.numbers() == [2, 3, 4]
    assert Trail(segments).begins() == 3
    held = verify(segments, [KEY.verifier], since=3)
    assert (held.first, held.segments) == (3, 2)
    ids = [one.event["id"] for one in Reader(None, segments).events(EventFilter()) if one.event]
    assert ids == ["0f:0:events:3", "0f:0:events:4"]
    assert found(segments, at(2.5)) == Pruning()


def test_a_segment_that_is_old_in_part_stays(tmp_path: Path) -> None:
    """Whole segments go, or nothing of them."""
    segments = a_trail(tmp_path, [{}, {}], [{}], [{}])

    assert found(segments, at(1.5)) == Pruning()
    assert found(segments, at(2.5)) == Pruning(anchor=1)


def test_the_last_segment_stays(tmp_path: Path) -> None:
    """However old it is: the sealer goes on from it."""
    segments = a_trail(tmp_path, [{}], [{}])
    prune(segments, found(segments))

    source = a_source()
    source.stood[0, "events"] = [an_event(3)]
    list(a_sealer(source, segments)())

    assert verify(segments, [KEY.verifier], since=2).segments == 2
    assert found(a_trail(tmp_path / "one", [{}])) == Pruning()


def test_pruned_again_and_interrupted(tmp_path: Path) -> None:
    """The same again completes it; later more can go."""
    segments = a_trail(tmp_path, *([{}] for _ in range(6)))
    whole = segments.file(1).read_bytes()
    prune(segments, found(segments, at(3.5)))
    segments.file(1).write_bytes(whole)

    prune(segments, found(segments, at(3.5)))
    assert segments.numbers() == [3, 4, 5, 6]
    prune(segments, found(segments, at(4.5)))

    assert segments.numbers() == [4, 5, 6]
    assert verify(segments, [KEY.verifier], since=Trail(segments).begins()).segments == 2


def test_a_checkpoint_that_was_kept(tmp_path: Path) -> None:
    """It goes on to verify; one that does not now stops all."""
    segments = a_trail(tmp_path, [{}], [{}], [{}], [{}])
    note = Trail(segments).ending(2).note
    others = SignerKey.new(NAME)
    other = a_trail(tmp_path / "other", [{}], [{"x": 1}], key=others)

    plan = found(segments, kept=[read_kept(note)])
    prune(segments, plan)

    assert plan.anchor == 2
    assert verify(segments, [KEY.verifier], kept=[note], since=3).segments == 2
    for rewritten in (other, Directory(tmp_path / "other")):
        with pytest.raises(Rewritten, match="segment 2"):
            found(segments, kept=[read_kept(Trail(rewritten).ending(2).note)])


def test_an_older_checkpoint_tells_that_something_was_dropped(tmp_path: Path) -> None:
    """Who has kept it is not told that all is whole."""
    segments = a_trail(tmp_path, [{}], [{}], [{}])
    note = Trail(segments).ending(1).note
    prune(segments, found(segments))

    with pytest.raises(CannotVerify, match="before the first"):
        verify(segments, [KEY.verifier], kept=[note], since=3)


@pytest.mark.parametrize(
    ("acts", "anchor"),
    [
        ([LOCK], 1),
        ([LOCK | {"ends_at": BEGAN + 1000 * 86_400 * 600}], 1),
        ([LOCK | {"ends_at": BEGAN + 1}], 4),
        ([LOCK, LIFT], 4),
        ([LOCK, LIFT | {"mistaken": True}], 4),
        ([LIFT], 4),
        ([{"detail": {"type": "lock"}}], 4),
    ],
    ids=["stands", "ends later", "has ended", "lifted", "mistaken", "lift alone", "looks like one"],
)
def test_the_evidence_of_a_lock_stays(tmp_path: Path, acts: Any, anchor: int) -> None:
    """As long as it stops something: without its event nobody could put it again."""
    events: list[Any] = [{}, *acts, {}, {}, {}]
    segments = a_trail(tmp_path, *([event] for event in events[:5]))

    plan = found(segments)

    assert plan.anchor == anchor
    assert plan.lock == (None if anchor > 1 else "7-lock")


def test_a_lock_in_the_first_segment(tmp_path: Path) -> None:
    """Nothing goes, and why is said; so is nothing where there is none."""
    segments = a_trail(tmp_path, [LOCK], [{}], [{}])

    plan = found(segments)
    prune(segments, plan)

    assert plan == Pruning(lock="7-lock")
    assert segments.numbers() == [1, 2, 3]
    assert pruning(InMemory(), before=NOW, kept=[], now=NOW) == Pruning()


def test_a_lock_in_what_stays_anyway(tmp_path: Path) -> None:
    """It keeps nothing from going that is before it."""
    segments = a_trail(tmp_path, [{}], [{}], [LOCK])

    assert found(segments) == Pruning(dropped=(1,), anchor=2)


@given(millisecond=st.integers(0, 8000), many=st.integers(1, 6))
def test_nothing_that_is_young_enough_goes(millisecond: int, many: int) -> None:
    """Every event from then on is still there, whatever that is."""
    second = millisecond / 1000
    source, segments = a_source(), InMemory()
    for number in range(1, many + 1):
        source.stood[0, "events"].append(an_event(number))
        list(a_sealer(source, segments)())

    plan = pruning(segments, before=at(second), kept=[], now=NOW)

    gone = {*plan.dropped, plan.anchor} - {None}
    assert gone == {number for number in range(1, many) if number < second and gone}
