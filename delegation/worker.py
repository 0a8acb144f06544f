"""The gunicorn worker: what is no HTTP is answered in JSON too, and neither echoed nor logged."""

import contextlib
import errno
import logging
import socket
import struct
import time
from collections.abc import Iterable, Sequence
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import Any

from gunicorn.http.errors import LimitRequestHeaders, LimitRequestLine, ParseException
from gunicorn.http.wsgi import create
from gunicorn.util import write_nonblock
from gunicorn.workers.sync import SyncWorker

from delegation.metrics.sharing import meter
from delegation.web.limits import SampledLog, close_logs, settle_logs

PATIENCE = 5.0
"""Seconds to wait for the next bytes of a request: a worker that waits serves nobody else. Who must
be waited for longer belongs behind a proxy that buffers.
"""

_NOTICE = 1.0
"""Seconds between two signs of life; the arbiter waits thirty times as long."""

LAST_ORDERS = 5.0
"""Seconds in which a worker that is told to stop answers those who are waiting already."""


class Worker(SyncWorker):
    """A sync worker whose own errors keep to the form of the token endpoint (RFC 6749 §5.2).

    Gunicorn's answer to a malformed request is HTML that repeats the request line, and its log line
    repeats the address: a token in a query string would end up in both.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.cfg: Any = _Settled(self.cfg)
        self._not_served = SampledLog(
            time.monotonic, level=logging.WARNING, suppressed=lambda: meter().line_suppressed()
        )
        self._told_to_stop = False
        self._notified = -_NOTICE

    def run(self) -> None:
        """Serve; when told to stop, until nobody is waiting any more, or for `LAST_ORDERS`.

        Who waits has been accepted by the kernel in our name, and would be reset. Who comes later
        is refused at once, long before the process has ended: a proxy then asks another instance.
        """
        super().run()
        until = time.monotonic() + LAST_ORDERS
        with contextlib.suppress(BlockingIOError):  # nobody is waiting
            while self._told_to_stop and time.monotonic() < until:
                self.notify()
                with contextlib.suppress(ConnectionAbortedError):
                    self.accept(self.sockets[0])
        for listener in self.sockets:
            listener.close()
        close_logs()

    def wait(self, timeout: float) -> Any:
        """Wait for whoever comes next; a flood that has ended leaves its count in the log."""
        settle_logs()
        return super().wait(timeout)

    def notify(self) -> None:
        """Tell the arbiter that we live: once a second, for each time writes to a file system."""
        now = time.monotonic()
        if now - self._notified >= _NOTICE:
            self._notified = now
            super().notify()

    def accept(self, listener: Any) -> None:
        """Serve who comes next, on a connection that Python has kept from our children already."""
        client, addr = listener.accept()
        client.settimeout(None)
        self.handle(listener, client, addr)

    def handle_exit(self, sig: int, frame: object) -> None:
        """Stop, but not in the middle of a request."""
        self._told_to_stop = True
        super().handle_exit(sig, frame)

    def handle(self, listener: Any, client: Any, addr: object) -> None:
        """Serve one request, unless it stops half-way."""
        connection = _Connection(client)
        # Python's own timeout would cost a call of poll for every read and write.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _timeval(PATIENCE))
        super().handle(listener, connection, addr)

    def handle_request(self, listener: Any, req: Any, client: Any, addr: object) -> None:
        """Answer it, in one piece. Where all that was sent has been read, it is over with that.

        Gunicorn's own way is for applications that it does not know: it looks at each header twice,
        and writes the date and every part of the answer anew.
        """
        _, environ = create(req, client, addr, _address(listener), self.cfg)
        self.nr += 1
        if self.nr >= self.max_requests:
            self.log.info("Autorestarting worker after current request.")
            self.alive = False
        reply = _Reply()
        client.sendall(reply.whole(self.wsgi(environ, reply.start)))
        client.is_done = getattr(req.body.reader, "length", None) == 0

    def handle_error(self, req: object, client: Any, addr: object, exc: Exception) -> None:  # noqa: ARG002
        """Answer a request that never reached the application, and log what kind of error it
        was: not each time, for whoever sends nothing but garbage must not fill the log.
        """
        self._not_served("request_not_served", error=type(exc).__name__)
        meter().malformed("not_http")
        with contextlib.suppress(OSError):  # the peer is gone
            write_nonblock(client, _answer(_status(exc)))


class _Settled:
    """A configuration that changes no more: gunicorn's own looks for each setting at each use, some
    of them for each header. What is no setting is asked of it.
    """

    def __init__(self, config: Any) -> None:
        vars(self).update({name: getattr(config, name) for name in config.settings})
        self._config = config
        self.is_ssl = config.is_ssl

    def __getattr__(self, name: str) -> Any:
        return getattr(self._config, name)


class _Connection:
    """A connection on which silence means that the peer has gone.

    Gunicorn writes a traceback for a timeout, and nothing for a peer that has gone. And it waits,
    for two seconds at most, until the peer has closed: a worker that waits serves nobody else. To
    wait is for what the peer may still be sending (RFC 9112 §9.6): where it *is done*, that is
    nothing.
    """

    is_done = False

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def recv(self, size: int) -> bytes:
        if self.is_done:
            return b""
        try:
            received: bytes = self._client.recv(size)
        except BlockingIOError:
            raise ConnectionResetError(errno.ECONNRESET, "the peer is silent") from None
        return received

    def shutdown(self, how: int) -> None:
        if not self.is_done:
            self._client.shutdown(how)

    def settimeout(self, seconds: float) -> None:
        if not self.is_done:
            self._client.settimeout(seconds)


class _Reply:
    """What an application of ours answers, as it is sent: no line can bring another one along."""

    def __init__(self) -> None:
        self._status = ""
        self._headers: Sequence[tuple[str, str]] = ()

    def start(self, status: str, headers: Sequence[tuple[str, str]], _info: object = None) -> None:
        """WSGI's `start_response`; what it answers in WSGI, a way to write, nobody uses."""
        self._status, self._headers = status, headers

    def whole(self, body: Iterable[bytes]) -> bytes:
        """Head and body. Raises `ValueError` for a header that is none."""
        try:
            sent = b"".join(body)
        finally:
            close = getattr(body, "close", None)
            if close is not None:
                close()
        lines = [
            f"HTTP/1.1 {self._status}",
            f"Date: {_date(int(time.time()))}",
            "Connection: close",
            *[f"{name}: {value}" for name, value in self._headers],
        ]
        head = "\r\n".join(lines)
        if head.count("\n") != len(lines) - 1 or head.count("\r") != len(lines) - 1:
            raise ValueError("a header has more than one line")
        return b"%b\r\n\r\n%b" % (head.encode("latin-1"), sent)


@lru_cache(1)
def _date(seconds: int) -> str:
    return formatdate(seconds, usegmt=True)


@lru_cache(8)
def _address(listener: Any) -> Any:
    """Where *listener* listens, which never changes."""
    return listener.getsockname()


def _timeval(seconds: float) -> bytes:
    return struct.pack("ll", int(seconds), int(seconds % 1 * 1_000_000))


def _status(error: Exception) -> HTTPStatus:
    if isinstance(error, LimitRequestLine):
        return HTTPStatus.REQUEST_URI_TOO_LONG
    if isinstance(error, LimitRequestHeaders):
        return HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    if isinstance(error, ParseException):
        return HTTPStatus.BAD_REQUEST
    return HTTPStatus.INTERNAL_SERVER_ERROR


def _answer(status: HTTPStatus) -> bytes:
    code = "invalid_request" if status < HTTPStatus.INTERNAL_SERVER_ERROR else "server_error"
    body = f'{{"error": "{code}"}}'
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}",
        "Connection: close",
        "Content-Type: application/json",
        "Cache-Control: no-store",
        "Pragma: no-cache",
        "X-Content-Type-Options: nosniff",
        f"Content-Length: {len(body)}",
    )
    return ("\r\n".join(head) + "\r\n\r\n" + body).encode("ascii")
