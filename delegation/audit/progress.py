"""How far a reader has come in every stream, be its events sealed by now or not."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from delegation.audit.chain import EventId, Numbers
from delegation.audit.checkpoint import TIME, timestamp
from delegation.domain.ports import StoredEvent

_LATEST = 253_402_300_799_999
"""The last millisecond that can be written (RFC 3339 §1)."""


@dataclass(frozen=True, slots=True)
class Place:
    """The last event of a stream that was met: its number, and when it was recorded.

    *epoch* is what the trail calls the store's epoch by now.
    """

    epoch: str
    number: int
    at: str


class Progress:
    """The last event that was met of each stream, in each epoch of the store.

    An event was met before if neither its number nor its time goes beyond that: a store that went
    back to an earlier state gives numbers away again, but later.
    """

    def __init__(self) -> None:
        """Nothing was met."""
        self._places: dict[tuple[int, str], dict[str, Place]] = {}

    @classmethod
    def of_heads(cls, heads: Numbers, latest: str) -> Self:
        """All was met that is sealed, in a trail with these last numbers up to *latest*."""
        progress = cls()
        for epoch, streams in sorted(heads.items(), key=lambda one: _generation(one[0])):
            for stream, partitions in streams.items():
                for partition, number in partitions.items():
                    progress._put(int(partition), stream, Place(epoch, number, latest))
        return progress

    def take(self, event: EventId, at: str) -> bool:
        """An event comes; whether it is new."""
        place = self._epochs(event.partition, event.stream).get(_of_store(event.epoch))
        if place is not None and event.number <= place.number and at <= place.at:
            return False
        self._put(event.partition, event.stream, Place(event.epoch, event.number, at))
        return True

    def leaves_out(self, event: EventId) -> bool:
        """Whether others must have come before *event* that were not met."""
        epochs = self._epochs(event.partition, event.stream)
        place = epochs.get(_of_store(event.epoch))
        numbers = [one.number for one in (epochs.values() if place is None else [place])]
        return event.number > max(numbers, default=0) + 1

    def id_of(self, partition: int, stream: str, event: StoredEvent) -> EventId:
        """The id of an event that still stands in the store."""
        place = self._epochs(partition, stream).get(event.epoch)
        epoch = event.epoch if place is None else place.epoch
        return EventId(epoch, partition, stream, event.number)

    def last(self, partition: int, stream: str) -> Place | None:
        """Where a stream was left, in the epoch that was met last."""
        places = self._epochs(partition, stream).values()
        return max(places, key=lambda place: place.at, default=None)

    def written(self) -> dict[str, Any]:
        """As JSON has it: epoch, stream, partition; number and time."""
        written: dict[str, Any] = {}
        for (partition, stream), epochs in self._places.items():
            for place in epochs.values():
                streams = written.setdefault(place.epoch, {}).setdefault(stream, {})
                streams[str(partition)] = [place.number, place.at]
        return written

    @classmethod
    def read(cls, written: object) -> Self:
        """What `written` gave. Raises `ValueError` for anything else."""
        progress = cls()
        try:
            for epoch, streams in _items(written):
                for stream, partitions in _items(streams):
                    for partition, (number, at) in _items(partitions):
                        event = EventId.parse(f"{epoch}:{partition}:{stream}:{number}")
                        if not TIME.fullmatch(at):
                            raise ValueError("a time has another form")
                        progress._put(event.partition, stream, Place(epoch, event.number, at))
        except (TypeError, AttributeError) as error:
            raise ValueError("it has another form") from error
        return progress

    def _put(self, partition: int, stream: str, place: Place) -> None:
        self._epochs(partition, stream)[_of_store(place.epoch)] = place

    def _epochs(self, partition: int, stream: str) -> dict[str, Place]:
        return self._places.setdefault((partition, stream), {})


def moment(event: StoredEvent) -> str:
    """When it was recorded, as the trail would write it."""
    return timestamp(min(event.at, _LATEST))


def _items(value: Any) -> Any:
    if isinstance(value, Mapping):
        return value.items()
    raise TypeError("not an object")


def _of_store(epoch: str) -> str:
    return epoch.partition(".")[0]


def _generation(epoch: str) -> int:
    return int(epoch.partition(".")[2] or 0)
