"""Verifying: what a third party knows from segments and a public key, and where it is not so."""

from dataclasses import replace
from random import Random

import pytest

from delegation.audit.checkpoint import digest_of
from delegation.audit.note import SignerKey
from delegation.audit.segments import LONGEST_LINE, Damaged, Trail
from delegation.audit.verify import CannotVerify, verify
from tests.audit import tampering
from tests.audit.tampering import EVERYBODYS, KEPT, THIEF, tail_rewritten
from tests.audit.trails import KEY, InMemory, Source, a_sealer, a_source, an_event

KEYS = [KEY.verifier]

EVENTS, REFUSALS = (0, "events"), (1, "refusals")

BATCHES = (
    {EVENTS: [1, 2, 3], REFUSALS: [1]},
    {EVENTS: [4]},
    {EVENTS: [6, 7], REFUSALS: [2, 3]},  # 5 is missing
    {REFUSALS: [4, 5, 6, 7]},
    {EVENTS: [8, 9, 10], REFUSALS: [8]},
    {EVENTS: [11]},
)
"""The events of each segment of the sample, by stream and number."""


@pytest.fixture(name="sample", scope="module")
def _sample() -> InMemory:
    """A trail of a few segments and two streams, with a gap and a store that was laid out anew."""
    segments = InMemory()
    source = Source({EVENTS: [], REFUSALS: []})
    sealer = a_sealer(source, segments)
    for batch in BATCHES:
        for stream, numbers in batch.items():
            source.stood[stream] += [an_event(number, text="é" * number) for number in numbers]
        list(sealer())
    source.stood[EVENTS] = [an_event(number, epoch="1a") for number in (1, 2, 3)]
    list(sealer())
    return segments


@pytest.fixture(name="last")
def _last(sample):
    """Its last checkpoint, as somebody kept it."""
    return Trail(sample).ending(7).note


def copied(sample, tamper, seed):
    """What a tampering makes of a copy of the trail; `None` where it is as it was."""
    trail = [list(sample.lines(number)) for number in sample.numbers()]
    tamper(trail, Random(seed))  # noqa: S311, nothing secret
    held = {number: b"".join(lines) for number, lines in enumerate(trail, 1)}
    return None if held == sample.held else InMemory(held)


def test_what_was_not_touched(sample, last):
    """It is whole, and what it says of itself is told."""
    found = verify(sample, KEYS, kept=[last])

    assert (found.first, found.last.segment, found.segments) == (1, 7, 7)
    assert (found.records, found.events) == (23, 21)
    assert (found.gaps, found.missing, found.epochs, found.unreadable) == (1, 1, 1, 0)
    [(segment, line, gap)] = found.examples
    assert (segment, line, gap.first, gap.last) == (3, 3, 5, 5)


@pytest.mark.parametrize("tamper", EVERYBODYS, ids=lambda one: one.__name__)
def test_tampering_is_noticed_by_everybody(sample, tamper):
    """Whatever is changed, dropped, doubled, moved or cut off: the public key is enough."""
    assert _unnoticed(sample, tamper, rounds=50) == []


@pytest.mark.parametrize("tamper", KEPT, ids=lambda one: one.__name__)
def test_tampering_is_noticed_by_who_kept_a_checkpoint(sample, last, tamper):
    """Even by who has the private key, and what nobody else can know: that there was more."""
    assert _unnoticed(sample, tamper, rounds=50, kept=[last]) == []


@pytest.mark.slow
@pytest.mark.parametrize("tamper", [*EVERYBODYS, *KEPT], ids=lambda one: one.__name__)
def test_a_thousand_tamperings_of_every_kind(sample, last, tamper):
    """At the start, in the middle, at the end, and across segments."""
    kept = [last] if tamper in KEPT else []

    assert _unnoticed(sample, tamper, rounds=1000, kept=kept) == []


def _unnoticed(sample, tamper, *, rounds, kept=()):
    """The seeds of the tamperings that verify all the same."""
    found = []
    for seed in range(rounds):
        tampered = copied(sample, tamper, seed)
        if tampered is None:
            continue
        try:
            verify(tampered, KEYS, kept=kept)
        except Damaged:
            continue
        found.append(seed)
    return found


def test_a_tail_that_its_signer_rewrote(sample, last):
    """Without a checkpoint kept elsewhere it is whole: that is what such a checkpoint is for."""
    rewritten = copied(sample, tail_rewritten, 4)

    verify(rewritten, KEYS)

    with pytest.raises(Damaged, match="not the one that was kept: the trail was rewritten"):
        verify(rewritten, KEYS, kept=[last])


def test_an_early_checkpoint_protects_what_was_before_it(sample):
    """And nothing after it."""
    early, late = (Trail(sample).ending(number).note for number in (1, 5))

    rewritten = [copied(sample, tail_rewritten, seed) for seed in range(20)]
    noticed = []
    for one in rewritten:
        try:
            verify(one, KEYS, kept=[early, late])
        except Damaged as error:
            noticed.append(error.segment)

    assert 0 < len(noticed) < 20
    assert set(noticed) <= {1, 5}


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        (b'"decision":"0f-2"', b'"decision":"0f-3"', "segment 1, line 3: its seal does not fit"),
        (b'"text":"', b'"text": "', "segment 1, line 1: this is no record: .* canonical form"),
        (b'"text":', b'"text":"","text":', "segment 1, line 1: .* canonical form"),
        (b'"seal":"', b'"soul":"', "segment 1, line 1: .* no seal at its end"),
        (b'"at":"2026', b'"at":" 026', "segment 1, line 1: .* its time has another form"),
        (b":refusals:4", b":refusals:04", "segment 4, line 1: .* its id has another form"),
        (b'"first":5', b'"first":true', "segment 3, line 3: .* its place has another form"),
        (b'"gap":{', b'"gap":7,"x":{', "segment 3, line 3: this is no record: .* another form"),
        (b'"last":5,', b"", "segment 3, line 3: this is no record: it has another form"),
        (b'"event":{', b'"evend":{', "segment 1, line 1: this is no record: it has another form"),
        (
            b'"event":{"decision":"1a-1","type":"exchange","version":1}',
            b'"event":[]',
            "segment 7, line 2: .* its event is no object",
        ),
        (b'{"checkpoint":"', b'{"checkpoint":"x', "segment 1: its checkpoint: the signature"),
        (b"segment 2", b"segment 3", "segment 2: its checkpoint: the signature .* is wrong"),
        (b"segment 2", b"Segment 2", "segment 2: .* its checkpoint has another form"),
        (b'"heads":{', b'"heads": {', "segment 1: .* in canonical form"),
        (b'"heads":{"0f', b'"heads":{"1f', "segment 1: its heads are not those that were signed"),
        (b'"checkpoint":"', b'"checkpoint":7,"x":"', "segment 1: .* it has another form"),
    ],
)
def test_it_says_exactly_where(sample, old, new, what):
    """The segment, the line, and what is wrong there."""
    segment = next(number for number, lines in sample.held.items() if old in lines)
    tampered = sample.held | {segment: sample.held[segment].replace(old, new, 1)}

    with pytest.raises(Damaged, match=what):
        verify(InMemory(tampered), KEYS)


def test_a_segment_that_is_missing(sample, last):
    """In the middle everybody sees it; at the end who kept its checkpoint."""
    without = {number: lines for number, lines in sample.held.items() if number != 3}
    with pytest.raises(Damaged, match="segment 3: it is missing"):
        verify(InMemory(without), KEYS)

    del without[1]
    with pytest.raises(Damaged, match="segment 1: it is missing"):
        verify(InMemory(without), KEYS)

    with pytest.raises(Damaged, match="segment 7: its checkpoint was kept, and now it is missing"):
        verify(InMemory({}), KEYS, kept=[last])


def test_a_line_that_never_ends(sample):
    """It is not taken into memory."""
    tampered = InMemory(sample.held | {2: b"x" * (LONGEST_LINE + 1)})

    with pytest.raises(Damaged, match="segment 2, line 1"):
        verify(tampered, KEYS)


def test_a_segment_without_an_event():
    """No sealer makes one, whatever its checkpoint says."""
    segments = InMemory()
    list(a_sealer(a_source(3), segments)())
    gap, _, ending = segments.lines(1)

    with pytest.raises(Damaged, match="segment 1: it was cut off"):
        verify(InMemory({1: gap + ending}), KEYS)


def test_beginning_in_the_middle(sample, last):
    """The signed word of the segment before is enough to go on from."""
    found = verify(sample, KEYS, since=5, kept=[last])

    assert (found.first, found.segments, found.gaps) == (5, 3, 0)
    assert verify(sample, KEYS, since=5, kept=[Trail(sample).ending(4).note]).segments == 3
    archived = InMemory({number: sample.held[number] for number in (4, 5, 6, 7)})
    assert verify(archived, KEYS, since=5).records == found.records


def test_a_middle_that_cannot_be_begun_from(sample):
    """Where the segment before is not there, or is not what it was, nothing is believed of it."""
    held = dict(sample.held)
    with pytest.raises(CannotVerify, match="no segment there from 8 on"):
        verify(sample, KEYS, since=8)
    with pytest.raises(CannotVerify, match="before the first to verify"):
        verify(sample, KEYS, since=7, kept=[Trail(sample).ending(2).note])
    with pytest.raises(CannotVerify, match="segment 4 is not there"):
        verify(InMemory({5: held[5]}), KEYS, since=5)
    with pytest.raises(Damaged, match="segment 4: its checkpoint is of another segment"):
        verify(InMemory(held | {4: held[3]}), KEYS, since=5)
    with pytest.raises(Damaged, match="segment 4: its checkpoint: none of the keys"):
        verify(sample, [THIEF.verifier], since=5)
    rewritten = InMemory()
    list(a_sealer(a_source(1), rewritten)())
    with pytest.raises(Damaged, match="segment 1: its checkpoint is not the one that was kept"):
        verify(InMemory(held | rewritten.held), KEYS, since=2, kept=[Trail(sample).ending(1).note])


def test_nothing_to_verify():
    """No trail is no proof."""
    with pytest.raises(CannotVerify, match=r"no segment there$"):
        verify(InMemory(), KEYS)


def test_a_kept_checkpoint_that_is_none(sample):
    """It must be signed, and be a checkpoint: it proves something, or it is of no use."""
    for note in (
        "",
        Trail(sample).ending(1).note.replace("segment 1", "segment 2"),
        KEY.sign("x\n"),
    ):
        with pytest.raises(CannotVerify, match="is of no use"):
            verify(sample, KEYS, kept=[note])


def test_another_trail_by_the_same_key():
    """Its name is signed, and must be that of the key."""
    other = SignerKey("other.example/audit", KEY.private)
    segments = InMemory()
    list(a_sealer(a_source(1), segments, key=other)())

    with pytest.raises(Damaged, match="none of the keys"):
        verify(segments, KEYS)
    with pytest.raises(Damaged, match="not of these records: origin"):
        verify(segments, [KEY.verifier, other.verifier])


def test_only_the_first_gaps_are_told_one_by_one():
    """A trail may have any number of them, and a reader has so much memory."""
    segments = InMemory()
    list(a_sealer(a_source(*range(2, 102, 2)), segments)())

    found = verify(segments, KEYS)

    assert (found.gaps, found.missing, len(found.examples)) == (50, 50, 20)


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("origin", "other.example/audit"),
        ("size", 22),
        ("head", bytes(32)),
        ("segment", 6),
        ("previous", bytes(32)),
        ("previous", None),
        ("earliest", "2026-11-20T11:00:00.000Z"),
        ("latest", "2026-11-20T13:00:00.000Z"),
    ],
)
def test_a_checkpoint_must_be_of_its_records(sample, member, value):
    """Whoever has signed it."""
    ending = Trail(sample).ending(7)
    checkpoint = replace(ending.checkpoint, **{member: value})
    other = replace(ending, note=KEY.sign(checkpoint.text), checkpoint=checkpoint).line()
    changed = sample.held[7].replace(ending.line(), other)

    with pytest.raises(Damaged, match=f"segment 7: .* not of these records: {member}"):
        verify(InMemory(sample.held | {7: changed}), KEYS)


def test_heads_must_be_those_of_the_records(sample):
    """Even where they are those that were signed."""
    ending = Trail(sample).ending(7)
    heads = {"0f": {"events": {"0": 99}}}
    checkpoint = replace(ending.checkpoint, heads=digest_of(heads))
    note = KEY.sign(checkpoint.text)
    other = replace(ending, note=note, checkpoint=checkpoint, heads=heads).line()

    with pytest.raises(Damaged, match=r"segment 7: .* not of these records: heads"):
        verify(InMemory(sample.held | {7: sample.held[7].replace(ending.line(), other)}), KEYS)


def test_bytes_are_counted_as_they_are_read(sample):
    """For whoever waits."""
    read = []

    verify(sample, KEYS, advance=read.append)

    assert sum(read) == sum(map(len, sample.held.values()))


def test_every_tampering_is_tried():
    """None that was written down is left out."""
    written = {
        one
        for name, one in vars(tampering).items()
        if getattr(one, "__module__", None) == tampering.__name__ and name[0] != "_"
    }

    assert written == {*EVERYBODYS, *KEPT}
