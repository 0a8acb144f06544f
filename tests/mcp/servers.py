"""One MCP server in two frameworks: the same tools, each a way to call an API for the user."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Protocol, TypeAlias

import fastmcp
import httpx2
from fastmcp.server.auth import AccessToken as FastMcpAccessToken
from fastmcp.server.auth import RemoteAuthProvider
from fastmcp.server.auth import TokenVerifier as FastMcpVerifier
from mcp.server import MCPServer
from mcp.server.auth.provider import AccessToken
from mcp.server.auth.settings import AuthSettings
from mcp.server.mcpserver import Context
from starlette.applications import Starlette

import delegation.client.fastmcp
import delegation.client.mcp
from delegation.client import DelegatedAuth, DelegationError, Exchanger, exchange, exchange_sync
from delegation.client.bearer import InvalidToken
from delegation.client.resource_server import ResourceServer
from delegation.client.stepup import StepUpMiddleware
from delegation.dev.cast import CALENDAR_API, CALENDAR_MCP
from tests.mcp.world import PLAIN, McpWorld

Tool: TypeAlias = Callable[..., Any]

READ, WRITE = "events.read", "events.write"


class Login:
    """What the tokens of the company's login say, if they are for this MCP server."""

    def __init__(self, issuer: str, resource: str) -> None:
        self._resource = resource
        self._tokens = ResourceServer(issuer=issuer, resource=resource, actor_required=False)

    async def claims(self, token: str) -> dict[str, Any] | None:
        """The arguments of either framework's `AccessToken`."""
        try:
            found = await self._tokens.verify_async(token)
        except InvalidToken:
            return None
        return {
            "token": token,
            "client_id": found.client_id,
            "scopes": sorted(found.scope),
            "expires_at": int(found.expires_at.timestamp()),
            "subject": found.subject.subject,
            "resource": self._resource,
            "claims": {"iss": found.subject.issuer},
        }


class McpLogin(Login):
    """For the MCP SDK."""

    async def verify_token(self, token: str) -> AccessToken | None:
        """As its protocol wants it."""
        claims = await self.claims(token)
        return None if claims is None else AccessToken(**claims)


class FastMcpLogin(FastMcpVerifier):
    """For FastMCP."""

    def __init__(self, login: Login, base_url: str) -> None:
        super().__init__(base_url=base_url, required_scopes=["calendar:read"])
        self._login = login

    async def verify_token(self, token: str) -> FastMcpAccessToken | None:
        """As its base class wants it."""
        claims = await self._login.claims(token)
        return None if claims is None else FastMcpAccessToken(**claims)


class Calendar:
    """The tools: each calls the API at *url*, which is known as *api*, in another way."""

    def __init__(self, *, url: str, api: str, exchanger: Exchanger) -> None:
        self.url = url
        self.api = api
        self.exchanger = exchanger
        self._reading, self._writing = (
            httpx2.AsyncClient(
                auth=DelegatedAuth(api, scope=scope, exchanger=exchanger, origins=[url]), **PLAIN
            )
            for scope in (READ, WRITE)
        )
        self._bare = httpx2.AsyncClient(**PLAIN)
        self._plain = httpx2.Client(**PLAIN)

    @asynccontextmanager
    async def lifespan(self, _: object) -> AsyncIterator[None]:
        """Its HTTP clients end with the server."""
        yield
        for client in (self._reading, self._writing, self._bare):
            await client.aclose()
        self._plain.close()

    def install(self, tool: Tool, on_behalf_of: Callable[..., Tool]) -> None:
        """Make tools of it all, with the decorators of a framework."""
        for function in (self.read, self.write, self.either, self.elsewhere, self.by_hand):
            tool()(function)
        reading = on_behalf_of(self.api, READ, exchanger=self.exchanger)
        writing = on_behalf_of(self.api, WRITE, exchanger=self.exchanger)
        tool()(reading(self.decorated))
        tool()(reading(self.synchronous))
        tool(name="decorated_write")(writing(self.decorated))

    async def get(self, day: str, token: str) -> str:
        """Whom the API sees."""
        answer = await self._bare.get(self.url, headers={"Authorization": f"Bearer {token}"})
        return f"{day} {answer.json()['sub']}"

    async def wanting(self, scope: str, *, api: str | None = None) -> str:
        """A token by hand."""
        issued = await exchange(api or self.api, scope=scope, exchanger=self.exchanger)
        return issued.access_token

    async def read(self, day: str) -> str:
        """By a client that authenticates each request."""
        return f"{day} {(await self._reading.get(self.url)).json()['sub']}"

    async def write(self, day: str) -> str:
        """The same, with more scope."""
        return f"{day} {(await self._writing.get(self.url)).json()['sub']}"

    async def decorated(self, day: str, token: str) -> str:
        """By a parameter that nobody sees."""
        return await self.get(day, token)

    def synchronous(self, day: str, token: str) -> str:
        """The same, in a thread of the framework's."""
        answer = self._plain.get(self.url, headers={"Authorization": f"Bearer {token}"})
        return f"{day} {answer.json()['sub']}"

    def by_hand(self, day: str) -> str:
        """More scope, in a thread of the framework's."""
        return day + exchange_sync(self.api, scope=WRITE, exchanger=self.exchanger).access_token

    async def either(self, day: str) -> str:
        """Writes, and else reads: a refusal that the tool deals with itself."""
        try:
            return await self.get(day, await self.wanting(WRITE))
        except DelegationError:
            return await self.get(day, await self.wanting(READ))

    async def elsewhere(self, day: str) -> str:
        """Calls an API that no grant names."""
        return await self.get(day, await self.wanting("", api="https://payroll.example/api"))


class Build(Protocol):
    """Makes the server in one of the frameworks."""

    def __call__(
        self,
        world: McpWorld,
        *,
        exchanger: Exchanger | None = None,
        resource: str = CALENDAR_MCP,
        api: str = CALENDAR_API,
        login: str | None = None,
        **options: Any,
    ) -> StepUpMiddleware:
        """The app, for *resource*, which sends agents to *login*; *options* are those of the
        framework's HTTP app.
        """
        ...


def with_mcp(
    world: McpWorld,
    *,
    exchanger: Exchanger | None = None,
    resource: str = CALENDAR_MCP,
    api: str = CALENDAR_API,
    login: str | None = None,
    **options: Any,
) -> StepUpMiddleware:
    """On the MCP SDK."""
    issuer = world.world.issuer.url
    exchanger = exchanger or world.exchanger
    calendar = Calendar(url=world.api.url, api=api, exchanger=exchanger)
    server = MCPServer(
        "calendar",
        lifespan=calendar.lifespan,
        token_verifier=McpLogin(issuer, resource),
        auth=AuthSettings(
            issuer_url=login or issuer,  # type: ignore[arg-type]
            resource_server_url=resource,  # type: ignore[arg-type]
            required_scopes=["calendar:read"],
            validate_token_resource=True,
        ),
    )
    calendar.install(server.tool, delegation.client.mcp.on_behalf_of)

    @server.tool()
    async def begun(day: str, context: Context) -> str:
        """Tells of its progress, and is refused then."""
        await context.report_progress(0.5)
        return await calendar.get(day, await calendar.wanting(WRITE))

    @server.resource("calendar://{day}")
    async def a_day(day: str) -> str:
        """Not a tool."""
        return await calendar.get(day, await calendar.wanting(WRITE))

    return StepUpMiddleware(server.streamable_http_app(**options), resource=resource)


def with_fastmcp(
    world: McpWorld,
    *,
    exchanger: Exchanger | None = None,
    resource: str = CALENDAR_MCP,
    api: str = CALENDAR_API,
    login: str | None = None,
    **options: Any,
) -> StepUpMiddleware:
    """On FastMCP."""
    issuer = world.world.issuer.url
    base_url = resource.removesuffix("/mcp")
    exchanger = exchanger or world.exchanger
    calendar = Calendar(url=world.api.url, api=api, exchanger=exchanger)
    server: Any = fastmcp.FastMCP(
        "calendar",
        lifespan=calendar.lifespan,
        auth=RemoteAuthProvider(
            FastMcpLogin(Login(issuer, resource), base_url),
            authorization_servers=[login or issuer],  # type: ignore[list-item]
            base_url=base_url,
        ),
    )
    calendar.install(server.tool, delegation.client.fastmcp.on_behalf_of)

    @server.tool()
    async def depends(
        day: str,
        token: str = delegation.client.fastmcp.DelegatedToken(api, READ, exchanger=exchanger),
    ) -> str:
        """By a dependency."""
        return await calendar.get(day, token)

    @server.tool()
    async def begun(day: str, context: fastmcp.Context) -> str:
        """Tells of its progress, and is refused then."""
        await context.report_progress(0.5)
        return await calendar.get(day, await calendar.wanting(WRITE))

    @server.resource("calendar://{day}")
    async def a_day(day: str) -> str:
        """Not a tool."""
        return await calendar.get(day, await calendar.wanting(WRITE))

    app: Starlette = server.http_app(**options)
    return StepUpMiddleware(app, resource=resource)


FRAMEWORKS: Mapping[str, Build] = {"mcp": with_mcp, "fastmcp": with_fastmcp}
