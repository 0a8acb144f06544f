"""Checked entries to the values of the domain."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from delegation.domain.errors import Cause
from delegation.domain.grants import Agents, Deny, Grant, Mode, Subjects
from delegation.domain.parties import Client, Identity, InlineKeys, KeySource, PublishedKeys
from delegation.domain.questions import Expectation, Question
from delegation.domain.registry import Registry
from delegation.domain.resources import Resource
from delegation.domain.tokens import SEPARATOR
from delegation.domain.trust import ActorIssuer, AdminIssuer, TrustedIssuer
from delegation.ratelimits import parse as parse_rates
from delegation.registry.entries import Entries, Sited
from delegation.registry.keys import as_text
from delegation.registry.schema import (
    ActorIssuerEntry,
    AdminIssuerEntry,
    ClientEntry,
    ExpectationEntry,
    GrantedEntry,
    GrantEntry,
    IssuerEntry,
    RefusedEntry,
    ResourceEntry,
    SubjectsEntry,
    TeamEntry,
    TeamName,
)


def build(
    entries: Entries, *, issuer: str, revision: str, admin_audience: str | None = None
) -> Registry:
    """The registry that *entries* describe. They are taken to be free of problems."""
    issuers = {sited.entry.alias: sited.entry.issuer for sited in entries.issuers}
    platforms = {sited.entry.alias: sited.entry.issuer for sited in entries.actor_issuers}
    teams = {sited.entry.id: sited.entry for sited in entries.teams}
    return Registry.of(
        issuer=issuer,
        admin_audience=admin_audience,
        revision=revision,
        issuers=[_issuer(sited.entry) for sited in entries.issuers],
        actor_issuers=[_actor_issuer(sited.entry) for sited in entries.actor_issuers],
        admin_issuers=[_admin_issuer(sited.entry) for sited in entries.admin_issuers],
        clients=[_client(sited.entry, issuer, platforms) for sited in entries.clients],
        resources=[_resource(sited.entry) for sited in entries.resources],
        grants=[
            grant for sited in entries.grants for grant in _grants(sited.entry, issuers, teams)
        ],
    )


def expectations(entries: Entries, *, now: datetime) -> list[Expectation]:
    """The tests among *entries*, in order; those that say no time are asked at *now*."""
    return [_expectation(sited, now) for sited in entries.tests]


def _issuer(entry: IssuerEntry) -> TrustedIssuer:
    return TrustedIssuer(
        issuer=entry.issuer,
        alias=entry.alias,
        jwks_uri=entry.jwks_uri,
        algorithms=frozenset(entry.algorithms),
        types=frozenset(entry.types),
        legacy_types=entry.legacy_types,
        id_claim=entry.id_claim,
        scope_claim=entry.scope_claim,
        scope_is_array=entry.scope_format == "array",
        client_claim=entry.client_claim,
        several_audiences=entry.several_audiences,
        asserts_actors=entry.asserts_actors,
        actor_issuer=entry.actor_issuer or None,
        claims=dict(entry.claims),
        service_claims={claim: frozenset(values) for claim, values in entry.service_claims.items()},
        private_network=entry.private_network,
    )


def _actor_issuer(entry: ActorIssuerEntry) -> ActorIssuer:
    return ActorIssuer(
        issuer=entry.issuer,
        alias=entry.alias,
        jwks_uri=entry.jwks_uri,
        algorithms=frozenset(entry.algorithms),
        types=frozenset(entry.types),
        legacy_types=entry.legacy_types,
        assertion_types=frozenset(entry.assertion_types),
        id_claim=entry.id_claim,
        client_claim=entry.client_claim,
        private_network=entry.private_network,
    )


def _admin_issuer(entry: AdminIssuerEntry) -> AdminIssuer:
    return AdminIssuer(
        issuer=entry.issuer,
        alias=entry.alias,
        jwks_uri=entry.jwks_uri,
        algorithms=frozenset(entry.algorithms),
        types=frozenset(entry.types),
        legacy_types=entry.legacy_types,
        scope_claim=entry.scope_claim,
        scope_is_array=entry.scope_format == "array",
        private_network=entry.private_network,
    )


def _client(entry: ClientEntry, our_issuer: str, platforms: Mapping[str, str]) -> Client:
    shown = entry.may_present_actors
    return Client(
        id=entry.id,
        audience=entry.audience,
        may_exchange=entry.exchange,
        secrets=tuple(bytes.fromhex(secret.removeprefix("sha256:")) for secret in entry.secrets),
        keys=_keys(entry),
        may_present_actors=frozenset(
            [Identity(our_issuer, client) for client in shown.clients]
            + [
                Identity(platforms[alias], subject)
                for alias, subjects in shown.workloads.items()
                for subject in subjects
            ]
        ),
        is_auditor=entry.auditor,
    )


def _keys(entry: ClientEntry) -> KeySource | None:
    algorithms = frozenset(entry.algorithms)
    if entry.keys:
        return InlineKeys(jwks=tuple(map(as_text, entry.keys)), algorithms=algorithms)
    if entry.jwks_uri:
        return PublishedKeys(
            owner=entry.id,
            jwks_uri=entry.jwks_uri,
            algorithms=algorithms,
            private_network=entry.private_network,
        )
    return None


def _resource(entry: ResourceEntry) -> Resource:
    return Resource(
        identifier=entry.identifier,
        names=frozenset(entry.names),
        scopes=frozenset(entry.scopes),
        clients={client: frozenset(scopes) for client, scopes in entry.clients.items()},
        introspects=entry.introspects,
    )


def _grants(
    entry: GrantEntry, issuers: Mapping[str, str], teams: Mapping[str, TeamEntry]
) -> Iterator[Grant | Deny]:
    """One for each client: the domain knows of no teams."""
    clients, subjects = members(entry, teams)
    meant = tuple(subjects_of(one, issuers) for one in subjects)
    for client in clients:
        yield _grant(entry, client, meant)


def members(
    entry: GrantEntry, teams: Mapping[str, TeamEntry]
) -> tuple[list[str], list[SubjectsEntry]]:
    """Whom the grant *entry* names as its clients and as its subjects, its teams written out."""
    named = entry.client
    clients = [*teams[named.team].clients] if isinstance(named, TeamName) else [named]
    subjects = [
        one
        for each in entry.subjects
        for one in (teams[each.team].subjects if isinstance(each, TeamName) else [each])
    ]
    return list(dict.fromkeys(clients)), subjects


def _grant(entry: GrantEntry, client: str, subjects: tuple[Subjects, ...]) -> Grant | Deny:
    expires_at = None if entry.expires == "never" else datetime.fromisoformat(entry.expires)
    if not isinstance(entry.scopes, dict):
        return Deny(
            id=entry.id,
            client=client,
            resource=entry.resource,
            subjects=subjects,
            agents=_agents(entry),
            scopes=None if entry.scopes == "any" else frozenset(entry.scopes),
            expires_at=expires_at,
            mode=Mode(entry.mode),
        )
    return Grant(
        id=entry.id,
        client=client,
        resource=entry.resource,
        subjects=subjects,
        agents=_agents(entry),
        scopes={name: frozenset(scopes) for name, scopes in entry.scopes.items()},
        lifetime=timedelta(seconds=entry.lifetime),
        chain_limit=entry.chain_limit,
        expires_at=expires_at,
        services=entry.services,
        cycles=entry.cycles,
        downscope=entry.downscope,
        single_use=entry.single_use,
        rates=parse_rates(entry.rate_limit) if entry.rate_limit else (),
        mode=Mode(entry.mode),
    )


def _agents(entry: GrantEntry) -> Agents:
    if entry.agents == "any":
        return Agents(any=True)
    return Agents(registered=frozenset(entry.agents))


def subjects_of(entry: SubjectsEntry, issuers: Mapping[str, str]) -> Subjects:
    """Those that *entry* means; *issuers* are the trusted issuers, by their aliases."""
    return Subjects(
        issuer=issuers[entry.issuer],
        people=frozenset(entry.people),
        claims={name: frozenset(values) for name, values in entry.claims.items()},
        everyone=entry.everyone,
    )


def _expectation(sited: Sited[ExpectationEntry], now: datetime) -> Expectation:
    entry = sited.entry
    alias, _, subject = entry.subject.partition(SEPARATOR)
    question = Question(
        client=entry.client,
        before=tuple(entry.hops),
        alias=alias,
        subject=subject,
        agent=entry.agent,
        token_scope=frozenset(entry.mcp_scope),
        claims={name: frozenset(values) for name, values in entry.claims.items()},
        resource=entry.resource,
        scope=frozenset(entry.scope) or None,
        now=datetime.fromisoformat(entry.at) if entry.at else now,
    )
    expect = entry.expect
    return Expectation(
        name=entry.name,
        place=str(sited),
        question=question,
        granted=expect == "granted" or isinstance(expect, GrantedEntry),
        scope=frozenset(expect.granted) if isinstance(expect, GrantedEntry) else None,
        cause=Cause(expect.refused) if isinstance(expect, RefusedEntry) else None,
    )
