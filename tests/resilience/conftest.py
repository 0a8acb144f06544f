"""A world of its own for each file: what tests do to it, it must survive."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.resilience.load import wait_until
from tests.resilience.load import workers as workers_of
from tests.resilience.states import States
from tests.world import TestWorld, a_test_world


@contextmanager
def behind_a_link(
    directory: Path, *, workers: int = 2, **overrides: str
) -> Iterator[tuple[TestWorld, States]]:
    """A world whose registry is behind a link, in the state 0, with all of its workers up."""
    link = directory / "link"
    link.symlink_to(directory / "world" / "registry")
    (directory / "world").mkdir()
    settings = {
        "DELEGATION_REGISTRY": str(link),
        "DELEGATION_MAX_UNDRAINED_EVENTS": "1000000",
    } | overrides
    with a_test_world(directory / "world", workers=workers, **settings) as world:
        wait_until(lambda: len(workers_of(world)) == world.world.settings.workers)
        states = States(link)
        states.swap(0)
        yield world, states


@pytest.fixture(name="place", scope="module")
def _place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TestWorld, States]]:
    with behind_a_link(tmp_path_factory.mktemp("resilience")) as place:
        yield place


@pytest.fixture(name="world")
def _world(place: tuple[TestWorld, States]) -> TestWorld:
    """A world that goes on."""
    return place[0]


@pytest.fixture(name="states")
def _states(place: tuple[TestWorld, States]) -> States:
    """The states of its registry."""
    return place[1]
