"""Workers come and go under load; those who remain, or follow, run what the others ran."""

import os
import signal
from pathlib import Path

from tests.integration.conftest import endpoint_of
from tests.resilience.conftest import behind_a_link
from tests.resilience.load import Load, load, revisions, said, wait_until, workers
from tests.resilience.states import States
from tests.world import TestWorld


def _kill_each(world: TestWorld, found: Load) -> None:
    """Kill one after the other, as memory that runs out does, and wait for those that follow."""
    for worker in workers(world):
        os.kill(worker, signal.SIGKILL)
        wait_until(lambda worker=worker: worker not in workers(world))
        wait_until(lambda: None not in revisions(world) and len(workers(world)) == 2)
        found.go_on()


def test_workers_are_killed(world: TestWorld) -> None:
    """What a worker was doing is lost with it, one request each; everything else is granted."""
    endpoint = endpoint_of(world)
    before = workers(world)

    with load(endpoint.exchange) as found:
        found.go_on()
        _kill_each(world, found)

    assert not {*before} & {*workers(world)}
    assert found.count(0) <= len(before)
    assert found.count(0) + found.count(200) == len(found.outcomes)


def test_workers_are_exchanged(world: TestWorld) -> None:
    """SIGHUP: new workers take over from the old ones, and no request fails."""
    endpoint = endpoint_of(world)
    before = workers(world)

    with load(endpoint.exchange) as found:
        found.go_on()
        world.world.process.send_signal(signal.SIGHUP)
        wait_until(lambda: not {*before} & {*workers(world)} and len(workers(world)) == 2)
        found.go_on()

    assert {one.status for one in found.outcomes} == {200}


def test_broken_files_take_nobody_down(world: TestWorld, states: States) -> None:
    """Workers that start while nothing on disk can be read run what the others ran: killed one
    by one, and then replaced all at once, the service goes on, and says that it is not ready.
    """
    endpoint = endpoint_of(world)
    revision = states.swap(7)
    wait_until(lambda: revisions(world) == {revision})
    keys = world.world.settings.signing_keys
    sound = keys.read_bytes()

    states.damage()
    keys.write_text("{}")
    _wait_for_alarms(world, workers(world))
    with load(lambda: endpoint.exchange(scope=None)) as found:
        _kill_each(world, found)
        before = workers(world)
        world.world.process.send_signal(signal.SIGHUP)
        wait_until(lambda: not {*before} & {*workers(world)} and len(workers(world)) == 2)
        found.go_on()
        _wait_for_alarms(world, workers(world))
        ready = endpoint.send(b"", path="/readyz", method="GET")
        running = revisions(world)
        keys.write_bytes(sound)
        mended = states.write(8)
        wait_until(lambda: revisions(world) == {mended})
        found.go_on()
    wait_until(lambda: endpoint.send(b"", path="/readyz", method="GET").status == 200)

    assert (ready.status, running) == (503, {revision})
    assert ready.json["problems"] == ["registry_invalid", "signing_keys_invalid"]
    assert found.count(0) <= 2
    assert found.count(0) + found.count(200) == len(found.outcomes)
    assert {states.number_of(answer) for answer in found.answers(200)} == {7, 8}


def _wait_for_alarms(world: TestWorld, running: list[int]) -> None:
    for what in ("registry", "signing_keys"):
        wait_until(
            lambda what=what: (
                {*running} <= {entry["worker"] for entry in said(world, what) if entry.get("alarm")}
            )
        )


def test_workers_retire(tmp_path: Path) -> None:
    """After so many requests a worker makes room for another one, and no request fails."""
    with behind_a_link(tmp_path, DELEGATION_MAX_REQUESTS="40") as (world, _):
        endpoint = endpoint_of(world)

        with load(endpoint.exchange) as found:
            wait_until(lambda: len({entry["worker"] for entry in said(world, "registry")}) > 4)

    assert {one.status for one in found.outcomes} == {200}
