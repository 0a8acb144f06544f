"""Fixtures of the web tests."""

import pytest

from tests.web.endpoint import Endpoint


@pytest.fixture(name="sts")
def _sts() -> Endpoint:
    """A service of its own for each test."""
    return Endpoint()
