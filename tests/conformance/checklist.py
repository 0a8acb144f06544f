"""The normative checklist as data: what each standard demands of us, and what answers bad input."""

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field

from tests.conformance.marks import Marks, Tests

FILE = Path(__file__).with_name("requirements.yaml")

Text = Annotated[str, Field(min_length=1, pattern=r"^\S.*\S$")]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Requirement(_Entry):
    """One row: what a section demands. `not_yet` says why we do not meet it, where we do not."""

    id: Text
    section: Text
    requirement: Text
    answer: Text | None = None
    not_yet: Text | None = None


class Document(_Entry):
    """A standard, or what we hold ourselves to besides. `url` is where it can be read."""

    name: Text
    title: Text
    url: Text | None = None
    requirements: Annotated[list[Requirement], Field(min_length=1)]


class Attack(_Entry):
    """One attack on the token endpoint: how it is tried, and what it gets."""

    number: int
    attack: Text
    answer: Text
    not_yet: Text | None = None


class Checklist(_Entry):
    """All rows and all attacks."""

    documents: list[Document]
    attacks: list[Attack]

    def requirements(self) -> list[Requirement]:
        """The rows of all documents, in order."""
        return [row for document in self.documents for row in document.requirements]


@cache
def checklist() -> Checklist:
    """The checklist as it stands in the file."""
    return Checklist.model_validate(yaml.safe_load(FILE.read_text("utf-8")))


def problems(list_: Checklist, marks: Marks) -> Iterator[str]:
    """Where the checklist and the marked tests disagree; each says what to do."""
    rows = [(row.id, row.not_yet) for row in list_.requirements()]
    attacks = [(str(one.number), one.not_yet) for one in list_.attacks]
    yield from _disagreements("row", rows, marks.standard, '@pytest.mark.standard("{}")')
    yield from _disagreements("attack", attacks, marks.attack, "@pytest.mark.attack({})")


def _disagreements(
    kind: str, rows: Sequence[tuple[str, str | None]], marked: Tests, mark: str
) -> Iterator[str]:
    names = [name for name, _ in rows]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"{kind} {name} stands twice in {FILE.name}: give one of the two another name"
    for name, note in dict(rows).items():
        tests = marked.get(name, ())
        if not note and not tests:
            yield (
                f"{kind} {name} has no test: mark the one that fails without it with "
                f"{mark.format(name)}, or say in {FILE.name} why it is `not_yet` met"
            )
        if note and tests:
            yield (
                f"{kind} {name} has a test, {tests[0]}: "
                f"remove its `not_yet` from {FILE.name}, or the mark from the test"
            )
    for name in sorted(marked.keys() - set(names)):
        yield (
            f"there is no {kind} {name!r}, which marks {', '.join(marked[name])}: "
            f"mend the mark, or add the {kind} to {FILE.name}"
        )
