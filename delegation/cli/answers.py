"""Answers to the questions that the registry is asked: for people, and as a diagram."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from delegation.cli.said import table, who
from delegation.domain.nearest import Missing
from delegation.domain.tokens import SEPARATOR, format_scope

Answer = Mapping[str, Any]
"""What is answered, as programs get it."""


def decided_lines(answer: Answer) -> Iterator[str]:
    """What `can-i` answers, for people."""
    yield from _issued_lines(answer) if answer["allowed"] else _refused_lines(answer)
    for shadow in answer["shadow"]:
        yield f"  shadow    {_shadow(shadow)}"


def _shadow(shadow: Answer) -> str:
    return f"{', '.join(shadow['grants'])}, if enforced: {_instead(shadow)}"


def _instead(shadow: Answer) -> str:
    if not shadow["allowed"]:
        return f"refused, {shadow['cause']}"
    return f"{shadow['grant']} gives {format_scope(shadow['scope'])} until {shadow['expires_at']}"


def _issued_lines(answer: Answer) -> Iterator[str]:
    use = ", once for each subject token" if answer["single_use"] else ""
    yield f"Yes: {answer['client']} would be given a token for {answer['resource']}."
    yield f"  subject   {who(answer['subject'])}"
    yield f"  actors    {' < '.join(map(who, answer['actors']))}"
    yield f"  scope     {format_scope(answer['scope'])}"
    yield f"  lifetime  {answer['expires_in']} s"
    yield f"  grant     {answer['grant']}{use}"
    for name, limit in answer["limits"].items():
        yield f"  limit     {name}, by the {_who_cut(limit)}"


def _who_cut(limit: str) -> str:
    kind, is_deny, name = limit.partition(":")
    return f"{kind} {name}" if is_deny else limit.replace("_", " ")


def _refused_lines(answer: Answer) -> Iterator[str]:
    yield f"No: {answer['client']} would be given no token for {answer['resource']}."
    yield f"  error     {answer['error']}: {answer['error_description']}"
    yield f"  reason    {answer['reason']}"
    if answer["required_scope"] is not None:
        yield f"  required  {answer['required_scope']}"
    yield f"  cause     {answer['cause']}, which the client is not told"
    nearest = answer["nearest"]
    if nearest is None:
        yield "  nearest   no grant of this client there would help"
        return
    yield f"  nearest   the grant {nearest['grant']}, if it were not for this:"
    for lack in nearest["missing"]:
        yield f"    {lack['what']}: {_said(lack)}"


def _said(lack: Answer) -> str:
    """What is missing, and what would do."""
    missing, needed = Missing(lack["what"]), lack["needed"]
    if missing is Missing.SUBJECT and not (needed or lack["of"]):
        return "it names no subject"
    text = _SAID[missing] if needed else (_SAID | _SAID_OF_NONE)[missing]
    return text.format(of=lack["of"], any=" or ".join(needed), all=" ".join(needed))


_SAID = {
    Missing.ADMISSION: "{of} does not admit this client",
    Missing.EXPIRY: "it expired at {of}",
    Missing.SUBJECT: "the subject must be {any}, of {of}",
    Missing.CLAIM: "{of} must have {any}, in a token of the trusted issuer itself",
    Missing.SERVICE: "the subject is no person, and it is for people alone",
    Missing.AGENT: "the agent must be {any}",
    Missing.CHAIN: "the chain of actors would be longer than it allows",
    Missing.CYCLE: "somebody would act twice in the chain",
    Missing.SCOPE: "the subject token must have {all}",
    Missing.DENY: "the deny {of} takes it",
    Missing.LIFETIME: "the token would live for less than five seconds",
}
_SAID_OF_NONE = {
    Missing.SUBJECT: "the subject must be of {of}",
    Missing.AGENT: "it admits no agent",
    Missing.SCOPE: "it is more than may be given, whatever the subject token has",
}


def listed_lines(answer: Answer) -> Iterator[str]:
    """What `who-can` and `what-can` answer, for people: a line for each way, and what it leaves
    open.
    """
    ways: Sequence[Answer] = answer["ways"]
    if not ways:
        yield "There is no way."
        return
    columns = _COLUMNS + _OF_DENIES * any(way["denies"] for way in ways)
    head = [name for name, _ in columns]
    yield from table(head, [[said(way) or "-" for _, said in columns] for way in ways])
    yield ""
    yield "Each line is what some token could lead to; a real one may fall short of it:"
    yield from (f"- {assumption}" for assumption in answer["assumed"])


def _for(way: Answer) -> str:
    if way["people"] == "everyone":
        return f"everyone of {way['issuer']}"
    return ", ".join(f"{way['issuer']}{SEPARATOR}{person}" for person in way["people"])


def _if(way: Answer) -> str:
    return " and ".join(f"{name} has {' or '.join(values)}" for name, values in way["if"].items())


def _agents(way: Answer) -> Sequence[str]:
    return ["any agent"] if way["agents"] == "any" else way["agents"]


def _scopes(way: Answer) -> str:
    return "; ".join(f"{name} > {format_scope(to)}" for name, to in way["scopes"].items())


_COLUMNS: tuple[tuple[str, Callable[[Answer], str]], ...] = (
    ("CLIENT", lambda way: str(way["client"])),
    ("AT", lambda way: str(way["resource"])),
    ("GRANT", lambda way: str(way["grant"])),
    ("FOR", _for),
    ("IF", _if),
    ("THROUGH", lambda way: ", ".join(_agents(way))),
    ("AFTER", lambda way: ", ".join(way["after"])),
    ("MCP SCOPES > SCOPES", _scopes),
)
"""Each with what it says of a way."""

_OF_DENIES: tuple[tuple[str, Callable[[Answer], str]], ...] = (
    ("LESS BY", lambda way: ", ".join(way["denies"])),
)

_SHAPES = {
    "subject": '(["{}"])',
    "agent": '("{}")',
    "client": '["{}"]',
    "resource": '{{{{"{}"}}}}',
}
"""How Mermaid draws each kind of node."""

_GIVES, _REFUSES, _WOULD = "-->", "--x", "-.->"
"""Its arrows: what is, what is not, and what would be."""

_Node = tuple[str, str]
_Edge = tuple[_Node, str, str, _Node]


def drawn_decision(answer: Answer) -> Iterator[str]:
    """What `can-i` answers, as a Mermaid flowchart: who acts for whom at the resource, or not."""
    return _drawn(_decided(answer))


def drawn_lines(answer: Answer) -> Iterator[str]:
    """What `who-can` and `what-can` answer, as a Mermaid flowchart: from subjects by agents and
    clients to resources.
    """
    return _drawn(edge for way in answer["ways"] for edge in _edges(way))


def _drawn(edges: Iterable[_Edge]) -> Iterator[str]:
    numbers: dict[_Node, str] = {}
    yield "flowchart LR"
    for start, arrow, label, end in dict.fromkeys(edges):
        for node in (start, end):
            if node not in numbers:
                numbers[node] = f"n{len(numbers) + 1}"
                kind, text = node
                yield f"  {numbers[node]}{_SHAPES[kind].format(_escaped(text))}"
        said = f'|"{_escaped(label)}"|' if label else ""
        yield f"  {numbers[start]} {arrow}{said} {numbers[end]}"


def _decided(answer: Answer) -> Iterator[_Edge]:
    client, resource = ("client", str(answer["client"])), ("resource", str(answer["resource"]))
    if answer["allowed"]:
        subject = answer["subject"]
        # Who acts now is a client of this service; who acted first stands last.
        current, *_ = answer["actors"]
        actors = (
            ("client" if one["iss"] == current["iss"] else "agent", who(one))
            for one in reversed(answer["actors"])
        )
        path = [("subject", who(subject)), *actors]
        yield from ((start, _GIVES, "", end) for start, end in pairwise(path))
        client = path[-1]
        yield client, _GIVES, f"{answer['grant']}: {format_scope(answer['scope'])}", resource
    else:
        yield client, _REFUSES, str(answer["cause"]), resource
        if nearest := answer["nearest"]:
            lacks = "; ".join(map(_said, nearest["missing"]))
            yield client, _WOULD, f"{nearest['grant']}, if it were not for this: {lacks}", resource
    for shadow in answer["shadow"]:
        yield client, _WOULD, _shadow(shadow), resource


def _edges(way: Answer) -> Iterator[_Edge]:
    client, resource = ("client", way["client"]), ("resource", way["resource"])
    condition = _if(way)
    whom = "subject", _for(way) + (f", if {condition}" if condition else "")
    agents = (("agent", one) for one in _agents(way))
    for through in (*agents, *(("client", one) for one in way["after"])):
        yield whom, _GIVES, "", through
        yield through, _GIVES, way["grant"], client
    gives = format_scope({one for meaning in way["scopes"].values() for one in meaning})
    yield client, _GIVES, f"{way['grant']}: {gives}", resource


def _escaped(text: str) -> str:
    """*text* in a Mermaid string: what could end it, or be taken for markup, as its number."""
    return "".join(f"#{ord(one)};" if one in '#"<>&|`' else one for one in text)
