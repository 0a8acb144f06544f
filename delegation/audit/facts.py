"""The facts of an event, each with a label: what a reader is shown of it, in order."""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

Event = Mapping[str, Any]
"""An event as it leaves the store."""

Fact = tuple[str, str]
"""What it is, and what it was this time."""


def exchange_facts(event: Event) -> Iterator[Fact]:
    """Of an exchange, issued or not."""
    scope = event["scope"]
    yield from stored_facts(event)
    yield "for", who(event["subject"])
    yield from optional(event, "auth_time", "logged in", _of_seconds)
    yield "acting", ", called by ".join(_acting(one) for one in event["actors"])
    yield from optional(event, "agent", "through the agent")
    yield from _asking(event)
    yield "asked for", " ".join(scope.get("requested", ["all that may be given"]))
    yield "given", " ".join(scope["granted"])
    for name in scope.get("withheld", []):
        yield "withheld", f"{name}: {_withheld_by(event['limits'].get(f'scope:{name}', ''))}"
    if "truncated" in scope:
        yield "and more", "more was asked for, or withheld, than is kept"
    yield "until", f"{_of_seconds(event['expires_at'])}: {_ended_by(event['limits']['expiry'])}"
    yield "under the grant", event["grant"]
    yield "by the registry", event["revision"]
    yield from optional(event, "shadow", "in shadow", _instead)
    yield from _origins(event)
    yield from optional(event, "txn", "transaction")


def refusal_facts(event: Event) -> Iterator[Fact]:
    """Of a refusal, as much of it as was understood."""
    yield from stored_facts(event)
    yield from optional(event, "subject", "for", who)
    yield from optional(event, "auth_time", "logged in", _of_seconds)
    yield from optional(event, "agent", "through the agent")
    yield from _asking(event)
    if "asked" in event:
        yield "asked for", event["asked"].get("scope", "all that may be given")
        yield "at the target", ", ".join(event["asked"]["targets"]) or "none was named"
    yield "cause", event["cause"]
    yield from detail_facts(event)
    yield "the client was told", f"{event['error']}, {event['reason']}"
    yield "by the registry", event["revision"]
    yield from optional(event, "shadow", "in shadow", _instead)
    yield from optional(event, "parent", "subject token", _token)
    yield from optional(event, "actor_token", "actor token", _token)


def _asking(event: Event) -> Iterator[Fact]:
    """Who asked, from where, and what they say of it themselves."""
    yield "asked by", f"{event['client']}, by {event['authenticated_by']}"
    yield from optional(event, "mcp_server", "MCP server")
    yield from optional(event, "source", "from")
    yield from optional(event, "traceparent", "trace")
    yield from optional(event, "request_id", "request")
    claimed = event.get("claimed", {})
    said = [claimed[name] for name in ("mcp_method", "mcp_name") if name in claimed]
    if said:
        yield "for the call", f"{' '.join(said)} (as the client says)"
    if "consent" in claimed:
        yield "with consent", f"{claimed['consent']} (as the client says)"


def _origins(event: Event) -> Iterator[Fact]:
    lineage = event["lineage"]
    if lineage["exchanges"]:
        yield "came from", ", which came from ".join(lineage["exchanges"])
    yield "began with", _token(lineage["foreign_parent"])
    yield from optional(event, "actor_token", "actor token", _token)


def act_facts(event: Event) -> Iterator[Fact]:
    """Of an administrative act."""
    yield from stored_facts(event)
    yield "lock", event["lock"]
    yield "by", event["author"]
    yield from optional(event, "how", "through", lambda how: _HOW.get(how, how))
    yield from optional(event, "source", "from")
    yield from optional(event, "traceparent", "trace")
    yield from optional(event, "request_id", "request")
    yield "because", event["reason"]


def stored_facts(event: Event) -> Iterator[Fact]:
    """Of any event: which one it is, and when it was recorded."""
    yield from optional(event, "decision", "decision")
    yield "when", event["at"]


def detail_facts(event: Event) -> Iterator[Fact]:
    """What a cause is about."""
    for name, value in event["detail"].items():
        if name == "truncated":
            yield "and more", "a part of this was too long, and is not kept"
        else:
            texts = map(str, value) if isinstance(value, list) else [str(value)]
            yield name.replace("_", " "), ", ".join(texts)


def optional(
    event: Event, member: str, label: str, said: Callable[[Any], str] = str
) -> Iterator[Fact]:
    """What is not known, or empty, is not said."""
    if event.get(member):
        yield label, said(event[member])


def _ended_by(limit: str) -> str:
    known = {
        "grant": "as the grant has it",
        "subject_token": "the subject token ends then",
        "actor_token": "the actor token ends then",
    }
    return known.get(limit, f"cut by {limit}")


def _withheld_by(limit: str) -> str:
    kind, _, name = limit.partition(":")
    known = {
        "grant": "the grant does not give it",
        "resource": "the resource does not admit the client with it",
        "subject_token": "the subject token does not stand for it",
        "deny": f"{name} denies it",
    }
    return known.get(kind, f"cut by {limit}")


def _instead(shadow: Mapping[str, Any]) -> str:
    """What the grants in shadow would have changed, had they counted."""
    named = f"with {', '.join(shadow['grants'])} in force"
    if shadow["outcome"] == "refused":
        return f"{named} it would have been refused: {shadow['cause']}"
    given = f"{' '.join(shadow['scope'])} until {_of_seconds(shadow['expires_at'])}"
    return f"{named}, {shadow['grant']} would have given {given}"


_HOW = {
    "admin_api": "the admin API",
    "command": "a command where the settings are",
    "revocation": "the revocation endpoint",
}


def _acting(actor: Mapping[str, str]) -> str:
    profile = f" ({actor['sub_profile']})" if "sub_profile" in actor else ""
    return who(actor) + profile


def who(identity: Mapping[str, str]) -> str:
    """A party, by both of its names."""
    return f"{identity['sub']} of {identity['iss']}"


def _token(token: Mapping[str, str]) -> str:
    return f"{token['id']} of {token['iss']}"


def target(event: Event) -> str:
    """What a lock stops."""
    kind, names = event["target"]["kind"], event["target"]["names"]
    if len(names) == 1:
        return f"{kind} {names[0]}"
    parties = zip(names[::2], names[1::2], strict=True)
    return " ".join([kind, " and ".join(f"{name} of {issuer}" for issuer, name in parties)]).strip()


def _of_seconds(since_the_epoch: int) -> str:
    return f"{datetime.fromtimestamp(since_the_epoch, UTC):%Y-%m-%dT%H:%M:%S}Z"


def instant(since_the_epoch: int) -> str:
    """Milliseconds, as people read them."""
    return _of_seconds(since_the_epoch // 1000)
