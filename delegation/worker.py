"""The gunicorn worker: serves one request after another, and waits for many connections at once."""

import logging
import os
import time
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
        self._notified = self._looked = -_NOTICE
        self._ready = 0
        self._kept: dict[Connection, None] = {}
        self._poller: BaseSelector

    @classmethod
    def check_config(cls, cfg: Any, _log: object) -> None:
        """Raise `RuntimeError`, and so begin nothing, where what is asked for would not be done."""
        if cfg.is_ssl or cfg.proxy_protocol != "off":
            raise RuntimeError("TLS and the PROXY protocol end at a proxy, not here")

    def run(self) -> None:
        """Serve until there is a reason to stop, and then for as long as one that stops does."""
        self._poller = DefaultSelector()  # after the fork: it would be shared
        self._poller.register(self.PIPE[0], EVENT_READ, self._woken)
        for listener in self.sockets:
            listener.settimeout(0)
            self._poller.register(listener, EVENT_READ, partial(self._welcome, listener))
        while self.alive:
            self._turn(_NOTICE)
        if self._told_to_stop:
            self._stop_listening()
        until = time.monotonic() + LINGER
        while self._kept and time.monotonic() < until:
            self._turn(until - time.monotonic())
        self._stop_listening()
        for connection in [*self._kept]:
            self._forget(connection)
        self._poller.close()
        close_logs()

    def _turn(self, timeout: float) -> None:
        """Serve whoever has sent something; wait for that for *timeout* seconds at most."""
        asked = time.monotonic()
        ready = self._poller.select(timeout)
        self._ready = len(ready)
        for key, _ in ready:
            key.data()
        self._notice()
        if asked - self._looked >= _NOTICE:
            self._looked = asked
            # Who had said something when we asked has been served by now.
            for connection in [kept for kept in self._kept if kept.until < asked]:
                self._forget(connection)

    def _notice(self) -> None:
        """What is to be done once a second, however long a turn takes."""
        now = time.monotonic()
        if now - self._notified < _NOTICE:
            return
        self._notified = now
        self.notify()  # it writes to a file system
        settle_logs()  # a flood that has ended leaves its count
        if os.getppid() != self.ppid:
            self.alive = False

    def _woken(self) -> None:
        """By a signal."""
        os.read(self.PIPE[0], 64)

    def _welcome(self, listener: Any) -> None:
        """Serve newcomers, as many in a turn as others: each may be another worker's as well."""
        for _ in range(self._ready):
            if not self._accept(listener):
                break

    def _accept(self, listener: Any) -> bool:
        """Serve who comes next; whether there was anybody."""
        try:
            client, peer = listener.accept()
        except BlockingIOError:
            return False
        except ConnectionAbortedError:
            return True
        except OSError:  # no place is left to have one more, mostly
            if not self._kept:
                raise
            self._forget(next(iter(self._kept)))
            return True
        self._serve(Connection(client, peer, self.cfg))
        return True

    def _serve(self, connection: Connection) -> None:
        """Answer what has come down it, and keep it while it stays."""
        self._notice()
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
            if self.nr == self.max_requests:
                self.log.info("Autorestarting worker after current request.")
                self.alive = False
            is_one_too_many = len(self._kept) >= MOST and connection not in self._kept
            connection.answer(request, self.wsgi, last=is_one_too_many or not self.alive)
        except (OSError, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001, extension modules have some of their own
            # Not each time: whoever sends nothing but garbage must not fill the log.
            self._not_served("request_not_served", error=type(error).__name__)
            meter().malformed("not_http")
            connection.refuse(error)

    def _keep(self, connection: Connection) -> None:
        if len(self._kept) >= MOST:
            silent = next((kept for kept in self._kept if kept.is_silent()), connection)
            self._forget(silent)
            if silent is connection:
                return
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
        listeners: list[Any] = self.sockets
        self.sockets: list[Any] = []
        for listener in listeners:
            self._poller.unregister(listener)
            while self._told_to_stop and time.monotonic() < until and self._accept(listener):
                pass
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
