"""Seals from time to time until it is told to stop, and says in the log what was sealed."""

from base64 import b64encode
from collections.abc import Callable, Iterator
from threading import Event

import structlog

from delegation.audit.draft import Sealed
from delegation.domain.errors import Unavailable

_log = structlog.get_logger(__name__)


def keep_sealing(seal: Callable[[], Iterator[Sealed]], *, interval: float, stopped: Event) -> None:
    """*seal* every *interval* seconds until *stopped*: then what is being made is finished.

    A store or a disk that is out of reach is tried again. Raises what else *seal* raises.
    """
    while not stopped.is_set():
        try:
            for sealed in seal():
                tell(sealed)
                if stopped.is_set():
                    return
        except Unavailable as error:
            _log.error("not_sealed", problem=error.problem)
        except OSError as error:
            _log.error("not_sealed", problem="disk", detail=error.strerror)
        stopped.wait(interval)


def tell(sealed: Sealed) -> None:
    """Say in the log what was sealed; what is wrong with it, as alarms."""
    checkpoint = sealed.checkpoint
    _log.info(
        "sealed",
        segment=checkpoint.segment,
        records=sealed.records,
        size=checkpoint.size,
        head=b64encode(checkpoint.head).decode(),
        lag_ms=sealed.lag,
    )
    for gap in sealed.gaps:
        _log.error(
            "alarm",
            cause="events_missing",
            epoch=gap.epoch,
            partition=gap.partition,
            stream=gap.stream,
            first=gap.first,
            last=gap.last,
        )
    for begun in sealed.epochs:
        _log.warning(
            "epoch_begun",
            epoch=begun.epoch,
            partition=begun.partition,
            stream=begun.stream,
            first=begun.first,
        )
    for event_id in sealed.unreadable:
        _log.error("alarm", cause="event_unreadable", id=str(event_id))
