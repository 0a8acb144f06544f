"""`delegation admin`: the second process, and the document that describes it."""

import json
import os
import signal
import subprocess
import sys
import time

import httpx2
import pytest

from tests.cli.command import run
from tests.cli.test_serve import Replaced, _executed, _port  # noqa: F401, fixtures
from tests.dev.conftest import DELEGATION


def gunicorn(bind: str) -> list[str]:
    """What the process becomes."""
    return [
        sys.executable,
        *("-m", "gunicorn", "--config", "python:delegation.gunicorn", "--bind", bind),
        "delegation.wsgi_admin:application",
    ]


def test_what_it_becomes(sound: dict[str, str], port: int, executed: list[object]) -> None:
    """Gunicorn as it serves the token service, at an address of its own."""
    bind = f"127.0.0.1:{port}"
    with pytest.raises(Replaced):
        run("admin", "serve", environment=sound | {"DELEGATION_ADMIN_BIND": bind})

    assert executed == [sys.executable, gunicorn(bind)]


def test_an_address_that_is_taken(sound: dict[str, str], executed: list[object]) -> None:
    """It says which setting to change."""
    bind = "192.0.2.1:9"  # nobody's

    ran = run("admin", "serve", environment=sound | {"DELEGATION_ADMIN_BIND": bind})

    assert (ran.status, executed) == (1, [])
    assert "set DELEGATION_ADMIN_BIND to another address" in ran.err


def test_the_document() -> None:
    """It needs no setting."""
    ran = run("admin", "openapi")

    assert ran.status == 0
    assert json.loads(ran.out)["openapi"] == "3.1.0"


def test_serving(sound: dict[str, str], port: int) -> None:
    """It serves the admin API and nothing else, and stops when it is told to."""
    environment = {name: text for name, text in os.environ.items() if "DELEGATION_" not in name}
    changes = {"DELEGATION_ADMIN_BIND": f"127.0.0.1:{port}", "DELEGATION_WORKERS": "1"}
    url = f"http://127.0.0.1:{port}"
    with subprocess.Popen(  # noqa: S603, our own command
        [DELEGATION, "admin", "serve"],
        env=environment | sound | changes,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        try:
            ready = _answer(f"{url}/readyz")
            nobody = httpx2.get(f"{url}/admin/v1/locks", trust_env=False)
            token = httpx2.post(f"{url}/token", trust_env=False)
        finally:
            process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)

    assert (ready.status_code, nobody.status_code, token.status_code) == (200, 401, 404)
    assert "https://sts.example/.well-known/" in nobody.headers["WWW-Authenticate"]
    assert process.returncode == 0


def _answer(url: str) -> httpx2.Response:
    deadline = time.monotonic() + 30
    while True:
        try:
            return httpx2.get(url, trust_env=False)
        except httpx2.TransportError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
