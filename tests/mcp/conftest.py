"""One world for all: an issuer, the service, the calendar API."""

import logging
from collections.abc import Iterator

import pytest

from tests.mcp.world import McpWorld, a_mcp_world


@pytest.fixture(name="world", scope="session")
def _world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[McpWorld]:
    """Started once; every test takes users of its own where it changes anything."""
    with a_mcp_world(tmp_path_factory.mktemp("world")) as world:
        yield world


@pytest.fixture(autouse=True, scope="session")
def _quiet() -> None:
    """FastMCP prints what it logs."""
    logging.getLogger("fastmcp").setLevel(logging.CRITICAL)
