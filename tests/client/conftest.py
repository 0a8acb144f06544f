"""A server to ask, and something to ask it with."""

from collections.abc import Iterator

import httpx2
import pytest

from tests.client.server import Server, authorization_server


@pytest.fixture(name="server")
def _server() -> Iterator[Server]:
    """A server that publishes sound metadata and issues a token."""
    with authorization_server() as server:
        server.has_metadata()
        server.issues()
        yield server


@pytest.fixture(name="http")
def _http() -> Iterator[httpx2.Client]:
    """A client that would follow redirects, if it were let."""
    with httpx2.Client(trust_env=False, timeout=2, follow_redirects=True) as http:
        yield http
