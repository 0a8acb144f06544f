"""What bounds the trouble that strangers can make: attempts at a secret, and lines in the log."""

import math
from collections import OrderedDict, deque
from collections.abc import Callable
from threading import Lock
from weakref import WeakSet

import structlog

Seconds = Callable[[], float]
"""A clock that never goes back, in seconds."""

_MINUTE = 60.0

_NAME_SHOWN = 128


class Brake:
    """Counts failed authentications, by address and claimed client id, in this worker only.

    An approximate brake is enough (RFC 6749 §2.3.1): secrets are 256 random bits. What it remembers
    is bounded: when there are more pairs than *capacity*, those unheard of for longest are
    forgotten.
    """

    def __init__(self, seconds: Seconds, *, attempts: int = 10, capacity: int = 4096) -> None:
        self._seconds = seconds
        self._attempts = attempts
        self._capacity = capacity
        self._failures: OrderedDict[tuple[str, str], deque[float]] = OrderedDict()
        self._lock = Lock()

    def failed(self, address: str, client_id: str) -> int:
        """Count one failure. 0, or for how many seconds to stay away after too many in a minute.

        What comes during that time is not counted: the wait never grows.
        """
        now = self._seconds()
        with self._lock:
            recent = self._recent((address, client_id[:_NAME_SHOWN]), now)
            if len(recent) < self._attempts:
                recent.append(now)
                return 0
            return math.ceil(recent[0] + _MINUTE - now)

    def _recent(self, pair: tuple[str, str], now: float) -> deque[float]:
        """The failures of the last minute, oldest first."""
        recent = self._failures.setdefault(pair, deque())
        self._failures.move_to_end(pair)
        if len(self._failures) > self._capacity:
            self._failures.popitem(last=False)
        while recent and recent[0] + _MINUTE <= now:
            recent.popleft()
        return recent


_logs: WeakSet["SampledLog"] = WeakSet()


def _unheard() -> None:
    """Nobody wants to know."""


class SampledLog:
    """Writes at most *lines* a minute, and counts what is left out.

    The next minute's first line says how many those were; where none comes, `settle_logs` does.
    *suppressed* is told of each, too.
    """

    def __init__(
        self,
        seconds: Seconds,
        *,
        level: int,
        lines: int = 30,
        suppressed: Callable[[], None] | None = None,
    ) -> None:
        self._log = structlog.get_logger(__name__)
        self._seconds = seconds
        self._level = level
        self._lines = lines
        self._told = suppressed or _unheard
        self._since = seconds()
        self._written = 0
        self._suppressed = 0
        self._last = ""
        self._lock = Lock()
        _logs.add(self)

    def __call__(self, event: str, **fields: object) -> None:
        """Write a line, or count it as suppressed."""
        self._last = event
        with self._lock:
            now = self._seconds()
            if now - self._since >= _MINUTE:
                self._since, self._written = now, 0
            if self._written == self._lines:
                self._suppressed += 1
                self._told()
                return
            self._written += 1
            suppressed, self._suppressed = self._suppressed, 0
        self._log.log(self._level, event, suppressed=suppressed, **fields)

    def settle(self) -> None:
        """Write what was left out of a minute that is over, if no line has said so yet."""
        if self._suppressed and self._seconds() - self._since >= _MINUTE:
            self.close()

    def close(self) -> None:
        """Write what was left out so far."""
        with self._lock:
            suppressed, self._suppressed = self._suppressed, 0
        if suppressed:
            self._log.log(self._level, "suppressed", lines=self._last, suppressed=suppressed)


def settle_logs() -> None:
    """`settle` every sampled log of this process: whoever has time calls it now and then."""
    for log in tuple(_logs):
        log.settle()


def close_logs() -> None:
    """`close` every sampled log of this process: nothing comes any more."""
    for log in tuple(_logs):
        log.close()


def shown(name: str) -> str:
    """*name* as a log may show it: of bounded length, and with nothing that a terminal acts on."""
    return name[:_NAME_SHOWN].encode("unicode_escape").decode("ascii")
