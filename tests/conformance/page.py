"""The page on conformance: each row with the tests that hold it, or why nothing does yet."""

from collections.abc import Iterable, Iterator, Sequence

from tests.conformance.checklist import Attack, Document, Requirement, checklist
from tests.conformance.marks import collected
from tests.docs.tables import table

SHOWN = 3
"""So many tests of a row are named."""


def summary() -> str:
    """How many rows hold, and which do not."""
    rows: list[Requirement | Attack] = [*checklist().requirements(), *checklist().attacks]
    missing = [row for row in rows if row.not_yet]
    return (
        f"{len(rows) - len(missing)} of {len(rows)} rows and attacks are held; "
        f"{len(missing)} are not yet.\n"
    )


def requirements() -> str:
    """A table for each document."""
    return "\n".join(map(_document, checklist().documents))


def attacks() -> str:
    """The table of the attacks."""
    return table(
        ("#", "attack", "answer", "tests", "state"),
        [
            (
                str(one.number),
                one.attack,
                one.answer,
                links(collected().attack.get(str(one.number), ())),
                _state(one.not_yet),
            )
            for one in checklist().attacks
        ],
    )


def _document(document: Document) -> str:
    name = f"[{document.name}]({document.url})" if document.url else document.name
    rows = table(
        ("row", "section", "requirement", "answer to what breaks it", "tests", "state"),
        [
            (
                f"`{row.id}`",
                row.section,
                row.requirement,
                row.answer or "",
                links(collected().standard.get(row.id, ())),
                _state(row.not_yet),
            )
            for row in document.requirements
        ],
    )
    return f"### {name}: {document.title}\n\n{rows}"


def _state(not_yet: str | None) -> str:
    return f"not yet: {not_yet}" if not_yet else "held"


def links(tests: Sequence[str]) -> str:
    """The first tests, of as many files as possible, and how many more there are."""
    shown = [_link(test) for _, test in sorted(_rounds(tests))[:SHOWN]]
    more = len(tests) - len(shown)
    return ", ".join([*shown, f"and {more} more"] if more else shown)


def _rounds(tests: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Each test, with how many tests of its file came before it."""
    seen: dict[str, int] = {}
    for test in tests:
        file = test.partition("::")[0]
        seen[file] = seen.get(file, -1) + 1
        yield seen[file], test


def _link(test: str) -> str:
    file, _, name = test.partition("::")
    return f"[{name}](../../{file})"
