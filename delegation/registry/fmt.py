"""The one way to lay out a file of a registry: its text changes, what it says and notes does not.

Lines are moved, never written anew: so comments, quotes and the order of keys stay as they are.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import yaml

from delegation.registry.documents import Document, read
from delegation.registry.problems import Problem

STEP = 2
"""Columns between what holds and what is held."""

_LOADER = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
_FOR_EDITORS = "# yaml-language-server: $schema="
_IS_FOR_EDITORS = re.compile(r"#\s*yaml-language-server:\s*\$schema=", re.ASCII)
_MARKERS = ("---", "...", "%")


SCHEMA = "registry.schema.json"
"""The name of the file with the schema, beside the files that it is of, or above them."""


class Unformattable(Exception):
    """The file is left as it is. *problems* say why."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


class WouldDiffer(Exception):
    """What was laid out would not say the same: the file is left as it is."""


def formatted(file: str, content: bytes, *, schema: str | None = None) -> bytes:
    """The *content* of *file* in the one layout; the same again where it has that.

    What is held stands two columns further in, lists too; one blank line stands between sections
    and between entries of several lines; no white space stands at the end of a line. *schema* is
    what the first line names for editors, unless the file names one.

    Raises `Unformattable` where it cannot be read without doubt, and `WouldDiffer`.
    """
    before = read(file, content)
    if before.problems:
        raise Unformattable(before.problems)
    text = content.decode().removeprefix("\ufeff").replace("\r\n", "\n")
    added = [] if schema is None else [f"{_FOR_EDITORS}{schema}"]
    after = "".join(f"{line}\n" for line in _laid_out(text, added)).encode()
    if not _say_the_same(before, content, after, added):
        raise WouldDiffer
    return after


def schema_for(path: Path) -> str | None:
    """The way from the file at *path* to the nearest schema, beside it or above; else `None`."""
    place = path.resolve().parent
    for height, directory in enumerate((place, *place.parents)):
        if (directory / SCHEMA).is_file():
            return "../" * height + SCHEMA
    return None


def _say_the_same(before: Document, content: bytes, after: bytes, added: list[str]) -> bool:
    """Whether all values are equal and in the same order, and no word of a comment is lost."""
    words, others = (Counter(text.decode("utf-8-sig").split()) for text in (content, after))
    return (
        repr(before.value) == repr(read(before.file, after).value)
        and not words - others
        and others - words <= Counter(" ".join(added).split())
    )


@dataclass(slots=True)
class _Line:
    """One line: what is on it, how far it moves, and what it is."""

    text: str
    move: int | None = None
    """Columns to the right; `None` where nothing of the structure begins on it."""
    is_fixed: bool = False
    """Within a text of several lines: white space may count."""
    keeps_blanks: bool = False
    """Blank lines after it belong to a text."""
    is_section: bool = False
    is_entry: bool = False
    opens: bool = False
    """What it holds begins below, without a blank line."""

    @property
    def is_marker(self) -> bool:
        """Whether it begins or ends the document."""
        return not self.is_fixed and self.text.startswith(_MARKERS)

    def moved(self) -> str:
        """Its text where it belongs."""
        bare = self.text.lstrip(" ")
        if self.is_fixed and not self.text:
            return ""
        text = " " * max(0, self.column + (self.move or 0)) + bare
        return text if self.is_fixed else text.rstrip()

    @property
    def column(self) -> int:
        """Where its first character stands."""
        return len(self.text) - len(self.text.lstrip(" "))

    @property
    def is_blank(self) -> bool:
        """Whether there is nothing on it that counts."""
        return not self.is_fixed and not self.text.strip()

    @property
    def is_comment(self) -> bool:
        """Whether there is only a comment on it."""
        return not self.is_fixed and self.text.lstrip().startswith("#")


def _laid_out(text: str, added: list[str]) -> list[str]:
    layout = _Layout([_Line(line) for line in text.split("\n")])
    layout.learn(text)
    layout.move()
    _put_first(layout.lines, added)
    return [line.text for line in _spaced(layout.lines)]


def _put_first(lines: list[_Line], added: list[str]) -> None:
    """Have the line that names the schema come first, where editors look for it.

    Where there is none it is *added*.
    """
    for number, line in enumerate(lines):
        if line.is_comment and _IS_FOR_EDITORS.match(line.text.lstrip()):
            lines.insert(0, _Line(lines.pop(number).text.strip()))
            return
    lines[:0] = map(_Line, added)


@dataclass(slots=True)
class _Layout:
    """Learns from the parser's events where each line belongs, and moves it there."""

    lines: list[_Line]
    events: Iterator[yaml.Event] = field(default_factory=lambda: iter(()))
    _gaps: dict[int, tuple[int, int]] = field(default_factory=dict)
    """For a line, the columns between a dash and what stands behind it, if these are too many."""

    def learn(self, text: str) -> None:
        """Find the place of all that the structure has."""
        self.events = yaml.parse(text, Loader=_LOADER)
        for event in self.events:
            if isinstance(event, yaml.DocumentStartEvent):
                self._node(next(self.events), 0, 0, depth=0)

    def move(self) -> None:
        """Put every line where it belongs; comments go with the line that they are about."""
        for number, (start, end) in self._gaps.items():
            line = self.lines[number]
            line.text = f"{line.text[:start]} {line.text[end:]}"
        self._move_comments()
        for line in self.lines:
            line.text = line.moved()

    def _move_comments(self) -> None:
        """As far as the next line of the structure, or the last where they stand further in."""
        below = [_Line("")] * len(self.lines)
        for number in range(len(self.lines) - 1, 0, -1):
            line = self.lines[number]
            below[number - 1] = below[number] if line.move is None else line
        above = 0
        for line, next_ in zip(self.lines, below, strict=True):
            if line.move is None:
                is_about_next = next_.move is not None and line.column <= next_.column
                line.move = next_.move if is_about_next else above
            if line.is_marker:
                line.move, line.opens = 0, True
            above = line.move or 0

    def _node(self, event: yaml.Event, want: int, move: int, *, depth: int) -> None:
        """Learn where *event* and what it holds go: a block to the column *want*.

        *move* is how far that goes which holds it.
        """
        if isinstance(event, yaml.ScalarEvent):
            self._continue(event, event, move, is_text=True)
        elif isinstance(event, yaml.MappingStartEvent) and not event.flow_style:
            self._mapping(event, want, depth=depth)
        elif isinstance(event, yaml.SequenceStartEvent) and not event.flow_style:
            self._sequence(event, want, depth=depth)
        else:
            self._flow(event, move)

    def _mapping(self, event: yaml.Event, want: int, *, depth: int) -> None:
        move = want - _column(event)
        while not isinstance(key := next(self.events), yaml.MappingEndEvent):
            self._begin(_row(key), _column(key), move)
            self._node(key, want, move, depth=depth + 1)
            value = next(self.events)
            if depth == 0:
                self.lines[_row(key)].is_section = True
                self.lines[_row(key)].opens = _row(value) > _row(key)
            self._node(value, want + STEP, move, depth=depth + 1)

    def _sequence(self, event: yaml.Event, want: int, *, depth: int) -> None:
        column = _column(event)
        while not isinstance(item := next(self.events), yaml.SequenceEndEvent):
            row = self._dash(_row(item), column)
            self._begin(row, column, want - column)
            self.lines[row].is_entry |= depth == 1
            if row == _row(item) and _column(item) > column + STEP:
                self._gaps.setdefault(row, (column + 1, _column(item)))
            self._node(item, want + STEP, want - column, depth=depth + 1)

    def _dash(self, row: int, column: int) -> int:
        """The line of the dash of an item that begins in line *row*."""
        while not self.lines[row].text[column:].startswith("-"):
            row -= 1
        return row

    def _begin(self, row: int, column: int, move: int) -> None:
        if self.lines[row].column == column:
            self.lines[row].move = move

    def _flow(self, event: yaml.Event, move: int) -> None:
        """A collection in brackets: its lines stay together."""
        end, depth = event, 1
        while depth:
            end = next(self.events)
            depth += isinstance(end, yaml.CollectionStartEvent)
            depth -= isinstance(end, yaml.CollectionEndEvent)
            if isinstance(end, yaml.ScalarEvent):
                self._continue(end, end, move, is_text=True)
        self._continue(event, end, move, is_text=False)

    def _continue(self, start: yaml.Event, end: yaml.Event, move: int, *, is_text: bool) -> None:
        """The lines after the first of what goes from *start* to *end*."""
        last = cast("yaml.Mark", end.end_mark).line
        if isinstance(start, yaml.ScalarEvent) and start.style in {"|", ">"}:
            last = self._last_of_block(start, last - 1)
        for line in self.lines[_row(start) + 1 : last + 1]:
            if line.move is None:
                line.move = move
            line.is_fixed |= is_text

    def _last_of_block(self, start: yaml.Event, last: int) -> int:
        """The last line of a block of text: blank lines after it count only where it says so."""
        header = self.lines[_row(start)].text[_column(start) :].split()[0]
        if "+" in header:
            self.lines[last].keeps_blanks = True
            return last
        while not self.lines[last].text.strip():
            last -= 1
        return last


def _spaced(lines: list[_Line]) -> list[_Line]:
    """The same with blank lines where they belong, and nowhere else."""
    apart = _apart(lines)
    spaced: list[_Line] = []
    for line in lines:
        if line.is_blank:
            if spaced and _may_follow(spaced[-1]):
                spaced.append(line)
            continue
        if id(line) in apart:
            _separate(spaced, line)
        spaced.append(line)
    while spaced and spaced[-1].is_blank:
        spaced.pop()
    return spaced


def _apart(lines: list[_Line]) -> set[int]:
    """The lines with a blank one above: sections and entries, unless two of one line meet."""
    counting = [line for line in lines if not (line.is_blank or line.is_comment)]
    end = _Line("", is_section=True)
    apart = set()
    for before, line, after in zip([end, *counting], counting, [*counting[1:], end], strict=False):
        is_one_line = after.is_entry or after.is_section
        if line.is_section:
            is_apart = line.opens or not before.is_section or before.opens
        else:
            is_apart = line.is_entry and not (is_one_line and (before.is_entry or before.opens))
        if is_apart:
            apart.add(id(line))
    return apart


def _may_follow(last: _Line) -> bool:
    """Whether a blank line may follow."""
    return not (last.is_blank or last.opens or last.keeps_blanks)


def _separate(spaced: list[_Line], line: _Line) -> None:
    """Put a blank line above *line*, or above the comments that stand right above it."""
    place = len(spaced)
    while place and spaced[place - 1].is_comment and spaced[place - 1].column <= line.column:
        place -= 1
    if place and _may_follow(spaced[place - 1]):
        spaced.insert(place, _Line(""))


def _row(event: yaml.Event) -> int:
    return cast("yaml.Mark", event.start_mark).line


def _column(event: yaml.Event) -> int:
    return cast("yaml.Mark", event.start_mark).column
