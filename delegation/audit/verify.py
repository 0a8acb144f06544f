"""Verifies an audit trail, from its segments and a public key alone: whole, or where it is not.

Without a checkpoint that was kept elsewhere, it proves what it proves against all who do not have
the private key; with one, up to there against everybody.
"""

from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import count
from typing import cast

from delegation.audit.chain import START, EventId, Gap, Heads, seal
from delegation.audit.checkpoint import Checkpoint, digest_of
from delegation.audit.draft import Position
from delegation.audit.note import VerifierKey, opened
from delegation.audit.segments import (
    ENDING,
    Damaged,
    Ending,
    Record,
    Segments,
    Trail,
    read_ending,
    read_record,
)

_REMEMBERED = 20
"""How many gaps are remembered one by one: a trail may have any number of them."""


class CannotVerify(Exception):
    """The question makes no sense: there is no trail, or no such checkpoint, or no such place."""


@dataclass(slots=True, kw_only=True)
class Verified:
    """What was found, and held, from segment *first* to the checkpoint *last*.

    A trail may hold and still say that evidence is missing: *gaps* says how often, *missing* how
    many events, and *examples* are the first of the gaps, each with its segment and line.
    """

    first: int
    last: Checkpoint = field(init=False)
    segments: int = 0
    records: int = 0
    events: int = 0
    gaps: int = 0
    missing: int = 0
    epochs: int = 0
    unreadable: int = 0
    examples: list[tuple[int, int, Gap]] = field(default_factory=list)

    def count(self, record: Record) -> None:
        """Take *record* into account."""
        self.records += 1
        self.events += record.event is not None
        self.unreadable += record.unreadable is not None
        self.epochs += record.epoch is not None
        if record.gap is not None:
            self.gaps += 1
            self.missing += record.gap.last - record.gap.first + 1
            if self.gaps <= _REMEMBERED:
                self.examples.append((record.segment, record.line, record.gap))


def verify(
    segments: Segments,
    keys: Sequence[VerifierKey],
    *,
    kept: Iterable[str] = (),
    since: int = 1,
    advance: Callable[[int], object] = lambda _: None,
) -> Verified:
    """Verify the trail from segment *since* on: what it is, as far as it goes.

    Each checkpoint must be signed by one of *keys*, and those that were *kept* elsewhere, as notes,
    must stand in the trail as they are. *advance* is told of bytes as they are read. The memory of
    one record is needed, and of the heads. Raises `Damaged` at the first that does not hold,
    `CannotVerify`, and `OSError`.
    """
    held = _read_kept(kept, keys)
    numbers = [number for number in segments.numbers() if number >= since]
    if not numbers and not held:
        raise CannotVerify("there is no segment there" + (f" from {since} on" * (since > 1)))
    if any(segment < since - 1 for segment in held):
        raise CannotVerify("a checkpoint was kept of a segment before the first to verify")
    walk = _Walk(segments, keys, advance, _before(segments, since, keys), Verified(first=since))
    _compare(held, walk.position)
    for expected, number in zip(count(since), numbers, strict=False):
        if number != expected:
            raise Damaged(expected, None, "it is missing")
        walk.take(number)
        _compare(held, walk.position)
    for segment in sorted(held):
        if segment >= since + walk.found.segments:
            raise Damaged(segment, None, "its checkpoint was kept, and now it is missing")
    return walk.found


def _read_kept(notes: Iterable[str], keys: Sequence[VerifierKey]) -> dict[int, Checkpoint]:
    try:
        checkpoints = [Checkpoint.parse(opened(note, keys)) for note in notes]
    except ValueError as error:
        raise CannotVerify(f"the checkpoint that was kept is of no use: {error}") from error
    return {checkpoint.segment: checkpoint for checkpoint in checkpoints}


def _compare(kept: Mapping[int, Checkpoint], position: Position) -> None:
    last = position.last
    if last is not None and kept.get(last.segment, last) != last:
        what = "its checkpoint is not the one that was kept: the trail was rewritten"
        raise Damaged(last.segment, None, what)


def _before(segments: Segments, since: int, keys: Sequence[VerifierKey]) -> Position:
    """Where the trail stands before segment *since*: by the signed word of the segment before."""
    if since == 1:
        return Position(Heads())
    if not segments.size(since - 1):
        raise CannotVerify(f"segment {since - 1} is not there, from which {since} goes on")
    ending = Trail(segments).ending(since - 1)
    checkpoint = _signed(ending, since - 1, keys)
    if checkpoint.segment != since - 1:
        raise Damaged(since - 1, None, "its checkpoint is of another segment")
    return Position(Heads(ending.heads), checkpoint)


@dataclass(slots=True)
class _Walk:
    """Goes through a trail, segment by segment; *position* is how far it holds."""

    segments: Segments
    keys: Sequence[VerifierKey]
    advance: Callable[[int], object]
    position: Position
    found: Verified

    def take(self, number: int) -> None:
        """Verify the segment that comes next."""
        last, heads = self.position.last, self.position.heads
        head, size, first, final = START, 0, None, None
        if last is not None:
            head, size = last.head, last.size
        ending = None
        for line, text in enumerate(self.segments.lines(number), 1):
            self.advance(len(text))
            if ending is not None:
                raise Damaged(number, line, "something follows its checkpoint")
            if text.startswith(ENDING):
                ending = read_ending(text, segment=number)
                continue
            size += 1
            record = read_record(text, segment=number, line=line, number=size)
            head = seal(head, record.body)
            if b64encode(head) != record.seal:
                raise Damaged(number, line, "its seal does not fit: it, or what precedes, differs")
            _follow(heads, record)
            self.found.count(record)
            if record.id is not None:
                first = min(first or record.at, record.at)
                final = max(final or record.at, record.at)
        if ending is None or first is None or final is None:
            raise Damaged(number, None, "it was cut off: it has no checkpoint")
        checkpoint = _signed(ending, number, self.keys)
        expected = Checkpoint(
            origin=last.origin if last else self.keys[0].name,
            size=size,
            head=head,
            segment=number,
            previous=last.digest if last else None,
            heads=digest_of(heads.written()),
            earliest=first,
            latest=final,
            sealed=checkpoint.sealed,
        )
        _must_be(checkpoint, expected)
        self.position = Position(heads, checkpoint)
        self.found.last, self.found.segments = checkpoint, self.found.segments + 1


def _must_be(checkpoint: Checkpoint, expected: Checkpoint) -> None:
    for member in fields(Checkpoint):
        if getattr(checkpoint, member.name) != getattr(expected, member.name):
            what = f"its checkpoint is not of these records: {member.name}"
            raise Damaged(expected.segment, None, what)


def _follow(heads: Heads, record: Record) -> None:
    """Nothing is left out, and nothing comes twice, or the trail says so."""
    try:
        if record.gap is not None:
            heads.gap(record.gap)
        elif record.epoch is not None:
            heads.epoch(record.epoch)
        else:
            heads.event(cast(EventId, record.id))  # every other record has one
    except ValueError as error:
        raise Damaged(record.segment, record.line, str(error)) from error


def _signed(ending: Ending, segment: int, keys: Sequence[VerifierKey]) -> Checkpoint:
    """The checkpoint of an ending, which one of *keys* has signed."""
    try:
        opened(ending.note, keys)
    except ValueError as error:
        raise Damaged(segment, None, f"its checkpoint: {error}") from error
    if ending.checkpoint.heads != digest_of(ending.heads):
        raise Damaged(segment, None, "its heads are not those that were signed")
    return ending.checkpoint
