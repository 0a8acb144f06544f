"""`make bench`: the real service over HTTP, against the curve itself, and what locks cost."""

import base64
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlencode

import redis
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from delegation.audit.note import SignerKey
from delegation.audit.seal import Sealer
from delegation.audit.segments import Directory
from delegation.dev.cast import CALENDAR_API, CALENDAR_MCP
from delegation.dev.story import TOKEN_EXCHANGE
from delegation.dev.world import World, running_world
from delegation.domain.tokens import TokenType
from delegation.ledger.evidence import Evidence
from tests.benchmarks import locks

WARM_UP = 500
ROUNDS = 5
PER_ROUND = 1_000
CONNECTIONS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One round: microseconds of worker CPU per exchange, and of the curve's verify and sign."""

    cpu: float
    curve: float
    per_second: float
    p50: float
    p99: float

    @property
    def ratio(self) -> float:
        """How many times verify and sign an exchange costs."""
        return self.cpu / self.curve


def main() -> None:
    """Run, and print what was measured."""
    with tempfile.TemporaryDirectory(prefix="delegation-bench-") as directory:
        limits = {"DELEGATION_MAX_UNDRAINED_EVENTS": "1000000"}
        with running_world(Path(directory), workers=1, **limits) as world:
            _drive(world, WARM_UP)
            store = redis.Redis.from_url(world.settings.redis_url)
            memory, commands = _memory(store), _commands(store)
            rounds = [_round(world) for _ in range(ROUNDS)]
            exchanges = ROUNDS * PER_ROUND
            per_exchange = (_commands(store) - commands) / exchanges
            undrained = (_memory(store) - memory) / exchanges
            _seal(Evidence(world.store), Path(directory) / "audit")
            sealed = (_memory(store) - memory) / exchanges
            allocator = str(store.info("memory")["mem_allocator"])
            store.close()
    _report(rounds, per_exchange, undrained, sealed, allocator)
    locks.main()


def _seal(evidence: Evidence, directory: Path) -> None:
    segments = Directory(directory)
    segments.prepare()
    key = SignerKey.new("bench.example/audit")
    for _ in Sealer(evidence, segments, key, clock=lambda: datetime.now(UTC))():
        pass


def _report(
    rounds: list[Round], commands: float, undrained: float, sealed: float, allocator: str
) -> None:
    median: Callable[[str], float] = lambda name: statistics.median(  # noqa: E731
        getattr(one, name) for one in rounds
    )
    lines = {
        "worker CPU per exchange": f"{median('cpu'):.0f} us",
        "raw ES256 verify + sign": f"{median('curve'):.0f} us",
        "ratio (median of rounds)": f"{median('ratio'):.1f}",
        "exchanges per second, one worker": f"{median('per_second'):.0f}",
        f"latency p50 / p99, {CONNECTIONS} connections": (
            f"{median('p50'):.1f} / {median('p99'):.1f} ms"
        ),
        "scripts run in the store per exchange": f"{commands:.2f}",
        f"bytes per live exchange ({allocator})": (
            f"{undrained:.0f} before sealing, {sealed:.0f} after"
        ),
    }
    width = max(map(len, lines))
    print(f"{ROUNDS} rounds of {PER_ROUND} exchanges, one worker, load from a process of its own")
    for name, value in lines.items():
        print(f"  {name:<{width}}  {value}")


def _round(world: World) -> Round:
    curve = _curve()
    before = _cpu(world.process.pid)
    load = _drive(world, PER_ROUND)
    cpu = _cpu(world.process.pid) - before
    return Round(
        cpu=cpu / PER_ROUND * 1e6,
        curve=min(curve, _curve()) * 1e6,
        per_second=PER_ROUND / load["seconds"],
        p50=load["p50_ms"],
        p99=load["p99_ms"],
    )


def _drive(world: World, count: int) -> dict[str, float]:
    """Exchange *count* distinct tokens; all of them must be granted."""
    bodies = world.directory / "bodies"
    bodies.write_text("\n".join(_body(world) for _ in range(count)))
    credentials = f"calendar-mcp:{world.secrets['calendar-mcp']}".encode()
    authorization = f"Basic {base64.b64encode(credentials).decode()}"
    command = [sys.executable, "-m", "tests.benchmarks.load"]
    command += [world.url, authorization, str(bodies), str(CONNECTIONS)]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout  # noqa: S603
    result: dict[str, float] = json.loads(output)
    if result["granted"] != count:
        sys.exit(f"only {result['granted']} of {count} exchanges were granted")
    return result


def _body(world: World) -> str:
    token = world.issuer.token(
        user="alice",
        agent="desk-agent",
        audience=CALENDAR_MCP,
        scope="calendar:read",
        groups=["staff"],
    )
    return urlencode(
        {
            "grant_type": TOKEN_EXCHANGE,
            "subject_token": token,
            "subject_token_type": TokenType.ACCESS_TOKEN.value,
            "resource": CALENDAR_API,
            "scope": "events.read",
        }
    )


def _curve(times: int = 1000) -> float:
    """Seconds for one raw verify and one raw sign."""
    key = ec.generate_private_key(ec.SECP256R1())
    public, algorithm, message = key.public_key(), ec.ECDSA(SHA256()), os.urandom(500)
    signature = key.sign(message, algorithm)
    began = time.process_time()
    for _ in range(times):
        public.verify(signature, message, algorithm)
        key.sign(message, algorithm)
    return (time.process_time() - began) / times


def _cpu(pid: int) -> float:
    """Seconds of CPU of the workers of the gunicorn *pid* (Linux)."""
    tick = os.sysconf("SC_CLK_TCK")
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    total = 0
    for child in children:
        fields = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / tick


def _memory(store: "redis.Redis") -> int:
    return int(store.info("memory")["used_memory"])


def _commands(store: "redis.Redis") -> int:
    """How many scripts were run. The statistics count the commands inside them, too: not those."""
    stats = store.info("commandstats")
    return sum(stats.get(f"cmdstat_{name}", {}).get("calls", 0) for name in ("evalsha", "eval"))


if __name__ == "__main__":
    main()
