"""Draining: first safe on disk, then dropped from the store; never missing, never in part."""

import errno
import json
import os
import stat
from datetime import datetime
from fcntl import LOCK_EX, flock
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from delegation.audit import drain as module
from delegation.audit.drain import AlreadyDraining, Drain
from delegation.audit.events import Events, schema
from delegation.domain.errors import Cause, NotPermitted, Unavailable
from delegation.domain.locks import EVERYTHING
from delegation.domain.ports import StoredEvent
from delegation.ledger.layout import initialize
from delegation.ledger.ledger import Limits, RedisLedger
from tests.parties import ALICE, CALENDAR_MCP, a_case
from tests.valkey import PARTITIONS, decide, decide_next, put

VALIDATOR = Draft202012Validator(schema())
HOME = PARTITIONS.of(ALICE).number


class RecordingSource:
    """Two streams in memory, which write down what was done to them, and what the disk had then."""

    def __init__(self, directory: Path, *, events: int = 3) -> None:
        self.directory = directory
        self.log: list[tuple[object, ...]] = []
        self.stood = {
            (0, "events"): [self.event(number) for number in range(1, events + 1)],
            (0, "refusals"): [self.event(1)],
        }
        self.suppressed = [self.event(2)]

    @staticmethod
    def event(number: int) -> StoredEvent:
        """An event of this number."""
        at = 1_795_000_000_123
        return StoredEvent(
            epoch="0f", number=number, at=at, event=b'{"type":"x","count":%d}' % number
        )

    def streams(self):
        """Both of them."""
        return iter(self.stood)

    def settle(self):
        """One more refusal, once."""
        self.log.append(("settle",))
        self.stood[0, "refusals"] += self.suppressed
        self.suppressed = []

    def read(self, partition, stream, *, count):
        """What stands there."""
        return self.stood[partition, stream][:count]

    def trim(self, partition, stream, *, through):
        """Drop, and remember how many lines were on disk by then."""
        self.log.append(("trim", stream, through, len(lines(self.directory))))
        left = [event for event in self.stood[partition, stream] if event.number > through]
        self.stood[partition, stream] = left


def lines(directory):
    """What is in the files, oldest first; every line is whole."""
    texts = [path.read_text() for path in sorted(directory.glob("events-*.jsonl"))]
    assert all(text.endswith("\n") for text in texts if text)
    return [json.loads(line) for text in texts for line in text.splitlines()]


def ids(directory):
    """The ids that are there."""
    return [line["id"] for line in lines(directory)]


ALL_IDS = ["0f:0:events:1", "0f:0:events:2", "0f:0:events:3", "0f:0:refusals:1", "0f:0:refusals:2"]


@pytest.fixture(name="directory")
def _directory(tmp_path):
    """Where the files go; not there yet."""
    return tmp_path / "audit" / "here"


@pytest.fixture(name="source")
def _source(directory):
    return RecordingSource(directory)


@pytest.fixture(name="drain")
def _drain(source, directory):
    return Drain(source=source, directory=directory)


def test_events_become_lines_with_ids_of_their_own(drain, directory):
    """Each line says which event it is and when it was recorded."""
    assert drain() == 5

    assert ids(directory) == ALL_IDS
    assert lines(directory)[0] == {
        "id": "0f:0:events:1",
        "at": "2026-11-18T11:06:40.123Z",
        "type": "x",
        "count": 1,
    }
    assert drain() == 0
    assert ids(directory) == ALL_IDS


def test_nobody_else_may_read_them(drain, directory):
    """Files are the owner's alone, and so is the directory, if it is ours."""
    before = os.umask(0)
    drain()
    os.umask(before)

    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()} == {0o600}


def test_the_disk_comes_first(drain, source, monkeypatch):
    """Written, synchronised, its name synchronised, and only then dropped from the store."""
    real = os.fsync

    def fsync(descriptor):
        kind = "name" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "content"
        source.log.append((kind,))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)

    drain()

    assert source.log == [
        ("name",),  # of the new directory
        ("content",),
        ("name",),
        ("trim", "events", 3, 3),
        ("content",),
        ("name",),
        ("trim", "refusals", 1, 4),
        ("settle",),
        ("content",),
        ("name",),
        ("trim", "refusals", 2, 5),
    ]


def test_more_events_than_one_batch(directory):
    """Batch by batch, each safe before the next is read."""
    source = RecordingSource(directory, events=1001)

    assert Drain(source=source, directory=directory)() == 1003

    trims = [entry for entry in source.log if entry[:2] == ("trim", "events")]
    assert trims == [("trim", "events", n, n) for n in (500, 1000, 1001)]


def test_exactly_one_batch(directory):
    """A batch that is full may be the last."""
    source = RecordingSource(directory, events=500)

    assert Drain(source=source, directory=directory)() == 502


def test_a_run_that_was_cut_off_repeats_and_loses_nothing(drain, source, directory):
    """Between disk and store a line may come twice, under the same id."""
    real = source.trim
    source.trim = None  # as if the process had ended here
    with pytest.raises(TypeError):
        drain()
    source.trim = real

    drain()

    assert ids(directory) == ALL_IDS[:3] + ALL_IDS


def test_a_line_that_was_cut_off_is_taken_back(drain, directory):
    """A run that ended within a line leaves no half of it, and the next line is whole."""
    directory.mkdir(parents=True)
    path = directory / "events-2026-11-20.jsonl"
    path.write_bytes(b'{"id":"0f:0:events:0"}\n{"id":"0f:0:eve')

    drain()

    assert path.read_bytes() == b'{"id":"0f:0:events:0"}\n'
    assert ids(directory) == ["0f:0:events:0", *ALL_IDS]


@pytest.mark.parametrize("torn", [b"", b'{"id', b"\x00\x00\x00"], ids=["empty", "half", "zeros"])
def test_a_file_without_a_whole_line_is_emptied(drain, directory, torn):
    """Nothing before the first line's end is a line."""
    directory.mkdir(parents=True)
    (directory / "events-2026-11-20.jsonl").write_bytes(torn)

    drain()

    assert ids(directory) == ALL_IDS


def test_a_full_disk_drops_nothing(drain, source, directory, monkeypatch):
    """What could not be written safely stays in the store, and comes whole the next time."""

    def no_space(descriptor):
        os.ftruncate(descriptor, os.fstat(descriptor).st_size - 5)
        raise OSError(errno.ENOSPC, "No space left on device")

    directory.mkdir(parents=True)
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", no_space)
        with pytest.raises(OSError, match="No space"):
            drain()
    assert source.log == []

    drain()

    assert set(ids(directory)) == set(ALL_IDS)


def test_two_at_once(drain, source, directory):
    """The second finds the directory taken, and touches neither files nor store."""
    drain()
    source.log.clear()
    with (directory / ".lock").open() as held:
        flock(held, LOCK_EX)

        with pytest.raises(AlreadyDraining, match="here"):
            drain()

    assert source.log == []
    drain()


def test_a_store_that_goes_away_in_the_middle(drain, source, directory):
    """What was moved is on disk; what was not still stands."""
    real = source.read

    def read(partition, stream, *, count):
        if stream == "refusals":
            raise Unavailable("ledger_unreachable")
        return real(partition, stream, count=count)

    source.read = read
    with pytest.raises(Unavailable):
        drain()

    assert ids(directory) == ALL_IDS[:3]
    assert source.stood[0, "events"] == []
    assert len(source.stood[0, "refusals"]) == 1


def test_days_have_files_of_their_own(drain, source, directory, monkeypatch):
    """A file a day, by UTC."""

    class Later(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime(2030, 1, 2, 23, 59, tzinfo=tz)

    drain()
    source.stood[0, "events"] = [source.event(4)]
    monkeypatch.setattr(module, "datetime", Later)

    drain()

    names = sorted(path.name for path in directory.glob("*.jsonl"))
    assert len(names) == 2
    assert names[1] == "events-2030-01-02.jsonl"


def test_a_real_store_is_drained(store, locks, raw, evidence, directory):
    """Exchanges, refusals, what was suppressed, locks: each a line that holds to the schema."""
    ledger = RedisLedger(store, events=Events(), limits=Limits(refusals_per_minute=1))
    happen(ledger, locks)
    for partition in PARTITIONS.all():
        for client, value in raw.hgetall(partition.caps).items():
            _, _, rest = value.partition(b":")
            raw.hset(partition.caps, client, b"1:" + rest)

    moved = Drain(source=evidence, directory=directory)()

    found = lines(directory)
    for line in found:
        VALIDATOR.validate(line)
    kinds = sorted(line["type"] for line in found)
    assert moved == len(found)
    assert kinds == ["exchange", "exchange", "lock", "not_issued", "refusal", "refusals_suppressed"]
    assert len(set(ids(directory))) == len(found)
    [suppressed] = [line for line in found if line["type"] == "refusals_suppressed"]
    assert (suppressed["client"], suppressed["count"]) == (CALENDAR_MCP, 2)
    assert suppressed["since"] == 60_000
    assert Drain(source=evidence, directory=directory)() == 0


def happen(ledger, locks):
    """Two exchanges, one of which was not issued; three refusals; a lock."""
    case = a_case()
    first = decide(ledger)
    ledger.record(first, case)
    second = decide_next(ledger, first)
    ledger.record(second, case)
    ledger.void(second, case)
    for _ in range(3):
        ledger.refuse(NotPermitted(Cause.NO_GRANT), case)
    put(locks, EVERYTHING)


def test_a_full_store_is_emptied(ledger, locks, raw, evidence, directory):
    """Where nothing can be recorded for want of memory, all that stands can be moved away."""
    happen(ledger, locks)
    raw.config_set("maxmemory", 1)

    moved = Drain(source=evidence, directory=directory)()

    raw.config_set("maxmemory", 0)
    assert moved == 7
    assert len(lines(directory)) == 7


def test_ids_differ_where_the_store_was_laid_out_anew(ledger, raw, server, evidence, directory):
    """A store that was flushed numbers from one again; its epoch tells the events apart."""
    drain = Drain(source=evidence, directory=directory)
    ledger.record(decide(ledger), a_case())
    drain()
    raw.flushall()
    initialize(server, PARTITIONS)

    ledger.record(decide(ledger), a_case())
    drain()

    first, second = (one.split(":") for one in ids(directory))
    assert first[1:] == second[1:] == [str(HOME), "events", "1"]
    assert first[0] != second[0]
