"""A large registry: to load it, to load it anew, to decide by it."""

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import yaml

from delegation.domain.policy import delegate
from delegation.domain.registry import Registry
from delegation.domain.resources import Targets
from delegation.registry.loader import Parser, Snapshot, parse, snapshot
from tests.benchmarks.figures import Figure
from tests.benchmarks.rounds import Rounds
from tests.parties import NOW, OUR_ISSUER, a_verified_token

GRANTS = 10_000
CLIENTS = GRANTS // 10
RESOURCES = CLIENTS // 2
FILES = 200

SMALLER = (10, 1_000)
"""Numbers of grants; with each goes a client for ten, and a resource for two of these."""

ROUNDS = 9
DECISIONS = 1_000

T = TypeVar("T")


def figures(_rounds: Rounds) -> Iterator[Figure]:
    """CPU; in rounds of its own."""
    group = (
        f"a registry of {GRANTS} grants, {CLIENTS} clients, {RESOURCES} resources, {FILES} files"
    )
    with tempfile.TemporaryDirectory(prefix="delegation-bench-") as name:
        directory = Path(name)
        for file, content in _files(GRANTS).files:
            (directory / file).write_bytes(content)
        parser = Parser(issuer=OUR_ISSUER)
        load: Callable[[], Registry] = lambda: parser.parse(snapshot(directory))  # noqa: E731
        first, registry = _taken(load)
        again = []
        for path in sorted(directory.iterdir())[:ROUNDS]:
            path.write_text(f"# Changed.\n{path.read_text()}")
            again.append(_taken(load)[0])
    yield Figure.of(group, "to load them", "s", [first])
    yield Figure.of(group, "anew, after one has changed", "s", again)
    smaller = {grants: parse(_files(grants), issuer=OUR_ISSUER) for grants in SMALLER}
    yield from _deciding(group, {**smaller, GRANTS: registry})


def _deciding(group: str, registries: dict[int, Registry]) -> Iterator[Figure]:
    """What a decision costs by each of them, taken in turn."""
    rounds = [[_decision(registry) for registry in registries.values()] for _ in range(ROUNDS)]
    for grants, costs in zip(registries, zip(*rounds, strict=True), strict=True):
        yield Figure.of(group, f"to decide by {grants} grants", "us", (1e6 * one for one in costs))


def _decision(registry: Registry) -> float:
    """The seconds that one takes."""
    client, resource = next(iter(registry.grants))
    by, at = registry.clients[client], Targets(resources=(resource,))
    token = a_verified_token(audience=(by.audience,), claims={"groups": frozenset({"staff"})})

    def decide() -> None:
        for _ in range(DECISIONS):
            delegate(token, by=by, at=at, scope=None, registry=registry, now=NOW, id="exchange-1")

    return _taken(decide)[0] / DECISIONS


def _taken(act: Callable[[], T]) -> tuple[float, T]:
    """The seconds of CPU that it takes, and what comes of it."""
    began = time.process_time()
    result = act()
    return time.process_time() - began, result


def _files(grants: int) -> Snapshot:
    """A registry of so many grants, spread over all the files."""
    sections = {
        "clients": [_client(number) for number in range(grants // 10)],
        "resources": [_resource(number, grants) for number in range(max(1, grants // 20))],
        "grants": [_grant(number, grants) for number in range(grants)],
    }
    texts = [yaml.dump(_TRUSTED, Dumper=yaml.CSafeDumper)]
    for start in range(FILES - 1):
        part = {name: entries[start :: FILES - 1] for name, entries in sections.items()}
        texts.append(yaml.dump(part, Dumper=yaml.CSafeDumper, sort_keys=False))
    return Snapshot(tuple((f"{n:03}.yaml", text.encode()) for n, text in enumerate(texts)))


_TRUSTED = {
    "issuers": [
        {
            "issuer": "https://login.example.com",
            "alias": "corp",
            "jwks_uri": "https://login.example.com/jwks",
            "algorithms": ["ES256"],
            "claims": {"groups": "groups"},
        }
    ]
}


def _client(number: int) -> dict[str, Any]:
    return {
        "id": f"mcp-{number}",
        "audience": f"https://mcp-{number}.example.com/",
        "secrets": [f"sha256:{number:064x}"],
        "exchange": True,
    }


def _resource(number: int, grants: int) -> dict[str, Any]:
    clients = range(2 * number, min(2 * number + 2, grants // 10))
    return {
        "identifier": f"https://api-{number}.example.com/",
        "names": [f"api-{number}"],
        "scopes": ["events.read", "events.write"],
        "clients": {f"mcp-{client}": ["events.read", "events.write"] for client in clients},
    }


def _grant(number: int, grants: int) -> dict[str, Any]:
    client = number % (grants // 10)
    return {
        "id": f"grant-{number}",
        "owner": f"team {client}",
        "description": "The assistants of this team read and write events.",
        "client": f"mcp-{client}",
        "subjects": [
            {
                "issuer": "corp",
                "people": ["alice", f"person-{number}"],
                "claims": {"groups": ["staff", f"team-{client}"]},
            }
        ],
        "agents": ["desk-agent", f"agent-{number}"],
        "resource": f"https://api-{client // 2}.example.com/",
        "scopes": {"calendar:read": ["events.read"], "calendar:write": ["events.write"]},
        "lifetime": 300,
        "expires": "2027-01-01T00:00:00Z",
    }
