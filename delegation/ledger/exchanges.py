"""Reads what was exchanged and has not expired: by whom, for whom, and what grew from it."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from delegation.domain.exchanges import Filter, RecordedExchange
from delegation.domain.locks import Kind, Target
from delegation.domain.parties import Identity
from delegation.domain.ports import Page
from delegation.ledger import scripts
from delegation.ledger.partitions import Partition, fingerprint
from delegation.ledger.store import Store, must_be_ok

_BATCH = 500
"""How many records are fetched in one round trip."""

_FINGERPRINT = 16


class RedisExchanges:
    """The exchanges that are recorded. Every verb raises `Unavailable` where it is not sure."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._partitions = store.partitions

    def find(self, id: str) -> RecordedExchange | None:  # noqa: A002, the field's own word
        """The exchange of this id; `None` where there is none, or it has expired."""
        partition = self._partitions.of_exchange(id)
        if partition is None:
            return None
        found = self._inspect(partition, [id], Filter())
        return found[0] if found else None

    def relatives(self, exchange: RecordedExchange) -> list[RecordedExchange]:
        """All that is done for the same root identity, itself included: its tree is among them."""
        meant = Filter((Target.subject(exchange.subject),))
        page = self.page(meant, None, count=1_000_000, budget=1_000_000)
        return list(page.items)

    def page(
        self, meant: Filter, cursor: str | None, *, count: int, budget: int
    ) -> Page[RecordedExchange]:
        """Some of the exchanges *meant*, soonest to expire first in each partition.

        It stops after *count* of them or a few more, or when *budget* records were looked at; the
        page's cursor says where to go on. Raises `ValueError` for a cursor that is none of ours.
        """
        place = _Place.read(cursor, self._places(meant))
        found: list[RecordedExchange] = []
        looked_at = 0
        while place.partitions and len(found) < count and looked_at < budget:
            entries = self._live(place, min(_BATCH, budget - looked_at))
            looked_at += len(entries)
            ids = [member[_FINGERPRINT:].decode() for member in _of(entries, meant)]
            found += self._inspect(place.partitions[0], ids, meant)
            place.go_on(len(entries))
        return Page(tuple(found), place.cursor(), looked_at)

    def _places(self, meant: Filter) -> list[Partition]:
        """Where they can be: in one partition, where a root identity or an exchange is named."""
        places = set(self._partitions.all())
        for target in meant.targets:
            if target.kind in {Kind.SUBJECT, Kind.PAIR, Kind.EXCHANGE}:
                places &= set(self._partitions.of_lock(target))
        return sorted(places, key=lambda partition: partition.number)

    def _live(self, place: "_Place", count: int) -> list[bytes]:
        partition = place.partitions[0]
        arguments = (place.expiry, place.known, count)
        status, *rest = self._store.ask(scripts.LIVE, partition, [partition.live], arguments)
        must_be_ok(status)
        began, known, page = rest
        members, scores = page[::2], [int(score) for score in page[1::2]]
        place.saw(int(began), int(known), scores, full=len(members) == count)
        return list(members)

    def _inspect(
        self, partition: Partition, ids: Sequence[str], meant: Filter
    ) -> list[RecordedExchange]:
        questions = [(partition, [partition.locks, partition.record(id_)]) for id_ in ids]
        answers = self._store.ask_all(scripts.INSPECT, questions, ())
        wanted = [fingerprint(target) for target in meant.targets]
        found = []
        for id_, (status, *fields) in zip(ids, answers, strict=True):
            if status == b"unknown":
                continue
            if status not in {b"locked", b"lineage_dead"}:
                must_be_ok(status)
            recorded_at, expires_at, detail, own, before = fields
            targets = _split(own) | (_split(before) if meant.lineage else set())
            if targets.issuperset(wanted):
                alive = status == b"ok"
                times = int(recorded_at), int(expires_at)
                found.append(_recorded(id_, json.loads(detail), times, alive=alive))
        return found


class _Place:
    """Where a reader is: in which partition, at which expiry, and how many of that it knows."""

    def __init__(self, partitions: list[Partition], expiry: int = 0, known: int = 0) -> None:
        self.partitions = partitions
        self.expiry = expiry
        self.known = known
        self._full = False

    @classmethod
    def read(cls, cursor: str | None, partitions: list[Partition]) -> "_Place":
        """From a cursor. Raises `ValueError` where it is none of ours."""
        if cursor is None:
            return cls(partitions)
        parts = cursor.split(".")
        if len(parts) != 3 or not cursor.isascii() or not all(map(str.isdecimal, parts)):  # noqa: PLR2004
            raise ValueError("not a cursor of ours")
        number, expiry, known = map(int, parts)
        return cls([one for one in partitions if one.number >= number], expiry, known)

    def saw(self, began: int, known: int, scores: Sequence[int], *, full: bool) -> None:
        """Take note of a page that *began* at an expiry of which so many were *known*."""
        self._full = full
        if scores:
            last = scores[-1]
            same = sum(1 for score in scores if score == last)
            self.known = same + (known if last == began else 0)
            self.expiry = last

    def go_on(self, count: int) -> None:
        """To the next partition, if a page of *count* was the last of this one."""
        if not self._full or count == 0:
            self.partitions = self.partitions[1:]
            self.expiry = self.known = 0

    def cursor(self) -> str | None:
        """For the next page; `None` where there is none."""
        if not self.partitions:
            return None
        return f"{self.partitions[0].number}.{self.expiry}.{self.known}"


def _of(members: Iterable[bytes], meant: Filter) -> list[bytes]:
    """Those of the root identity that is named: told without looking at their records."""
    named = [fingerprint(target) for target in meant.targets if target.kind is Kind.SUBJECT]
    return [one for one in members if all(one.startswith(root) for root in named)]


def _split(targets: bytes) -> set[bytes]:
    return {targets[at : at + _FINGERPRINT] for at in range(0, len(targets), _FINGERPRINT)}


def _recorded(
    id_: str, detail: dict[str, Any], times: tuple[int, int], *, alive: bool
) -> RecordedExchange:
    recorded_at, expires_at = times
    return RecordedExchange(
        id=id_,
        alive=alive,
        recorded_at=recorded_at,
        expires_at=expires_at,
        subject=Identity(*detail["subject"]),
        actors=tuple(Identity(*actor) for actor in detail["actors"]),
        client=detail["client"],
        agent=detail["agent"],
        resource=detail["resource"],
        grant=detail["grant"],
        scope=frozenset(detail["scope"]),
        parent=detail["parent"],
    )
