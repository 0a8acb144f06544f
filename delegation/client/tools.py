"""Tools of MCP servers: a function gets the token that it calls an API with, unseen by its callers.

`delegation.client.mcp` and `delegation.client.fastmcp` say how each framework is told of errors.
"""

import inspect
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, TypeAlias, TypeVar

from delegation.client.challenge import explanation
from delegation.client.current import CallContext, in_call, said_context
from delegation.client.errors import DelegationError
from delegation.client.exchanger import Exchanger, shared
from delegation.client.plain import exchange, exchange_sync
from delegation.client.wanted import in_order

Result = TypeVar("Result")
Tool: TypeAlias = Callable[..., Any]


def injecting(
    tool: Tool,
    resource: str,
    *,
    scope: str | Iterable[str],
    parameter: str,
    exchanger: Exchanger | None,
    failure: Callable[[str], Exception],
) -> Tool:
    """*tool* without its *parameter*, which is the current user's token for *resource* and *scope*.

    The parameter is neither in the signature, from which a schema is made, nor taken from callers.
    A `DelegationError` in the tool becomes a *failure*, with a text that is safe to show. Raises
    `TypeError` where there is no such parameter.
    """
    seen = _without(parameter, tool)
    scope, asking = in_order(scope), exchanger or shared()
    context = CallContext(mcp_method="tools/call", mcp_name=tool.__name__)

    @contextmanager
    def call() -> Iterator[None]:
        # The header that names the tool is the agent's word: what the server knows counts more.
        with in_call(said_context() or context), telling(failure):
            yield

    @wraps(tool)
    async def asynchronous(*args: Any, **kwargs: Any) -> Any:
        """It waits."""
        with call():
            token = await exchange(resource, scope=scope, exchanger=asking)
            return await tool(*args, **kwargs | {parameter: token.access_token})

    @wraps(tool)
    def synchronous(*args: Any, **kwargs: Any) -> Any:
        with call():
            token = exchange_sync(resource, scope=scope, exchanger=asking)
            return tool(*args, **kwargs | {parameter: token.access_token})

    wrapper: Any = asynchronous if inspect.iscoroutinefunction(tool) else synchronous
    wrapper.__signature__ = seen
    wrapper.__annotations__ = {
        name: each for name, each in tool.__annotations__.items() if name != parameter
    }
    return wrapper  # type: ignore[no-any-return]


@contextmanager
def telling(failure: Callable[[str], Exception]) -> Iterator[None]:
    """Raise the *failure* that says what a `DelegationError` in this block means."""
    try:
        yield
    except DelegationError as error:
        raise failure(explanation(error)) from error


def _without(parameter: str, tool: Tool) -> inspect.Signature:
    # Evaluated, for nobody does so later with what is set as a signature.
    signature = inspect.signature(tool, eval_str=True)
    if parameter not in signature.parameters:
        raise TypeError(f"{tool.__name__} has no parameter {parameter!r} for the token")
    return signature.replace(
        parameters=[each for name, each in signature.parameters.items() if name != parameter]
    )
