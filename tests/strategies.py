"""What Hypothesis draws: small vocabularies, so that names meet, limits touch and times tie."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

from hypothesis import strategies as st

from delegation.domain.delegations import Delegation
from delegation.domain.grants import MAX_LIFETIME, Agents, Deny, Grant, Mode, Subjects
from delegation.domain.locks import EVERYTHING, Link, Lock, Target, milliseconds
from delegation.domain.parties import CHAIN_HARD_CAP, Actor, ActorChain, Client, Identity
from delegation.domain.policy import delegate
from delegation.domain.registry import Registry
from delegation.domain.resources import Resource, Targets
from delegation.domain.tokens import Scope, VerifiedActor, VerifiedToken
from tests.parties import (
    ALIAS,
    ALICE,
    CALENDAR_API,
    CALENDAR_API_CLIENT,
    CALENDAR_MCP,
    CALENDAR_MCP_AUDIENCE,
    DESK_AGENT,
    LOGIN,
    NOW,
    OUR_ISSUER,
    PLANNER,
    PLATFORM,
    ROOMS_API,
    a_client,
    a_registry,
    a_verified_token,
    a_workload,
    an_actor,
)

OTHER_LOGIN = "https://login.partner.example.net"

T = TypeVar("T")


# What is drawn from is made once: to make it anew for every example takes longer than to draw.

_TO_NINE = st.integers(0, 9)


@st.composite
def mostly(draw: st.DrawFn, usual: st.SearchStrategy[T], other: st.SearchStrategy[T]) -> T:
    """*usual*, and once in a while *other*: a world of many parts seldom holds otherwise."""
    return draw(other if draw(_TO_NINE) == 9 else usual)


NAMES = st.text(st.characters(categories=("L", "M", "N", "P", "S")), min_size=1, max_size=20)
"""Anything printable that can name a party."""

IDENTITIES = st.builds(
    Identity,
    st.sampled_from([OUR_ISSUER, LOGIN, OTHER_LOGIN]),
    st.sampled_from([CALENDAR_MCP, CALENDAR_API_CLIENT, DESK_AGENT, "planner"]),
)
"""Who may act: so few that a chain sometimes meets the same one twice."""

ACTORS = st.builds(
    Actor,
    identity=IDENTITIES | st.builds(Identity, NAMES, NAMES),
    client_id=st.none() | NAMES,
    sub_profile=st.sampled_from([None, "ai_agent", "service"]),
)

MCP_SCOPES = ("calendar:read", "calendar:write", "profile")
API_SCOPES = ("events.read", "events.write", "events.share")


def chains(*, min_size: int = 0, max_size: int = CHAIN_HARD_CAP) -> st.SearchStrategy[ActorChain]:
    """Actor chains within the hard cap."""
    actors = st.lists(ACTORS, min_size=min_size, max_size=max_size)
    return actors.map(tuple).map(ActorChain)


def subsets(names: tuple[str, ...], *, min_size: int = 0) -> st.SearchStrategy[frozenset[str]]:
    """Subsets of *names*."""
    return st.frozensets(st.sampled_from(names), min_size=min_size)


SCOPES = subsets(API_SCOPES, min_size=1)
"""What is asked for at an API."""

TARGETS = mostly(
    st.sampled_from(
        [
            Targets(resources=(CALENDAR_API,)),
            Targets(audiences=("calendar",)),
            Targets(resources=(CALENDAR_API, CALENDAR_API), audiences=("calendar",)),
        ]
    ),
    st.builds(
        Targets,
        resources=st.lists(
            st.sampled_from([CALENDAR_API, ROOMS_API, OUR_ISSUER, CALENDAR_MCP_AUDIENCE]),
            max_size=2,
        ).map(tuple),
        audiences=st.sampled_from([(), ("calendar",), (CALENDAR_MCP,), ("unknown",)]),
    ),
)
"""How a request names its target: mostly in a way that can succeed."""

SPANS = mostly(
    st.sampled_from([5, 6, 30, 60, 299, 300, 301, 900, 901, 3600, 86400]),
    st.sampled_from([-1, 0, 1, 4]),
)
"""Seconds around everything that is a limit."""


_TO_TWO = st.integers(0, 2)
_MICROSECONDS = st.sampled_from([0, 1, 999_999])


@st.composite
def moments(draw: st.DrawFn) -> datetime:
    """Times near the story's, seldom on the full second."""
    return NOW + timedelta(seconds=draw(_TO_TWO), microseconds=draw(_MICROSECONDS))


def may_acts() -> st.SearchStrategy[dict[str, str]]:
    """`may_act` members, most of which mean *calendar-mcp*."""
    return st.fixed_dictionaries(
        {},
        optional={
            "iss": st.sampled_from([OUR_ISSUER, OUR_ISSUER, LOGIN, PLATFORM]),
            "sub": st.sampled_from(
                [CALENDAR_MCP, CALENDAR_MCP, CALENDAR_API_CLIENT, PLANNER.subject]
            ),
            "client_id": st.just(CALENDAR_MCP),
        },
    )


def claims(*, min_size: int = 0) -> st.SearchStrategy[dict[str, frozenset[str]]]:
    """Named claims, each with some values."""
    return st.dictionaries(
        st.sampled_from(["groups", "department"]),
        subsets(("staff", "board"), min_size=min_size),
    )


_ISSUERS = mostly(st.just(LOGIN), st.just(OTHER_LOGIN))
_AGENTS = mostly(st.just(DESK_AGENT), st.sampled_from(["planner", None]))
_PEOPLE = st.sampled_from(["alice", "bob"])
_SUBJECTS = {
    None: mostly(_PEOPLE, _PEOPLE),
    DESK_AGENT: mostly(_PEOPLE, st.just(DESK_AGENT)),
    "planner": mostly(_PEOPLE, st.just("planner")),
}
_AUDIENCES = {
    other: mostly(
        st.sampled_from([(CALENDAR_MCP_AUDIENCE,), (CALENDAR_MCP_AUDIENCE, other)]),
        st.sampled_from([(other,), ()]),
    )
    for other in (CALENDAR_API, OUR_ISSUER)
}
_OTHER_AUDIENCES = st.sampled_from([*_AUDIENCES])
_MCP_SCOPES = mostly(subsets(MCP_SCOPES, min_size=1), st.just(frozenset()))
_CHAINS = mostly(st.just(ActorChain()), chains(max_size=4))
_MAY_ACTS = mostly(st.none(), may_acts())
_CLAIMS = claims(min_size=1)


@st.composite
def verified_tokens(draw: st.DrawFn, *, now: datetime = NOW) -> VerifiedToken:
    """Subject tokens, most of them for *calendar-mcp*, some of a service, some with a chain."""
    issuer, agent = draw(_ISSUERS), draw(_AGENTS)
    return a_verified_token(
        issuer=issuer,
        subject=Identity(issuer, draw(_SUBJECTS[agent])),
        alias=ALIAS if issuer == LOGIN else "partner",
        audience=draw(_AUDIENCES[draw(_OTHER_AUDIENCES)]),
        scope=draw(_MCP_SCOPES),
        issued_at=now - timedelta(minutes=1),
        expires_at=now + timedelta(seconds=draw(SPANS), microseconds=draw(_MICROSECONDS)),
        agent=agent,
        actors=draw(_CHAINS),
        may_act=draw(_MAY_ACTS),
        claims=draw(_CLAIMS),
    )


FOREIGN = (
    PLANNER,
    Identity(PLATFORM, CALENDAR_MCP),
    Identity(LOGIN, DESK_AGENT),
    Identity(LOGIN, "planner"),
    ALICE,
)
"""Whom actor tokens of actor issuers name."""

FOREIGN_IDENTITIES = IDENTITIES.filter(lambda identity: identity.issuer != OUR_ISSUER)

LISTED = (*FOREIGN, Identity(OUR_ISSUER, CALENDAR_API_CLIENT))
"""Whose actor tokens a client may be allowed to show."""

_CLIENTS = st.sampled_from([CALENDAR_MCP, CALENDAR_API_CLIENT])
_NAMED = mostly(st.sampled_from(FOREIGN), FOREIGN_IDENTITIES)
_ISSUED_TO = mostly(st.sampled_from([None, CALENDAR_MCP]), st.just(CALENDAR_API_CLIENT))
_TO_ITSELF = st.sampled_from([True, False, False])


@st.composite
def verified_actors(draw: st.DrawFn, *, now: datetime = NOW) -> VerifiedActor:
    """Actor tokens of every kind, many of which *calendar-mcp* may show."""
    expires_at = now + timedelta(seconds=draw(SPANS), microseconds=draw(_MICROSECONDS))
    client = draw(_CLIENTS)
    by_itself = an_actor(
        issuer=client, identity=Identity(OUR_ISSUER, client), expires_at=expires_at
    )
    named = draw(_NAMED)
    by_another = a_workload(
        issuer=named.issuer,
        identity=named,
        expires_at=expires_at,
        issued_to=draw(_ISSUED_TO),
    )
    return by_itself if draw(_TO_ITSELF) else by_another


SUBJECTS = st.builds(
    Subjects,
    issuer=st.sampled_from([LOGIN, LOGIN, OTHER_LOGIN]),
    people=st.just(frozenset[str]()) | subsets(("alice", "bob", DESK_AGENT)),
    claims=st.just(dict[str, frozenset[str]]()) | claims(),
    everyone=st.booleans(),
)

AGENTS = mostly(
    st.builds(Agents, registered=subsets((DESK_AGENT, "planner"), min_size=1), any=st.booleans()),
    st.builds(Agents, any=st.booleans()),
)


_EVERYONE = st.just(Subjects(issuer=LOGIN, everyone=True))
_APIS = mostly(st.just(CALENDAR_API), st.just(ROOMS_API))
_MOSTLY_EVERYONE = mostly(_EVERYONE, SUBJECTS)
_EVERYONE_OR_NOT = _EVERYONE | SUBJECTS
_MORE_SUBJECTS = st.lists(SUBJECTS, max_size=1)
_MEANINGS = mostly(
    st.fixed_dictionaries(dict.fromkeys(MCP_SCOPES, subsets(API_SCOPES, min_size=1))),
    st.dictionaries(st.sampled_from(MCP_SCOPES), subsets(API_SCOPES)),
)
_LIFETIMES = mostly(
    st.sampled_from([5, 60, 300, int(MAX_LIFETIME.total_seconds())]), st.sampled_from([1, 4])
)
_CHAIN_LIMITS = mostly(st.integers(2, CHAIN_HARD_CAP), st.just(1))
_ENDS = mostly(st.none(), SPANS)
_DENIED = st.none() | SCOPES
_EITHER = st.booleans()


def _after(now: datetime, span: int | None) -> datetime | None:
    return None if span is None else now + timedelta(seconds=span)


@st.composite
def grants(draw: st.DrawFn, *, id: str = "grant-1", now: datetime = NOW) -> Grant:  # noqa: A002
    """Grants of which many match what `verified_tokens` draws."""
    return Grant(
        id=id,
        client=CALENDAR_MCP,
        resource=draw(_APIS),
        subjects=(draw(_MOSTLY_EVERYONE), *draw(_MORE_SUBJECTS)),
        agents=draw(AGENTS),
        scopes=draw(_MEANINGS),
        lifetime=timedelta(seconds=draw(_LIFETIMES)),
        chain_limit=draw(_CHAIN_LIMITS),
        expires_at=_after(now, draw(_ENDS)),
        services=draw(_EITHER),
        cycles=draw(_EITHER),
        downscope=draw(_EITHER),
        single_use=draw(_EITHER),
    )


@st.composite
def denies(draw: st.DrawFn, *, id: str = "deny-1", now: datetime = NOW) -> Deny:  # noqa: A002
    """Denies of which some speak of what `verified_tokens` draws, and some of nobody."""
    return Deny(
        id=id,
        client=CALENDAR_MCP,
        resource=draw(_APIS),
        subjects=(draw(_EVERYONE_OR_NOT), *draw(_MORE_SUBJECTS)),
        agents=draw(AGENTS),
        scopes=draw(_DENIED),
        expires_at=_after(now, draw(_ENDS)),
    )


@st.composite
def shadows(draw: st.DrawFn, *, now: datetime = NOW) -> tuple[Grant | Deny, ...]:
    """Up to two grants in shadow, of either effect."""
    found: list[Grant | Deny] = []
    for number in range(draw(_TO_TWO)):
        one = draw(grants(id=f"shadow-{number}", now=now) | denies(id=f"shadow-{number}", now=now))
        found.append(replace(one, mode=Mode.SHADOW))
    return tuple(found)


_CATALOGUES = st.just(frozenset(API_SCOPES)) | SCOPES
_ADMISSIONS = mostly(
    st.fixed_dictionaries({CALENDAR_MCP: _CATALOGUES}),
    st.dictionaries(_CLIENTS, subsets(API_SCOPES)),
)


@st.composite
def resources(draw: st.DrawFn) -> tuple[Resource, ...]:
    """The calendar and the rooms, each with a catalogue, each admitting some clients."""
    return tuple(
        Resource(
            identifier=identifier,
            names=names,
            scopes=draw(_CATALOGUES),
            clients=draw(_ADMISSIONS),
        )
        for identifier, names in [(CALENDAR_API, frozenset({"calendar"})), (ROOMS_API, frozenset())]
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """One request, and all that it is decided by. Loosely held, so that a part can be removed."""

    subject: VerifiedToken
    actor: VerifiedActor | None
    client: Client
    resources: tuple[Resource, ...]
    grants: tuple[Grant, ...]
    targets: Targets
    scope: Scope | None
    now: datetime
    denies: tuple[Deny, ...] = ()
    shadows: tuple[Grant | Deny, ...] = ()

    def registry(self) -> Registry:
        """The registry of this world."""
        return a_registry(
            resources=self.resources, grants=[*self.grants, *self.denies, *self.shadows]
        )

    def but(self, **changes: Any) -> "World":
        """The same world with some parts replaced."""
        return replace(self, **changes)

    def delegate(self) -> Delegation:
        """Decide the request. Raises a `Refused`."""
        return delegate(
            self.subject,
            self.actor,
            by=self.client,
            at=self.targets,
            scope=self.scope,
            registry=self.registry(),
            now=self.now,
            id="exchange-1",
        )


_COUNTS = st.integers(1, 2)
_DENYING = st.sampled_from([0, 0, 1, 2])
_PRESENTED = mostly(st.just(frozenset(LISTED)), st.frozensets(st.sampled_from(LISTED)))
_ASKED = st.none() | SCOPES


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Requests of *calendar-mcp* in worlds where they often succeed; some is denied in some."""
    now = draw(moments())
    count, denying = draw(_COUNTS), draw(_DENYING)
    return World(
        subject=draw(verified_tokens(now=now)),
        actor=draw(st.none() | verified_actors(now=now)),
        client=a_client(may_present_actors=draw(_PRESENTED)),
        resources=draw(resources()),
        grants=tuple(draw(grants(id=f"grant-{n}", now=now)) for n in range(1, count + 1)),
        targets=draw(TARGETS),
        scope=draw(_ASKED),
        now=now,
        denies=tuple(draw(denies(id=f"deny-{n}", now=now)) for n in range(1, denying + 1)),
        shadows=draw(shadows(now=now)),
    )


EPOCH = milliseconds(NOW)

BOB = Identity(LOGIN, "bob")


@st.composite
def lineages(draw: st.DrawFn, *, root: Identity = ALICE) -> list[Link]:
    """An exchange for *root*, those it grew from, the foreign token at their start, and the actor
    tokens that came in on the way, in that order.

    The chain grows by one actor at each hop, as it does in life; times tie often.
    """
    hops = draw(st.integers(1, 3))
    issued = sorted(draw(st.lists(_times(), min_size=hops + 1, max_size=hops + 1)))
    agent = Identity(root.issuer, draw(st.sampled_from([DESK_AGENT, "planner"])))
    vouched_for = draw(st.booleans())
    actors: list[Identity] = [agent] if vouched_for else []
    foreign = Link(
        targets=_of(root, agent, []) | {Target.token(root.issuer, f"{root.subject}-login")},
        issued_at=issued[0],
        is_foreign=True,
        logged_in_at=draw(st.just(0) | _times().map(lambda time: min(time, issued[0]))),
    )
    links = [foreign]
    for hop in range(1, hops + 1):
        client = draw(st.sampled_from([CALENDAR_MCP, CALENDAR_API_CLIENT]))
        shown = draw(st.none() | verified_actors())
        actors = [Identity(OUR_ISSUER, client) if shown is None else shown.identity, *actors]
        if shown is not None:
            links.append(
                _actor_link(shown, id=f"{root.subject}-shown-{hop}", issued_at=draw(_times()))
            )
        targets = _of(root, agent, actors) | {
            Target.client(client),
            Target.resource(draw(st.sampled_from([CALENDAR_API, ROOMS_API]))),
            Target.grant(draw(st.sampled_from(["calendar", "rooms"]))),
            Target.exchange(f"{root.subject}-{hop}"),
        }
        links.insert(0, Link(targets=targets, issued_at=issued[hop]))
        agent = Identity(OUR_ISSUER, client)
    return links


def _actor_link(shown: VerifiedActor, *, id: str, issued_at: int) -> Link:  # noqa: A002
    targets = {
        EVERYTHING,
        Target.issuer(shown.issuer),
        Target.actor(shown.identity),
        Target.token(shown.issuer, id),
    }
    return Link(targets=frozenset(targets), issued_at=issued_at, is_foreign=True)


@st.composite
def locks_on(draw: st.DrawFn, targets: list[Target], *, id: str = "lock-1") -> Lock:  # noqa: A002
    """A lock on one of *targets*: standing, ended, yet to begin, or a cut-off."""
    begins_at = draw(_times())
    ends_at = draw(st.none() | _times().map(lambda time: max(time, begins_at)))
    return Lock(
        id=id,
        target=draw(st.sampled_from(targets)),
        begins_at=begins_at,
        ends_at=ends_at,
        parents=draw(st.booleans()),
        since_login=draw(st.booleans()),
    )


@st.composite
def locks_and_lineages(draw: st.DrawFn) -> tuple[list[Link], list[Lock], int]:
    """A lineage, locks of which some match it and some a stranger's, and what time it is.

    Whole milliseconds, within a few of `EPOCH`, so that many are equal.
    """
    lineage = draw(lineages())
    strangers = {Target.subject(BOB), Target.exchange("bob-1"), Target.client("mail-mcp")}
    targets = sorted(strangers.union(*(link.targets for link in lineage)))
    count = draw(st.integers(1, 3))
    locks = [draw(locks_on(targets, id=f"lock-{n}")) for n in range(count)]
    return lineage, locks, draw(_times())


def _times() -> st.SearchStrategy[int]:
    return st.integers(EPOCH, EPOCH + 6)


def _of(root: Identity, agent: Identity, actors: list[Identity]) -> frozenset[Target]:
    return frozenset(
        {
            EVERYTHING,
            Target.issuer(root.issuer),
            Target.subject(root),
            Target.agent(agent),
            *(Target.actor(actor) for actor in actors),
            *(Target.pair(root, actor) for actor in actors),
        }
    )
