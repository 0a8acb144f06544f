"""A peer: how it is started, what it is asked, and what it was seen to do."""

import base64
import hashlib
import json
import random
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from tests.benchmarks.driving import Target
from tests.benchmarks.machine import ALL_CORES, SERVER_CORE, pin
from tests.benchmarks.scene import Scene

ROOT = Path(__file__).parents[3]
CACHE = ROOT / ".cache" / "benchmark-peers"
"""Where they are installed, each by the digest of what it was locked to."""

_START = 300
"""Seconds for a server to start, on a machine that has other things to do."""


class Skipped(Exception):
    """It cannot be had or does not run here; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """One of them. *told* says what it cannot be seen to do, or does otherwise, in a few words.

    *start* gives a target that is asked for the same work, as far as it can do that.
    """

    name: str
    told: str
    warm_up: float = 3.0
    """Seconds until what is compiled as it runs has been."""
    start: Callable[[Scene], AbstractContextManager[Target]]


def installed(name: str, locks: Sequence[Path], install: Callable[[Path], None]) -> Path:
    """Where it is, as *locks* say it; *install* puts it there, once. Raises `Skipped`."""
    digest = hashlib.sha256(b"".join(lock.read_bytes() for lock in locks)).hexdigest()[:16]
    home = CACHE / f"{name}-{digest}"
    if not (home / "ready").exists():
        home.mkdir(parents=True, exist_ok=True)
        install(home)
        (home / "ready").touch()
    return home


def run(command: Sequence[str | Path], *, directory: Path, says: str) -> None:
    """Run an installer. Raises `Skipped` with the last that it said."""
    try:
        found = subprocess.run(  # noqa: S603, commands of ours
            command, cwd=directory, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        raise Skipped(f"{says}: there is no {command[0]} here") from None
    if found.returncode:
        last = (found.stderr or found.stdout).strip().splitlines()[-3:]
        raise Skipped(f"{says}: {' / '.join(last)}")


def free_port() -> int:
    """One that is free, and that the system gives to nobody who asks for any port."""
    for port in random.sample(range(20_000, 30_000), 100):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise Skipped("no port is free")


@contextmanager
def serving(
    command: Sequence[str | Path],
    *,
    url: str,
    directory: Path,
    log: Path,
    environment: Mapping[str, str] | None = None,
) -> Iterator[int]:
    """A server on the core of what is measured, once it listens; its process. Raises `Skipped`."""
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603, commands of ours
            command, cwd=directory, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        pin(process.pid, ALL_CORES)
        _wait(process, url, log)
        pin(process.pid, {SERVER_CORE})
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    deadline = time.monotonic() + _START
    while time.monotonic() < deadline and process.poll() is None:
        try:
            httpx2.get(url, trust_env=False, timeout=5)
        except httpx2.HTTPError:
            time.sleep(0.1)
        else:
            return
    raise Skipped(f"it did not start: {log.read_text(errors='replace')[-300:]}")


def seen(target: Target) -> str:
    """What one exchange shows: whether a forged token is refused, and what the issued one says."""
    (good,) = target.bodies(1)
    answer = _ask(target, good)
    if answer.status_code != httpx2.codes.OK:
        raise Skipped(f"it refuses what it should grant: {answer.text[:300]}")
    claims = _claims(answer.json()["access_token"])
    forged = _ask(target, _forged(good)).status_code != httpx2.codes.OK
    facts = {
        "refuses a forged subject token": forged,
        "says in `act` who acts": "act" in claims,
        "issues a JWT": bool(claims),
        "for one audience": isinstance(claims.get("aud"), str),
    }
    does = [fact for fact, holds in facts.items() if holds]
    does_not = [fact for fact, holds in facts.items() if not holds]
    shown = f"it {', '.join(does)}"
    return f"{shown}; it does not: {', '.join(does_not)}" if does_not else shown


def _ask(target: Target, body: str) -> httpx2.Response:
    content = {"Content-Type": "application/x-www-form-urlencoded"}
    return httpx2.post(
        target.url, content=body, headers={**target.headers, **content}, trust_env=False, timeout=30
    )


def _forged(body: str) -> str:
    """With another signature."""
    head, parameter, rest = body.partition("subject_token=")
    token, *others = rest.split("&")
    signed, _, signature = token.rpartition(".")
    return f"{head}{parameter}{'&'.join([f'{signed}.{signature[::-1]}', *others])}"


def _claims(token: str) -> dict[str, Any]:
    """Of a JWT; of anything else none."""
    try:
        payload = token.split(".")[1]
        found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=="))
    except (IndexError, ValueError):
        return {}
    return found
