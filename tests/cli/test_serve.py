"""`delegation serve`: what it starts, and that nothing is started on what is wrong."""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing

import httpx2
import pytest

from tests.cli.command import run
from tests.dev.conftest import DELEGATION

GUNICORN = [
    sys.executable,
    *("-m", "gunicorn", "--config", "python:delegation.gunicorn", "delegation.wsgi:application"),
]


class Replaced(Exception):
    """This process would be another one now."""


@pytest.fixture(name="executed")
def _executed(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What the process would have become."""
    executed: list[object] = []

    def execv(path: str, arguments: list[str]) -> None:
        executed.extend([path, arguments])
        raise Replaced

    monkeypatch.setattr(os, "execv", execv)
    return executed


@pytest.fixture(name="port")
def _port() -> int:
    """A port that is free."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port: int = listener.getsockname()[1]
        return port


def test_what_it_becomes(sound: dict[str, str], port: int, executed: list[object]) -> None:
    """Gunicorn itself, so that signals reach it."""
    with pytest.raises(Replaced):
        run("serve", environment=sound | {"DELEGATION_BIND": f"127.0.0.1:{port}"})

    assert executed == [sys.executable, GUNICORN]


def test_where_the_metrics_are(sound: dict[str, str], port: int, executed: list[object]) -> None:
    """What else it listens at must be free, too."""
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        bind = f"127.0.0.1:{taken.getsockname()[1]}"
        changes = {"DELEGATION_BIND": f"127.0.0.1:{port}", "DELEGATION_METRICS_BIND": bind}
        ran = run("serve", environment=sound | changes)
    assert (ran.status, executed) == (1, [])

    with pytest.raises(Replaced):
        run("serve", environment=sound | changes)

    assert "DELEGATION_METRICS_BIND" in ran.err


def test_a_store_that_is_away(sound: dict[str, str], port: int, executed: list[object]) -> None:
    """It is waited for: what may mend itself stops nothing."""
    changes = {
        "DELEGATION_BIND": f"127.0.0.1:{port}",
        "DELEGATION_REDIS_URL": "unix:///nowhere",
    }
    with pytest.raises(Replaced):
        run("serve", environment=sound | changes)

    assert executed == [sys.executable, GUNICORN]


def test_a_store_that_is_not_laid_out(unlaid: dict[str, str], executed: list[object]) -> None:
    """It never becomes one by itself."""
    assert run("serve", environment=unlaid).status == 1

    assert executed == []


def test_serving(sound: dict[str, str], port: int) -> None:
    """It serves, and stops when it is told to."""
    environment = {name: text for name, text in os.environ.items() if "DELEGATION_" not in name}
    changes = {"DELEGATION_BIND": f"127.0.0.1:{port}", "DELEGATION_WORKERS": "1"}
    with subprocess.Popen(  # noqa: S603, our own command
        [DELEGATION, "serve"],
        env=environment | sound | changes,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        try:
            status = _readiness(f"http://127.0.0.1:{port}/readyz")
        finally:
            process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)

    assert status == httpx2.codes.OK
    assert process.returncode == 0


def _readiness(url: str) -> int:
    deadline = time.monotonic() + 30
    while True:
        try:
            return httpx2.get(url, trust_env=False).status_code
        except httpx2.TransportError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
