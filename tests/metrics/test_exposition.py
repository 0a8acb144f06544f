"""What is served, to whom, and what is never said."""

import socket
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from delegation.metrics import exposition
from delegation.metrics.exposition import Counted, Exposition
from tests.metrics.conftest import Bench


class Broken(Collector):
    """Cannot be read, and would tell why."""

    def collect(self) -> Iterable[Family]:
        """Fail."""
        raise ValueError("secret")


@contextmanager
def serving_what(collector: Collector) -> Iterator[Exposition]:
    """One that runs, in a thread."""
    with Exposition("127.0.0.1:0", collector) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(name="serving")
def _serving(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Iterator[Exposition]:
    """One that serves what the bench counts."""
    monkeypatch.setattr(exposition, "_is_over", lambda _: False)
    with serving_what(Counted(str(bench.directory), configured=2)) as server:
        yield server


def _url(server: Exposition) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}"


def _ask(server: Exposition, path: str = "/metrics", **headers: str) -> httpx2.Response:
    return httpx2.get(f"{_url(server)}{path}", headers=headers, trust_env=False)


def test_what_is_asked_for_is_served(bench: Bench, serving: Exposition) -> None:
    """In the text format, or as OpenMetrics, to who asks for that; a query changes nothing."""
    bench.worker().throttled()
    bench.served()

    text = _ask(serving, "/metrics?name[]=none")
    open_metrics = _ask(serving, Accept="application/openmetrics-text; version=1.0.0")

    assert "delegation_throttled_requests_total 1.0" in text.text
    assert 'delegation_build_info{python="3.' in text.text
    assert "delegation_workers_configured 2.0" in text.text
    assert open_metrics.headers["Content-Type"].startswith("application/openmetrics-text")
    assert open_metrics.text.endswith("# EOF\n")


def test_what_cannot_be_read_is_not_explained(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Neither in the answer, nor in the log, but for the kind of error."""
    monkeypatch.setattr(exposition, "_is_over", lambda _: False)
    with serving_what(Broken()) as server:
        answer = _ask(server)

    assert (answer.status_code, answer.text) == (500, "500\n")
    said = capfd.readouterr().err
    assert '"event": "metrics_not_read", "why": "ValueError"' in said
    assert "secret" not in said


@pytest.mark.parametrize(
    "request_",
    [b"<script> HTTP/9\r\n\r\n", b"GET /<script>\r\n\r\n", b"\x16\x03\x01\r\n\r\n", b""],
)
def test_what_is_no_request(
    serving: Exposition, request_: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    """Nothing of it is said again, nor written down; and the next one is served."""
    with socket.create_connection(serving.server_address[:2], timeout=5) as peer:
        peer.sendall(request_)
        peer.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: peer.recv(4096), b""))

    assert b"script" not in answer
    assert b"<" not in answer
    assert _ask(serving).status_code == 200
    assert capfd.readouterr().err == ""


def test_a_peer_that_is_silent_is_left(serving: Exposition) -> None:
    """Others wait no longer than our patience."""
    with socket.create_connection(serving.server_address[:2]) as peer:
        peer.sendall(b"GET /metr")

        assert _ask(serving).status_code == 200


def test_an_error_of_a_peer_is_nothing_to_tell_of(
    serving: Exposition, capfd: pytest.CaptureFixture[str]
) -> None:
    """Who goes away while being answered leaves no trace."""
    serving.handle_error()

    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("bind", ["[::1]:0", "localhost:0"])
def test_where_it_listens(bind: str) -> None:
    """By name, or by an address of either kind."""
    with Exposition(bind, Broken()) as server:
        assert server.server_address[1] > 0


def test_a_port_that_is_taken_is_waited_for(tmp_path: Path) -> None:
    """It says so once, serves as soon as the other has gone, and ends with who started it."""
    directory = tmp_path / "metrics"
    directory.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = subprocess.Popen(  # noqa: S603, our own interpreter and arguments
            [
                *(sys.executable, "-m", "delegation.metrics.exposition"),
                *(str(directory), f"127.0.0.1:{port}", "1"),
            ],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stderr is not None
        said = process.stderr.readline()
    while True:
        try:
            answer = httpx2.get(f"http://127.0.0.1:{port}/metrics", trust_env=False)
            break
        except httpx2.HTTPError:
            assert process.poll() is None
    _, rest = process.communicate()

    assert b'"event": "metrics_not_served", "why": "Address already in use"' in said
    assert rest == b""
    assert "delegation_build_info" in answer.text
    assert not directory.exists()


def test_it_ends_while_it_waits(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Who is told to end before the port can be had, ends; why it waits is said once."""
    over = iter([False, False, True])
    monkeypatch.setattr(exposition, "_is_over", lambda _: next(over))
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(SystemExit):
        exposition.serve(f"127.0.0.1:{taken.getsockname()[1]}", Counted("/", configured=1))

    assert capfd.readouterr().err.count("metrics_not_served") == 1
