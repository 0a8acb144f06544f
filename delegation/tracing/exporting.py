"""Where spans go: by OTLP, as the standard variables say, from a thread that delays nobody."""

import atexit
import logging
import time
from threading import Event, Thread

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from delegation.web.limits import SampledLog

LAST_WORDS = 2.0
"""Seconds for which a process that ends may still send spans. A collector that is away must not
keep it.
"""

_UNNAMED = "unknown_service"


def exporting() -> TracerProvider:
    """A provider whose spans are sent where the variables `OTEL_...` say, by a thread of its own.

    To be made after the fork. Spans wait in a bounded queue; where they cannot be sent in time, the
    oldest are dropped, and the log says so once a minute.
    """
    tell_in_our_log()
    provider = TracerProvider(resource=resource(), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    _flush_at_exit(provider)
    return provider


def resource() -> Resource:
    """What the variables say that we are, and if nothing, our own name."""
    found = Resource.create()
    if str(found.attributes[SERVICE_NAME]).startswith(_UNNAMED):
        return found.merge(Resource({SERVICE_NAME: "delegation"}))
    return found


def _flush_at_exit(provider: TracerProvider) -> None:
    """The library's own way waits for half a minute; and a process that ends begins no thread."""
    ending = Event()

    def shut_down() -> None:
        ending.wait()
        provider.shutdown()

    thread = Thread(target=shut_down, name="last-spans", daemon=True)
    thread.start()

    def end() -> None:
        ending.set()
        thread.join(LAST_WORDS)

    atexit.register(end)


def tell_in_our_log() -> None:
    """Let the library say in our log what it cannot do, and nowhere else."""
    logger = logging.getLogger("opentelemetry")
    logger.handlers = [_Told()]
    logger.propagate = False


class _Told(logging.Handler):
    """What the library says, as a line of our log, and not at each attempt.

    Of what it is about only the kind of error and the status: a value may be a header with a key.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._log = SampledLog(time.monotonic, level=logging.WARNING, lines=1)

    def emit(self, record: logging.LogRecord) -> None:
        values = record.args if isinstance(record.args, tuple) else ()
        errors = [value for value in values if isinstance(value, BaseException)]
        errors += [value for value in record.exc_info or () if isinstance(value, BaseException)]
        statuses = [value for value in values if isinstance(value, int)]
        self._log(
            "traces",
            said=str(record.msg),
            error=type(errors[0]).__name__ if errors else None,
            status=statuses[0] if statuses else None,
        )
