"""What lint says, word for word: a corpus of registries, each with what is said of it beside it.

To write what is said anew, after reading it: `LINT_CORPUS=write python -m pytest` on this file.
"""

import os
from pathlib import Path

import pytest

from delegation.registry.lint.catalogue import RULES
from tests.cli.command import run

CORPUS = Path(__file__).parent / "corpus"
FILES = sorted(CORPUS.glob("*.yaml"))
ISSUER = "https://sts.example.com"
NOW = "2026-11-21T12:00:00Z"


def said_of(file: Path, directory: Path) -> str:
    """What the command says of a registry that has *file* alone."""
    (directory / file.name).write_bytes(file.read_bytes())
    ran = run("registry", "lint", str(directory), "--issuer", ISSUER, "--at", NOW)
    assert ran.err == ""
    return ran.out.replace(f"{directory}/", "")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_what_is_said(file: Path, tmp_path: Path) -> None:
    """Of each registry of the corpus, exactly what stands beside it."""
    said, expected = said_of(file, tmp_path), file.with_suffix(".txt")
    if os.environ.get("LINT_CORPUS") == "write":
        expected.write_text(said, "utf-8")

    assert said == expected.read_text("utf-8")


@pytest.mark.parametrize("code", sorted(RULES))
def test_every_finding_is_in_the_corpus(code: str) -> None:
    """Each code has a file that is called after it, of which it is said."""
    said = (CORPUS / f"{code.replace('_', '-')}.txt").read_text("utf-8")

    assert f"[{code}]" in said, code
