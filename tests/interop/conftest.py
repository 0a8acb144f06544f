"""A running world for clients and verifiers that are not ours."""

from collections.abc import Iterator

import pytest

from tests.world import TestWorld, a_test_world


@pytest.fixture(name="shared", scope="session")
def _shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestWorld]:
    """A running world: nothing that a sound client does to it disturbs another."""
    with a_test_world(tmp_path_factory.mktemp("world")) as world:
        yield world


@pytest.fixture(autouse=True)
def _directly(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clients go by the environment: no proxy stands between them and loopback."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
