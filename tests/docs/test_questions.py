"""The page of questions is true: every command says what stands below it."""

import shlex
from pathlib import Path

import pytest

from tests.cli.command import run
from tests.docs.pages import ROOT, alike, blocks

PAGE = ROOT / "docs/how-to/ask-who-can-do-what.md"

EXAMPLES = [
    (command, shown)
    for (language, command), (below, shown) in zip(blocks(PAGE), blocks(PAGE)[1:], strict=False)
    if language == "console" and below in {"text", "mermaid"}
]


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_the_page_is_answered_as_it_shows(tmp_path: Path, number: int) -> None:
    """On the files that the page begins with, and with the settings that it exports."""
    (files,) = (text for language, text in blocks(PAGE) if language == "yaml")
    (exported,) = (text for _, text in blocks(PAGE) if text.startswith("export "))
    settings = dict(one.split("=", 1) for one in shlex.split(exported)[1:])
    (tmp_path / "story.yaml").write_text(files)
    command, shown = EXAMPLES[number]

    program, *arguments = shlex.split(command)
    ran = run(*arguments, environment=settings | {"DELEGATION_REGISTRY": str(tmp_path)})

    assert program == "delegation"
    assert settings["DELEGATION_REGISTRY"] == "registry"
    assert alike(ran.out, shown), ran.out
    assert ran.err == ""


def test_every_question_is_on_the_page() -> None:
    """Each command, and each of its forms of output."""
    said = "".join(command for command, _ in EXAMPLES)

    assert all(one in said for one in ("can-i", "who-can", "what-can", "json", "mermaid", "--hop"))
