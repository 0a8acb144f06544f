"""Real MCP servers on a real world, an API that records its wire, and an agent to call them."""

import json
import ssl
import threading
import time
from collections.abc import AsyncIterator, Generator, Iterator, Mapping
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import create_server, socket
from typing import Any, BinaryIO

import httpx2
import jwt
import uvicorn
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.dispatcher import ProgressFnT
from mcp_types import CallToolResult, TextContent

from delegation.client import Exchanger, Service
from delegation.dev.cast import CALENDAR_API, CALENDAR_MCP
from delegation.dev.kept import Directory
from delegation.dev.world import World, running_world
from delegation.registry.secrets import digest, new_secret

LOOPBACK_MCP = "loopback-mcp"
"""A client whose audience is where its server really is, so that MCP clients can log in there."""

PLAIN: Mapping[str, Any] = {
    "trust_env": False,
    "timeout": 60,
    "verify": ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
}
"""For clients of plain HTTP on this machine: to load certificate authorities takes long."""

LOOPBACK_API = f"{CALENDAR_API}/loopback"
"""The calendar API, as that client calls it."""

ERAS = ("legacy", "auto")
"""How an MCP client speaks: as until 2025 with sessions, or as since 2026 without."""


@dataclass(frozen=True, slots=True)
class Api:
    """The calendar API. *wire* is every byte that came to it, *calls* what the tokens said."""

    url: str
    wire: list[bytes] = field(default_factory=list)
    calls: list[Mapping[str, Any]] = field(default_factory=list)

    def received(self) -> bytes:
        """All of its wire, so far."""
        return b"".join(self.wire)


class _Tapped:
    """What is read from here is written down."""

    def __init__(self, file: BinaryIO, wire: list[bytes]) -> None:
        self._file = file
        self._wire = wire

    def readline(self, limit: int = -1) -> bytes:
        return self._kept(self._file.readline(limit))

    def read(self, size: int = -1) -> bytes:
        return self._kept(self._file.read(size))

    def close(self) -> None:
        self._file.close()

    def _kept(self, data: bytes) -> bytes:
        self._wire.append(data)
        return data


@contextmanager
def recording_api(issuer: str) -> Iterator[Api]:
    """An API that answers any request with what its token says, if that is good here."""
    keys = jwt.PyJWKClient(f"{issuer}/jwks")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # an answer leaves at once, and not in parts that wait for each other

        def setup(self) -> None:
            super().setup()
            self.rfile = _Tapped(self.rfile, api.wire)  # type: ignore[assignment]

        def do_GET(self) -> None:
            token = self.headers["Authorization"].removeprefix("Bearer ")
            claims = jwt.decode(
                token,
                keys.get_signing_key_from_jwt(token).key,
                algorithms=["ES256"],
                issuer=issuer,
                options={"verify_aud": False, "require": ["exp", "sub", "act", "scope"]},
            )
            assert claims["aud"] in {CALENDAR_API, LOOPBACK_API}
            api.calls.append(claims)
            body = json.dumps({"sub": claims["sub"], "scope": claims["scope"]}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        request_queue_size = 256

    server = Server(("127.0.0.1", 0), Handler)
    api = Api(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def serving(app: Any, listener: socket | None = None) -> Iterator[str]:
    """Serve an ASGI *app* under uvicorn; where it is."""
    listener = listener or create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        app,
        log_config=None,
        lifespan="on",
        ws="none",
        timeout_keep_alive=60,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        while not server.started:
            time.sleep(0.005)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


@dataclass(frozen=True, slots=True, kw_only=True)
class McpWorld:
    """The development world, the calendar API, and what *calendar-mcp* exchanges with.

    *loopback* is the audience of `LOOPBACK_MCP`, and its server's address at the *listener*.
    """

    directory: Path
    world: World
    api: Api
    exchanger: Exchanger
    listener: socket
    loopback: str
    secrets: Mapping[str, str] = field(repr=False)

    def token(
        self,
        user: str = "alice",
        *,
        scope: str = "calendar:read",
        audience: str = CALENDAR_MCP,
        **claims: Any,
    ) -> str:
        """What the company's login gives *user*'s agent for the MCP server."""
        known = {"agent": "desk-agent", "audience": audience, "groups": ["staff"]}
        return self.world.issuer.token(user=user, scope=scope, **(known | claims))


@contextmanager
def a_mcp_world(directory: Path) -> Iterator[McpWorld]:
    """Start it all in *directory*, as `delegation dev` would; other commands can be run there."""
    secret = new_secret()
    kept = Directory.beside(directory / ".delegation" / "dev.env").path
    kept.mkdir(mode=0o700, parents=True)
    with ExitStack() as stack:
        listener = stack.enter_context(create_server(("127.0.0.1", 0)))
        at = f"http://127.0.0.1:{listener.getsockname()[1]}/mcp"
        world = stack.enter_context(
            running_world(kept, workers=1, entries=_loopback(at, digest(secret)))
        )
        api = stack.enter_context(recording_api(world.url))
        exchanger = Exchanger(
            Service(
                issuer=world.url,
                client_id="calendar-mcp",
                client_secret=world.secrets["calendar-mcp"],
            )
        )
        stack.callback(exchanger.close)
        yield McpWorld(
            directory=directory,
            world=world,
            api=api,
            exchanger=exchanger,
            listener=listener,
            loopback=at,
            secrets={**world.secrets, LOOPBACK_MCP: secret},
        )


def _loopback(audience: str, secret: str) -> Mapping[str, Any]:
    """A second MCP server for the same API."""
    return {
        "clients": [
            {"id": LOOPBACK_MCP, "audience": audience, "secrets": [secret], "exchange": True}
        ],
        "resources": [
            {
                "identifier": LOOPBACK_API,
                "scopes": ["events.read", "events.write"],
                "clients": {LOOPBACK_MCP: ["events.read", "events.write"]},
            }
        ],
        "grants": [
            {
                "id": LOOPBACK_MCP,
                "client": LOOPBACK_MCP,
                "subjects": [{"issuer": "corp", "everyone": True}],
                "agents": ["desk-agent"],
                "resource": LOOPBACK_API,
                "scopes": {"calendar:read": ["events.read"], "calendar:write": ["events.write"]},
                "expires": "never",
            }
        ],
    }


@dataclass(slots=True, kw_only=True)
class Agent:
    """A real MCP client. *token* is what it shows; *answers* is all that it got, over HTTP."""

    client: Client
    bearer: "Bearer"
    answers: list[httpx2.Response]

    async def call(self, tool: str, *, heard: ProgressFnT | None = None) -> str:
        """What a tool of `tests.mcp.servers` says."""
        return await self.say(tool, heard=heard, day="monday")

    async def say(self, tool: str, *, heard: ProgressFnT | None = None, **arguments: str) -> str:
        """What *tool* says. Raises `MCPError` where the answer is none, `ToolFailed` where it is
        an error.
        """
        result = await self.client.call_tool(tool, arguments, progress_callback=heard)
        assert isinstance(result, CallToolResult)
        [content] = result.content
        assert isinstance(content, TextContent)
        if result.is_error:
            raise ToolFailed(content.text)
        return content.text

    @property
    def last(self) -> httpx2.Response:
        """The last answer."""
        return self.answers[-1]


class ToolFailed(Exception):
    """The result of a tool is an error."""


class Bearer(httpx2.Auth):
    """Shows *token*, which may be another one later."""

    def __init__(self, token: str) -> None:
        self.token = token

    def auth_flow(
        self, request: httpx2.Request
    ) -> Generator[httpx2.Request, httpx2.Response, None]:
        """One request."""
        request.headers["Authorization"] = f"Bearer {self.token}"
        yield request


@asynccontextmanager
async def an_agent(
    url: str, token: str, *, auth: httpx2.Auth | None = None, era: str = "auto"
) -> AsyncIterator[Agent]:
    """A real MCP client of the server at *url*, which shows *token*, or what *auth* gets."""
    bearer = Bearer(token)
    answers: list[httpx2.Response] = []

    async def keep(answer: httpx2.Response) -> None:
        """Every answer."""
        answers.append(answer)

    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(
            httpx2.AsyncClient(
                auth=auth or bearer,
                event_hooks={"response": [keep]},
                **PLAIN,
                limits=httpx2.Limits(max_connections=64),
            )
        )
        transport = streamable_http_client(f"{url}/mcp", http_client=http)
        client = await stack.enter_async_context(Client(transport, mode=era))
        yield Agent(client=client, bearer=bearer, answers=answers)
