"""Lint: everything that the loader refuses, and all that it takes and that is not as it seems."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from delegation.registry.lint.findings import Finding, refused
from delegation.registry.lint.ignored import Ignored, complaints, ignored_in
from delegation.registry.lint.known import Known
from delegation.registry.lint.parties import look_at_parties
from delegation.registry.lint.single import look_at_each
from delegation.registry.lint.together import look_at_all
from delegation.registry.loader import Parser, Snapshot, snapshot
from delegation.registry.problems import RegistryInvalid

_LOOKS: tuple[Callable[[Known], Iterator[Finding]], ...] = (
    look_at_parties,
    look_at_each,
    look_at_all,
)


@dataclass(frozen=True, slots=True)
class Report:
    """All that was found, by file and line, but for what comments say is meant so: *ignored*.

    *files* is in how many of them it was looked for.
    """

    findings: tuple[Finding, ...]
    files: int
    ignored: int = 0


def lint(
    directory: Path, *, issuer: str, now: datetime, admin_audience: str | None = None
) -> Report:
    """Everything that is wrong with the files in *directory*, for a service that is *issuer*.

    There is an error in it exactly where `load` refuses them. While there is one, nothing is said
    to be unused: it may be used where it cannot be read. It never raises.
    """
    try:
        files = snapshot(directory)
    except RegistryInvalid as invalid:
        return Report(tuple(map(refused, invalid.problems)), 0)
    return look_at(files, issuer=issuer, now=now, admin_audience=admin_audience)


def look_at(
    files: Snapshot, *, issuer: str, now: datetime, admin_audience: str | None = None
) -> Report:
    """The same of *files* that were read already."""
    parser = Parser(issuer=issuer, admin_audience=admin_audience)
    entries, problems = parser.examine(files)
    findings = set(map(refused, problems))
    known = Known.of(entries, all_right=not problems, us=issuer, now=now)
    for look in _LOOKS:
        findings.update(look(known))
    ignored = ignored_in(files, entries)
    comments: dict[str, list[Ignored]] = {}
    for one in ignored:
        comments.setdefault(one.file, []).append(one)
    kept = {
        finding
        for finding in findings
        if not any(one.covers(finding) for one in comments.get(finding.file, ()))
    }
    kept.update(complaints(ignored, findings, all_right=not problems))
    return Report(
        findings=tuple(sorted(kept, key=Finding.order)),
        files=len(files.files),
        ignored=len(findings - kept),
    )
