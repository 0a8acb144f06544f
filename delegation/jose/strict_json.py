"""Reads one JSON object, and refuses whatever two readers could understand differently."""

import json
import math
import re
from collections.abc import Iterator
from typing import Any, NoReturn

MAX_DEPTH = 32
"""Levels of nesting. The longest actor chain that can be accepted needs nine."""

_WHITE_SPACE = " \t\n\r"
"""That of JSON (RFC 8259 §2)."""

_STRING_OR_BRACKET = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?|[\[\]{}]', re.DOTALL)


def read_object(data: bytes) -> dict[str, Any]:
    """The JSON object that *data* is, whole. Raises `ValueError`.

    Refused besides bad syntax: any encoding but UTF-8, a byte order mark, a member named twice at
    any level, NaN, infinities and numbers that become one, lone surrogates, NUL, and nesting
    deeper than `MAX_DEPTH` (RFC 8725 §3.7, RFC 8259 §4, §8).
    """
    text = data.decode("utf-8")
    # json recurses: what is too deep must not even get there.
    if _depth_exceeds(MAX_DEPTH, text):
        raise ValueError("nested too deeply")
    text = text.strip(_WHITE_SPACE)
    value, end = _DECODER.raw_decode(text)
    if end != len(text):
        raise ValueError("something follows")
    if not isinstance(value, dict):
        raise ValueError("not an object")  # noqa: TRY004, one error for all causes
    # Raw NUL and raw surrogates have been refused by now: only an escape can still make one.
    if "\\u" in text and not all(map(_is_text, _strings(value))):
        raise ValueError("a string holds what is no text")
    return value


def _depth_exceeds(limit: int, text: str) -> bool:
    # Nearly every document ends here: it has fewer brackets than levels are allowed.
    if text.count("{") + text.count("[") <= limit:
        return False
    depth = 0
    for token in _STRING_OR_BRACKET.finditer(text):
        depth += {"{": 1, "[": 1, "}": -1, "]": -1}.get(token[0], 0)
        if depth > limit:
            return True
    return False


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member is named twice")
    return members


def _refuse(_: str) -> NoReturn:
    raise ValueError("not a JSON number")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError("a number is too large")
    return number


# `json.loads` would make one each time.
_DECODER = json.JSONDecoder(
    object_pairs_hook=_distinct, parse_constant=_refuse, parse_float=_finite
)


def _strings(value: object) -> Iterator[str]:
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict):
            waiting += [*item.keys(), *item.values()]
        elif isinstance(item, list):
            waiting += item


def _is_text(string: str) -> bool:
    return not any(char == "\0" or "\ud800" <= char <= "\udfff" for char in string)
