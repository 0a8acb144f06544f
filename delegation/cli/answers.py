"""Answers to the questions that the registry is asked: for programs, for people, as a diagram."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from delegation.cli.said import table
from delegation.domain.errors import InvalidScope
from delegation.domain.nearest import Lack, Missing
from delegation.domain.parties import Identity
from delegation.domain.questions import No, Yes
from delegation.domain.registry import Registry
from delegation.domain.tokens import SEPARATOR, format_scope
from delegation.domain.ways import Way

ASSUMED = (
    "IF is what the token must say: claims are not known here, and a token of ours has none.",
    "AFTER are clients that may hand on a token of ours: whether they obtain it, ask of each.",
    "MCP SCOPES are what the token must have. Locks are not looked at.",
)
"""What `who-can` and `what-can` cannot know: they list whatever some token could lead to."""


def decided(answer: Yes | No) -> dict[str, Any]:
    """What `can-i` answers, for programs."""
    return _issued(answer) if isinstance(answer, Yes) else _refused(answer)


def _issued(answer: Yes) -> dict[str, Any]:
    delegation = answer.delegation
    lifetime = delegation.expires_at - delegation.issued_at
    return {
        "allowed": True,
        "client": delegation.client,
        "subject": _identity(delegation.subject),
        "resource": delegation.resource,
        "grant": delegation.grant,
        "scope": sorted(delegation.scope),
        "expires_in": int(lifetime.total_seconds()),
        "actors": [_identity(actor.identity) for actor in delegation.actors],
        "single_use": delegation.single_use,
        "limits": dict(delegation.limits),
        "revision": delegation.revision,
    }


def _refused(answer: No) -> dict[str, Any]:
    refused, near = answer.refused, answer.nearest
    required = refused.required if isinstance(refused, InvalidScope) else frozenset()
    nearest = near and {
        "grant": near.grant.id,
        "missing": [
            {"what": lack.missing.value, "of": lack.of, "needed": list(lack.needed)}
            for lack in near.lacks
        ],
    }
    return {
        "allowed": False,
        "client": answer.client,
        "resource": answer.resource,
        "error": refused.error,
        "reason": refused.reason.value,
        "error_description": refused.description,
        **({"required_scope": format_scope(required)} if required else {}),
        "cause": refused.cause.value,
        "nearest": nearest,
    }


def _identity(identity: Identity) -> dict[str, str]:
    return {"format": "iss_sub", "iss": identity.issuer, "sub": identity.subject}


def decided_lines(answer: Yes | No) -> Iterator[str]:
    """What `can-i` answers, for people."""
    if isinstance(answer, Yes):
        yield from _issued_lines(answer)
    else:
        yield from _refused_lines(answer)


def _issued_lines(answer: Yes) -> Iterator[str]:
    shown = _issued(answer)
    use = ", once for each subject token" if shown["single_use"] else ""
    yield f"Yes: {shown['client']} would be given a token for {shown['resource']}."
    yield f"  subject   {_who(shown['subject'])}"
    yield f"  actors    {' < '.join(map(_who, shown['actors']))}"
    yield f"  scope     {format_scope(shown['scope'])}"
    yield f"  lifetime  {shown['expires_in']} s"
    yield f"  grant     {shown['grant']}{use}"
    for name, limit in shown["limits"].items():
        yield f"  limit     {name}, by the {limit.replace('_', ' ')}"


def _refused_lines(answer: No) -> Iterator[str]:
    shown = _refused(answer)
    yield f"No: {shown['client']} would be given no token for {shown['resource']}."
    yield f"  error     {shown['error']}: {shown['error_description']}"
    yield f"  reason    {shown['reason']}"
    if "required_scope" in shown:
        yield f"  required  {shown['required_scope']}"
    yield f"  cause     {shown['cause']}, which the client is not told"
    if answer.nearest is None:
        yield "  nearest   no grant of this client there would help"
        return
    yield f"  nearest   the grant {answer.nearest.grant.id}, if it were not for this:"
    for lack in answer.nearest.lacks:
        yield f"    {lack.missing.value}: {_said(lack)}"


def _who(identity: Mapping[str, str]) -> str:
    return f"{identity['sub']} of {identity['iss']}"


def _said(lack: Lack) -> str:
    """What is missing, and what would do."""
    if lack == Lack(missing=Missing.SUBJECT):
        return "it names no subject"
    text = _SAID[lack.missing] if lack.needed else (_SAID | _SAID_OF_NONE)[lack.missing]
    return text.format(of=lack.of, any=" or ".join(lack.needed), all=" ".join(lack.needed))


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
    Missing.LIFETIME: "the token would live for less than five seconds",
}
_SAID_OF_NONE = {
    Missing.SUBJECT: "the subject must be of {of}",
    Missing.AGENT: "it admits no agent",
    Missing.SCOPE: "it is more than may be given, whatever the subject token has",
}


def listed(ways: Sequence[Way], registry: Registry) -> dict[str, Any]:
    """What `who-can` and `what-can` answer, for programs."""
    return {
        "ways": [_way(one, registry) for one in ways],
        "assumed": list(ASSUMED),
        "revision": registry.revision,
    }


def _way(way: Way, registry: Registry) -> dict[str, Any]:
    return {
        "client": way.client,
        "resource": way.resource,
        "grant": way.grant.id,
        "issuer": _alias(way, registry),
        "people": list(way.people) or "everyone",
        "if": {name: sorted(values) for name, values in sorted(way.subjects.claims.items())},
        "agents": "any" if way.any_agent else list(way.agents),
        "after": list(way.before),
        "scopes": {name: sorted(meaning) for name, meaning in way.scopes.items()},
    }


def _alias(way: Way, registry: Registry) -> str:
    return registry.issuers[way.subjects.issuer].alias


def listed_lines(ways: Sequence[Way], registry: Registry) -> Iterator[str]:
    """What they answer for people: a line for each way, and what it leaves open."""
    if not ways:
        yield "There is no way."
        return
    head = ("CLIENT", "AT", "GRANT", "FOR", "IF", "THROUGH", "AFTER", "MCP SCOPES > SCOPES")
    rows = [
        (
            way.client,
            way.resource,
            way.grant.id,
            _for(way, registry),
            _if(way) or "-",
            _through(way) or "-",
            ", ".join(way.before) or "-",
            "; ".join(f"{name} > {format_scope(to)}" for name, to in way.scopes.items()),
        )
        for way in ways
    ]
    yield from table(head, rows)
    yield ""
    yield "Each line is what some token could lead to; a real one may fall short of it:"
    yield from (f"- {assumption}" for assumption in ASSUMED)


def _for(way: Way, registry: Registry) -> str:
    alias = _alias(way, registry)
    named = ", ".join(f"{alias}{SEPARATOR}{person}" for person in way.people)
    return named or f"everyone of {alias}"


def _if(way: Way) -> str:
    return " and ".join(
        f"{name} has {' or '.join(sorted(values))}"
        for name, values in sorted(way.subjects.claims.items())
    )


def _through(way: Way) -> str:
    return "any agent" if way.any_agent else ", ".join(way.agents)


_SHAPES = {
    "subject": '(["{}"])',
    "agent": '("{}")',
    "client": '["{}"]',
    "resource": '{{{{"{}"}}}}',
}
"""How Mermaid draws each kind of node."""

_Node = tuple[str, str]


def drawn_lines(ways: Sequence[Way], registry: Registry) -> Iterator[str]:
    """What they answer as a Mermaid flowchart: from subjects by agents and clients to resources."""
    numbers: dict[_Node, str] = {}
    edges = dict.fromkeys(edge for way in ways for edge in _edges(way, registry))
    yield "flowchart LR"
    for start, label, end in edges:
        for node in (start, end):
            if node not in numbers:
                numbers[node] = f"n{len(numbers) + 1}"
                kind, text = node
                yield f"  {numbers[node]}{_SHAPES[kind].format(_escaped(text))}"
        arrow = f'-->|"{_escaped(label)}"|' if label else "-->"
        yield f"  {numbers[start]} {arrow} {numbers[end]}"


def _edges(way: Way, registry: Registry) -> Iterator[tuple[_Node, str, _Node]]:
    client, resource = ("client", way.client), ("resource", way.resource)
    condition = _if(way)
    whom = "subject", _for(way, registry) + (f", if {condition}" if condition else "")
    agents = ["any agent"] if way.any_agent else way.agents
    for through in (*(("agent", one) for one in agents), *(("client", one) for one in way.before)):
        yield whom, "", through
        yield through, way.grant.id, client
    gives = format_scope(frozenset().union(*way.scopes.values()))
    yield client, f"{way.grant.id}: {gives}", resource


def _escaped(text: str) -> str:
    """*text* in a Mermaid string: what could end it, or be taken for markup, as its number."""
    return "".join(f"#{ord(one)};" if one in '#"<>&|`' else one for one in text)
