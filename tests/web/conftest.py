"""Fixtures of the web tests."""

import pytest

from tests.valkey import (  # noqa: F401, fixtures
    _ledger,
    _proxy,
    _raw,
    _server,
    _store,
    _valkey,
    _valkey_process,
)
from tests.web.endpoint import Endpoint


@pytest.fixture(name="sts")
def _sts() -> Endpoint:
    """A service of its own for each test."""
    return Endpoint()
