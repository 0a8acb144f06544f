"""For whom the code that runs now does so, and for what: where the current user's token is."""

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class CallContext:
    """What an exchange is made for, for the service's audit trail. It allows nothing by itself.

    *mcp_method* and *mcp_name* are the MCP request that is being served: `tools/call` and the
    tool's name. *consent* is your own reference to what the user has consented to: it is recorded,
    and not checked. *traceparent* is a W3C trace context, by itself OpenTelemetry's current span.
    """

    mcp_method: str | None = None
    mcp_name: str | None = None
    consent: str | None = None
    traceparent: str | None = None


NO_CONTEXT = CallContext()

VISIBLE = re.compile(r"[!-~](?:[ -~]{0,254}[!-~])?", re.ASCII)
"""What the service reads of what a call is said to be made for."""

_subject_token: ContextVar[str | None] = ContextVar("delegation_subject_token", default=None)
_said: ContextVar[CallContext | None] = ContextVar("delegation_call_context", default=None)
_claimed: ContextVar[CallContext] = ContextVar("delegation_claimed_context", default=NO_CONTEXT)


def current_subject_token() -> str | None:
    """The token of the user whom the code that runs now serves, or `None`.

    It is what `acting_for` says, or else what the MCP SDK has authenticated for the request that
    is being served.
    """
    return _subject_token.get() or _of_mcp()


def current_context() -> CallContext:
    """What `in_call` says, or else what the agent says of its request, by `StepUpMiddleware`."""
    said = _said.get()
    return _claimed.get() if said is None else said


def said_context() -> CallContext | None:
    """What `in_call` says, if anything does. It is this server's own word, and not the agent's."""
    return _said.get()


@contextmanager
def acting_for(subject_token: str) -> Iterator[None]:
    """Act for the user of *subject_token* in this block, in this task or thread."""
    if not subject_token:
        raise ValueError("there is no token: nobody is served here")
    before = _subject_token.set(subject_token)
    try:
        yield
    finally:
        _subject_token.reset(before)


@contextmanager
def in_call(context: CallContext) -> Iterator[None]:
    """Say what the exchanges in this block are made for."""
    before = _said.set(context)
    try:
        yield
    finally:
        _said.reset(before)


@contextmanager
def claimed(context: CallContext) -> Iterator[None]:
    """Say what the agent claims of the request that this block serves. `in_call` counts more."""
    before = _claimed.set(context)
    try:
        yield
    finally:
        _claimed.reset(before)


def _of_mcp() -> str | None:
    # Not imported: where nobody has done so, the SDK serves no request.
    module: Any = sys.modules.get("mcp.server.auth.middleware.auth_context")
    find: Callable[[], Any] | None = getattr(module, "get_access_token", None)
    token = find() if find is not None else None
    return token.token if token is not None else None
