"""The calendar story, as builders: each has good defaults, and any field can be named instead.

Alice uses *desk-agent*, an MCP client, at the MCP server *calendar-mcp*, which calls the calendar
API for her; and that calls the rooms API, as the client *calendar-api*: the second hop.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from delegation.domain.case import Case, ExchangeRequest, Origin
from delegation.domain.delegations import Delegation
from delegation.domain.grants import Agents, Deny, Grant, Subjects
from delegation.domain.parties import Actor, ActorChain, Client, Identity
from delegation.domain.policy import delegate
from delegation.domain.registry import Registry
from delegation.domain.resources import Resource, Targets
from delegation.domain.tokens import PresentedToken, TokenType, VerifiedActor, VerifiedToken
from delegation.domain.trust import ActorIssuer, TrustedIssuer

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
"""The moment at which the story plays, unless a test says otherwise."""

OUR_ISSUER = "https://sts.example.com"
LOGIN = "https://login.example.com"
ALIAS = "corp"
ALICE = Identity(LOGIN, "alice")
DESK_AGENT = "desk-agent"

CALENDAR_MCP = "calendar-mcp"
CALENDAR_MCP_AUDIENCE = "https://calendar-mcp.example.com/mcp"
CALENDAR_API = "https://calendar.example.com/api"

PLATFORM = "https://workloads.example.com"
PLANNER = Identity(PLATFORM, "spiffe://example.com/planner")

CALENDAR_API_CLIENT = "calendar-api"
ROOMS_API = "https://rooms.example.com/api"


def an_issuer(**changes: Any) -> TrustedIssuer:
    """Whoever logs Alice in; its tokens may not assert actors."""
    return replace(
        TrustedIssuer(
            issuer=LOGIN,
            alias=ALIAS,
            jwks_uri="https://login.example.com/jwks",
            algorithms=frozenset({"ES256"}),
            claims={"groups": "groups"},
        ),
        **changes,
    )


def an_actor_issuer(**changes: Any) -> ActorIssuer:
    """The platform that names workloads."""
    return replace(
        ActorIssuer(
            issuer=PLATFORM,
            alias="platform",
            jwks_uri="https://workloads.example.com/jwks",
            algorithms=frozenset({"ES256"}),
        ),
        **changes,
    )


def a_client(**changes: Any) -> Client:
    """*calendar-mcp*, which may exchange."""
    return replace(
        Client(id=CALENDAR_MCP, audience=CALENDAR_MCP_AUDIENCE, may_exchange=True), **changes
    )


def the_next_client(**changes: Any) -> Client:
    """*calendar-api*: the calendar API, when it is itself a client."""
    return a_client(**({"id": CALENDAR_API_CLIENT, "audience": CALENDAR_API} | changes))


def a_resource(**changes: Any) -> Resource:
    """The calendar API, which admits *calendar-mcp* with all of its scopes."""
    scopes = frozenset({"events.read", "events.write"})
    return replace(
        Resource(
            identifier=CALENDAR_API,
            names=frozenset({"calendar"}),
            scopes=scopes,
            clients={CALENDAR_MCP: scopes},
        ),
        **changes,
    )


def the_next_resource(**changes: Any) -> Resource:
    """The rooms API, which admits *calendar-api*."""
    scopes = frozenset({"rooms.read"})
    return replace(
        Resource(identifier=ROOMS_API, scopes=scopes, clients={CALENDAR_API_CLIENT: scopes}),
        **changes,
    )


def a_grant(**changes: Any) -> Grant:
    """*calendar-mcp* may act for everyone at the calendar API, through *desk-agent*."""
    return replace(
        Grant(
            id="calendar",
            client=CALENDAR_MCP,
            resource=CALENDAR_API,
            subjects=(Subjects(issuer=LOGIN, everyone=True),),
            agents=Agents(registered=frozenset({DESK_AGENT})),
            scopes={
                "calendar:read": frozenset({"events.read"}),
                "calendar:write": frozenset({"events.write"}),
            },
        ),
        **changes,
    )


def a_deny(**changes: Any) -> Deny:
    """*calendar-mcp* may not write at the calendar API, for anyone, through anything."""
    return replace(
        Deny(
            id="no-writing",
            client=CALENDAR_MCP,
            resource=CALENDAR_API,
            subjects=(Subjects(issuer=LOGIN, everyone=True),),
            agents=Agents(any=True),
            scopes=frozenset({"events.write"}),
        ),
        **changes,
    )


def the_next_grant(**changes: Any) -> Grant:
    """*calendar-api* may act for everyone at the rooms API, where *calendar-mcp* asked for it."""
    return replace(
        Grant(
            id="rooms",
            client=CALENDAR_API_CLIENT,
            resource=ROOMS_API,
            subjects=(Subjects(issuer=LOGIN, everyone=True),),
            agents=Agents(registered=frozenset({CALENDAR_MCP})),
            scopes={"events.read": frozenset({"rooms.read"})},
        ),
        **changes,
    )


def a_registry(**changes: Any) -> Registry:
    """Everything above. Takes the arguments of `Registry.of`."""
    entries: dict[str, Any] = {
        "issuer": OUR_ISSUER,
        "revision": "revision-1",
        "issuers": [an_issuer()],
        "actor_issuers": [an_actor_issuer()],
        "clients": [a_client(), the_next_client()],
        "resources": [a_resource(), the_next_resource()],
        "grants": [a_grant(), the_next_grant()],
    }
    return Registry.of(**(entries | changes))


def a_verified_token(*, now: datetime = NOW, **changes: Any) -> VerifiedToken:
    """Alice's token for *calendar-mcp*: a minute old at *now*, with an hour to live."""
    return replace(
        VerifiedToken(
            issuer=LOGIN,
            id="login-1",
            subject=ALICE,
            alias=ALIAS,
            audience=(CALENDAR_MCP_AUDIENCE,),
            scope=frozenset({"calendar:read", "calendar:write"}),
            issued_at=now - timedelta(minutes=1),
            expires_at=now + timedelta(hours=1),
            agent=DESK_AGENT,
        ),
        **changes,
    )


def an_actor(*, now: datetime = NOW, **changes: Any) -> VerifiedActor:
    """*calendar-mcp* as it says of itself who it is: a second ago, for a minute."""
    return replace(
        VerifiedActor(
            issuer=CALENDAR_MCP,
            id="actor-1",
            identity=Identity(OUR_ISSUER, CALENDAR_MCP),
            issued_at=now - timedelta(seconds=1),
            expires_at=now + timedelta(minutes=1),
            is_one_time=True,
        ),
        **changes,
    )


def a_workload(*, now: datetime = NOW, **changes: Any) -> VerifiedActor:
    """*planner*, a workload, as its platform says who it is."""
    named = {
        "issuer": PLATFORM,
        "identity": PLANNER,
        "expires_at": now + timedelta(hours=1),
        "is_one_time": False,
    }
    return an_actor(now=now, **(named | changes))


def a_chain(*names: str, issuer: str = OUR_ISSUER) -> ActorChain:
    """The chain of the actors *names*, current first, all of one *issuer*."""
    return ActorChain(tuple(Actor(identity=Identity(issuer, name)) for name in names))


def a_token_of_ours(*, now: datetime = NOW, **changes: Any) -> VerifiedToken:
    """What the calendar API was given for Alice, verified: the subject token of the second hop."""
    ours = {
        "issuer": OUR_ISSUER,
        "id": "exchange-1",
        "audience": (CALENDAR_API,),
        "scope": frozenset({"events.read"}),
        "expires_at": now + timedelta(minutes=4),
        "agent": CALENDAR_MCP,
        "actors": ActorChain(
            (
                Actor(identity=Identity(OUR_ISSUER, CALENDAR_MCP)),
                Actor(identity=Identity(LOGIN, DESK_AGENT), sub_profile="ai_agent"),
            )
        ),
        "txn": "exchange-1",
        "is_ours": True,
    }
    return a_verified_token(now=now, **(ours | changes))


def a_presented_token(**changes: Any) -> PresentedToken:
    """A token as it comes in; it is no JWT."""
    return replace(PresentedToken(value="presented", type=TokenType.ACCESS_TOKEN), **changes)


def a_request(**changes: Any) -> ExchangeRequest:
    """Ask for the calendar API, and for all the scope that there is."""
    return replace(
        ExchangeRequest(
            subject_token=a_presented_token(),
            targets=Targets(resources=(CALENDAR_API,)),
            scope=None,
        ),
        **changes,
    )


def a_case(**changes: Any) -> Case:
    """A request of *calendar-mcp*, of which nothing is understood yet."""
    return replace(
        Case(
            client=a_client(),
            authenticated_by="private_key_jwt",
            registry=a_registry(),
            origin=Origin(address="192.0.2.1"),
            nonce="nonce-1",
        ),
        **changes,
    )


def a_delegation(*, now: datetime = NOW, **changes: Any) -> Delegation:
    """What is decided about Alice's token. Takes the arguments of `delegate`, by name."""
    arguments: dict[str, Any] = {
        "by": a_client(),
        "at": Targets(resources=(CALENDAR_API,)),
        "scope": None,
        "registry": a_registry(),
        "id": "exchange-1",
    }
    subject = changes.pop("subject", None) or a_verified_token(now=now)
    return delegate(subject, now=now, **(arguments | changes))


def a_second_delegation(*, now: datetime = NOW, **changes: Any) -> Delegation:
    """What is decided about the second hop: *calendar-api* at the rooms API, for Alice."""
    hop = {
        "subject": a_token_of_ours(now=now),
        "by": the_next_client(),
        "at": Targets(resources=(ROOMS_API,)),
        "id": "exchange-2",
    }
    return a_delegation(now=now, **(hop | changes))
