"""For servers on FastMCP: tools that get a token for the user whom they serve."""

import logging
from collections.abc import Callable, Iterable
from typing import cast

from fastmcp.dependencies import Dependency
from fastmcp.exceptions import ToolError

from delegation.client.exchanger import Exchanger, shared
from delegation.client.plain import exchange
from delegation.client.tools import Result, injecting, telling
from delegation.client.wanted import in_order


def DelegatedToken(  # noqa: N802, named like the dependencies of FastMCP
    resource: str,
    scope: str | Iterable[str] = (),
    *,
    exchanger: Exchanger | None = None,
) -> str:
    """The current user's token for *resource* and *scope*, as the default value of a parameter.

    The parameter is not in the tool's schema, and no caller can set it. Where there is no token,
    the tool is not called, and its result is an error; with `StepUpMiddleware`, the answer is a
    challenge.
    """
    return cast("str", _DelegatedToken(resource, in_order(scope), exchanger or shared()))


def on_behalf_of(
    resource: str,
    scope: str | Iterable[str] = (),
    *,
    parameter: str = "token",
    exchanger: Exchanger | None = None,
) -> Callable[[Callable[..., Result]], Callable[..., Result]]:
    """`delegation.client.mcp.on_behalf_of`, for FastMCP."""

    def decorate(tool: Callable[..., Result]) -> Callable[..., Result]:
        return injecting(
            tool,
            resource,
            scope=scope,
            parameter=parameter,
            exchanger=exchanger,
            failure=_failure,
        )

    return decorate


class _DelegatedToken(Dependency[str]):
    """Made once, and entered for each call."""

    def __init__(self, resource: str, scope: str, exchanger: Exchanger) -> None:
        self._resource = resource
        self._scope = scope
        self._exchanger = exchanger

    async def __aenter__(self) -> str:
        with telling(_failure):
            issued = await exchange(self._resource, scope=self._scope, exchanger=self._exchanger)
        return issued.access_token


def _failure(text: str) -> ToolError:
    # A refusal is an outcome: nobody needs its traceback in the log.
    return ToolError(text, log_level=logging.INFO)
