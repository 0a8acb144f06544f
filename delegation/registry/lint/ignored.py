"""Comments in the files that have lint pass over something, each with its reason."""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from delegation.registry.entries import Entries, closest
from delegation.registry.lint.catalogue import RULES, LintCode, Severity
from delegation.registry.lint.findings import Finding
from delegation.registry.loader import Snapshot
from delegation.registry.schema import SECTIONS

_COMMENT = re.compile(r"\s*#\s*lint:\s*ignore\b\s*([^:]*)(?::\s*(.*))?", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignored:
    """What a comment in line *line* of *file* has lint pass over.

    It is findings with one of *codes*, in the lines *first* to *last*.
    """

    file: str
    line: int
    codes: tuple[str, ...]
    has_reason: bool
    first: int
    last: int

    def covers(self, finding: Finding) -> bool:
        """Whether it is about *finding*, of the same file.

        What keeps the files from being loaded is never passed over, and nothing is without a
        reason.
        """
        return (
            self.has_reason
            and finding.severity is not Severity.ERROR
            and finding.code in self.codes
            and self.first <= finding.line <= self.last
        )


def ignored_in(files: Snapshot, entries: Entries) -> list[Ignored]:
    """All such comments. One right above an entry is about all of it, else about the next line."""
    begins = _beginnings(entries)
    return [
        one
        for name, content in files.files
        if b"lint:" in content and name in begins
        for one in _comments(name, content.decode("utf-8").split("\n"), begins[name])
    ]


def _beginnings(entries: Entries) -> Mapping[str, tuple[set[int], list[int]]]:
    """For each file the lines in which entries begin, and where the next thing begins after it."""
    documents = {
        sited.document.file: sited.document
        for section in SECTIONS
        for sited in getattr(entries, section)
    }
    return {
        name: (
            {line for path, line in document.lines.items() if len(path) == _ENTRY},
            sorted(line for path, line in document.lines.items() if 0 < len(path) <= _ENTRY),
        )
        for name, document in documents.items()
    }


_ENTRY = len(("grants", 0))


def _comments(file: str, lines: list[str], begins: tuple[set[int], list[int]]) -> Iterator[Ignored]:
    entries, anything = begins
    for number, text in enumerate(lines, start=1):
        if (comment := _COMMENT.fullmatch(text)) is None:
            continue
        first = _next_line(lines, number)
        after = bisect_right(anything, first)
        last = anything[after] - 1 if after < len(anything) else len(lines)
        yield Ignored(
            file=file,
            line=number,
            codes=tuple(comment[1].replace(",", " ").split()),
            has_reason=bool(comment[2]),
            first=first,
            last=last if first in entries else first,
        )


def _next_line(lines: list[str], number: int) -> int:
    """The next line after line *number* on which something stands besides comments."""
    for further, text in enumerate(lines[number:], start=number + 1):
        if text.strip() and not text.lstrip().startswith("#"):
            return further
    return number


def complaints(
    ignored: Iterable[Ignored], findings: Iterable[Finding], *, all_right: bool
) -> Iterator[Finding]:
    """What is wrong with the comments themselves.

    Where not everything could be looked for, none of them is said to be idle.
    """
    found: dict[str, list[Finding]] = {}
    for finding in findings:
        found.setdefault(finding.file, []).append(finding)
    for one in ignored:
        if not (one.codes and one.has_reason):
            message = "nothing is ignored without a code and a reason"
            yield _finding(LintCode.NO_REASON, one, message)
            continue
        for code in one.codes:
            there = found.get(one.file, ())
            covered = any(finding.code == code and one.covers(finding) for finding in there)
            if all_right and not covered:
                hint = "" if code in RULES else closest(code, RULES)
                message = f"there is no `{code}` to ignore here{hint}"
                yield _finding(LintCode.NOTHING_IGNORED, one, message)


def _finding(code: LintCode, one: Ignored, message: str) -> Finding:
    rule = RULES[code]
    return Finding(one.file, one.line, code, rule.severity, message, rule.remedy)
