"""The checklist, the marks and the page agree; where they do not, it is said what to do."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from tests.conformance import page
from tests.conformance.checklist import Checklist, checklist, problems
from tests.conformance.marks import ROOT, Marks, collected
from tests.docs import generate

PAGE = ROOT / "docs" / "reference" / "conformance.md"


# The project's own


def test_every_row_is_held_or_says_why_not() -> None:
    """And no mark names a row or an attack that is not there, and no note is out of date."""
    found = list(problems(checklist(), collected()))

    assert not found, "\n".join(found)


def test_the_page_is_what_the_generator_writes() -> None:
    """Whoever reads it reads which tests there are now."""
    text = PAGE.read_text("utf-8")

    assert generate.parts(text) == {"conformance", "requirements", "attacks"}
    assert generate.rendered(text) == text, f"run `make schema`: it writes {PAGE.name} anew"


# The rules, each broken once


ROW = {"id": "1-1", "section": "§1", "requirement": "It is so."}
ATTACK = {"number": 7, "attack": "A trick", "answer": "400"}
HELD = Marks(standard={"1-1": ["tests/a.py::test_a"]}, attack={"7": ["tests/b.py::test_b"]})
NOTHING = Marks(standard={}, attack={})


def a_checklist(*, times: int = 1, **changes: Any) -> Checklist:
    """One row and one attack, so many times; *changes* are members of both."""
    document = {"name": "RFC 1", "title": "one", "requirements": [ROW | changes] * times}
    return Checklist.model_validate(
        {"documents": [document], "attacks": [ATTACK | changes] * times}
    )


def test_what_agrees_is_no_problem() -> None:
    """A row with a test, or with the reason why it has none."""
    assert list(problems(a_checklist(), HELD)) == []
    assert list(problems(a_checklist(not_yet="to come"), NOTHING)) == []


def test_a_row_without_a_test() -> None:
    """Somebody has to mark one, or to say why there is none."""
    row, attack = problems(a_checklist(), NOTHING)

    assert row.startswith("row 1-1 has no test: ")
    assert '@pytest.mark.standard("1-1"), or say in requirements.yaml why' in row
    assert attack.startswith("attack 7 has no test: ")
    assert "@pytest.mark.attack(7), or say in requirements.yaml why" in attack


def test_a_note_that_is_out_of_date() -> None:
    """Whoever meets a row takes its note out."""
    row, attack = problems(a_checklist(not_yet="to come"), HELD)

    assert row.startswith("row 1-1 has a test, tests/a.py::test_a: remove its `not_yet` from ")
    assert attack.startswith("attack 7 has a test, tests/b.py::test_b: remove its `not_yet` from ")


def test_a_mark_that_names_nothing() -> None:
    """It may be a slip of the pen, or a row that nobody has written down."""
    marks = Marks(
        standard={**HELD.standard, "1-2": ["tests/c.py::test_c"]},
        attack={**HELD.attack, "8": ["tests/c.py::test_c", "tests/c.py::test_d"]},
    )

    row, attack = problems(a_checklist(), marks)

    assert row.startswith("there is no row '1-2', which marks tests/c.py::test_c: mend the mark, ")
    assert attack.startswith("there is no attack '8', which marks tests/c.py::test_c, tests/c.py")


def test_a_row_that_stands_twice() -> None:
    """Nobody could tell which of the two a mark means."""
    row, attack = problems(a_checklist(times=2), HELD)

    assert row.startswith("row 1-1 stands twice in requirements.yaml: ")
    assert attack.startswith("attack 7 stands twice in requirements.yaml: ")


@pytest.mark.parametrize(
    "changes",
    [{"not_yet": ""}, {"not_yet": True}, {"answer": " "}, {"notyet": "to come"}],
    ids=["no reason", "no text", "blank", "unknown member"],
)
def test_a_row_is_written_properly(changes: dict[str, Any]) -> None:
    """A note without a reason excuses nothing."""
    with pytest.raises(ValidationError):
        a_checklist(**changes)


# Which marks count

EVERYWHERE = """
import pytest

pytestmark = pytest.mark.standard("of the module")


@pytest.mark.standard("of the class")
class TestSomething:
    pytestmark = pytest.mark.attack(1, 2)

    @pytest.mark.standard("of the test", "of the test too")
    def test_in_a_class(self):
        raise AssertionError("it is not run")


@pytest.mark.parametrize("one", [pytest.param(1, marks=pytest.mark.standard("of a case")), 2])
def test_of_cases(one):
    raise AssertionError("it is not run")


@pytest.mark.standard("of no test")
def helper():
    pass
"""


def test_wherever_a_mark_stands_it_counts(tmp_path: Path) -> None:
    """At a module, a class, a test, or one of its cases; and nothing is run."""
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_marked.py").write_text(EVERYWHERE)

    found = collected(tmp_path)

    in_a_class = "tests/test_marked.py::TestSomething::test_in_a_class"
    of_cases = "tests/test_marked.py::test_of_cases"
    assert found.standard == {
        "of a case": [of_cases],
        "of the class": [in_a_class],
        "of the module": [in_a_class, of_cases],
        "of the test": [in_a_class],
        "of the test too": [in_a_class],
    }
    assert found.attack == {"1": [in_a_class], "2": [in_a_class]}


def test_tests_that_cannot_be_collected(tmp_path: Path) -> None:
    """Half of the marks are none: it is said what is broken."""
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_broken.py").write_text("import nothing_of_that_name\n")

    with pytest.raises(RuntimeError, match="nothing_of_that_name"):
        collected(tmp_path)


# What the page shows


def test_a_row_shows_tests_of_as_many_files_as_it_can() -> None:
    """Three of them, and how many more there are."""
    tests = ["tests/a.py::test_1", "tests/a.py::test_2", "tests/b.py::TestB::test_3"]

    assert page.links(tests[:2]) == "[test_1](../../tests/a.py), [test_2](../../tests/a.py)"
    assert page.links([*tests, "tests/c.py::test_4"]) == (
        "[test_1](../../tests/a.py), [TestB::test_3](../../tests/b.py), "
        "[test_4](../../tests/c.py), and 1 more"
    )
    assert page.links([]) == ""
