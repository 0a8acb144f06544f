"""A token for whoever asks for it in plain words."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from delegation.client import (
    CallContext,
    Exchanger,
    IssuedToken,
    NoSubjectToken,
    acting_for,
    exchange,
    exchange_sync,
    in_call,
)
from delegation.client import exchanger as module
from tests.client.issuing import exchanges, issues_each
from tests.client.server import Server

API = "https://calendar.example/api"
Exchange = Callable[..., IssuedToken]


def _awaited(*args: Any, **more: Any) -> IssuedToken:
    return asyncio.run(exchange(*args, **more))


@pytest.fixture(name="ask", params=[exchange_sync, _awaited], ids=["sync", "async"])
def _ask(request: pytest.FixtureRequest) -> Exchange:
    """The one and the other."""
    asked: Exchange = request.param
    return asked


def test_for_whom(server: Server, exchanger: Exchanger, ask: Exchange) -> None:
    """For the current user, or that of a given token, and never for nobody."""
    issues_each(server)

    with acting_for("alices-token"):
        assert ask(API, exchanger=exchanger).access_token == "for-alices-1"
        bobs = ask(API, subject_token="bobs-token", exchanger=exchanger)
    assert bobs.access_token == "for-bobs-1"
    with pytest.raises(NoSubjectToken):
        ask(API, exchanger=exchanger)
    with pytest.raises(NoSubjectToken), acting_for("alices-token"):
        ask(API, subject_token="", exchanger=exchanger)

    assert exchanges(server) == 2


def test_what_is_asked(server: Server, exchanger: Exchanger, ask: Exchange) -> None:
    """All that was said is: given here, or around."""
    with acting_for("alices-token"), in_call(CallContext(mcp_name="find_events")):
        ask(API, scope=["b", "a"], actor_token="planners", exchanger=exchanger)
        ask(API, context=CallContext(mcp_name="another"), exchanger=exchanger)

    first, second = (asked for asked in server.asked if asked.path == "/token")
    assert "scope=a+b&actor_token=planners&actor_token_type=urn%3Aietf" in first.content
    assert first.headers["Mcp-Name"] == "find_events"
    assert second.headers["Mcp-Name"] == "another"


def test_by_the_environment(server: Server, ask: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an exchanger, that of the environment is asked, and keeps what it knows."""
    monkeypatch.setattr(module, "_shared", {})
    monkeypatch.setenv("DELEGATION_ISSUER", server.url)
    monkeypatch.setenv("DELEGATION_CLIENT_ID", "calendar-mcp")
    monkeypatch.setenv("DELEGATION_CLIENT_SECRET", "the-clients-secret")

    with acting_for("alices-token"):
        assert ask(API) is ask(API)
