"""What sealing and verifying cost: events per second, time and memory, for growing numbers.

`python -m tests.benchmarks.audit [events]`: a real store, a sealer and a verifier as processes.
"""

import multiprocessing
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import redis
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from delegation.audit.events import Events
from delegation.audit.note import SignerKey
from delegation.audit.seal import Sealer
from delegation.audit.segments import Directory
from delegation.audit.verify import verify
from delegation.dev.servers import valkey
from delegation.ledger.evidence import Evidence
from delegation.ledger.layout import initialize
from delegation.ledger.partitions import Partitions
from delegation.ledger.server import Server
from delegation.ledger.store import Store
from tests.parties import a_case, a_delegation

PARTITIONS = Partitions(64)
PEAK = 4_500
"""Events per second: three times what the service issues at its best."""

_KEY = SignerKey("bench.example/audit", Ed25519PrivateKey.from_private_bytes(bytes(32)))
"""The same one in each process."""

_BATCH = 5_000


def main() -> None:
    """Seal and verify a tenth, a half and all of them; then seal while three peaks are written."""
    events = int(sys.argv[1]) if sys.argv[1:] else 1_000_000
    with tempfile.TemporaryDirectory(prefix="dlg-", dir=os.environ.get("TMPDIR")) as name:
        directory = Path(name)
        with valkey(directory) as url:
            initialize(Server(url, timeout=10), PARTITIONS)
            for count in (events // 10, events // 2, events):
                _once(url, directory / f"audit-{count}", count)
            _live(url, directory / "audit-live", seconds=20)


def _once(url: str, directory: Path, count: int) -> None:
    with redis.Redis.from_url(url) as raw:
        raw.flushall()
        initialize(Server(url, timeout=10), PARTITIONS)
        _write(raw, count, per_second=None)
    sealing = _apart(_seal, url, directory)
    verifying = _apart(_verify, directory)
    size = sum(path.stat().st_size for path in directory.iterdir())
    print(f"{count:>9} events, {size / count:.0f} bytes each on disk")
    for what, (found, seconds, cpu, memory) in {"seal": sealing, "verify": verifying}.items():
        assert found == count, (found, count)
        print(
            f"  {what:<7} {seconds:6.1f} s, {count / seconds:8.0f} events/s, "
            f"{count / cpu:8.0f} per second of CPU, peak RSS {memory / 1024:.0f} MiB"
        )


def _live(url: str, directory: Path, *, seconds: int) -> None:
    """A sealer beside a store in which three times the peak is written: does it keep up?"""
    with redis.Redis.from_url(url) as raw:
        raw.flushall()
        initialize(Server(url, timeout=10), PARTITIONS)
        stop = multiprocessing.get_context("spawn").Event()
        context = multiprocessing.get_context("spawn")
        mine, theirs = context.Pipe()
        sealer = context.Process(target=_seal_on, args=(url, directory, stop, theirs))
        sealer.start()
        mine.recv()
        began = time.monotonic()
        _write(raw, PEAK * seconds, per_second=PEAK)
        took = time.monotonic() - began
        standing = sum(raw.xlen(partition.events) for partition in PARTITIONS.all())
        stop.set()
        records, lags, cpu = mine.recv()
        sealer.join()
    print(f"{PEAK * seconds / took:.0f} events/s written for {took:.0f} s, a sealer every second")
    print(
        f"  {records} sealed meanwhile and after, {standing} stood at the end; "
        f"lag p50 {statistics.median(lags):.0f} ms, max {max(lags)} ms; "
        f"{cpu / took * 100:.0f} % of one core"
    )


def _write(raw: "redis.Redis", count: int, *, per_second: int | None) -> None:
    """Put exchanges' events into all partitions, as the scripts write them."""
    event = Events().granted(a_delegation(), a_case())
    epochs = [raw.hget(partition.layout, "epoch") for partition in PARTITIONS.all()]
    began, batch = time.monotonic(), _BATCH if per_second is None else per_second // 20
    for first in range(0, count, batch):
        pipeline = raw.pipeline(transaction=False)
        now = int(time.time() * 1000)
        for number in range(first, min(first + batch, count)):
            home = number % PARTITIONS.count
            fields: dict[Any, Any] = {"at": now, "epoch": epochs[home], "event": event}
            stream = PARTITIONS.all()[home].events
            pipeline.xadd(stream, fields, id=f"{number // PARTITIONS.count + 1}-0")
        pipeline.execute()
        if per_second is not None:
            time.sleep(max(0, began + (first + batch) / per_second - time.monotonic()))


def _apart(work: Callable[..., None], *arguments: object) -> tuple[int, float, float, int]:
    """What *work* says, run in a process of its own: its memory is then its own, too."""
    context = multiprocessing.get_context("spawn")
    mine, theirs = context.Pipe()
    process = context.Process(target=work, args=(*arguments, theirs))
    process.start()
    found: tuple[int, float, float, int] = mine.recv()
    process.join()
    return found


def _measured(work: Callable[[], int], answer: Connection) -> None:
    began, before = time.monotonic(), time.process_time()
    found = work()
    spent = time.monotonic() - began, time.process_time() - before
    answer.send((found, *spent, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))


def _sealer(url: str, directory: Path) -> Sealer:
    segments = Directory(directory)
    segments.prepare()
    source = Evidence(Store(Server(url, timeout=10), PARTITIONS))
    return Sealer(source, segments, _KEY, clock=lambda: datetime.now(UTC))


def _seal(url: str, directory: Path, answer: Connection) -> None:
    sealer = _sealer(url, directory)
    _measured(lambda: sum(one.records for one in sealer()), answer)


def _verify(directory: Path, answer: Connection) -> None:
    _measured(lambda: verify(Directory(directory), [_KEY.verifier]).events, answer)


def _seal_on(url: str, directory: Path, stop: Any, answer: Connection) -> None:
    sealer, records, lags = _sealer(url, directory), 0, []
    answer.send("ready")
    before = time.process_time()
    last = False
    while not last:
        last = stop.wait(1)
        for sealed in sealer():
            records += sealed.records
            lags.append(sealed.lag)
    answer.send((records, lags, time.process_time() - before))


if __name__ == "__main__":
    main()
