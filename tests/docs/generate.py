"""The generated parts of the reference, rendered from the code that they are about.

`python -m tests.docs.generate` writes them into the pages; a test fails where a page differs.
"""

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from delegation.cli import main as delegation
from delegation.metrics.catalogue import CATALOGUE, SEALERS, Metric
from delegation.registry.forms import Form
from delegation.registry.schema import SECTIONS
from delegation.settings import (
    CLIENT_SIDE,
    PREFIX,
    SETTINGS,
    Problem,
    Setting,
    Settings,
    SettingsInvalid,
)
from delegation.web.admin.openapi import document as admin_document
from delegation.web.admin.problems import Kind as ProblemKind
from tests.conformance import page as conformance
from tests.docs import events
from tests.docs.generate_client import names
from tests.docs.generate_lint import findings
from tests.docs.tables import table

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"

_PART = re.compile(r"(<!-- generated: (\w+) .*?-->\n)(.*?)(<!-- end: \2 -->)", re.DOTALL)


def settings() -> str:
    """Every variable of the service."""
    missing = _missing()
    return table(
        ("variable", "meaning", "value", "default"),
        [
            (f"`{one.variable}`", one.meaning, _values(one), _default(one, missing))
            for one in SETTINGS
        ],
    )


def client_settings() -> str:
    """Every variable that the service leaves to the client half."""
    return "".join(f"- `{PREFIX}{name}`\n" for name in sorted(CLIENT_SIDE))


def registry() -> str:
    """Every section of a registry file, and every key."""
    return "\n".join(_model(model, f"`{section}`") for section, model in SECTIONS.items())


def commands() -> str:
    """Every command, as its own `--help` describes it."""
    return "\n".join(_helps(delegation, _context()))


def _context() -> click.Context:
    """As if it were called: with the settings that it is called with."""
    return click.Context(delegation, info_name="delegation", **delegation.context_settings)


def _helps(command: click.Command, context: click.Context) -> Iterator[str]:
    context.terminal_width = context.max_content_width = 88
    yield f"## {context.command_path}\n\n```text\n{command.get_help(context)}\n```\n"
    if isinstance(command, click.Group):
        for name, below in sorted(command.commands.items()):
            yield from _helps(below, click.Context(below, info_name=name, parent=context))


def admin_operations() -> str:
    """Every operation of the admin API."""
    return table(
        ("operation", "what it is for", "scope", "answers"),
        [
            (
                f"`{operation['method'].upper()} {operation['path']}`",
                operation["summary"],
                " ".join(f"`{one}`" for one in operation["security"][0]["bearer"]),
                ", ".join(operation["responses"]),
            )
            for operation in _admin_operations()
        ],
    )


def admin_problems() -> str:
    """Every problem that the admin API answers with."""
    return table(
        ("status", "name", "meaning"),
        [(str(kind.status), f"`{kind.slug}`", kind.title) for kind in ProblemKind],
    )


def metrics() -> str:
    """Every metric of the token service."""
    return _metrics(CATALOGUE)


def sealer_metrics() -> str:
    """Every metric of the sealer."""
    return _metrics(SEALERS)


def _metrics(listed: Iterable[Metric]) -> str:
    def row(one: Metric) -> tuple[str, str, str, str]:
        labels = ", ".join(f"`{label}`" for label in one.labels)
        return f"`{one.name}`", one.kind, labels, one.meaning

    return table(("metric", "kind", "labels", "meaning"), map(row, listed))


def _admin_operations() -> Iterator[dict[str, Any]]:
    for path, operations in admin_document()["paths"].items():
        for method, operation in operations.items():
            yield {"path": path, "method": method} | operation


PARTS: Mapping[str, Callable[[], str]] = MappingProxyType(
    {
        "admin_operations": admin_operations,
        "admin_problems": admin_problems,
        "events": events.members,
        "settings": settings,
        "client_settings": client_settings,
        "client": names,
        "metrics": metrics,
        "sealer_metrics": sealer_metrics,
        "registry": registry,
        "findings": findings,
        "commands": commands,
        "conformance": conformance.summary,
        "requirements": conformance.requirements,
        "attacks": conformance.attacks,
    }
)


def rendered(page: str) -> str:
    """*page* with each generated part as the code has it now."""

    def part(match: re.Match[str]) -> str:
        return f"{match[1]}\n{PARTS[match[2]]()}\n{match[4]}"

    return _PART.sub(part, page)


def parts(page: str) -> set[str]:
    """The names of the generated parts of *page*."""
    return {match[2] for match in _PART.finditer(page)}


def main() -> None:
    """Write all pages anew."""
    for path in sorted(REFERENCE.glob("*.md")):
        page = path.read_text("utf-8")
        if rendered(page) != page:
            path.write_text(rendered(page), "utf-8")
            sys.stdout.write(f"{path.name} is written anew\n")


def _missing() -> set[str]:
    """The variables that the service asks for where there are none."""
    problems: Iterable[Problem] = ()
    try:
        Settings.from_environment({})
    except SettingsInvalid as invalid:
        problems = invalid.problems
    return {problem.variable for problem in problems}


def _values(setting: Setting) -> str:
    """What the setting may be, in the words of its own complaint."""
    try:
        setting.read("")
    except ValueError as error:
        return str(error)
    return "must be a path"


def _default(setting: Setting, missing: set[str]) -> str:
    if setting.default is not None:
        return f"`{setting.default}`"
    return "must be set" if setting.variable in missing else "none"


def _model(model: type[BaseModel], title: str, level: int = 2) -> str:
    """One kind of entry, and after it those that stand within it."""
    fields = model.model_fields
    keys = table(
        ("key", "value", "default", "meaning"),
        [
            (f"`{name}`", _type(info.annotation, info.metadata), _preset(info), _meaning(info))
            for name, info in fields.items()
        ],
    )
    nested = [
        _model(inner, f"One of `{name}`", level + 1)
        for name, info in fields.items()
        for inner in _models(info.annotation)
    ]
    what = " ".join((model.__doc__ or "").split())
    return "\n".join([f"{'#' * level} {title}\n\n{what}\n\n{keys}", *nested])


def _meaning(info: FieldInfo) -> str:
    return info.description or ""


def _preset(info: FieldInfo) -> str:
    """What a key that is left out means."""
    if info.is_required():
        return "must be written"
    if info.default_factory is not None:
        return "none"
    match info.default:
        case bool() as value:
            return f"`{str(value).lower()}`"
        case "" | [] | {}:
            return "none"
        case list() as values:
            return f"`[{', '.join(map(str, values))}]`"
        case value:
            return f"`{value}`"


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)


def _type(annotation: Any, metadata: Sequence[Any] = ()) -> str:
    """What a value must be, in the words of the forms that check it."""
    forms = [one.should_be for one in metadata if isinstance(one, Form)]
    if forms:
        return forms[-1]
    if get_origin(annotation) is Annotated:
        inner, *constraints = get_args(annotation)
        return _type(inner, constraints)
    if get_args(annotation):
        return _composed(get_origin(annotation), get_args(annotation))
    return _plain(annotation, metadata)


def _composed(origin: Any, inner: Sequence[Any]) -> str:
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in inner)
    if origin in {Union, UnionType}:
        return ", or ".join(map(_type, inner))
    if origin is list:
        return f"a list; each: {_type(inner[0])}"
    return f"a mapping; each key: {_type(inner[0])}; each value: {_type(inner[1])}"


def _plain(annotation: Any, metadata: Sequence[Any]) -> str:
    if annotation is bool:
        return "`true` or `false`"
    if annotation is int:
        bounds = {name: value for one in metadata for name, value in _bounds(one)}
        return f"a whole number from {bounds['ge']} to {bounds['le']}"
    if annotation is str:
        return "text"
    if annotation is type(None):
        return "`null`"
    return "a mapping; its keys are below"


def _bounds(constraint: Any) -> Iterator[tuple[str, int]]:
    for name in ("ge", "le"):
        value = getattr(constraint, name, PydanticUndefined)
        if value is not PydanticUndefined:
            yield name, value


if __name__ == "__main__":
    main()
