"""The generated part of the reference of the client half: every public name, as its code has it."""

import ast
import inspect
import textwrap
from collections.abc import Iterator
from typing import Any

import delegation.client
from delegation.client import DelegationError, PrivateKey, requests

METHODS = {
    "Exchanger": ("exchange", "exchange_sync", "reject", "forget", "close", "under_way"),
    "PrivateKey": ("load", "parse"),
    "Service": ("from_environment",),
}
"""What of a class is meant for everybody; of the others, their construction is."""


def names() -> str:
    """A section for each name, in the order in which people meet them: first what is called."""
    public = [getattr(delegation.client, name) for name in delegation.client.__all__]
    errors = [one for one in public if _is_error(one)]
    others = [one for one in public if not _is_error(one)]
    sections = [
        *("\n".join(_section(one, one.__name__)) for one in others),
        "\n".join(_section(requests.DelegatedAuth, "requests.DelegatedAuth")),
        *("\n".join(_error(one)) for one in sorted(errors, key=_descent)),
    ]
    return "\n".join(sections)


def _is_error(one: object) -> bool:
    return isinstance(one, type) and issubclass(one, Exception)


def _descent(error: type[Exception]) -> str:
    """By ancestry: each stands below that which it is one of."""
    return " ".join(kind.__name__ for kind in reversed(error.__mro__))


def _section(one: Any, name: str) -> Iterator[str]:
    made = "" if one is PrivateKey else f"```text\n{_call(one, name)}\n```\n\n"
    yield f"### `{name}`\n\n{made}{_text(one)}\n"
    for method in METHODS.get(name, ()):
        found = inspect.getattr_static(one, method)
        shown = f"{name}.{method}"
        if not isinstance(found, property):
            found = getattr(found, "__func__", found)
            shown = _call(found, shown)
        yield f"```text\n{shown}\n```\n\n{_text(found)}\n"


def _error(error: type[Exception]) -> Iterator[str]:
    kind = "" if error is DelegationError else f"A `{error.__base__.__name__}`.\n"
    yield f"### `{error.__name__}`\n\n{kind}{_text(error)}\n"


def _text(one: Any) -> str:
    return inspect.getdoc(one) or ""


def _call(one: Any, name: str) -> str:
    """How it is called, as it is written in the code."""
    if "__dataclass_fields__" in vars(one):
        return _wrapped(name, ["*", *filter(None, map(_field, _fields(one)))], "")
    function = _parsed(one.__init__ if isinstance(one, type) else one)
    arguments = function.args
    bare = [None] * (len(arguments.args) - len(arguments.defaults))
    positional = zip(arguments.args, [*bare, *arguments.defaults], strict=True)
    named = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    parameters = [_parameter(*each) for each in positional if each[0].arg not in {"self", "cls"}]
    parameters += ["*"] * bool(arguments.kwonlyargs) + [_parameter(*each) for each in named]
    awaited = "await " if isinstance(function, ast.AsyncFunctionDef) else ""
    returns = "" if isinstance(one, type) else f" -> {ast.unparse(function.returns)}"
    return _wrapped(awaited + name, parameters, returns)


def _fields(one: type) -> Iterator[ast.AnnAssign]:
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(one))).body
    for node in body.body:
        if isinstance(node, ast.AnnAssign):
            yield node


def _field(node: ast.AnnAssign) -> str:
    """As a parameter; nothing, where it is none."""
    text, value = f"{ast.unparse(node.target)}: {ast.unparse(node.annotation)}", node.value
    if isinstance(value, ast.Call):
        said = {each.arg: each.value for each in value.keywords}
        if "init" in said:
            return ""
        value = said.get("default")
    return text if value is None else f"{text} = {ast.unparse(value)}"


def _parameter(node: ast.arg, default: ast.expr | None) -> str:
    text = ast.unparse(node)
    return text if default is None else f"{text} = {ast.unparse(default)}"


def _parsed(function: Any) -> ast.FunctionDef | ast.AsyncFunctionDef:
    (node,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    return node


def _wrapped(name: str, parameters: list[str], returns: str) -> str:
    line = f"{name}({', '.join(parameters)}){returns}"
    if len(line) <= 88:
        return line
    return f"{name}(\n" + "".join(f"    {each},\n" for each in parameters) + f"){returns}"
