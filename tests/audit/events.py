"""Made-up events for tests of reading: with few names, so that filters find something."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from delegation.audit.checkpoint import timestamp
from delegation.audit.segments import Directory, Segments
from delegation.domain.errors import Cause
from delegation.domain.locks import Kind
from delegation.domain.ports import StoredEvent
from tests.audit.trails import BEGAN, EPOCH, InMemory, Source, a_sealer

ISSUERS = ("https://login.example.com", "https://\u202eother.example.com")
NAMES = ("alice", "bob", "calendar-mcp")
CAUSES = (Cause.LOCKED, Cause.NO_GRANT)
STREAMS = ((0, "events"), (0, "refusals"), (1, "events"))

names, issuers = st.sampled_from(NAMES), st.sampled_from(ISSUERS)
identities = st.fixed_dictionaries({"iss": issuers, "sub": names})
tokens = st.fixed_dictionaries({"iss": issuers, "id": names})
_common = {"client": names, "decision": names}

exchanges = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["exchange", "not_issued"]),
        **_common,
        "subject": identities,
        "parent": tokens,
        "actors": st.lists(identities, min_size=1, max_size=2),
        "resource": names,
        "grant": names,
        "lineage": st.fixed_dictionaries({"foreign_parent": tokens}),
    },
    optional={"agent": names, "actor_token": tokens},
)
refusals = st.fixed_dictionaries(
    {
        "type": st.just("refusal"),
        **_common,
        "cause": st.sampled_from(CAUSES),
        "detail": st.dictionaries(st.sampled_from(["grant", "resource", "shadow"]), names),
    },
    optional={
        "subject": identities,
        "parent": tokens,
        "agent": names,
        "asked": st.fixed_dictionaries({"targets": st.lists(names, max_size=2)}),
    },
)
_SIZES = {Kind.EVERYTHING: 0, Kind.SUBJECT: 2, Kind.AGENT: 2, Kind.ACTOR: 2, Kind.PAIR: 4}
_named = st.sampled_from([*ISSUERS, *NAMES])
targets = st.sampled_from(
    [Kind.EVERYTHING, Kind.SUBJECT, Kind.AGENT, Kind.ACTOR, Kind.PAIR, Kind.CLIENT, Kind.GRANT]
).flatmap(
    lambda kind: st.fixed_dictionaries(
        {
            "kind": st.just(kind.value),
            "names": st.lists(_named, min_size=_SIZES.get(kind, 1), max_size=_SIZES.get(kind, 1)),
        }
    )
)
acts = st.fixed_dictionaries(
    {"type": st.sampled_from(["lock", "lift"]), "lock": names, "target": targets},
    optional={"client": names},
)
others = st.fixed_dictionaries(
    {"type": st.sampled_from(["refusals_suppressed", "of a later release"]), "client": names}
) | st.fixed_dictionaries(
    {"type": st.just("alarm"), "about": names, "cause": st.sampled_from(CAUSES)}
)
events = exchanges | refusals | acts | others


@dataclass
class Split:
    """Events, of which some are sealed and some stand in the store; *all* of them in order."""

    source: Source
    segments: Segments
    all: list[dict[str, Any]]


def split(
    made: Sequence[tuple[Mapping[str, Any], tuple[int, str], int, bool]],
    where: Path | Segments | None = None,
) -> Split:
    """Record *made* events, each with its stream and how long after the one before, in ms.

    After those that say so, all that stands is sealed.
    """
    source = Source(dict.fromkeys(STREAMS, ()))
    if isinstance(where, Path):
        Directory(where).prepare()
        where = Directory(where)
    segments = InMemory() if where is None else where
    sealer = a_sealer(source, segments)
    numbers, now, found = dict.fromkeys(STREAMS, 0), BEGAN, []
    for members, stream, later, is_sealed in made:
        now += later
        numbers[stream] += 1
        number = numbers[stream]
        event = {"version": 1, **members}
        stored = StoredEvent(epoch=EPOCH, number=number, at=now, event=json.dumps(event).encode())
        source.stood[stream].append(stored)
        partition, name = stream
        found.append(event | {"id": f"{EPOCH}:{partition}:{name}:{number}", "at": timestamp(now)})
        if is_sealed:
            list(sealer())
    return Split(source, segments, sorted(found, key=place))


def place(event: Mapping[str, Any]) -> tuple[Any, ...]:
    """Where it stands in the order."""
    epoch, partition, stream, number = event["id"].split(":")
    return event["at"], epoch, int(partition), stream, int(number)


histories = st.lists(
    st.tuples(events, st.sampled_from(STREAMS), st.integers(0, 3), st.booleans()), max_size=12
)


def ids(found: Iterable[Mapping[str, Any]]) -> list[str]:
    """Which they are."""
    return [str(event["id"]) for event in found]
