"""What is measured: the service under gunicorn, Valkey with AOF, 1,000 grants, and who may ask."""

import base64
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any
from urllib.parse import urlencode

import httpx2
import redis

from delegation.audit.note import SignerKey
from delegation.audit.segments import Directory
from delegation.dev.servers import listening
from delegation.dev.service import running_service
from delegation.dev.story import TOKEN_EXCHANGE
from delegation.dev.world import World, running_world
from delegation.domain.tokens import TokenType
from delegation.jose.keyring import Status, new_key
from delegation.registry.secrets import digest, new_secret
from delegation.wiring import sealer
from tests.benchmarks.driving import NotGranted, Target
from tests.benchmarks.machine import OTHER_CORES, SERVER_CORE, pin
from tests.world import KeyServer, Login, Signer, key_server

GRANTS = 1_000

API = "https://bench-api.example/api"
CLIENT = "bench-mcp"
"""It has a secret and a key."""
CLIENT_AUDIENCE = f"https://{CLIENT}.example/mcp"
API_CLIENT = "bench-api"
"""The API, when it introspects."""

ALGORITHMS = ("ES256", "EdDSA", "RS256")
PEOPLE = 1_000
WARM_TOKENS = 20
"""So many distinct ones, again and again, are warm."""

_SEALING = SignerKey.new("bench.example/audit")

Bodies = Callable[[int], Sequence[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A running service. *logins* are issuers that it trusts, by the algorithm they sign with."""

    world: World
    store: "redis.Redis"
    logins: Mapping[str, Login]
    signer: Signer
    secrets: Mapping[str, str] = field(repr=False)

    @property
    def store_pid(self) -> int:
        """The process of the store."""
        return int(self.store.info("server")["process_id"])

    def target(self, bodies: Bodies | None = None, *, client: str | None = CLIENT) -> Target:
        """The token endpoint, asked for *bodies*, by itself by cold tokens of the usual kind.

        *client* sends its secret; without one the bodies say who asks.
        """
        return Target(
            url=f"{self.world.url}/token",
            pid=self.world.process.pid,
            headers={} if client is None else self._basic(client),
            bodies=bodies or self.cold(),
        )

    def cold(self, algorithm: str = "ES256", **claims: Any) -> Bodies:
        """Tokens that were never seen before, of a thousand people."""
        return lambda count: [
            body(self.logins[algorithm].token(sub=f"person-{number % PEOPLE}", **claims))
            for number in range(count)
        ]

    def warm(self) -> Bodies:
        """The same few tokens."""
        few = self.cold()(WARM_TOKENS)
        return lambda count: [few[number % WARM_TOKENS] for number in range(count)]

    def chained(self, depth: int) -> Bodies:
        """Tokens whose exchange has so many actors: all but the last act already."""
        act: dict[str, Any] = {}
        for number in range(depth - 1):
            hop = {"iss": self.logins["ES256"].issuer, "sub": f"hop-{number}"}
            act = {"act": hop | act}
        return self.cold(**act)

    def signed(self) -> Bodies:
        """As cold ones; the client sends an assertion each time (`private_key_jwt`)."""
        cold = self.cold()
        kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
        return lambda count: [
            f"{one}&{urlencode({'client_assertion_type': kind, 'client_assertion': assertion})}"
            for one, assertion in zip(
                cold(count), (self.signer.assertion() for _ in range(count)), strict=True
            )
        ]

    def introspection(self) -> Target:
        """The introspection endpoint: the API asks about live tokens that it was sent."""
        url = f"{self.world.url}/introspect"

        def bodies(count: int) -> Sequence[str]:
            # New ones each time: they live for minutes, and the dead cost less.
            issued = [self._ask("token", one, CLIENT)["access_token"] for one in few]
            asked = [urlencode({"token": token}) for token in issued]
            if not self._ask("introspect", asked[0], API_CLIENT)["active"]:
                raise NotGranted("a token that was issued is not active")
            return [asked[number % len(asked)] for number in range(count)]

        few = self.cold()(WARM_TOKENS)
        headers = self._basic(API_CLIENT)
        return Target(url=url, pid=self.world.process.pid, headers=headers, bodies=bodies)

    def _ask(self, endpoint: str, asked: str, client: str) -> dict[str, Any]:
        content = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = httpx2.post(
            f"{self.world.url}/{endpoint}",
            content=asked,
            headers=self._basic(client) | content,
            trust_env=False,
        )
        if answer.status_code != httpx2.codes.OK:
            raise NotGranted(answer.text)
        found: dict[str, Any] = answer.json()
        return found

    @contextmanager
    def beside(self, application: str) -> Iterator[Target]:
        """Another application, as the service is run, in the same environment."""
        with (
            listening(0) as listener,
            running_service(
                listener,
                environment=self.world.environment,
                log=self.world.directory / f"{application.rpartition('.')[2]}.log",
                told=Event(),
                application=application,
            ) as process,
        ):
            pin(process.pid, {SERVER_CORE})
            yield Target(
                url=f"http://127.0.0.1:{listener.getsockname()[1]}/token",
                pid=process.pid,
                headers=self._basic(CLIENT),
                bodies=self.cold(),
            )

    def memory(self) -> int:
        """Bytes that the store uses."""
        return int(self.store.info("memory")["used_memory"])

    def scripts_run(self) -> int:
        """How many. The statistics count the commands inside them, too: not those."""
        stats = self.store.info("commandstats")
        return sum(stats.get(f"cmdstat_{name}", {}).get("calls", 0) for name in ("evalsha", "eval"))

    def seal(self) -> None:
        """Move all events out of the store, into files."""
        segments = Directory(self.world.directory / "audit")
        segments.prepare()
        for _ in sealer(self.world.store, segments, _SEALING)():
            pass

    def _basic(self, client: str) -> dict[str, str]:
        pair = f"{client}:{self.secrets[client]}".encode()
        return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}


@contextmanager
def a_scene(
    *, grants: int = GRANTS, algorithms: Sequence[str] = ALGORITHMS, **overrides: str
) -> Iterator[Scene]:
    """Start it, with one worker on a core of its own; *overrides* are settings of the service.

    Of the issuers, those with these *algorithms* can sign.
    """
    signing = new_key(status=Status.ACTIVE)
    secrets = {client: new_secret() for client in (CLIENT, API_CLIENT)}
    settings = {"DELEGATION_MAX_UNDRAINED_EVENTS": "10000000", **overrides}
    with (
        tempfile.TemporaryDirectory(prefix="delegation-bench-") as directory,
        key_server() as keys,
        running_world(
            Path(directory),
            workers=1,
            entries=_entries(keys, grants, secrets, signing.published()),
            **settings,
        ) as world,
        redis.Redis.from_url(world.settings.redis_url) as store,
    ):
        pin(world.process.pid, {SERVER_CORE})
        scene = Scene(
            world=world,
            store=store,
            logins={algorithm: _login(keys, algorithm) for algorithm in algorithms},
            signer=Signer(CLIENT, audience=world.url, key=signing),
            secrets=secrets,
        )
        pin(scene.store_pid, OTHER_CORES)
        yield scene


def body(token: str, **further: str) -> str:
    """A request for a token for the API, as a form."""
    form = {
        "grant_type": TOKEN_EXCHANGE,
        "subject_token": token,
        "subject_token_type": TokenType.ACCESS_TOKEN.value,
        "resource": API,
        "scope": "events.read",
    }
    return urlencode(form | further)


def _login(keys: KeyServer, algorithm: str) -> Login:
    usual = {
        "aud": CLIENT_AUDIENCE,
        "client_id": "desk-agent",
        "scope": "calendar:read",
        "groups": ["staff"],
    }
    key = new_key(algorithm, Status.ACTIVE)
    login = Login(_issuer(keys, algorithm), usual=usual, key=key)
    keys.documents[f"/{algorithm.lower()}/jwks"] = login.jwks()
    return login


def _issuer(keys: KeyServer, algorithm: str) -> str:
    return f"{keys.url}/{algorithm.lower()}"


def _entries(
    keys: KeyServer, grants: int, secrets: Mapping[str, str], jwk: dict[str, str]
) -> dict[str, Any]:
    """The registry: who is measured, and so many grants that are none of theirs."""
    fillers = range(grants - 1)
    clients = len(fillers) // 10 + 1
    return {
        "issuers": [
            {
                "issuer": _issuer(keys, algorithm),
                "alias": algorithm.lower(),
                "jwks_uri": f"{_issuer(keys, algorithm)}/jwks",
                "algorithms": [algorithm],
                "claims": {"groups": "groups"},
                "asserts_actors": True,
                "private_network": True,
            }
            for algorithm in ALGORITHMS
        ],
        "clients": [
            {
                "id": CLIENT,
                "audience": CLIENT_AUDIENCE,
                "secrets": [digest(secrets[CLIENT])],
                "keys": [jwk],
                "exchange": True,
            },
            {
                "id": API_CLIENT,
                "audience": API,
                "secrets": [digest(secrets[API_CLIENT])],
                "exchange": False,
            },
            *map(_filling_client, range(clients)),
        ],
        "resources": [
            _resource(API, CLIENT),
            *(_resource(_filling_api(number), f"mcp-{number}") for number in range(clients)),
        ],
        "grants": [
            _grant("bench", CLIENT, API, people=()),
            *map(partial(_filling_grant, clients), fillers),
        ],
    }


def _filling_client(number: int) -> dict[str, Any]:
    return {
        "id": f"mcp-{number}",
        "audience": f"https://mcp-{number}.example/mcp",
        "secrets": [f"sha256:{number:064x}"],
        "exchange": True,
    }


def _filling_api(number: int) -> str:
    return f"https://api-{number}.example/api"


def _filling_grant(clients: int, number: int) -> dict[str, Any]:
    client = number % clients
    people = (f"person-{number}",)
    return _grant(f"grant-{number}", f"mcp-{client}", _filling_api(client), people=people)


def _resource(identifier: str, client: str) -> dict[str, Any]:
    return {
        "identifier": identifier,
        "scopes": ["events.read", "events.write"],
        "clients": {client: ["events.read", "events.write"]},
    }


def _grant(name: str, client: str, resource: str, *, people: Sequence[str]) -> dict[str, Any]:
    return {
        "id": name,
        "client": client,
        "subjects": [
            {"issuer": algorithm.lower(), "claims": {"groups": ["staff"]}}
            | ({"people": list(people)} if people else {})
            for algorithm in ALGORITHMS
        ],
        "agents": "any",
        "resource": resource,
        "scopes": {"calendar:read": ["events.read"], "calendar:write": ["events.write"]},
        "lifetime": 900,
        "expires": "never",
    }
