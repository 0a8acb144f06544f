"""What was refused while one HTTP request was served, for whoever answers that request."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from delegation.client.errors import DelegationError

_Error = TypeVar("_Error", bound=DelegationError)

_noted: ContextVar[list[DelegationError] | None] = ContextVar("delegation_noted", default=None)


@contextmanager
def noting() -> Iterator[list[DelegationError]]:
    """A list to which is added what is raised in this block, and in the tasks that it starts.

    MCP frameworks turn exceptions of tools into results, in another task: this is the way round.
    """
    errors: list[DelegationError] = []
    before = _noted.set(errors)
    try:
        yield errors
    finally:
        _noted.reset(before)


def noted(error: _Error) -> _Error:
    """*error*, which is about to be raised to the code that serves the request."""
    errors = _noted.get()
    if errors is not None:
        errors.append(error)
    return error
