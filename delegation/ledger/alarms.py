"""Reads the alarms of all partitions: the latest, and how many there have been of each cause."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from delegation.domain.ports import Page, StoredEvent
from delegation.ledger import scripts
from delegation.ledger.store import Store, must_be_ok

_CURSOR = re.compile(r"(\d{1,15})-(\d{1,15})\.(\d{1,9})", re.ASCII)


class _Place(NamedTuple):
    """Where an alarm stands among all: by its stream's clock, then by its partition's number."""

    at: int
    sequence: int
    partition: int

    @classmethod
    def read(cls, cursor: str | None) -> "_Place | None":
        """From a cursor. Raises `ValueError` where it is none of ours."""
        if cursor is None:
            return None
        found = _CURSOR.fullmatch(cursor)
        if found is None:
            raise ValueError("not a cursor of ours")
        return cls(*map(int, found.groups()))

    def cursor(self) -> str:
        """For a page that goes on after it."""
        return f"{self.at}-{self.sequence}.{self.partition}"


class RedisAlarms:
    """What somebody should look at now. Every verb raises `Unavailable`.

    Of each partition the last thousand alarms are kept, or a few more; the events of all are in the
    audit trail.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def page(self, cursor: str | None, *, count: int) -> Page[StoredEvent]:
        """Some of the latest alarms, newest first, and where to go on.

        Raises `ValueError` for a cursor that is none of ours.
        """
        before = _Place.read(cursor)
        newest = "+" if before is None else f"{before.at}-{before.sequence}"
        # Two more than are asked for: the last one that is known, and one that says whether any are
        # left.
        found = [
            (place, event)
            for number, (entries, _) in self._ask(newest, count + 2)
            for place, event in _read(number, entries)
            if before is None or place < before
        ]
        found.sort(key=itemgetter(0), reverse=True)
        shown = found[:count]
        more = len(found) > count
        return Page(
            tuple(event for _, event in shown),
            shown[-1][0].cursor() if more else None,
            looked_at=len(found),
        )

    def counts(self) -> Mapping[str, int]:
        """How many there have been of each cause, since the store was laid out first."""
        total: Counter[str] = Counter()
        for _, (_, counts) in self._ask("+", 1):
            for cause, number in zip(counts[::2], counts[1::2], strict=True):
                total[cause.decode()] += int(number)
        return dict(total)

    def _ask(self, newest: str, count: int) -> Iterator[tuple[int, Sequence[Any]]]:
        partitions = self._store.partitions.all()
        questions = [(one, [one.alarms, one.alarm_counts]) for one in partitions]
        answers = self._store.ask_all(scripts.ALARMS, questions, (newest, count))
        for partition, (status, *rest) in zip(partitions, answers, strict=True):
            must_be_ok(status)
            yield partition.number, rest


def _read(partition: int, entries: Sequence[Any]) -> Iterator[tuple[_Place, StoredEvent]]:
    for id_, flat in entries:
        at, _, sequence = id_.decode().partition("-")
        fields = dict(zip(flat[::2], flat[1::2], strict=True))
        yield (
            _Place(int(at), int(sequence), partition),
            StoredEvent(
                epoch=fields[b"epoch"].decode(),
                number=int(fields[b"number"]),
                at=int(fields[b"at"]),
                event=fields[b"event"],
            ),
        )
