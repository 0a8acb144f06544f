"""The how-to pages: what they tell people to write loads, and does what they say."""

import contextlib
import doctest
import io
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import jwt
import pytest
import yaml
from click.testing import CliRunner

from delegation.cli import main
from delegation.domain.delegations import Delegation
from delegation.domain.errors import AssertionRejected, Cause, Refused, SubjectTokenRejected
from delegation.domain.parties import Identity
from delegation.domain.policy import delegate
from delegation.domain.registry import Registry
from delegation.domain.resources import Targets
from delegation.domain.tokens import TokenType, VerifiedToken
from delegation.jose.jwks import ForeignKeys
from delegation.jose.keyring import SigningKey, Status, new_key
from delegation.jose.verifier import JwtVerifier
from delegation.registry.loader import Snapshot, parse
from delegation.registry.problems import RegistryInvalid
from tests.signing import ABSENT, NoCooldown, SigningParty, a_keyring, presented

PAGES = Path(__file__).parents[2] / "docs" / "how-to"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
HEADING = re.compile(r"^#{2,3} (.*)$", re.MULTILINE)

OUR_ISSUER = "https://sts.example.com"
CALENDAR_API = "https://calendar.example.com/api"

NOW = datetime(2026, 11, 20, 12, 55, tzinfo=UTC)
"""A quarter of an hour after the tokens of the page were issued."""


def sections(page: str) -> dict[str, list[tuple[str, str]]]:
    """The blocks of a page, under the heading that they stand below."""
    _, *parts = HEADING.split((PAGES / f"{page}.md").read_text("utf-8"))
    return {title: BLOCK.findall(text) for title, text in zip(parts[::2], parts[1::2], strict=True)}


def blocks(page: str, language: str, section: str | None = None) -> list[str]:
    """The blocks of a page, or of one section of it, in one language."""
    found = sections(page)
    wanted = found.values() if section is None else [found[section]]
    return [text for each in wanted for kind, text in each if kind == language]


def load(*files: str | Mapping[str, Any]) -> Registry:
    """The registry of these files: as they stand on a page, or as values."""
    named = tuple(
        (f"{number}.yaml", (each if isinstance(each, str) else json.dumps(each)).encode())
        for number, each in enumerate(files)
    )
    return parse(Snapshot(named), issuer=OUR_ISSUER)


# Trust an issuer


@cache
def rsa_key() -> SigningKey:
    """The key of whichever issuer: making one takes long."""
    return new_key("RS256", Status.ACTIVE)


class Described(SigningParty):
    """An issuer that signs tokens of the shape that a section of the page shows."""

    def __init__(self, section: str) -> None:
        self.shown = json.loads(blocks("trust-an-issuer", "json", section)[0])
        super().__init__(self.shown["payload"]["iss"])
        self.key = rsa_key()

    def header(self, **changes: Any) -> dict[str, Any]:
        """As it is shown, but for the name of the key."""
        return _changed(self.shown["header"] | {"kid": self.kid}, changes)

    def claims(self, **changes: Any) -> dict[str, Any]:
        """As they are shown."""
        return _changed(self.shown["payload"], changes)

    def keys(self) -> ForeignKeys:
        """What it publishes: as some do, without saying which algorithm a key is for."""
        published = {name: value for name, value in self.key.published().items() if name != "alg"}
        return ForeignKeys(NoCooldown(), fetch=lambda _source: {"keys": [published]})


def _changed(members: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**members, **changes}.items() if value is not ABSENT}


def described(section: str, **changes: Any) -> dict[str, Any]:
    """The entries of a section, with changes to its issuer; `ABSENT` leaves a key out."""
    (text,) = blocks("trust-an-issuer", "yaml", section)
    entries: dict[str, Any] = yaml.safe_load(text)
    entries["issuers"] = [_changed(entries["issuers"][0], changes)]
    return entries


def around(entries: Mapping[str, Any], token: Mapping[str, Any]) -> dict[str, Any]:
    """What else it takes: the API, and a grant for group, agent and scope of *token*."""
    issuer = entries["issuers"][0]
    client, groups = entries["clients"][0]["id"], issuer["claims"]["groups"]
    return {
        "resources": [
            {
                "identifier": CALENDAR_API,
                "scopes": ["events.read"],
                "clients": {client: ["events.read"]},
            }
        ],
        "grants": [
            {
                "id": "calendar",
                "client": client,
                "subjects": [{"issuer": issuer["alias"], "claims": {"groups": token[groups]}}],
                "agents": [agent_of(token)],
                "resource": CALENDAR_API,
                "scopes": {"calendar:read": ["events.read"], "Calendar.Read": ["events.read"]},
                "expires": "never",
            }
        ],
    }


def agent_of(token: Mapping[str, Any]) -> str:
    """The client that a token was given to, wherever it stands."""
    (agent,) = (token[name] for name in ("azp", "appid", "cid", "client_id") if name in token)
    return str(agent)


def verify(section: str, entries: Mapping[str, Any], **claims: Any) -> VerifiedToken:
    """What the verifier makes of the token of a section, given *entries*."""
    party = Described(section)
    verifier = JwtVerifier(keyring=a_keyring(), keys=party.keys(), clock=lambda: NOW)
    return verifier.subject(presented(party.token(**claims)), load(entries))


def exchange(section: str, entries: Mapping[str, Any], **claims: Any) -> Delegation:
    """What is decided about the token of a section, given *entries*."""
    registry = load(entries, around(entries, Described(section).shown["payload"]))
    client = registry.clients[entries["clients"][0]["id"]]
    return delegate(
        verify(section, entries, **claims),
        by=client,
        at=Targets(resources=(CALENDAR_API,)),
        scope=None,
        registry=registry,
        now=NOW,
        id="exchange-1",
    )


KEYCLOAK = "Keycloak"
ENTRA_2 = "Entra, version 2"
ENTRA_1 = "Entra, version 1"
AUTH0 = "Auth0, RFC 9068 profile"
AUTH0_OWN = "Auth0, its own profile"
OKTA = "Okta"
FASTMCP = "FastMCP"


@pytest.mark.parametrize("section", [KEYCLOAK, ENTRA_2, ENTRA_1, AUTH0, AUTH0_OWN, OKTA, FASTMCP])
def test_the_entry_fits_the_token(section: str) -> None:
    """With the entry of the page, a token of the documented shape is verified and exchanged."""
    token = Described(section).shown["payload"]

    delegation = exchange(section, described(section))

    parent = delegation.parent
    assert parent.subject.subject == token["sub"]
    assert parent.agent == agent_of(token)
    assert parent.id == token.get("jti", token.get("uti", parent.id))
    assert delegation.scope == {"events.read"}
    assert [actor.identity.subject for actor in delegation.actors] == [
        "calendar-mcp",
        agent_of(token),
    ]


@pytest.mark.parametrize(
    ("section", "key", "cause"),
    [
        (KEYCLOAK, "legacy_types", Cause.TOKEN_TYPE),
        (KEYCLOAK, "client_claim", Cause.NO_GRANT),
        (ENTRA_2, "legacy_types", Cause.TOKEN_TYPE),
        (ENTRA_2, "id_claim", Cause.TOKEN_CLAIMS),
        (ENTRA_2, "scope_claim", Cause.SCOPE_EMPTY),
        (ENTRA_2, "client_claim", Cause.NO_GRANT),
        (ENTRA_1, "legacy_types", Cause.TOKEN_TYPE),
        (ENTRA_1, "id_claim", Cause.TOKEN_CLAIMS),
        (ENTRA_1, "scope_claim", Cause.SCOPE_EMPTY),
        (ENTRA_1, "client_claim", Cause.NO_GRANT),
        (AUTH0, "several_audiences", Cause.AUDIENCE),
        (AUTH0_OWN, "legacy_types", Cause.TOKEN_TYPE),
        (AUTH0_OWN, "id_claim", Cause.TOKEN_CLAIMS),
        (AUTH0_OWN, "client_claim", Cause.NO_GRANT),
        (AUTH0_OWN, "several_audiences", Cause.AUDIENCE),
        (OKTA, "legacy_types", Cause.TOKEN_TYPE),
        (OKTA, "scope_claim", Cause.SCOPE_EMPTY),
        (OKTA, "scope_format", Cause.TOKEN_CLAIMS),
        (OKTA, "client_claim", Cause.NO_GRANT),
        (FASTMCP, "several_audiences", Cause.AUDIENCE),
    ],
    ids=str,
)
def test_every_key_of_the_entry_is_needed(section: str, key: str, cause: Cause) -> None:
    """Without any one of the keys that tell of a peculiarity, the same token is refused."""
    entries = described(section, **{key: ABSENT})

    with pytest.raises(Refused) as refused:
        exchange(section, entries)

    assert refused.value.cause is cause


@pytest.mark.parametrize(
    ("section", "claims", "cause"),
    [
        (KEYCLOAK, {"aud": ABSENT}, Cause.AUDIENCE),
        (KEYCLOAK, {"aud": ["https://calendar-mcp.example.com/mcp", "account"]}, Cause.AUDIENCE),
        (KEYCLOAK, {"aud": "account"}, Cause.PRESENTED_BY_ANOTHER_CLIENT),
        (KEYCLOAK, {"nonce": "n"}, Cause.TOKEN_TYPE),
        (KEYCLOAK, {"groups": ABSENT}, Cause.NO_GRANT),
        (ENTRA_2, {"groups": ABSENT, "_claim_names": {"groups": "src1"}}, Cause.NO_GRANT),
        (ENTRA_2, {"scp": ABSENT, "roles": ["Calendar.Read"]}, Cause.SCOPE_EMPTY),
        (ENTRA_2, {"exp": 1795179240 + 28 * 3600}, Cause.LIFETIME_TOO_LONG),
        (ENTRA_2, {"aud": "api://calendar-mcp"}, Cause.PRESENTED_BY_ANOTHER_CLIENT),
        (AUTH0, {"exp": 1795179240 + 24 * 3600 + 1}, Cause.LIFETIME_TOO_LONG),
        (OKTA, {"aud": "https://corp.okta.com"}, Cause.PRESENTED_BY_ANOTHER_CLIENT),
    ],
    ids=str,
)
def test_what_the_page_warns_of_is_refused(
    section: str, claims: dict[str, Any], cause: Cause
) -> None:
    """Tokens that are not as the page says that they must be."""
    with pytest.raises(Refused) as refused:
        exchange(section, described(section), **claims)

    assert refused.value.cause is cause


def test_entra_people_can_be_named_by_their_object_id() -> None:
    """What the page offers instead of the pairwise `sub` reaches the grants."""
    token = Described(ENTRA_2).shown["payload"]

    verified = verify(ENTRA_2, described(ENTRA_2))

    assert verified.claims["oid"] == {token["oid"]}


@pytest.mark.parametrize("text", blocks("trust-an-issuer", "yaml"), ids=range(7))
def test_every_entry_loads_as_it_stands(text: str) -> None:
    """What can be copied from the page can be used."""
    registry = load(text)

    assert len(registry.issuers) == len(registry.clients) == 1


def test_an_id_is_made_where_there_is_none() -> None:
    """Two tokens of Auth0's own profile are told apart, and one is always itself."""
    entries = described(AUTH0_OWN)

    ids = [verify(AUTH0_OWN, entries, iat=iat).id for iat in (1795179240, 1795179240, 1795179241)]

    assert ids[0] == ids[1] != ids[2]


KEYCLOAKS_USER = "0f0e5c1e-hidden-user-of-a-client"
AUTH0S_CLIENT = "K1AUPhZq8mRi0Q0pjhkfu1D7y6KjDQja@clients"


@pytest.mark.parametrize(
    ("section", "claims"),
    [
        (OKTA, {"sub": "0oabskvc6442nkvQO0h7"}),
        (
            KEYCLOAK,
            {"sub": KEYCLOAKS_USER, "preferred_username": "service-account-desk-agent"},
        ),
        (
            KEYCLOAK,
            {
                "sub": KEYCLOAKS_USER,
                "azp": "Desk-Agent",
                "preferred_username": "service-account-desk-agent",
            },
        ),
        (KEYCLOAK, {"sub": KEYCLOAKS_USER, "client_id": "desk-agent"}),
        (AUTH0, {"sub": AUTH0S_CLIENT}),
        (AUTH0_OWN, {"sub": AUTH0S_CLIENT}),
    ],
    ids=["okta", "keycloak", "keycloak-case", "keycloak-client-id", "auth0", "auth0-own"],
)
def test_machines_are_recognised(section: str, claims: dict[str, Any]) -> None:
    """By the entry as it stands: only a grant for services matches, whatever else holds."""
    entries = described(section)

    verified = verify(section, entries, **claims)
    with pytest.raises(Refused) as refused:
        exchange(section, entries, **claims)

    assert verified.is_of_a_service
    assert not verify(section, entries).is_of_a_service
    assert refused.value.cause is Cause.NO_GRANT


@pytest.mark.parametrize(
    ("section", "claims"),
    [
        (KEYCLOAK, {"sub": KEYCLOAKS_USER, "preferred_username": "service-account-desk-agent"}),
        (AUTH0, {"sub": AUTH0S_CLIENT}),
        (AUTH0_OWN, {"sub": AUTH0S_CLIENT}),
    ],
    ids=[KEYCLOAK, AUTH0, AUTH0_OWN],
)
def test_without_its_marks_a_machine_passes_for_a_person(
    section: str, claims: dict[str, Any]
) -> None:
    """What the page warns of: then a grant that asks for a group keeps it out."""
    entries = described(section, service_claims=ABSENT)
    groups = entries["issuers"][0]["claims"]["groups"]

    verified = verify(section, entries, **claims)
    with pytest.raises(Refused) as refused:
        exchange(section, entries, **claims, **{groups: ABSENT})

    assert not verified.is_of_a_service
    assert refused.value.cause is Cause.NO_GRANT


def test_no_entry_makes_a_proxys_own_token_good() -> None:
    """FastMCP's token is refused by its header, and HS256 cannot even be written."""
    _, own = map(json.loads, blocks("trust-an-issuer", "json", FASTMCP))
    token = jwt.encode(own["payload"], "s" * 32, algorithm="HS256", headers=own["header"])
    itself = {"issuer": own["payload"]["iss"], "alias": "proxy"}
    entries = described(FASTMCP, **itself, legacy_types=True)
    party = Described(FASTMCP)
    verifier = JwtVerifier(keyring=a_keyring(), keys=party.keys(), clock=lambda: NOW)

    with pytest.raises(SubjectTokenRejected) as refused:
        verifier.subject(presented(token), load(entries))
    with pytest.raises(RegistryInvalid):
        load(described(FASTMCP, **itself, algorithms=["HS256"]))

    assert refused.value.cause is Cause.TOKEN_HEADER


def test_every_fact_has_its_source() -> None:
    """Each number in a table of facts is in the list below it, and each of the list is used."""
    text = (PAGES / "trust-an-issuer.md").read_text("utf-8")

    for product in re.split(r"^## ", text, flags=re.MULTILINE)[2:]:
        facts, listed = product.split("\nSources:\n")
        numbers = re.findall(r"^(\d+)\. ", listed, re.MULTILINE)
        assert set(re.findall(r"\[(\d+)\]", facts)) == set(numbers), product[:20]
        assert listed.count("<https://") == len(numbers)


# Register a client


def registered(number: int) -> str:
    """One of the files that the page shows."""
    return blocks("register-a-client", "yaml")[number]


def the_client(number: int, **changes: Any) -> dict[str, Any]:
    """The client's entry in it, with changes, as a file."""
    (entry,) = yaml.safe_load(registered(number))["clients"]
    return {"clients": [entry | changes]}


CLIENT, RESOURCE, GRANT, TWO_SECRETS, KEYS, JWKS_URI, SHOWING = range(7)

CORP = {
    "issuers": [
        {
            "issuer": "https://login.example.com",
            "alias": "corp",
            "jwks_uri": "https://login.example.com/jwks",
            "algorithms": ["ES256"],
            "claims": {"groups": "groups"},
        }
    ]
}


def test_the_command_prints_what_is_shown() -> None:
    """The digest that the command prints is that of the secret, and an entry takes it."""
    (shown,) = blocks("register-a-client", "text")

    printed = CliRunner().invoke(main, ["clients", "new-secret"], catch_exceptions=False).output
    secret, line = (row.split()[-1] for row in printed.strip().splitlines())
    registry = load(the_client(CLIENT, secrets=[line]))

    assert doctest.OutputChecker().check_output(shown, printed, doctest.ELLIPSIS)
    assert registry.clients["calendar-mcp"].holds(secret)


def test_the_entries_make_a_registry() -> None:
    """Client, resource and grant, in three files, go together."""
    registry = load(CORP, registered(CLIENT), registered(RESOURCE), registered(GRANT))

    (grant,) = registry.grants["calendar-mcp", CALENDAR_API]
    assert grant.agents.registered == {"desk-agent"}
    assert registry.clients["calendar-mcp"].may_exchange


def test_two_secrets_may_stand_side_by_side() -> None:
    """While one replaces the other."""
    client = load(registered(TWO_SECRETS)).clients["calendar-mcp"]

    assert len(client.secrets) == 2


@pytest.mark.parametrize("number", [KEYS, JWKS_URI], ids=["keys", "jwks_uri"])
def test_the_entries_with_keys_load(number: int) -> None:
    """The keys themselves, or where they are."""
    client = load(registered(number)).clients["calendar-mcp"]

    assert client.keys is not None
    assert client.secrets == ()


def test_whoever_is_listed_may_be_shown() -> None:
    """Another client, and a workload of a platform; nobody else, and not the other way round."""
    registry = load(registered(SHOWING))

    clients = registry.clients
    assert clients["calendar-mcp"].may_present_actors == {
        Identity(OUR_ISSUER, "planner"),
        Identity("https://workloads.example.com", "spiffe://example.com/mailer"),
    }
    assert clients["planner"].may_present_actors == frozenset()
    assert registry.issuers == {}


def test_the_assertion_is_accepted() -> None:
    """What the page makes and signs authenticates the client that the page registers."""
    make, sign = blocks("register-a-client", "python")
    printed, page = io.StringIO(), {}
    with contextlib.redirect_stdout(printed):
        exec(make + sign, page)  # noqa: S102, it is our own page
    key = json.loads(printed.getvalue())
    registry = load(the_client(KEYS, keys=[key]))
    verifier = JwtVerifier(
        keyring=a_keyring(),
        keys=ForeignKeys(NoCooldown()),
        clock=lambda: datetime.now(UTC),
    )

    verified = verifier.assertion(page["assertion"](OUR_ISSUER), registry)
    shown = verifier.actor(presented(page["assertion"](OUR_ISSUER), TokenType.JWT), registry)

    assert verified.client.id == "calendar-mcp"
    assert shown.identity == Identity(OUR_ISSUER, "calendar-mcp")
    assert list(the_client(KEYS)["clients"][0]["keys"][0]) == list(key)
    with pytest.raises(AssertionRejected):
        verifier.assertion(page["assertion"](f"{OUR_ISSUER}/token"), registry)
