"""Two sets of files compared: where things stand, what is only described, and what is no secret."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from delegation.domain.changes import Effect
from delegation.domain.questions import Expectation, Question
from delegation.registry.build import expectations
from delegation.registry.documents import read
from delegation.registry.loader import Parser, Snapshot
from delegation.registry.plan import Reading, joined, plan
from delegation.registry.problems import RegistryInvalid
from delegation.registry.published import fingerprint, published, restored
from delegation.registry.trials import run
from tests.parties import NOW, a_registry
from tests.registry.story import OUR_ISSUER, STORY, WITH_ACTORS

DIGEST = "sha256:" + "1" * 64


def files(*texts: str) -> Snapshot:
    """Files with these texts."""
    return Snapshot(tuple((f"{n}.yaml", text.encode()) for n, text in enumerate(texts)))


def reading(text: str, **options: Any) -> Reading:
    """What one file says."""
    return Reading.of(files(text), issuer=OUR_ISSUER, **options)


def test_a_change_says_where_it_is() -> None:
    """In the new files; what is gone, in the old ones; what widens first."""
    idle = "  - id: idle\n    audience: urn:idle\n    exchange: false\n"
    before = STORY.replace("resources:\n", f"{idle}resources:\n")
    after = STORY.replace("desk-agent]", "desk-agent, planner]")
    after = "# A line more.\n" + after.replace("clients:\n  - id: calendar-mcp", _MOVED)

    found = plan(reading(before), reading(after), NOW)

    assert [(one.change.name, one.change.step.value, one.place) for one in found] == [
        ("calendar-for-staff", "changed", "0.yaml:27"),
        ("idle", "removed", "0.yaml:15"),
        ("calendar-mcp", "changed", "0.yaml:9"),
    ]
    assert joined(found) is Effect.WIDER
    assert joined([]) is Effect.SAME


def test_what_widens_and_what_narrows_is_both() -> None:
    """Taken together, as one entry that does both."""
    after = STORY.replace("[desk-agent]", "any").replace("names: [calendar]\n    ", "")

    found = plan(reading(STORY), reading(after), NOW)

    assert [one.change.effect for one in found] == [Effect.WIDER, Effect.NARROWER]
    assert joined(found) is Effect.BOTH


_MOVED = "clients:\n  - owner: calendar team\n    id: calendar-mcp"


def test_only_those_are_named_whom_a_resource_concerns() -> None:
    """Whoever is admitted as before is not; where it is called otherwise, all are."""
    mail = "  - {id: mail-mcp, audience: urn:mail, exchange: true}\n"
    grant = STORY[STORY.index("  - id: calendar-for-staff") :]
    other = grant.replace("calendar-for-staff", "mail").replace("calendar-mcp", "mail-mcp")
    before = STORY.replace("resources:\n", f"{mail}resources:\n").replace(_ADMITTED, _TOO) + other
    less = before.replace("mail-mcp: [events.read]", "mail-mcp: [events.write]")
    named = less.replace("[calendar]", "[calendar, kalender]")

    (one,), (another,) = (plan(reading(before), reading(text), NOW) for text in (less, named))

    assert (one.change.effect, one.change.whom.clients) == (Effect.NARROWER, ("mail-mcp",))
    assert another.change.whom.clients == ("calendar-mcp", "mail-mcp")


_ADMITTED = "      calendar-mcp: [events.read, events.write]\n"
_TOO = _ADMITTED + "      mail-mcp: [events.read]\n"


def test_files_that_nobody_has_have_no_places() -> None:
    """What a service has loaded stands in no file of ours."""
    found = plan(reading(STORY, anonymous=True), reading("", anonymous=True), NOW)

    assert {one.place for one in found} == {""}
    assert joined(found) is Effect.NARROWER


def test_files_that_cannot_be_loaded_are_not_compared() -> None:
    """With all that is wrong."""
    with pytest.raises(RegistryInvalid) as raised:
        reading("grants: none")

    assert len(raised.value.problems) == 1


@pytest.mark.parametrize("story", [STORY, WITH_ACTORS])
def test_what_is_published_says_the_same(story: str) -> None:
    """But for the digests of secrets, which are others."""
    shown = published(files(story))

    before = Reading.of(restored(shown), issuer=OUR_ISSUER)

    assert plan(before, reading(story, secrets=False), NOW) == []
    assert [one.change.name for one in plan(before, reading(story), NOW)] == ["calendar-mcp"]
    assert DIGEST.removeprefix("sha256:") not in repr(shown)
    assert fingerprint(DIGEST) in repr(shown)


def test_a_changed_secret_is_told_by_its_fingerprint() -> None:
    """And nothing else of it is."""
    before = Reading.of(restored(published(files(STORY))), issuer=OUR_ISSUER)

    (one,) = plan(before, reading(STORY.replace("1" * 64, "2" * 64), secrets=False), NOW)

    (difference,) = one.change.differences
    assert (difference.of, one.change.effect) == ("secrets", Effect.BOTH)
    assert difference.gained == difference.lost == ("a secret",)


@given(st.text(st.characters(exclude_categories=["Cs"])))
@example("\r\x85\u2028\u2029\u202e\u2066\ufeff")
def test_any_text_is_published_as_it_is(text: str) -> None:
    """Characters that JSON and YAML take differently, too."""
    values = {"grants": [{"description": text}]}

    ((name, content),) = restored({"0.yaml": values}).files

    assert read(name, content).value == values


def an_expectation(**changes: Any) -> Expectation:
    """That somebody is refused a token."""
    asked = {
        "client": "calendar-mcp",
        "resource": "calendar",
        "alias": "corp",
        "subject": "alice",
        "agent": "nobody",
        "now": NOW,
    }
    return Expectation(
        name="a test", place="0.yaml:1", question=Question(**(asked | changes)), granted=False
    )


def test_a_test_passes_or_fails() -> None:
    """As the answer is expected or not; what cannot be asked fails, and says why."""
    as_expected, otherwise, unaskable = run(
        [
            an_expectation(),
            an_expectation(agent="desk-agent", token_scope=frozenset({"calendar:read"})),
            an_expectation(client="mail-mcp"),
        ],
        a_registry(),
    )

    assert (as_expected.passed, otherwise.passed, unaskable.passed) == (True, False, False)
    assert unaskable.problem == "there is no client mail-mcp"


ASKED = """\
tests:
  - name: soon
    client: calendar-mcp
    subject: corp|alice
    agent: desk-agent
    resource: calendar
    expect: refused
"""


def test_a_test_without_a_time_is_asked_now() -> None:
    """And one that names its time, then."""
    later = ASKED.replace("soon", "later").removeprefix("tests:\n") + _LATER
    entries, problems = Parser(issuer=OUR_ISSUER).examine(files(STORY + ASKED + later))

    one, other = expectations(entries, now=NOW)

    assert problems == []
    assert other.question.now - one.question.now == timedelta(hours=1)


_LATER = '    at: "2026-11-20T13:00:00Z"\n'
