"""Ours and others in the same rounds: CPU, requests per second, and what each does for that."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial

from tests.benchmarks.driving import NotGranted, Sample, Target
from tests.benchmarks.figures import Figure
from tests.benchmarks.peers import on_java, on_node, on_python
from tests.benchmarks.peers.peer import Peer, Skipped, seen
from tests.benchmarks.rounds import Rounds
from tests.benchmarks.scene import Scene, a_scene

GROUP = "side by side, one process each on the same core"
OURS = "ours"
WARM = "ours, warm"
"""With tokens that it has seen before. No other remembers any: to them all are new."""


def figures(rounds: Rounds) -> Iterator[Figure | str]:
    """What each costs, and ours over it in the same round; what was seen of it, or why not."""
    with a_scene() as scene, ExitStack() as stack:
        targets = {OURS: scene.target(), WARM: scene.target(scene.warm())}
        targets[WARM].sample(rounds.seconds)
        yield f"{OURS}: {seen(targets[OURS])}; records, stops, seals and explains"
        for peer in (*on_node.peers(), *on_python.peers(), *on_java.peers()):
            try:
                targets[peer.name], said = _begun(peer, scene, stack, rounds)
            except (Skipped, NotGranted) as reason:
                said = f"skipped: {reason}"
            yield f"{peer.name}: {said}"
        found = rounds.of(
            {name: partial(target.sample, rounds.seconds) for name, target in targets.items()}
        )
    for name, samples in found.items():
        yield Figure.of(GROUP, f"CPU per exchange, {name}", "us", (one.cpu for one in samples))
    for name, samples in found.items():
        rates = (sample.per_second for sample in samples)
        yield Figure.of(GROUP, f"exchanges per second, {name}", "/s", rates)
    for us in (OURS, WARM):
        for name, samples in found.items():
            if name not in {OURS, WARM}:
                yield from _compared(us, found[us], name, samples)


def _compared(
    us: str, ours: Sequence[Sample], name: str, others: Sequence[Sample]
) -> Iterator[Figure]:
    pairs = [*zip(ours, others, strict=True)]
    yield Figure.of(
        GROUP, f"CPU of {us}, over {name}", "", (our.cpu / one.cpu for our, one in pairs)
    )
    yield Figure.of(
        GROUP,
        f"per second of {us}, over {name}",
        "",
        (our.per_second / one.per_second for our, one in pairs),
    )


def _begun(peer: Peer, scene: Scene, stack: ExitStack, rounds: Rounds) -> tuple[Target, str]:
    with ExitStack() as trying:
        target = trying.enter_context(peer.start(scene))
        shown = seen(target)
        target.sample(max(rounds.seconds, peer.warm_up))
        stack.push(trying.pop_all())
    connections = "keeps connections" if target.kept else "closes connections"
    return target, f"{shown}; {connections}; {peer.told}"
