"""What the event of a decision says: who, for whom, what, why, from what. Never a token.

`event.schema.json` beside this module is the contract; a change of meaning raises *VERSION*. What
only the store knows, it adds: when, and of an exchange the lineage beyond its parent.
"""

import json
from collections.abc import Iterable, Mapping
from importlib.resources import files
from typing import Any

import orjson

from delegation.audit.packing import packed
from delegation.domain.alarms import Alarm
from delegation.domain.case import Case, Claimed
from delegation.domain.delegations import Delegation
from delegation.domain.errors import ALARMING, InvalidScope, Refused
from delegation.domain.parties import ActorChain, Identity
from delegation.domain.shadow import Shadow
from delegation.domain.tokens import VerifiedActor, VerifiedToken

VERSION = 1

_to_json = json.JSONEncoder(separators=(",", ":"), default=str).encode

_ASKED_LIMIT = 512
"""Characters kept of what a client asked for and was refused."""

_DETAIL_LIMIT = 512
"""Characters of JSON that each member of a refusal's detail may take."""

_SCOPE_LIMIT = 2048
"""Characters of scope that are kept of what was asked for, and of what was withheld."""


def schema_text() -> str:
    """The JSON Schema of an event, as it leaves the store."""
    return (files(__package__) / "event.schema.json").read_text(encoding="utf-8")


def schema() -> dict[str, Any]:
    """The same, read."""
    document: dict[str, Any] = json.loads(schema_text())
    return document


class Events:
    """Puts decisions into events, each one JSON object in UTF-8; that of an exchange is packed."""

    def granted(self, delegation: Delegation, case: Case) -> bytes:
        """The event of an exchange."""
        return _packed(_exchange("exchange", delegation, case))

    def not_issued(self, delegation: Delegation, case: Case) -> bytes:
        """The event of an exchange that was recorded, but whose token could not be signed."""
        return _packed(_exchange("not_issued", delegation, case))

    def refused(self, decision: str, refused: Refused, case: Case) -> bytes:
        """The event of a refusal, with as much of the request as was understood."""
        return encode(
            {
                "type": "refusal",
                "decision": decision,
                "error": refused.error,
                "reason": refused.reason.value,
                "cause": refused.cause.value,
                "alarm": refused.cause in ALARMING or None,
                "detail": _bounded(refused.detail),
                "required_scope": _required(refused),
                "shadow": _shadow(refused.shadow),
                **_circumstances(case),
                **_asked(case),
                **({} if case.subject is None else _subject(case.subject)),
                **_actor_token(case.actor),
            }
        )

    def alarm(self, alarm: Alarm) -> bytes:
        """The event of an alarm that is no refusal."""
        return encode(
            {
                "type": "alarm",
                "cause": alarm.cause.value,
                "alarm": True,
                "about": alarm.about,
                "source": alarm.source,
                "detail": _bounded(alarm.detail),
            }
        )


def _exchange(kind: str, delegation: Delegation, case: Case) -> dict[str, Any]:
    return {
        "type": kind,
        "decision": delegation.id,
        **_circumstances(case),
        **_subject(delegation.parent),
        **_actor_token(delegation.actor_token),
        "actors": _chain(delegation.actors),
        "resource": delegation.resource,
        "scope": _scope(delegation),
        "grant": delegation.grant,
        "limits": {name: delegation.limits[name] for name in _fitting(delegation.limits)},
        "shadow": _shadow(delegation.shadow),
        "expires_at": int(delegation.expires_at.timestamp()),
        "txn": delegation.txn,
    }


def _shadow(shadow: Shadow | None) -> dict[str, Any] | None:
    if shadow is None:
        return None
    speaking = {"grants": _fitting(shadow.grants)}
    if shadow.expires_at is None:
        return speaking | {"outcome": "refused", "cause": shadow.cause}
    return speaking | {
        "outcome": "granted",
        "grant": shadow.grant,
        "scope": sorted(shadow.scope),
        "expires_at": int(shadow.expires_at.timestamp()),
    }


def _circumstances(case: Case) -> dict[str, Any]:
    return {
        "client": case.client.id,
        "mcp_server": case.client.audience,
        "authenticated_by": case.authenticated_by,
        "revision": case.registry.revision,
        "source": case.origin.address,
        "traceparent": case.origin.traceparent,
        "request_id": case.origin.request_id,
        "claimed": _claimed(case.origin.claimed),
    }


def _claimed(claimed: Claimed | None) -> dict[str, Any] | None:
    if claimed is None:
        return None
    return {
        "mcp_method": claimed.method,
        "mcp_name": claimed.name,
        "consent": claimed.consent,
    }


def _subject(token: VerifiedToken) -> dict[str, Any]:
    login = token.authentication.time
    return {
        "subject": _identity(token.subject),
        "auth_time": None if login is None else int(login.timestamp()),
        "agent": token.agent,
        "parent": {"iss": token.issuer, "id": token.id},
    }


def _actor_token(actor: VerifiedActor | None) -> dict[str, Any]:
    return {} if actor is None else {"actor_token": {"iss": actor.issuer, "id": actor.id}}


def _asked(case: Case) -> dict[str, Any]:
    request = case.request
    if request is None:
        return {}
    targets = (*request.targets.resources, *request.targets.audiences)
    return {
        "asked": {
            "targets": [target[:_ASKED_LIMIT] for target in targets[:4]],
            "scope": None
            if request.scope is None
            else " ".join(sorted(request.scope))[:_ASKED_LIMIT],
        }
    }


def _required(refused: Refused) -> list[str] | None:
    """What the client was told that would have sufficed."""
    if not isinstance(refused, InvalidScope) or not refused.required:
        return None
    return _fitting(refused.required)


def _scope(delegation: Delegation) -> dict[str, Any]:
    requested, withheld = delegation.requested, delegation.withheld
    kept = [_fitting(requested or ()), _fitting(withheld)]
    return {
        "requested": None if requested is None else kept[0],
        "granted": sorted(delegation.scope),
        "withheld": kept[1] if withheld else None,
        "truncated": kept != [sorted(requested or ()), sorted(withheld)] or None,
    }


def _fitting(names: Iterable[str]) -> list[str]:
    """The first of *names*, in order: evidence is kept only as long as it does not fill the log."""
    kept: list[str] = []
    left = _SCOPE_LIMIT
    for name in sorted(names):
        left -= len(name)
        if left < 0:
            break
        kept.append(name)
    return kept


def _bounded(detail: Mapping[str, object]) -> dict[str, object]:
    """Likewise: a member that is too long is left out, and the event says so."""
    kept = {
        name: value
        for name, value in detail.items()
        if len(json.dumps(value, default=str)) <= _DETAIL_LIMIT
    }
    return kept if len(kept) == len(detail) else kept | {"truncated": True}


def _identity(identity: Identity) -> dict[str, str]:
    return {"iss": identity.issuer, "sub": identity.subject}


def _chain(actors: ActorChain) -> list[dict[str, Any]]:
    """Flat, current actor first: easier to query than nesting."""
    return [actor.as_claim() for actor in actors]


def _packed(event: Mapping[str, Any]) -> bytes:
    known = {"version": VERSION} | _known(event)
    try:
        return packed(orjson.dumps(known))
    except TypeError:  # half a character, which can only be escaped
        return packed(_to_json(known).encode())


def encode(event: Mapping[str, Any]) -> bytes:
    """*event* as one line of JSON, without what is not known."""
    return _to_json({"version": VERSION} | _known(event)).encode()


def _known(event: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _known(value) if type(value) is dict else value
        for name, value in event.items()
        if value is not None
    }
