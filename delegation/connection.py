"""A connection to the gunicorn worker: requests that come down it, and how each is answered."""

import errno
import socket
import struct
import sys
import time
from collections.abc import Iterable, Sequence
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import Any

from gunicorn.http.errors import LimitRequestHeaders, LimitRequestLine, ParseException
from gunicorn.http.message import Request
from gunicorn.http.unreader import SocketUnreader
from gunicorn.util import unquote_to_wsgi_str

from delegation.proxies import Application

PATIENCE = 5.0
"""Seconds to wait for the next bytes of a request, and twice that for all of them: a worker that
waits serves nobody else. Who must be waited for longer belongs behind a proxy that buffers.
"""

IDLE = 75.0
"""Seconds for which a silent connection is kept: longer than proxies keep theirs, so that it is
they who close it, and not we while a request is on its way (RFC 9112 §9.5).
"""

PARTING = 2.0
"""Seconds for which a peer that was answered early may go on sending."""

REQUESTS = 100
"""How many come down a connection. Whoever then opens another gets the worker that has time."""

_PIECE = 8192


class Connection:
    """A peer that asks, waits for its answer, and may ask again (RFC 9112 §9.3).

    It *stays* as long as there may be more to read, and no longer than *until*, which is a time of
    the monotonic clock. What has come behind a request before that is answered is no request: no
    client that we know does that, and where a proxy took for one what we take for two, the second
    is not served. After a body in chunks, or one that was not read, there is no further one either.
    """

    def __init__(self, client: socket.socket, peer: Any, config: Any) -> None:
        self._client = client
        self._peer = peer
        self._config = config
        self._unreader = SocketUnreader(self)
        self._asked = 0
        self._deadline = 0.0
        self._is_answered = False
        self.stays = True
        self.until = time.monotonic() + IDLE
        self.fileno = client.fileno
        # Python's own timeout would cost a call of poll for every read and write.
        client.settimeout(None)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _timeval(PATIENCE))
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _timeval(PATIENCE))

    def request(self) -> Request | None:
        """The request that begins with what has come; nothing where nothing has.

        It waits for the rest of its head. Raises `OSError` where the peer has gone, or is silent,
        and whatever gunicorn does where this is no HTTP.
        """
        try:
            begun = self._client.recv(_PIECE, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return None
        if not begun:
            raise ConnectionResetError(errno.ECONNRESET, "the peer has gone")
        if self._is_answered or not begun.strip(b"\r\n"):  # empty lines come before one (§2.2)
            return None
        self._asked += 1
        self._deadline = time.monotonic() + 2 * PATIENCE
        self._unreader.unread(begun)
        return _Request(self._config, self._unreader, self._peer, self._asked)

    def answer(self, request: Request, application: Application, *, last: bool) -> None:
        """Let *application* answer, and send that in one piece; the *last* time, or not.

        Gunicorn's own way is for applications that it does not know: it looks at each header twice,
        and writes the date and every part of the answer anew. Raises `OSError` where nobody hears
        it, and `ValueError` for a header that is none.
        """
        if request._expected_100_continue:  # noqa: SLF001, that is where it is
            self._client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        reply = _Reply()
        body = application(_environ(request, self._peer), reply.start)
        is_over = getattr(request.body.reader, "length", None) == 0 and self.is_silent()
        is_clear = is_over and reply.is_sized and _may_be_followed(request)
        is_last = last or not is_clear or self._asked >= REQUESTS
        self._client.sendall(reply.whole(body, is_last=is_last))
        self.until = time.monotonic() + IDLE
        if is_last:
            self._part(is_over=is_over)

    def is_silent(self) -> bool:
        """Whether nothing has come that was not read, not even its end."""
        if self._unreader.buf.getvalue():
            return False
        try:
            self._client.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return True
        return False

    def refuse(self, error: BaseException) -> None:
        """Answer what never reached the application, with a word about the kind of *error*."""
        try:
            self._client.send(_refusal(error), socket.MSG_DONTWAIT)
        finally:
            self._part(is_over=False)

    def recv(self, size: int) -> bytes:
        """More of the request that has begun; for gunicorn."""
        if time.monotonic() > self._deadline:
            raise ConnectionResetError(errno.ECONNRESET, "the peer is too slow")
        try:
            received: bytes = self._client.recv(size)
        except BlockingIOError:
            raise ConnectionResetError(errno.ECONNRESET, "the peer is silent") from None
        return received

    def close(self) -> None:
        """Close it, whoever is still sending."""
        self._client.close()

    def _part(self, *, is_over: bool) -> None:
        """Nothing more is answered. What is still being sent is read, lest the answer be lost with
        a connection that is reset (RFC 9112 §9.6).
        """
        if is_over:
            self.stays = False
        else:
            self._client.shutdown(socket.SHUT_WR)
            self._is_answered = True
            self.until = time.monotonic() + PARTING


class _Request(Request):
    """A request in which no peer is believed what a header says of its address, or of TLS."""

    def _peer_trusted_for_forwarded(self) -> tuple[dict[str, str], list[str]]:
        return {}, []


def _may_be_followed(request: Request) -> bool:
    """Whether its peer expects that its connection is kept (RFC 9112 §9.3)."""
    said = {value.lower() for name, value in request.headers if name == "CONNECTION"}
    return said <= {"keep-alive"} and request.version == (1, 1) and request.method != "CONNECT"


_NAMES = {"CONTENT-TYPE": "CONTENT_TYPE", "CONTENT-LENGTH": "CONTENT_LENGTH"}


def _environ(request: Request, peer: Any) -> dict[str, Any]:
    """*request* as WSGI has it (PEP 3333). Of its address there is only the path: ours is known."""
    path = request.path
    environ = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_wsgi_str(path) if "%" in path else path,
        "QUERY_STRING": request.query,
        "REMOTE_ADDR": peer[0] if isinstance(peer, tuple) else "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/{}.{}".format(*request.version),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": request.body,
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for name, value in request.headers:
        # No name has an underscore of its own: gunicorn has dropped those.
        key = _NAMES.get(name) or "HTTP_" + name.replace("-", "_")
        environ[key] = f"{environ[key]},{value}" if key in environ else value
    return environ


class _Reply:
    """What an application of ours answers, as it is sent: no line can bring another one along."""

    def __init__(self) -> None:
        self._status = ""
        self._headers: Sequence[tuple[str, str]] = ()
        self.is_sized = False  # only then can more follow it (RFC 9112 §6.3)

    def start(self, status: str, headers: Sequence[tuple[str, str]], _info: object = None) -> None:
        """WSGI's `start_response`; what it answers in WSGI, a way to write, nobody uses."""
        self._status, self._headers = status, headers
        self.is_sized = "Content-Length" in dict(headers)

    def whole(self, body: Iterable[bytes], *, is_last: bool) -> bytes:
        """Head and body; *is_last* where the connection is closed after it.

        Raises `ValueError` for a header that is none.
        """
        try:
            sent = b"".join(body)
        finally:
            close = getattr(body, "close", None)
            if close is not None:
                close()
        lines = [
            f"HTTP/1.1 {self._status}",
            f"Date: {_date(int(time.time()))}",
            *[f"{name}: {value}" for name, value in self._headers],
        ]
        if is_last:
            lines.append("Connection: close")
        head = "\r\n".join(lines)
        if head.count("\n") != len(lines) - 1 or head.count("\r") != len(lines) - 1:
            raise ValueError("a header has more than one line")
        return b"%b\r\n\r\n%b" % (head.encode("latin-1"), sent)


@lru_cache(1)
def _date(seconds: int) -> str:
    return formatdate(seconds, usegmt=True)


def _timeval(seconds: float) -> bytes:
    return struct.pack("ll", int(seconds), int(seconds % 1 * 1_000_000))


def _status(error: BaseException) -> HTTPStatus:
    if isinstance(error, LimitRequestLine):
        return HTTPStatus.REQUEST_URI_TOO_LONG
    if isinstance(error, LimitRequestHeaders):
        return HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    if isinstance(error, ParseException):
        return HTTPStatus.BAD_REQUEST
    return HTTPStatus.INTERNAL_SERVER_ERROR


def _refusal(error: BaseException) -> bytes:
    status = _status(error)
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
