"""What a tool gets, and what it is told where there is nothing to get."""

import asyncio
import inspect
import sys
from types import ModuleType
from typing import Any

import fastmcp
import pytest
from fastmcp.client import Client as FastMcpClient
from fastmcp.exceptions import ToolError as FastMcpToolError
from mcp.client.client import Client
from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError as McpToolError
from mcp_types import TextContent

import delegation.client.fastmcp
import delegation.client.mcp
from delegation.client import acting_for, current_context, in_call
from delegation.client.current import CallContext
from delegation.client.fastmcp import DelegatedToken
from delegation.dev.cast import CALENDAR_API
from tests.mcp.world import McpWorld

DECORATORS = {
    "mcp": delegation.client.mcp.on_behalf_of,
    "fastmcp": delegation.client.fastmcp.on_behalf_of,
}
ERRORS = (McpToolError, FastMcpToolError)


@pytest.fixture(name="on_behalf_of", params=DECORATORS)
def _on_behalf_of(request: pytest.FixtureRequest) -> Any:
    """That of either framework."""
    return DECORATORS[request.param]


async def a_tool(day: str, token: str, *, loud: bool = False) -> tuple[str, str, bool, CallContext]:
    """Says what it got."""
    return day, token, loud, current_context()


def a_plain_tool(day: str, credential: str) -> tuple[str, str]:
    """The same, without waiting."""
    return day, credential


def test_the_parameter_is_nowhere_to_be_seen(world: McpWorld, on_behalf_of: Any) -> None:
    """Frameworks make schemas of signatures and annotations; the rest of them stays."""
    tool = on_behalf_of(CALENDAR_API, exchanger=world.exchanger)(a_tool)

    assert list(inspect.signature(tool).parameters) == ["day", "loud"]
    assert set(inspect.get_annotations(tool)) == {"day", "loud", "return"}
    assert (tool.__name__, tool.__doc__) == ("a_tool", "Says what it got.")


POSTPONED = """
from __future__ import annotations
from pydantic import BaseModel

class Day(BaseModel):
    name: str

async def a_tool(day: Day, token: str) -> str:
    return day.name
"""


@pytest.mark.parametrize("framework", DECORATORS)
def test_annotations_that_are_text(world: McpWorld, framework: str) -> None:
    """As PEP 563 makes them: both frameworks find the types, of the module that the tool is in."""
    module = ModuleType("postponed")
    sys.modules["postponed"] = module
    exec(compile(POSTPONED, "postponed", "exec", dont_inherit=True), module.__dict__)  # noqa: S102
    tool = DECORATORS[framework](CALENDAR_API, exchanger=world.exchanger)(module.a_tool)
    server: Any = MCPServer("calendar") if framework == "mcp" else fastmcp.FastMCP("calendar")
    server.tool()(tool)

    [listed] = asyncio.run(server.list_tools())

    schema = listed.input_schema if framework == "mcp" else listed.parameters
    del sys.modules["postponed"]
    assert set(schema["properties"]) == {"day"}
    assert "name" in str(schema)


def test_what_a_tool_gets(world: McpWorld, on_behalf_of: Any) -> None:
    """A token for the API, and nothing that a caller says is one."""
    tool = on_behalf_of(CALENDAR_API, "events.read", exchanger=world.exchanger)(a_tool)
    user = world.token()

    with acting_for(user):
        day, token, loud, context = asyncio.run(tool("monday", token="evil", loud=True))

    assert (day, loud) == ("monday", True)
    assert token.count(".") == 2
    assert token not in {"evil", user}
    assert (context.mcp_method, context.mcp_name) == ("tools/call", "a_tool")


def test_a_tool_that_does_not_wait(world: McpWorld, on_behalf_of: Any) -> None:
    """It gets its token by another name, if it wants."""
    decorate = on_behalf_of(CALENDAR_API, parameter="credential", exchanger=world.exchanger)

    with acting_for(world.token()):
        day, token = decorate(a_plain_tool)("monday")

    assert day == "monday"
    assert token.count(".") == 2


def test_what_a_call_is_made_for_is_not_said_twice(world: McpWorld) -> None:
    """Who knows better than the function's name has said so."""
    tool = delegation.client.mcp.on_behalf_of(CALENDAR_API, exchanger=world.exchanger)(a_tool)
    known = CallContext(mcp_method="tools/call", mcp_name="another-name")

    with acting_for(world.token()), in_call(known):
        *_, context = asyncio.run(tool("monday"))

    assert context is known


@pytest.mark.parametrize(
    ("on_behalf_of", "error"),
    list(zip(DECORATORS.values(), ERRORS, strict=True)),
    ids=DECORATORS,
)
def test_a_refusal_is_an_error_of_the_framework(
    world: McpWorld, on_behalf_of: Any, error: type[Exception]
) -> None:
    """Anticipated, so that its text is shown and no traceback logged; the cause stays with it."""
    tool = on_behalf_of(CALENDAR_API, "events.write", exchanger=world.exchanger)(a_tool)

    with acting_for(world.token()), pytest.raises(error, match="more scope: calendar:write"):
        asyncio.run(tool("monday"))


def test_a_tool_without_the_parameter(world: McpWorld, on_behalf_of: Any) -> None:
    """Is found when the server starts."""
    with pytest.raises(TypeError, match="a_plain_tool has no parameter 'token'"):
        on_behalf_of(CALENDAR_API, exchanger=world.exchanger)(a_plain_tool)


@pytest.mark.parametrize("framework", ["mcp", "fastmcp"])
def test_where_nobody_is_logged_in(world: McpWorld, framework: str) -> None:
    """As on stdio: the tool is not called, and its result says what it lacks."""

    async def in_mcp() -> str:
        """On the MCP SDK."""
        server = MCPServer("calendar")
        decorate = delegation.client.mcp.on_behalf_of(CALENDAR_API, exchanger=world.exchanger)
        server.add_tool(decorate(a_tool))
        async with Client(server) as client:
            [content] = (await client.call_tool("a_tool", {"day": "monday"})).content
            assert isinstance(content, TextContent)
            return content.text

    async def in_fastmcp() -> str:
        """On FastMCP."""
        server = fastmcp.FastMCP("calendar")

        @server.tool()
        async def a_tool(
            token: str = DelegatedToken(CALENDAR_API, exchanger=world.exchanger),
        ) -> str:
            """It is not called."""
            return token

        async with FastMcpClient(server) as client:
            result = await client.call_tool("a_tool", raise_on_error=False)
            return str(result.content[0].text)

    text = asyncio.run(in_mcp() if framework == "mcp" else in_fastmcp())

    assert text.endswith("This needs an access token.")
