"""Says every few seconds that this worker is there, and how it is."""

import atexit
import os
import socket
import threading
from collections.abc import Callable, Sequence
from secrets import token_hex

from delegation.domain.errors import Unavailable
from delegation.domain.locks import milliseconds
from delegation.domain.ports import Clock, Presence, WorkerReport

INTERVAL = 10.0
"""Seconds between two reports."""


class Reporter:
    """Reports for this worker, in a thread of its own, until `stop` or the process ends.

    A store that does not answer is asked again the next time: nobody waits for a report.
    """

    def __init__(
        self,
        presence: Presence,
        *,
        revision: Callable[[], str],
        problems: Callable[[], Sequence[str]],
        clock: Clock,
        interval: float = INTERVAL,
    ) -> None:
        self._presence = presence
        self._revision = revision
        self._problems = problems
        self._interval = interval
        self._id = f"{socket.gethostname()}:{os.getpid()}:{token_hex(4)}"
        self._started_at = milliseconds(clock())
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._until_stopped, name="presence", daemon=True)

    def start(self) -> None:
        """Begin, with a first report at once."""
        self._thread.start()
        atexit.register(self.stop)

    def stop(self) -> None:
        """Report no more; returns when the last report is over."""
        atexit.unregister(self.stop)
        self._stopped.set()
        self._thread.join()

    def _until_stopped(self) -> None:
        while True:
            self._report()
            if self._stopped.wait(self._interval):
                return

    def _report(self) -> None:
        try:
            self._presence.report(
                WorkerReport(
                    id=self._id,
                    revision=self._revision(),
                    problems=tuple(self._problems()),
                    started_at=self._started_at,
                )
            )
        except Unavailable:
            return
