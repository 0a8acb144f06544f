"""The commands, as people type them: what they do, and what they say when they cannot."""

import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import click
import jsonschema
import pytest
from click.testing import CliRunner, Result

from delegation.audit.events import schema
from delegation.cli import main
from delegation.dev import story
from delegation.dev.servers import valkey
from tests.attacks.endpoint import Endpoint
from tests.integration.conftest import endpoint_of
from tests.world import TestWorld

DELEGATION = Path(sys.executable).with_name("delegation")


def _run(environment: Mapping[str, str], *arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, env=environment)


def _must_complain(result: Result, *words: str) -> None:
    """A message that somebody can act on, and no traceback."""
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    for word in words:
        assert word in result.output


@pytest.fixture(name="empty")
def _empty(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of a service whose store is not laid out yet."""
    with valkey(tmp_path) as url:
        yield {
            "DELEGATION_ISSUER": "https://sts.example",
            "DELEGATION_REDIS_URL": url,
            "DELEGATION_REGISTRY": str(tmp_path / "registry"),
            "DELEGATION_SIGNING_KEYS": str(tmp_path / "keys.json"),
        }


def test_the_demo() -> None:
    """The whole story plays, on parts of its own, and every step of it behaves."""
    played = subprocess.run(  # noqa: S603, our own command
        [DELEGATION, "demo"], capture_output=True, text=True, timeout=60, check=False
    )

    assert played.returncode == 0, played.stdout + played.stderr
    assert played.stderr == ""
    assert "✗" not in played.stdout
    assert played.stdout.count("✓") >= 12
    for words in (
        "the calendar API takes it 200",
        "the calendar API refuses Alice's own token: no passthrough 401",
        "invalid_scope (not_permitted, needs calendar:write)",
        "corp|alice ← desk-agent ← calendar-mcp",
        "corp|alice ← desk-agent ← calendar-mcp ← calendar-api",
        "the rooms API takes it 200",
        "now it is dead, two hops down",
        "Every step behaved.",
    ):
        assert words in played.stdout
    assert not re.search(r"eyJ|dlg_", played.stdout)


def test_a_demo_that_goes_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that does not behave is marked, and the exit status says so."""
    # The API that no grant names is one that a grant names: no refusal comes.
    monkeypatch.setattr(story, "PAYROLL_API", story.CALENDAR_API)

    result = _run({}, "demo")

    _must_complain(result, "A step did not behave as it should.")
    assert "✗ an API that no grant names 200" in result.output


def test_laying_out_the_store(empty: dict[str, str]) -> None:
    """Once it is laid out; twice changes nothing; otherwise than it is, it is refused."""
    first, second = _run(empty, "ledger", "init"), _run(empty, "ledger", "init")
    other = _run(empty | {"DELEGATION_PARTITIONS": "8"}, "ledger", "init")

    assert (first.exit_code, first.output) == (0, "The store is laid out.\n")
    assert (second.exit_code, second.output) == (0, "The store was laid out already.\n")
    _must_complain(other, "64 partitions", "expects", "8")


def test_a_store_that_is_not_there(empty: dict[str, str], tmp_path: Path) -> None:
    """It says what to check."""
    nowhere = empty | {"DELEGATION_REDIS_URL": f"unix://{tmp_path}/nowhere.sock"}

    for arguments in (("ledger", "init"), ("audit", "drain", "--to", str(tmp_path / "out"))):
        _must_complain(_run(nowhere, *arguments), "DELEGATION_REDIS_URL")


def test_draining_a_store_that_is_not_laid_out(empty: dict[str, str], tmp_path: Path) -> None:
    """It says what to do first."""
    result = _run(empty, "audit", "drain", "--to", str(tmp_path / "out"))

    _must_complain(result, "delegation ledger init")


@pytest.mark.parametrize(
    "arguments", [("ledger", "init"), ("audit", "drain", "--to", "out")], ids=" ".join
)
def test_wrong_settings(arguments: tuple[str, ...], tmp_path: Path) -> None:
    """Every problem is named at once, with the variable and without its value."""
    others = {name: text for name, text in os.environ.items() if "DELEGATION_" not in name}
    environment = others | {
        "DELEGATION_ISSUER": "ftp://user:password@sts.example",
        "DELEGATION_REDIS_ULR": "redis://localhost",
        "DELEGATION_WORKERS": "many",
    }

    ran = subprocess.run(  # noqa: S603, our own command
        [DELEGATION, *arguments],
        capture_output=True,
        text=True,
        env=environment,
        cwd=tmp_path,
        timeout=60,
        check=False,
    )

    assert ran.returncode == 1
    assert ran.stdout == ""
    assert "Traceback" not in ran.stderr
    assert "password" not in ran.stderr
    for variable in (
        "DELEGATION_ISSUER: must be",
        "DELEGATION_REDIS_ULR: is not known; the nearest that is known is DELEGATION_REDIS_URL",
        "DELEGATION_REDIS_URL: is not set",
        "DELEGATION_REGISTRY: is not set",
        "DELEGATION_WORKERS: must be",
    ):
        assert variable in ran.stderr


def test_draining(alone: TestWorld, tmp_path: Path) -> None:
    """The events of what happened become lines on disk, by the published schema, once."""
    endpoint: Endpoint = endpoint_of(alone)
    token = alone.login.token()
    granted = endpoint.exchange(subject_token=token)
    refused = endpoint.exchange(scope="admin")
    environment, target = alone.world.environment, tmp_path / "audit" / "here"

    first = _run(environment, "audit", "drain", "--to", str(target))
    second = _run(environment, "audit", "drain", "--to", str(target))

    assert (first.exit_code, first.output) == (0, f"2 events moved to {target}.\n")
    assert (second.exit_code, second.output) == (0, f"0 events moved to {target}.\n")
    (file,) = target.glob("*.jsonl")
    assert file.stat().st_mode & 0o077 == 0
    text = file.read_text()
    events = {event["type"]: event for event in map(json.loads, text.splitlines())}
    check = jsonschema.Draft202012Validator(schema())
    for event in events.values():
        check.validate(event)
    assert events["exchange"]["decision"] == granted.header("Delegation-Decision")
    assert events["exchange"]["subject"]["sub"] == "alice"
    assert events["exchange"]["source"] == endpoint.source
    assert events["refusal"]["decision"] == refused.header("Delegation-Decision")
    assert events["refusal"]["cause"] == "scope_exceeded"
    for part in (*token.split("."), *granted.json["access_token"].split(".")):
        assert part not in text
    assert endpoint.exchange().status == 200


def test_draining_where_somebody_drains(shared: TestWorld, tmp_path: Path) -> None:
    """Two do not drain into one place; nor does one into a place that is none."""
    environment = shared.world.environment
    with (tmp_path / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        result = _run(environment, "audit", "drain", "--to", str(tmp_path))
    (tmp_path / "file").touch()

    _must_complain(result, "Another process drains")
    _must_complain(
        _run(environment, "audit", "drain", "--to", str(tmp_path / "file" / "below")),
        "Not a directory",
    )


def test_the_schemas() -> None:
    """Both schemas are printed as they are published: JSON Schema, and sound."""
    for group in ("audit", "registry"):
        printed = _run({}, group, "schema")

        assert printed.exit_code == 0
        jsonschema.Draft202012Validator.check_schema(json.loads(printed.output))


def _commands(group: click.Group, *path: str) -> Iterator[tuple[str, ...]]:
    yield path
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from _commands(command, *path, name)
        else:
            yield (*path, name)


@pytest.mark.parametrize(
    "path", list(_commands(main)), ids=lambda path: " ".join(path) or "delegation"
)
def test_help(path: tuple[str, ...]) -> None:
    """Every command says what it is for, without any setting."""
    result = _run({}, *path, "--help")

    assert result.exit_code == 0
    assert result.output.startswith("Usage:")
    assert len(result.output.splitlines()) > 3


def test_the_command_is_installed() -> None:
    """`delegation` is there, and knows its version."""
    assert shutil.which("delegation", path=str(DELEGATION.parent))

    assert re.fullmatch(r"delegation, version \d+\.\d+\.\d+\n", _run({}, "--version").output)
