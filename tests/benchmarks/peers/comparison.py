"""Ours and others in the same rounds: CPU, requests per second, and what each does for that."""

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial

from tests.benchmarks.driving import NotGranted, Target
from tests.benchmarks.figures import Figure
from tests.benchmarks.peers import on_java, on_node, on_python
from tests.benchmarks.peers.peer import Peer, Skipped, seen
from tests.benchmarks.rounds import Rounds
from tests.benchmarks.scene import Scene, a_scene

GROUP = "side by side, one process each on the same core"
OURS = "ours"


def figures(rounds: Rounds) -> Iterator[Figure | str]:
    """What each costs, and ours over it in the same round; what was seen of it, or why not."""
    with a_scene() as scene, ExitStack() as stack:
        targets = {OURS: scene.target()}
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
    for name, samples in found.items():
        pairs = [*zip(samples, found[OURS], strict=True)]
        if name != OURS:
            yield Figure.of(
                GROUP, f"CPU of ours, over {name}", "", (ours.cpu / one.cpu for one, ours in pairs)
            )
            yield Figure.of(
                GROUP,
                f"per second of ours, over {name}",
                "",
                (ours.per_second / one.per_second for one, ours in pairs),
            )


def _begun(peer: Peer, scene: Scene, stack: ExitStack, rounds: Rounds) -> tuple[Target, str]:
    with ExitStack() as trying:
        target = trying.enter_context(peer.start(scene))
        shown = seen(target)
        target.sample(max(rounds.seconds, peer.warm_up))
        stack.push(trying.pop_all())
    connections = "keeps connections" if target.kept else "closes connections"
    return target, f"{shown}; {connections}; {peer.told}"
