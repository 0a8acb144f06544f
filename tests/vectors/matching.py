"""Whether what came back is what a case expects: a few patterns, and what differs in words."""

import re
from collections.abc import Callable, Iterator, Mapping
from math import inf
from typing import Any

ABSENT = object()
"""Stands for a member that is not there."""


def differences(expected: Any, found: Any, path: str) -> Iterator[str]:
    """What is not as *expected*; nothing where all is. *path* says where *found* stands.

    An object has at least the members that are expected of it. An actor chain is compared whole: a
    hop has no `act` where none is expected.
    """
    if isinstance(expected, Mapping):
        operators = [name for name in expected if name.startswith("$")]
        for operator in operators:
            yield from _applied(operator, expected[operator], found, path)
        if not operators:
            yield from _members(expected, found, path)
    elif expected == "$absent":
        if found is not ABSENT:
            yield f"{path} is there"
    elif expected == "$present":
        if found is ABSENT:
            yield f"{path} is missing"
    elif expected == "$any":
        return
    elif type(expected) is not type(found) or expected != found:
        yield f"{path} is {_shown(found)}, not {expected!r}"


def _applied(operator: str, wanted: Any, found: Any, path: str) -> Iterator[str]:
    if operator in _OPERATORS:
        if not _OPERATORS[operator](wanted, found):
            yield f"{path} is {_shown(found)}, not {operator[1:]} {wanted!r}"
    elif not (_is_number(wanted) and _is_number(found)):
        yield f"{path} is {_shown(found)}, and has nothing to be compared with"
    else:
        least, most = _BOUNDS[operator]
        # By how much is another matter at every run.
        if found - wanted < least:
            yield f"{path} is too small"
        if found - wanted > most:
            yield f"{path} is too large"


def _members(expected: Mapping[str, Any], found: Any, path: str) -> Iterator[str]:
    if not isinstance(found, Mapping):
        yield f"{path} is {_shown(found)}, not an object"
        return
    wanted = dict(expected)
    if path.endswith(".act"):
        wanted.setdefault("act", "$absent")
    for name, value in wanted.items():
        yield from differences(value, found.get(name, ABSENT), f"{path}.{name}")


def _shown(found: Any) -> str:
    return "missing" if found is ABSENT else repr(found)


def _is_scope(wanted: str, found: Any) -> bool:
    """The same scope tokens, in any order (RFC 6749 §3.3)."""
    return isinstance(found, str) and sorted(found.split(" ")) == sorted(wanted.split(" "))


def _is_number(found: Any) -> bool:
    return isinstance(found, int | float) and not isinstance(found, bool)


_OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "$in": lambda wanted, found: found in wanted,
    "$scope": _is_scope,
    "$matches": lambda wanted, found: (
        isinstance(found, str) and re.fullmatch(wanted, found) is not None
    ),
}

_BOUNDS: Mapping[str, tuple[float, float]] = {
    "$at_least": (0, inf),
    "$at_most": (-inf, 0),
    "$about": (-10, 10),
}
"""How much less, and how much more, a number may be than the one it is compared with."""
