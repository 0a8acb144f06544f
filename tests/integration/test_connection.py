"""One connection to the worker: what is read of it, to the last byte, and when it is over."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http import HTTPStatus
from http.client import HTTPResponse
from typing import Any

import pytest
from gunicorn.config import Config
from gunicorn.http.errors import (
    ExpectationFailed,
    InvalidRequestLine,
    LimitRequestHeaders,
    LimitRequestLine,
    UnsupportedTransferCoding,
)

import delegation.connection
from delegation.connection import Connection
from delegation.worker import Settled

CANARY = "canary-7f3a9c"
PEER = ("192.0.2.1", 7)
CLOSE = b"\r\nConnection: close\r\n"

REQUEST = b"POST / HTTP/1.1\r\nHost: sts.example\r\nContent-Length: 4\r\n\r\nbody"


class Line:
    """A connection, with its other end."""

    def __init__(self, peer: Any = PEER) -> None:
        # Of such a pair each piece that is sent is received as one.
        self.end, ours = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.connection = Connection(ours, peer, Settled(Config()))

    def ask(self, request: bytes, application: Any, *, last: bool = False) -> None:
        """Send *request*, and have it answered."""
        self.end.send(request)
        received = self.connection.request()
        assert received
        self.connection.answer(received, application, last=last)

    def receive(self) -> bytes:
        """The next piece that was sent."""
        self.end.settimeout(5)
        return self.end.recv(1 << 20)


@pytest.fixture(name="line")
def _line() -> Iterator[Line]:
    line = Line()
    yield line
    line.connection.close()
    line.end.close()


def reading(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """An application that reads all, and says what it has read."""
    body: bytes = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH", "0")))
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


def _seeing(seen: dict[str, Any]) -> Callable[..., list[bytes]]:
    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        seen.update(environ)
        return reading(environ, start_response)

    return application


def test_an_answer_is_sent_whole(line: Line) -> None:
    """Head and body in one piece; and the connection stays."""
    line.ask(REQUEST, reading)
    answer = line.receive()

    assert answer.startswith(b"HTTP/1.1 200 OK\r\nDate: ")
    assert answer.endswith(b"\r\n\r\nbody")
    assert CLOSE not in answer
    assert line.connection.stays


def test_one_request_after_the_other(line: Line) -> None:
    """Each with a body of its own (RFC 9112 §9.3)."""
    for body in (b"one", b"another", b""):
        head = b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body)
        line.ask(head + body, reading)
        answer = line.receive()

        assert answer.endswith(b"\r\n\r\n" + body)
        assert CLOSE not in answer


def test_nothing_has_come(line: Line) -> None:
    """Nobody waits for that."""
    assert line.connection.request() is None
    assert line.connection.stays


@pytest.mark.parametrize(
    "request_",
    [
        b"GET / HTTP/1.0\r\n\r\n",
        b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nConnection: Close\r\n\r\n",
        b"GET / HTTP/1.1\r\nConnection: keep-alive, close\r\n\r\n",
        b"GET / HTTP/1.1\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
        b"CONNECT sts.example:443 HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n\r\n",
        REQUEST + b"0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
    ids=repr,
)
def test_the_last_request(line: Line, request_: bytes) -> None:
    """Nothing is read after one that says so, is of an older version or of another protocol, is in
    chunks, or has anything behind it (RFC 9112 §9.3, §9.6, §11.2).
    """
    line.ask(request_, reading)
    answer = line.receive()

    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert CLOSE in answer
    assert not line.connection.stays or line.receive() == b""


@pytest.mark.parametrize("said", ["keep-alive", "Keep-Alive", " keep-alive "])
def test_who_asks_for_more(line: Line, said: str) -> None:
    """They may."""
    line.ask(f"GET / HTTP/1.1\r\nConnection: {said}\r\n\r\n".encode(), reading)

    assert CLOSE not in line.receive()
    assert line.connection.stays


def test_the_last_request_of_a_worker(line: Line) -> None:
    """One that stops says so, so that nobody sends another one."""
    line.ask(REQUEST, reading, last=True)

    assert CLOSE in line.receive()
    assert not line.connection.stays


def test_an_answer_that_does_not_say_how_long_it_is(line: Line) -> None:
    """It ends with its connection (RFC 9112 §6.3)."""

    def unsized(_environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"all of it"]

    line.ask(b"GET / HTTP/1.1\r\n\r\n", unsized)

    assert CLOSE in line.receive()
    assert not line.connection.stays


def test_the_last_of_many(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection does not stay for ever: who opens another one may get another worker."""
    monkeypatch.setattr(delegation.connection, "REQUESTS", 3)
    answers = []
    for _ in range(3):
        line.ask(REQUEST, reading)
        answers.append(CLOSE in line.receive())

    assert answers == [False, False, True]


def test_who_is_still_sending_is_heard_out(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that comes before all was read would be lost where the connection is reset. What
    is still being sent is read, and is no request, until that has taken too long.
    """
    monkeypatch.setattr(delegation.connection, "PARTING", 7.0)

    def refusing(_environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("413 Content Too Large", [("Content-Length", "0")])
        return []

    before = time.monotonic()
    line.ask(REQUEST, refusing)

    assert CLOSE in line.receive()
    assert line.receive() == b""
    assert line.connection.stays
    assert before + 7 <= line.connection.until <= time.monotonic() + 7
    until = line.connection.until
    line.end.send(REQUEST)
    assert line.connection.request() is None
    assert line.connection.until == until
    line.end.close()
    with pytest.raises(ConnectionResetError):
        line.connection.request()


@pytest.mark.parametrize("begun", [b"POST /tok", b"POST /token HTTP/1.1\r\nHost:"], ids=repr)
def test_a_peer_that_stops_half_way(monkeypatch: pytest.MonkeyPatch, begun: bytes) -> None:
    """Whoever begins a request and does not go on is not waited for."""
    monkeypatch.setattr(delegation.connection, "PATIENCE", 0.05)
    line = Line()
    line.end.send(begun)

    with line.end, pytest.raises(ConnectionResetError):
        line.connection.request()
    line.connection.close()


def test_a_peer_that_stops_half_way_in_a_body(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor are they then; what the application makes of that is its own."""
    monkeypatch.setattr(delegation.connection, "PATIENCE", 0.05)
    line = Line()

    with line.end, pytest.raises(ConnectionResetError):
        line.ask(REQUEST[:-1], reading)
    line.connection.close()


@pytest.mark.parametrize(
    "sent", [b"", b"\r\n", b"POST /tok", b"POST / HTTP/1.1\r\nHost:"], ids=repr
)
def test_a_peer_that_is_gone(line: Line, sent: bytes) -> None:
    """Wherever they stopped, it is no request."""
    if sent:
        line.end.send(sent)
    line.end.close()

    with pytest.raises(OSError):  # noqa: PT012, PT011, of any kind
        assert line.connection.request() is None
        line.connection.request()


def test_empty_lines_before_a_request(line: Line) -> None:
    """Nobody waits for what follows them (RFC 9112 §2.2)."""
    line.end.send(b"\r\n")
    assert line.connection.request() is None

    line.ask(REQUEST, reading)
    assert line.receive().endswith(b"body")


def test_a_peer_that_drips(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever sends a little each time is not waited for any longer than twice."""
    monkeypatch.setattr(delegation.connection, "PATIENCE", 0.2)
    line = Line()
    over = threading.Event()

    def drip() -> None:
        while not over.wait(0.05):
            line.end.send(b"a")

    dripping = threading.Thread(target=drip)
    line.end.send(b"POST /")
    dripping.start()
    with pytest.raises(ConnectionResetError, match="too slow"):
        line.connection.request()
    over.set()
    dripping.join()
    line.connection.close()
    line.end.close()


@pytest.mark.parametrize("size", [delegation.connection._PIECE, 200])  # noqa: SLF001
def test_what_has_come_behind_a_request(size: int) -> None:
    """Wherever it is by now, it is no other request; and the answer is not lost with it."""
    theirs, ours = socket.socketpair()
    head = b"GET /first HTTP/1.1\r\nX: "
    first = head + b"a" * (size - len(head) - 4) + b"\r\n\r\n"
    connection = Connection(ours, PEER, Settled(Config()))
    seen: dict[str, Any] = {}
    with theirs:
        theirs.sendall(first)
        request = connection.request()
        assert request
        theirs.sendall(b"GET /smuggled HTTP/1.1\r\n\r\n")
        connection.answer(request, _seeing(seen), last=False)

        assert CLOSE in theirs.recv(1 << 16)
        assert connection.request() is None
        assert theirs.recv(1) == b""
    connection.close()
    assert seen["PATH_INFO"] == "/first"


def test_nobody_hears_the_answer(line: Line) -> None:
    """Then there is nobody to tell."""
    line.end.send(REQUEST)
    request = line.connection.request()
    line.end.close()

    assert request
    with pytest.raises(OSError):  # noqa: PT011, of any kind
        line.connection.answer(request, reading, last=False)
    with pytest.raises(OSError):  # noqa: PT011, of any kind
        line.connection.refuse(ValueError(CANARY))


def test_who_does_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Is not waited for either."""
    monkeypatch.setattr(delegation.connection, "PATIENCE", 0.05)
    line = Line()

    def endless(_environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Length", str(1 << 16))])
        return [bytes(1 << 16)]

    with line.end, pytest.raises(OSError):  # noqa: PT012, PT011, after as many as fit
        while True:
            line.ask(b"GET / HTTP/1.1\r\n\r\n", endless)
    line.connection.close()


@pytest.mark.parametrize("value", ["a\r\nb: c", "a\nb", "a\rb"], ids=repr)
def test_a_header_is_one_line(line: Line, value: str) -> None:
    """Were it ever to hold more, nothing of the answer is sent."""

    def splitting(_environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [("X-Name", value)])
        return [b"secret"]

    with pytest.raises(ValueError, match="more than one line"):
        line.ask(REQUEST, splitting)

    line.end.settimeout(0)
    with pytest.raises(BlockingIOError):
        line.end.recv(1)


def test_an_answer_is_closed(line: Line) -> None:
    """Whoever made it may want to know that it was read (PEP 3333)."""
    closed = []

    class Body(list[bytes]):
        def close(self) -> None:
            closed.append(True)

    def application(_environ: dict[str, Any], start_response: Any) -> Body:
        start_response("200 OK", [])
        return Body([b"all ", b"of it"])

    line.ask(b"GET / HTTP/1.1\r\n\r\n", application)

    assert line.receive().endswith(b"\r\n\r\nall of it")
    assert closed == [True]


def test_who_asks_before_they_send(line: Line) -> None:
    """They are told to go on (RFC 9110 §10.1.1)."""
    head, _, body = REQUEST.partition(b"\r\n\r\n")
    line.end.send(head + b"\r\nExpect: 100-continue\r\n\r\n")
    request = line.connection.request()
    assert request
    line.end.send(body)
    line.connection.answer(request, reading, last=False)

    assert line.receive() == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert line.receive().endswith(b"\r\n\r\nbody")


def test_what_the_application_is_told(line: Line) -> None:
    """The request as WSGI has it (PEP 3333); nothing of ours is taken from what a client says."""
    seen: dict[str, Any] = {}
    line.ask(
        b"GET /a%2Fb/%C3%A9?x=%20y HTTP/1.1\r\nHost: evil.example\r\nX-Forwarded-Proto: https\r\n"
        b"X-Two: 1\r\nX-Two: 2\r\nX_Two: 3\r\nSCRIPT_NAME: /a\r\nContent-Type: text/plain\r\n"
        b"Remote-Addr: 198.51.100.7\r\n\r\n",
        _seeing(seen),
    )

    assert {name: value for name, value in seen.items() if not name.startswith("wsgi.")} == {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/a/b/\xc3\xa9",
        "QUERY_STRING": "x=%20y",
        "REMOTE_ADDR": "192.0.2.1",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "CONTENT_TYPE": "text/plain",
        "HTTP_HOST": "evil.example",
        "HTTP_X_FORWARDED_PROTO": "https",
        "HTTP_X_TWO": "1,2",
        "HTTP_REMOTE_ADDR": "198.51.100.7",
    }
    assert seen["wsgi.url_scheme"] == "http"


def test_a_peer_without_an_address() -> None:
    """Whoever has our socket; and gunicorn would believe what they say of TLS."""
    seen: dict[str, Any] = {}
    line = Line("")
    with line.end:
        line.ask(b"GET / HTTP/1.1\r\nX-Forwarded-Proto: https\r\n\r\n", _seeing(seen))
    line.connection.close()

    assert seen["REMOTE_ADDR"] == ""
    assert seen["wsgi.url_scheme"] == "http"


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
def test_what_is_no_request(line: Line, error: Exception, status: HTTPStatus, code: str) -> None:
    """The answer is JSON that no cache keeps, says one word, and repeats nothing."""
    line.connection.refuse(error)

    received = line.receive()
    assert line.receive() == b""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(received)
        response = HTTPResponse(theirs)
        response.begin()
        assert response.status == status
        assert json.loads(response.read()) == {"error": code}
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["Connection"] == "close"
    assert CANARY.encode() not in received
