"""What the sealer has done, in a file that a node's collector reads: it listens nowhere."""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import structlog
from prometheus_client import CollectorRegistry, write_to_textfile
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from delegation.domain.errors import Unavailable
from delegation.metrics import catalogue
from delegation.metrics.catalogue import SEALERS, Metric


class _Checkpoint(Protocol):
    @property
    def size(self) -> int: ...


class Sealed(Protocol):
    """A segment, as the sealer tells of it: *lag* is in milliseconds."""

    @property
    def checkpoint(self) -> _Checkpoint: ...
    @property
    def records(self) -> int: ...
    @property
    def lag(self) -> int: ...
    @property
    def gaps(self) -> Sequence[Any]: ...
    @property
    def unreadable(self) -> Sequence[Any]: ...


S = TypeVar("S", bound=Sealed)


def measured(seal: Callable[[], Iterator[S]], file: "SealerFile") -> Callable[[], Iterator[S]]:
    """*seal* as it is; what comes of it is written to *file*, too."""

    def sealing() -> Iterator[S]:
        try:
            for sealed in seal():
                file.sealed(sealed)
                yield sealed
        except (Unavailable, OSError):
            file.failed()
            raise
        file.finished()

    return sealing


class SealerFile(Collector):
    """Writes *file* anew, in one step, whenever there is something new to say.

    Raises `OSError` where it cannot be written to begin with. Later that keeps nothing from being
    sealed: the log says so.
    """

    def __init__(self, file: Path, *, clock: Callable[[], float] = time.time) -> None:
        self._file = file
        self._clock = clock
        self._registry = CollectorRegistry()
        self._registry.register(self)
        self._values: dict[Metric, float] = dict.fromkeys(SEALERS, 0.0)
        self._values[catalogue.SEALED] = clock()
        self._log = structlog.get_logger(__name__)
        self._write_now()

    def sealed(self, sealed: Sealed) -> None:
        """A segment was sealed."""
        self._values[catalogue.RECORDS] += sealed.records
        self._values[catalogue.SIZE] = sealed.checkpoint.size
        self._values[catalogue.LAG] = sealed.lag / 1000
        self._values[catalogue.MISSING] += len(sealed.gaps) + len(sealed.unreadable)
        self._write()

    def finished(self) -> None:
        """All is sealed that stood in the store."""
        self._values[catalogue.SEALED] = self._clock()
        self._write()

    def failed(self) -> None:
        """It could not be."""
        self._values[catalogue.SEALING_FAILURES] += 1
        self._write()

    def collect(self) -> Iterator[Family]:
        """One family after the other."""
        for metric, value in self._values.items():
            make = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
            yield make(metric.family, metric.meaning, value=value)

    def _write(self) -> None:
        try:
            self._write_now()
        except OSError as error:
            self._log.error("metrics_not_written", why=error.strerror)

    def _write_now(self) -> None:
        write_to_textfile(str(self._file), self._registry)
