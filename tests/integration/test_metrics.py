"""`/metrics` of the real service: over all workers, over their restarts, and nowhere else."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from secrets import token_hex

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from delegation.metrics.catalogue import CATALOGUE
from tests.attacks.endpoint import Answer, basic
from tests.deploy.instances import free_port
from tests.integration.conftest import endpoint_of
from tests.secrecy import leaks
from tests.world import TestWorld, a_test_world

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


class Watched:
    """A world, and what is said of it at *url*."""

    def __init__(self, world: TestWorld, url: str) -> None:
        self.world = world
        self.url = url
        self.endpoint = endpoint_of(world)

    def text(self) -> str:
        """All of it, as it is served."""
        answer = httpx2.get(self.url, trust_env=False)
        assert answer.status_code == 200
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        return answer.text

    def samples(self) -> Samples:
        """Every number, by its name and labels."""
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(self.text())
            for sample in family.samples
        }

    def sum(self, name: str, **labels: str) -> float:
        """All samples of that name that have these labels, together."""
        meant = frozenset(labels.items())
        return sum(
            value for (one, said), value in self.samples().items() if one == name and meant <= said
        )

    def workers(self) -> set[int]:
        """The processes that serve; the exposition is none of them."""
        pid = self.world.world.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return {int(child) for child in children if not _is_exposition(int(child))}


def _is_exposition(pid: int) -> bool:
    return b"delegation.metrics.exposition" in Path(f"/proc/{pid}/cmdline").read_bytes()


def until(condition: Callable[[], bool]) -> None:
    """Wait: workers say every second what they have counted."""
    deadline = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture(name="watched", scope="module")
def _watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """A world of two workers that is watched."""
    bind = f"127.0.0.1:{free_port()}"
    directory = tmp_path_factory.mktemp("world")
    with a_test_world(directory, workers=2, DELEGATION_METRICS_BIND=bind) as world:
        watched = Watched(world, f"http://{bind}/metrics")
        until(lambda: _are_ready(watched, workers=2))
        yield watched


def _exchange_at_each(watched: Watched) -> None:
    """One exchange at each of the workers: the others sleep meanwhile."""
    for worker in watched.workers():
        others = watched.workers() - {worker}
        for pid in others:
            os.kill(pid, signal.SIGSTOP)
        try:
            assert watched.endpoint.exchange().status == 200
        finally:
            for pid in others:
                os.kill(pid, signal.SIGCONT)


def test_all_workers_add_up_and_outlive_themselves(watched: Watched) -> None:
    """A counter is that of the service: what a worker has counted is there when it has gone, and
    its successor goes on.
    """
    issued = {"outcome": "issued", "client": "calendar-mcp"}
    before = watched.sum("delegation_exchanges_total", **issued)
    _exchange_at_each(watched)
    first = watched.workers()

    os.kill(min(first), signal.SIGTERM)
    until(lambda: len(watched.workers() - first) == 1 and len(watched.workers() & first) == 1)
    _exchange_at_each(watched)

    until(lambda: watched.sum("delegation_exchanges_total", **issued) == before + 4)
    until(lambda: watched.sum("delegation_workers") == 2)
    stage = watched.sum("delegation_exchange_stage_duration_seconds_count", stage="sign")
    assert stage == watched.sum("delegation_exchanges_total", outcome="issued")
    places = {path.name.rpartition("_")[2] for path in _directory(watched).iterdir()}
    assert places == {"0.db", "1.db"}


def _directory(watched: Watched) -> Path:
    (exposition,) = _expositions(watched.world.world.process.pid)
    arguments = Path(f"/proc/{exposition}/cmdline").read_text().split("\0")
    return Path(arguments[arguments.index("delegation.metrics.exposition") + 1])


@pytest.mark.parametrize("strangers", [20, pytest.param(1000, marks=pytest.mark.slow)])
def test_nobody_makes_up_a_label(watched: Watched, strangers: int) -> None:
    """However many clients and resources nobody has heard of: they are one of each."""
    endpoint = watched.endpoint
    endpoint.exchange(headers={"Authorization": basic("calendar-mcp", "guess")})
    endpoint.exchange(resource="https://unheard-of.example/api")
    until(lambda: watched.sum("delegation_exchanges_total", reason="target_unknown") > 0)
    until(lambda: watched.sum("delegation_authentication_failures_total") > 0)
    before = watched.samples()

    for number in range(strangers):
        name = f"{token_hex(4)}-{number}"
        endpoint.exchange(resource=f"https://{name}.example/api")
        endpoint.exchange(headers={"Authorization": basic(name, "guess")})

    def all_counted() -> bool:
        failures = watched.sum("delegation_authentication_failures_total", client="other")
        targets = watched.sum("delegation_exchanges_total", reason="target_unknown")
        return failures >= strangers and targets >= strangers + 1

    until(all_counted)
    new = watched.samples().keys() - before.keys()
    assert {name for name, _ in new} <= {
        "delegation_authentication_failures_total",
        "delegation_request_duration_seconds_bucket",
        "delegation_request_duration_seconds_count",
        "delegation_request_duration_seconds_sum",
    }
    assert watched.sum("delegation_exchanges_total", resource="other") > strangers


def test_it_is_nowhere_else(watched: Watched) -> None:
    """The service's own port knows nothing of it; the other knows nothing else, and says nothing of
    what it was asked.
    """
    assert httpx2.get(f"{watched.world.world.url}/metrics", trust_env=False).status_code == 404
    base = watched.url.removesuffix("/metrics")
    for method, path in (("GET", "/"), ("GET", "/metrics/x"), ("GET", "/readyz")):
        answer = httpx2.request(method, f"{base}{path}", trust_env=False)
        assert (answer.status_code, answer.text) == (404, "404\n")
    answer = httpx2.post(f"{base}/metrics?<script>", trust_env=False)
    assert (answer.status_code, answer.text) == (501, "501\n")
    assert answer.headers["Server"] == "delegation"


def test_no_worker_holds_its_port(watched: Watched) -> None:
    """Neither a worker nor the master listens there, and what listens has none of our settings."""
    port = int(watched.url.split(":")[2].split("/")[0])
    master = watched.world.world.process.pid
    (exposition,) = _expositions(master)

    holders = {pid for pid in (master, exposition, *watched.workers()) if _listens(pid, port)}

    assert holders == {exposition}
    assert b"DELEGATION_" not in Path(f"/proc/{exposition}/environ").read_bytes()


def _expositions(master: int) -> list[int]:
    children = Path(f"/proc/{master}/task/{master}/children").read_text().split()
    return [int(child) for child in children if _is_exposition(int(child))]


def _listens(pid: int, port: int) -> bool:
    inodes = {
        line.split()[9]
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
        if line.split()[1] == f"0100007F:{port:04X}" and line.split()[3] == "0A"
    }
    links = (link.readlink() for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink())
    return any(str(link) == f"socket:[{inode}]" for link in links for inode in inodes)


@pytest.mark.standard("8693-5-3")
def test_what_is_served(watched: Watched) -> None:
    """All of it is in the catalogue, and none of it is a token, a secret or a subject."""
    answer: Answer = watched.endpoint.exchange()
    assert answer.status == 200
    text = watched.text()

    names = {family.name for family in text_string_to_metric_families(text)}
    assert names <= {metric.family for metric in CATALOGUE}
    assert not [*leaks(text, known=watched.world.secrets.values())]
    assert "alice" not in text
    assert answer.json["access_token"] not in text
    assert (answer.header("Delegation-Decision") or "none") not in text


def test_it_goes_with_the_service(tmp_path: Path) -> None:
    """Who serves the metrics ends with the master, and takes the files along; killed before, it
    comes back with the next worker.
    """
    bind = f"127.0.0.1:{free_port()}"
    with a_test_world(tmp_path, workers=1, DELEGATION_METRICS_BIND=bind) as world:
        watched = Watched(world, f"http://{bind}/metrics")
        until(lambda: bool(watched.workers()))
        directory = _directory(watched)
        (exposition,) = _expositions(world.world.process.pid)
        os.kill(exposition, signal.SIGKILL)
        until(lambda: not Path(f"/proc/{exposition}").exists())
        (worker,) = watched.workers()
        os.kill(worker, signal.SIGTERM)
        until(lambda: watched.workers() not in ({worker}, set()))
        until(lambda: len(_expositions(world.world.process.pid)) == 1)
        until(lambda: _are_ready(watched, workers=1))
        assert directory.exists()

    assert not directory.exists()


def _are_ready(watched: Watched, *, workers: int) -> bool:
    """Whether it is said of so many; who says it is another process, and begins when it does."""
    try:
        return watched.sum("delegation_workers_ready") == workers
    except httpx2.HTTPError:
        return False
