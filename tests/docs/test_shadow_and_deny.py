"""The page of denies and shadows is true: its files load, and every command says what is shown."""

import json
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest

from delegation.audit.events import Events
from delegation.audit.packing import unpacked
from delegation.domain.questions import Question, Yes, can_i
from delegation.domain.registry import Registry
from delegation.registry.build import expectations
from tests.cli.command import run
from tests.docs.pages import ROOT, alike, blocks
from tests.parties import a_case
from tests.registry import story

PAGE = ROOT / "docs" / "explanation" / "shadow-and-deny.md"


def stages() -> Iterator[tuple[str, str, str]]:
    """Each command of the page, what it answers, and the file that it is asked beside the first."""
    found = blocks(PAGE)
    latest = ""
    for (language, text), (_, below) in pairwise(found):
        if language == "yaml":
            latest = text
        elif language == "console":
            yield text, below, latest


FIRST = blocks(PAGE)[0][1]


@pytest.mark.parametrize("number", range(2), ids=["shadow", "deny"])
def test_the_page_is_answered_as_it_shows(tmp_path: Path, number: int) -> None:
    """On the files that stand above the command."""
    command, shown, latest = list(stages())[number]
    story.write(tmp_path, first=FIRST, second=latest)
    environment = {"DELEGATION_REGISTRY": str(tmp_path), "DELEGATION_ISSUER": story.OUR_ISSUER}

    _, *arguments = shlex.split(command)
    ran = run(*arguments, environment=environment)

    assert len(list(stages())) == 2
    assert alike(ran.out, shown), ran.out
    assert ran.err == ""


def test_the_event_says_what_the_page_shows() -> None:
    """Of the question that the page asks."""
    _, _, latest = next(stages())
    registry: Registry = story.of(FIRST, latest)
    (shown,) = (json.loads(text) for language, text in blocks(PAGE) if language == "json")
    asked = Question(
        client="calendar-mcp",
        resource="calendar",
        scope=frozenset({"events.write"}),
        alias="corp",
        subject="bob",
        claims={"groups": frozenset({"staff", "interns"})},
        agent="desk-agent",
        token_scope=frozenset({"calendar:write"}),
        now=datetime(2026, 11, 20, tzinfo=UTC),
    )

    answer = can_i(asked, registry)

    assert isinstance(answer, Yes)
    event = unpacked(Events().granted(answer.delegation, a_case(registry=registry)))
    assert event["shadow"] == shown


def test_a_deny_of_the_page_is_its_shadow_without_one_line() -> None:
    """So it is brought in by taking that line out."""
    _, shadow, enforced = (text for language, text in blocks(PAGE) if language == "yaml")

    assert shadow.replace("    mode: shadow\n", "") == enforced


def test_the_reference_shows_what_loads_and_holds() -> None:
    """Its example, beside the story's parties, and its own tests of itself."""
    reference = ROOT / "docs" / "reference" / "registry.md"
    (text,) = (text for language, text in blocks(reference) if text.startswith("teams:"))
    files = (story.STORY.split("grants:\n")[0], text)

    registry = story.of(*files)

    found = expectations(story.entries(*files), now=datetime(2026, 11, 20, tzinfo=UTC))
    assert len(found) == 2
    assert all(one.is_met_by(can_i(one.question, registry)) for one in found)
