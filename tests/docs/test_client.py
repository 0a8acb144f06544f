"""The reference of the client half: its examples run, and its numbers are the code's."""

import pytest

from delegation.client import Exchanger, cache
from delegation.client import exchanger as module
from tests.client.server import TOKEN, authorization_server
from tests.docs.pages import ROOT, run, table

PAGE = ROOT / "docs" / "reference" / "client.md"


def test_the_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each runs as it stands, in order, and prints what stands below it."""
    monkeypatch.setattr(module, "_shared", {})
    body = (
        b'{"access_token": "t", "token_type": "Bearer", "scope": "events.read", "expires_in": 300}'
    )
    with authorization_server() as server:
        server.has_metadata()
        server.says(TOKEN, body, Delegation_Decision="10-4GSRii8Wp9X0b9cGpZjbmw")
        monkeypatch.setenv("DELEGATION_ISSUER", server.url)
        monkeypatch.setenv("DELEGATION_CLIENT_ID", "calendar-mcp")
        monkeypatch.setenv("DELEGATION_CLIENT_SECRET", "the-clients-secret")

        run(PAGE, {"the_users_token": "the-users-token"})

        assert "scope=events.read" in server.asked[-1].content
    module.shared().close()


def test_the_numbers() -> None:
    """Those of the table are those of the code, in its order."""
    said = [row[1] for row in table(PAGE.read_text("utf-8"), "what", "how long")]

    assert said == [
        f"{cache.SKEW} seconds",
        f"{cache.REFRESH_AT * 100:.0f} %",
        f"{cache.AGAIN_AFTER} seconds",
        f"{cache.REFUSED_FOR} seconds",
        "not at all",
        f"{cache.REPLACED_EVERY} seconds",
        f"{module.PATIENCE:.0f} seconds",
        f"{module.METADATA_HOLDS / 3600:.0f} hour",
        str(Exchanger.__init__.__kwdefaults__["size"]),
    ]
