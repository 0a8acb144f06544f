"""A running world for tests from outside: the development world, with what attacks need besides."""

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from secrets import token_urlsafe
from typing import Any

import redis
from jsonschema import Draft202012Validator

from delegation.audit.events import schema
from delegation.audit.packing import unpacked
from delegation.dev.cast import CALENDAR_API, CALENDAR_MCP
from delegation.dev.world import World, running_world
from delegation.jose.keyring import Keyring, SigningKey, Status, new_key
from delegation.registry.secrets import digest, new_secret
from tests.secrecy import leaks
from tests.signing import ABSENT, SigningClient, SigningParty

ONCE_API = "https://once.example/api"
LENIENT_API = "https://lenient.example/api"
SIGNED_API = "https://signed.example/api"
"""Admits *signing-mcp* alone."""
EXPIRED_API = "https://expired.example/api"
"""For which there was a grant once."""
TEAM_API = "https://team.example/api"
"""Admits *team-mcp* alone, for chains of the usual length; so do the next two."""
DEEP_API = "https://deep.example/api"
"""Where chains may be as long as they ever may."""
ROUND_API = "https://round.example/api"
"""Where one may act twice in a chain."""
DOORS_API = "https://doors.example/api"
"""Admits *team-api* alone, at the third hop."""

IDLE = "idle-mcp"
"""A client that may not exchange."""
PUBLIC = "public-mcp"
"""A client without a secret."""
ODD = "odd+mcp:50%"
"""A client whose id must be encoded before it goes into a header (RFC 6749 §2.3.1)."""
SIGNING = "signing-mcp"
"""A client with a key and without a secret."""
SIGNING_MCP = f"https://{SIGNING}.example/mcp"
TEAM = "team-mcp"
"""A client with a secret and a key, that may present *planner-mcp* and the `WORKLOAD`."""
TEAM_MCP = f"https://{TEAM}.example/mcp"
"""Also a resource, at which *calendar-mcp* may act."""
PLANNER = "planner-mcp"
"""A client with a key, that may not exchange by itself."""
TEAM_API_CLIENT = "team-api"
"""The `TEAM_API`, when it is itself a client."""
AUDITOR = "auditor"
"""A client that may not exchange, and may introspect everything."""
WORKLOAD = "spiffe://workloads.example/planner"

FAILING = ("down", "missing", "moved", "nonsense")
"""Issuers whose keys cannot be had."""


class Login(SigningParty):
    """An issuer of subject tokens that a running service trusts: signs with *key*, now.

    *usual* are the claims that a sound token has besides the registered ones. *kid* is what it
    calls its key, where that is not the key's thumbprint.
    """

    def __init__(
        self,
        issuer: str,
        *,
        usual: Mapping[str, Any],
        key: SigningKey | None = None,
        kid: str | None = None,
    ) -> None:
        super().__init__(issuer)
        self._usual = usual
        self.key = key or self.key
        self._kid = kid or self.key.kid

    @property
    def kid(self) -> str:
        """The name of its key."""
        return self._kid

    def jwks(self) -> dict[str, Any]:
        """The JWK Set that it publishes."""
        return {"keys": [self.key.published() | {"kid": self.kid}]}

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Those of a sound token, a second old, with an hour to live, and an id of its own."""
        now = int(time.time())
        fresh = {"iat": now - 1, "exp": now + 3600, "jti": token_urlsafe(16)}
        return super().claims(**(dict(self._usual) | fresh | changes))


class Platform(Login):
    """An actor issuer: tells the service at *audience* which workload it deals with."""

    def __init__(
        self, issuer: str, *, audience: str, usual: Mapping[str, Any], kid: str | None = None
    ) -> None:
        super().__init__(issuer, usual=usual, kid=kid)
        self._audience = audience

    def workload(self, *, header: Mapping[str, Any] | None = None, **claims: Any) -> str:
        """A sound JWT that names `WORKLOAD` to the service."""
        named = {"sub": WORKLOAD, "aud": self._audience, "client_id": ABSENT, "scope": ABSENT}
        return self.token(header={"typ": "JWT"} | dict(header or {}), **(named | claims))

    def access_token(self, *, header: Mapping[str, Any] | None = None, **claims: Any) -> str:
        """A sound access token of `WORKLOAD` for some API, issued to *team-mcp*."""
        issued = {"sub": WORKLOAD, "aud": "https://elsewhere.example/api", "client_id": TEAM}
        return self.token(header=header, **(issued | claims))


class Signer(SigningClient):
    """A client that signs assertions with *key* for the service at *audience*, now."""

    def __init__(self, id_: str, *, audience: str, key: SigningKey) -> None:
        super().__init__(id_)
        self._audience = audience
        self.key = key

    def assertion(self, *, header: Mapping[str, Any] | None = None, **claims: Any) -> str:
        """A sound one but for the changes: good for a minute from now, with an id of its own."""
        now = int(time.time())
        fresh = {"aud": self._audience, "iat": now, "exp": now + 60, "jti": token_urlsafe(16)}
        return super().assertion(header=header, **(fresh | claims))


@dataclass(frozen=True, slots=True)
class KeyServer:
    """A web server of the test: serves *documents* by path, and counts who asked for what.

    A document that is a string is a redirect to there; a missing one is a 404, and a path that is
    *down* a 500.
    """

    url: str
    documents: dict[str, Mapping[str, Any] | str] = field(default_factory=dict)
    requests: Counter[str] = field(default_factory=Counter)
    down: set[str] = field(default_factory=set)


@contextmanager
def key_server() -> Iterator[KeyServer]:
    """Serve on a free loopback port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            document = served.documents.get(self.path)
            served.requests[self.path] += 1
            body = json.dumps(document).encode()
            if self.path in served.down:
                self.send_response(500)
            elif isinstance(document, str):
                self.send_response(302)
                self.send_header("Location", document)
            else:
                self.send_response(404 if document is None else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served = KeyServer(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


_OF_REFUSALS = (b":refusals", b":caps", b":alarms", b":alarmcounts", b":layout", b":workers")


@dataclass(frozen=True, slots=True)
class Books:
    """What the ledger holds, read behind the service's back."""

    store: "redis.Redis"

    def state(self) -> dict[bytes, int]:
        """Every key but those that a refusal may write to, or time; of streams also the length."""
        kept = {}
        for key in self.store.scan_iter(count=10_000):
            if not key.endswith(_OF_REFUSALS) and b"cooldown" not in key:
                kept[key] = int(self.store.xlen(key)) if key.endswith(b":events") else 1
        return kept

    def exchanges(self) -> set[bytes]:
        """The key of every record of a live exchange."""
        return set(self.store.scan_iter("dlg:*:x:*", count=10_000))

    def claims(self) -> dict[bytes, int]:
        """The key of every one-time id that was taken, and for how many seconds it still is."""
        keys = self.store.scan_iter("dlg:*:claim:*", count=10_000)
        return {key: int(self.store.ttl(key)) for key in keys}

    def refusal(self, decision: str) -> dict[str, Any]:
        """The event of a refusal that was written lately, by its decision's id."""
        for stream in self.store.scan_iter("dlg:*:refusals", count=10_000):
            for _, fields in self.store.xrevrange(stream, count=20):
                event: dict[str, Any] = unpacked(fields[b"event"])
                if event.get("decision") == decision:
                    return event
        raise AssertionError("the refusal is not in the ledger")

    def exchange(self, decision: str) -> dict[str, Any]:
        """The event of an exchange that was written lately, by its decision's id."""
        for _, fields in self.store.xrevrange(f"dlg:{{{decision.partition('-')[0]}}}:events"):
            event: dict[str, Any] = unpacked(fields[b"event"])
            if event.get("decision") == decision:
                return event
        raise AssertionError("the exchange is not in the ledger")

    def must_hold_to_the_schema(self) -> None:
        """Every event that still stands is as the schema has it: one of each shape is looked at."""
        validator = Draft202012Validator(schema())
        shapes: dict[Any, dict[str, Any]] = {}
        for stream in ("events", "refusals"):
            for key in self.store.scan_iter(f"dlg:*:{stream}", count=10_000):
                for number, fields in self.store.xrevrange(key, count=1_000):
                    event = unpacked(fields[b"event"])
                    place = b"%b:0:%b" % (fields[b"epoch"], stream.encode())
                    head = {"id": f"{place.decode()}:{int(number.partition(b'-')[0])}", "at": _AT}
                    shapes[_shape(event)] = head | event
        for event in shapes.values():
            validator.validate(event)


_AT = "2026-11-20T12:00:00.000Z"


def _shape(event: Mapping[str, Any]) -> frozenset[tuple[str, frozenset[str]]]:
    """Which members it has, and which these have; and which of all kinds it is."""
    members = ((name, value if isinstance(value, dict) else ()) for name, value in event.items())
    said = frozenset({str(event["type"]), str(event.get("cause"))})
    return frozenset({("", said), *((name, frozenset(below)) for name, below in members)})


@dataclass(frozen=True, slots=True, kw_only=True)
class TestWorld:
    """The development world, with further issuers, clients, resources and grants.

    *partner* is a second trusted issuer; it publishes its key under the name of the first one's.
    *federated* is a third, which may say who acts; its tokens are for *team-mcp*. *platform* is an
    actor issuer, and *hybrid* is trusted for both. *signer*, *team* and *planner* are the clients
    *signing-mcp*, *team-mcp* and *planner-mcp*.
    """

    __test__ = False

    world: World
    keys: KeyServer
    books: Books
    login: Login
    partner: Login
    federated: Login
    platform: Platform
    hybrid: Platform
    signer: Signer
    team: Signer
    planner: Signer
    secrets: Mapping[str, str] = field(repr=False)

    @property
    def log(self) -> str:
        """What the service has written so far."""
        return (self.world.directory / "service.log").read_text(errors="replace")


@contextmanager
def a_test_world(directory: Path, *, workers: int = 2, **overrides: str) -> Iterator[TestWorld]:
    """Start it all in *directory*, which must be empty, and stop it again.

    Then the service has written no token, no secret and no key, whatever happened in the world.
    """
    directory.chmod(0o700)
    own = {client: new_secret() for client in (IDLE, ODD, TEAM, TEAM_API_CLIENT, AUDITOR)}
    signing = {client: new_key(status=Status.ACTIVE) for client in (SIGNING, TEAM, PLANNER)}
    # Nobody seals here while tests run, some of which send a hundred thousand requests.
    roomy = {"REFUSALS_PER_MINUTE": "1000000", "MAX_UNDRAINED_EVENTS": "1000000"}
    settings = {f"DELEGATION_{name}": value for name, value in roomy.items()} | overrides
    with (
        key_server() as keys,
        running_world(
            directory, workers=workers, entries=_entries(keys.url, own, signing), **settings
        ) as world,
        redis.Redis.from_url(world.settings.redis_url) as store,
    ):
        usual = {
            "sub": "alice",
            "aud": CALENDAR_MCP,
            "client_id": "desk-agent",
            "scope": "calendar:read",
            "groups": ["staff"],
        }
        login = Login(world.issuer.url, usual=usual, key=world.issuer.key)
        partner = Login(f"{keys.url}/partner", usual=usual | {"tid": "north"}, kid=login.kid)
        ours = usual | {"aud": TEAM_MCP}
        federated = Login(f"{keys.url}/federated", usual=ours)
        platform, hybrid = (
            Platform(f"{keys.url}/{alias}", audience=world.url, usual=ours, kid=login.kid)
            for alias in ("platform", "hybrid")
        )
        signers = (Signer(client, audience=world.url, key=key) for client, key in signing.items())
        signer, team, planner = signers
        for issuer in (partner, federated, platform, hybrid):
            keys.documents[f"{issuer.issuer.removeprefix(keys.url)}/jwks"] = issuer.jwks()
        keys.down.add("/down/jwks")
        keys.documents["/moved/jwks"] = f"{keys.url}/partner/jwks"
        keys.documents["/nonsense/jwks"] = {"keys": "none"}
        yield TestWorld(
            world=world,
            keys=keys,
            books=Books(store),
            login=login,
            partner=partner,
            federated=federated,
            platform=platform,
            hybrid=hybrid,
            signer=signer,
            team=team,
            planner=planner,
            secrets={**world.secrets, **own},
        )
        with suppress(redis.ConnectionError):  # the test may have stopped it
            Books(store).must_hold_to_the_schema()
    parties = (login, partner, federated, platform, hybrid, signer, team, planner)
    keys_of_ours = Keyring.load(world.settings.signing_keys).keys
    private = [str(key.kept()["d"]) for key in (*keys_of_ours, *(one.key for one in parties))]
    entrusted = [*private, *world.secrets.values(), *own.values()]
    for log in directory.glob("*.log"):
        found = leaks(log.read_text(errors="replace"), known=entrusted)
        assert not [*found], f"{log.name} holds what nobody may read"


def _entries(
    url: str, secrets: Mapping[str, str], signing: Mapping[str, SigningKey]
) -> dict[str, Any]:
    """What the registry says besides the story; *secrets* and *signing* keys are by client."""
    keys = {client: {"keys": [key.published()]} for client, key in signing.items()}
    return {
        "issuers": [
            _issuer(url, "partner") | {"claims": {"tenant": "tid"}},
            _issuer(url, "federated") | {"asserts_actors": True},
            _issuer(url, "hybrid"),
            _issuer(url, "counted"),
            _issuer(url, "redirecting"),
            *(_issuer(url, alias) for alias in FAILING),
        ],
        "actor_issuers": [_issuer(url, alias) for alias in ("platform", "hybrid", "down")],
        "clients": [
            _client(IDLE, exchange=False) | {"secrets": [digest(secrets[IDLE])]},
            _client(PUBLIC),
            _client(ODD) | {"audience": "urn:odd", "secrets": [digest(secrets[ODD])]},
            _client(SIGNING) | keys[SIGNING],
            _client(TEAM_API_CLIENT)
            | {"audience": TEAM_API, "secrets": [digest(secrets[TEAM_API_CLIENT])]},
            _client(AUDITOR, exchange=False)
            | {"secrets": [digest(secrets[AUDITOR])], "auditor": True},
            _client(PLANNER, exchange=False) | keys[PLANNER],
            _client(TEAM)
            | keys[TEAM]
            | {
                "secrets": [digest(secrets[TEAM])],
                "may_present_actors": {
                    "clients": [PLANNER],
                    "workloads": {"platform": [WORKLOAD], "hybrid": [WORKLOAD, "alice"]},
                },
            },
        ],
        "resources": [
            _resource(ONCE_API),
            _resource(LENIENT_API),
            _resource(SIGNED_API, client=SIGNING),
            _resource(EXPIRED_API),
            {
                "identifier": TEAM_MCP,
                "scopes": ["calendar:read"],
                "clients": {"calendar-mcp": ["calendar:read"]},
            },
            *(_resource(api, client=TEAM) for api in (TEAM_API, DEEP_API, ROUND_API)),
            _resource(DOORS_API, client=TEAM_API_CLIENT),
        ],
        "grants": [
            _grant("partners", CALENDAR_API)
            | {"subjects": [{"issuer": "partner", "claims": {"tenant": ["north"]}}]},
            _grant("once", ONCE_API) | {"single_use": True},
            _grant("lenient", LENIENT_API) | {"downscope": True},
            _grant("signed", SIGNED_API) | {"client": SIGNING},
            _grant("expired", EXPIRED_API) | {"expires": "2020-01-01T00:00:00Z"},
            _grant("calendar-to-team", TEAM_MCP) | {"scopes": {"calendar:read": ["calendar:read"]}},
            _team_grant("team", TEAM_API),
            _team_grant("deep", DEEP_API) | {"chain_limit": 8},
            _team_grant("round", ROUND_API) | {"cycles": True},
            _grant("doors", DOORS_API)
            | {
                "client": TEAM_API_CLIENT,
                "agents": [TEAM],
                "scopes": {"events.read": ["events.read"]},
            },
        ],
    }


def _team_grant(id: str, resource: str) -> dict[str, Any]:  # noqa: A002
    return _grant(id, resource) | {
        "client": TEAM,
        "subjects": [
            {"issuer": issuer, "everyone": True} for issuer in ("corp", "federated", "hybrid")
        ],
        "agents": ["desk-agent", "calendar-mcp"],
    }


def _issuer(url: str, alias: str) -> dict[str, Any]:
    return {
        "issuer": f"{url}/{alias}",
        "alias": alias,
        "jwks_uri": f"{url}/{alias}/jwks",
        "algorithms": ["ES256"],
        "private_network": True,
    }


def _client(id: str, *, exchange: bool = True) -> dict[str, Any]:  # noqa: A002
    return {"id": id, "audience": f"https://{id}.example/mcp", "exchange": exchange}


def _resource(identifier: str, client: str = "calendar-mcp") -> dict[str, Any]:
    return {
        "identifier": identifier,
        "scopes": ["events.read", "events.write"],
        "clients": {client: ["events.read", "events.write"]},
    }


def _grant(id: str, resource: str) -> dict[str, Any]:  # noqa: A002
    return {
        "id": id,
        "client": "calendar-mcp",
        "subjects": [{"issuer": "corp", "everyone": True}],
        "agents": ["desk-agent"],
        "resource": resource,
        "scopes": {"calendar:read": ["events.read"], "calendar:write": ["events.write"]},
        "expires": "never",
    }
