"""For servers on the MCP SDK: tools that get a token for the user whom they serve."""

from collections.abc import Callable, Iterable

from mcp.server.mcpserver.exceptions import ToolError

from delegation.client.exchanger import Exchanger
from delegation.client.tools import Result, injecting


def on_behalf_of(
    resource: str,
    scope: str | Iterable[str] = (),
    *,
    parameter: str = "token",
    exchanger: Exchanger | None = None,
) -> Callable[[Callable[..., Result]], Callable[..., Result]]:
    """Give a tool the current user's token for *resource* and *scope*, as its *parameter*.

    Stands below `@server.tool()`. The parameter is not in the tool's schema, and what a caller
    sends under its name is ignored. Where there is no token, the tool is not called, and its result
    is an error; with `StepUpMiddleware`, the answer is a challenge.
    """

    def decorate(tool: Callable[..., Result]) -> Callable[..., Result]:
        return injecting(
            tool,
            resource,
            scope=scope,
            parameter=parameter,
            exchanger=exchanger,
            failure=ToolError,
        )

    return decorate
