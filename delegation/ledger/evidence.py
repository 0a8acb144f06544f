"""The events that still stand in the store: reading them, and dropping them once they are safe."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from delegation.domain.ports import StoredEvent
from delegation.ledger import scripts
from delegation.ledger.partitions import Partition
from delegation.ledger.store import Store, must_be_ok

_EVENTS, _REFUSALS = "events", "refusals"

_EPOCH = re.compile(rb"[0-9a-f]{1,32}")

_TIME = re.compile(rb"[0-9]{1,15}")

_NOBODYS = "0"
"""The epoch of an entry that does not say which it is of: no script of ours wrote it."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """The undrained events of every partition. Every verb raises `Unavailable`."""

    store: Store

    def streams(self) -> Iterator[tuple[int, str]]:
        """Every stream there is: its partition's number and its name."""
        for partition in self.store.partitions.all():
            yield partition.number, _EVENTS
            yield partition.number, _REFUSALS

    def settle(self) -> None:
        """Write the counts of what was suppressed and has not been written yet."""
        questions = [
            (partition, [partition.refusals, partition.caps])
            for partition in self.store.partitions.all()
        ]
        for status, *_ in self.store.ask_all(scripts.SETTLE, questions, ()):
            must_be_ok(status)

    def read(self, partition: int, stream: str, *, count: int, after: int = 0) -> list[StoredEvent]:
        """The first *count* events of a stream *after* a number. A full store answers this, too.

        Whatever stands there is given: what no script of ours wrote, as well as it goes.
        """
        entries = self.store.server.read_stream(
            _key(partition, stream), count, since=f"{after + 1}-0"
        )
        return [_stored(entry, fields) for entry, fields in entries]

    def trim(self, partition: int, stream: str, last: StoredEvent) -> None:
        """Drop the events up to and with *last*, if that one still stands as it was read.

        A store that went back gives numbers away a second time: nothing is dropped for another's
        number. A full store does this, too.
        """
        keys, arguments = [_key(partition, stream)], (last.number, last.at, last.epoch)
        must_be_ok(self.store.ask(scripts.TRIM, Partition(partition), keys, arguments)[0])


def _stored(entry: bytes, fields: Mapping[bytes, bytes]) -> StoredEvent:
    epoch, at = fields.get(b"epoch", b""), fields.get(b"at", b"")
    return StoredEvent(
        epoch=epoch.decode() if _EPOCH.fullmatch(epoch) else _NOBODYS,
        number=int(entry.partition(b"-")[0]),
        at=int(at) if _TIME.fullmatch(at) else 0,
        event=fields.get(b"event", b""),
    )


def _key(partition: int, stream: str) -> str:
    keys = {_EVENTS: Partition(partition).events, _REFUSALS: Partition(partition).refusals}
    return keys[stream]
