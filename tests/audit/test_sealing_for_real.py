"""Sealing a real store: all that was recorded is in the trail once, whatever happens to sealers."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from multiprocessing.process import BaseProcess
from pathlib import Path
from random import Random

import pytest
from jsonschema import Draft202012Validator

from delegation.audit.events import Events, schema
from delegation.audit.seal import Sealer
from delegation.audit.segments import Directory, Trail
from delegation.audit.verify import verify
from delegation.domain.errors import Cause, NotPermitted
from delegation.domain.locks import EVERYTHING
from delegation.ledger.evidence import Evidence
from delegation.ledger.layout import initialize
from delegation.ledger.ledger import Limits, RedisLedger
from delegation.ledger.store import Store
from tests.audit.sealers import a_running_sealer, go_on, kill, stop
from tests.audit.trails import KEY
from tests.parties import ALICE, CALENDAR_MCP, a_case, a_verified_token
from tests.valkey import PARTITIONS, decide, decide_next, put, somebody_in, url_of

VALIDATOR = Draft202012Validator(schema())
HOME = PARTITIONS.of(ALICE).number


@pytest.fixture(name="segments")
def _segments(tmp_path: Path) -> Directory:
    """Where the segments go."""
    segments = Directory(tmp_path / "audit")
    segments.prepare()
    return segments


def sealed(evidence, segments):
    """Seal what is there now; how many records that were."""
    sealer = Sealer(evidence, segments, KEY, clock=lambda: datetime.now(UTC))
    return sum(one.records for one in sealer())


def exported(segments):
    """The events of the trail, which holds, each by the published schema."""
    assert verify(segments, [KEY.verifier]).gaps == 0
    return [record.exported() for record in Trail(segments).records()]


def test_a_real_store_is_sealed(store, locks, raw, evidence, segments):
    """Exchanges, refusals, what was suppressed, locks: each a record that holds to the schema."""
    ledger = RedisLedger(store, events=Events(), limits=Limits(refusals_per_minute=1))
    happen(ledger, locks)
    for partition in PARTITIONS.all():
        for client, value in raw.hgetall(partition.caps).items():
            _, _, rest = value.partition(b":")
            raw.hset(partition.caps, client, b"1:" + rest)

    moved = sealed(evidence, segments)

    found = exported(segments)
    for event in found:
        VALIDATOR.validate(event)
    kinds = sorted(event["type"] for event in found)
    assert moved == len(found)
    assert kinds == ["exchange", "exchange", "lock", "not_issued", "refusal", "refusals_suppressed"]
    [suppressed] = [event for event in found if event["type"] == "refusals_suppressed"]
    assert (suppressed["client"], suppressed["count"]) == (CALENDAR_MCP, 2)
    assert suppressed["since"] == 60_000
    assert sealed(evidence, segments) == 0


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


def test_a_full_store_is_emptied(ledger, locks, raw, evidence, segments):
    """Where nothing can be recorded for want of memory, all that stands can be moved away."""
    happen(ledger, locks)
    raw.config_set("maxmemory", 1)

    moved = sealed(evidence, segments)

    raw.config_set("maxmemory", 0)
    assert moved == 7
    assert left_in(raw) == 0


def test_ids_differ_where_the_store_was_laid_out_anew(ledger, raw, server, evidence, segments):
    """A store that was flushed numbers from one again; its epoch tells the events apart."""
    ledger.record(decide(ledger), a_case())
    sealed(evidence, segments)
    raw.flushall()
    initialize(server, PARTITIONS)

    ledger.record(decide(ledger), a_case())
    sealed(evidence, segments)

    found = [record for record in Trail(segments).records() if record.id is not None]
    assert [record.id.number for record in found] == [1, 1]
    assert [record.id.partition for record in found] == [HOME, HOME]
    assert found[0].id.epoch != found[1].id.epoch
    assert verify(segments, [KEY.verifier]).epochs == 1


def test_a_store_that_went_back(ledger, raw, evidence, segments):
    """What it lost after it was sealed is in the trail; what took its numbers is, too."""
    ledger.record(decide(ledger), a_case())
    layout, events = (PARTITIONS.all()[HOME].layout, PARTITIONS.all()[HOME].events)
    before = [(key, raw.dump(key)) for key in (layout, events)]
    ledger.record(decide(ledger), a_case())
    sealed(evidence, segments)
    for key, value in before:
        raw.restore(key, 0, value, replace=True)

    ledger.record(decide(ledger), a_case())
    sealed(evidence, segments)

    ids = [str(record.id) for record in Trail(segments).records() if record.id is not None]
    epoch = raw.hget(layout, "epoch").decode()
    assert ids == [
        f"{epoch}:{HOME}:events:1",
        f"{epoch}:{HOME}:events:2",
        f"{epoch}.1:{HOME}:events:2",
    ]
    assert left_in(raw) == 0


def test_a_stream_is_read_page_by_page(ledger, evidence):
    """From the number after the one that was read last."""
    for _ in range(4):
        ledger.record(decide(ledger), a_case())

    pages = [evidence.read(HOME, "events", count=2, after=after) for after in (0, 2, 3, 4)]

    assert [[event.number for event in page] for page in pages] == [[1, 2], [3, 4], [4], []]


def test_nothing_is_dropped_for_another_events_number(ledger, raw, evidence):
    """Between reading and dropping the store went back: what then has the number stays."""
    ledger.record(decide(ledger), a_case())
    [read] = evidence.read(HOME, "events", count=10)
    layout, events = (PARTITIONS.all()[HOME].layout, PARTITIONS.all()[HOME].events)
    raw.delete(events)
    raw.hset(layout, "events", 0)
    while now_at(raw) <= read.at:
        pass
    ledger.record(decide(ledger), a_case())

    evidence.trim(HOME, "events", read)
    evidence.trim(HOME, "events", replace(evidence.read(HOME, "events", count=1)[0], epoch="0f"))

    [other] = evidence.read(HOME, "events", count=10)
    assert other.number == read.number
    assert other.event != read.event
    evidence.trim(HOME, "events", other)
    assert evidence.read(HOME, "events", count=10) == []
    evidence.trim(HOME, "events", other)


def now_at(raw):
    """The store's clock, in milliseconds."""
    seconds, microseconds = raw.time()
    return seconds * 1000 + microseconds // 1000


@pytest.mark.parametrize(
    "fields",
    [
        {"event": "forged"},
        {"event": '{"type":"exchange"}', "epoch": "no hex", "at": "never"},
        {"at": "9" * 20, "epoch": "0f"},
    ],
    ids=["no fields", "fields of another form", "no event"],
)
def test_what_somebody_else_wrote_into_the_store(ledger, raw, evidence, segments, fields):
    """It is kept as what it is, and keeps nothing from being sealed."""
    ledger.record(decide(ledger), a_case())
    raw.xadd(PARTITIONS.all()[HOME].events, fields, id="2-0")
    raw.hset(PARTITIONS.all()[HOME].layout, "events", 2)
    ledger.record(decide(ledger), a_case())

    sealed(evidence, segments)

    found = verify(segments, [KEY.verifier])
    assert found.events + found.unreadable == 3
    assert (found.epochs, found.gaps) == (1, 1)
    assert left_in(raw) == 0


def left_in(raw):
    """How many events stand in the store."""
    return sum(
        raw.xlen(partition.events) + raw.xlen(partition.refusals) for partition in PARTITIONS.all()
    )


@pytest.mark.parametrize(
    "times", [5, pytest.param(200, marks=[pytest.mark.slow, pytest.mark.timeout(600)])]
)
def test_sealers_that_are_killed_and_stopped(valkey, store, raw, segments, times):
    """Wherever it happens, with events coming in and another sealer at work: nothing is missing.

    And nothing is there twice, and what is there verifies.
    """
    random = Random(times)  # noqa: S311, nothing secret
    url, path = url_of(valkey), segments.path
    with the_end_of_all() as running, a_busy_ledger(store) as recorded:
        running.append(a_running_sealer(url, path, KEY))
        standing: list[BaseProcess] = []
        for _ in range(times):
            one = a_running_sealer(url, path, KEY)
            running.append(one)
            # At any moment at all: there is no condition to wait for.
            threading.Event().wait(random.uniform(0.01, 0.08))
            if random.random() < 0.5:
                kill(one)
                continue
            stop(one)
            standing.append(one)
            if len(standing) > 2:
                late = standing.pop(0)
                go_on(late)
                threading.Event().wait(random.uniform(0, 0.05))
                kill(late)
        for one in standing:
            go_on(one)

    sealed(Evidence(store), segments)

    found = verify(segments, [KEY.verifier])
    assert found.events == recorded() > times
    assert (found.gaps, found.epochs, found.unreadable) == (0, 0, 0)
    assert left_in(raw) == 0


@contextmanager
def the_end_of_all():
    """Whatever happens, no sealer outlives the test."""
    running = []
    try:
        yield running
    finally:
        for one in running:
            kill(one)


@contextmanager
def a_busy_ledger(store):
    """Exchanges are recorded meanwhile, one after the other, in every partition; how many were."""
    ledger = RedisLedger(Store(store.server, PARTITIONS), events=Events(), limits=Limits())
    people = [somebody_in(number) for number in range(PARTITIONS.count)]
    over, done = threading.Event(), []

    def record():
        while not over.is_set():
            now = datetime.now(UTC)
            token = a_verified_token(now=now, subject=people[len(done) % len(people)])
            ledger.record(decide(ledger, now=now, subject=token), a_case())
            done.append(token)

    with ThreadPoolExecutor(1) as pool:
        recording = pool.submit(record)
        try:
            yield lambda: len(done)
        finally:
            over.set()
        recording.result()
