"""The units: systemd understands them, they shut nearly everything, and the service gets by."""

import configparser
import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from delegation.cli import main
from tests.deploy.instances import free_port, status
from tests.deploy.places import DEPLOY, ROOT
from tests.integration.conftest import endpoint_of
from tests.resilience.load import wait_until
from tests.world import a_test_world

UNITS = sorted((DEPLOY / "systemd").glob("*.service"))

PROGRAM = "/opt/delegation/bin/delegation"

EXPOSURE = 15
"""Of a hundred: what `systemd-analyze security` may find open. Who is on a network has some."""

FORBIDDEN = ("@privileged", "@resources")


def settings(unit: Path) -> dict[str, list[str]]:
    """What stands in its section [Service]: a setting may come several times."""
    section = unit.read_text().partition("[Service]\n")[2].partition("\n[Install]")[0]
    found: dict[str, list[str]] = {}
    for line in section.splitlines():
        if line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


def _analyze(*words: str | Path) -> "subprocess.CompletedProcess[str]":
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("there is no systemd-analyze on the path")
    return subprocess.run([program, *words], capture_output=True, text=True, check=False)  # noqa: S603


def _installed(directory: Path) -> list[Path]:
    """The units, where their program is."""
    program = Path(sys.executable).with_name("delegation")
    for unit in UNITS:
        (directory / unit.name).write_text(unit.read_text().replace(PROGRAM, str(program)))
    return [directory / unit.name for unit in UNITS]


def test_systemd_understands_them(tmp_path: Path) -> None:
    """Nothing in them is unknown, or means something else."""
    found = _analyze("verify", "--man=no", "--recursive-errors=no", *_installed(tmp_path))

    assert (found.returncode, found.stderr) == (0, "")


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_they_shut_nearly_everything(unit: Path, tmp_path: Path) -> None:
    """By systemd's own count."""
    [installed] = [one for one in _installed(tmp_path) if one.name == unit.name]
    threshold = f"--threshold={EXPOSURE}"

    found = _analyze("security", "--offline=yes", "--no-pager", threshold, installed)

    assert found.returncode == 0, found.stdout


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_what_they_start_is_there(unit: Path) -> None:
    """A command of ours, with the settings that it needs, and no secret in the environment."""
    found = settings(unit)
    [command] = found["ExecStart"]
    program, *words = command.split()
    given = {line.partition("=")[0] for line in found["Environment"]}
    shared = configparser.ConfigParser()
    shared.optionxform = str  # type: ignore[assignment, method-assign]
    shared.read_string("[all]\n" + (DEPLOY / "systemd/delegation.env").read_text())

    assert program == PROGRAM
    group = main
    while words and hasattr(group, "commands") and words[0] in group.commands:
        group = group.commands[words.pop(0)]
    assert not hasattr(group, "commands")
    assert found["EnvironmentFile"] == ["/etc/delegation/delegation.env"]
    required = {"DELEGATION_ISSUER", "DELEGATION_REGISTRY", "DELEGATION_SIGNING_KEYS"}
    assert required <= {*shared["all"]}
    assert "DELEGATION_REDIS_URL_FILE" in given
    assert "DELEGATION_REDIS_URL" not in given
    credentials = {line.partition(":")[0] for line in found["LoadCredential"]}
    assert {*re.findall(r"%d/(\S+)", unit.read_text())} == credentials


def test_who_may_read_the_keys() -> None:
    """The service and the admin API, by their group; never the sealer."""
    groups = {unit.stem: settings(unit).get("SupplementaryGroups") for unit in UNITS}

    assert groups == {
        "delegation": ["delegation"],
        "delegation-admin": ["delegation"],
        "delegation-sealer": None,
    }
    assert "g delegation - -" in (DEPLOY / "systemd/delegation.sysusers.conf").read_text()


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_they_stop_in_peace(unit: Path) -> None:
    """Gunicorn tells its workers by itself, and is given more time than it gives them."""
    found = settings(unit)

    assert found["KillMode"] == ["mixed"]
    assert "graceful_timeout = 30\n" in (ROOT / "delegation/gunicorn.py").read_text()
    assert int(found["TimeoutStopSec"][0]) > 35


def _calls(group: str) -> set[str]:
    """The system calls of a group of systemd's."""
    calls: set[str] = set()
    for line in _analyze("syscall-filter", "--no-pager", group).stdout.splitlines():
        word = line.strip()
        if word.startswith("@") and word != group:
            calls |= _calls(word)
        elif word and not word.startswith(("#", "@")):
            calls.add(word)
    return calls


@pytest.mark.slow
def test_the_service_gets_by(tmp_path: Path) -> None:
    """From its start to its end, with an exchange and a reload, it makes no call that is shut."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("there is no strace on the path")
    allowed = _calls("@system-service") - set().union(*map(_calls, FORBIDDEN))
    assert {f"~{' '.join(FORBIDDEN)}", "@system-service"} == {
        one for unit in UNITS for one in settings(unit)["SystemCallFilter"]
    }
    (tmp_path / "world").mkdir()
    with a_test_world(tmp_path / "world", workers=1) as world:
        ports = [free_port(), free_port()]
        at = {
            "DELEGATION_BIND": f"127.0.0.1:{ports[0]}",
            "DELEGATION_METRICS_BIND": f"127.0.0.1:{ports[1]}",
        }
        process = subprocess.Popen(  # noqa: S603, our own command
            [
                strace,
                "-f",
                "-o",
                tmp_path / "calls",
                Path(sys.executable).with_name("delegation"),
                "serve",
            ],
            env=os.environ | dict(world.world.environment) | at,
            stderr=subprocess.DEVNULL,
        )
        try:
            wait_until(lambda: status(ports[0], "/readyz") == 200)
            endpoint = replace(endpoint_of(world), url=f"http://127.0.0.1:{ports[0]}")
            assert endpoint.exchange().status == 200
            [gunicorn] = _children(process.pid)
            before = _children(gunicorn)
            os.kill(gunicorn, signal.SIGHUP)
            wait_until(lambda: bool(set(_children(gunicorn)) - set(before)))
            wait_until(lambda: status(ports[0], "/readyz") == 200)
            os.kill(gunicorn, signal.SIGTERM)
            assert process.wait(30) == 0
        finally:
            for child in _children(process.pid):
                os.kill(child, signal.SIGKILL)
            process.kill()
            process.wait()

    made = re.findall(r"^\d+ +(\w+)\(", (tmp_path / "calls").read_text(), re.MULTILINE)
    assert {"execve", "memfd_create", "accept4"} <= {*made}
    assert {*made} <= allowed


def _children(pid: int) -> list[int]:
    with suppress(OSError):
        return [*map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]
    return []
