"""Locks: put on, lifted, looked up. What they mean is in `domain.locks` and in `locks.lua`."""

import json
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

from delegation.domain.errors import Unavailable
from delegation.domain.grants import MAX_LIFETIME
from delegation.domain.locks import BookedLock, Durability, Kind, LockOrder, State, Target
from delegation.domain.ports import LockEvents, Page, UnknownLock
from delegation.domain.trust import LONGEST_LIFE, LONGEST_SESSION
from delegation.ledger import scripts
from delegation.ledger.partitions import Partition, fingerprint
from delegation.ledger.scripts import Script
from delegation.ledger.server import Argument
from delegation.ledger.store import Store, must_be_ok

_MARGIN = timedelta(minutes=2)
"""More than any skew of clocks."""

_KEPT = tuple(
    int((life + _MARGIN).total_seconds() * 1000)
    for life in (MAX_LIFETIME, LONGEST_LIFE, LONGEST_SESSION + LONGEST_LIFE)
)
"""How long an end is remembered: by then nothing that it stopped is alive."""

_FIELDS = 6


class LockIncomplete(Unavailable):
    """It is not done everywhere yet: the *missing* partitions lack it. Its event stands.

    The same again completes what is missing.
    """

    def __init__(self, missing: tuple[int, ...]) -> None:
        super().__init__("lock_incomplete")
        self.missing = missing


class RedisLocks:
    """Stops in the ledger. Every verb raises `Unavailable` where it is not sure."""

    def __init__(self, store: Store, *, events: LockEvents) -> None:
        self._store = store
        self._partitions = store.partitions
        self._events = events

    def new_id(self, target: Target, *, key: str | None = None) -> str:
        """The id for a lock on *target*, in which its place can be read.

        The same *key* leads to the same id. Raises `ValueError` where the target is an exchange
        whose id is none of ours.
        """
        return self._partitions.new_id(self._partitions.of_lock(target)[0], key=key)

    def lock(self, order: LockOrder) -> Durability:
        """Put a stop on its target, wherever that has to stand; how safely it is kept.

        It begins now, by the server's clock, and its event is written before its effect. Raises
        `LockIncomplete` where some partitions have it and some do not.
        """
        partitions = self._partitions.of_lock(order.target)
        arguments = (
            order.id,
            fingerprint(order.target),
            b"" if order.ends_at is None else order.ends_at,
            int(order.parents),
            int(order.since_login),
            _described(order),
        )
        event = self._events.locked(order)
        rest = (int(len(partitions) > 1), *_KEPT)
        return self._everywhere(scripts.LOCK, partitions, arguments, event, rest)

    def lift(self, lock: BookedLock, *, reason: str, author: str, mistaken: bool) -> Durability:
        """End a lock that stands; where it was put on by mistake, as if it never had been.

        What we had issued up to its end stays dead otherwise. Raises as `lock` does. Lifted already
        is lifted; one that has ended by itself has ended.
        """
        partitions = self._partitions.of_lock(lock.order.target)
        event = self._events.lifted(lock, reason=reason, author=author, mistaken=mistaken)
        arguments = (lock.order.id, int(mistaken))
        return self._everywhere(scripts.LIFT, partitions, arguments, event, _KEPT)

    def find(self, id: str) -> BookedLock:  # noqa: A002, the field's own word
        """The lock of this id. Raises `UnknownLock`."""
        partition = self._partitions.of_exchange(id)
        found = [] if partition is None else self._read(partition, (id, "0", 0))[1]
        if not found:
            raise UnknownLock(id)
        return found[0]

    def page(self, cursor: str | None, *, count: int) -> Page[BookedLock]:
        """Some of all locks, *count* or a few more, and where to go on. Each comes at least once.

        Raises `ValueError` for a cursor that is none of ours.
        """
        number, at = _place(cursor, self._partitions.count)
        found: list[BookedLock] = []
        while number < self._partitions.count and len(found) < count:
            at, locks = self._read(Partition(number), ("", at, count))
            found += locks
            if at == "0":
                number += 1
        done = number == self._partitions.count
        return Page(tuple(found), None if done else f"{number}.{at}")

    def _everywhere(
        self,
        script: Script,
        partitions: Sequence[Partition],
        arguments: tuple[Argument, ...],
        event: bytes,
        rest: tuple[Argument, ...],
    ) -> Durability:
        """First where the event and the book are; there it is refused, if it is."""
        first, *others = ((one, _keys(one)) for one in partitions)
        [(answer, reached)] = self._store.ask_durably(script, [first], (*arguments, event, *rest))
        if answer[0] == b"unknown_lock":
            raise UnknownLock(str(arguments[0]))
        if answer[0] != b"lock_ended":
            must_be_ok(answer[0])
        answers = self._store.ask_durably(script, others, (*arguments, b"", *rest))
        missing = [
            partition.number
            for (partition, _), ((status, *_), _) in zip(others, answers, strict=True)
            if status not in {b"ok", b"lock_ended"}
        ]
        if missing:
            raise LockIncomplete(tuple(missing))
        return min((reached, *(each for _, each in answers)), key=_weakest)

    def _read(
        self, partition: Partition, arguments: tuple[Argument, ...]
    ) -> tuple[str, list[BookedLock]]:
        keys = [partition.lock_book]
        status, *rest = self._store.ask(scripts.BOOK, partition, keys, arguments)
        must_be_ok(status)
        now, cursor, fields = rest
        locks = [
            _booked(entry, int(now))
            for entry in _chunks(fields)
            # What stands everywhere is read where its event is; what never arrived says nothing.
            if (partition.number == 0 or not entry[5]) and entry[4]
        ]
        return cursor.decode(), locks


def _weakest(reached: Durability) -> tuple[bool, int]:
    return (reached.on_disk, reached.replicas)


def _keys(partition: Partition) -> list[str]:
    return [partition.locks, partition.lock_book, partition.events]


def _place(cursor: str | None, count: int) -> tuple[int, str]:
    if cursor is None:
        return 0, "0"
    number, _, at = cursor.partition(".")
    if not (number.isdecimal() and at.isdecimal() and cursor.isascii() and int(number) < count):
        raise ValueError("not a cursor of ours")
    return int(number), at


def _chunks(fields: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    return (fields[start : start + _FIELDS] for start in range(0, len(fields), _FIELDS))


def _described(order: LockOrder) -> bytes:
    description = {
        "kind": order.target.kind.value,
        "names": order.target.names,
        "reason": order.reason,
        "author": order.author,
        "parents": order.parents,
        "since_login": order.since_login,
        "ends_at": order.ends_at,
    }
    return json.dumps(description, separators=(",", ":")).encode()


def _booked(fields: Sequence[bytes], now: int) -> BookedLock:
    id_, begins_at, ends_at, how, description, _ = fields
    said: dict[str, Any] = json.loads(description)
    end = int(ends_at) if ends_at else None
    ended = State.ENDED if end is not None and end <= now else State.STANDING
    return BookedLock(
        order=LockOrder(
            id=id_.decode(),
            target=Target(Kind(said["kind"]), tuple(said["names"])),
            reason=said["reason"],
            author=said["author"],
            ends_at=said["ends_at"],
            parents=said["parents"],
            since_login=said["since_login"],
        ),
        begins_at=int(begins_at),
        ends_at=end,
        state=State(how.decode()) if how else ended,
    )
