"""What belongs to one exchange: what it came from, what came from it, what stopped any of it."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Self

from delegation.audit.checkpoint import timestamp
from delegation.domain.evidence import Event, EventFilter, about, target_of
from delegation.domain.grants import MAX_LIFETIME
from delegation.domain.locks import EVERYTHING, milliseconds

_EXCHANGES = frozenset({"exchange", "not_issued"})

_CLOCKS = timedelta(seconds=5)
"""More than two servers of one store may differ."""


class Trace:
    """Is given events in order of time, and keeps those that belong to the exchange.

    *meant* are those that it has to be given: no token outlives what it came from.
    """

    def __init__(self, meant: EventFilter, belongs: Callable[[Event], bool]) -> None:
        """It *belongs* for a reason of its own; what follows from others is found here."""
        self.meant = meant
        self._belongs = belongs
        self._exchanges: dict[str, list[Event]] = {}
        self._locks: set[str] = set()
        self._found: list[Event] = []

    @classmethod
    def of_exchange(cls, exchange: Event) -> Self:
        """Of the exchange that has this event."""
        own = exchange["decision"]
        line = {own, *exchange["lineage"]["exchanges"]}
        since = datetime.fromisoformat(exchange["at"]) - MAX_LIFETIME - _CLOCKS
        until = exchange["expires_at"] * 1000 + _CLOCKS // timedelta(milliseconds=1)
        meant = EventFilter(since=timestamp(max(milliseconds(since), 0)), until=timestamp(until))
        return cls(
            meant,
            lambda event: event["decision"] in line or own in event["lineage"]["exchanges"],
        )

    @classmethod
    def of_transaction(cls, txn: str, *, since: str, expires_at: int) -> Self:
        """Of all exchanges of one transaction, from the first to when the last expires."""
        until = timestamp(expires_at * 1000 + _CLOCKS // timedelta(milliseconds=1))
        return cls(EventFilter(since=since, until=until), lambda event: event["txn"] == txn)

    @property
    def found(self) -> tuple[Event, ...]:
        """All that belongs to it, in the order in which it was given."""
        return tuple(self._found)

    def take(self, event: Event) -> None:
        """See whether *event* belongs to it."""
        try:
            if self._is_of_it(event):
                self._found.append(event)
        except (KeyError, TypeError, AttributeError, ValueError):
            return  # of a form that this release does not know

    def _is_of_it(self, event: Event) -> bool:
        kind = event["type"]
        if kind in _EXCHANGES and self._belongs(event):
            self._exchanges.setdefault(event["decision"], []).append(event)
            return True
        if kind == "refusal":
            return event["parent"]["id"] in self._exchanges
        if kind == "lock" and self._hits(event):
            self._locks.add(event["lock"])
            return True
        return kind == "lift" and event["lock"] in self._locks

    def _hits(self, lock: Event) -> bool:
        """Whether it stops an exchange that was recorded before, and has not expired."""
        target = target_of(lock)
        return any(
            target in {EVERYTHING, *about(exchange)}
            and _ms(exchange["at"]) <= lock.get("ends_at", _ms(lock["at"]))
            and _ms(lock["at"]) < exchange["expires_at"] * 1000
            for exchanges in self._exchanges.values()
            for exchange in exchanges
        )


def _ms(at: Any) -> int:
    return milliseconds(datetime.fromisoformat(at))
