"""`delegation dev`: a world that stands, is the same again, and leaves nothing behind."""

import os
import shlex
import signal
import stat
import subprocess
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from threading import Event

import httpx2
import jwt
import pytest

from delegation.dev import standing
from tests.cli.command import run
from tests.dev.conftest import DELEGATION, Standing, wait_until

Start = Callable[..., Standing]


def test_an_exchange_that_works(standing: Standing) -> None:
    """What the env file says is all that an exchange needs; a shell can read it as it is."""
    settings = standing.until_it_stands()
    file = shlex.quote(str(standing.env_file))
    commands = (
        f"set -a; . {file}; set +a; "
        f"{DELEGATION} dev token --user alice --env-file {file} "
        f"| {DELEGATION} exchange --subject-token -"
    )

    piped = subprocess.run(  # noqa: S603, our own commands
        ["/bin/sh", "-c", commands], capture_output=True, text=True, timeout=30, check=False
    )

    assert piped.stderr == ""
    assert "corp|alice ← desk-agent ← calendar-mcp" in piped.stdout
    assert list(settings) == [
        "DELEGATION_ISSUER",
        "DELEGATION_TOKEN_ENDPOINT",
        "DELEGATION_JWKS_URI",
        "DELEGATION_CLIENT_ID",
        "DELEGATION_CLIENT_SECRET",
        "DELEGATION_OTHER_CLIENT_ID",
        "DELEGATION_OTHER_CLIENT_SECRET",
        "DELEGATION_RESOURCE",
        "DELEGATION_SCOPE",
        "DELEGATION_ADMIN_API",
        "DELEGATION_REGISTRY",
    ]
    assert Path(settings["DELEGATION_REGISTRY"]).is_dir()
    assert settings["DELEGATION_ISSUER"].startswith("http://127.0.0.1:")


def test_what_is_kept(start: Start) -> None:
    """Keys, secrets, issuer and an edited registry; for their owner alone, but for the port."""
    first = start()
    before = first.until_it_stands()
    modes = {
        path.name: stat.S_IMODE(path.stat().st_mode)
        for path in (first.env_file, first.world, *first.world.glob("*.json"))
    }
    token = _claims(first)
    edited = Path(before["DELEGATION_REGISTRY"]) / "mine.yaml"
    edited.write_text("{}\n")
    first.told(signal.SIGTERM)
    first.env_file.write_text("stale=1\n")
    first.env_file.chmod(0o644)

    second = start()
    after = second.until_it_stands()

    assert modes == {
        "dev.env": 0o600,
        "dev.env.world": 0o700,
        "keys.json": 0o600,
        "issuer.json": 0o600,
        "world.json": 0o600,
    }
    assert stat.S_IMODE(second.env_file.stat().st_mode) == 0o600
    moved = {
        "DELEGATION_ISSUER",
        "DELEGATION_TOKEN_ENDPOINT",
        "DELEGATION_JWKS_URI",
        "DELEGATION_ADMIN_API",
    }
    assert {name: before[name] for name in before.keys() - moved} == {
        name: after[name] for name in after.keys() - moved
    }
    assert _claims(second)["iss"] == token["iss"]
    assert edited.exists()


def _claims(world: Standing) -> dict[str, object]:
    ran = run("dev", "--env-file", str(world.env_file), "token", "--user", "alice")
    claims: dict[str, object] = jwt.decode(ran.out.strip(), options={"verify_signature": False})
    return claims


@pytest.mark.parametrize(
    ("number", "everyone"),
    [
        pytest.param(number, everyone, marks=marks)
        for number, everyone, marks in (
            (signal.SIGINT, True, ()),  # Ctrl-C, and
            (signal.SIGTERM, False, ()),  # a supervisor
            (signal.SIGINT, False, pytest.mark.slow),
            (signal.SIGTERM, True, pytest.mark.slow),
            (signal.SIGHUP, False, pytest.mark.slow),
            (signal.SIGHUP, True, pytest.mark.slow),
        )
    ],
    ids=lambda value: value.name if isinstance(value, signal.Signals) else ["one", "all"][value],
)
def test_what_is_left(start: Start, number: signal.Signals, *, everyone: bool) -> None:
    """No process, no env file, however it is told to stop."""
    world = start()
    settings = world.until_it_stands()

    said, complaints = world.told(number, everyone=everyone)

    assert said.startswith("NOT FOR PRODUCTION")
    assert said.endswith("\nStopped.\n")
    assert settings["DELEGATION_CLIENT_SECRET"] not in said
    assert (world.process.returncode, complaints) == (0, "")
    assert not world.env_file.exists()
    assert world.left() == []


@pytest.mark.parametrize(
    ("after", "number"),
    [
        ("issuer.json", signal.SIGINT),
        ("world.json", signal.SIGINT),
        ("world.json", signal.SIGTERM),
        ("service.log", signal.SIGINT),
    ],
)
def test_what_is_left_of_a_beginning(start: Start, after: str, number: signal.Signals) -> None:
    """Nor when it is told while it starts, by a terminal that tells all of it."""
    world = start()
    wait_until((world.world / after).exists)

    said, complaints = world.told(number, everyone=True)

    assert said.endswith("Stopped.\n")
    assert (world.process.returncode, complaints) == (0, "")
    assert not world.env_file.exists()
    assert world.left() == []


def test_a_token_for_the_admin_api(standing: Standing) -> None:
    """It opens what stands beside the service."""
    settings = standing.until_it_stands()
    ran = run("dev", "--env-file", str(standing.env_file), "token", "--admin", "--user", "carol")

    answer = httpx2.get(
        f"{settings['DELEGATION_ADMIN_API']}/admin/v1/exchanges",
        headers={"Authorization": f"Bearer {ran.out.strip()}"},
        trust_env=False,
    )

    assert answer.status_code == httpx2.codes.OK


def test_told_before_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not start because nobody wants it any more is no failure."""
    told, said = Event(), []
    told.set()
    monkeypatch.setattr(standing, "until_told", lambda: nullcontext(told))

    standing.stand(tmp_path / "dev.env", port=0, say=said.append)

    assert said == ["Stopped."]


def test_one_world_in_one_place(standing: Standing, start: Start) -> None:
    """A second one is refused, and takes nothing from the first."""
    second = start(env_file=standing.env_file)
    said, complaints = second.process.communicate(timeout=30)

    assert (second.process.returncode, said) == (1, "")
    assert complaints.replace(str(standing.world), "WORLD") == (
        "a world stands at WORLD already: stop it, or choose another place with --env-file.\n"
    )
    assert standing.env_file.exists()


def test_a_port_that_is_taken(standing: Standing, start: Start) -> None:
    """Another world elsewhere needs another port."""
    port = standing.until_it_stands()["DELEGATION_ISSUER"].rpartition(":")[2]

    second = start("--port", port)
    said, complaints = second.process.communicate(timeout=30)

    assert (second.process.returncode, said) == (1, "")
    assert complaints.replace(port, "PORT") == (
        "port PORT cannot be had (Address already in use): stop what listens there, "
        "or choose another with --port.\n"
    )
    assert second.left() == []


@pytest.mark.parametrize(
    ("application", "what", "log"),
    [
        (b"delegation.wsgi:application", "service", "service.log"),
        (b"delegation.wsgi_admin:application", "admin API", "admin.log"),
    ],
    ids=["the service", "the admin API"],
)
def test_a_service_that_ends(start: Start, application: bytes, what: str, log: str) -> None:
    """A world without its services does not stand."""
    world = start()
    world.until_it_stands()
    (gunicorn,) = (
        pid
        for pid in world.left()
        if _parent(pid) == world.process.pid and application in _command(pid)
    )

    os.kill(gunicorn, signal.SIGTERM)
    _, complaints = world.process.communicate(timeout=30)

    assert world.process.returncode == 1
    assert complaints == f"the {what} has stopped: see {world.world}/{log}.\n"
    assert not world.env_file.exists()


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def _command(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()
