"""An authorization server that answers whatever a test tells it to."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

METADATA = "/.well-known/oauth-authorization-server"
TOKEN = "/token"


class Handler(BaseHTTPRequestHandler):
    """One request, which the server's answer of the moment gets."""

    protocol_version = "HTTP/1.1"
    server: "_Listener"
    asked: "Asked"

    def do_GET(self) -> None:
        """Answer, and take note of what was asked."""
        content = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        self.asked = Asked(self.path, dict(self.headers), content)
        self.server.asked.append(self.asked)
        self.server.answers[self.path](self)
        self.close_connection = True

    do_POST = do_GET  # noqa: N815, the base class asks for it

    def reply(self, body: bytes, status: int = 200, **headers: str) -> None:
        """A complete answer."""
        own = {"Content_Length": str(len(body)), "Connection": "close"}
        self.send_response(status)
        for name, value in (own | headers).items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


Answer = Callable[[Handler], object]


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it arrived."""

    path: str
    headers: dict[str, str]
    content: str


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[str, Answer] = {}
        self.asked: list[Asked] = []

    def handle_error(self, *_: object) -> None:
        """A client that hangs up early is what some tests are about."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running server. *asked* are the requests so far."""

    url: str
    answers: dict[str, Answer]
    asked: list[Asked] = field(repr=False)

    @property
    def endpoint(self) -> str:
        """Its token endpoint."""
        return self.url + TOKEN

    def has_metadata(self, **members: Any) -> None:
        """Publish metadata: sound, but for *members*."""
        sound = {"issuer": self.url, "token_endpoint": self.endpoint}
        self.says(METADATA, json.dumps(sound | members).encode())

    def issues(self, **members: Any) -> None:
        """Answer every exchange with a token response: sound, but for *members*."""
        body = {
            "access_token": "opaque",
            "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
            "token_type": "Bearer",
            "expires_in": 300,
            "scope": "events.read",
        }
        self.says(TOKEN, json.dumps(body | members).encode())

    def says(self, path: str, body: bytes, status: int = 200, **headers: str) -> None:
        """Answer every request to *path* in one way."""
        self.answers[path] = lambda handler: handler.reply(body, status, **headers)


@contextmanager
def authorization_server() -> Iterator[Server]:
    """Serve on a free loopback port."""
    listener = _Listener()
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield Server(f"http://127.0.0.1:{listener.server_port}", listener.answers, listener.asked)
    finally:
        listener.shutdown()
        thread.join()
        listener.server_close()
