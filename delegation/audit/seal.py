"""Moves events from the store into sealed segments: they are dropped only once they are safe there.

Nothing is kept between one run and the next but the trail itself: its last checkpoint says how far
each stream was sealed. Several sealers may run; of each segment, one of them is the maker.
"""

from collections.abc import Iterable, Iterator, Sequence

from delegation.audit.chain import Heads
from delegation.audit.checkpoint import digest_of
from delegation.audit.draft import AlreadySealed, Draft, Position, Sealed
from delegation.audit.note import NotSigned, SignerKey, VerifierKey, opened
from delegation.audit.segments import Damaged, Segments, Trail
from delegation.domain.ports import Clock, StoredEvent, UndrainedEvents

_PAGE = 1000
"""Events that are read in one reply."""

_End = tuple[int, str, StoredEvent]
"""A stream, by partition and name, and the last of its events that was read."""


class NotOurs(Exception):
    """The trail that is there cannot be gone on with: its last segment is not one of ours."""


class Sealer:
    """Seals what stands in *source* into *segments*, with *key*.

    *former* are keys that have signed before: a trail that one of them ends is gone on with.
    """

    def __init__(
        self,
        source: UndrainedEvents,
        segments: Segments,
        key: SignerKey,
        *,
        former: Iterable[VerifierKey] = (),
        clock: Clock,
    ) -> None:
        self._source, self._segments, self._key, self._clock = source, segments, key, clock
        self._keys = [key.verifier, *former]
        self._sealed = AlreadySealed(segments)
        self._turn = 0
        self._position: Position | None = None

    def __call__(self) -> Iterator[Sealed]:
        """Seal all that stands there now, one segment after the other; between two it may be left.

        Raises `Unavailable` where the store is out of reach, `OSError` where the disk is,
        `NotOurs`, and `Damaged` where the trail is not what a sealer left. What was not sealed
        stays where it is.
        """
        yield from self._rounds()
        # Only now: a store from which nothing can be moved must not be given more to hold.
        self._source.settle()
        yield from self._rounds()

    def _rounds(self) -> Iterator[Sealed]:
        more = True
        while more:
            try:
                sealed, more = self._round()
            except BaseException:
                # Whether the segment was made is not known: the trail itself says it.
                self._position = None
                raise
            if sealed is not None:
                yield sealed

    def _round(self) -> tuple[Sealed | None, bool]:
        """What was sealed, if anything; and whether there may be more."""
        position = self._position = self._position or self._load()
        draft = Draft(Heads(position.heads.written()), self._sealed)
        ends, more = self._read_into(draft)
        sealed = None
        if not draft.is_empty:
            now = self._clock()
            ending, lines = draft.finished(position, self._key, now=now)
            if not self._segments.create(ending.checkpoint.segment, lines):
                self._position = None  # somebody else did, and what they sealed is dropped
                return None, True
            self._position = Position(draft.heads, ending.checkpoint)
            sealed = draft.told(ending.checkpoint, now=now)
        for partition, stream, last in ends:
            self._source.trim(partition, stream, last)
        return sealed, more

    def _read_into(self, draft: Draft) -> tuple[list[_End], bool]:
        """The last event that was read of each stream, and whether there may be more than that.

        Where there is, another stream comes first the next time, so that none waits for ever.
        """
        streams = list(self._source.streams())
        ends: list[_End] = []
        for number, (partition, stream) in enumerate(streams[self._turn :] + streams[: self._turn]):
            last = None
            for events in self._pages(partition, stream):
                draft.take(partition, stream, events)
                last = events[-1]
                if draft.is_full:
                    break
            if last is not None:
                ends.append((partition, stream, last))
            if draft.is_full:
                self._turn = (self._turn + number + 1) % len(streams)
                return ends, True
        return ends, False

    def _pages(self, partition: int, stream: str) -> Iterator[Sequence[StoredEvent]]:
        after = 0
        while events := self._source.read(partition, stream, count=_PAGE, after=after):
            yield events
            after = events[-1].number
            if len(events) < _PAGE:
                break

    def _load(self) -> Position:
        numbers = self._segments.numbers()
        # Another's segment, too, must be safe before what it holds is dropped from the store.
        self._segments.secure()
        if not numbers:
            return Position(Heads())
        ending = Trail(self._segments).ending(numbers[-1])
        try:
            opened(ending.note, self._keys)
        except NotSigned as error:
            raise NotOurs(f"its last checkpoint cannot be trusted: {error}") from error
        checkpoint = ending.checkpoint
        if checkpoint.origin != self._key.name or checkpoint.segment != numbers[-1]:
            raise NotOurs("its last checkpoint is of another trail, or of another segment")
        if checkpoint.heads != digest_of(ending.heads):
            raise Damaged(numbers[-1], None, "its heads are not those that were signed")
        return Position(Heads(ending.heads), checkpoint)
