"""A real agent at a real MCP server, on either framework, with the real service and an API."""

import asyncio
import json
import logging
import secrets
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from mcp.shared.exceptions import MCPError

from delegation.audit.packing import unpacked
from delegation.dev.cast import CALENDAR_API, CALENDAR_MCP, NOTES_MCP
from delegation.ledger.evidence import Evidence
from tests.mcp.servers import FRAMEWORKS, Build
from tests.mcp.world import ERAS, McpWorld, an_agent, serving

JSON, STATELESS = {"json_response": True}, {"stateless_http": True}

READING = ("read", "decorated", "synchronous")
WRITING = ("write", "decorated_write", "by_hand")


@pytest.fixture(name="build", scope="module", params=FRAMEWORKS)
def _build(request: pytest.FixtureRequest) -> Build:
    """Every test plays on both frameworks."""
    return FRAMEWORKS[request.param]


@pytest.fixture(name="url", scope="module")
def _url(world: McpWorld, build: Build) -> Iterator[str]:
    """A server as a framework sets it up by itself."""
    with serving(build(world)) as url:
        yield url


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, id="sessions"),
        pytest.param(STATELESS | JSON, id="stateless json"),
        pytest.param(STATELESS, id="stateless", marks=pytest.mark.slow),
        pytest.param(JSON, id="json", marks=pytest.mark.slow),
    ],
)
def test_every_way_to_call_and_to_be_refused(
    world: McpWorld, build: Build, options: dict[str, bool], era: str
) -> None:
    """Whatever the framework, the transport's mode and the protocol's age: tools call the API for
    the user, and refusals are answers of HTTP.
    """

    async def play(url: str) -> None:
        """What the agent does."""
        async with an_agent(url, world.token(), era=era) as agent:
            for tool in READING:
                assert await agent.call(tool) == "monday corp|alice"
            for tool in WRITING:
                with pytest.raises(MCPError, match="more scope: calendar:write"):
                    await agent.call(tool)
                assert agent.last.status_code == 403
                assert agent.last.headers["WWW-Authenticate"] == (
                    'Bearer error="insufficient_scope", scope="calendar:read calendar:write", '
                    'resource_metadata="https://calendar-mcp.example/.well-known/'
                    'oauth-protected-resource/mcp"'
                )
            with pytest.raises(MCPError, match="not permitted"):
                await agent.call("elsewhere")
            assert agent.last.status_code == 403
            assert "WWW-Authenticate" not in agent.last.headers
            assert await agent.call("either") == "monday corp|alice"

    with serving(build(world, **options)) as url:
        asyncio.run(play(url))


@pytest.mark.standard("MCP-2")
def test_what_the_api_sees(world: McpWorld, url: str) -> None:
    """Alice, for whom the MCP server acts, and her agent behind it; for this API, to read."""

    async def play() -> None:
        """What the agent does."""
        async with an_agent(url, world.token()) as agent:
            await agent.call("read")

    asyncio.run(play())

    seen = world.api.calls[-1]
    assert seen["sub"] == "corp|alice"
    assert seen["aud"] == CALENDAR_API
    assert seen["scope"] == "events.read"
    assert (seen["act"]["iss"], seen["act"]["sub"]) == (world.world.url, "calendar-mcp")
    assert seen["act"]["act"]["sub"] == "desk-agent"


@pytest.mark.parametrize(
    ("era", "tool", "claimed"),
    [
        ("auto", "read", ("tools/call", "read")),
        ("legacy", "read", None),
        ("legacy", "decorated", ("tools/call", "decorated")),
    ],
)
def test_the_audit_trail_names_the_tool(
    world: McpWorld, url: str, era: str, tool: str, claimed: tuple[str, str] | None
) -> None:
    """By the headers of the request, where the protocol has them, or as the tool knows itself."""
    user = f"user-{secrets.token_hex(4)}"

    async def play() -> None:
        """What the agent does."""
        async with an_agent(url, world.token(user), era=era) as agent:
            await agent.call(tool)

    asyncio.run(play())

    said = _event(world, str(world.api.calls[-1]["jti"])).get("claimed")
    assert (said and (said["mcp_method"], said["mcp_name"])) == claimed


def _event(world: McpWorld, exchange: str) -> dict[str, Any]:
    """That of an exchange, which stands in the partition that its id names."""
    partition = int(exchange.partition("-")[0])
    stored = Evidence(world.world.store).read(partition, "events", count=1_000)
    events: list[dict[str, Any]] = [unpacked(each.event) for each in stored]
    return next(each for each in events if each.get("decision") == exchange)


@pytest.mark.standard("MCP-2")
def test_the_token_of_the_user_stays_at_the_mcp_server(
    world: McpWorld, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither its claims nor its signature are on the wire to the API, or in what is logged."""
    caplog.set_level(logging.DEBUG)
    token = world.token()

    async def play() -> None:
        """What the agent does."""
        async with an_agent(url, token) as agent:
            for tool in (*READING, "either"):
                await agent.call(tool)
            for tool in (*WRITING, "elsewhere"):
                with pytest.raises(MCPError):
                    await agent.call(tool)

    before = len(world.api.calls)
    asyncio.run(play())

    wire = world.api.received()
    _, claims, signature = token.split(".")
    assert len(world.api.calls) == before + len(READING) + 1
    assert signature.encode() not in wire
    assert claims.encode() not in wire
    assert caplog.text
    assert signature not in caplog.text


@pytest.mark.standard("MCP-1")
@pytest.mark.parametrize("audience", [NOTES_MCP, CALENDAR_API, f"{CALENDAR_MCP}/"])
def test_a_token_for_somebody_else_is_not_served(world: McpWorld, url: str, audience: str) -> None:
    """The MCP server asks for tokens that are its own; the middleware leaves its answer alone."""
    token = world.token(audience=audience)

    answer = post(url, token, "read")

    assert answer.status_code == 401
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


@pytest.mark.standard("MCP-5")
def test_every_request_brings_its_own_authorization(world: McpWorld, url: str) -> None:
    """Within one session the user's agent comes with another token, and can do what that allows."""

    async def play() -> None:
        """What the agent does."""
        async with an_agent(url, world.token(), era="legacy") as agent:
            with pytest.raises(MCPError):
                await agent.call("write")
            agent.bearer.token = world.token(scope="calendar:read calendar:write")
            assert await agent.call("write") == "monday corp|alice"
            agent.bearer.token = world.token()
            with pytest.raises(MCPError):
                await agent.call("write")
            sessions = {answer.request.headers.get("mcp-session-id") for answer in agent.answers}
            assert len(sessions - {None}) == 1

    asyncio.run(play())


@pytest.mark.parametrize(
    "calls", [20, pytest.param(500, marks=[pytest.mark.slow, pytest.mark.timeout(300)])]
)
def test_users_never_see_each_others_tokens(world: McpWorld, url: str, calls: int) -> None:
    """Two users call at once, by every way there is: each is whom the API sees."""

    async def play(user: str) -> list[str]:
        """What the agent does."""
        async with an_agent(url, world.token(user)) as agent:
            ways = (agent.call(READING[number % len(READING)]) for number in range(calls))
            return await asyncio.gather(*ways)

    async def both() -> list[list[str]]:
        """At once."""
        return await asyncio.gather(play("alice"), play("bob"))

    alice, bob = asyncio.run(both())

    assert alice == ["monday corp|alice"] * calls
    assert bob == ["monday corp|bob"] * calls


def test_nobody_sees_or_sets_the_token(world: McpWorld, url: str) -> None:
    """It is in no schema, and what a caller sends under its name is not it."""

    async def play() -> None:
        """What the agent does."""
        async with an_agent(url, world.token()) as agent:
            tools = {each.name: each for each in (await agent.client.list_tools()).tools}
            assert all(set(tool.input_schema["properties"]) == {"day"} for tool in tools.values())
            for tool in {"decorated", "synchronous", "depends"} & tools.keys():
                assert await agent.call(tool) == "monday corp|alice"
                answer = await agent.client.call_tool(tool, {"day": "monday", "token": "evil"})
                assert answer.is_error or "corp|alice" in answer.model_dump_json()
            assert b"evil" not in world.api.received()

    asyncio.run(play())


def post(url: str, token: str, tool: str) -> httpx2.Response:
    """A call as it is on the wire, of the age of sessions."""
    call = {"name": tool, "arguments": {"day": "monday"}}
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}
    headers = {
        "Authorization": f"Bearer {token}",
        "Accept": "application/json, text/event-stream",
        "Content-Type": "application/json",
    }
    return httpx2.post(f"{url}/mcp", content=json.dumps(message), headers=headers, trust_env=False)
