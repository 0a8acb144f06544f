"""What a run says: as text for people, as JSON for machines, as Markdown for keeping."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence

from .runner import Result

OUTCOMES = ("passed", "failed", "skipped")


def tally(results: Sequence[Result]) -> dict[str, dict[str, int]]:
    """How many passed, failed and were skipped, by profile."""
    profiles: dict[str, dict[str, int]] = {}
    for result in results:
        counts = profiles.setdefault(result.case["profile"], dict.fromkeys(OUTCOMES, 0))
        counts[result.outcome] += 1
    return profiles


def as_text(name: str, results: Sequence[Result]) -> str:
    """What failed, and why; then what was skipped for which feature; then the figures."""
    lines = [
        f"FAILED {result.case['id']} ({result.case['level']}, {result.case['section']})\n"
        f"       {result.case['title']}\n       {result.why}"
        for result in results
        if result.outcome == "failed"
    ]
    for feature, number in sorted(_skipped(results).items()):
        lines.append(f"skipped {number} for want of {feature}")
    for profile, counts in tally(results).items():
        figures = ", ".join(f"{counts[outcome]} {outcome}" for outcome in OUTCOMES)
        lines.append(f"{name}: {profile}: {figures}")
    return "\n".join(lines) + "\n"


def as_json(name: str, results: Sequence[Result]) -> str:
    """Everything, one object for each case."""
    cases = [
        {name: result.case[name] for name in ("id", "profile", "level", "section")}
        | {"outcome": result.outcome, "why": result.why}
        for result in results
    ]
    return json.dumps({"server": name, "profiles": tally(results), "cases": cases}, indent=2) + "\n"


def as_markdown(name: str, results: Sequence[Result]) -> str:
    """The figures and what failed, as tables."""
    profiles = tally(results).items()
    failed = [result for result in results if result.outcome == "failed"]
    figures = [[profile, *(str(counts[one]) for one in OUTCOMES)] for profile, counts in profiles]
    faults = [
        [f"`{case['id']}`", case["level"], case["title"], result.why]
        for result in failed
        for case in (result.case,)
    ]
    skipped = [[feature, str(number)] for feature, number in sorted(_skipped(results).items())]
    lines = [f"# {name}", ""]
    lines += _table(["profile", *OUTCOMES], figures)
    lines += ["", "## Failed", "", *_table(["case", "level", "expected", "found"], faults)]
    lines += ["", "## Skipped", "", *_table(["for want of", "cases"], skipped)]
    return "\n".join(lines) + "\n"


FORMS: Mapping[str, Callable[[str, Sequence[Result]], str]] = {
    "text": as_text,
    "json": as_json,
    "markdown": as_markdown,
}


def _skipped(results: Sequence[Result]) -> dict[str, int]:
    """How many cases needed each feature that is missing; some needed several."""
    counts: dict[str, int] = {}
    for result in results:
        if result.outcome == "skipped":
            for feature in result.why.split(", "):
                counts[feature] = counts.get(feature, 0) + 1
    return counts


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines]
