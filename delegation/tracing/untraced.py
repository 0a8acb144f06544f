"""What tracing is asked to do, and how that is done where nobody traces: not at all."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

from flask import Flask

from delegation.domain.case import Case, ExchangeRequest
from delegation.domain.exchange import Lap
from delegation.domain.tokens import IssuedToken
from delegation.metrics.meter import Meter

T = TypeVar("T")

Exchanging = Callable[[ExchangeRequest, Case], IssuedToken]

Processor = Callable[[Any, str, Any], Any]
"""Adds to a line of the log; one of structlog's."""


class Untraced:
    """Nothing is traced: whatever is given comes back as it was, so that it costs nothing.

    This module and what it imports know nothing of OpenTelemetry, which may not be there.
    """

    processors: tuple[Processor, ...] = ()
    """What a line of the log says of the trace that it belongs to."""

    def around(self, app: Flask) -> Flask:
        """*app*, each of whose requests is a span, but for those about its health."""
        return app

    def stopwatch(self, measured: Callable[[], Lap]) -> Callable[[], Lap]:
        """*measured*, with a span for each stage of an exchange that is `exchanging`."""
        return measured

    def exchanging(self, exchange: Exchanging) -> Exchanging:
        """*exchange*, whose stages are spans."""
        return exchange

    def concerning(self, answer: Callable[[str, Case], T]) -> Callable[[str, Case], T]:
        """*answer*, with the client that asks for it on the span."""
        return answer

    def hear(self, meter: Meter) -> None:
        """Put on the span what *meter* is told of an exchange."""

    def fetching(self, _url: str) -> AbstractContextManager[Mapping[str, str]]:
        """A context in which a document is fetched; it gives further headers to ask with."""
        return nullcontext({})
