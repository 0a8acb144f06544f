"""Documents to entries: each checked by itself against the schema, and knowing where it stands."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any, Generic, TypeVar, cast, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from delegation.registry.documents import Document, Path
from delegation.registry.forms import TAG, Fault
from delegation.registry.problems import Code, Problem
from delegation.registry.schema import (
    SECTIONS,
    ActorIssuerEntry,
    AdminIssuerEntry,
    ClientEntry,
    Entry,
    ExpectationEntry,
    GrantEntry,
    IssuerEntry,
    KeyEntry,
    ResourceEntry,
    TeamEntry,
)

NAMED_BY: Mapping[str, str] = MappingProxyType(
    {
        "issuers": "alias",
        "actor_issuers": "alias",
        "admin_issuers": "alias",
        "clients": "id",
        "resources": "identifier",
        "teams": "id",
        "grants": "id",
        "tests": "name",
    }
)
"""The key by which other entries refer to one."""

E = TypeVar("E", bound=Entry)


@dataclass(frozen=True, slots=True)
class Sited(Generic[E]):
    """An entry, and where it stands."""

    entry: E
    document: Document
    path: Path

    def problem(self, code: Code, message: str, *at: str | int) -> Problem:
        """What is wrong with this entry, at one of its keys."""
        line = self.document.line((*self.path, *at))
        return Problem(self.document.file, line, code, message)

    def __str__(self) -> str:
        """Where it stands, for a message about another entry."""
        return f"{self.document.file}:{self.document.line(self.path)}"


@dataclass(slots=True, kw_only=True)
class Entries:
    """All entries that are right in themselves.

    *named* are, for each section, the names of all entries, right or not, so that one mistake is
    not reported again by all who refer to it. *whole* says whether every section and every name
    could be read: else nothing can be said to be missing.
    """

    issuers: list[Sited[IssuerEntry]] = field(default_factory=list)
    actor_issuers: list[Sited[ActorIssuerEntry]] = field(default_factory=list)
    admin_issuers: list[Sited[AdminIssuerEntry]] = field(default_factory=list)
    clients: list[Sited[ClientEntry]] = field(default_factory=list)
    resources: list[Sited[ResourceEntry]] = field(default_factory=list)
    teams: list[Sited[TeamEntry]] = field(default_factory=list)
    grants: list[Sited[GrantEntry]] = field(default_factory=list)
    tests: list[Sited[ExpectationEntry]] = field(default_factory=list)
    named: Mapping[str, set[str]] = field(
        default_factory=lambda: {section: set() for section in SECTIONS}
    )
    whole: bool = True

    def add(self, others: "Entries") -> None:
        """Have those of another file, too, after these."""
        for section in SECTIONS:
            getattr(self, section).extend(getattr(others, section))
            self.named[section].update(others.named[section])
        self.whole &= others.whole


def collect(document: Document) -> tuple[Entries, list[Problem]]:
    """The entries of *document*, in order, and what is wrong with those left out."""
    sections, problems = _sections(document)
    lost = any(len(broken) < _ENTRY for broken in document.broken)
    entries = Entries(whole=document.whole and not problems and not lost)
    problems += document.problems
    # Entries may be kept for long: what the file says is in them, and only its places are needed.
    document = replace(document, value=None)
    for section, values in sections.items():
        problems += _add(section, values, document, entries)
    return entries, problems


_ENTRY = len(("grants", 0))
"""How long the path of an entry is."""


def closest(word: str, known: Iterable[str]) -> str:
    """A question that names what was perhaps meant by *word*; empty where nothing is like it."""
    found = get_close_matches(word, sorted(known), n=1)
    return f"; did you mean `{found[0]}`?" if found else ""


def _sections(document: Document) -> tuple[dict[str, list[object]], list[Problem]]:
    """The lists of a file, and what is wrong with its outermost keys."""
    content = document.value
    sections: dict[str, list[object]] = {}
    problems: list[Problem] = []
    if content is None or document.is_broken(()):
        return sections, problems
    if not isinstance(content, dict):
        message = f"a file must be a mapping with the keys {_listed(SECTIONS)}"
        return sections, [Problem(document.file, 1, Code.WRONG_TYPE, message)]
    for section, values in content.items():
        line = document.line((section,))
        if section in SECTIONS and isinstance(values, list):
            sections[section] = values
        elif document.is_broken((section,)):
            continue
        elif section in SECTIONS:
            message = f"`{section}` must be a list"
            problems.append(Problem(document.file, line, Code.WRONG_TYPE, message))
        else:
            message = f"`{section}` is no key of a file: there are {_listed(SECTIONS)}"
            problems.append(Problem(document.file, line, Code.UNKNOWN_KEY, message))
    return sections, problems


def _add(
    section: str, values: list[object], document: Document, entries: Entries
) -> Iterator[Problem]:
    """Put what is right into *entries*, and tell what is wrong with the others."""
    model = SECTIONS[section]
    for index, value in enumerate(values):
        if isinstance(value, dict) and isinstance(name := value.get(NAMED_BY[section]), str):
            entries.named[section].add(name)
        else:
            entries.whole = False
        path = (section, index)
        try:
            sited = Sited(model.model_validate(value), document, path)
        except ValidationError as invalid:
            for error in invalid.errors(include_url=False, include_input=False):
                at = (*path, *(part for part in error["loc"] if not _is_tag(part)))
                if not document.is_broken(at):
                    code, message = _explain(error, model)
                    yield Problem(document.file, document.line(at), code, message)
        else:
            getattr(entries, section).append(sited)


def _explain(error: ErrorDetails, model: type[BaseModel]) -> tuple[Code, str]:
    """What is wrong, in words that say how to mend it."""
    holder, info, key = _key(error["loc"], model)
    what = _what(error["loc"], key)
    match error["type"]:
        case "extra_forbidden":
            return _no_key(holder, key)
        case "missing":
            return Code.MISSING_KEY, f"`{key}` is missing. {_meaning(info)}"
        case "value_error":
            fault = cast("Fault", error["ctx"]["error"])
            return fault.code, f"{what} {fault.message}"
        case "too_short":
            return Code.EMPTY_VALUE, f"{what} is empty: write at least one. {_meaning(info)}"
        case kind if kind in _TYPES:
            return Code.WRONG_TYPE, f"{what} must be {_TYPES[kind]}. {_meaning(info)}"
        case kind:
            must = _VALUES.get(kind, "have another form").format_map(error.get("ctx", {}))
            return Code.WRONG_VALUE, f"{what} must {must}. {_meaning(info)}"


_TYPES = {
    "string_type": "text; put it in quotes if it looks like something else",
    "int_type": "a whole number, without quotes",
    "bool_type": "true or false, without quotes",
    "list_type": "a list",
    "dict_type": "a mapping: keys with values",
    "model_type": "a mapping: keys with values",
}

_VALUES = {
    "too_long": "have no more than {max_length} of them",
    "greater_than_equal": "be {ge} or more",
    "less_than_equal": "be {le} or less",
    "literal_error": "be {expected}",
}


_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
"""Members of keys that are nobody else's business (RFC 7518 §6)."""


def _no_key(holder: type[BaseModel], key: str) -> tuple[Code, str]:
    if holder is KeyEntry and key in _PRIVATE:
        return Code.PRIVATE_KEY, (
            f"`{key}` belongs to a private key: write public keys only, and make a new one, for "
            "this one has been shown"
        )
    known = holder.model_fields
    there = "there are" if len(known) > 1 else "there is only"
    hint = closest(key, known) or f": {there} {_listed(known)}"
    return Code.UNKNOWN_KEY, f"`{key}` is no key here{hint}"


def _key(
    loc: tuple[str | int, ...], model: type[BaseModel]
) -> tuple[type[BaseModel], FieldInfo | None, str]:
    """The model, the field and the name of the last key on the way to where an error stands."""
    holder, info, key = model, None, ""
    within = [model]
    for part in loc:
        if _is_tag(part):
            within = [one for one in within if part == TAG + one.__name__]
        elif within and isinstance(part, str):
            holder, key, info = within[0], part, within[0].model_fields.get(part)
            within = [] if info is None else list(_models(info.annotation))
    return holder, info, key


def _is_tag(part: str | int) -> bool:
    """Whether this part of the place of an error is no key, but the name of an alternative."""
    return isinstance(part, str) and part.startswith(TAG)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models of what a field holds, or of the entries in its list, if there are any."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for held in get_args(annotation):
        yield from _models(held)


def _what(loc: tuple[str | int, ...], key: str) -> str:
    if not key:
        return "this entry"
    last = [part for part in loc if not _is_tag(part)][-1]
    if isinstance(last, int):
        return f"an entry of `{key}`"
    return f"a key of `{key}`" if last == "[key]" else f"`{key}`"


def _meaning(info: FieldInfo | None) -> str:
    return (info and info.description) or "See the reference of the registry."


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
