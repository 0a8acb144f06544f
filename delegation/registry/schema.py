"""What the files of a registry may say: every key, its type and its meaning."""

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from delegation.domain.grants import DEFAULT_CHAIN_LIMIT, DEFAULT_LIFETIME, MAX_LIFETIME
from delegation.domain.parties import CHAIN_HARD_CAP
from delegation.registry.forms import (
    EXPIRY,
    MOMENT,
    TAG,
    AgentNames,
    Algorithm,
    Alias,
    AssertionType,
    CauseName,
    ClaimName,
    ClientId,
    Curve,
    Expiry,
    GrantId,
    GrantScopes,
    Issuer,
    KeyAlgorithm,
    KeyId,
    KeyNumber,
    MediaType,
    Moment,
    Name,
    RateLimit,
    Scopes,
    SecretDigest,
    ServiceValue,
    SubjectName,
    TargetName,
    TeamId,
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
    """For whom a grant is: people of one trusted issuer. All that is stated must hold."""

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


class TeamEntry(Entry):
    """A team: clients and people under one name, for grants to refer to. It permits nothing."""

    id: TeamId = Field(description="Its name in grants.")
    clients: list[ClientId] = Field(
        [], min_length=1, description="Its clients: those that act, where a grant names it so."
    )
    subjects: list[SubjectsEntry] = Field(
        [],
        min_length=1,
        description="Its people: any of these, where a grant names it among its `subjects`. A team "
        "has `clients`, or these, or both.",
    )


class TeamName(BaseModel):
    """A team, in the place of what it has."""

    model_config = STRICT

    team: TeamId = Field(description="Its id.")


def _alternative(model: type[BaseModel]) -> str:
    return TAG + model.__name__


_ONE_CLIENT, _TEAM, _SUBJECTS = f"{TAG}client", _alternative(TeamName), _alternative(SubjectsEntry)

ClientOrTeam = Annotated[
    Annotated[ClientId, Tag(_ONE_CLIENT)] | Annotated[TeamName, Tag(_TEAM)],
    Discriminator(lambda value: _TEAM if isinstance(value, dict | TeamName) else _ONE_CLIENT),
]
SubjectsOrTeam = Annotated[
    Annotated[SubjectsEntry, Tag(_SUBJECTS)] | Annotated[TeamName, Tag(_TEAM)],
    Discriminator(
        lambda value: _TEAM if isinstance(value, dict) and "team" in value else _SUBJECTS
    ),
]

ONLY_TO_ALLOW = (
    "lifetime",
    "chain_limit",
    "services",
    "cycles",
    "downscope",
    "single_use",
    "rate_limit",
)
"""Keys of a grant that say how it gives: a deny has none of them."""


def _by_effect(schema: dict[str, Any]) -> None:
    """What editors show, and which keys go with which effect."""
    _tidy(schema)
    mapping, *others = schema["properties"]["scopes"]["oneOf"]
    mapping["additionalProperties"] = False
    schema["if"] = {"properties": {"effect": {"const": "deny"}}, "required": ["effect"]}
    schema["then"] = {
        "properties": {"scopes": {"oneOf": others}} | dict.fromkeys(ONLY_TO_ALLOW, False)
    }
    schema["else"] = {"properties": {"scopes": mapping}}


class GrantEntry(Entry):
    """This client may act for these subjects, through these agents, here, with these scopes.

    With `effect: deny` it may not, whatever other grants say.
    """

    model_config = ConfigDict(json_schema_extra=_by_effect)

    id: GrantId = Field(description="Its name in events and locks. Never use one again.")
    effect: Literal["allow", "deny"] = Field(
        "allow",
        description="Whether it gives or takes. What one grant denies, no other gives.",
    )
    mode: Literal["enforce", "shadow"] = Field(
        "enforce",
        description="Whether it counts. A grant in `shadow` neither gives nor takes: events say "
        "what it would have changed.",
    )
    client: ClientOrTeam = Field(
        description="The client that may act: its id; or a team, for each of its clients."
    )
    subjects: list[SubjectsOrTeam] = Field(
        min_length=1, description="For whom it may act: any of these, or of the people of a team."
    )
    agents: AgentNames = Field(
        description="Through which agents: the values of the issuer's client claim; or `any`."
    )
    resource: Uri = Field(description="Where it may act: the identifier of one resource.")
    scopes: GrantScopes = Field(
        description="Each scope of the subject token, with the scopes of the resource that it "
        "stands for. Of a deny: a list of scopes of the resource; or `any`.",
    )
    lifetime: int = Field(
        int(DEFAULT_LIFETIME.total_seconds()),
        ge=1,
        le=int(MAX_LIFETIME.total_seconds()),
        description="How long a token lives at most, in seconds. Not with `deny`.",
    )
    chain_limit: int = Field(
        DEFAULT_CHAIN_LIMIT,
        ge=1,
        le=CHAIN_HARD_CAP,
        description="How many may act in a row, the client included. Not with `deny`.",
    )
    expires: Expiry = Field(description=f"When this grant ends: {EXPIRY}.")
    services: bool = Field(
        default=False,
        description="Whether the subject may be a service: a client's own token. Not with `deny`, "
        "which is for services, too.",
    )
    cycles: bool = Field(
        default=False,
        description="Whether the client may stand in the actor chain already. Not with `deny`.",
    )
    downscope: bool = Field(
        default=False,
        description="Whether to give less than was asked for, instead of refusing. Not with "
        "`deny`.",
    )
    single_use: bool = Field(
        default=False,
        description="Whether a subject token can be exchanged only once. Not with `deny`.",
    )
    rate_limit: RateLimit = Field(
        "",
        description="How many exchanges each client may make under it, besides what limits all "
        "grants. Not with `deny`.",
    )


class GrantedEntry(BaseModel):
    """That a token is issued, with exactly this scope."""

    model_config = STRICT

    granted: Scopes = Field(description="All scopes of the token.")


class RefusedEntry(BaseModel):
    """That none is issued, for this cause."""

    model_config = STRICT

    refused: CauseName = Field(description="The cause, as in events.")


_OUTCOME = f"{TAG}outcome"
_GRANTED, _REFUSED = _alternative(GrantedEntry), _alternative(RefusedEntry)


def _outcome(value: object) -> str:
    if not isinstance(value, dict):
        return _OUTCOME
    return _REFUSED if "refused" in value else _GRANTED


Expected = Annotated[
    Annotated[Literal["granted", "refused"], Tag(_OUTCOME)]
    | Annotated[GrantedEntry, Tag(_GRANTED)]
    | Annotated[RefusedEntry, Tag(_REFUSED)],
    Discriminator(_outcome),
]


class ExpectationEntry(Entry):
    """A test: a question as `delegation registry can-i` has them, and how it is to be answered.

    It changes no decision.
    """

    name: Name = Field(description="What is expected, in words. No two tests share one.")
    client: ClientId = Field(description="Who asks: its id.")
    hops: list[ClientId] = Field(
        [],
        min_length=1,
        description="Clients that exchange the token before, in order, each for a token for the "
        "next.",
    )
    subject: SubjectName = Field(description="For whom: `<alias>|<sub>`.")
    agent: Name = Field(description="The MCP client that the subject's token was issued to.")
    mcp_scope: Scopes = Field([], description="The scope of its token. Left out: none.")
    claims: dict[Name, Annotated[list[Name], Field(min_length=1)]] = Field(
        {},
        min_length=1,
        description="What its token says, by the names in the issuer's `claims`. What is left out, "
        "it does not say.",
    )
    resource: TargetName = Field(description="The URI of the resource, or a name of it.")
    scope: Scopes = Field([], description="What is asked for. Left out: all there is.")
    at: Moment = Field(
        "", description=f"When it is asked: {MOMENT}. Left out: when the tests are run."
    )
    expect: Expected = Field(
        description="The answer: `granted` or `refused`; or a mapping from the one to the exact "
        "scope, from the other to the cause."
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
    teams: list[TeamEntry] = Field([], description="Names for clients and people, for grants.")
    grants: list[GrantEntry] = Field([], description="Who may act for whom, where and how.")
    tests: list[ExpectationEntry] = Field([], description="What all this is expected to mean.")


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
