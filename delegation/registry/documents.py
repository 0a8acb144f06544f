"""YAML text to plain values with their lines, and nothing that two readers take differently."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeGuard, cast

import yaml

from delegation.registry.problems import Code, Problem

Path = tuple[str | int, ...]
"""Where a value stands: the keys and positions that lead to it."""

MAX_DEPTH = 12
"""Deeper than any entry of a registry goes."""

_LOADER = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader

_NEVER = (
    (
        re.compile(r"[\x00-\x08\x0B\x0C\x0E-\x1F\x7F-\x84\x86-\x9F\uFFFE\uFFFF]"),
        "a control character: remove it",
    ),
    # YAML 1.1 begins a line there, and YAML 1.2 and who shows the file mostly do not: what is read
    # as an entry could look like the rest of a comment.
    (
        re.compile(r"\r(?!\n)|[\x85\u2028\u2029]"),
        "a line break that is none to many readers: remove it, or break the line as elsewhere",
    ),
    # What stands in another order on a screen than in the file, nobody can review.
    (
        re.compile(r"[\u202A-\u202E\u2066-\u2069]"),
        "a mark that has text shown in another order: remove it",
    ),
)
"""What no file may hold, and what to say of it."""

_TAB = re.compile(r" *\t")

_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,17}")

# What YAML 1.1 reads as a boolean, a null or a number, and YAML 1.2 as another value or as text:
# the country `no`, the time `1:30`, the octal `010`, the version `1.10`.
_AMBIGUOUS = re.compile(
    r"""
      ~ | = | null | true | false | yes | no | on | off | y | n
    | [-+]? 0 [box] [0-9a-f_]+
    | [-+]? [0-9][0-9_]* (?: :[0-5]?[0-9] )+ (?: \.[0-9_]* )?
    | [-+]? (?: [0-9][0-9_]* (?: \.[0-9_]* )? | \.[0-9_]+ ) (?: e[-+]?[0-9]+ )?
    | [-+]? \.inf | \.nan
    """,
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)


class _Unreadable:
    """Stands where a value could not be read. Its problem is reported, and no type fits it."""


_UNREADABLE = _Unreadable()


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One file as values: mappings, lists, text, whole numbers, booleans and null.

    *whole* says whether it could be read to its end; *broken* are the places without a value, whose
    problems are already among *problems*.
    """

    file: str
    value: object
    lines: Mapping[Path, int]
    problems: tuple[Problem, ...] = ()
    broken: frozenset[Path] = frozenset()
    whole: bool = True

    def line(self, path: Path) -> int:
        """The line of what stands at *path*, or of the nearest thing around it.

        Parts of *path* that lead nowhere are passed over.
        """
        known: Path = ()
        for part in path:
            if (*known, part) in self.lines:
                known = (*known, part)
        return self.lines.get(known, 1)

    def is_broken(self, path: Path) -> bool:
        """Whether the problem of what stands at *path*, or of what holds it, is known already."""
        return any(path[: len(broken)] == broken for broken in self.broken)


def read(file: str, content: bytes) -> Document:
    """Read one file. It never raises: whatever is wrong is among the problems of the document."""
    reader = _Reader(file)
    try:
        value = reader.document(_text(content))
    except _Stop as stop:
        problem = Problem(file, stop.line, stop.code, stop.message)
        return Document(
            file=file,
            value=None,
            lines=reader.lines,
            problems=(*reader.problems, problem),
            whole=False,
        )
    return Document(
        file=file,
        value=value,
        lines=reader.lines,
        problems=tuple(reader.problems),
        broken=frozenset(reader.broken),
    )


@dataclass(slots=True)
class _Stop(Exception):
    """Nothing more of this file can be understood."""

    line: int
    code: Code
    message: str


def _text(content: bytes) -> str:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _Stop(line, Code.UNREADABLE, "this is not UTF-8: save the file as UTF-8") from None
    for pattern, message in _NEVER:
        if found := pattern.search(text):
            line = text.count("\n", 0, found.start()) + 1
            raise _Stop(line, Code.UNREADABLE, message)
    return text


@dataclass(slots=True)
class _Reader:
    """Builds values from the parser's events, which still tell what was written and where.

    Composed nodes would have lost whether a tag was written or inferred; and without aliases, a
    file can yield no more values than it has characters.
    """

    file: str
    lines: dict[Path, int] = field(default_factory=lambda: {(): 1})
    problems: list[Problem] = field(default_factory=list)
    broken: set[Path] = field(default_factory=set)
    events: Iterator[yaml.Event] = field(default_factory=lambda: iter(()))

    def document(self, text: str) -> object:
        """The value of the only document, `None` where there is none. Raises `_Stop`."""
        self.events = yaml.parse(text, Loader=_LOADER)
        try:
            return self._document()
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            line = 1 if mark is None else mark.line + 1
            problem = getattr(error, "problem", None) or "it cannot be read"
            if any(map(_TAB.match, text.split("\n")[line - 1 : line])):
                problem = "a tab stands in the indentation: only spaces may"
            raise _Stop(line, Code.NOT_YAML, f"this is not YAML: {problem}") from None

    def _document(self) -> object:
        value: object = None
        documents = 0
        for event in self.events:
            if not isinstance(event, yaml.DocumentStartEvent):
                continue  # only the beginning and the end of the stream and of the document
            documents += 1
            if documents > 1:
                raise _Stop(
                    _line(event),
                    Code.SEVERAL_DOCUMENTS,
                    "a second document begins here: put it into a file of its own",
                )
            value = self._value(next(self.events), ())
        return value

    def _value(self, event: yaml.Event, path: Path) -> object:
        if isinstance(event, yaml.AliasEvent):
            return self._refuse(event, path, Code.ALIAS, "aliases are not read: write it out")
        node = cast("yaml.ScalarEvent | yaml.CollectionStartEvent", event)
        if node.anchor is not None:
            self._report(node, Code.ALIAS, "anchors are not read: remove it")
        if node.tag is not None:
            self._report(node, Code.TAG, "tags are not read: remove it")
        if isinstance(node, yaml.ScalarEvent):
            return self._scalar(node, path)
        if len(path) >= MAX_DEPTH:
            raise _Stop(_line(node), Code.TOO_DEEP, "nothing in a registry is nested this deep")
        if isinstance(node, yaml.SequenceStartEvent):
            return self._sequence(path)
        return self._mapping(path)

    def _sequence(self, path: Path) -> list[object]:
        values: list[object] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            at = (*path, len(values))
            self.lines[at] = _line(event)
            values.append(self._value(event, at))
        return values

    def _mapping(self, path: Path) -> dict[str, object]:
        values: dict[str, object] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            key = self._key(event, path)
            at = (*path, key)
            if key in values:
                self._refuse(event, at, Code.DUPLICATE_KEY, f"`{key}` is written twice")
            self.lines.setdefault(at, _line(event))
            values[key] = self._value(next(self.events), at)
        return values

    def _key(self, event: yaml.Event, path: Path) -> str:
        """The key as written; where it is none, one that no entry has, so that the rest is read."""
        if _is_coordinate(event):
            return event.value
        place = f"\0{len(self.lines)}"
        known = len(self.problems)
        key = self._value(event, (*path, place))
        if isinstance(key, str):
            return key
        if known == len(self.problems):
            message = "a key must be text: put it in quotes"
            self._refuse(event, (*path, place), Code.KEY_NOT_TEXT, message)
        return place

    def _scalar(self, event: yaml.ScalarEvent, path: Path) -> object:
        text: str = event.value
        if event.style:
            return text  # in quotes, or a block: text, whatever it looks like
        if text in _WORDS:
            return _WORDS[text]
        if _INTEGER.fullmatch(text):
            return int(text)
        if complaint := _complaint(text):
            return self._refuse(event, path, *complaint)
        return text

    def _refuse(self, event: yaml.Event, path: Path, code: Code, message: str) -> _Unreadable:
        self._report(event, code, message)
        self.broken.add(path)
        return _UNREADABLE

    def _report(self, event: yaml.Event, code: Code, message: str) -> None:
        self.problems.append(Problem(self.file, _line(event), code, message))


_WORDS: Mapping[str, bool | None] = {"true": True, "false": False, "null": None}


def _complaint(text: str) -> tuple[Code, str] | None:
    """Why the plain scalar *text* is not simply text."""
    if not text:
        return Code.EMPTY_VALUE, "nothing is written here: give a value, or remove the key"
    if text == "<<":
        return Code.ALIAS, "merge keys are not read: write it out"
    if not _AMBIGUOUS.fullmatch(text):
        return None
    return Code.AMBIGUOUS_VALUE, (
        f"`{text}` is not the same to all readers of YAML: write true, false, null or a plain "
        "whole number, or put it in quotes if it is text"
    )


def _is_coordinate(event: yaml.Event) -> TypeGuard[yaml.ScalarEvent]:
    """Whether this is the key `y` or `n`, which JWKs have, and which tools write without quotes."""
    if not isinstance(event, yaml.ScalarEvent) or event.anchor is not None or event.tag is not None:
        return False
    return event.value in {"y", "n"}


def _line(event: yaml.Event) -> int:
    mark = event.start_mark
    return 1 if mark is None else mark.line + 1
