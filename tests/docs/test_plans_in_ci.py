"""The same page on tests and plans: what they say stands below the commands."""

import re
import shlex
from pathlib import Path

import pytest

from tests.cli.command import run
from tests.docs.pages import ROOT, alike, blocks

PAGE = ROOT / "docs/how-to/grants-in-ci.md"
FILE, TESTS, _ = (text for language, text in blocks(PAGE) if language == "yaml")
(DIFF,) = (text for language, text in blocks(PAGE) if language == "diff")
SHOWN = [
    (command, shown)
    for (language, command), (below, shown) in zip(blocks(PAGE), blocks(PAGE)[1:], strict=False)
    if language == "console" and re.match(r"delegation registry (?:test|plan) ", command)
    if below == "text"
]


@pytest.mark.parametrize(("command", "shown"), SHOWN)
def test_the_page_is_answered_as_it_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, shown: str
) -> None:
    """With the main branch in `base/`, and the change that it shows made."""
    changed = FILE
    for old, new in re.findall(r"^-(.*)\n\+(.*)$", DIFF, re.MULTILINE):
        assert old in FILE
        changed = changed.replace(old, new)
    for directory, text in (("base/registry", FILE), ("registry", changed)):
        (tmp_path / directory).mkdir(parents=True)
        (tmp_path / directory / "calendar.yaml").write_text(text)
        (tmp_path / directory / "tests.yaml").write_text(TESTS)
    monkeypatch.chdir(tmp_path)

    ran = run(
        *shlex.split(command)[1:], environment={"DELEGATION_ISSUER": "https://sts.example.com"}
    )

    assert (ran.status, ran.err) == (0, "")
    assert alike(ran.out, shown), ran.out


def test_both_commands_are_shown() -> None:
    """The page would lose them unnoticed."""
    assert [shlex.split(command)[2] for command, _ in SHOWN] == ["test", "plan"]
