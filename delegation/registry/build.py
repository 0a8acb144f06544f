"""Checked entries to the values of the domain."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from delegation.domain.grants import Agents, Grant, Subjects
from delegation.domain.parties import Client, Identity, InlineKeys, KeySource, PublishedKeys
from delegation.domain.registry import Registry
from delegation.domain.resources import Resource
from delegation.domain.trust import ActorIssuer, AdminIssuer, TrustedIssuer
from delegation.registry.entries import Entries
from delegation.registry.keys import as_text
from delegation.registry.schema import (
    ActorIssuerEntry,
    AdminIssuerEntry,
    ClientEntry,
    GrantEntry,
    IssuerEntry,
    ResourceEntry,
    SubjectsEntry,
)


def build(
    entries: Entries, *, issuer: str, revision: str, admin_audience: str | None = None
) -> Registry:
    """The registry that *entries* describe. They are taken to be free of problems."""
    issuers = {sited.entry.alias: sited.entry.issuer for sited in entries.issuers}
    platforms = {sited.entry.alias: sited.entry.issuer for sited in entries.actor_issuers}
    return Registry.of(
        issuer=issuer,
        admin_audience=admin_audience,
        revision=revision,
        issuers=[_issuer(sited.entry) for sited in entries.issuers],
        actor_issuers=[_actor_issuer(sited.entry) for sited in entries.actor_issuers],
        admin_issuers=[_admin_issuer(sited.entry) for sited in entries.admin_issuers],
        clients=[_client(sited.entry, issuer, platforms) for sited in entries.clients],
        resources=[_resource(sited.entry) for sited in entries.resources],
        grants=[_grant(sited.entry, issuers) for sited in entries.grants],
    )


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


def _grant(entry: GrantEntry, issuers: Mapping[str, str]) -> Grant:
    never = entry.expires == "never"
    return Grant(
        id=entry.id,
        client=entry.client,
        resource=entry.resource,
        subjects=tuple(_subjects(subjects, issuers) for subjects in entry.subjects),
        agents=_agents(entry),
        scopes={name: frozenset(scopes) for name, scopes in entry.scopes.items()},
        lifetime=timedelta(seconds=entry.lifetime),
        chain_limit=entry.chain_limit,
        expires_at=None if never else datetime.fromisoformat(entry.expires),
        services=entry.services,
        cycles=entry.cycles,
        downscope=entry.downscope,
        single_use=entry.single_use,
    )


def _agents(entry: GrantEntry) -> Agents:
    if entry.agents == "any":
        return Agents(any=True)
    return Agents(registered=frozenset(entry.agents))


def _subjects(entry: SubjectsEntry, issuers: Mapping[str, str]) -> Subjects:
    return Subjects(
        issuer=issuers[entry.issuer],
        people=frozenset(entry.people),
        claims={name: frozenset(values) for name, values in entry.claims.items()},
        everyone=entry.everyone,
    )
