"""The page on pipelines is true: every command says what stands below it, and none fails."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

from tests.cli.command import run
from tests.docs.pages import ROOT, alike, blocks

PAGE = ROOT / "docs/how-to/grants-in-ci.md"
FILE, *_, WORKFLOW = (text for language, text in blocks(PAGE) if language == "yaml")

EXAMPLES = [
    (command, shown if below == "text" else None)
    for (language, command), (below, shown) in zip(
        blocks(PAGE), [*blocks(PAGE)[1:], ("", "")], strict=True
    )
    if language == "console" and command.startswith("delegation ")
]

WITH_MORE_FILES = ("delegation registry test", "delegation registry plan")
"""What is run elsewhere."""


@pytest.fixture(name="there", autouse=True)
def _there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file of the page, and the settings that it exports."""
    (tmp_path / "registry").mkdir()
    (tmp_path / "registry" / "calendar.yaml").write_text(FILE)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("command", "shown"), [one for one in EXAMPLES if not one[0].startswith(WITH_MORE_FILES)]
)
def test_the_page_is_answered_as_it_shows(command: str, shown: str | None) -> None:
    """On the file that the page begins with."""
    program, *arguments = shlex.split(command.partition(">")[0])

    ran = run(*arguments, environment={"DELEGATION_ISSUER": "https://sts.example.com"})

    assert (program, ran.status, ran.err) == ("delegation", 0, "")
    assert shown is None or alike(ran.out, shown), ran.out


def test_what_is_meant_so_is_passed_over() -> None:
    """By the comment that the page shows, right above the entry."""
    (comment,) = re.findall("`(# lint: ignore .*?)`", PAGE.read_text("utf-8"))
    entry = "  - id: calendar-for-staff\n"
    file = Path("registry/calendar.yaml")
    file.write_text(FILE.replace(entry, f"  {comment}\n{entry}"))

    ran = run("registry", "lint", "registry", "--issuer", "https://sts.example.com", "--strict")

    assert (ran.status, ran.out) == (0, "1 ignored in 1 file.\n")


def test_the_pipeline_runs_what_the_page_explains() -> None:
    """Each step is a command of the page; the warning of the page would fail it."""
    steps = yaml.safe_load(WORKFLOW)["jobs"]["registry"]["steps"]
    commands = [step["run"] for step in steps if step.get("run", "").startswith("delegation ")]
    explained = {shlex.split(command)[2] for command, _ in EXAMPLES}

    ran = [
        run(*shlex.split(one)[1:], environment={"DELEGATION_ISSUER": "https://sts.example.com"})
        for one in commands
    ]

    assert {shlex.split(command)[2] for command in commands} <= explained
    assert [one.status for one in ran][:2] == [1, 0]
