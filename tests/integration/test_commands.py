"""The commands that need the whole service, as people type them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from delegation.audit.events import schema
from delegation.audit.segments import Directory, Trail
from delegation.dev import story
from tests.attacks.endpoint import Endpoint
from tests.cli.command import run
from tests.integration.conftest import endpoint_of
from tests.secrecy import shows_any
from tests.world import TestWorld

DELEGATION = Path(sys.executable).with_name("delegation")


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
    assert not shows_any(played.stdout)


def test_a_demo_that_goes_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that does not behave is marked, and the exit status says so."""
    # The API that no grant names is one that a grant names: no refusal comes.
    monkeypatch.setattr(story, "PAYROLL_API", story.CALENDAR_API)

    played = run("demo")

    assert (played.status, played.err) == (1, "A step did not behave as it should.\n")
    assert "✗ an API that no grant names 200" in played.out


def test_sealing(alone: TestWorld, tmp_path: Path) -> None:
    """A sealer at work: what happened is in the trail, by the published schema, and it verifies."""
    endpoint: Endpoint = endpoint_of(alone)
    token = alone.login.token()
    granted = endpoint.exchange(subject_token=token)
    refused = endpoint.exchange(scope="admin")
    target, key = tmp_path / "audit" / "here", tmp_path / "audit.key"
    made = run("audit", "new-key", str(key), "--name", "sts.example.com/audit")
    environment = {**alone.world.environment, "DELEGATION_AUDIT_KEY": str(key)}

    with subprocess.Popen(  # noqa: S603, our own command
        [DELEGATION, "audit", "seal", target, "--interval", "0.1"],
        env=os.environ | environment,
        stderr=subprocess.PIPE,
        text=True,
    ) as sealer:
        assert sealer.stderr is not None
        said = json.loads(sealer.stderr.readline())
        sealer.terminate()
        assert sealer.wait(timeout=30) == 0

    assert (said["event"], said["segment"], said["records"]) == ("sealed", 1, 2)
    verified = run("audit", "verify", str(target), "--key", made.out.split()[-1])
    assert verified.out.startswith("Verified: 2 records in 1 segments.")
    (file,) = target.iterdir()
    assert file.stat().st_mode & 0o077 == 0
    records = list(Trail(Directory(target)).records())
    events = {event["type"]: event for event in (record.exported() for record in records)}
    check = jsonschema.Draft202012Validator(schema())
    for event in events.values():
        check.validate(event)
    assert events["exchange"]["decision"] == granted.header("Delegation-Decision")
    assert events["exchange"]["subject"]["sub"] == "alice"
    assert events["exchange"]["source"] == endpoint.source
    assert events["refusal"]["decision"] == refused.header("Delegation-Decision")
    assert events["refusal"]["cause"] == "scope_exceeded"
    text = file.read_text("ascii")
    for part in (*token.split("."), *granted.json["access_token"].split(".")):
        assert part not in text
    assert endpoint.exchange().status == 200
