"""Sealing: safe in a segment first, then dropped from the store; nothing twice, nothing in part."""

import errno
import json
import os
import stat
from base64 import b64decode
from itertools import count, islice

import pytest

from delegation.audit import draft
from delegation.audit.chain import START, Heads
from delegation.audit.note import SignerKey
from delegation.audit.seal import NotOurs
from delegation.audit.segments import Damaged, Directory, Trail
from delegation.audit.verify import verify
from delegation.domain.errors import Unavailable
from delegation.domain.ports import StoredEvent
from tests.audit.trails import (
    BEGAN,
    EPOCH,
    KEY,
    NAME,
    Source,
    a_sealer,
    a_source,
    a_trail,
    an_event,
    ids_of,
    lines_of,
    records_of,
)

STREAM = (0, "events")


@pytest.fixture(name="directory")
def _directory(tmp_path):
    """Where the segments go; not there yet."""
    return tmp_path / "audit" / "here"


def sealed(source, directory, **changes):
    """Seal all that stands there; how many records each segment has. It verifies."""
    found = list(a_sealer(source, directory, **changes)())
    verify(Directory(directory), [KEY.verifier])
    return [one.records for one in found]


def test_events_become_records_with_ids_of_their_own(directory):
    """Each says which event it is, when it was recorded, and what it was."""
    source = a_source(1, 2)

    assert sealed(source, directory) == [2]

    assert source.left == 0
    first = records_of(directory)[0]
    assert first.pop("seal")
    assert first == {
        "id": f"{EPOCH}:0:events:1",
        "at": "2026-11-20T12:00:01.000Z",
        "event": {"version": 1, "type": "exchange", "decision": "0f-1"},
    }
    assert sealed(source, directory) == []


def test_a_segment_ends_with_its_checkpoint(directory):
    """It says whose trail it is, how long, its last seal, and what the segment follows."""
    trail = Trail(a_trail(directory, [{}, {}], [{}]))

    first, second = trail.ending(1), trail.ending(2)

    assert first.note.startswith(f"{NAME}\n2\n")
    assert second.note.startswith(f"{NAME}\n3\n{records_of(directory)[-1]['seal']}\nsegment 2\n")
    assert second.checkpoint.previous == first.checkpoint.digest
    assert second.heads == {EPOCH: {"events": {"0": 3}}}
    assert second.checkpoint.earliest == second.checkpoint.latest == "2026-11-20T12:00:03.000Z"


def test_nobody_else_may_read_them(directory):
    """Files are the owner's alone, and so is the directory, if it is ours."""
    before = os.umask(0)
    sealed(a_source(1), directory)
    os.umask(before)

    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()} == {0o600}


def test_the_disk_comes_first(directory, monkeypatch):
    """Written, synchronised, its name synchronised, and only then dropped from the store."""
    source, real = a_source(1, 2), os.fsync

    def fsync(descriptor):
        kind = "name" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "content"
        source.log.append((kind,))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)

    sealed(source, directory)

    assert source.log == [
        ("name",),  # of the new directory
        ("name",),  # of what was there: another may have made it a moment ago
        ("content",),
        ("name",),
        ("trim", 0, "events", 2),
        ("settle",),
    ]


def test_what_settling_writes_is_sealed_too(directory):
    """Counts of what was suppressed are written last, and come with the same run."""
    source = a_source(1)
    source.before = lambda verb: (
        source.stood[STREAM].append(an_event(2)) if verb == "settle" else None
    )

    assert sealed(source, directory) == [1, 1]


def test_more_than_one_page_and_more_than_one_segment(directory, monkeypatch):
    """A segment is as large as memory allows, and no stream waits for the others for ever."""
    monkeypatch.setattr(draft, "_MOST", 2500)
    source = a_source(*range(1, 2001), streams=3)

    assert sealed(source, directory) == [3000, 3000]

    assert len(set(ids_of(directory))) == 6000
    assert source.left == 0


def test_a_full_segment_lets_another_stream_come_first(directory, monkeypatch):
    """What fills faster than it is sealed keeps nothing else from being sealed."""
    monkeypatch.setattr(draft, "_MOST", 2)
    source = a_source(1, 2, streams=3)
    numbers = count(3)

    def more(verb):
        if verb == "read":
            source.stood[0, "events"] += [an_event(next(numbers)), an_event(next(numbers))]

    source.before = more

    assert len(list(islice(a_sealer(source, directory)(), 4))) == 4

    assert (source.stood[1, "events"], source.stood[2, "events"]) == ([], [])


def test_records_come_in_order_of_time(directory):
    """Among streams by time; within one by number, whatever the store's clock did."""
    back = BEGAN - 5000
    source = Source(
        {
            (0, "events"): [an_event(1), an_event(2, at=back), an_event(3)],
            (1, "events"): [an_event(1, at=BEGAN + 1500), an_event(2, at=BEGAN + 2500)],
        }
    )

    sealed(source, directory)

    order = ["0:events:1", "0:events:2", "1:events:1", "1:events:2", "0:events:3"]
    assert ids_of(directory) == [f"{EPOCH}:{one}" for one in order]


def test_a_run_that_was_cut_off_before_dropping(directory):
    """What is sealed and still stands in the store is dropped, and never sealed twice."""
    source = a_source(1, 2)
    source.before = lambda verb: 1 / 0 if verb == "trim" else None
    sealer = a_sealer(source, directory)
    with pytest.raises(ZeroDivisionError):
        list(sealer())
    source.before = lambda _: None
    source.stood[STREAM].append(an_event(3))

    assert [one.records for one in sealer()] == [1]

    assert source.left == 0
    assert ids_of(directory) == [f"{EPOCH}:0:events:{number}" for number in (1, 2, 3)]


def test_one_that_was_only_not_dropped(directory):
    """Where nothing is new, no segment is made, and the store is emptied all the same."""
    sealed(a_source(1, 2), directory)
    again = a_source(1, 2)

    assert sealed(again, directory) == []

    assert again.left == 0


def test_a_full_disk_drops_nothing(directory, monkeypatch):
    """What could not be written safely stays in the store, and leaves no trace."""
    source = a_source(1)
    sealer = a_sealer(source, directory)

    real = os.fsync

    def no_space(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            return real(descriptor)
        os.ftruncate(descriptor, os.fstat(descriptor).st_size - 5)
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", no_space)
        with pytest.raises(OSError, match="No space"):
            list(sealer())
    assert source.left == 1
    assert list(directory.iterdir()) == []

    list(sealer())

    assert source.left == 0


def test_a_store_that_goes_away_in_the_middle(directory):
    """Nothing was sealed, and nothing was dropped."""
    source = a_source(1, streams=2)
    reads = iter(range(2))

    def go_away(verb):
        if verb == "read" and next(reads) == 1:
            raise Unavailable("ledger_unreachable")

    source.before = go_away
    with pytest.raises(Unavailable):
        list(a_sealer(source, directory)())

    assert lines_of(directory) == []
    assert source.left == 2


def test_two_sealers_make_no_segment_twice(directory):
    """Who comes second finds it made, drops nothing of its own, and goes on from there."""
    source = a_source(1, 2)
    other = a_sealer(source, directory)
    slow = a_sealer(source, directory)

    def be_overtaken(verb):
        if verb == "read":
            source.before = lambda _: None
            list(other())
            source.stood[STREAM] = [an_event(number) for number in (1, 2, 3)]

    source.before = be_overtaken

    assert [one.records for one in slow()] == [1]

    verify(Directory(directory), [KEY.verifier])
    assert ids_of(directory) == [f"{EPOCH}:0:events:{number}" for number in (1, 2, 3)]
    assert source.left == 0


def test_a_sealer_that_wakes_late(directory, monkeypatch):
    """Between the making of its segment and its naming, all was sealed by another."""
    source = a_source(1, 2)
    slow, other = a_sealer(source, directory), a_sealer(source, directory)
    real = os.link

    def late(draft, name):
        monkeypatch.setattr(os, "link", real)
        list(other())
        real(draft, name)

    monkeypatch.setattr(os, "link", late)

    assert list(slow()) == []

    assert len(lines_of(directory)) == 1
    verify(Directory(directory), [KEY.verifier])
    assert [path.name for path in directory.iterdir()] == ["segment-000000000001.jsonl"]


def test_what_somebody_gave_up_is_cleared_away(directory):
    """A draft that is old is nobody's; a young one may be another sealer's."""
    directory.mkdir(parents=True)
    old, young = directory / ".draft-old", directory / ".draft-young"
    old.touch()
    young.touch()
    os.utime(old, (0, 0))

    sealed(a_source(1), directory)

    assert (old.exists(), young.exists()) == (False, True)


def test_a_draft_that_its_maker_has_just_finished_with(directory, monkeypatch):
    """It is gone between looking and clearing away: nobody misses it."""
    directory.mkdir(parents=True)
    real = type(directory).glob

    def glob(self, pattern):
        return [directory / ".draft-gone", *real(self, pattern)]

    monkeypatch.setattr(type(directory), "glob", glob)

    Directory(directory).prepare()


def test_a_draft_that_was_cleared_away_under_its_maker(directory, monkeypatch):
    """It fails, and the next time is as the first."""
    source, real = a_source(1), os.link
    sealer = a_sealer(source, directory)

    def gone(draft, name):
        draft.unlink()
        real(draft, name)

    with monkeypatch.context() as patched:
        patched.setattr(os, "link", gone)
        with pytest.raises(FileNotFoundError):
            list(sealer())

    assert [one.records for one in sealer()] == [1]


def test_events_that_are_gone_are_a_gap(directory):
    """Whoever took them out of the store, the trail says that they are missing, and which."""
    source = Source({STREAM: [an_event(3), an_event(4), an_event(7)]})

    [one] = a_sealer(source, directory)()

    assert [(gap.first, gap.last) for gap in one.gaps] == [(1, 2), (5, 6)]
    gaps = [record["gap"] for record in records_of(directory) if "gap" in record]
    place = {"epoch": EPOCH, "partition": 0, "stream": "events"}
    assert gaps == [place | {"first": 1, "last": 2}, place | {"first": 5, "last": 6}]
    found = verify(Directory(directory), [KEY.verifier])
    assert (found.gaps, found.missing, found.events) == (2, 4, 3)


def test_a_store_that_was_laid_out_anew(directory):
    """A new epoch is told as such; its numbers begin anew, and no id is given twice."""
    sealed(a_source(1, 2), directory)
    anew = Source({STREAM: [an_event(1, epoch="1a"), an_event(2, epoch="1a")]})

    [one] = a_sealer(anew, directory)()

    assert [(begun.epoch, begun.first) for begun in one.epochs] == [("1a", 1)]
    assert one.gaps == []
    assert ids_of(directory)[2:] == ["1a:0:events:1", "1a:0:events:2"]
    assert verify(Directory(directory), [KEY.verifier]).epochs == 1


def test_a_store_that_lost_its_layout_alone(directory):
    """Its streams go on with their numbers."""
    sealed(a_source(1, 2), directory)
    anew = Source({STREAM: [an_event(3, epoch="1a")]})

    [one] = a_sealer(anew, directory)()

    assert [(begun.epoch, begun.first) for begun in one.epochs] == [("1a", 3)]
    assert one.gaps == []


def test_a_new_epoch_whose_first_events_are_gone(directory):
    """They are missing, and the trail says so."""
    sealed(a_source(1), directory)
    anew = Source({STREAM: [an_event(5, epoch="1a")]})

    [one] = a_sealer(anew, directory)()

    assert [(gap.epoch, gap.first, gap.last) for gap in one.gaps] == [("1a", 1, 4)]


def test_a_store_that_went_back(directory):
    """After a failover, numbers are given away again: both events are kept, told apart."""
    sealed(a_source(1, 2, 3), directory)
    moment = BEGAN + 9000
    back = Source({STREAM: [an_event(1), an_event(2, at=moment), an_event(3, at=moment)]})

    [one] = a_sealer(back, directory)()

    assert back.left == 0
    assert [(begun.epoch, begun.first) for begun in one.epochs] == [("0f.1", 2)]
    assert ids_of(directory)[3:] == ["0f.1:0:events:2", "0f.1:0:events:3"]
    verify(Directory(directory), [KEY.verifier])


def test_a_store_that_went_back_twice(directory):
    """What was sealed in any generation is not sealed again; what was not, is."""
    sealed(a_source(1, 2, 3), directory)
    second, third = an_event(2, at=BEGAN + 8000), an_event(2, at=BEGAN + 9000)
    sealed(Source({STREAM: [second]}), directory)
    back = Source({STREAM: [an_event(1), third, an_event(3, at=BEGAN + 9000)]})

    sealed(back, directory)

    assert sealed(Source({STREAM: [an_event(1), second]}), directory) == []
    assert sealed(Source({STREAM: [an_event(3)]}), directory) == []
    assert ids_of(directory)[3:] == ["0f.1:0:events:2", "0f.2:0:events:2", "0f.2:0:events:3"]


def test_what_was_sealed_long_ago_is_found(directory):
    """However many segments ago: it is dropped, and not sealed again."""
    a_trail(directory, *[[{}]] * 5)
    again = Source({STREAM: [an_event(1), an_event(2)]})

    assert sealed(again, directory) == []

    assert again.left == 0


def test_the_last_segment_is_looked_into_first(directory, monkeypatch):
    """What is not dropped yet was nearly always sealed just now."""
    a_trail(directory, [{}], [{}], [{}])
    read, real = [], Directory.lines

    def lines(self, number):
        read.append(number)
        return real(self, number)

    monkeypatch.setattr(Directory, "lines", lines)

    assert list(a_sealer(Source({STREAM: [an_event(3)]}), directory)()) == []

    assert read == [3]


def test_a_segment_is_read_once_for_all_streams(directory, monkeypatch):
    """Each of them asks what of it is sealed already."""
    streams = [STREAM, (1, "events"), (2, "refusals")]
    sealed(Source({stream: [an_event(1)] for stream in streams}), directory)
    read, real = [], Directory.lines

    def lines(self, number):
        read.append(number)
        return real(self, number)

    monkeypatch.setattr(Directory, "lines", lines)
    again = Source({stream: [an_event(1)] for stream in streams})

    assert list(a_sealer(again, directory)()) == []

    assert (read, again.left) == ([1], 0)


@pytest.mark.parametrize(
    "event",
    [
        b"",
        b"no json",
        b"[]",
        b'{"x":1.5}',
        b'{"x":"\\ud800"}',
        b"\xff",
        b"[" * 9999,
        b'{"x":1e999}',
    ],
    ids=repr,
)
def test_what_is_no_event_is_evidence_all_the_same(directory, event):
    """Whoever wrote it into the store: it is kept byte by byte, and stops nothing."""
    entry = StoredEvent(epoch=EPOCH, number=1, at=BEGAN, event=event)

    [one] = a_sealer(Source({STREAM: [entry, an_event(2)]}), directory)()

    assert [str(event_id) for event_id in one.unreadable] == ["0f:0:events:1"]
    assert b64decode(records_of(directory)[0]["unreadable"]) == event
    assert verify(Directory(directory), [KEY.verifier]).unreadable == 1


@pytest.mark.parametrize("at", [-1, 0, 10**15])
def test_times_that_cannot_be(directory, at):
    """A forged time is put into what can be written."""
    assert sealed(Source({STREAM: [an_event(1, at=at)]}), directory) == [1]


def test_a_trail_of_another_key(directory):
    """It is not gone on with: whoever has that key wrote it."""
    a_trail(directory, [{}])
    source = a_source(1, 2)

    with pytest.raises(NotOurs, match="cannot be trusted"):
        list(a_sealer(source, directory, key=SignerKey.new(NAME))())

    assert source.left == 2


def test_a_new_key_goes_on_where_the_former_one_is_known(directory):
    """A key is replaced, and the trail stays one."""
    a_trail(directory, [{}])
    new = SignerKey.new(NAME)

    list(a_sealer(a_source(1, 2), directory, key=new, former=[KEY.verifier])())

    assert verify(Directory(directory), [KEY.verifier, new.verifier]).segments == 2
    with pytest.raises(Damaged, match="none of the keys"):
        verify(Directory(directory), [KEY.verifier])


def test_a_trail_of_another_name(directory):
    """Two trails do not go into one directory."""
    a_trail(directory, [{}])

    with pytest.raises(NotOurs, match="another trail"):
        list(
            a_sealer(
                a_source(1, 2),
                directory,
                key=SignerKey("other.example/audit", KEY.private),
                former=[KEY.verifier],
            )()
        )


def test_a_trail_whose_end_was_touched(directory):
    """Nothing is sealed after what cannot be believed."""
    a_trail(directory, [{}])
    path = Directory(directory).file(1)
    path.write_bytes(path.read_bytes().replace(b'"events":{"0":1}', b'"events":{"0":9}'))

    with pytest.raises(Damaged, match="heads"):
        list(a_sealer(a_source(1, 2), directory)())

    path.write_bytes(b"".join(lines_of(directory)[0][:-1]))
    with pytest.raises(Damaged, match="does not end with a checkpoint"):
        list(a_sealer(a_source(1, 2), directory)())


def test_the_first_seal_follows_nothing():
    """The chain begins at 32 zero bytes, and no stream is known."""
    assert bytes(32) == START
    assert Heads().written() == {}


def test_lines_are_json(directory):
    """Whatever reads JSON lines can read a segment."""
    a_trail(directory, [{"reason": "Grüße\u2028"}], [{}])

    for line in (line for lines in lines_of(directory) for line in lines):
        json.loads(line)
