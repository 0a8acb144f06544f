"""The members of events, as tables: rendered from the schema that they hold to."""

from collections.abc import Iterator, Mapping
from typing import Any

from delegation.audit.events import schema
from tests.docs.tables import table

_SHARED = {
    "circumstances": "Exchanges and refusals: the request",
    "subject": "Exchanges and refusals: the subject",
    "act": "Locks and lifts: the act",
}


def members() -> str:
    """Every member of every type of event, each with what it says."""
    document = schema()
    kinds = {one["$ref"].rpartition("/")[2]: document["$defs"] for one in document["oneOf"]}
    titles = _SHARED | {name: _title(defs[name], name) for name, defs in kinds.items()}
    parts = [_part("Every event", document, document["$defs"])]
    parts += [_part(titles[name], document["$defs"][name], document["$defs"]) for name in titles]
    return "\n".join(parts)


def _title(definition: Mapping[str, Any], name: str) -> str:
    types = definition["properties"]["type"]
    return ", ".join(f"`{one}`" for one in types.get("enum", [name]))


def _part(title: str, definition: Mapping[str, Any], known: Mapping[str, Any]) -> str:
    rows = [*_rows(definition, known)]
    # What every event says of itself stands under the first title alone.
    what = definition.get("description", "") if title != "Every event" else ""
    text = f"{what}\n\n" if what else ""
    return f"### {title}\n\n{text}" + table(("member", "value", "present", "meaning"), rows)


def _rows(
    definition: Mapping[str, Any], known: Mapping[str, Any], above: str = ""
) -> Iterator[tuple[str, str, str, str]]:
    required = set(definition.get("required", []))
    for name, said in definition.get("properties", {}).items():
        if said is True or (name == "type" and "description" not in said):
            continue
        meant = _resolved(said, known)
        present = "always" if name in required else "where there is one"
        yield f"`{above}{name}`", _value(meant, known), present, meant.get("description", "")
        yield from _rows(meant, known, f"{above}{name}.")


def _resolved(said: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """What a definition says, with what is said besides it, which counts more."""
    if "$ref" not in said:
        return dict(said)
    return known[said["$ref"].rpartition("/")[2]] | {
        name: value for name, value in said.items() if name != "$ref"
    }


def _value(said: Mapping[str, Any], known: Mapping[str, Any]) -> str:
    if "const" in said:
        return f"`{str(said['const']).lower()}`"
    if "enum" in said:
        return ", ".join(f"`{one}`" for one in said["enum"])
    if said["type"] == "array":
        return f"a list; each: {_value(_resolved(said['items'], known), known)}"
    return {
        "string": "text",
        "integer": "a whole number",
        "boolean": "`true` or `false`",
        "object": "an object",
    }[said["type"]]
