"""Fixtures of the web tests."""

import pytest

from delegation.ledger.ledger import RedisLedger
from delegation.ledger.store import Store
from tests.valkey import (  # noqa: F401, fixtures
    _evidence,
    _ledger,
    _proxy,
    _raw,
    _server,
    _store,
    _valkey,
    _valkey_process,
)
from tests.web.endpoint import Endpoint, Live


@pytest.fixture(name="sts")
def _sts() -> Endpoint:
    """A service of its own for each test."""
    return Endpoint()


@pytest.fixture(name="live")
def _live(ledger: RedisLedger, store: Store) -> Live:
    """A service with a real ledger, in real time."""
    return Live(ledger, store)
