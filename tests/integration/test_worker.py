"""The gunicorn worker: whom it serves, whom it keeps, how little it logs, and how it stops."""

import errno
import os
import signal
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from selectors import DefaultSelector
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn.config import Config
from gunicorn.glogging import Logger

import delegation.connection
import delegation.worker
from delegation.connection import Connection
from delegation.dev.servers import listening
from delegation.worker import Settled, Worker
from tests.attacks.endpoint import Endpoint

CANARY = "canary-7f3a9c"
GARBAGE = f"{CANARY}\r\n\r\n".encode()
GET = b"GET / HTTP/1.1\r\nHost: sts.example\r\n\r\n"


def greeting(_environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """An application that has not much to say."""
    start_response("200 OK", [("Content-Length", "5")])
    return [b"hello"]


@dataclass(frozen=True, slots=True)
class Running:
    """A worker that serves, and where."""

    worker: Worker
    thread: Thread
    address: tuple[str, int]

    def connected(self) -> socket.socket:
        """A peer."""
        return socket.create_connection(self.address, 5)

    def stop(self, *, told: bool) -> None:
        """Stop it, as gunicorn's signal does, or as if it had served enough."""
        if told:
            self.worker.handle_exit(signal.SIGTERM, None)
        self.worker.alive = False
        os.write(self.worker.PIPE[1], b"\0")


@contextmanager
def _a_worker(application: Any = greeting, max_requests: int = 0) -> Iterator[Running]:
    config = Config()
    config.set("max_requests", max_requests)
    with listening(0) as listener:
        # Two threads of one process cannot both have a socket that one of them closes.
        ours = listener.dup()
        worker = Worker(1, os.getppid(), [ours], SimpleNamespace(), 30, config, Logger(config))
        worker.wsgi = application
        worker.PIPE = os.pipe()
        thread = Thread(target=worker.run)
        running = Running(worker, thread, listener.getsockname())
        thread.start()
        try:
            yield running
        finally:
            running.stop(told=False)
            thread.join(10)
            worker.tmp.close()
            for end in worker.PIPE:
                os.close(end)
    assert not thread.is_alive()


@pytest.fixture(name="running")
def _running(monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    """A worker that looks after its connections often, and does not wait for them at its end."""
    monkeypatch.setattr(delegation.worker, "_NOTICE", 0.02)
    monkeypatch.setattr(delegation.worker, "LINGER", 0.0)
    with _a_worker() as running:
        yield running


def _asked(connection: socket.socket, request: bytes = GET) -> bytes:
    connection.sendall(request)
    return connection.recv(1 << 16)


def test_a_connection_is_kept(running: Running) -> None:
    """Whoever asks again need not connect again (RFC 9112 §9.3)."""
    client = HTTPConnection(*running.address, timeout=5)
    kept = []
    for _ in range(3):
        client.request("GET", "/")
        assert client.getresponse().read() == b"hello"
        kept.append(client.sock)
    client.close()

    assert kept[0] is not None
    assert len(set(kept)) == 1


def test_who_is_silent_holds_nobody_up(running: Running) -> None:
    """Whether they have never said anything, have nothing more to say, or do not hang up."""
    never, no_more, refused = (running.connected() for _ in range(3))
    assert _asked(no_more).endswith(b"hello")
    assert _asked(refused, GARBAGE).startswith(b"HTTP/1.1 400 ")

    with running.connected() as connection:
        assert _asked(connection).endswith(b"hello")
    for connection in (never, no_more, refused):
        connection.close()


def test_who_is_silent_for_too_long(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their connection is closed, and the worker has no other reason to wake up."""
    monkeypatch.setattr(delegation.connection, "IDLE", 0.1)
    with running.connected() as never, running.connected() as no_more:
        _asked(no_more)

        assert never.recv(1) == b""
        assert no_more.recv(1) == b""


def test_who_has_said_something_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Is served, though the worker was busy for so long that they seem to have been silent."""
    monkeypatch.setattr(delegation.connection, "IDLE", 0.2)
    monkeypatch.setattr(delegation.worker, "_NOTICE", 0.0)
    monkeypatch.setattr(delegation.worker, "LINGER", 0.0)

    def busy(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        if environ["PATH_INFO"] == "/slow":
            waiting.sendall(GET)
            time.sleep(0.4)
        return greeting(environ, start_response)

    with (
        _a_worker(busy) as running,
        running.connected() as waiting,
        running.connected() as slow,
    ):
        _asked(waiting)
        assert _asked(slow, b"GET /slow HTTP/1.1\r\n\r\n").endswith(b"hello")
        assert waiting.recv(1 << 16).endswith(b"hello")


def test_who_was_silent_for_longest(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Has to go where there are too many; and whoever has said something was not."""
    monkeypatch.setattr(delegation.worker, "MOST", 2)
    with running.connected() as first, running.connected() as second:
        _asked(first)
        _asked(second)
        _asked(first)
        with running.connected() as third:
            assert second.recv(1) == b""
            assert _asked(first).endswith(b"hello")
            assert _asked(third).endswith(b"hello")


def test_who_has_gone(running: Running) -> None:
    """Before they were answered, or in the middle of their request: that is their business."""
    for request in (GET, GET[:-4], b""):
        connection = running.connected()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.sendall(request)
        connection.close()

    with running.connected() as connection:
        assert _asked(connection).endswith(b"hello")


def test_who_has_said_something_keeps_their_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Though it was not served yet, and they were silent for longest: others go before them."""
    monkeypatch.setattr(delegation.worker, "MOST", 2)
    monkeypatch.setattr(delegation.worker, "LINGER", 0.0)
    newcomers: list[socket.socket] = []

    def crowding(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        if environ["PATH_INFO"] == "/crowd":
            waiting.sendall(GET)
            newcomers.extend(running.connected() for _ in range(2))
            newcomers[1].sendall(GET)
        return greeting(environ, start_response)

    with (
        _a_worker(crowding) as running,
        running.connected() as waiting,
        running.connected() as silent,
    ):
        _asked(waiting)
        _asked(silent, b"GET /crowd HTTP/1.1\r\n\r\n")
        answered = waiting.recv(1 << 16)
        assert answered.endswith(b"hello")
        assert b"Connection: close" not in answered
        assert silent.recv(1) == b""
        assert b"Connection: close" in newcomers[1].recv(1 << 16)
        assert _asked(newcomers[0]).endswith(b"hello")
        for newcomer in newcomers:
            newcomer.close()


def test_everybody_has_said_something(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then a newcomer who has not is the one to go."""
    monkeypatch.setattr(delegation.worker, "MOST", 0)

    with running.connected() as newcomer:
        assert newcomer.recv(1) == b""


@pytest.fixture(name="worker")
def _worker() -> Iterator[Worker]:
    """A worker that has not begun, so that nobody but a test has it do anything."""
    config = Config()
    worker = Worker(1, os.getppid(), [], SimpleNamespace(), 30, config, Logger(config))
    worker._poller = DefaultSelector()  # noqa: SLF001, it would make one when it begins
    yield worker
    worker._poller.close()  # noqa: SLF001
    worker.tmp.close()


def test_newcomers_need_not_wait_for_many_turns(worker: Worker) -> None:
    """As many are served in a turn as there are others."""
    accepted: list[int] = []

    class Listener:
        def accept(self) -> None:
            accepted.append(1)
            raise ConnectionAbortedError if len(accepted) < 10 else BlockingIOError

    worker._ready = 3  # noqa: SLF001
    worker._welcome(Listener())  # noqa: SLF001
    assert len(accepted) == 3
    worker._ready = 30  # noqa: SLF001
    worker._welcome(Listener())  # noqa: SLF001
    assert len(accepted) == 10


def test_nobody_can_be_accepted(worker: Worker) -> None:
    """Somebody makes room, as long as there is anybody."""

    class Full:
        def accept(self) -> None:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    kept, ours = socket.socketpair()
    with kept:
        worker._keep(Connection(ours, "", worker.cfg))  # noqa: SLF001
        assert worker._accept(Full())  # noqa: SLF001, no test can make the kernel do that
        assert kept.recv(1) == b""
    with pytest.raises(OSError, match="open files"):
        worker._accept(Full())  # noqa: SLF001


@pytest.mark.parametrize(
    ("name", "value"), [("certfile", "tls.crt"), ("keyfile", "tls.key"), ("proxy_protocol", "auto")]
)
def test_what_it_would_not_do(name: str, value: str) -> None:
    """Whoever relies on that is not served without it."""
    config = Config()
    Worker.check_config(config, None)
    config.settings[name].value = value

    with pytest.raises(RuntimeError, match="end at a proxy"):
        Worker.check_config(config, None)


def test_a_flood_of_garbage_is_sampled(running: Running, capfd: pytest.CaptureFixture[str]) -> None:
    """Whoever sends nothing but garbage does not fill the log; and nothing of it is in there."""
    for _ in range(200):
        with running.connected() as connection:
            assert _asked(connection, GARBAGE).endswith(b'{"error": "invalid_request"}')

    written = capfd.readouterr()
    lines = (written.err + written.out).splitlines()
    assert 1 <= len(lines) <= 50
    assert "request_not_served" in lines[0]
    assert CANARY not in "".join(lines)


def test_what_the_application_does_not_catch(capfd: pytest.CaptureFixture[str]) -> None:
    """It is answered in the same form, and its text is nowhere."""

    class Panic(BaseException):
        """As extension modules have some."""

    def failing(environ: dict[str, Any], _start_response: object) -> None:
        raise (Panic if environ["PATH_INFO"] == "/panic" else ValueError)(CANARY)

    with _a_worker(failing) as running, running.connected() as connection:
        assert _asked(connection, b"GET /panic HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 500 ")
    with _a_worker(failing) as running, running.connected() as connection:
        assert _asked(connection).startswith(b"HTTP/1.1 500 ")

    written = capfd.readouterr()
    assert "ValueError" in written.err + written.out
    assert CANARY not in written.err + written.out


def test_a_worker_has_served_enough(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Then it stops: its last answer says so, and whoever is on the way is heard for a moment."""
    monkeypatch.setattr(delegation.worker, "LINGER", 5.0)
    with _a_worker(max_requests=3) as running, running.connected() as kept:
        first = _asked(kept)
        with running.connected() as connection:
            assert b"Connection: close" not in _asked(connection)
            assert b"Connection: close" in _asked(connection)
        assert not running.worker.alive
        with running.connected() as newcomer:
            assert b"Connection: close" in _asked(newcomer)
        last = _asked(kept)

        running.thread.join(4)
        assert not running.thread.is_alive()  # nobody is left who could be on the way

    assert capfd.readouterr().err.count("Autorestarting worker") == 1
    assert b"Connection: close" not in first
    assert b"Connection: close" in last
    assert last.endswith(b"hello")


def test_who_waits_when_it_is_told_to_stop() -> None:
    """The kernel has accepted them in our name: they are served, and told that it was the last."""
    waiting: list[socket.socket] = []

    def stopping(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        if not waiting:
            waiting.extend(running.connected() for _ in range(3))
            for connection in waiting[1:]:
                connection.sendall(GET)
            running.stop(told=True)
        return greeting(environ, start_response)

    with _a_worker(stopping) as running, running.connected() as connection:
        assert _asked(connection).endswith(b"hello")
        silent, *others = waiting
        for waited in others:
            assert b"Connection: close" in waited.recv(1 << 16)
            waited.close()
        assert b"Connection: close" in _asked(silent)
        silent.close()


def test_who_is_silent_when_it_stops(running: Running) -> None:
    """Is not waited for any longer than that."""
    with running.connected() as kept:
        _asked(kept)
        running.stop(told=True)

        assert kept.recv(1) == b""
    running.thread.join(5)
    assert not running.thread.is_alive()


def test_its_parent_has_gone(running: Running) -> None:
    """Nobody would stop it any more: it does that by itself."""
    running.worker.ppid = 1 << 30
    running.thread.join(5)

    assert not running.thread.is_alive()


def test_its_settings() -> None:
    """They change no more; what gunicorn makes of them is there, too."""
    config = Config()
    settled = Settled(config)
    config.set("limit_request_fields", 7)

    assert settled.limit_request_fields == 100
    assert settled.env == config.env


def test_signs_of_life(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first at once, and then one each second, however many requests there are."""
    now, seen = [100.0], []
    monkeypatch.setattr(delegation.worker.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(worker.tmp, "notify", lambda: seen.append(now[0]))

    for now[0] in (100.0, 100.1, 100.9, 101.0, 101.5, 102.5):
        worker._notice()  # noqa: SLF001, what is done once a second, without waiting for that

    assert seen == [100.0, 101.0, 102.5]


@pytest.mark.slow
def test_idle_peers_hold_nobody_up_for_long(endpoint: Endpoint) -> None:
    """As many who have begun as there are workers delay an exchange, and do not prevent it."""
    idle = [endpoint.connected() for _ in range(2)]
    for connection in idle:
        connection.sendall(b"POST /token HTTP/1.1\r\nHost:")

    answer = endpoint.exchange()

    for connection in idle:
        connection.close()
    assert answer.status == 200
