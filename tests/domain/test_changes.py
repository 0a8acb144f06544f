"""What a plan says is true of decisions: nothing is given that it does not call wider."""

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delegation.domain.changes import Change, Effect, Kind
from delegation.domain.comparison import Side, compare
from delegation.domain.delegations import Delegation
from delegation.domain.grants import Agents, Deny, Grant, Mode, Subjects
from delegation.domain.parties import Client, InlineKeys, PublishedKeys
from delegation.domain.paths import Closed
from delegation.domain.questions import Yes, decide
from delegation.domain.rates import Rate
from delegation.domain.registry import Registry
from delegation.domain.resources import Targets
from delegation.domain.tokens import Scope, VerifiedActor, VerifiedToken
from delegation.domain.trust import AdminIssuer, TrustedIssuer
from tests.parties import (
    CALENDAR_API,
    CALENDAR_API_CLIENT,
    CALENDAR_MCP,
    DESK_AGENT,
    LOGIN,
    NOW,
    OUR_ISSUER,
    PLANNER,
    PLATFORM,
    ROOMS_API,
    a_client,
    a_grant,
    a_registry,
    a_resource,
    an_actor_issuer,
    an_issuer,
    the_next_client,
    the_next_resource,
)
from tests.strategies import (
    AGENTS,
    API_SCOPES,
    LISTED,
    OTHER_LOGIN,
    SPANS,
    SUBJECTS,
    TARGETS,
    chains,
    grants,
    moments,
    mostly,
    resources,
    subsets,
    verified_actors,
    verified_tokens,
)

STAFF = "https://staff.example.com"
ES256 = frozenset({"ES256"})
DESK = frozenset({DESK_AGENT})

MOSTLY = mostly(st.sampled_from([True]), st.sampled_from([False]))


@st.composite
def registries(draw: st.DrawFn) -> Registry:
    """Registries of few entries."""
    return _of({section: draw(entries) for section, entries in sections().items()})


def sections() -> dict[str, st.SearchStrategy[Any]]:
    """What is drawn for each section."""
    return {
        "issuers": issuers(),
        "actor_issuers": mostly(st.just([an_actor_issuer()]), st.just([])),
        "clients": clients(),
        "resources": resources(),
        "grants": all_grants(),
    }


@st.composite
def changed(draw: st.DrawFn, registry: Registry) -> Registry:
    """*registry*, in which some entries are others, or have a field of another."""
    parts = _parts_of(registry)
    weighted = st.sampled_from([*sections(), "grants", "grants"])
    for section in draw(st.lists(weighted, min_size=1, max_size=3)):
        if section == "grants" and parts["grants"] and draw(st.booleans()):
            one = draw(st.sampled_from(parts["grants"]))
            fresh = draw(denies(id=one.id) if isinstance(one, Deny) else grants(id=one.id))
            name = draw(st.sampled_from([field.name for field in fields(one)][3:]))
            parts["grants"].remove(one)
            parts["grants"].append(replace(one, **{name: getattr(fresh, name)}))
        else:
            parts[section] = draw(sections()[section])
    return _of(parts)


def _of(parts: dict[str, Any]) -> Registry:
    return Registry.of(issuer=OUR_ISSUER, revision="drawn", **parts)


def _parts_of(registry: Registry) -> dict[str, list[Any]]:
    kinds = (registry.grants, registry.denies, registry.shadows)
    return {
        "issuers": [*registry.issuers.values()],
        "actor_issuers": [*registry.actor_issuers.values()],
        "admin_issuers": [*registry.admin_issuers.values()],
        "clients": [*registry.clients.values()],
        "resources": [*{one.identifier: one for one in registry.resources.values()}.values()],
        "grants": [one for kind in kinds for several in kind.values() for one in several],
    }


@st.composite
def issuers(draw: st.DrawFn) -> list[TrustedIssuer]:
    """The login, mostly, and a partner's; each naming claims in some way."""
    found = []
    for issuer, alias in ((LOGIN, "corp"), (OTHER_LOGIN, "partner")):
        if draw(MOSTLY):
            claims = st.dictionaries(
                st.sampled_from(["groups", "department"]), st.sampled_from(["groups", "roles"])
            )
            named = {"groups": "groups", "department": "department"}
            claims = draw(mostly(st.just(named), claims))
            found.append(an_issuer(issuer=issuer, alias=alias, claims=claims))
    return found


@st.composite
def clients(draw: st.DrawFn) -> list[Client]:
    """The two of the story."""
    listed = mostly(st.just(frozenset(LISTED)), st.frozensets(st.sampled_from(LISTED)))
    return [
        a_client(may_exchange=draw(MOSTLY), may_present_actors=draw(listed)),
        *([the_next_client()] if draw(MOSTLY) else []),
    ]


@st.composite
def denies(draw: st.DrawFn, *, id: str) -> Deny:  # noqa: A002
    """Denies of which many match what `verified_tokens` draws."""
    return Deny(
        id=id,
        client=CALENDAR_MCP,
        resource=draw(mostly(st.just(CALENDAR_API), st.just(ROOMS_API))),
        subjects=tuple(draw(st.lists(SUBJECTS, min_size=1, max_size=2))),
        agents=draw(AGENTS),
        scopes=draw(st.none() | subsets(API_SCOPES, min_size=1)),
        expires_at=draw(mostly(st.none(), SPANS.map(lambda span: NOW + timedelta(seconds=span)))),
        mode=draw(MODES),
    )


MODES = mostly(st.just(Mode.ENFORCE), st.just(Mode.SHADOW))


@st.composite
def all_grants(draw: st.DrawFn) -> list[Grant | Deny]:
    """Some, by ids of which two registries often have the same."""
    ids = draw(st.lists(st.sampled_from(["a", "b", "c"]), unique=True, min_size=1, max_size=3))
    found: list[Grant | Deny] = []
    for one in ids:
        if draw(st.integers(0, 3)) == 3:
            found.append(draw(denies(id=one)))
        else:
            found.append(replace(draw(grants(id=one)), mode=draw(MODES)))
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a client asks, with tokens that say what they say."""

    subject: VerifiedToken
    actor: VerifiedActor | None
    targets: Targets
    scope: Scope | None
    now: datetime

    def decided(self, registry: Registry) -> Delegation | None:
        """What comes of it by *registry*, which also says whose tokens are believed."""
        by, subject = registry.clients.get(CALENDAR_MCP), self.subject
        root, actor = registry.issuers.get(subject.subject.issuer), self.actor
        if by is None or root is None or (actor and not _is_believed(actor, registry)):
            return None
        named = {name: subject.claims.get(claim) for name, claim in root.claims.items()}
        read = {name: values for name, values in named.items() if values is not None}
        answer = decide(
            replace(subject, claims={} if subject.is_ours else read),
            actor,
            by=by,
            at=self.targets,
            scope=self.scope,
            registry=registry,
            now=self.now,
        )
        return answer.delegation if isinstance(answer, Yes) else None


def _is_believed(actor: VerifiedActor, registry: Registry) -> bool:
    return actor.issuer in registry.clients or actor.issuer in registry.actor_issuers


@st.composite
def requests(draw: st.DrawFn) -> Request:
    """What may be asked at or after the moment for which the plan is made."""
    now = draw(moments())
    subject = draw(verified_tokens(now=now))
    if not draw(MOSTLY):
        subject = replace(
            subject,
            issuer=OUR_ISSUER,
            agent=CALENDAR_API_CLIENT,
            actors=draw(chains(min_size=1, max_size=3)),
            is_ours=True,
        )
    return Request(
        subject=subject,
        actor=draw(mostly(st.none(), verified_actors(now=now))),
        targets=draw(TARGETS),
        scope=draw(st.none() | subsets(API_SCOPES, min_size=1)),
        now=now,
    )


def gives_more(one: Delegation | None, than: Delegation | None) -> bool:
    """Whether *one* is more than the other: at all, in scope, in life, or in how often."""
    if one is None or than is None:
        return one is not None and than is None
    if one.scope != than.scope:
        return len(one.scope) > len(than.scope)
    return one.expires_at > than.expires_at or (than.single_use and not one.single_use)


def told(changes: Iterable[Change]) -> tuple[bool, bool]:
    """Whether it is said to be wider, and to be narrower."""
    effects = {change.effect for change in changes}
    return bool(effects & {Effect.WIDER, Effect.BOTH}), bool(
        effects & {Effect.NARROWER, Effect.BOTH}
    )


PAIRS = registries().flatmap(lambda one: st.tuples(st.just(one), changed(one)))


@given(PAIRS, st.lists(requests(), min_size=3, max_size=8))
def test_no_decision_differs_of_which_the_plan_does_not_tell(
    pair: tuple[Registry, Registry], asked: list[Request]
) -> None:
    """What is more is called wider, what is less narrower, and what is otherwise not the same."""
    before, after = pair
    wider, narrower = told(compare(Side(registry=before), Side(registry=after), NOW))

    for request in asked:
        old, new = request.decided(before), request.decided(after)
        assert wider or not gives_more(new, old)
        assert narrower or not gives_more(old, new)
        if old is not None and new is not None:
            assert wider or narrower or (old.actors, old.grant) == (new.actors, new.grant)


FULL = a_registry(
    issuers=[
        an_issuer(claims={"groups": "groups"}),
        an_issuer(issuer=OTHER_LOGIN, alias="partner"),
    ],
    admin_issuers=[AdminIssuer(issuer=STAFF, alias="staff", jwks_uri=STAFF, algorithms=ES256)],
    clients=[
        a_client(keys=PublishedKeys(owner=CALENDAR_MCP, jwks_uri=LOGIN, algorithms=ES256)),
        the_next_client(),
    ],
    grants=[
        a_grant(subjects=(Subjects(issuer=LOGIN, claims={"groups": frozenset({"staff"})}),)),
        Deny(
            id="no-bob",
            client=CALENDAR_MCP,
            resource=CALENDAR_API,
            subjects=(Subjects(issuer=LOGIN, people=frozenset({"bob"})),),
            agents=Agents(any=True),
            scopes=frozenset({"events.read"}),
        ),
    ],
)
"""A registry in which every entry counts."""

OTHERWISE: dict[str, dict[str, tuple[Any, Effect]]] = {
    "issuers": {
        "alias": ("office", Effect.BOTH),
        "jwks_uri": (f"{LOGIN}/other", Effect.BOTH),
        "algorithms": (frozenset({"ES384"}), Effect.BOTH),
        "types": (frozenset({"jwt"}), Effect.BOTH),
        "legacy_types": (True, Effect.WIDER),
        "id_claim": (None, Effect.BOTH),
        "client_claim": ("azp", Effect.BOTH),
        "private_network": (True, Effect.WIDER),
        "scope_claim": ("scp", Effect.BOTH),
        "scope_is_array": (True, Effect.BOTH),
        "several_audiences": (True, Effect.WIDER),
        "asserts_actors": (True, Effect.WIDER),
        "actor_issuer": (LOGIN, Effect.WIDER),
        "claims": ({"groups": "roles"}, Effect.BOTH),
        "service_claims": ({"idtyp": frozenset({"app"})}, Effect.NARROWER),
    },
    "actor_issuers": {
        "alias": ("cluster", Effect.SAME),
        "jwks_uri": (f"{PLATFORM}/other", Effect.BOTH),
        "algorithms": (frozenset({"ES384"}), Effect.BOTH),
        "types": (frozenset({"jwt"}), Effect.BOTH),
        "legacy_types": (True, Effect.WIDER),
        "id_claim": (None, Effect.BOTH),
        "client_claim": ("azp", Effect.BOTH),
        "private_network": (True, Effect.WIDER),
        "assertion_types": (frozenset({"jwt-svid"}), Effect.BOTH),
    },
    "admin_issuers": {
        "alias": ("security", Effect.SAME),
        "jwks_uri": (f"{STAFF}/other", Effect.BOTH),
        "algorithms": (frozenset({"ES384"}), Effect.BOTH),
        "types": (frozenset({"jwt"}), Effect.BOTH),
        "legacy_types": (True, Effect.WIDER),
        "id_claim": (None, Effect.BOTH),
        "client_claim": ("azp", Effect.BOTH),
        "private_network": (True, Effect.WIDER),
        "scope_claim": ("scp", Effect.BOTH),
        "scope_is_array": (True, Effect.BOTH),
    },
    "clients": {
        "audience": ("urn:other", Effect.BOTH),
        "may_exchange": (False, Effect.NARROWER),
        "secrets": ((b"digest",), Effect.WIDER),
        "keys": (InlineKeys(jwks=('{"kid": "key-1"}',), algorithms=ES256), Effect.BOTH),
        "may_present_actors": (frozenset({PLANNER}), Effect.WIDER),
        "is_auditor": (True, Effect.WIDER),
    },
    "resources": {
        "names": (frozenset({"kalender"}), Effect.BOTH),
        "scopes": (frozenset({"events.read"}), Effect.NARROWER),
        "clients": ({}, Effect.NARROWER),
        "introspects": (True, Effect.SAME),
    },
    "grants": {
        "client": (CALENDAR_API_CLIENT, Effect.NARROWER),
        "resource": (ROOMS_API, Effect.NARROWER),
        "subjects": ((Subjects(issuer=LOGIN, everyone=True),), Effect.WIDER),
        "agents": (Agents(any=True), Effect.WIDER),
        "scopes": ({"calendar:read": frozenset({"events.write"})}, Effect.BOTH),
        "lifetime": (timedelta(seconds=60), Effect.NARROWER),
        "chain_limit": (8, Effect.WIDER),
        "expires_at": (NOW + timedelta(days=1), Effect.NARROWER),
        "services": (True, Effect.WIDER),
        "cycles": (True, Effect.WIDER),
        "downscope": (True, Effect.WIDER),
        "single_use": (True, Effect.NARROWER),
        "rates": ((Rate(1, 60),), Effect.NARROWER),
        "mode": (Mode.SHADOW, Effect.NARROWER),
    },
    "denies": {
        "client": (CALENDAR_API_CLIENT, Effect.WIDER),
        "resource": (ROOMS_API, Effect.WIDER),
        "subjects": ((Subjects(issuer=LOGIN, everyone=True),), Effect.NARROWER),
        "agents": (Agents(registered=frozenset({DESK_AGENT})), Effect.WIDER),
        "scopes": (None, Effect.NARROWER),
        "expires_at": (NOW + timedelta(days=1), Effect.WIDER),
        "mode": (Mode.SHADOW, Effect.WIDER),
    },
}
"""For each field of each entry another value than in `FULL`, and what that does."""

NAMES = {"issuer", "id", "identifier"}
"""What an entry is told by."""


def first(section: str) -> Any:
    """The first entry of a section of `FULL`."""
    one = next(iter(getattr(FULL, section).values()))
    return one[0] if isinstance(one, tuple) else one


def with_another(section: str, old: Any, new: Any) -> Registry:
    """`FULL` with *new* in the place of *old*."""
    parts = _parts_of(FULL)
    entries = parts["grants" if section == "denies" else section]
    entries[entries.index(old)] = new
    return _of(parts)


@pytest.mark.parametrize(
    ("section", "name"),
    [(section, name) for section, values in OTHERWISE.items() for name in values],
)
def test_no_field_is_overlooked(section: str, name: str) -> None:
    """Whatever is otherwise in an entry is a difference, and goes the way that it goes."""
    old = first(section)
    value, effect = OTHERWISE[section][name]
    new = replace(old, **{name: value})

    (change,) = compare(Side(registry=FULL), Side(registry=with_another(section, old, new)), NOW)

    assert change.differences
    assert change.effect is effect


@pytest.mark.parametrize("section", OTHERWISE)
def test_every_field_is_tried(section: str) -> None:
    """Also one that comes to be later."""
    assert {field.name for field in fields(first(section))} - NAMES == set(OTHERWISE[section])


@pytest.mark.parametrize(
    ("before", "after", "effect"),
    [
        (Agents(registered=DESK, any=True), Agents(any=True), Effect.WIDER),
        (Agents(any=True), Agents(registered=DESK, any=True), Effect.NARROWER),
        (Agents(registered=DESK), Agents(registered=DESK, any=True), Effect.WIDER),
        (Agents(registered=DESK | {"x"}, any=True), Agents(registered=DESK), Effect.NARROWER),
    ],
)
def test_who_is_vouched_for_makes_the_chain_longer(
    before: Agents, after: Agents, effect: Effect
) -> None:
    """So whoever may come without that is given more, though the same agents may come."""
    old = first("grants")
    one, other = replace(old, agents=before), replace(old, agents=after)
    registries = [Side(registry=with_another("grants", old, new)) for new in (one, other)]

    (change,) = compare(*registries, NOW)

    assert change.effect is effect


STRANGERS = (Subjects(issuer="https://elsewhere.example.com", everyone=True),)
NOBODY = (Subjects(issuer=LOGIN), Subjects(issuer=LOGIN, claims={"groups": frozenset()}))


@pytest.mark.parametrize(
    ("changes", "because"),
    [
        ({"subjects": STRANGERS}, Closed.NOBODY),
        ({"subjects": NOBODY}, Closed.NOBODY),
        ({"agents": Agents()}, Closed.NOBODY),
        ({"scopes": {"calendar:read": frozenset({"events.share"})}}, Closed.SCOPE),
        ({"resource": "https://elsewhere.example.com"}, Closed.ADMISSION),
        ({"resource": ROOMS_API}, Closed.ADMISSION),
        ({"client": "nobody"}, Closed.CLIENT),
    ],
)
def test_a_grant_of_which_nothing_can_come(changes: dict[str, Any], because: Closed) -> None:
    """Also where no file could say so: it changes nothing, and it is said why."""
    admitting = a_resource(clients={CALENDAR_MCP: frozenset({"events.read", "events.share"})})
    useless = a_registry(grants=[a_grant(**changes)], resources=[admitting, the_next_resource()])
    before = a_registry(grants=[], resources=[admitting, the_next_resource()])

    (change,) = compare(Side(registry=before), Side(registry=useless), NOW)

    assert (change.effect, change.because) == (Effect.SAME, because)


def test_an_entry_that_means_nobody_covers_nobody() -> None:
    """Everyone who comes to be meant beside it is new."""
    old = first("grants")
    nobody, everyone = (
        replace(old, subjects=(Subjects(issuer=LOGIN, everyone=everyone), *old.subjects))
        for everyone in (False, True)
    )
    sides = [Side(registry=with_another("grants", old, new)) for new in (nobody, everyone)]

    (change,) = compare(*sides, NOW)

    assert change.effect is Effect.WIDER


def test_two_services_are_not_compared() -> None:
    """Another issuer, or another admin audience, is anything but the same."""
    other = a_registry(issuer="https://other.example.com")

    (change, *_) = compare(Side(registry=a_registry()), Side(registry=other), NOW)

    assert (change.kind, change.effect) == (Kind.SERVICE, Effect.BOTH)
    assert {one.of for one in change.differences} == {"issuer", "admin_audience"}


def test_more_combinations_than_anybody_reviews() -> None:
    """They are not listed: what is said of them is how many they are, and that it may be both."""
    values = frozenset(map(str, range(200)))
    many, fewer = (
        Subjects(issuer=LOGIN, people=values, claims={"groups": some})
        for some in (values, values - {"0"})
    )
    sides = [a_registry(grants=[a_grant(subjects=(one,))]) for one in (many, fewer)]

    (change,) = compare(*[Side(registry=registry) for registry in sides], NOW)

    assert change.effect is Effect.BOTH
    (difference,) = change.differences
    assert difference.gained == ("39800 combinations of people and claims",)
    assert all("combinations of people and claims of " in said for said in change.whom.subjects)


def test_a_grant_of_so_many_that_is_the_same() -> None:
    """Nothing changes."""
    values = frozenset(map(str, range(200)))
    grant = a_grant(subjects=(Subjects(issuer=LOGIN, people=values, claims={"groups": values}),))
    side = Side(registry=a_registry(grants=[grant]))

    assert list(compare(side, side, NOW)) == []
