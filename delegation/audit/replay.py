"""What stood when a trail ended: the orders that put the same stops into a store that lost them."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from delegation.audit.segments import Record
from delegation.domain.locks import Kind, LockOrder, Target, milliseconds
from delegation.domain.trust import LONGEST_LIFE, LONGEST_SESSION

_NOW = 2000
"""Milliseconds: a cut-off as of so long ago was one of the moment, by the store's clock."""


def orders(records: Iterable[Record], *, now: datetime) -> list[LockOrder]:
    """The locks of a trail that stop something yet, as they would be ordered again.

    Those that stand; and of those that are over, those that stop what others issued, as long as any
    of that can live. What we had issued ourselves is dead where its record is gone. A lock that was
    a mistake never was.
    """
    found: dict[str, LockOrder] = {}
    for record in records:
        event, at = record.event or {}, milliseconds(datetime.fromisoformat(record.at))
        # Ordered again in a store of another number of partitions it is the same lock elsewhere.
        lock = str(event.get("lock")).partition("-")[2]
        if event.get("type") == "lock":
            found[lock] = _order(event, at)
        elif event.get("type") == "lift" and lock in found:
            lifted = found.pop(lock)
            if not event["mistaken"]:
                found[lock] = _ended(lifted, at)
    moment = milliseconds(now)
    return [order for order in found.values() if _stops_something(order, moment)]


def _order(event: Mapping[str, Any], at: int) -> LockOrder:
    target, ends_at = event["target"], event.get("ends_at")
    if ends_at is not None and at - ends_at <= _NOW:
        ends_at = max(ends_at, at)
    return LockOrder(
        id=event["lock"],
        target=Target(Kind(target["kind"]), tuple(target["names"])),
        reason=event["reason"],
        author=event["author"],
        ends_at=ends_at,
        parents=event["parents"],
        since_login=event["since_login"],
    )


def _ended(order: LockOrder, at: int) -> LockOrder:
    """One that had ended by itself ended then."""
    return replace(order, ends_at=at if order.ends_at is None else min(order.ends_at, at))


def _stops_something(order: LockOrder, now: int) -> bool:
    if order.ends_at is None or order.ends_at > now:
        return True
    life = LONGEST_LIFE + LONGEST_SESSION * order.since_login
    return order.parents and now - order.ends_at <= life.total_seconds() * 1000
