"""What a record says in words, as short as that can be: there is one for each live exchange."""

from typing import Any

import orjson

from delegation.domain.delegations import Delegation
from delegation.domain.parties import Identity


def written(delegation: Delegation) -> bytes:
    """What an administrator will want to see of a live exchange. No member has a name.

    An issuer that is the subject's stands as 0; so does a client that acts now, and an agent that
    acted first.
    """
    subject, parent = delegation.subject, delegation.parent
    actors = [_actor(actor.identity, subject) for actor in delegation.actors]
    _, current = actors[0]
    _, first = actors[-1]
    return orjson.dumps(
        [
            subject.issuer,
            subject.subject,
            actors,
            0 if delegation.client == current else delegation.client,
            0 if parent.agent == first else parent.agent,
            delegation.resource,
            delegation.grant,
            sorted(delegation.scope),
            parent.id if parent.is_ours else None,
        ]
    )


def read(detail: bytes) -> dict[str, Any]:
    """What was written, by name; what another release has added behind it is passed over."""
    issuer, subject, actors, client, agent, resource, grant, scope, parent, *_ = orjson.loads(
        detail
    )
    return {
        "subject": [issuer, subject],
        "actors": [[issuer if of == 0 else of, actor] for of, actor in actors],
        "client": actors[0][1] if client == 0 else client,
        "agent": actors[-1][1] if agent == 0 else agent,
        "resource": resource,
        "grant": grant,
        "scope": scope,
        "parent": parent,
    }


def _actor(identity: Identity, subject: Identity) -> tuple[str | int, str]:
    return 0 if identity.issuer == subject.issuer else identity.issuer, identity.subject
