"""The whole service as processes: a world for each test process, and a caller from outside."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.attacks.attack import Service
from tests.attacks.endpoint import Endpoint
from tests.world import TestWorld, a_test_world


def endpoint_of(world: TestWorld) -> Endpoint:
    """The token endpoint of *world*, for *calendar-mcp*."""
    return Service.of(world).endpoint()


@pytest.fixture(name="shared", scope="session")
def _shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestWorld]:
    """A running world that tests share: what they do to it must not disturb the others."""
    with a_test_world(tmp_path_factory.mktemp("world")) as world:
        yield world


@pytest.fixture(name="endpoint")
def _endpoint(shared: TestWorld) -> Endpoint:
    """A caller of the shared world."""
    return endpoint_of(shared)


@pytest.fixture(name="alone")
def _alone(tmp_path: Path) -> Iterator[TestWorld]:
    """A world of a test's own, with one worker, which it may break."""
    with a_test_world(tmp_path, workers=1) as world:
        yield world
