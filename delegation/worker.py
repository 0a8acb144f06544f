"""The gunicorn worker: serves one request after another, and waits for many connections at once."""

import logging
import os
import time
from contextlib import suppress
from functools import partial
from selectors import EVENT_READ, BaseSelector, DefaultSelector
from typing import Any

from gunicorn.workers.base import Worker as GunicornWorker

from delegation.connection import Connection
from delegation.metrics.sharing import meter
from delegation.web.limits import SampledLog, close_logs, settle_logs

LAST_ORDERS = 5.0
"""Seconds in which a worker that is told to stop takes in those who are waiting already."""

LINGER = 1.0
"""Seconds in which a worker that stops hears who is sending on a connection that it kept."""

MOST = 500
"""How many connections are kept: for one more, the one that was silent for longest is closed."""

_NOTICE = 1.0
"""Seconds between two signs of life; the arbiter waits thirty times as long."""


class Worker(GunicornWorker):
    """Serves whoever has sent something; who is silent costs nobody anything.

    What is no HTTP is answered in the form of the token endpoint (RFC 6749 §5.2), and logged by its
    kind alone. Gunicorn's own answer is HTML that repeats the request line, and its log line
    repeats the address: a token in a query string would end up in both.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.cfg: Any = Settled(self.cfg)
        self._not_served = SampledLog(
            time.monotonic, level=logging.WARNING, suppressed=lambda: meter().line_suppressed()
        )
        self._told_to_stop = False
        self._notified = -_NOTICE
        self._kept: dict[Connection, None] = {}
        self._poller: BaseSelector

    def run(self) -> None:
        """Serve until there is a reason to stop, and then for as long as one that stops does."""
        self._poller = DefaultSelector()  # after the fork: it would be shared
        self._poller.register(self.PIPE[0], EVENT_READ, self._woken)
        for listener in self.sockets:
            listener.settimeout(0)
            self._poller.register(listener, EVENT_READ, partial(self._accept, listener))
        while self.alive:
            self._turn(_NOTICE)
        self._stop_listening()
        until = time.monotonic() + LINGER
        while self._kept and time.monotonic() < until:
            self._turn(until - time.monotonic())
        for connection in [*self._kept]:
            self._forget(connection)
        self._poller.close()
        close_logs()

    def _turn(self, timeout: float) -> None:
        """Serve whoever has sent something; wait for that for *timeout* seconds at most."""
        for key, _ in self._poller.select(timeout):
            key.data()
            self._notice()
        self._notice()

    def _notice(self) -> None:
        """What is to be done once a second, however many requests there are."""
        now = time.monotonic()
        if now - self._notified < _NOTICE:
            return
        self._notified = now
        self.notify()  # it writes to a file system
        settle_logs()  # a flood that has ended leaves its count
        if os.getppid() != self.ppid:
            self.alive = False
        for connection in [kept for kept in self._kept if kept.until < now]:
            self._forget(connection)

    def _woken(self) -> None:
        """By a signal."""
        os.read(self.PIPE[0], 64)

    def _accept(self, listener: Any) -> bool:
        """Serve who comes next; whether there was anybody."""
        try:
            with suppress(ConnectionAbortedError):
                client, peer = listener.accept()
                self._serve(Connection(client, peer, self.cfg))
        except BlockingIOError:
            return False
        return True

    def _serve(self, connection: Connection) -> None:
        """Answer what has come down it, and keep it while it stays."""
        try:
            self._answer(connection)
        except OSError:  # the peer is gone
            connection.stays = False
        if not connection.stays:
            self._forget(connection)
        elif connection in self._kept:
            del self._kept[connection]  # to the end: it was not silent
            self._kept[connection] = None
        else:
            self._keep(connection)

    def _answer(self, connection: Connection) -> None:
        try:
            request = connection.request()
            if request is None:
                return
            self.nr += 1
            if self.nr >= self.max_requests:
                self.log.info("Autorestarting worker after current request.")
                self.alive = False
            connection.answer(request, self.wsgi, last=not self.alive)
        except OSError:
            raise
        except Exception as error:  # noqa: BLE001, what is answered by gunicorn
            # Not each time: whoever sends nothing but garbage must not fill the log.
            self._not_served("request_not_served", error=type(error).__name__)
            meter().malformed("not_http")
            connection.refuse(error)

    def _keep(self, connection: Connection) -> None:
        if len(self._kept) >= MOST:
            self._forget(next(iter(self._kept)))
        self._kept[connection] = None
        self._poller.register(connection, EVENT_READ, partial(self._serve, connection))

    def _forget(self, connection: Connection) -> None:
        if connection in self._kept:
            del self._kept[connection]
            self._poller.unregister(connection)
        connection.close()

    def _stop_listening(self) -> None:
        """When told to stop, until nobody is waiting any more, or for `LAST_ORDERS`.

        Who waits has been accepted by the kernel in our name, and would be reset. Who comes later
        is refused at once, long before the process has ended: a proxy then asks another instance.
        """
        until = time.monotonic() + LAST_ORDERS
        for listener in self.sockets:
            self._poller.unregister(listener)
            while self._told_to_stop and time.monotonic() < until and self._accept(listener):
                self._notice()
            listener.close()

    def handle_exit(self, sig: int, frame: object) -> None:
        """Stop, but not in the middle of a request."""
        self._told_to_stop = True
        super().handle_exit(sig, frame)


class Settled:
    """A configuration that changes no more: gunicorn's own looks for each setting at each use, some
    of them for each header. What is no setting is asked of it.
    """

    def __init__(self, config: Any) -> None:
        vars(self).update({name: getattr(config, name) for name in config.settings})
        self._config = config
        self.is_ssl = config.is_ssl

    def __getattr__(self, name: str) -> Any:
        return getattr(self._config, name)
