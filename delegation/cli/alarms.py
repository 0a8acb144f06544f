"""What alarms say: what happened, what it means, and what to do next."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from delegation.cli.said import table, who
from delegation.domain.errors import Cause


class Meaning(NamedTuple):
    """What an alarm looks like, and the commands to go on with, in the words of its event."""

    what: str
    then: Sequence[str]


_STOP_CLIENT = "delegation lock --client {about} --reason ... --dry-run"

MEANINGS = {
    Cause.PRESENTED_BY_ANOTHER_CLIENT: Meaning(
        "A client presented a token that is addressed to another: it was stolen, or went astray.",
        (
            "delegation exchanges --client {about}",
            _STOP_CLIENT,
            "delegation lock --subject {issuer} {subject} --cut-off now --reason ... --dry-run",
        ),
    ),
    Cause.ALREADY_USED: Meaning(
        "What is good once came twice: an assertion or a token was stolen, or is sent twice.",
        ("delegation exchanges --client {about}", _STOP_CLIENT),
    ),
    Cause.LINEAGE_DEAD: Meaning(
        "Somebody goes on with what was stopped, knowingly or not.",
        ("delegation locks --state all", _STOP_CLIENT),
    ),
    Cause.KEYS_REPLACED: Meaning(
        "All keys of an issuer or a client are others at once: it was rebuilt, or is not itself.",
        ("delegation lock --issuer {about} --reason ... --dry-run", _STOP_CLIENT),
    ),
}


def alarm_lines(answer: Mapping[str, Any]) -> Iterator[str]:
    """One line for each alarm; then what each cause means, with the commands for its latest."""
    items = answer["items"]
    if not items:
        yield "There is no alarm."
        return
    rows = [(one["at"], one["event"]["cause"], *_cells(one["event"])) for one in items]
    yield from table(("AT", "CAUSE", "ABOUT", "FOR", "FROM", "DECISION"), rows)
    if answer["cursor"] is not None:
        yield f"There are more than these {len(items)}: raise --limit."
    latest = {one["event"]["cause"]: one["event"] for one in reversed(items)}
    for cause in dict.fromkeys(one["event"]["cause"] for one in items):
        yield ""
        yield f"{cause}: {answer['counts'].get(cause, 0)} so far"
        yield from _explained(latest[cause])


def _cells(event: Mapping[str, Any]) -> tuple[str, str, str, str]:
    subject = who(event["subject"]) if event.get("subject") else "-"
    return _about(event), subject, event.get("source") or "-", event.get("decision") or "-"


def _about(event: Mapping[str, Any]) -> str:
    """The client that it is about, or whose keys they are."""
    return str(event.get("client") or event.get("about") or "-")


def _explained(event: Mapping[str, Any]) -> Iterator[str]:
    """What it means; one that a newer service raised has only its event."""
    meaning = MEANINGS.get(event["cause"])
    if meaning is None:
        yield "  Its events say more: --output json."
        return
    yield f"  {meaning.what}"
    names = {"about": _about(event)}
    if event.get("subject"):
        names |= {"issuer": event["subject"]["iss"], "subject": event["subject"]["sub"]}
    quoted = {name: shlex.quote(text) for name, text in names.items()}
    for command in meaning.then:
        if "{subject}" not in command or "subject" in names:
            yield f"  {command.format_map(quoted)}"
