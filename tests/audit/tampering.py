"""What somebody may do to a sealed trail afterwards, each at random; none of it goes unnoticed."""

import json
from base64 import b64decode
from collections.abc import Callable
from random import Random

from delegation.audit.chain import START, canonical, seal, sealed_line, split
from delegation.audit.checkpoint import Checkpoint
from delegation.audit.note import SignerKey
from delegation.audit.segments import Ending, read_ending
from tests.audit.trails import KEY, NAME

Trail = list[list[bytes]]
"""The lines of each segment, the last of which is its checkpoint."""

THIEF = SignerKey.new(NAME)
"""A key of the trail's name that is not the trail's."""


def changed(trail: Trail, random: Random) -> None:
    """One byte of one line is another."""
    lines = random.choice(trail)
    at = random.randrange(len(lines))
    line = bytearray(lines[at])
    line[random.randrange(len(line))] ^= random.randrange(1, 256)
    lines[at] = bytes(line)


def changed_in_form(trail: Trail, random: Random) -> None:
    """An event says something else, in canonical form; its seal is as it was."""
    lines, at = _a_record(trail, random)
    body, old = split(lines[at])
    lines[at] = sealed_line(_other(body, random), _raw(old))


def changed_and_sealed(trail: Trail, random: Random) -> None:
    """Likewise, and every seal from there to the end of the segment is made to fit."""
    lines, at = _a_record(trail, random)
    before = _head_before(trail, lines)
    bodies = [split(line)[0] for line in lines[:-1]]
    bodies[at] = _other(bodies[at], random)
    lines[:-1] = _sealed(before, bodies)


def dropped(trail: Trail, random: Random) -> None:
    """A line is gone."""
    lines = random.choice(trail)
    del lines[random.randrange(len(lines))]


def dropped_and_sealed(trail: Trail, random: Random) -> None:
    """A record is gone, and every seal after it in the segment is made to fit."""
    lines, at = _a_record(trail, random)
    before = _head_before(trail, lines)
    bodies = [split(line)[0] for line in lines[:-1]]
    del bodies[at]
    lines[:-1] = _sealed(before, bodies)


def segment_dropped(trail: Trail, random: Random) -> None:
    """A segment is gone, and the others are counted anew."""
    del trail[random.randrange(len(trail))]


def segment_emptied(trail: Trail, random: Random) -> None:
    """A segment is there, with nothing in it, or its checkpoint alone."""
    del random.choice(trail)[: random.choice([-1, None])]


def duplicated(trail: Trail, random: Random) -> None:
    """A line is there twice."""
    lines = random.choice(trail)
    at = random.randrange(len(lines))
    lines.insert(random.randrange(len(lines) + 1), lines[at])


def segment_duplicated(trail: Trail, random: Random) -> None:
    """A segment is there twice."""
    trail.insert(random.randrange(len(trail) + 1), list(random.choice(trail)))


def reordered(trail: Trail, random: Random) -> None:
    """Two records have changed places, within a segment or across two."""
    (one, here), (other, there) = _a_record(trail, random), _a_record(trail, random)
    one[here], other[there] = other[there], one[here]


def segments_reordered(trail: Trail, random: Random) -> None:
    """Two segments have."""
    here, there = random.sample(range(len(trail)), 2)
    trail[here], trail[there] = trail[there], trail[here]


def truncated(trail: Trail, random: Random) -> None:
    """A segment ends early, anywhere."""
    lines = random.choice(trail)
    whole = b"".join(lines)
    lines[:] = whole[: random.randrange(len(whole))].splitlines(keepends=True)


def appended(trail: Trail, random: Random) -> None:
    """Something follows a checkpoint."""
    lines = random.choice(trail)
    lines.append(random.choice([b"\n", b" ", lines[0], lines[-1]]))


def forged(trail: Trail, random: Random) -> None:
    """A record is there that nobody sealed, and the seals after it in the segment fit."""
    lines, at = _a_record(trail, random)
    before = _head_before(trail, lines)
    bodies = [split(line)[0] for line in lines[:-1]]
    bodies.insert(at, _other(bodies[at], random))
    lines[:-1] = _sealed(before, bodies)


def checkpoint_moved(trail: Trail, random: Random) -> None:
    """A segment ends with the checkpoint of another."""
    here, there = random.sample(range(len(trail)), 2)
    trail[here][-1] = trail[there][-1]


def heads_changed(trail: Trail, random: Random) -> None:
    """A checkpoint comes with other heads than were signed."""
    lines = random.choice(trail)
    ending = json.loads(lines[-1])
    ending["heads"]["0f"]["events"]["0"] += random.choice([-1, 1])
    lines[-1] = canonical(ending) + b"\n"


def tail_rewritten(trail: Trail, random: Random) -> None:
    """Who stole the audit key changes an event, and seals and signs all from there on anew."""
    _rewrite(trail, random, KEY)


def tail_rewritten_by_another(trail: Trail, random: Random) -> None:
    """Likewise with a key of the same name."""
    _rewrite(trail, random, THIEF)


def tail_dropped(trail: Trail, random: Random) -> None:
    """The last segments are gone, as if they had never been."""
    del trail[random.randrange(1, len(trail)) :]


def signed_by_another(trail: Trail, random: Random) -> None:
    """One checkpoint is signed by a key of the same name."""
    lines = random.choice(trail)
    checkpoint = read_ending(lines[-1], segment=1).checkpoint
    note = THIEF.sign(checkpoint.text)
    lines[-1] = canonical(json.loads(lines[-1]) | {"checkpoint": note}) + b"\n"


Tampering = Callable[[Trail, Random], None]

EVERYBODYS: tuple[Tampering, ...] = (
    changed,
    changed_in_form,
    changed_and_sealed,
    dropped,
    dropped_and_sealed,
    segment_emptied,
    duplicated,
    segment_duplicated,
    reordered,
    segments_reordered,
    truncated,
    appended,
    forged,
    checkpoint_moved,
    heads_changed,
    signed_by_another,
    tail_rewritten_by_another,
)
"""What is noticed with the public key alone."""

KEPT: tuple[Tampering, ...] = (tail_rewritten, tail_dropped, segment_dropped)
"""What is noticed, wherever it begins, by who has kept the last checkpoint."""


def _a_record(trail: Trail, random: Random) -> tuple[list[bytes], int]:
    lines = random.choice(trail)
    return lines, random.randrange(len(lines) - 1)


def _other(body: bytes, random: Random) -> bytes:
    record = json.loads(body)
    kind = record.get("event") or record.get("gap") or record.get("epoch")
    member = random.choice(sorted(kind))
    kind[member] = f"{kind[member]}x" if isinstance(kind[member], str) else kind[member] + 1
    return canonical(record)


def _sealed(before: bytes, bodies: list[bytes]) -> list[bytes]:
    lines = []
    for body in bodies:
        before = seal(before, body)
        lines.append(sealed_line(body, before))
    return lines


def _raw(seal: bytes) -> bytes:
    return b64decode(seal)


def _head_before(trail: Trail, lines: list[bytes]) -> bytes:
    if lines is trail[0]:
        return START
    return read_ending(trail[trail.index(lines) - 1][-1], segment=1).checkpoint.head


def _rewrite(trail: Trail, random: Random, key: SignerKey) -> None:
    """As a sealer would have done it, had an event from some place on been another."""
    first = random.randrange(len(trail))
    victim = random.randrange(len(trail[first]) - 1)
    for number in range(first, len(trail)):
        last = read_ending(trail[number - 1][-1], segment=number).checkpoint if number else None
        ending = read_ending(trail[number][-1], segment=number + 1)
        bodies = [split(line)[0] for line in trail[number][:-1]]
        if number == first:
            record = json.loads(bodies[victim])
            record["at"] = ending.checkpoint.latest
            if "event" in record:
                record["event"]["text"] = "forged"
            bodies[victim] = canonical(record)
        lines = _sealed(last.head if last else START, bodies)
        times = [record["at"] for record in map(json.loads, bodies) if "id" in record]
        old = ending.checkpoint
        checkpoint = Checkpoint(
            origin=NAME,
            size=(last.size if last else 0) + len(lines),
            head=_raw(split(lines[-1])[1]),
            segment=number + 1,
            previous=last.digest if last else None,
            heads=old.heads,
            earliest=min(times),
            latest=max(times),
            sealed=old.sealed,
        )
        note = key.sign(checkpoint.text)
        new = Ending(note=note, checkpoint=checkpoint, heads=ending.heads)
        trail[number] = [*lines, new.line()]
