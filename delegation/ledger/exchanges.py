"""Reads what was exchanged and has not expired: by whom, for whom, and what grew from it."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

from delegation.domain.exchanges import Filter, RecordedExchange
from delegation.domain.locks import Kind, Target
from delegation.domain.parties import Identity
from delegation.domain.ports import Page
from delegation.ledger import detail, scripts
from delegation.ledger.partitions import Partition, bits, fingerprint, mark
from delegation.ledger.store import Store, must_be_ok

_BATCH = 500
"""How many records are fetched in one round trip."""

_FINGERPRINT = 16

_CURSOR = re.compile(r"([0-9]{1,9})\.([0-9]{1,15})\.((?:[0-9a-f]{2}){0,64})", re.ASCII)

_Entry = tuple[int, bytes]
"""A live exchange: when it expires, and how it stands in the list."""


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

        It stops after *count* of them, or when *budget* records were looked at; the page's cursor
        says where to go on. Raises `ValueError` for a cursor that is none of ours.
        """
        place = _Place.read(cursor)
        partitions = [one for one in self._places(meant) if one.number >= place.partition]
        found: list[RecordedExchange] = []
        looked_at = 0
        while partitions and len(found) < count and looked_at < budget:
            partition = partitions[0]
            if partition.number != place.partition:
                place = _Place(partition.number)
            wanted = min(_BATCH, budget - looked_at)
            entries = self._live(partition, place, wanted)
            is_last = len(entries) < wanted
            ids = [partition.id_of(bits(entry)) for _, entry in entries]
            chosen = self._inspect(partition, _of(entries, ids, meant), meant)
            if len(chosen) > (room := count - len(found)):
                chosen, is_last = chosen[:room], False
                entries = entries[: 1 + ids.index(chosen[-1].id)]
            found += chosen
            looked_at += len(entries)
            if is_last:
                partitions.pop(0)
            else:
                place = _Place(partition.number, *entries[-1])
        if partitions and partitions[0].number != place.partition:
            place = _Place(partitions[0].number)
        return Page(tuple(found), place.cursor() if partitions else None, looked_at)

    def _places(self, meant: Filter) -> list[Partition]:
        """Where they can be: in one partition, where a root identity or an exchange is named."""
        places = set(self._partitions.all())
        for target in meant.targets:
            if target.kind in {Kind.SUBJECT, Kind.PAIR, Kind.EXCHANGE}:
                places &= set(self._partitions.of_lock(target))
        return sorted(places, key=lambda partition: partition.number)

    def _live(self, partition: Partition, place: "_Place", count: int) -> list[_Entry]:
        arguments = (place.expiry, place.member, count)
        status, *rest = self._store.ask(scripts.LIVE, partition, [partition.live], arguments)
        must_be_ok(status)
        [page] = rest
        return list(zip(map(int, page[1::2]), page[::2], strict=True))

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
            recorded_at, expires_at, written, own, before = fields
            targets = _split(own) | (_split(before) if meant.lineage else set())
            if targets.issuperset(wanted):
                alive = status == b"ok"
                times = int(recorded_at), int(expires_at)
                found.append(_recorded(id_, detail.read(written), times, alive=alive))
        return found


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a reader is: in which partition, and after which entry of the live exchanges."""

    partition: int = 0
    expiry: int = 0
    member: bytes = b""

    @classmethod
    def read(cls, cursor: str | None) -> Self:
        """From a cursor. Raises `ValueError` where it is none of ours."""
        if cursor is None:
            return cls()
        found = _CURSOR.fullmatch(cursor)
        if found is None:
            raise ValueError("not a cursor of ours")
        return cls(int(found[1]), int(found[2]), bytes.fromhex(found[3]))

    def cursor(self) -> str:
        """For the next page."""
        return f"{self.partition}.{self.expiry}.{self.member.hex()}"


def _of(entries: Iterable[_Entry], ids: Iterable[str], meant: Filter) -> list[str]:
    """The ids of those that may be the named root identity's: told without looking at records."""
    marks = [
        mark(Identity(*target.names[:2]))
        for target in meant.targets
        if target.kind in {Kind.SUBJECT, Kind.PAIR}
    ]
    return [id_ for (_, entry), id_ in zip(entries, ids, strict=True) if _has_all(entry, marks)]


def _has_all(entry: bytes, marks: Iterable[bytes]) -> bool:
    return all(entry.startswith(one) for one in marks)


def _split(targets: bytes) -> set[bytes]:
    return {targets[at : at + _FINGERPRINT] for at in range(0, len(targets), _FINGERPRINT)}


def _recorded(
    id_: str, said: dict[str, Any], times: tuple[int, int], *, alive: bool
) -> RecordedExchange:
    recorded_at, expires_at = times
    return RecordedExchange(
        id=id_,
        alive=alive,
        recorded_at=recorded_at,
        expires_at=expires_at,
        subject=Identity(*said["subject"]),
        actors=tuple(Identity(*actor) for actor in said["actors"]),
        client=said["client"],
        agent=said["agent"],
        resource=said["resource"],
        grant=said["grant"],
        scope=frozenset(said["scope"]),
        parent=said["parent"],
    )
