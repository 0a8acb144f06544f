"""Further instances of the service of a running world, each a process with a port of its own."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from delegation.dev.servers import listening
from tests.resilience.load import wait_until
from tests.world import TestWorld


def free_port() -> int:
    """One that nobody listens on at this moment."""
    with listening(0) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def instance(world: TestWorld, port: int) -> Iterator["subprocess.Popen[bytes]"]:
    """`delegation serve`, ready; killed at the end if it still runs."""
    log = world.world.directory / f"{port}.log"
    with log.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603, our own command
            [Path(sys.executable).with_name("delegation"), "serve"],
            env={**os.environ, **world.world.environment, "DELEGATION_BIND": f"127.0.0.1:{port}"},
            stderr=output,
        )
    try:
        wait_until(lambda: process.poll() is not None or status(port, "/readyz") == 200)
        assert process.poll() is None, log.read_text()
        yield process
    finally:
        process.kill()
        process.wait()


def status(port: int, path: str) -> int:
    """What an instance answers; 0 where it does not."""
    with (
        closing(HTTPConnection("127.0.0.1", port, timeout=5)) as connection,
        suppress(OSError, HTTPException),
    ):
        connection.request("GET", path)
        return connection.getresponse().status
    return 0
