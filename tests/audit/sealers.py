"""Sealers as processes of their own, which can be killed and stopped at any moment."""

import multiprocessing
import os
import signal
import time
from contextlib import suppress
from datetime import UTC, datetime
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Event
from pathlib import Path

from delegation.audit.note import SignerKey
from delegation.audit.seal import Sealer
from delegation.audit.segments import Directory
from delegation.ledger.evidence import Evidence
from delegation.ledger.server import Server
from delegation.ledger.store import Store
from tests.valkey import PARTITIONS

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload([__name__])


def a_running_sealer(url: str, directory: Path, key: SignerKey) -> BaseProcess:
    """A process that seals again and again, without a pause; it has begun."""
    begun = _CONTEXT.Event()
    process = _CONTEXT.Process(target=_seal, args=(url, directory, key.kept(), begun), daemon=True)
    process.start()
    assert begun.wait(60)
    return process


def _seal(url: str, directory: Path, key: str, begun: Event) -> None:
    server = Server(url, timeout=10)
    segments = Directory(directory)
    segments.prepare()
    source = Evidence(Store(server, PARTITIONS))
    sealer = Sealer(source, segments, SignerKey.parse(key), clock=lambda: datetime.now(UTC))
    begun.set()
    while True:
        for _ in sealer():
            pass
        time.sleep(0.001)


def stop(process: BaseProcess) -> None:
    """Let it stand still, wherever it is."""
    _signal(process, signal.SIGSTOP)


def go_on(process: BaseProcess) -> None:
    """Let it go on from there."""
    _signal(process, signal.SIGCONT)


def kill(process: BaseProcess) -> None:
    """End it, wherever it is, even where it stands still."""
    _signal(process, signal.SIGKILL)
    process.join()


def _signal(process: BaseProcess, number: signal.Signals) -> None:
    assert process.pid is not None
    with suppress(ProcessLookupError):
        os.kill(process.pid, number)
