"""What holds of any registry: it can be written and read, and absence never widens it."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from delegation.domain.grants import Agents, Deny, Grant, Mode, Subjects
from delegation.domain.parties import Client, Identity, InlineKeys, KeySource, PublishedKeys
from delegation.domain.rates import Rate
from delegation.domain.registry import Registry
from delegation.domain.resources import Resource
from delegation.domain.tokens import VerifiedToken
from delegation.domain.trust import ActorIssuer, TrustedIssuer
from delegation.registry.checks import RESERVED_CLAIMS
from delegation.registry.problems import RegistryInvalid
from tests.registry import client_keys, story

OUR_ISSUER = story.OUR_ISSUER
CLIENTS = ("mcp-a", "mcp-b")
SCOPES = ("read", "write", "a:b/c.d", "1e3", "true", "~")

words = st.text(
    st.characters(codec="utf-8", categories=("L", "N", "P", "S")), min_size=1, max_size=9
)
scopes = st.frozensets(st.sampled_from(SCOPES), min_size=1)
claim_names = st.text(st.sampled_from("abcxyz:/._"), min_size=1, max_size=9)

marks = st.builds(
    str.__add__, words.filter(lambda word: not {*"{}"} & {*word}), st.sampled_from(["", "{client}"])
)
names_for_claims = words.filter(lambda name: name not in RESERVED_CLAIMS)
zones = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.builds(datetime.fromtimestamp, st.integers(0, 2**37), zones)


@st.composite
def issuers(draw: st.DrawFn, number: int) -> TrustedIssuer:
    """A trusted issuer that differs from others in whatever may differ."""
    asserts = draw(st.booleans())
    return TrustedIssuer(
        issuer=f"https://login{number}.example.com",
        alias=f"{number}{draw(st.text(st.sampled_from('az09-'), max_size=31))}",
        jwks_uri=f"https://login{number}.example.com/keys?a=b",
        algorithms=draw(st.frozensets(st.sampled_from(["ES256", "RS256", "EdDSA"]), min_size=1)),
        types=draw(st.frozensets(st.sampled_from(["at+jwt", "x+jwt"]), min_size=1)),
        legacy_types=draw(st.booleans()),
        id_claim=draw(st.sampled_from(["jti", "uti", None])),
        scope_claim=draw(st.sampled_from(["scope", "scp"])),
        scope_is_array=draw(st.booleans()),
        client_claim=draw(st.sampled_from(["client_id", "azp", "cid"])),
        several_audiences=draw(st.booleans()),
        asserts_actors=asserts,
        actor_issuer=draw(st.sampled_from([None, "https://x.test"])) if asserts else None,
        claims=draw(st.dictionaries(names_for_claims, claim_names, max_size=2)),
        service_claims=draw(
            st.dictionaries(claim_names, st.frozensets(marks, min_size=1), max_size=2)
        ),
        private_network=draw(st.booleans()),
    )


@st.composite
def actor_issuers(draw: st.DrawFn, number: int) -> ActorIssuer:
    """An actor issuer, likewise; some are trusted in subjects, too."""
    return ActorIssuer(
        issuer=f"https://login{number}.example.com",
        alias=f"{number}{draw(st.text(st.sampled_from('az09-'), max_size=31))}",
        jwks_uri=f"https://login{number}.example.com/keys?a=b",
        algorithms=draw(st.frozensets(st.sampled_from(["ES256", "RS256", "EdDSA"]), min_size=1)),
        types=draw(st.frozensets(st.sampled_from(["at+jwt", "x+jwt"]), min_size=1)),
        legacy_types=draw(st.booleans()),
        assertion_types=draw(st.frozensets(st.sampled_from(["jwt", "y+jwt"]), min_size=1)),
        id_claim=draw(st.sampled_from(["jti", "uti", None])),
        client_claim=draw(st.sampled_from(["client_id", "azp", "cid"])),
        private_network=draw(st.booleans()),
    )


@st.composite
def presentable(draw: st.DrawFn, id_: str, platforms: list[ActorIssuer]) -> frozenset[Identity]:
    """Some whose actor tokens the client *id_* may show."""
    others = [Identity(OUR_ISSUER, name) for name in CLIENTS if name != id_]
    known = [st.sampled_from(others)]
    known += [st.builds(Identity, st.just(platform.issuer), words) for platform in platforms]
    return draw(st.frozensets(st.one_of(known), max_size=4))


def a_client(
    id_: str, secrets: list[bytes], keys: KeySource | None, shown: frozenset[Identity]
) -> Client:
    """A client with an audience of its own."""
    return Client(
        id=id_,
        audience=f"https://{id_}.example.com/mcp",
        may_exchange=id_ == "mcp-a",
        secrets=tuple(secrets),
        keys=keys,
        may_present_actors=shown,
        is_auditor=id_ == "mcp-b",
    )


RATES = st.dictionaries(
    st.integers(1, 30 * 86_400), st.integers(1, 1_000_000_000), min_size=1, max_size=3
).map(lambda found: tuple(Rate(amount, seconds) for seconds, amount in sorted(found.items())))

EVERY_KEY = [client_keys.of(kind) for kind in ("ES256", "ES384", "ES512", "EdDSA")]

INLINE = st.lists(st.sampled_from(EVERY_KEY), min_size=1, unique_by=lambda jwk: jwk["kid"]).map(
    lambda jwks: InlineKeys(
        jwks=tuple(map(client_keys.as_text, jwks)),
        algorithms=frozenset(jwk["alg"] for jwk in jwks),
    )
)

PUBLISHED = st.builds(
    PublishedKeys,
    owner=st.just("mcp-b"),
    jwks_uri=st.just("https://mcp-b.example.com/jwks"),
    algorithms=st.frozensets(st.sampled_from(["ES256", "RS256", "EdDSA"]), min_size=1),
    private_network=st.booleans(),
)


@st.composite
def subjects(draw: st.DrawFn, issuer: TrustedIssuer) -> Subjects:
    """Some people of *issuer*, or everyone."""
    people = draw(st.frozensets(words, max_size=2))
    claims = {}
    if issuer.claims:
        names = st.sampled_from(sorted(issuer.claims))
        claims = draw(
            st.dictionaries(names, st.frozensets(words, min_size=1, max_size=2), max_size=2)
        )
    return Subjects(
        issuer=issuer.issuer, people=people, claims=claims, everyone=not (people or claims)
    )


@st.composite
def grants(draw: st.DrawFn, number: int, resource: Resource, issuer: TrustedIssuer) -> Grant | Deny:
    """A grant for one of the clients that *resource* admits, or a deny for any."""
    known = st.sampled_from(sorted(resource.scopes))
    agents = draw(st.frozensets(words, max_size=2))
    common: dict[str, Any] = {
        "id": f"grant/{number}",
        "resource": resource.identifier,
        "subjects": tuple(draw(st.lists(subjects(issuer), min_size=1, max_size=2))),
        "agents": Agents(registered=agents, any=not agents),
        "mode": draw(st.sampled_from(Mode)),
    }
    if draw(st.booleans()):
        denied = draw(st.none() | st.frozensets(known, min_size=1))
        return Deny(**common, client=draw(st.sampled_from(CLIENTS)), scopes=denied)
    return Grant(
        **common,
        client=draw(st.sampled_from(sorted(resource.clients))),
        scopes=draw(
            st.dictionaries(
                st.sampled_from(SCOPES), st.frozensets(known, min_size=1), min_size=1, max_size=3
            )
        ),
        lifetime=timedelta(seconds=draw(st.integers(1, 900))),
        chain_limit=draw(st.integers(1, 8)),
        expires_at=draw(st.none() | moments),
        services=draw(st.booleans()),
        cycles=draw(st.booleans()),
        downscope=draw(st.booleans()),
        single_use=draw(st.booleans()),
        rates=draw(st.just(()) | RATES),
    )


@st.composite
def registries(draw: st.DrawFn) -> Registry:
    """A registry without contradictions."""
    trusted = [draw(issuers(number)) for number in range(draw(st.integers(1, 2)))]
    platforms = [draw(actor_issuers(number)) for number in range(draw(st.integers(0, 2)))]
    shown = {id_: draw(presentable(id_, platforms)) for id_ in CLIENTS}
    secrets = draw(st.lists(st.binary(min_size=32, max_size=32), unique=True, max_size=4))
    resources = []
    for number in range(draw(st.integers(1, 2))):
        catalogue = draw(scopes)
        admitted = st.frozensets(st.sampled_from(sorted(catalogue)), min_size=1)
        resources.append(
            Resource(
                identifier=f"https://api{number}.example.com/",
                names=frozenset(draw(st.sets(st.sampled_from([f"api{number}", f"urn:{number}"])))),
                scopes=catalogue,
                clients=draw(st.dictionaries(st.sampled_from(CLIENTS), admitted, min_size=1)),
                introspects=draw(st.booleans()),
            )
        )
    return Registry.of(
        issuer=OUR_ISSUER,
        revision="",
        issuers=trusted,
        actor_issuers=platforms,
        clients=[
            a_client("mcp-a", secrets[:2], draw(st.none() | INLINE), shown["mcp-a"]),
            a_client("mcp-b", secrets[2:], draw(st.none() | PUBLISHED), shown["mcp-b"]),
        ],
        resources=resources,
        grants=[
            draw(grants(number, draw(st.sampled_from(resources)), draw(st.sampled_from(trusted))))
            for number in range(draw(st.integers(0, 3)))
        ],
    )


def as_content(registry: Registry) -> dict[str, Any]:
    """What a file says that describes *registry*. Defaults are written too."""
    found = {resource.identifier: resource for resource in registry.resources.values()}
    return {
        "issuers": [_issuer(one) for one in registry.issuers.values()],
        "actor_issuers": [_actor_issuer(one) for one in registry.actor_issuers.values()],
        "clients": [_client(one, registry) for one in registry.clients.values()],
        "resources": [_resource(one) for one in found.values()],
        "grants": [_grant(one, registry) for one in _all_grants(registry)],
    }


def _all_grants(registry: Registry) -> list[Grant | Deny]:
    places = (registry.grants, registry.denies, registry.shadows)
    return [one for place in places for some in place.values() for one in some]


def _issuer(one: TrustedIssuer) -> dict[str, Any]:
    plain = ("issuer", "alias", "jwks_uri", "legacy_types", "id_claim", "scope_claim")
    flags = ("client_claim", "several_audiences", "asserts_actors", "private_network")
    return _without_empty(
        {name: getattr(one, name) for name in plain + flags}
        | {
            "algorithms": list(one.algorithms),
            "types": list(one.types),
            "scope_format": "array" if one.scope_is_array else "string",
            "actor_issuer": one.actor_issuer or "",
            "claims": dict(one.claims),
            "service_claims": _lists(one.service_claims),
        }
    )


def _actor_issuer(one: ActorIssuer) -> dict[str, Any]:
    plain = ("issuer", "alias", "jwks_uri", "legacy_types", "id_claim")
    return {name: getattr(one, name) for name in (*plain, "client_claim", "private_network")} | {
        "algorithms": list(one.algorithms),
        "types": list(one.types),
        "assertion_types": list(one.assertion_types),
    }


def _client(one: Client, registry: Registry) -> dict[str, Any]:
    secrets = [f"sha256:{secret.hex()}" for secret in one.secrets]
    entry = {"id": one.id, "audience": one.audience, "exchange": one.may_exchange}
    entry["auditor"] = one.is_auditor
    shown = {"may_present_actors": _presentable(one, registry)}
    return entry | _without_empty({"secrets": secrets} | shown) | _keys(one.keys)


def _presentable(one: Client, registry: Registry) -> dict[str, Any]:
    workloads: dict[str, list[str]] = {}
    clients = []
    for actor in sorted(one.may_present_actors):
        if actor.issuer == registry.issuer:
            clients.append(actor.subject)
        else:
            alias = registry.actor_issuers[actor.issuer].alias
            workloads.setdefault(alias, []).append(actor.subject)
    return _without_empty({"clients": clients, "workloads": workloads})


def _keys(source: KeySource | None) -> dict[str, Any]:
    if source is None:
        return {}
    algorithms = list(source.algorithms)
    if isinstance(source, InlineKeys):
        return {"keys": [json.loads(text) for text in source.jwks], "algorithms": algorithms}
    return {
        "jwks_uri": source.jwks_uri,
        "algorithms": algorithms,
        "private_network": source.private_network,
    }


def _resource(one: Resource) -> dict[str, Any]:
    return _without_empty(
        {
            "identifier": one.identifier,
            "names": list(one.names),
            "scopes": list(one.scopes),
            "clients": _lists(one.clients),
            "introspects": one.introspects,
        }
    )


def _grant(one: Grant | Deny, registry: Registry) -> dict[str, Any]:
    common = {
        "id": one.id,
        "client": one.client,
        "resource": one.resource,
        "mode": one.mode.value,
        "subjects": [
            _without_empty(
                {
                    "issuer": registry.issuers[each.issuer].alias,
                    "people": list(each.people),
                    "claims": _lists(each.claims),
                    "everyone": each.everyone,
                }
            )
            for each in one.subjects
        ],
        "agents": "any" if one.agents.any else list(one.agents.registered),
        "expires": "never" if one.expires_at is None else one.expires_at.isoformat(),
    }
    if isinstance(one, Deny):
        denied = "any" if one.scopes is None else list(one.scopes)
        return common | {"effect": "deny", "scopes": denied}
    plain = ("chain_limit", "services", "cycles", "downscope", "single_use")
    return (
        common
        | {name: getattr(one, name) for name in plain}
        | {
            "effect": "allow",
            "scopes": _lists(one.scopes),
            "lifetime": int(one.lifetime.total_seconds()),
        }
        | ({"rate_limit": _said_rates(one.rates)} if one.rates else {})
    )


def _said_rates(rates: tuple[Rate, ...]) -> str:
    return "; ".join(f"{rate.amount}/{rate.seconds} seconds" for rate in rates)


def _lists(mapping: Mapping[str, frozenset[str]]) -> dict[str, list[str]]:
    return {key: sorted(values) for key, values in mapping.items()}


def _without_empty(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if value not in ("", [], {})}


@given(registries())
def test_a_registry_can_be_written_and_read(registry: Registry) -> None:
    """Whatever the domain can hold without contradiction, a file can say, and is read as said."""
    text = story.as_yaml(as_content(registry))

    again = story.of(text)

    assert again == replace(registry, revision=again.revision)


PROBES = [
    VerifiedToken(
        issuer="https://login.example.com",
        id="1",
        subject=Identity("https://login.example.com", subject),
        alias="corp",
        audience=("https://calendar-mcp.example.com/mcp",),
        scope=frozenset({"calendar:read"}),
        issued_at=datetime(2026, 11, 20, tzinfo=UTC),
        expires_at=datetime(2026, 11, 21, tzinfo=UTC),
        agent=agent,
        claims={"groups": frozenset(groups)},
    )
    for subject in ("alice", "bob", "desk-agent")
    for agent in ("desk-agent", "other-agent", None)
    for groups in ((), ("staff",), ("guests",))
]
MOMENTS = [datetime(year, 6, 1, tzinfo=UTC) for year in (2026, 2027, 9000)]


def _matches(registry: Registry) -> set[tuple[int, datetime, str]]:
    """All that the grants of *registry* allow, of what is probed."""
    return {
        (number, moment, scope)
        for grants in registry.grants.values()
        for grant in grants
        for number, token in enumerate(PROBES)
        for moment in MOMENTS
        if grant.matches(token, moment)
        for scope in grant.ceiling
    }


GRANT = yaml.safe_load(story.STORY)["grants"][0] | {
    "expires": "2027-01-01T00:00:00Z",
    "chain_limit": 4,
    "services": True,
    "cycles": True,
    "downscope": True,
    "single_use": False,
    "subjects": [{"issuer": "corp", "people": ["alice", "desk-agent"]}],
    "effect": "allow",
    "mode": "enforce",
}


def _file(grant: dict[str, Any]) -> str:
    return story.STORY.split("grants:\n")[0] + story.as_yaml({"grants": [grant]})


def _loaded(grant: dict[str, Any]) -> Registry | None:
    try:
        return story.of(_file(grant))
    except RegistryInvalid:
        return None


@pytest.mark.standard("8693-5-1")
@pytest.mark.parametrize("key", sorted(GRANT))
def test_a_grant_without_one_of_its_keys_is_no_wider(key: str) -> None:
    """Absence never widens: whatever is missing, the grant is invalid, or matches no more."""
    whole = story.of(_file(GRANT))

    less = _loaded({name: value for name, value in GRANT.items() if name != key})

    assert _matches(whole)
    assert less is None or _matches(less) <= _matches(whole)


@pytest.mark.parametrize("key", sorted(GRANT))
@pytest.mark.parametrize("empty", [None, "", [], {}, 0, False], ids=repr)
def test_a_grant_with_an_empty_key_is_no_wider(key: str, empty: object) -> None:
    """Nor does emptiness widen, however it is written."""
    whole = story.of(_file(GRANT))

    less = _loaded(GRANT | {key: empty})

    assert less is None or _matches(less) <= _matches(whole)


DENY = {
    name: value
    for name, value in GRANT.items()
    if name
    in {"id", "client", "subjects", "agents", "resource", "expires", "mode", "owner", "description"}
} | {"effect": "deny", "scopes": ["events.read"]}


@pytest.mark.standard("8693-5-1")
@pytest.mark.parametrize("key", sorted(DENY))
@pytest.mark.parametrize("empty", ["left out", None, "", [], {}, 0, False], ids=repr)
def test_a_deny_that_loses_a_key_never_gives(key: str, empty: object) -> None:
    """Whatever it was, it is invalid then, or denies as much as before."""
    deny = {name: value for name, value in DENY.items() if name != key}
    registry = _loaded(deny if empty == "left out" else deny | {key: empty})

    if registry is not None:
        [[whole]] = story.of(_file(DENY)).denies.values()
        assert registry.denies == {(whole.client, whole.resource): (whole,)}
        assert not registry.grants
        assert key in {"owner", "description", "mode"}


@pytest.mark.parametrize("key", ["issuer", "people", "claims", "everyone"])
@pytest.mark.parametrize("condition", [{"people": ["alice"]}, {"claims": {"groups": ["staff"]}}])
def test_a_subject_without_its_condition_is_nobody(key: str, condition: dict[str, Any]) -> None:
    """The only condition of a subject cannot be lost: that would be everyone."""
    one = {"issuer": "corp", **condition}
    less = {name: value for name, value in one.items() if name != key}

    registry = _loaded(GRANT | {"subjects": [less]})

    assert (registry is None) == (key in one)
