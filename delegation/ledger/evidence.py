"""The events that still stand in the store: reading them, and dropping them once they are safe."""

from collections.abc import Iterator
from dataclasses import dataclass

from delegation.domain.ports import StoredEvent
from delegation.ledger import scripts
from delegation.ledger.partitions import Partition
from delegation.ledger.store import Store, must_be_ok

_EVENTS, _REFUSALS = "events", "refusals"


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

    def read(self, partition: int, stream: str, *, count: int) -> list[StoredEvent]:
        """The first *count* undrained events of a stream. A full store answers this, too."""
        return [
            StoredEvent(
                epoch=fields[b"epoch"].decode(),
                number=int(entry.partition(b"-")[0]),
                at=int(fields[b"at"]),
                event=fields[b"event"],
            )
            for entry, fields in self.store.server.read_stream(_key(partition, stream), count)
        ]

    def trim(self, partition: int, stream: str, *, through: int) -> None:
        """Drop the events up to and with number *through*. A full store does this, too."""
        keys = [_key(partition, stream)]
        must_be_ok(self.store.ask(scripts.TRIM, Partition(partition), keys, (through,))[0])


def _key(partition: int, stream: str) -> str:
    keys = {_EVENTS: Partition(partition).events, _REFUSALS: Partition(partition).refusals}
    return keys[stream]
