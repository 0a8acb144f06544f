"""Whatever lint says of grants and denies is so, by the very decisions that the service makes."""

import json
from datetime import UTC, datetime
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delegation.domain.questions import Question, Yes, can_i
from delegation.registry.lint.catalogue import LintCode
from delegation.registry.lint.linter import Report, look_at
from delegation.registry.loader import Snapshot
from tests.registry import story
from tests.registry.lint import drawn

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
US = story.OUR_ISSUER

USELESS = {
    LintCode.CLIENT_SWITCHED_OFF,
    LintCode.EXPIRED,
    LintCode.LIFETIME_TOO_SHORT,
    LintCode.CHAIN_TOO_SHORT,
    LintCode.ONLY_ITSELF,
    LintCode.GIVES_NOTHING,
    LintCode.ALL_DENIED,
}
"""Said of grants by which nobody gets anything."""

IDLE = {LintCode.DUPLICATE_GRANT, LintCode.INCLUDED_GRANT, LintCode.DENIES_NOTHING}
"""Said of what makes no difference."""


def linted(*texts: str) -> Report:
    """What is said of files."""
    files = tuple((f"{number}.yaml", text.encode()) for number, text in enumerate(texts))
    return look_at(Snapshot(files), issuer=US, now=NOW)


def written(content: dict[str, Any]) -> str:
    """A registry as a file: JSON is YAML, too, and a line for each value."""
    return json.dumps(content, indent=1)


def by_grant(content: dict[str, Any]) -> dict[str, set[str]]:
    """The codes that lint gives for each grant of a registry, by its id."""
    lines = written(content).splitlines()
    begins = {line.split('"')[3]: n for n, line in enumerate(lines) if '"id": "grant-' in line}
    found: dict[str, set[str]] = {id_: set() for id_ in begins}
    for one in linted(written(content)).findings:
        within = [id_ for id_, line in begins.items() if line <= one.line]
        if within:
            found[within[-1]].add(one.code)
    return found


QUESTIONS = [
    Question(
        alias=alias,
        subject=subject,
        claims={"groups": frozenset(groups)},
        token_scope=frozenset(drawn.API_SCOPES),
        agent=agent,
        client=client,
        resource=resource,
        before=before,
        now=NOW,
    )
    for alias, (before, client, resource), subject, agent, groups in product(
        drawn.ALIASES,
        [
            ((), "calendar-mcp", drawn.CALENDAR_API),
            ((), "calendar-api", drawn.ROOMS_API),
            ((), "calendar-mcp", drawn.ROOMS_API),
            (("calendar-mcp",), "calendar-api", drawn.ROOMS_API),
        ],
        dict.fromkeys((*drawn.PEOPLE, *drawn.AGENTS, "somebody")),
        (*drawn.AGENTS, "some-agent"),
        [(), ("staff",), ("board",), drawn.GROUPS],
    )
]
"""About whomever a drawn registry can tell apart."""

Answers = list[frozenset[str] | None]


def answers(content: dict[str, Any], questions: list[Question]) -> Answers:
    """What is given for each question; `None` where it is refused."""
    registry = story.of(written(content))
    found = [can_i(question, registry) for question in questions]
    return [one.delegation.scope if isinstance(one, Yes) else None for one in found]


def without(content: dict[str, Any], *ids: str) -> dict[str, Any]:
    """A registry without some of its grants."""
    return content | {"grants": [one for one in content["grants"] if one["id"] not in ids]}


def alone(content: dict[str, Any], grant: dict[str, Any]) -> dict[str, Any]:
    """A registry in which nothing but *grant* gives anything at its resource."""
    others = [
        one["id"]
        for one in content["grants"]
        if one is not grant and one["effect"] == "allow" and one["resource"] == grant["resource"]
    ]
    return without(content, *others)


@given(drawn.contents(), st.lists(st.sampled_from(QUESTIONS), min_size=9, max_size=9))
def test_whatever_is_said_of_grants_is_so(content: dict[str, Any], asked: list[Question]) -> None:
    """What is idle can be taken away, and what is useless gives nothing, whatever is asked."""
    said = by_grant(content)
    before = answers(content, asked)
    for grant in content["grants"]:
        codes = said[grant["id"]]
        if codes & (IDLE | USELESS):
            assert answers(without(content, grant["id"]), asked) == before, said
        if codes & USELESS:
            there = [one for one in asked if one.resource == grant["resource"]]
            assert not any(answers(alone(content, grant), there)), said


@pytest.mark.slow
@pytest.mark.timeout(900)
@given(drawn.contents())
def test_it_is_said_which_grants_nobody_can_use(content: dict[str, Any]) -> None:
    """Of a grant that is alone at its resource: exactly where every question is answered no."""
    content |= {"grants": [one for one in content["grants"] if one["effect"] == "allow"]}
    said = by_grant(content)
    for grant in content["grants"]:
        if grant["mode"] == "enforce":
            there = [one for one in QUESTIONS if one.resource == grant["resource"]]
            can_be_used = any(answers(alone(content, grant), there))
            assert can_be_used != bool(said[grant["id"]] & USELESS), (grant["id"], said)


@pytest.mark.slow
@pytest.mark.timeout(900)
@given(drawn.contents())
def test_whatever_makes_no_difference_makes_none_to_anybody(content: dict[str, Any]) -> None:
    """The same as above, of all questions."""
    said = by_grant(content)
    idle = [one["id"] for one in content["grants"] if said[one["id"]] & (IDLE | USELESS)]
    before = answers(content, QUESTIONS if idle else [])
    for id_ in idle:
        assert answers(without(content, id_), QUESTIONS) == before, (id_, said)
