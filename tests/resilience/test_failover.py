"""A primary dies and another takes over: nothing is granted meanwhile, and every stop holds."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from delegation.audit.acts import Acts
from delegation.audit.events import Events
from delegation.dev.servers import listening
from delegation.domain.errors import Cause, NotPermitted, Unavailable
from delegation.domain.locks import Target
from delegation.domain.parties import Identity
from delegation.ledger import scripts
from delegation.ledger.layout import initialize
from delegation.ledger.ledger import Limits, RedisLedger
from delegation.ledger.locks import RedisLocks
from delegation.ledger.partitions import Partitions
from delegation.ledger.server import Server
from delegation.ledger.store import Store
from tests.attacks.endpoint import Endpoint
from tests.integration.conftest import endpoint_of
from tests.ledger import topologies
from tests.ledger.test_durability import claim as claim_everywhere
from tests.ledger.topologies import SAFE
from tests.parties import LOGIN, a_case, a_verified_token
from tests.resilience.load import load, wait_until
from tests.valkey import PARTITIONS, an_order, decide, now_in_milliseconds
from tests.world import TestWorld, a_test_world

pytestmark = [pytest.mark.slow]

CALLERS = 3

HOME = PARTITIONS.all()[0]

PLACES: dict[str, Callable[[], AbstractContextManager[topologies.Store]]] = {
    "sentinel": lambda: topologies.with_sentinels(2, sentinels=3, appendonly="yes", **SAFE),
    "cluster": lambda: topologies.cluster(3, replicas=2, appendonly="yes", **SAFE),
}


@dataclass
class Stops:
    """Locks on one person after another: whom they stop, and how often there was no answer."""

    safe: list[Identity] = field(default_factory=list)
    """Whose lock was acknowledged as being at a replica."""
    unanswered: int = 0


@contextmanager
def stopping(store: Store) -> Iterator[Stops]:
    """Put locks on for as long as the context lasts, without a pause."""
    locks, found, stop = RedisLocks(store, events=Acts()), Stops(), Event()

    def put() -> None:
        for number in count():
            person = Identity(LOGIN, f"person-{number}")
            try:
                reached = locks.lock(an_order(locks, Target.subject(person)))
            except Unavailable:
                found.unanswered += 1
            else:
                found.safe += [person] * (reached.replicas > 0)
            if stop.wait(0.005):
                return

    thread = Thread(target=put)
    thread.start()
    try:
        yield found
    finally:
        stop.set()
        thread.join()


@contextmanager
def a_service(world: TestWorld, url: str) -> Iterator[Endpoint]:
    """One more service in the same world, whose ledger is at *url*."""
    with listening(0) as listener:
        port = listener.getsockname()[1]
    process = subprocess.Popen(  # noqa: S603, our own command
        [Path(sys.executable).with_name("delegation"), "serve"],
        env={
            **os.environ,
            **world.world.environment,
            "DELEGATION_BIND": f"127.0.0.1:{port}",
            "DELEGATION_REDIS_URL": url,
        },
        stderr=subprocess.DEVNULL,
    )
    endpoint = replace(endpoint_of(world), url=f"http://127.0.0.1:{port}")
    try:
        wait_until(lambda: _serves(endpoint))
        yield endpoint
    finally:
        process.terminate()
        process.wait()


def _serves(endpoint: Endpoint) -> bool:
    with suppress(OSError):
        return endpoint.exchange().status == 200
    return False


@contextmanager
def a_store(url: str, partitions: Partitions) -> Iterator[Store]:
    """The same ledger, without the service."""
    server = Server(url, timeout=0.5, patience=5000)
    initialize(server, partitions)
    yield Store(server, partitions)
    server.close()


@pytest.mark.attack(25)
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_a_primary_dies(tmp_path: Path, place: Callable[[], Any]) -> None:
    """While nobody is primary the answer is 503; then all goes on by itself, and no stop is gone.

    A record that no replica had is gone with its primary: then its token is dead, for none of ours
    is alive without one. There are no more of those than were being answered.
    """
    with a_test_world(tmp_path) as world, place() as servers:
        partitions = Partitions(world.world.settings.partitions)
        home = partitions.of(Identity(world.world.issuer.url, "alice"))
        with (
            a_store(servers.url, partitions) as store,
            a_service(world, servers.url) as endpoint,
        ):
            victim = _primary_of(servers, home.layout)

            with stopping(store) as stops, load(endpoint.exchange, callers=CALLERS) as found:
                found.go_on()
                victim.kill()
                wait_until(lambda: found.count(503) > 10)
                found.go_on()
                stopped = len(stops.safe)
                wait_until(lambda: len(stops.safe) > stopped + 30)

            victim.start()
            topologies.wait_until(lambda: victim in servers.replicas())
            _must_hold(store, stops)
            gone = _granted(found) - _recorded(servers)

    assert {one.status for one in found.outcomes} <= {200, 503}
    assert len(gone) <= CALLERS
    assert stops.unanswered


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_a_primary_stands_still(place: Callable[[], Any]) -> None:
    """It keeps its connections and says nothing: the other is found all the same.

    When it goes on, it is a replica, and nobody takes it for anything else.
    """
    with place() as servers, a_store(servers.url, PARTITIONS) as store:
        victim = _primary_of(servers, HOME.layout)
        numbers = count()
        # The layout is where it has to be, also for the one that takes over.
        assert {durability.replicas for _, durability in claim_everywhere(store)} == {2}

        with victim.frozen():
            with pytest.raises(Unavailable, match="ledger_unreachable"):
                _claim(store, next(numbers))
            wait_until(lambda: _can_claim(store, next(numbers)))
        topologies.wait_until(lambda: victim in servers.replicas())

        taken = next(numbers)
        _claim(store, taken)
        assert not _claim(store, taken, nonce="another")


def _claim(store: Store, number: int, nonce: str = "attempt") -> bool:
    now = now_in_milliseconds()
    arguments = (nonce, now + 1000, now + 60_000, now)
    keys = [HOME.claim("calendar-mcp", f"assertion-{number}")]
    return store.ask(scripts.CLAIM, HOME, keys, arguments) == [b"ok"]


def _can_claim(store: Store, number: int) -> bool:
    with suppress(Unavailable):
        return _claim(store, number)
    return False


def _primary_of(servers: topologies.Store, key: str) -> topologies.Process:
    if len(servers.primaries()) == 1:
        return servers.primaries()[0]
    port = servers.raw.get_node_from_key(key).port
    return next(server for server in servers.servers if server.port == port)


def _must_hold(store: Store, stops: Stops) -> None:
    ledger = RedisLedger(store, events=Events(), limits=Limits(undrained_events=1_000_000))
    assert stops.safe
    for person in stops.safe:
        now = datetime.now(UTC)
        delegation = decide(ledger, now=now, subject=a_verified_token(now=now, subject=person))
        with pytest.raises(NotPermitted) as refused:
            ledger.record(delegation, a_case())
        assert refused.value.cause is Cause.LOCKED


def _granted(found: Any) -> set[str]:
    return {answer.header("Delegation-Decision") for answer in found.answers(200)}


def _recorded(servers: topologies.Store) -> set[str]:
    """By the word of those who are primary now."""
    return {
        key.rpartition(b":")[2].decode()
        for server in servers.primaries()
        for key in server.client().scan_iter("dlg:*:x:*", count=10_000)
    }
