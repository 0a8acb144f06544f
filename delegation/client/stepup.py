"""Challenges over HTTP: what an exchange was refused for answers the request it was made for."""

import json
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any

from delegation.client.challenge import Challenge, challenge, metadata_url
from delegation.client.current import VISIBLE, CallContext, claimed
from delegation.client.noted import noting
from delegation.client.wire import read_object

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

_OF_THE_BODY = frozenset(
    {"cache-control", "connection", "content-encoding", "transfer-encoding", "x-accel-buffering"}
)
_DATA = re.compile(rb"^data:([^\r\n]*)", re.MULTILINE)
"""What an event of a stream holds: here, one JSON-RPC message on one line."""
_INTERNAL_ERROR = -32603
"""JSON-RPC has no code for this; it is the one that MCP clients put in for any status."""


class StepUpMiddleware:
    """ASGI middleware: a refused exchange becomes an answer that an MCP client can act upon.

    MCP frameworks make a tool's exception the text of a result, with status 200. Here a refusal
    answers with a status of its own instead, and with the challenge (RFC 6750 §3) that says what
    would help: 403 `insufficient_scope` with all scopes that are needed; 401 `invalid_token`; 503
    with `Retry-After` where nobody could be asked; 403 and no challenge where no token would help.
    A tool that catches a refusal and goes on is left alone. Where a part of the answer has left
    already, the tool's error remains one, and its text says the same.

    The request's headers `Mcp-Method` and `Mcp-Name` (MCP 2026-07-28) go with each exchange into
    the service's audit trail, as what the agent says; whatever `in_call` says stands instead.

    *resource* is this MCP server's own resource identifier, as its metadata name it (RFC 9728).
    """

    def __init__(self, app: Application, *, resource: str) -> None:
        self._app = app
        self._metadata = metadata_url(resource)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request. Calls come by POST."""
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        with claimed(_call(scope)), noting() as errors:

            def instead() -> Challenge | None:
                if not errors:
                    return None
                return challenge(errors, held=_scopes(scope), metadata=self._metadata)

            await self._app(scope, receive, _Answer(send, instead).send)


class _Answer:
    """An answer on its way. Its start waits for its body: event streams start before the tool."""

    def __init__(self, send: Send, instead: Callable[[], Challenge | None]) -> None:
        self._send = send
        self._instead = instead
        self._start: Message | None = None
        self._is_replaced = False

    async def send(self, message: Message) -> None:
        """Pass *message* on, unless it tells of a failure that can be told better."""
        if self._is_replaced:
            return
        if message["type"] == "http.response.start":
            self._start = message
            return
        answer = self._instead()
        failure = None if answer is None else _failure(message.get("body", b""))
        if answer is None or failure is None:
            await self._pass_on(message)
        elif self._start is None:
            await self._pass_on({**message, "body": _retold(message["body"], failure, answer)})
        else:
            await self._replace(self._start, failure, answer)

    async def _pass_on(self, message: Message) -> None:
        start, self._start = self._start, None
        if start is not None:
            await self._send(start)
        await self._send(message)

    async def _replace(self, start: Message, failure: Mapping[str, Any], answer: Challenge) -> None:
        self._is_replaced = True
        error = {"code": _INTERNAL_ERROR, "message": answer.text}
        body = json.dumps({"jsonrpc": "2.0", "id": failure.get("id"), "error": error}).encode()
        headers = {
            "content-type": "application/json",
            "content-length": str(len(body)),
            "cache-control": "no-store",
            **answer.headers,
        }
        ours = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        dropped = _OF_THE_BODY.union(headers)
        # What the server says besides (its session, whom it lets read this) stays.
        theirs = [
            each
            for each in start.get("headers", ())
            if each[0].decode("latin-1").lower() not in dropped
        ]
        await self._send({**start, "status": answer.status, "headers": [*theirs, *ours]})
        await self._send({"type": "http.response.body", "body": body})


def _call(scope: Scope) -> CallContext:
    """What the agent says that its request is."""
    return CallContext(mcp_method=_claim(scope, b"mcp-method"), mcp_name=_claim(scope, b"mcp-name"))


def _claim(scope: Scope, header: bytes) -> str | None:
    """A header as far as the service reads it; of two, neither."""
    found = [value.decode("latin-1") for name, value in scope["headers"] if name == header]
    return found[0] if len(found) == 1 and VISIBLE.fullmatch(found[0]) else None


def _scopes(scope: Scope) -> Iterable[str]:
    """Of the token that was presented, where the server's authentication tells."""
    scopes: Iterable[str] = getattr(scope.get("auth"), "scopes", ())
    return scopes


def _failure(body: bytes) -> Mapping[str, Any] | None:
    """The JSON-RPC answer that *body* is, in JSON or as an event, if it tells of a failure."""
    texts = [body] if body.startswith(b"{") else _DATA.findall(body)
    message = read_object(texts[0]) if len(texts) == 1 else None
    if message is None:
        return None
    result = message.get("result")
    is_failure = isinstance(result, dict) and result.get("isError") is True
    return message if is_failure or "error" in message else None


def _retold(event: bytes, failure: Mapping[str, Any], answer: Challenge) -> bytes:
    """*event*, which is the *failure*, with another text."""
    if "error" in failure:
        told = {"error": {"code": _INTERNAL_ERROR, "message": answer.text}}
    else:
        content = [{"type": "text", "text": answer.text}]
        told = {"result": {**failure["result"], "content": content}}
    data = b"data: " + json.dumps({**failure, **told}).encode()
    return _DATA.sub(lambda _: data, event)
