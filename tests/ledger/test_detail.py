"""What a record says in words is written short, and read as it was."""

from dataclasses import replace

import pytest

from delegation.domain.parties import Actor, ActorChain, Identity
from delegation.ledger.detail import read, written
from tests.parties import (
    CALENDAR_API,
    CALENDAR_MCP,
    DESK_AGENT,
    LOGIN,
    OUR_ISSUER,
    PLANNER,
    a_delegation,
    a_second_delegation,
)

AGENT = Actor(identity=Identity(LOGIN, DESK_AGENT))
MCP = Actor(identity=Identity(OUR_ISSUER, CALENDAR_MCP))
OTHER = Actor(identity=PLANNER)
USUAL = a_delegation()

DELEGATIONS = {
    "the usual one": USUAL,
    "of a token of ours": a_second_delegation(),
    "one acts": replace(USUAL, actors=ActorChain((MCP,))),
    "another acts than the client": replace(USUAL, actors=ActorChain((OTHER, AGENT))),
    "another acted first than the agent": replace(USUAL, actors=ActorChain((MCP, OTHER))),
    "no agent": replace(USUAL, parent=replace(USUAL.parent, agent=None)),
    "empty names": replace(
        USUAL, client="", parent=replace(USUAL.parent, agent="", subject=Identity("", ""))
    ),
}


@pytest.mark.parametrize("delegation", DELEGATIONS.values(), ids=DELEGATIONS)
def test_what_was_written_is_read(delegation):
    """Each member by its name."""
    parent = delegation.parent

    assert read(written(delegation)) == {
        "subject": [delegation.subject.issuer, delegation.subject.subject],
        "actors": [[one.identity.issuer, one.identity.subject] for one in delegation.actors],
        "client": delegation.client,
        "agent": parent.agent,
        "resource": delegation.resource,
        "grant": delegation.grant,
        "scope": sorted(delegation.scope),
        "parent": parent.id if parent.is_ours else None,
    }


def test_it_is_short():
    """Hardly longer than the names in it, each once."""
    named = {LOGIN, "alice", OUR_ISSUER, CALENDAR_MCP, DESK_AGENT, CALENDAR_API, *USUAL.scope}

    assert len(written(USUAL)) <= len("".join(named)) + 60
