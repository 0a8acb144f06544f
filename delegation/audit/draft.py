"""A segment that is being made: which events come into it, in what order, and what else it says."""

import hashlib
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from operator import itemgetter

from delegation.audit.chain import (
    START,
    EpochBegun,
    EventId,
    Gap,
    Heads,
    canonical,
    seal,
    sealed_line,
    split,
)
from delegation.audit.checkpoint import Checkpoint, digest_of, timestamp
from delegation.audit.note import SignerKey
from delegation.audit.packing import unpacked
from delegation.audit.segments import ENDING, Ending, Segments, Trail
from delegation.domain.locks import milliseconds
from delegation.domain.ports import StoredEvent

_MOST = 20_000
"""Records of one segment: the whole of it is held in memory."""

_LATEST = 253_402_300_799_999
"""The last millisecond that can be written (RFC 3339 §1)."""


@dataclass(frozen=True, slots=True)
class Position:
    """How far the trail goes: the last number of each stream, and the last checkpoint if any."""

    heads: Heads
    last: Checkpoint | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """What a segment holds. *lag* is how old its oldest event was, in milliseconds.

    *gaps*, *epochs* and *unreadable* events are what somebody should look at.
    """

    checkpoint: Checkpoint
    records: int
    lag: int
    gaps: Sequence[Gap]
    epochs: Sequence[EpochBegun]
    unreadable: Sequence[EventId]


class AlreadySealed:
    """Knows what the trail holds of what still stands in the store: sealed, but not dropped yet."""

    def __init__(self, segments: Segments) -> None:
        self._segments = segments
        self._number, self._digests = 0, frozenset[bytes]()

    def among(self, bodies: Mapping[bytes, int]) -> set[bytes]:
        """Which of these records, each with its time, are in the trail, and exactly so."""
        wanted = {hashlib.sha256(body).digest(): body for body in bodies}
        first, last = (timestamp(end(bodies.values())) for end in (min, max))
        trail, found = Trail(self._segments), set[bytes]()
        # Nearly always it is the last segment that holds them all.
        for number in reversed(self._segments.numbers()):
            if len(found) == len(wanted):
                break
            checkpoint = trail.ending(number).checkpoint
            if checkpoint.latest >= first and checkpoint.earliest <= last:
                found |= wanted.keys() & self._digests_of(number)
        return {wanted[digest] for digest in found}

    def _digests_of(self, number: int) -> frozenset[bytes]:
        """A segment never changes, and one stream after the other asks for the same one."""
        if number != self._number:
            lines = (line for line in self._segments.lines(number) if not line.startswith(ENDING))
            self._digests = frozenset(hashlib.sha256(split(line)[0]).digest() for line in lines)
            self._number = number
        return self._digests


class Draft:
    """The records of a segment, as long as it is not sealed. *heads* move with what it takes."""

    def __init__(self, heads: Heads, already: AlreadySealed) -> None:
        self.heads = heads
        self._already = already
        self._records: list[tuple[int, bytes | Gap | EpochBegun]] = []
        self._times: list[int] = []
        self._gaps: list[Gap] = []
        self._epochs: list[EpochBegun] = []
        self._unreadable: list[EventId] = []

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to seal."""
        return not self._records

    @property
    def is_full(self) -> bool:
        """Whether no more should come into this segment."""
        return len(self._records) >= _MOST

    def take(self, partition: int, stream: str, events: Sequence[StoredEvent]) -> None:
        """Take the next *events* of a stream, but for those that are sealed already."""
        sealed = self._sealed_already(partition, stream, events)
        moment = 0
        for event in events:
            if event in sealed:
                continue
            # Records are put in order of time, but those of one stream always in their own.
            moment = max(moment, _at(event))
            event_id = self._place(partition, stream, event, moment)
            self.heads.event(event_id)
            body, is_readable = _body(event_id, event)
            if not is_readable:
                self._unreadable.append(event_id)
            self._times.append(_at(event))
            self._records.append((moment, body))

    def _sealed_already(
        self, partition: int, stream: str, events: Sequence[StoredEvent]
    ) -> set[StoredEvent]:
        """What has a number that was sealed, and is what was sealed under it."""
        epochs = self.heads.epochs(partition, stream)
        candidates = {
            _body(EventId(epoch, partition, stream, event.number), event)[0]: event
            for event in events
            for epoch, last in epochs.items()
            if _of_store(epoch) == event.epoch and event.number <= last
        }
        if not candidates:
            return set()
        times = {body: _at(event) for body, event in candidates.items()}
        return {candidates[body] for body in self._already.among(times)}

    def _place(self, partition: int, stream: str, event: StoredEvent, moment: int) -> EventId:
        """The id of an event that is not sealed; before it, what is to be said of its place."""
        epochs = self.heads.epochs(partition, stream)
        epoch = _current(epochs, event.epoch)
        if epoch is None or event.number <= epochs[epoch]:
            epoch = self._begin_epoch(partition, stream, event, moment, after=epoch)
        missing = epochs.get(epoch, 0) + 1
        if event.number > missing:
            gap = Gap(
                epoch=epoch,
                partition=partition,
                stream=stream,
                first=missing,
                last=event.number - 1,
            )
            self.heads.gap(gap)
            self._gaps.append(gap)
            self._records.append((moment, gap))
        return EventId(epoch, partition, stream, event.number)

    def _begin_epoch(
        self, partition: int, stream: str, event: StoredEvent, moment: int, *, after: str | None
    ) -> str:
        """The epoch of an event whose number does not go on from any of its store's.

        *after* is the store's last; it is none where the store was laid out anew. A number that was
        sealed for another event comes from a store that went back: it is told by a generation.
        """
        epochs = self.heads.epochs(partition, stream)
        if not epochs:
            return event.epoch  # of a stream that is not known yet: nothing ended
        goes_on = event.number == max(epochs.values()) + 1
        epoch, first = event.epoch, event.number if goes_on else 1
        if after is not None:
            epoch, first = f"{event.epoch}.{_generation(after) + 1}", event.number
        begun = EpochBegun(epoch=epoch, partition=partition, stream=stream, first=first)
        self.heads.epoch(begun)
        self._epochs.append(begun)
        self._records.append((moment, begun))
        return epoch

    def finished(
        self, position: Position, key: SignerKey, *, now: datetime
    ) -> tuple[Ending, list[bytes]]:
        """The segment that follows *position*, signed by *key*: its ending, and all its lines."""
        last, at = position.last, timestamp(milliseconds(now))
        head, lines = last.head if last else START, []
        for _, record in sorted(self._records, key=itemgetter(0)):
            body = record if isinstance(record, bytes) else _remark(record, at)
            head = seal(head, body)
            lines.append(sealed_line(body, head))
        heads = self.heads.written()
        checkpoint = Checkpoint(
            origin=key.name,
            size=(last.size if last else 0) + len(lines),
            head=head,
            segment=last.segment + 1 if last else 1,
            previous=last.digest if last else None,
            heads=digest_of(heads),
            earliest=timestamp(min(self._times)),
            latest=timestamp(max(self._times)),
            sealed=at,
        )
        ending = Ending(note=key.sign(checkpoint.text), checkpoint=checkpoint, heads=heads)
        return ending, [*lines, ending.line()]

    def told(self, checkpoint: Checkpoint, *, now: datetime) -> Sealed:
        """What is in it."""
        return Sealed(
            checkpoint=checkpoint,
            records=len(self._records),
            lag=max(0, milliseconds(now) - min(self._times)),
            gaps=self._gaps,
            epochs=self._epochs,
            unreadable=self._unreadable,
        )


def _body(event_id: EventId, stored: StoredEvent) -> tuple[bytes, bool]:
    """The record of an event, and whether it could be read: evidence it is in any case."""
    at, name = timestamp(_at(stored)).encode(), str(event_id).encode()
    try:
        event = canonical(unpacked(stored.event))
    except ValueError:
        raw = b64encode(stored.event)
        return b'{"at":"%b","id":"%b","unreadable":"%b"}' % (at, name, raw), False
    return b'{"at":"%b","event":%b,"id":"%b"}' % (at, event, name), True


def _remark(record: Gap | EpochBegun, at: str) -> bytes:
    """The record of what the sealer itself has to say."""
    kind = "gap" if isinstance(record, Gap) else "epoch"
    return canonical({"at": at, kind: asdict(record)})


def _at(event: StoredEvent) -> int:
    return min(max(event.at, 0), _LATEST)


def _current(epochs: Mapping[str, int], store: str) -> str | None:
    """The latest generation of an epoch of the store, if there is any."""
    return max((one for one in epochs if _of_store(one) == store), key=_generation, default=None)


def _of_store(epoch: str) -> str:
    return epoch.partition(".")[0]


def _generation(epoch: str) -> int:
    return int(epoch.partition(".")[2] or 0)
