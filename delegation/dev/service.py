"""The service as a process of its own, under gunicorn, as in production."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from ssl import PROTOCOL_TLS_CLIENT, SSLContext
from threading import Event

import httpx2

from delegation.dev.signals import put_off

_START_TIMEOUT = 20

_GRACE = 3
"""Seconds that gunicorn gives its workers to stop: one that is only starting may not hear it."""

_STOP_TIMEOUT = 10
"""Seconds that we give gunicorn."""


class DidNotStart(Exception):
    """A part of the world did not come up; the message says why, or what it wrote last."""


@contextmanager
def running_service(
    listener: socket.socket,
    *,
    environment: Mapping[str, str],
    log: Path,
    told: Event,
    application: str = "delegation.wsgi:application",
) -> Iterator[subprocess.Popen[bytes]]:
    """Gunicorn with *application*, on a loopback socket that is bound already; ready when this
    returns. Raises `DidNotStart`, also where we are *told* to stop meanwhile.

    It hears no Ctrl-C of ours: it is told to stop, and answers what it has accepted.
    """
    command = [sys.executable, "-m", "gunicorn", "--config", "python:delegation.gunicorn"]
    command += ["--graceful-timeout", str(_GRACE)]
    command += ["--bind", f"fd://{listener.fileno()}", application]
    with ExitStack() as stack:
        with put_off(signal.SIGINT, signal.SIGTERM), log.open("wb") as output:
            process = subprocess.Popen(  # noqa: S603, our own interpreter and arguments
                command,
                env=_inherited() | dict(environment),
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=[listener.fileno()],
                start_new_session=True,
            )
            stack.callback(_stop, process)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        if not _becomes_ready(url, process, told):
            said = log.read_text(errors="replace")[-2000:].rstrip()
            raise DidNotStart(f"{said}\nthe service did not start: see above what it wrote")
        yield process


def _stop(process: subprocess.Popen[bytes]) -> None:
    with put_off(signal.SIGINT, signal.SIGTERM):
        process.terminate()
        try:
            process.wait(_STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()  # its workers see that it has gone, and go
            process.wait()


def _inherited() -> dict[str, str]:
    """Our environment without our settings: the world has its own."""
    return {name: value for name, value in os.environ.items() if not name.startswith("DELEGATION_")}


def _becomes_ready(url: str, process: subprocess.Popen[bytes], told: Event) -> bool:
    deadline = time.monotonic() + _START_TIMEOUT
    nobody = SSLContext(PROTOCOL_TLS_CLIENT)  # it is HTTP: to read all authorities takes longer
    # It listens already: a request waits until there is a worker, or until its own time is up.
    with httpx2.Client(trust_env=False, timeout=0.5, verify=nobody) as http:
        while process.poll() is None and time.monotonic() < deadline and not told.is_set():
            if _is_ready(http, url):
                return True
            time.sleep(0.05)
    return False


def _is_ready(http: httpx2.Client, url: str) -> bool:
    try:
        return http.get(f"{url}/readyz").status_code == httpx2.codes.OK
    except httpx2.HTTPError:
        return False
