"""Reading and following a real store while it is written to and sealed from."""

import threading
from pathlib import Path

import pytest

from delegation.audit.following import Follower, Position, meant_of, tail
from delegation.audit.reading import Notes, Reader
from delegation.audit.segments import Directory
from delegation.audit.verify import verify
from delegation.domain.evidence import EventFilter
from delegation.ledger.evidence import Evidence
from tests.audit.events import ids
from tests.audit.sealers import a_running_sealer
from tests.audit.test_sealing_for_real import a_busy_ledger, sealed, the_end_of_all
from tests.audit.trails import KEY
from tests.valkey import url_of

ALL = EventFilter()


@pytest.fixture(name="segments")
def _segments(tmp_path: Path) -> Directory:
    """Where the segments go."""
    segments = Directory(tmp_path / "audit")
    segments.prepare()
    return segments


def shown(entries):
    """The ids of what came."""
    return ids(entry.event for entry in entries if entry.event is not None)


def test_nothing_is_lost_and_nothing_twice(valkey, store, evidence, segments):
    """Followed, exported in pieces, and found: the same events, while sealers are at work."""
    reader = Reader(evidence, segments)
    begun, followed, exported, found = [], [], [], []
    with the_end_of_all() as running, a_busy_ledger(store) as recorded:
        last, follower = tail(reader, ALL, 5, Notes())
        begun += shown(last)
        text = Position().written()
        running += [a_running_sealer(url_of(valkey), segments.path, KEY) for _ in range(2)]
        enough = recorded() + 300
        while recorded() < enough or len(segments.numbers()) < 5:
            followed += shown(meant_of(follower, ALL))
            piece = Follower(evidence, segments, Position.read(text))
            exported += shown(meant_of(piece, ALL))
            text = piece.position.written()
            found.append((recorded(), shown(Reader(evidence, segments).events(ALL)), recorded()))

    sealed(Evidence(store), segments)
    followed += shown(meant_of(follower, ALL))
    exported += shown(Follower(evidence, segments, Position.read(text))())
    everything = shown(reader.events(ALL))

    assert verify(segments, [KEY.verifier]).events == recorded() == len(everything)
    assert len(set(everything)) == len(everything)
    assert sorted(exported) == sorted(everything)
    assert len(set(followed)) == len(followed)
    assert not set(begun) & set(followed)
    # What was there already before the last few is not shown; from the first of these on, all is.
    shown_from = everything.index(begun[0]) if begun else 0
    assert set(begun) | set(followed) >= set(everything[shown_from:])
    for least, ones, most in found:
        assert least <= len(ones) == len(set(ones)) <= most + 1


def test_a_query_of_a_backlog(store, evidence, segments, monkeypatch):
    """Sealed by another thread while it is read, page by page: each event is found once."""
    monkeypatch.setattr("delegation.audit.reading._PAGE", 10)
    with a_busy_ledger(store) as recorded:
        while recorded() < 200:
            threading.Event().wait(0.01)
    reader = Reader(evidence, segments)
    entries = reader.events(ALL)
    first = [next(entries) for _ in range(10)]
    sealed(evidence, segments)

    found = shown([*first, *entries])

    assert len(found) == len(set(found)) == recorded()
