"""What an exchange costs: over the curve itself, over an empty view, by stage, under full and half
load; and what it leaves in the store.
"""

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import httpx2
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from delegation.domain.exchange import Stage
from tests.benchmarks.driving import Sample, Target
from tests.benchmarks.figures import Figure
from tests.benchmarks.machine import OTHER_CORES, SERVER_CORE, spent
from tests.benchmarks.rounds import Rounds
from tests.benchmarks.scene import Scene, a_scene

GROUP = "an exchange (ES256, a client's secret, one actor, a cold subject token)"

Measured = tuple[Sample, dict[str, float]]
"""A sample, and what was measured beside it, in microseconds."""

_PORTIONS = 500
"""Exchanges after which the store's memory is looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Store:
    """What exchanges did to the store, by exchange: microseconds, scripts, bytes."""

    cpu: float
    scripts: float
    before_sealing: float
    after_sealing: float


def figures(rounds: Rounds) -> Iterator[Figure]:
    """Measure it."""
    with (
        a_scene() as scene,
        scene.beside("tests.benchmarks.empty:application") as empty,
        scene.beside("tests.benchmarks.staged:application") as staged,
    ):
        target = scene.target()
        half = target.sample(rounds.seconds).per_second / 2
        empty.sample(rounds.seconds / 2)
        staged.sample(rounds.seconds / 2)
        found = rounds.of(
            {
                "full": lambda: _beside_curve(target, rounds.seconds),
                "half": lambda: (target.paced(rounds.seconds, half), {}),
                "empty": lambda: (empty.sample(rounds.seconds / 2), {}),
                "staged": lambda: _by_stage(staged, rounds.seconds / 2),
            }
        )
        scene.seal()
        stored = [_portion(scene, target) for _ in range(rounds.count)]
        allocator = str(scene.store.info("memory")["mem_allocator"])
    samples = {name: [sample for sample, _ in rows] for name, rows in found.items()}
    curves = [beside["curve"] for _, beside in found["full"]]
    yield from _costs(samples["full"], samples["empty"], curves)
    yield from _speed(samples["full"], samples["half"])
    yield from _stages([stages for _, stages in found["staged"]])
    yield from _traces(stored, allocator)


def _costs(
    full: Sequence[Sample], empty: Sequence[Sample], curves: Sequence[float]
) -> Iterator[Figure]:
    rows = [*zip(full, empty, curves, strict=True)]
    name = "worker CPU per exchange"
    yield Figure.of(GROUP, name, "us", (sample.cpu for sample in full))
    yield Figure.of(GROUP, "raw ES256 verify + sign", "us", curves)
    yield Figure.of(GROUP, "worker CPU of an empty view", "us", (one.cpu for one in empty))
    over = "over verify + sign"
    yield Figure.of(GROUP, f"{name}, {over}", "", (one.cpu / curve for one, _, curve in rows))
    yield Figure.of(
        GROUP,
        f"{name}, without the empty view, {over}",
        "",
        ((one.cpu - view.cpu) / curve for one, view, curve in rows),
    )
    yield Figure.of(
        GROUP, f"{name}, over the empty view", "", (one.cpu / view.cpu for one, view, _ in rows)
    )


def _speed(full: Sequence[Sample], half: Sequence[Sample]) -> Iterator[Figure]:
    rates = [sample.per_second for sample in full]
    yield Figure.of(GROUP, "exchanges per second, one worker", "/s", rates)
    for load, samples in {"full": full, "half": half}.items():
        for part in ("p50", "p95", "p99"):
            values = (getattr(sample, part) for sample in samples)
            yield Figure.of(GROUP, f"latency {part}, {load} load", "ms", values)


def _stages(stages: Sequence[dict[str, float]]) -> Iterator[Figure]:
    group = "CPU of an exchange by stage (of a run with a stopwatch)"
    yield Figure.of(group, "gunicorn", "us", (one["worker"] - one["all"] for one in stages))
    yield Figure.of(
        group,
        "web: Flask, form, client, answer",
        "us",
        (one["all"] - sum(one.get(stage, 0) for stage in Stage) for one in stages),
    )
    for stage in Stage:
        yield Figure.of(group, stage.value, "us", (one.get(stage, 0) for one in stages))


def _traces(stored: Sequence[_Store], allocator: str) -> Iterator[Figure]:
    group = f"what an exchange costs the store ({allocator})"
    yield Figure.of(
        group, "scripts run in the store per exchange", "", (one.scripts for one in stored)
    )
    yield Figure.of(group, "CPU of the store per exchange", "us", (one.cpu for one in stored))
    name = "bytes per live exchange"
    before, after = zip(*((one.before_sealing, one.after_sealing) for one in stored), strict=True)
    yield Figure.of(group, f"{name}, before sealing", "bytes", before)
    yield Figure.of(group, f"{name}, after sealing", "bytes", after)


def _beside_curve(target: Target, seconds: float) -> Measured:
    curve = _curve()
    sample = target.sample(seconds)
    return sample, {"curve": min(curve, _curve())}


def _curve(times: int = 500) -> float:
    """Microseconds of one raw verify and one raw sign, on the core that the service is on."""
    key = ec.generate_private_key(ec.SECP256R1())
    public, algorithm, message = key.public_key(), ec.ECDSA(SHA256()), os.urandom(500)
    signature = key.sign(message, algorithm)
    os.sched_setaffinity(0, {SERVER_CORE})
    began = time.thread_time()
    for _ in range(times):
        public.verify(signature, message, algorithm)
        key.sign(message, algorithm)
    taken = time.thread_time() - began
    os.sched_setaffinity(0, OTHER_CORES)
    return taken / times * 1e6


def _by_stage(staged: Target, seconds: float) -> Measured:
    url = staged.url.removesuffix("token") + "stages"
    before = httpx2.get(url, trust_env=False).json()
    sample = staged.sample(seconds)
    after = httpx2.get(url, trust_env=False).json()
    spent_in = {
        name: (after[name] - before.get(name, 0)) / 1000 / sample.requests for name in after
    }
    return sample, spent_in | {"worker": sample.cpu}


def _portion(scene: Scene, target: Target) -> _Store:
    """Some more exchanges, and then their events are sealed."""
    pid = scene.store_pid
    memory, scripts, cpu = scene.memory(), scene.scripts_run(), spent(pid)
    count = target.paced(_PORTIONS / (target.rate or 1), target.rate or 1).requests
    scripts, cpu = scene.scripts_run() - scripts, spent(pid) - cpu
    undrained = scene.memory() - memory
    scene.seal()
    return _Store(
        cpu=cpu / count * 1e6,
        scripts=scripts / count,
        before_sealing=undrained / count,
        after_sealing=(scene.memory() - memory) / count,
    )
