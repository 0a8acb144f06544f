"""The page on running the service is true to the letter: its commands are run in their order."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from delegation.dev.servers import listening, valkey

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/how-to/run-the-service.md").read_text()
BLOCKS = re.findall(r"^```console\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
COMMANDS = [block for block in BLOCKS if not block.startswith("pip")]


@pytest.fixture(name="environment")
def _environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """What the page exports, with the store and the port of this test."""
    exported = dict(re.findall(r"^export (\w+)=(.*)$", PAGE, re.MULTILINE))
    with valkey(tmp_path) as url, listening(0) as listener:
        port = listener.getsockname()[1]
        listener.close()
        found = {
            name: value for name, value in os.environ.items() if not name.startswith("DELEGATION_")
        }
        found["PATH"] = f"{Path(sys.executable).parent}:{found['PATH']}"
        here = {
            "DELEGATION_REDIS_URL": url,
            "DELEGATION_BIND": f"127.0.0.1:{port}",
        }
        yield found | exported | here


@contextmanager
def _serving(environment: dict[str, str], folder: Path) -> Iterator[str]:
    process = subprocess.Popen(["delegation", "serve"], cwd=folder, env=environment)  # noqa: S607
    url = f"http://{environment['DELEGATION_BIND']}"
    try:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and process.poll() is None:
            try:
                httpx2.get(f"{url}/livez", trust_env=False)
                break
            except httpx2.TransportError:
                time.sleep(0.05)
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def test_every_command_on_the_page_works(environment: dict[str, str], tmp_path: Path) -> None:
    """From nothing to a service that is ready, and to evidence on disk."""
    serve = COMMANDS.index("delegation serve\n")
    said = ""
    for block in COMMANDS[:serve]:
        if not block.startswith("export"):
            said = subprocess.run(  # noqa: S603
                ["bash", "-e", "-c", block],  # noqa: S607
                cwd=tmp_path,
                env=environment,
                check=True,
                capture_output=True,
                text=True,
            ).stdout

    with _serving(environment, tmp_path) as url:
        ready = httpx2.get(f"{url}/readyz", trust_env=False)
    for block in COMMANDS[serve + 1 :]:
        subprocess.run(["bash", "-e", "-c", block], cwd=tmp_path, env=environment, check=True)  # noqa: S603, S607

    assert said in PAGE
    assert (ready.status_code, ready.json()) == (200, {"status": "ready"})
