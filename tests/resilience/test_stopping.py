"""The store goes and comes back, and the service is told to stop: what was accepted is answered."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
from gunicorn.config import Config
from gunicorn.glogging import Logger

from delegation.dev.servers import listening, valkey
from delegation.worker import Worker
from tests.attacks.endpoint import Endpoint
from tests.integration.conftest import endpoint_of
from tests.resilience.load import load, wait_until
from tests.world import TestWorld, a_test_world


def _store(world: TestWorld) -> int:
    return int(world.books.store.info("server")["process_id"])


@contextmanager
def _sleeping(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_the_store_is_killed(tmp_path: Path) -> None:
    """While it is away the answer is 503; and it knows afterwards of every token that was given."""
    with a_test_world(tmp_path) as world, ExitStack() as later:
        endpoint = endpoint_of(world)

        with load(endpoint.exchange) as found:
            found.go_on()
            os.kill(_store(world), signal.SIGKILL)
            wait_until(lambda: found.count(503) > 10)
            later.enter_context(valkey(Path(urlsplit(world.world.settings.redis_url).path).parent))
            found.go_on()

        recorded = {key.rpartition(b":")[2].decode() for key in world.books.exchanges()}
    assert {one.status for one in found.outcomes} == {200, 503}
    granted = {answer.header("Delegation-Decision") for answer in found.answers(200)}
    assert granted <= recorded


def test_it_is_told_to_stop(tmp_path: Path) -> None:
    """SIGTERM: what is being answered is answered, however slow the store; so are those who wait.

    Who connects later may be refused by the kernel: nothing has been done for them.
    """
    with a_test_world(tmp_path, workers=1, DELEGATION_REDIS_TIMEOUT="1") as world:
        endpoint = endpoint_of(world)
        assert endpoint.exchange().status == 200

        with ThreadPoolExecutor(5) as pool:
            with _sleeping(_store(world)):
                answers = [pool.submit(endpoint.exchange) for _ in range(5)]
                time.sleep(0.3)  # until one has been accepted, and the others wait
                world.world.process.terminate()
                time.sleep(0.3)
            statuses = [answer.result().status for answer in answers]

        assert statuses == [200] * 5
        assert world.world.process.wait(10) == 0


def test_it_is_told_to_stop_under_load(tmp_path: Path) -> None:
    """Nobody is left with half an answer: whoever hears nothing had nothing done for them."""
    with a_test_world(tmp_path, workers=1) as world, _another_service(world) as (process, endpoint):
        with load(endpoint.exchange, callers=4, pause=0.02) as found:
            found.go_on()
            process.terminate()
            status = process.wait(20)

        recorded = {key.rpartition(b":")[2].decode() for key in world.books.exchanges()}
    granted = {answer.header("Delegation-Decision") for answer in found.answers(200)}
    assert status == 0
    assert {one.status for one in found.outcomes} == {0, 200}
    assert granted == recorded


def test_who_comes_after_the_last_is_refused() -> None:
    """At once, and not only when the process has ended: until then the kernel would take them in,
    and reset them.
    """
    config = Config()
    with listening(0) as listener:
        there = listener.getsockname()
        worker = Worker(1, os.getpid(), [listener], SimpleNamespace(), 30, config, Logger(config))
        worker.PIPE = os.pipe()
        worker.handle_exit(signal.SIGTERM, None)

        worker.run()

        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(there, 5)
    worker.tmp.close()
    for end in worker.PIPE:
        os.close(end)


@contextmanager
def _another_service(world: TestWorld) -> Iterator[tuple[subprocess.Popen[bytes], Endpoint]]:
    """One more service in the same world, which alone holds the socket that it listens on."""
    with listening(0) as listener:
        port = listener.getsockname()[1]
    process = subprocess.Popen(  # noqa: S603, our own command
        [Path(sys.executable).with_name("delegation"), "serve"],
        env={**os.environ, **world.world.environment, "DELEGATION_BIND": f"127.0.0.1:{port}"},
        stderr=subprocess.DEVNULL,
    )
    endpoint = replace(endpoint_of(world), url=f"http://127.0.0.1:{port}")
    try:
        wait_until(lambda: _answers(endpoint))
        yield process, endpoint
    finally:
        process.kill()
        process.wait()


def _answers(endpoint: Endpoint) -> bool:
    with suppress(OSError):
        return endpoint.send(b"", path="/livez", method="GET").status == 200
    return False
