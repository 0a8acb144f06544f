"""A rolling restart under load, as the page on deploying has it: nobody notices."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.deploy.instances import free_port, instance
from tests.deploy.nginx import Nginx, nginx
from tests.integration.conftest import endpoint_of
from tests.resilience.load import Load, load
from tests.world import TestWorld, a_test_world

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(name="world", scope="module")
def _world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestWorld]:
    """Instances have one worker each: where it is gone, nobody else is there.

    The store has as much time as it can have: what a busy machine costs is no matter of restarts.
    """
    directory = tmp_path_factory.mktemp("world")
    with a_test_world(directory, workers=1, DELEGATION_REDIS_TIMEOUT="1") as world:
        yield world


def _recorded(world: TestWorld) -> set[str]:
    return {key.rpartition(b":")[2].decode() for key in world.books.exchanges()}


def _granted(found: Load) -> set[str]:
    return {str(answer.header("Delegation-Decision")) for answer in found.answers(200)}


def _others(found: Load, front: Nginx) -> list[str]:
    """What there was besides granted exchanges: as nginx has it, and where it says nothing, 0."""
    lines = [json.loads(line) for line in front.log.splitlines() if line.startswith("{")]
    unheard = [f"0 after {one.took:.2f} s" for one in found.outcomes if one.answer is None]
    return [json.dumps(line) for line in lines if line["status"] != "200"] + unheard


def test_each_instance_is_taken_out_and_restarted(world: TestWorld, tmp_path: Path) -> None:
    """First nginx asks the other one alone, then it is stopped: no request fails, or is lost."""
    ports, endpoint, before = (free_port(), free_port()), endpoint_of(world), _recorded(world)
    with ExitStack() as stack:
        running = {port: stack.enter_context(instance(world, port)) for port in ports}
        front = stack.enter_context(nginx(tmp_path / "n", *ports))

        with load(lambda: front.exchange(endpoint)) as found:
            for port in ports:
                found.go_on()
                front.send_to(*(other for other in ports if other != port))
                running[port].terminate()
                assert running[port].wait(30) == 0
                found.go_on()
                running[port] = stack.enter_context(instance(world, port))
                front.send_to(*ports)
            found.go_on()

    assert _others(found, front) == []
    assert {one.status for one in found.outcomes} == {200}
    assert _granted(found) == _recorded(world) - before


def test_an_instance_that_is_stopped_without_notice(world: TestWorld, tmp_path: Path) -> None:
    """The other one takes what it did not: what was on its way at that moment, if anything, is told
    to come back, and nothing was done for it.
    """
    ports, endpoint, before = (free_port(), free_port()), endpoint_of(world), _recorded(world)
    with ExitStack() as stack:
        running = [stack.enter_context(instance(world, port)) for port in ports]
        front = stack.enter_context(nginx(tmp_path / "n", *ports))

        with load(lambda: front.exchange(endpoint)) as found:
            found.go_on()
            running[0].terminate()
            assert running[0].wait(30) == 0
            found.go_on()

    others = _others(found, front)
    assert {one.status for one in found.outcomes} <= {200, 503}, others
    assert len(others) <= 3, others
    assert _granted(found) == _recorded(world) - before
