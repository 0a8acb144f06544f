"""The generated part of the reference of lint: every code, from the catalogue itself."""

from delegation.registry.lint.catalogue import RULES, Severity
from tests.docs.tables import table


def findings() -> str:
    """A table for each severity, the gravest first; each row can be linked to by its code."""
    return "\n".join(_table(severity) for severity in Severity)


def _table(severity: Severity) -> str:
    rows = [
        (f"`{code}`", rule.meaning, rule.remedy)
        for code, rule in RULES.items()
        if rule.severity is severity
    ]
    return f"## {severity.capitalize()}s\n\n{table(('code', 'what it means', 'what to do'), rows)}"
