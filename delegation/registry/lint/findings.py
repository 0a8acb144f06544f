"""What lint has found: each finding, its place, how grave it is, and what to do about it."""

from dataclasses import dataclass
from typing import Protocol

from delegation.registry.documents import Document, Path
from delegation.registry.lint.catalogue import RULES, LintCode, Severity
from delegation.registry.problems import Problem


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found. *file* is relative to the registry; *line* counts from one."""

    file: str
    line: int
    code: str
    severity: Severity
    message: str
    remedy: str

    @property
    def advice(self) -> str:
        """What to do, where *message* does not say it."""
        return "" if RULES[self.code].is_told else self.remedy

    def order(self) -> tuple[str, int, int, str, str]:
        """By its place; of those at one place the gravest first."""
        rank = [*Severity].index(self.severity)
        return self.file, self.line, rank, self.code, self.message


class Sited(Protocol):
    """Whatever knows where it stands."""

    @property
    def document(self) -> Document:
        """The file."""
        ...

    @property
    def path(self) -> Path:
        """The place in it."""
        ...


def found(code: LintCode, sited: Sited, message: str, *at: str | int) -> Finding:
    """That *code* holds of an entry, at one of its keys."""
    rule = RULES[code]
    line = sited.document.line((*sited.path, *at))
    return Finding(sited.document.file, line, code, rule.severity, message, rule.remedy)


def refused(problem: Problem) -> Finding:
    """What the loader says, as a finding."""
    remedy = RULES[problem.code].remedy
    return Finding(
        problem.file, problem.line, problem.code, Severity.ERROR, problem.message, remedy
    )
