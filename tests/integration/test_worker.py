"""The gunicorn worker: its own answers, to the last byte, and how little it logs."""

import json
import socket
import threading
from collections.abc import Iterator
from functools import partial
from http import HTTPStatus
from http.client import HTTPResponse
from types import SimpleNamespace
from typing import Any

import gunicorn.util
import pytest
from gunicorn.config import Config
from gunicorn.glogging import Logger
from gunicorn.http.errors import (
    ExpectationFailed,
    InvalidRequestLine,
    LimitRequestHeaders,
    LimitRequestLine,
    UnsupportedTransferCoding,
)

import delegation.worker
from delegation.worker import Worker
from tests.attacks.endpoint import Endpoint

CANARY = "canary-7f3a9c"


@pytest.fixture(name="worker")
def _worker() -> Iterator[Worker]:
    """A worker that has not begun."""
    config = Config()
    worker = Worker(1, 1, [], SimpleNamespace(), 30, config, Logger(config))
    yield worker
    worker.tmp.close()


def _answer(worker: Worker, error: Exception) -> tuple[HTTPResponse, dict[str, Any]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        worker.handle_error(None, ours, ("192.0.2.1", 7), error)
        ours.close()
        response = HTTPResponse(theirs)
        response.begin()
        return response, json.loads(response.read())


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (InvalidRequestLine(CANARY), HTTPStatus.BAD_REQUEST, "invalid_request"),
        (UnsupportedTransferCoding(CANARY), HTTPStatus.BAD_REQUEST, "invalid_request"),
        (ExpectationFailed(CANARY), HTTPStatus.BAD_REQUEST, "invalid_request"),
        (LimitRequestLine(1, 2), HTTPStatus.REQUEST_URI_TOO_LONG, "invalid_request"),
        (
            LimitRequestHeaders(CANARY),
            HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
            "invalid_request",
        ),
        (ValueError(CANARY), HTTPStatus.INTERNAL_SERVER_ERROR, "server_error"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_its_own_answers(
    worker: Worker,
    capfd: pytest.CaptureFixture[str],
    error: Exception,
    status: HTTPStatus,
    code: str,
) -> None:
    """Each is JSON that no cache keeps, says one word, and repeats nothing."""
    response, body = _answer(worker, error)

    assert response.status == status
    assert body == {"error": code}
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["Connection"] == "close"
    assert CANARY not in str(response.headers)
    written = capfd.readouterr()
    assert CANARY not in written.err + written.out


def test_a_peer_that_is_gone(worker: Worker) -> None:
    """Nobody hears the answer, and nobody is troubled by that."""
    ours, theirs = socket.socketpair()
    theirs.close()

    with ours:
        worker.handle_error(None, ours, None, ValueError(CANARY))


@pytest.mark.parametrize("begun", [b"", b"POST /tok", b"POST /token HTTP/1.1\r\nHost:"], ids=repr)
def test_a_peer_that_stops_half_way(
    worker: Worker,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    begun: bytes,
) -> None:
    """Whoever begins a request and does not go on is not waited for, and not worth a line."""
    monkeypatch.setattr(delegation.worker, "PATIENCE", 0.05)
    ours, theirs = socket.socketpair()

    with ours, theirs:
        theirs.sendall(begun)
        waited = threading.Thread(target=worker.handle, args=(None, ours, ("192.0.2.1", 7)))
        waited.start()
        received = theirs.recv(100)
        theirs.close()
        waited.join(5)

    assert received == b""
    assert not waited.is_alive()
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_idle_peers_hold_nobody_up_for_long(endpoint: Endpoint) -> None:
    """As many idle connections as there are workers delay an exchange, and do not prevent it."""
    idle = [endpoint.connected() for _ in range(2)]
    for connection in idle:
        connection.sendall(b"POST /token HTTP/1.1\r\nHost:")

    answer = endpoint.exchange()

    for connection in idle:
        connection.close()
    assert answer.status == 200


def test_a_flood_of_garbage_is_sampled(worker: Worker, capfd: pytest.CaptureFixture[str]) -> None:
    """Whoever sends nothing but garbage does not fill the log."""
    for _ in range(200):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            worker.handle_error(None, ours, None, InvalidRequestLine(CANARY))

    written = capfd.readouterr()
    assert 1 <= len((written.err + written.out).splitlines()) <= 50


REQUEST = b"POST / HTTP/1.1\r\nHost: sts.example\r\nContent-Length: 4\r\n\r\nbody"


def _handled(worker: Worker, request: bytes, application: Any) -> Iterator[bytes]:
    """What the peer of a connection gets for *request*, piece by piece; it never hangs up."""
    worker.wsgi = application
    # Of such a pair each piece that is sent is received as one.
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs, socket.socket() as listener:
        theirs.send(request)
        worker.handle(listener, ours, ("192.0.2.1", 7))
        while piece := theirs.recv(1 << 20):
            yield piece


def _reading(body: bytes) -> Any:
    """An application that reads all, and answers *body*."""

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        assert environ["wsgi.input"].read(4) == b"body"
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]

    return application


def _waiting(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    close_graceful = gunicorn.util.close_graceful
    monkeypatch.setattr(gunicorn.util, "close_graceful", partial(close_graceful, timeout=seconds))


@pytest.fixture(name="_patient")
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits for a peer to hang up waits for as long as a test can take."""
    _waiting(monkeypatch, 3600)


@pytest.mark.usefixtures("_patient")
def test_an_answer_is_sent_whole_and_nobody_is_waited_for(worker: Worker) -> None:
    """Head and body in one piece; then it is over, although the peer has not hung up."""
    (answer,) = _handled(worker, REQUEST, _reading(b"answer"))

    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"\r\n\r\nanswer")


@pytest.mark.parametrize("value", ["a\r\nb: c", "a\nb", "a\rb"], ids=repr)
def test_a_header_is_one_line(worker: Worker, value: str) -> None:
    """Were it ever to hold more, nothing of the answer is sent, and nothing of it is repeated."""

    def splitting(_environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [("X-Name", value)])
        return [b"secret"]

    answer = b"".join(_handled(worker, REQUEST, splitting))

    assert answer.startswith(b"HTTP/1.1 500 ")
    assert answer.endswith(b'{"error": "server_error"}')


def test_an_answer_is_closed(worker: Worker) -> None:
    """Whoever made it may want to know that it was read (PEP 3333)."""
    closed = []

    class Body(list[bytes]):
        def close(self) -> None:
            closed.append(True)

    def application(_environ: dict[str, Any], start_response: Any) -> Body:
        start_response("200 OK", [])
        return Body([b"all ", b"of it"])

    (answer,) = _handled(worker, REQUEST.replace(b"4", b"0"), application)

    assert answer.endswith(b"\r\n\r\nall of it")
    assert closed == [True]


def test_a_worker_has_served_enough(worker: Worker) -> None:
    """Then it stops, after this answer."""
    worker.max_requests = 2
    worker.alive = True

    [*_handled(worker, REQUEST, _reading(b"one"))]
    assert worker.alive
    [*_handled(worker, REQUEST, _reading(b"two"))]

    assert not worker.alive


def test_who_is_still_sending_is_heard_out(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that comes before all was read would be lost where the connection is reset."""
    heard = []

    def refusing(_environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("413 Content Too Large", [("Content-Length", "0")])
        return []

    class Spied(delegation.worker._Connection):  # noqa: SLF001
        def recv(self, size: int) -> bytes:
            heard.append(self.is_done)
            return super().recv(size)

    monkeypatch.setattr(delegation.worker, "_Connection", Spied)
    _waiting(monkeypatch, 0.01)

    (answer,) = _handled(worker, REQUEST, refusing)

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert heard[1:] == [False]


def test_signs_of_life(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first at once, and then one each second, however many requests there are."""
    now, seen = [100.0], []
    monkeypatch.setattr(delegation.worker.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(worker.tmp, "notify", lambda: seen.append(now[0]))

    for now[0] in (100.0, 100.1, 100.9, 101.0, 101.5, 102.5):
        worker.notify()

    assert seen == [100.0, 101.0, 102.5]
