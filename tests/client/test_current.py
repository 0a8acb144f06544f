"""Whose request is being served."""

import asyncio
import sys

import pytest
from mcp.server.auth.middleware.auth_context import auth_context_var
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken

from delegation.client import (
    CallContext,
    acting_for,
    current_context,
    current_subject_token,
    in_call,
)
from delegation.client.current import claimed, said_context

IN_A_TOOL = CallContext(mcp_method="tools/call", mcp_name="find_events")


def _user(token: str) -> AuthenticatedUser:
    return AuthenticatedUser(AccessToken(token=token, client_id="desk-agent", scopes=[]))


def test_nobody() -> None:
    """By itself nobody is served, and nothing is called."""
    assert current_subject_token() is None
    assert current_context() == CallContext()


def test_what_was_said() -> None:
    """In the block it holds, and after it, what held before."""
    with acting_for("alices"), in_call(IN_A_TOOL):
        with acting_for("bobs"):
            assert current_subject_token() == "bobs"
        assert current_subject_token() == "alices"
        assert current_context() is IN_A_TOOL

    assert current_subject_token() is None
    assert current_context() == CallContext()


def test_what_the_agent_claims_counts_less() -> None:
    """It stands where nothing else is said, if only that there is nothing to say."""
    of_the_agent = CallContext(mcp_method="tools/call", mcp_name="delete_everything")

    with claimed(of_the_agent):
        assert current_context() is of_the_agent
        assert said_context() is None
        with in_call(IN_A_TOOL):
            assert current_context() is said_context() is IN_A_TOOL
        with in_call(CallContext()):
            assert current_context() == CallContext()
        assert current_context() is of_the_agent

    assert current_context() == CallContext()


def test_nobody_in_particular() -> None:
    """An empty token is not nobody, but a mistake: whoever was served before is not meant."""
    with pytest.raises(ValueError, match="no token"), acting_for(""):
        pass


def test_each_task_its_own() -> None:
    """Tasks that run at once serve whom each of them serves."""

    async def serve(token: str, turn: asyncio.Barrier) -> str | None:
        """One task, which lets the other have its turn."""
        with acting_for(token):
            await turn.wait()
            return current_subject_token()

    async def run() -> list[str | None]:
        """Both at once."""
        turn = asyncio.Barrier(2)
        return await asyncio.gather(serve("alices", turn), serve("bobs", turn))

    assert asyncio.run(run()) == ["alices", "bobs"]


def test_the_request_of_the_mcp_sdk() -> None:
    """Whom the SDK has authenticated is served; what was said counts more."""
    before = auth_context_var.set(_user("of-the-sdk"))
    try:
        assert current_subject_token() == "of-the-sdk"
        with acting_for("alices"):
            assert current_subject_token() == "alices"
    finally:
        auth_context_var.reset(before)


def test_without_the_mcp_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody has imported it, it is not imported, and serves nobody."""
    monkeypatch.delitem(sys.modules, "mcp.server.auth.middleware.auth_context")

    assert current_subject_token() is None
    assert "mcp.server.auth.middleware.auth_context" not in sys.modules
