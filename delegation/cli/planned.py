"""Plans and tests of the registry: for programs, and for people."""

from collections.abc import Iterator, Sequence
from typing import Any

from delegation.cli.answers import decided_lines
from delegation.domain.changes import Change, Effect, Kind
from delegation.domain.differences import Difference
from delegation.domain.questions import Expectation
from delegation.domain.tokens import format_scope
from delegation.registry.plan import Planned, joined
from delegation.registry.trials import Outcome
from delegation.web.admin.verdict import decided

_FEW = 5
"""How many names are listed to people."""

_WHOM = ("grants", "clients", "resources", "subjects", "agents", "scopes")


def planned(found: Sequence[Planned], *, before: str, after: str) -> dict[str, Any]:
    """A plan for programs; *before* and *after* are the revisions."""
    return {
        "effect": joined(found).value,
        "changes": [_change(one) for one in found],
        "before": before,
        "after": after,
    }


def _change(one: Planned) -> dict[str, Any]:
    change = one.change
    return {
        "effect": change.effect.value,
        "kind": change.kind.value,
        "name": change.name,
        "step": change.step.value,
        "place": one.place,
        "because": change.because,
        "differences": [
            {
                "of": difference.of,
                "effect": Effect.of([difference]).value,
                "gained": list(difference.gained),
                "lost": list(difference.lost),
            }
            for difference in change.differences
        ],
        "whom": {name: list(getattr(change.whom, name)) for name in _WHOM},
    }


def planned_lines(found: Sequence[Planned]) -> Iterator[str]:
    """A plan for people: what widens comes first, and a count last."""
    for one in found:
        yield from _change_lines(one.change, one.place)
        yield ""
    if not found:
        yield "Nothing changes."
        return
    counts = ", ".join(
        f"{sum(one.change.effect is effect for one in found)} {effect}" for effect in Effect
    )
    yield f"Changes: {counts}."


def _change_lines(change: Change, place: str) -> Iterator[str]:
    kind = change.kind.replace("_", " ")
    where = f" ({place})" if place else ""
    yield f"{change.effect.upper():8}  {kind} {change.name}, {change.step}{where}"
    if change.because:
        yield f"  because   {change.because}"
    for difference in change.differences:
        yield f"  {Effect.of([difference]):8}  {difference.of}: {_said(difference)}"
    whom = change.whom
    if change.kind is not Kind.GRANT and whom.grants:
        yield f"  grants    {_few(whom.grants)}"
    if whom.clients:
        yield f"  who       {_few(whom.clients)}, through {_few(whom.agents)}"
        yield f"  for whom  {_few(whom.subjects)}"
        yield f"  where     {_few(whom.resources)}, with {_few(whom.scopes)}"


def _said(difference: Difference) -> str:
    gained = [f"+ {_few(difference.gained)}"] * bool(difference.gained)
    lost = [f"- {_few(difference.lost)}"] * bool(difference.lost)
    return "  ".join([*gained, *lost])


def _few(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_FEW])
    return f"{shown} and {len(names) - _FEW} more" if len(names) > _FEW else shown


def tried(outcomes: Sequence[Outcome], revision: str) -> dict[str, Any]:
    """What came of tests, for programs."""
    return {
        "passed": sum(one.passed for one in outcomes),
        "failed": sum(not one.passed for one in outcomes),
        "tests": [
            {
                "name": one.expectation.name,
                "place": one.expectation.place,
                "passed": one.passed,
                "expected": _expected(one.expectation),
                "actual": None if one.answer is None else decided(one.answer),
                "problem": one.problem,
            }
            for one in outcomes
        ],
        "revision": revision,
    }


def _expected(expectation: Expectation) -> dict[str, Any]:
    return {
        "allowed": expectation.granted,
        "scope": None if expectation.scope is None else sorted(expectation.scope),
        "cause": None if expectation.cause is None else expectation.cause.value,
    }


def tried_lines(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """What came of tests, for people: of those that failed, all that there is to say."""
    for one in outcomes:
        expectation = one.expectation
        verdict = "passed" if one.passed else "FAILED"
        yield f"{verdict}  {expectation.name} ({expectation.place})"
        if one.passed:
            continue
        yield f"  expected  {_said_expected(expectation)}"
        if one.answer is None:
            yield f"  actual    no answer: {one.problem}"
        else:
            yield from (f"  {line}" for line in decided_lines(decided(one.answer)))
    failed = sum(not one.passed for one in outcomes)
    yield f"Tests: {len(outcomes) - failed} passed, {failed} failed."


def _said_expected(expectation: Expectation) -> str:
    if expectation.granted:
        scope = expectation.scope
        return "granted" if scope is None else f"granted, with {format_scope(scope)}"
    cause = expectation.cause
    return "refused" if cause is None else f"refused, for {cause}"
