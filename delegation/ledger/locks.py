"""Locks: put on, lifted, looked up. What they mean is in `domain.locks` and in `locks.lua`."""

import json
import re
from collections.abc import Iterator, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

from delegation.domain.case import Origin
from delegation.domain.errors import LockIncomplete, Unavailable
from delegation.domain.grants import MAX_LIFETIME
from delegation.domain.locks import BookedLock, Durability, Kind, LockOrder, State, Target
from delegation.domain.ports import LockConflict, LockEvents, Page, UnknownLock
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

_FIELDS = 5

_CURSOR = re.compile(r"([0-9]{1,9})\.([0-9]{1,19})", re.ASCII)

_CONFLICTS = frozenset({b"lock_lifted", b"lock_id_taken"})


class RedisLocks:
    """Stops in the ledger. Every verb raises `Unavailable` where it is not sure.

    Where nobody *waits* to know how safely a stop is kept, the least is told.
    """

    def __init__(self, store: Store, *, events: LockEvents, waits: bool = True) -> None:
        self._store = store
        self._ask = store.ask_durably if waits else partial(_ask_at_once, store)
        self._partitions = store.partitions
        self._events = events

    def new_id(self, target: Target, *, key: str | None = None) -> str:
        """The id for a lock on *target*, in which its place can be read.

        The same *key* leads to the same id. Raises `ValueError` where the target is an exchange
        whose id is none of ours.
        """
        return self._partitions.new_id(self._partitions.of_lock(target)[0], key=key)

    def lock(self, order: LockOrder, origin: Origin | None = None) -> Durability:
        """Put a stop on its target, wherever that has to stand; how safely it is kept.

        It begins now, by the server's clock, and its event is written before its effect. Raises
        `LockIncomplete` where some partitions have it and some do not, or may not: the same again
        completes it. Raises `LockConflict` where the id is that of another lock, or of one that was
        lifted, be it meanwhile.
        """
        arguments = (
            order.id,
            fingerprint(order.target),
            b"" if order.ends_at is None else order.ends_at,
            int(order.parents),
            int(order.since_login),
        )
        told = (_described(order), self._events.locked(order, origin))
        return self._everywhere(scripts.LOCK, order.target, arguments, told)

    def lift(
        self,
        lock: BookedLock,
        *,
        reason: str,
        author: str,
        mistaken: bool,
        origin: Origin | None = None,
    ) -> Durability:
        """End a lock that stands; where it was put on by mistake, as if it never had been.

        What we had issued up to its end stays dead otherwise. Lifted already is lifted; one that
        has ended by itself has ended. Raises `LockIncomplete` as `lock` does, and `UnknownLock`.
        """
        order = lock.order
        arguments = (
            order.id,
            fingerprint(order.target),
            int(mistaken),
            int(order.parents),
            int(order.since_login),
        )
        event = self._events.lifted(
            lock, reason=reason, author=author, mistaken=mistaken, origin=origin
        )
        return self._everywhere(scripts.LIFT, order.target, arguments, (event,))

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
        self, script: Script, target: Target, arguments: tuple[Argument, ...], told: Sequence[bytes]
    ) -> Durability:
        """First in the partition that is *told* what it is about: there it is refused, if it is."""
        first, *others = ((one, _keys(one)) for one in self._partitions.of_lock(target))
        arguments_there = (*arguments, *told, *_KEPT)
        [(answer, reached)] = self._ask(script, [first], arguments_there)
        if answer[0] == b"unknown_lock":
            raise UnknownLock(str(arguments[0]))
        if answer[0] == b"lock_ended":
            return reached
        _must_not_conflict(answer[0])
        must_be_ok(answer[0])
        untold = (*arguments, *(b"" for _ in told), *_KEPT)
        try:
            answers = self._ask(script, others, untold)
        except Unavailable as unavailable:  # which of them have it is not known
            numbers = tuple(partition.number for partition, _ in others)
            raise LockIncomplete(numbers) from unavailable
        missing = []
        for (partition, _), ((status, *_), durability) in zip(others, answers, strict=True):
            _must_not_conflict(status)
            if status not in {b"ok", b"lock_ended"}:
                missing.append(partition.number)
            reached = _both(reached, durability)
        if missing:
            raise LockIncomplete(tuple(missing))
        return reached

    def _read(
        self, partition: Partition, arguments: tuple[Argument, ...]
    ) -> tuple[str, list[BookedLock]]:
        keys = [partition.lock_book]
        status, *rest = self._store.ask(scripts.BOOK, partition, keys, (*arguments, *_KEPT))
        must_be_ok(status)
        now, cursor, fields = rest
        return cursor.decode(), [_booked(entry, int(now)) for entry in _chunks(fields)]


def _ask_at_once(
    store: Store,
    script: Script,
    questions: Sequence[tuple[Partition, Sequence[str]]],
    arguments: Sequence[Argument],
) -> list[tuple[list[Any], Durability]]:
    return [(answer, Durability()) for answer in store.ask_all(script, questions, arguments)]


def _must_not_conflict(status: bytes) -> None:
    if status in _CONFLICTS:
        raise LockConflict(status.decode())


def _both(one: Durability, other: Durability) -> Durability:
    """What holds of both."""
    return Durability(
        on_disk=one.on_disk and other.on_disk, replicas=min(one.replicas, other.replicas)
    )


def _keys(partition: Partition) -> list[str]:
    return [partition.locks, partition.lock_book, partition.events]


def _place(cursor: str | None, count: int) -> tuple[int, str]:
    if cursor is None:
        return 0, "0"
    found = _CURSOR.fullmatch(cursor)
    if found is None or int(found[1]) >= count:
        raise ValueError("not a cursor of ours")
    return int(found[1]), found[2]


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
    id_, begins_at, ends_at, how, description = fields
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
