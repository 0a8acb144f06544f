"""The page for auditors is true: its commands run in order on a trail, and so does its program."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.audit.trails import KEY, a_trail
from tests.cli.command import Ran
from tests.cli.command import run as command_run
from tests.docs.pages import ROOT, alike, blocks, run

PAGE = ROOT / "docs/how-to/verify-as-an-auditor.md"
EXPLANATION = ROOT / "docs/explanation/audit-trail.md"


@pytest.fixture(name="here")
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a trail of six events in three segments."""
    a_trail(tmp_path / "audit", [{}, {}], [{"client": "notes-mcp"}, {}, {}], [{}])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_command_says_what_is_shown(here: Path) -> None:
    """From the key to what a changed trail is answered with."""
    found = blocks(PAGE)
    commands = [
        (text, below if kind_below == "text" else "")
        for (kind, text), (kind_below, below) in zip(found, [*found[1:], ("", "")], strict=True)
        if kind == "console" and not text.startswith("export")
    ]

    for command, expected in commands:
        ran = [done(line, here) for line in command.splitlines()][-1]
        said = re.sub(r"sealed at \S+Z", "sealed at 2026-11-20T12:00:03.000Z", ran.out + ran.err)
        assert not expected or alike(said.strip(), expected.strip()), said
        assert ran.status == (1 if "sed -i" in command else 0)

    assert len(commands) == 5


def done(line: str, here: Path) -> Ran:
    """What a line does as a shell does it; a command of ours is run in this process."""
    words = shlex.split(line.replace("$AUDIT_KEY", str(KEY.verifier)))
    if words[0] != "delegation":
        subprocess.run(words, cwd=here, check=True)  # noqa: S603, our own page
        return Ran(0, "", "")
    words, into = (words[:-2], words[-1]) if ">" in words else (words, None)
    ran = command_run(*words[1:])
    if into is not None:
        (here / into).write_text(ran.out, "utf-8")
    return ran


@pytest.mark.usefixtures("here")
def test_the_program_verifies_without_ours() -> None:
    """It prints what stands below it, and finds a change, too."""
    run(PAGE, {"AUDIT_KEY": str(KEY.verifier)})

    path = Path("audit/segment-000000000002.jsonl")
    path.write_bytes(path.read_bytes().replace(b"notes-mcp", b"other-mcp"))
    with pytest.raises(AssertionError):
        run(PAGE, {"AUDIT_KEY": str(KEY.verifier)})


def test_the_example_of_a_segment_is_in_its_form(here: Path) -> None:
    """The members that the page shows are those that there are."""
    shown = next(text for kind, text in blocks(EXPLANATION) if kind == "json").splitlines()
    lines = (here / "audit" / "segment-000000000001.jsonl").read_text("ascii").splitlines()

    members = re.compile(r'"(\w+)":')
    for one, other in zip(shown, (lines[0], lines[-1]), strict=True):
        names = set(members.findall(one)) - {"9c2f", "7"}
        assert names == set(members.findall(other)) - {"0f", "0"}
