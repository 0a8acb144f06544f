"""Changes that were written by hand, each with exactly what is to be said of it."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from delegation.domain.changes import Effect
from delegation.registry.entries import NAMED_BY
from delegation.registry.loader import Snapshot
from delegation.registry.plan import Planned, Reading, plan
from tests.registry.story import OUR_ISSUER, as_yaml

CORPUS = Path(__file__).parent / "corpus"
BASE = yaml.safe_load((CORPUS / "base.yaml").read_text("utf-8"))
CASES = [
    pytest.param(case, id=case["change"])
    for file in sorted(CORPUS.glob("*.yaml"))
    if file.name != "base.yaml"
    for case in yaml.safe_load(file.read_text("utf-8"))
]

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def merged(value: Any, patch: Any) -> Any:
    """*value* as *patch* changes it: a JSON Merge Patch (RFC 7396)."""
    if not isinstance(patch, dict):
        return patch
    found = dict(value) if isinstance(value, dict) else {}
    for name, one in patch.items():
        found[name] = merged(found.get(name), one)
    return {name: one for name, one in found.items() if one is not None}


def reading(sections: Any) -> Reading:
    """What these sections say, as a file of a registry."""
    content = {
        section: [{NAMED_BY[section]: name} | entry for name, entry in entries.items()]
        for section, entries in sections.items()
    }
    file = ("registry.yaml", as_yaml(content).encode())
    return Reading.of(Snapshot((file,)), issuer=OUR_ISSUER)


def said(one: Planned) -> str:
    """A change in a line."""
    change = one.change
    differences = ", ".join(
        f"{Effect.of([difference])} {difference.of}" for difference in change.differences
    )
    about = f"{change.effect}: {change.kind} {change.name}, {change.step}"
    because = f" ({change.because})" if change.because else ""
    return about + (f": {differences}" if differences else "") + because


@pytest.mark.parametrize("case", CASES)
def test_a_change_is_classified_exactly(case: dict[str, Any]) -> None:
    """Every entry that is otherwise, which way it goes, and no other."""
    before = merged(BASE, case.get("before", {}))
    after = merged(before, case["after"])

    found = plan(reading(before), reading(after), NOW)

    assert sorted(map(said, found)) == sorted(case["expect"])


def test_the_corpus_is_large_enough() -> None:
    """And no change stands in it twice."""
    names = [case.values[0]["change"] for case in CASES]

    assert len(set(names)) == len(names) >= 40
