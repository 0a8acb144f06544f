"""The load that we bring ourselves: it sends everything once, and waits for whole answers."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.load import Load

REQUESTS = [
    b"POST /token HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n%03d" % number
    for number in range(40)
]


@contextmanager
def a_server(version: str, *, refused: str = "") -> Iterator[tuple[tuple[str, int], list[str]]]:
    """It writes down what it is sent. HTTP/1.0 closes each time; *refused* is what it refuses."""
    seen: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = version
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            seen.append(body)
            self.send_response(400 if body == refused else 200)
            if version == "HTTP/1.1":
                self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.flush()
            whole = b"3\r\nabc\r\n0\r\n\r\n" if version == "HTTP/1.1" else b"abc"
            self.wfile.write(whole)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield ("127.0.0.1", server.server_port), seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(("version", "kept"), [("HTTP/1.0", 0), ("HTTP/1.1", 40)])
def test_all_is_sent_once(version: str, kept: int) -> None:
    """Whether the server keeps connections or not; and it is known which."""
    with a_server(version) as (address, seen):
        load = Load(address, REQUESTS, connections=4, rate=None)
        load()

    assert sorted(seen) == [f"{number:03}" for number in range(40)]
    assert (load.statuses, load.kept, len(load.times)) == ({200: 40}, kept, 40)


def test_a_pace_is_kept() -> None:
    """Forty at a thousand a second take no less than their time."""
    with a_server("HTTP/1.0") as (address, _):
        taken = Load(address, REQUESTS, connections=4, rate=1000)()

    assert taken >= 0.039


def test_what_is_refused_is_told(tmp_path: Path) -> None:
    """As JSON, with the first refusal; the rest goes on."""
    (tmp_path / "bodies").write_text("a\nb\nc")
    with a_server("HTTP/1.0", refused="b") as ((host, port), _):
        plan = {"host": host, "port": port, "path": "/token", "headers": {}, "connections": 1}
        plan |= {"bodies": str(tmp_path / "bodies"), "rate": None}
        command = [sys.executable, "-m", "tests.benchmarks.load", json.dumps(plan)]
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout  # noqa: S603

    found: dict[str, Any] = json.loads(output)
    assert (found["sent"], found["granted"], found["kept"]) == (3, 2, False)
    assert found["refusal"].startswith("HTTP/1.0 400")
