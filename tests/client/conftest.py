"""A server to ask, and something to ask it with."""

from collections.abc import Iterator

import httpx2
import pytest

from delegation.client import Exchanger, Service
from delegation.client.wire import a_client
from tests.client.clock import HeldClock
from tests.client.issuing import BARE, NO_TLS
from tests.client.server import Server, authorization_server
from tests.world import TestWorld, a_test_world


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
    with httpx2.Client(timeout=2, follow_redirects=True, **BARE) as http:
        yield http


@pytest.fixture(name="clock")
def _clock() -> HeldClock:
    """It stands at noon."""
    return HeldClock()


@pytest.fixture(name="exchanger")
def _exchanger(server: Server, clock: HeldClock) -> Iterator[Exchanger]:
    """Asks the server, by the held clock."""
    service = Service(
        issuer=server.url, client_id="calendar-mcp", client_secret="the-clients-secret"
    )
    exchanger = Exchanger(service, clock=clock, http=lambda: a_client(verify=NO_TLS))
    yield exchanger
    exchanger.close()


@pytest.fixture(name="world", scope="session")
def _world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestWorld]:
    """A running world that tests share: what they do to it must not disturb the others."""
    with a_test_world(tmp_path_factory.mktemp("world")) as world:
        yield world
