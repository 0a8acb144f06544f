"""What one worker counts: in its own memory at once, where all add up every second."""

import atexit
import time
from bisect import bisect_left
from collections import defaultdict, deque
from contextlib import suppress
from threading import Event, Lock, Thread
from typing import Any

from prometheus_client.values import MultiProcessValue

from delegation.metrics.catalogue import BUCKETS, Metric

INTERVAL = 1.0
"""Seconds between two writings: what a worker counts last is lost if it is killed."""

_NOTED = 500
"""What is noted at most before it is added up: so that no request waits for long while it is."""

_Series = tuple[Metric, tuple[str, ...]]

_BOUNDS = [*map(str, BUCKETS), "+Inf"]


class Tally:
    """Counts, without a system call: an exchange is measured a dozen times. Safe under threads.

    What is counted is only noted at first, for that takes no lock, and added up when it is written.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._added: deque[tuple[_Series, int]] = deque()
        self._taken: deque[tuple[_Series, float]] = deque()
        self._forget()

    def add(self, metric: Metric, labels: tuple[str, ...] = (), amount: int = 1) -> None:
        """Count *amount* more."""
        self._added.append(((metric, labels), amount))
        if len(self._added) > _NOTED:
            self._add_up()

    def observe(self, metric: Metric, labels: tuple[str, ...], seconds: float) -> None:
        """Note that something took so long."""
        self._taken.append(((metric, labels), seconds))
        if len(self._taken) > _NOTED:
            self._add_up()

    def set(self, metric: Metric, labels: tuple[str, ...], value: float) -> None:
        """From now on it is *value*."""
        with self._lock:
            self._gauges[metric, labels] = value

    def write(self, place: "Place") -> None:
        """Move all that was counted since the last time to *place*."""
        self._add_up()
        with self._lock:
            counts, observed, gauges = self._counts, self._observed, self._gauges
            self._forget()
        for (metric, labels), amount in counts.items():
            place.value(metric, "_total", labels).inc(amount)
        for (metric, labels), (buckets, (total,)) in observed.items():
            place.value(metric, "_sum", labels).inc(total)
            for bound, amount in zip(_BOUNDS, buckets, strict=True):
                bucket = place.value(metric, "_bucket", labels, le=bound)
                if amount:
                    bucket.inc(amount)
        now = time.time()
        for (metric, labels), value in gauges.items():
            place.value(metric, "", labels).set(value, now)

    def _add_up(self) -> None:
        with self._lock:
            while self._added:
                series, amount = self._added.popleft()
                self._counts[series] += amount
            while self._taken:
                series, seconds = self._taken.popleft()
                buckets, total = self._observed[series]
                buckets[bisect_left(BUCKETS, seconds)] += 1
                total[0] += seconds

    def _forget(self) -> None:
        self._counts: defaultdict[_Series, int] = defaultdict(int)
        self._observed: defaultdict[_Series, tuple[list[int], list[float]]] = defaultdict(
            lambda: ([0] * len(_BOUNDS), [0.0])
        )
        self._gauges: dict[_Series, float] = {}


class Place:
    """Files in memory, of this number alone, that a worker writes and the exposition reads.

    Who takes the place of another goes on where that one stopped. The directory is the one that
    `PROMETHEUS_MULTIPROC_DIR` names.
    """

    def __init__(self, number: int) -> None:
        self._value = MultiProcessValue(lambda: number)  # type: ignore[no-untyped-call]
        self._values: dict[tuple[str, tuple[str, ...], str], Any] = {}

    def value(self, metric: Metric, suffix: str, labels: tuple[str, ...], le: str = "") -> Any:
        """Where the one number stands that is meant; 0 the first time that it is asked for."""
        key = metric.family + suffix, labels, le
        if key not in self._values:
            names, said = (metric.labels, labels)
            if le:
                names, said = (*names, "le"), (*said, le)
            self._values[key] = self._value(
                metric.kind,
                metric.family,
                metric.family + suffix,
                names,
                said,
                metric.meaning,
                multiprocess_mode=metric.mode,
            )
        return self._values[key]


class Writer:
    """Writes a *tally* to a *place* every second, in a thread of its own, and when it stops.

    Where there is no room for it, it is lost: nothing else is held up by that.
    """

    def __init__(self, tally: Tally, place: Place, *, interval: float = INTERVAL) -> None:
        self._tally = tally
        self._place = place
        self._interval = interval
        self._stopped = Event()
        self._thread = Thread(target=self._until_stopped, name="metrics", daemon=True)

    def start(self) -> None:
        """Begin; it ends with the process."""
        self._thread.start()
        atexit.register(self.stop)

    def stop(self) -> None:
        """Write what is left, and no more after that."""
        atexit.unregister(self.stop)
        self._stopped.set()
        self._thread.join()
        self._write()

    def _until_stopped(self) -> None:
        while not self._stopped.wait(self._interval):
            self._write()

    def _write(self) -> None:
        with suppress(OSError):
            self._tally.write(self._place)
