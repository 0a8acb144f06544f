"""Kinds of exchanges side by side: warm tokens, algorithms, assertions, chains; introspection."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from tests.benchmarks.driving import Target
from tests.benchmarks.figures import Figure
from tests.benchmarks.rounds import Rounds
from tests.benchmarks.scene import Scene, a_scene

GROUP = "kinds of exchanges"

USUAL = "usual (cold, secret, ES256, one actor)"
"""What all others are compared to, in the same round."""


def figures(rounds: Rounds) -> Iterator[Figure]:
    """What each costs, and over the usual one."""
    with a_scene() as scene:
        kinds = _kinds(scene)
        for target in kinds.values():
            target.sample(rounds.seconds / 4)  # their keys have been fetched by then
        found = rounds.of(
            {kind: partial(target.sample, rounds.seconds) for kind, target in kinds.items()}
        )
    for kind, samples in found.items():
        yield Figure.of(GROUP, f"CPU, {kind}", "us", (sample.cpu for sample in samples))
    for kind, samples in found.items():
        pairs = zip(samples, found[USUAL], strict=True)
        if kind != USUAL:
            yield Figure.of(
                GROUP,
                f"CPU, {kind}, over the usual",
                "",
                (one.cpu / usual.cpu for one, usual in pairs),
            )
    for kind, samples in found.items():
        rates = (sample.per_second for sample in samples)
        yield Figure.of(GROUP, f"per second and worker, {kind}", "/s", rates)


def _closing(target: Target) -> Target:
    return replace(target, headers={**target.headers, "Connection": "close"})


def _kinds(scene: Scene) -> dict[str, Target]:
    return {
        USUAL: scene.target(),
        "warm subject tokens": scene.target(scene.warm()),
        "each on a connection of its own": _closing(scene.target()),
        "private_key_jwt": scene.target(scene.signed(), client=None),
        "EdDSA": scene.target(scene.cold("EdDSA")),
        "RS256": scene.target(scene.cold("RS256")),
        "four actors": scene.target(scene.chained(4)),
        "introspection": scene.introspection(),
    }
