"""The development world: an issuer, a store, the service under gunicorn, and its registry."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx2
import yaml

from delegation import wiring
from delegation.dev.issuer import DevelopmentIssuer, development_issuer
from delegation.dev.servers import valkey
from delegation.jose.keyring import Status, new_key, write_keys
from delegation.ledger.layout import initialize
from delegation.ledger.store import Store
from delegation.registry.secrets import digest, new_secret
from delegation.settings import Settings

CALENDAR_MCP = "https://calendar-mcp.example/mcp"
NOTES_MCP = "https://notes-mcp.example/mcp"
CALENDAR_API = "https://calendar.example/api"
ROOMS_API = "https://rooms.example/api"
PAYROLL_API = "https://payroll.example/api"

_START_TIMEOUT = 20


class DidNotStart(Exception):
    """A part of the world did not come up; the message says what it wrote last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A running world. *secrets* are those of its clients, by client id; *pid* is gunicorn's.

    *environment* are the variables that *settings* were read from.
    """

    directory: Path
    pid: int
    environment: Mapping[str, str] = field(repr=False)
    settings: Settings
    issuer: DevelopmentIssuer
    store: Store
    secrets: Mapping[str, str] = field(repr=False)

    @property
    def url(self) -> str:
        """The service's issuer identifier, and the base of its endpoints."""
        return self.settings.issuer


@contextmanager
def running_world(
    directory: Path,
    *,
    workers: int = 2,
    entries: Mapping[str, Any] = MappingProxyType({}),
    **overrides: str,
) -> Iterator[World]:
    """Start everything in *directory*, which must be empty, and stop it again.

    *entries* stand in a second file of the registry; *overrides* are further settings by their
    environment names. Raises `DidNotStart`.
    """
    with ExitStack() as stack:
        redis_url = stack.enter_context(valkey(directory))
        issuer = stack.enter_context(development_issuer())
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        secrets = {client: new_secret() for client in ("calendar-mcp", "notes-mcp", "calendar-api")}
        environment = {
            "DELEGATION_ISSUER": f"http://127.0.0.1:{listener.getsockname()[1]}",
            "DELEGATION_REDIS_URL": redis_url,
            "DELEGATION_REGISTRY": str(directory / "registry"),
            "DELEGATION_SIGNING_KEYS": str(directory / "keys.json"),
            "DELEGATION_WORKERS": str(workers),
            **overrides,
        }
        _write_registry(directory / "registry", _registry(issuer, secrets), entries)
        write_keys(directory / "keys.json", [new_key(status=Status.ACTIVE), new_key()])
        settings = Settings.from_environment(environment)
        store = wiring.connect(settings)
        stack.callback(store.server.close)
        initialize(store.server, store.partitions)
        pid = stack.enter_context(_service(directory, settings, environment, listener))
        yield World(
            directory=directory,
            pid=pid,
            environment=environment,
            settings=settings,
            issuer=issuer,
            store=store,
            secrets=secrets,
        )


@contextmanager
def _service(
    directory: Path, settings: Settings, environment: Mapping[str, str], listener: socket.socket
) -> Iterator[int]:
    """Gunicorn as in production, on a socket that is bound already; its process id."""
    log = directory / "service.log"
    command = [sys.executable, "-m", "gunicorn", "--config", "python:delegation.gunicorn"]
    command += ["--bind", f"fd://{listener.fileno()}", "delegation.wsgi:application"]
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603, our own interpreter and arguments
            command,
            env=_inherited() | dict(environment),
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=[listener.fileno()],
        )
    try:
        _wait_until_ready(settings.issuer, process, log)
        yield process.pid
    finally:
        process.terminate()
        process.wait()


def _inherited() -> dict[str, str]:
    """Our environment without our settings: the world has its own."""
    return {name: value for name, value in os.environ.items() if not name.startswith("DELEGATION_")}


def _wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_TIMEOUT
    with httpx2.Client(trust_env=False, timeout=2) as http:
        while process.poll() is None and time.monotonic() < deadline:
            if _is_ready(http, url):
                return
            time.sleep(0.05)
    raise DidNotStart(f"the service did not start:\n{log.read_text(errors='replace')[-2000:]}")


def _is_ready(http: httpx2.Client, url: str) -> bool:
    try:
        return http.get(f"{url}/readyz").status_code == httpx2.codes.OK
    except httpx2.TransportError:
        return False


def _write_registry(directory: Path, story: Mapping[str, Any], further: Mapping[str, Any]) -> None:
    directory.mkdir(mode=0o700)
    for name, entries in (("world.yaml", story), ("further.yaml", further)):
        text = yaml.safe_dump(dict(entries), sort_keys=False)
        (directory / name).write_text(text, encoding="utf-8")


def _registry(issuer: DevelopmentIssuer, secrets: Mapping[str, str]) -> dict[str, Any]:
    """The story: people of one company, an MCP server for their calendar, and the APIs behind
    it.
    """
    return {
        "issuers": [
            {
                "issuer": issuer.url,
                "alias": "corp",
                "jwks_uri": issuer.jwks_uri,
                "algorithms": ["ES256"],
                "claims": {"groups": "groups"},
                "private_network": True,
            }
        ],
        "clients": [
            _client("calendar-mcp", CALENDAR_MCP, secrets),
            _client("notes-mcp", NOTES_MCP, secrets),
            _client("calendar-api", CALENDAR_API, secrets),
        ],
        "resources": [
            {
                "identifier": CALENDAR_API,
                "names": ["calendar"],
                "scopes": ["events.read", "events.write"],
                "clients": {"calendar-mcp": ["events.read", "events.write"]},
            },
            {
                "identifier": ROOMS_API,
                "names": ["rooms"],
                "scopes": ["rooms.read", "rooms.book"],
                "clients": {"calendar-api": ["rooms.read"]},
            },
            {
                "identifier": PAYROLL_API,
                "names": ["payroll"],
                "scopes": ["salaries.read"],
            },
        ],
        "grants": [
            {
                "id": "calendar-for-staff",
                "client": "calendar-mcp",
                "subjects": [{"issuer": "corp", "claims": {"groups": ["staff"]}}],
                "agents": ["desk-agent"],
                "resource": CALENDAR_API,
                "scopes": {
                    "calendar:read": ["events.read"],
                    "calendar:write": ["events.read", "events.write"],
                },
                "lifetime": 300,
                "expires": "never",
            },
            {
                "id": "rooms-for-calendar",
                "client": "calendar-api",
                "subjects": [{"issuer": "corp", "people": ["alice", "bob"]}],
                "agents": ["calendar-mcp"],
                "resource": ROOMS_API,
                "scopes": {"events.read": ["rooms.read"]},
                "lifetime": 120,
                "expires": "never",
            },
        ],
    }


def _client(id: str, audience: str, secrets: Mapping[str, str]) -> dict[str, Any]:  # noqa: A002
    return {"id": id, "audience": audience, "secrets": [digest(secrets[id])], "exchange": True}
