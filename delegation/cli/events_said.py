"""Events as people read them: a line for each, a tree of what belongs together, and a reason."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from delegation.cli.said import table, who

_GAP = "  "

_EXCHANGES = frozenset({"exchange", "not_issued"})

_DECISIONS = _EXCHANGES | {"refusal"}

_SAID = {
    "exchange": "granted",
    "not_issued": "not issued",
    "refusal": "refused",
    "refusals_suppressed": "suppressed",
    "lock": "locked",
    "lift": "lifted",
    "alarm": "alarm",
}


def event_table(items: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """One line for each event."""
    if not items:
        yield "No event fits."
        return
    head = ("AT", "OUTCOME", "ID", "BY", "FOR", "RESOURCE", "WHAT")
    yield from table(head, [_row(event) for event in items])


def event_line(event: Mapping[str, Any]) -> str:
    """The same of one, by itself."""
    return _GAP.join(cell for cell in _row(event) if cell != "-")


def _row(event: Mapping[str, Any]) -> tuple[str, ...]:
    subject = event.get("subject")
    return (
        str(event["at"]),
        _outcome(event),
        str(event.get("decision") or event.get("lock") or "-"),
        str(event.get("author") or event.get("client") or event.get("about") or "-"),
        who(subject) if subject else "-",
        _resource(event),
        _what(event),
    )


def _outcome(event: Mapping[str, Any]) -> str:
    kind = str(event.get("type"))
    return _SAID.get(kind, kind)


def _resource(event: Mapping[str, Any]) -> str:
    asked = event.get("asked", {}).get("targets", [])
    return str(event.get("resource") or ", ".join(asked) or "-")


def _what(event: Mapping[str, Any]) -> str:
    """What was given, or why not, or what was done."""
    match event.get("type"):
        case "exchange" | "not_issued":
            return " ".join(event.get("scope", {}).get("granted", [])) or "-"
        case "refusals_suppressed":
            return f"{event.get('count')} refusals were only counted"
        case "lock" | "lift":
            return f"{_target(event)}: {event.get('reason')}"
        case _:
            return str(event.get("cause", "-"))


def _target(event: Mapping[str, Any]) -> str:
    target = event.get("target", {})
    return " ".join(map(str, [target.get("kind"), *target.get("names", [])]))


def trace_lines(items: Sequence[Mapping[str, Any]], asked: str) -> Iterator[str]:
    """From what it came from to what came of it, each below its parent; then what stopped any."""
    if not items:
        yield f"There is no event of {asked}."
        return
    depth: dict[str, int] = {}
    for event in _family(items):
        parent = _parent(event)
        level = depth.get(parent, -1) + 1
        if event["type"] in _EXCHANGES:
            depth[event["decision"]] = level
        mark = "* " if event["decision"] == asked else "  "
        yield mark + _GAP * level + event_line(event)
    stops = [event for event in items if event["type"] in {"lock", "lift"}]
    if stops:
        yield "Stops:"
    yield from (_GAP + event_line(event) for event in stops)


def _family(items: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Each right before what came from it."""
    left = {event["id"]: event for event in items if event["type"] in _DECISIONS}
    shown = {event["decision"] for event in left.values() if event["type"] in _EXCHANGES}
    roots = [event for event in left.values() if _parent(event) not in shown]

    def below(event: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        if left.pop(event["id"], None) is None:
            return  # it was written that it came from what came of it
        yield event
        if event["type"] == "exchange":
            for one in [*left.values()]:
                if _parent(one) == event["decision"]:
                    yield from below(one)

    for root in (*roots, *left.values()):
        yield from below(root)


def _parent(event: Mapping[str, Any]) -> str:
    """The exchange whose token was presented; no name of any for a foreign token."""
    return str(event.get("parent", {}).get("id", ""))


def explained_lines(answer: Mapping[str, Any]) -> Iterator[str]:
    """Why a request was answered as it was."""
    yield answer["outcome"]
    width = max((len(fact["label"]) for fact in answer["facts"]), default=0)
    yield from (f"  {fact['label']:{width}}  {fact['text']}" for fact in answer["facts"])
    if answer["needed"]:
        yield "What to do:"
    yield from (f"  {sentence}" for sentence in answer["needed"])
