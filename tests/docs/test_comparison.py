"""The comparison is fair in form: the same questions to each, its merits first, its sources."""

import re

import pytest

from tests.docs.pages import ROOT, table

TEXT = (ROOT / "docs/explanation/comparison.md").read_text("utf-8")
QUESTIONS = ["chain", "audience", "scope", "revocation", "audit"]
_PARTS = re.split(r"^## (.*)\n", TEXT, flags=re.MULTILINE)
SECTIONS = dict(zip(_PARTS[1::2], _PARTS[2::2], strict=True))
ROWS = table(TEXT, "project", *QUESTIONS)
LINKED = [match[1] for row in ROWS if (match := re.fullmatch(r"\[(.*)\]\(#.*\)", row[0]))]


def test_every_project_of_the_table_has_its_section() -> None:
    """And no other has one; we stand in the first row, for the same questions."""
    assert ROWS[0][0] == "delegation"
    assert all(ROWS[0])
    assert len(LINKED) == len(ROWS) - 1
    between = list(SECTIONS)[list(SECTIONS).index("Point by point") + 1 :]
    assert between[: between.index("Not compared")] == LINKED


@pytest.mark.parametrize("project", LINKED)
def test_every_project_has_its_merits_first_and_its_sources(project: str) -> None:
    """What is said of it is linked to what it says of itself."""
    body = re.sub(r"\A\s*\*.*\*\n", "", SECTIONS[project]).strip()

    assert body.startswith("**Better:**")
    assert re.search(r"\]\(https://", body)


@pytest.mark.parametrize("project", LINKED[:6])
def test_every_question_is_answered_in_its_order(project: str) -> None:
    """Even if the answer is that we did not verify it."""
    assert re.findall(r"^- \*\*(\w+)\*\*:", SECTIONS[project], re.MULTILINE) == QUESTIONS
