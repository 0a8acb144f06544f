"""The middleware by itself: which answers it replaces, retells, or leaves as they are."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest
from starlette.authentication import AuthCredentials

from delegation.client import CallContext, current_context
from delegation.client.errors import (
    ClientRejected,
    DelegationError,
    InsufficientScope,
    NotPermitted,
    Unavailable,
)
from delegation.client.noted import noted, noting
from delegation.client.stepup import Message, Receive, Scope, Send, StepUpMiddleware

RESOURCE = "https://mcp.example/mcp"
POST: Mapping[str, Any] = {"type": "http", "method": "POST", "headers": []}
TOO_LITTLE = InsufficientScope("invalid_scope", required_scope=("calendar:write",))

FAILED = {
    "jsonrpc": "2.0",
    "id": 7,
    "result": {"content": [{"type": "text", "text": "secret"}], "isError": True, "_meta": {"a": 1}},
}
BROKEN = {"jsonrpc": "2.0", "id": 7, "error": {"code": -32603, "message": "secret"}}
FINE = {"jsonrpc": "2.0", "id": 7, "result": {"content": [], "isError": False}}


def start(status: int = 200, **headers: str) -> Message:
    """The start of an answer."""
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http.response.start", "status": status, "headers": raw}


def body(content: bytes | Mapping[str, Any], *, more: bool = False) -> Message:
    """A part of the body of an answer, in JSON if need be."""
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    return {"type": "http.response.body", "body": raw, "more_body": more}


def event(message: Mapping[str, Any]) -> bytes:
    """A server-sent event as MCP servers write it."""
    return f"id: 9\r\nevent: message\r\ndata: {json.dumps(message)}\r\n\r\n".encode()


def answered(*messages: Message | DelegationError, scope: Scope | None = None) -> list[Message]:
    """What leaves when the server sends these *messages*, with errors raised in between."""
    sent: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001
        """The server."""
        for message in messages:
            if isinstance(message, DelegationError):
                noted(message)
            else:
                await send(message)

    async def receive() -> Message:
        """Nothing more comes."""
        return {}

    async def send(message: Message) -> None:
        """What leaves is kept."""
        sent.append(message)

    asyncio.run(StepUpMiddleware(app, resource=RESOURCE)(scope or dict(POST), receive, send))
    return sent


def headers(message: Message) -> dict[str, str]:
    """Those of the start of an answer."""
    return {name.decode(): value.decode() for name, value in message["headers"]}


@pytest.mark.standard("MCP-3")
@pytest.mark.parametrize("content", [body(FAILED), body(event(FAILED), more=True)], ids=str)
def test_a_failure_becomes_a_challenge(content: Message) -> None:
    """In JSON, and where an event stream was about to begin."""
    sent = answered(start(), TOO_LITTLE, content)

    assert sent[0]["status"] == 403
    assert headers(sent[0])["www-authenticate"] == (
        'Bearer error="insufficient_scope", scope="calendar:write", '
        'resource_metadata="https://mcp.example/.well-known/oauth-protected-resource/mcp"'
    )
    assert len(sent) == 2


def test_the_body_of_a_challenge_answers_the_call() -> None:
    """It is a JSON-RPC error of the same id, which MCP clients show; of its own length."""
    sent = answered(start(), NotPermitted("invalid_target"), body(FAILED))

    message = json.loads(sent[1]["body"])
    assert (message["jsonrpc"], message["id"]) == ("2.0", 7)
    assert "not permitted" in message["error"]["message"]
    assert headers(sent[0])["content-length"] == str(len(sent[1]["body"]))
    assert headers(sent[0])["cache-control"] == "no-store"


def test_a_protocol_error_becomes_a_challenge() -> None:
    """As where a resource is read, and not a tool called; whatever status the server gave it."""
    sent = answered(start(500), Unavailable("down"), body(BROKEN))

    assert sent[0]["status"] == 503
    assert headers(sent[0])["retry-after"] == "5"


def test_what_was_held_is_named_too() -> None:
    """A client that asks for what the challenge names does not lose what it had."""
    scope = {**POST, "auth": AuthCredentials(["calendar:read"])}

    sent = answered(start(), TOO_LITTLE, body(FAILED), scope=scope)

    assert 'scope="calendar:read calendar:write"' in headers(sent[0])["www-authenticate"]


def test_headers_that_are_not_of_the_body_stay() -> None:
    """The session's name, and whom the server lets read its answers."""
    begun = start(
        mcp_session_id="1",
        Access_Control_Allow_Origin="*",
        Content_Type="text/event-stream",
        Content_Length="9",
        Cache_Control="no-cache",
        Connection="keep-alive",
        Content_Encoding="gzip",
    )

    sent = answered(begun, NotPermitted("invalid_target"), body(FAILED))

    assert headers(sent[0]) == {
        "mcp-session-id": "1",
        "Access-Control-Allow-Origin": "*",
        "content-type": "application/json",
        "content-length": str(len(sent[1]["body"])),
        "cache-control": "no-store",
    }


def test_a_start_that_says_nothing() -> None:
    """An application need not give headers, nor name them in UTF-8 (ASGI, *Response Start*)."""
    bare: Message = {"type": "http.response.start", "status": 200}
    odd = bare | {"headers": [(b"x-\xe9", b"1")]}

    for begun, kept in ((bare, []), (odd, odd["headers"])):
        first, _ = answered(begun, NotPermitted("invalid_target"), body(FAILED))
        assert first["status"] == 403
        assert first["headers"][: len(kept)] == kept


def test_what_comes_after_a_challenge_is_dropped() -> None:
    """The server goes on with its stream."""
    sent = answered(start(), TOO_LITTLE, body(event(FAILED), more=True), body(b""))

    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]


@pytest.mark.parametrize("failed", [FAILED, BROKEN], ids=["result", "error"])
def test_in_a_stream_that_has_begun_the_text_says_it(failed: Mapping[str, Any]) -> None:
    """The status has left: the tool's error stays one, with a text that is safe and helps."""
    progress = body(event({"jsonrpc": "2.0", "method": "notifications/progress"}), more=True)

    sent = answered(start(), progress, TOO_LITTLE, body(event(failed), more=True), body(b""))

    assert sent[:2] == [start(), progress]
    told = sent[2]["body"].decode()
    assert told.startswith("id: 9\r\nevent: message\r\ndata: {")
    assert told.endswith("}\r\n\r\n")
    assert "more scope: calendar:write" in told
    assert "secret" not in told
    message = json.loads(told.splitlines()[2][5:])
    assert message["id"] == 7
    assert message.get("error") or (message["result"]["isError"], message["result"]["_meta"]["a"])
    assert sent[3] == body(b"")


@pytest.mark.parametrize(
    "messages",
    [
        pytest.param([start(), body(FAILED)], id="a failure of another kind"),
        pytest.param([start(), TOO_LITTLE, body(FINE)], id="a tool that went on"),
        pytest.param([start(), TOO_LITTLE, body(event(FINE), more=True)], id="in a stream"),
        pytest.param([start(), ClientRejected("invalid_client"), body(FAILED)], id="not theirs"),
        pytest.param([start(), TOO_LITTLE, body(b"\x1f\x8b")], id="compressed"),
        pytest.param([start(), TOO_LITTLE, body(b"{]")], id="no JSON"),
        pytest.param([start(), TOO_LITTLE, body(event(FAILED) * 2)], id="two events at once"),
        pytest.param([start(), TOO_LITTLE, body({"result": []})], id="no result"),
        pytest.param([start(202), TOO_LITTLE, body(b"")], id="a notification"),
        pytest.param([start(), {"type": "http.response.trailers"}], id="no body"),
    ],
)  # fmt: skip
def test_what_is_left_alone(messages: list[Message | DelegationError]) -> None:
    """Every message, in order, as the server sent it."""
    sent = answered(*messages)

    assert sent == [message for message in messages if not isinstance(message, DelegationError)]


@pytest.mark.parametrize(
    "scope",
    [{"type": "lifespan"}, {"type": "websocket"}, {"type": "http", "method": "GET"}],
    ids=lambda scope: scope.get("method", scope["type"]),
)
def test_calls_come_by_post(scope: Scope) -> None:
    """A stream that is opened by GET begins at once, before there is anything in it."""
    sent = answered(start(), scope=scope)

    assert sent == [start()]


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ([], (None, None)),
        (
            [(b"mcp-method", b"tools/call"), (b"mcp-name", b"add_event")],
            ("tools/call", "add_event"),
        ),
        ([(b"mcp-method", b"tools/list")], ("tools/list", None)),
        ([(b"mcp-name", b"=?base64?w7xiZXI=?=")], (None, "=?base64?w7xiZXI=?=")),
        ([(b"mcp-name", b"a" * 256)], (None, "a" * 256)),
        ([(b"mcp-name", b"a" * 257)], (None, None)),
        ([(b"mcp-name", b"one"), (b"mcp-name", b"one")], (None, None)),
        ([(b"mcp-name", b"")], (None, None)),
        ([(b"mcp-name", b" add_event")], (None, None)),
        ([(b"mcp-name", b"add\nevent")], (None, None)),
        ([(b"mcp-name", b"add_event\n")], (None, None)),
        ([(b"mcp-name", b"\xc3\xbcber")], (None, None)),
    ],
)
def test_what_the_agent_says_of_its_request(
    sent: list[tuple[bytes, bytes]], expected: tuple[str | None, str | None]
) -> None:
    """It is what exchanges are made for, in the tasks of the request, too; and not after it. What
    the service would not read is left out.
    """
    found: list[CallContext] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001
        """The server, whose tool runs in a task of its own."""

        async def tool() -> None:
            """It calls an API."""
            found.append(current_context())

        await asyncio.create_task(tool())

    async def nothing(*_: Message) -> Message:
        """Neither comes nor leaves."""
        return {}

    async def serve() -> None:
        """One request."""
        middleware = StepUpMiddleware(app, resource=RESOURCE)
        await middleware({**POST, "headers": sent}, nothing, nothing)
        found.append(current_context())

    asyncio.run(serve())

    within, after = found
    assert (within.mcp_method, within.mcp_name) == expected
    assert after == CallContext()


def test_requests_hear_of_their_own_errors_alone() -> None:
    """Two at once, one of which is refused."""
    statuses = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001
        """The server."""

        async def tool() -> None:
            """It may be refused."""
            if scope["path"] == "/refused":
                noted(TOO_LITTLE)

        await send(start())
        await asyncio.create_task(tool())
        await asyncio.sleep(0)
        await send(body(FAILED))

    async def receive() -> Message:
        """Nothing more comes."""
        return {}

    async def send(message: Message) -> None:
        """What leaves is kept."""
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    async def both() -> None:
        """At once."""
        serve = StepUpMiddleware(app, resource=RESOURCE)
        paths = ("/refused", "/other")
        await asyncio.gather(*(serve({**POST, "path": path}, receive, send) for path in paths))

    asyncio.run(both())

    assert sorted(statuses) == [200, 403]


def test_who_listens_no_more_is_told_nothing() -> None:
    """Outside of the middleware an error is an error."""
    with noting() as errors:
        noted(TOO_LITTLE)

    assert noted(TOO_LITTLE) is TOO_LITTLE
    assert errors == [TOO_LITTLE]


def test_a_resource_that_cannot_be_named() -> None:
    """It is found when the server starts."""
    with pytest.raises(ValueError, match="resource identifier"):
        StepUpMiddleware(lambda *_: asyncio.sleep(0), resource="calendar")
