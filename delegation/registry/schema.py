"""What the files of a registry may say: every key, its type and its meaning."""

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from delegation.domain.grants import DEFAULT_CHAIN_LIMIT, DEFAULT_LIFETIME, MAX_LIFETIME
from delegation.domain.parties import CHAIN_HARD_CAP
from delegation.registry.forms import (
    EXPIRY,
    AgentNames,
    Algorithm,
    Alias,
    AssertionType,
    ClaimName,
    ClientId,
    Curve,
    Expiry,
    GrantId,
    Issuer,
    KeyAlgorithm,
    KeyId,
    KeyNumber,
    MediaType,
    Name,
    Scopes,
    ScopeToken,
    SecretDigest,
    ServiceValue,
    TargetName,
    Uri,
)


def _tidy(schema: dict[str, Any]) -> None:
    """What editors show: no made-up titles, no empty defaults, no keys but those described."""
    schema["description"] = " ".join(schema["description"].split())
    for described in schema["properties"].values():
        described.pop("title", None)
        if described.get("default") in ("", [], {}):
            del described["default"]
        if "patternProperties" in described:
            described["additionalProperties"] = False


STRICT = ConfigDict(
    extra="forbid",
    strict=True,
    frozen=True,
    hide_input_in_errors=True,
    json_schema_extra=_tidy,
)
"""Nothing is guessed, converted or ignored."""


class Entry(BaseModel):
    """What all entries have in common. An optional key is left out, never left empty."""

    model_config = STRICT

    owner: str = Field("", description="Who answers for this entry. Not used.")
    description: str = Field("", description="What this entry is for. Not used.")


class IssuerEntry(Entry):
    """A trusted issuer: whose tokens are accepted as subject tokens, and how it writes them."""

    issuer: Issuer = Field(description="What its tokens say in `iss`, exactly.")
    alias: Alias = Field(
        description="Our short name for it: a subject is called `<alias>|<sub>` in the tokens that "
        "we issue. Never change it."
    )
    jwks_uri: Uri = Field(description="Where it publishes its keys.")
    algorithms: list[Algorithm] = Field(
        min_length=1, description="The algorithms it signs with. Only asymmetric ones."
    )
    types: list[MediaType] = Field(
        ["at+jwt"], min_length=1, description="The `typ` of its access tokens."
    )
    legacy_types: bool = Field(
        default=False,
        description="Whether it sends access tokens with no `typ`, or with `JWT`. They can be "
        "mistaken for other tokens, so more is asked of them.",
    )
    id_claim: ClaimName | None = Field(
        "jti",
        description="The claim with the token's id; null where it sends none: then the digest of "
        "what was signed is the id.",
    )
    scope_claim: ClaimName = Field("scope", description="The claim with the token's scope.")
    scope_format: Literal["string", "array"] = Field(
        "string", description="Whether that claim is a string with spaces or an array."
    )
    client_claim: ClaimName = Field(
        "client_id", description="The claim with the client it issued the token to: the agent."
    )
    claims: dict[Name, ClaimName] = Field(
        {},
        min_length=1,
        description="Names that grants may use, each with the claim that it stands for. No other "
        "claim is looked at.",
    )
    several_audiences: bool = Field(
        default=False, description="Whether its tokens may be for more than one audience."
    )
    asserts_actors: bool = Field(
        default=False, description="Whether its tokens may say in `act` who acts for the subject."
    )
    actor_issuer: Issuer = Field(
        "", description="The issuer of the actors in `act` that name none."
    )
    service_claims: dict[ClaimName, Annotated[list[ServiceValue], Field(min_length=1)]] = Field(
        {},
        min_length=1,
        description="How to tell a machine's own token where its `sub` is not its client: claims, "
        "each with the values that say so. `{client}` stands for the client claim, in upper or "
        "lower case.",
    )
    private_network: bool = Field(
        default=False,
        description="Whether its keys may be fetched from a loopback or private address.",
    )


class ActorIssuerEntry(Entry):
    """An actor issuer: whose tokens may show who acts. Trust in subjects is none in actors."""

    issuer: Issuer = Field(description="What its tokens say in `iss`, exactly.")
    alias: Alias = Field(description="Our short name for it, for `may_present_actors`.")
    jwks_uri: Uri = Field(description="Where it publishes its keys.")
    algorithms: list[Algorithm] = Field(
        min_length=1, description="The algorithms it signs with. Only asymmetric ones."
    )
    types: list[MediaType] = Field(
        ["at+jwt"], min_length=1, description="The `typ` of its access tokens."
    )
    legacy_types: bool = Field(
        default=False, description="Whether it sends access tokens with no `typ`, or with `JWT`."
    )
    assertion_types: list[AssertionType] = Field(
        ["jwt"],
        min_length=1,
        description="The `typ` of the JWTs in which it names a workload to us; none counts as "
        "`jwt`.",
    )
    id_claim: ClaimName | None = Field(
        "jti",
        description="The claim with the token's id; null where it sends none: then the digest of "
        "what was signed is the id.",
    )
    client_claim: ClaimName = Field(
        "client_id", description="The claim with the client it issued an access token to."
    )
    private_network: bool = Field(
        default=False,
        description="Whether its keys may be fetched from a loopback or private address.",
    )


class AdminIssuerEntry(Entry):
    """An admin issuer: whose tokens administrators bring. Their scopes are our capabilities."""

    issuer: Issuer = Field(description="What its tokens say in `iss`, exactly.")
    alias: Alias = Field(description="Our short name for it.")
    jwks_uri: Uri = Field(description="Where it publishes its keys.")
    algorithms: list[Algorithm] = Field(
        min_length=1, description="The algorithms it signs with. Only asymmetric ones."
    )
    types: list[MediaType] = Field(
        ["at+jwt"], min_length=1, description="The `typ` of its access tokens."
    )
    legacy_types: bool = Field(
        default=False, description="Whether it sends access tokens with no `typ`, or with `JWT`."
    )
    scope_claim: ClaimName = Field("scope", description="The claim with the token's scope.")
    scope_format: Literal["string", "array"] = Field(
        "string", description="Whether that claim is a string with spaces or an array."
    )
    private_network: bool = Field(
        default=False,
        description="Whether its keys may be fetched from a loopback or private address.",
    )


class PresentableActors(BaseModel):
    """Whose actor tokens a client may show, besides its own."""

    model_config = STRICT

    clients: list[ClientId] = Field(
        [], min_length=1, description="Other clients, by what they sign of themselves."
    )
    workloads: dict[Alias, Annotated[list[Name], Field(min_length=1)]] = Field(
        {},
        min_length=1,
        description="For an actor issuer's alias, the subjects that it names.",
    )


class KeyEntry(BaseModel):
    """A public key, as a JWK (RFC 7517) with its public members alone."""

    model_config = STRICT

    kid: KeyId = Field(description="Its name, which assertions give. No two keys here share one.")
    kty: Literal["EC", "OKP", "RSA"] = Field(
        description="The type of key. There are no symmetric ones."
    )
    alg: KeyAlgorithm = Field(
        "", description="The one algorithm that it is for. Needed for RSA; else the curve says it."
    )
    use: Literal["sig"] = Field("sig", description="What it is for. Not used.")
    crv: Curve = Field("", description="The curve, where it is no RSA key.")
    x: KeyNumber = Field("", description="The coordinate x, where it is no RSA key.")
    y: KeyNumber = Field("", description="The coordinate y of an EC key.")
    n: KeyNumber = Field("", description="The modulus of an RSA key: 2048 bits or more.")
    e: KeyNumber = Field("", description="The exponent of an RSA key.")


class ClientEntry(Entry):
    """A client: an MCP server that may ask for tokens here."""

    id: ClientId = Field(description="Its client id.")
    audience: TargetName = Field(
        description="Its own resource identifier: what the tokens that it presents say in `aud`. "
        "No two clients share one."
    )
    secrets: list[SecretDigest] = Field(
        [],
        min_length=1,
        max_length=2,
        description="SHA-256 digests of its secrets; two while they are rotated. Without any it "
        "cannot authenticate by a secret.",
    )
    keys: list[KeyEntry] = Field(
        [],
        min_length=1,
        description="Public keys for its assertions (`private_key_jwt`); several while they are "
        "rotated. Without these and `jwks_uri` it cannot authenticate by an assertion.",
    )
    jwks_uri: Uri = Field("", description="Where it publishes these keys, instead of `keys`.")
    algorithms: list[Algorithm] = Field(
        ["ES256"],
        min_length=1,
        description="The algorithms it signs assertions with. Only asymmetric ones.",
    )
    private_network: bool = Field(
        default=False,
        description="Whether its keys may be fetched from a loopback or private address.",
    )
    may_present_actors: PresentableActors = Field(
        default_factory=PresentableActors.model_construct,
        description="Who, besides itself, may act where it shows their actor token.",
    )
    exchange: bool = Field(description="Whether it may exchange tokens. Must be written.")
    auditor: bool = Field(
        default=False,
        description="Whether it may introspect every token that we issue, not only those that are "
        "for its `audience`.",
    )


class ResourceEntry(Entry):
    """A resource: a service that tokens are issued for."""

    identifier: Uri = Field(description="What the tokens issued for it say in `aud`, exactly.")
    names: list[TargetName] = Field(
        [],
        min_length=1,
        description="Other ways to ask for it: variants of its URI, and logical names.",
    )
    scopes: Scopes = Field(description="All scopes that it knows.")
    clients: dict[ClientId, Scopes] = Field(
        {},
        min_length=1,
        description="The clients that it admits, each with the most it may be given here. Without "
        "any it admits nobody.",
    )
    introspects: bool = Field(
        default=False,
        description="Whether it introspects each token each time: then what is stopped stops here "
        "at once. A client with its identifier as `audience` asks for it, or an auditor.",
    )


class SubjectsEntry(BaseModel):
    """For whom a grant may be used: people of one trusted issuer. All that is stated must hold."""

    model_config = STRICT

    issuer: Alias = Field(description="The alias of their trusted issuer.")
    people: list[Name] = Field(
        [], min_length=1, description="These people, by the `sub` of their issuer."
    )
    claims: dict[Name, Annotated[list[Name], Field(min_length=1)]] = Field(
        {},
        min_length=1,
        description="Those whose token has one of these values in each of these claims, by the "
        "names in the issuer's `claims`.",
    )
    everyone: bool = Field(
        default=False, description="All people of this issuer. Must be written if it is meant."
    )


class GrantEntry(Entry):
    """This client may act for these subjects, through these agents, here, with these scopes."""

    id: GrantId = Field(description="Its name in events and locks. Never use one again.")
    client: ClientId = Field(description="The client that may act: its id.")
    subjects: list[SubjectsEntry] = Field(
        min_length=1, description="For whom it may act: any of these."
    )
    agents: AgentNames = Field(
        description="Through which agents: the values of the issuer's client claim; or `any`."
    )
    resource: Uri = Field(description="Where it may act: the identifier of one resource.")
    scopes: dict[ScopeToken, Scopes] = Field(
        min_length=1,
        description="Each scope of the subject token, with the scopes of the resource that it "
        "stands for.",
    )
    lifetime: int = Field(
        int(DEFAULT_LIFETIME.total_seconds()),
        ge=1,
        le=int(MAX_LIFETIME.total_seconds()),
        description="How long a token lives at most, in seconds.",
    )
    chain_limit: int = Field(
        DEFAULT_CHAIN_LIMIT,
        ge=1,
        le=CHAIN_HARD_CAP,
        description="How many may act in a row, the client included.",
    )
    expires: Expiry = Field(description=f"When this grant ends: {EXPIRY}.")
    services: bool = Field(
        default=False, description="Whether the subject may be a service: a client's own token."
    )
    cycles: bool = Field(
        default=False, description="Whether the client may stand in the actor chain already."
    )
    downscope: bool = Field(
        default=False, description="Whether to give less than was asked for, instead of refusing."
    )
    single_use: bool = Field(
        default=False, description="Whether a subject token can be exchanged only once."
    )


class File(BaseModel):
    """One file of a registry. All files together are one registry."""

    model_config = STRICT

    issuers: list[IssuerEntry] = Field([], description="Whose tokens are accepted.")
    actor_issuers: list[ActorIssuerEntry] = Field([], description="Whose tokens may show who acts.")
    admin_issuers: list[AdminIssuerEntry] = Field(
        [], description="Whose tokens open the admin API."
    )
    clients: list[ClientEntry] = Field([], description="Who may ask for tokens.")
    resources: list[ResourceEntry] = Field([], description="What tokens are issued for.")
    grants: list[GrantEntry] = Field([], description="Who may act for whom, where and how.")


SECTIONS: Mapping[str, type[Entry]] = MappingProxyType(
    {section: get_args(info.annotation)[0] for section, info in File.model_fields.items()}
)
"""The keys of a file, each with what its list holds."""


def schema() -> dict[str, Any]:
    """The JSON Schema of one file (draft 2020-12). It cannot say all that `load` checks."""
    described = File.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **described}


def schema_text() -> str:
    """The JSON Schema as it is published, in a stable form."""
    return json.dumps(schema(), indent=2, sort_keys=True) + "\n"
