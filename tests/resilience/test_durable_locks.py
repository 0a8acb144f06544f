"""A server that dies at any moment, many times: what was acknowledged as safe is still there."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from secrets import token_hex
from threading import Event, Thread
from typing import Any

import pytest
import redis

from delegation.audit.acts import Acts
from delegation.audit.events import Events
from delegation.domain.errors import LockIncomplete, Unavailable
from delegation.domain.locks import EVERYTHING, Durability, LockOrder, State, Target
from delegation.domain.parties import Identity
from delegation.ledger.exchanges import RedisExchanges
from delegation.ledger.layout import initialize
from delegation.ledger.ledger import Limits, RedisLedger
from delegation.ledger.locks import RedisLocks
from delegation.ledger.partitions import fingerprint
from delegation.ledger.server import Server
from delegation.ledger.store import Store
from tests.ledger import topologies
from tests.parties import LOGIN, a_case, a_verified_token
from tests.valkey import PARTITIONS, an_order, decide, now_in_milliseconds

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

KILLS = 100
"""How often the server dies."""

FLUSHED_EVERY = 2
"""Seconds that a server which writes every second may be behind: it puts one write off, no more."""


@dataclass(kw_only=True)
class Acknowledged:
    """What was promised, each with when; and all that was ordered, be it acknowledged or not."""

    exchanges: list[tuple[float, str]] = field(default_factory=list)
    claims: list[tuple[float, str]] = field(default_factory=list)
    locks: list[tuple[float, LockOrder, Durability]] = field(default_factory=list)
    ordered: list[LockOrder] = field(default_factory=list)
    incomplete: int = 0


class Service:
    """The verbs of the ledger, on connections of their own."""

    def __init__(self, url: str) -> None:
        self.server = Server(url, timeout=5)
        self.store = Store(self.server, PARTITIONS)
        limits = Limits(undrained_events=10**9)
        self.ledger = RedisLedger(self.store, events=Events(), limits=limits)
        self.locks = RedisLocks(self.store, events=Acts())
        self.exchanges = RedisExchanges(self.store)

    def exchange(self, done: Acknowledged) -> None:
        """Record one for somebody new."""
        now = datetime.now(UTC)
        token = a_verified_token(now=now, subject=Identity(LOGIN, token_hex(8)))
        delegation = decide(self.ledger, now=now, subject=token)
        self.ledger.record(delegation, a_case())
        done.exchanges.append((time.monotonic(), delegation.id))

    def claim(self, done: Acknowledged) -> None:
        """Take a one-time id."""
        artefact, now = token_hex(8), now_in_milliseconds()
        assert self.ledger.claim(
            "calendar-mcp", artefact, nonce="first", issued_at=now, until=now + 600_000
        )
        done.claims.append((time.monotonic(), artefact))

    def lock(self, done: Acknowledged) -> None:
        """Stop somebody, or a client, who is not there: nothing else is in the way."""
        name = token_hex(8)
        somebody = Target.subject(Identity(LOGIN, name))
        order = an_order(self.locks, random.choice([somebody, Target.client(name)]))  # noqa: S311
        done.ordered.append(order)
        try:
            reached = self.locks.lock(order)
        except LockIncomplete:
            done.incomplete += 1
            raise
        done.locks.append((time.monotonic(), order, reached))


@contextmanager
def traffic(service: Service) -> Iterator[Acknowledged]:
    """Exchanges, claims and locks for as long as the context lasts, or until the server is gone."""
    done, stop = Acknowledged(), Event()

    def go_on(verb: Callable[[Acknowledged], None]) -> None:
        try:
            while not stop.is_set():
                verb(done)
        except Unavailable:
            pass

    verbs = (service.exchange, service.exchange, service.claim, service.lock, service.lock)
    threads = [Thread(target=go_on, args=(verb,)) for verb in verbs]
    for thread in threads:
        thread.start()
    try:
        yield done
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def missing_from(raw: "redis.Redis", order: LockOrder) -> list[int]:
    """The partitions in which the lock should stand and does not."""
    return [
        one.number
        for one in PARTITIONS.of_lock(order.target)
        if not raw.hexists(one.locks, fingerprint(order.target))  # type: ignore[arg-type]
    ]


def events_of(raw: "redis.Redis", order: LockOrder) -> int:
    """How many events tell of the lock."""
    stream = PARTITIONS.of_lock(order.target)[0].events
    entries = raw.xrange(stream)
    return sum(order.id.encode() in fields[b"event"] for _, fields in entries)


@dataclass(kw_only=True)
class Losses:
    """What is gone that had been acknowledged: for how long it had been, in seconds."""

    exchanges: list[float] = field(default_factory=list)
    claims: list[float] = field(default_factory=list)
    locks: list[float] = field(default_factory=list)
    acknowledged: int = 0
    incomplete: int = 0


def take_stock(service: Service, raw: "redis.Redis", done: Acknowledged, died: float) -> Losses:
    """What is there after a death; that of what is safe on the disk nothing is missing."""
    losses = Losses(incomplete=done.incomplete)
    losses.acknowledged = len(done.exchanges) + len(done.claims) + len(done.locks)
    for at, order, reached in done.locks:
        if missing_from(raw, order):
            assert not reached.on_disk
            losses.locks.append(died - at)
        else:
            assert service.locks.find(order.id).state is State.STANDING
    for at, exchange in done.exchanges:
        found = service.exchanges.find(exchange)
        if found is None:
            losses.exchanges.append(died - at)
        else:
            assert found.alive
    now = now_in_milliseconds()
    for at, artefact in done.claims:
        if service.ledger.claim(
            "calendar-mcp", artefact, nonce="again", issued_at=now, until=now + 600_000
        ):
            losses.claims.append(died - at)
    return losses


def complete(service: Service, raw: "redis.Redis", order: LockOrder) -> None:
    """Whatever became of it, there is no effect without the event, and the same again is a lock."""
    partitions = len(PARTITIONS.of_lock(order.target))
    if len(missing_from(raw, order)) < partitions:
        assert events_of(raw, order) == 1

    service.locks.lock(order)

    assert missing_from(raw, order) == []
    assert events_of(raw, order) == 1


def die_often(kills: int, **config: object) -> Losses:
    """Kill a server again and again amid traffic; what was lost in all."""
    total = Losses()
    with topologies.one_server(appendonly="yes", **config) as store:
        (server,) = store.servers
        service = Service(store.url)
        initialize(service.server, PARTITIONS)
        for _ in range(kills):
            with traffic(service) as done:
                time.sleep(random.uniform(0.02, 0.3))  # noqa: S311, it may die at any moment
                server.kill()
                died = time.monotonic()
            server.start()
            afterwards = Service(store.url)
            losses = take_stock(afterwards, store.raw, done, died)
            for order in done.ordered[-3:]:
                complete(afterwards, store.raw, order)
            if not (losses.locks or losses.exchanges or losses.claims):
                assert service.ledger.problems() == []  # nor is it older than what had been seen
            afterwards.server.close()
            for name in ("exchanges", "claims", "locks"):
                getattr(total, name).extend(getattr(losses, name))
            total.acknowledged += losses.acknowledged
            total.incomplete += losses.incomplete
            service.server.close()
            service = Service(store.url)
        service.server.close()
    return total


@pytest.mark.standard("REV-1", "STK-14")
def test_a_server_that_writes_always_loses_nothing() -> None:
    """No token that left lacks its record, no one-time id is free again, and every lock stands."""
    losses = die_often(KILLS, appendfsync="always")

    assert losses.acknowledged > 10 * KILLS
    assert (losses.exchanges, losses.claims, losses.locks) == ([], [], [])


@pytest.mark.standard("REV-1")
def test_a_server_that_writes_every_second_keeps_what_it_said_is_safe() -> None:
    """A lock that is on the disk holds; of the rest, what is lost is from the last moments."""
    losses = die_often(KILLS // 4, appendfsync="everysec")

    lost = [*losses.exchanges, *losses.claims, *losses.locks]
    assert losses.acknowledged > 10 * KILLS // 4
    assert all(age <= FLUSHED_EVERY for age in lost)


@pytest.mark.standard("REV-1")
def test_a_server_that_dies_between_the_partitions_is_not_said_to_have_it() -> None:
    """What is missing is named, and the same again completes it."""
    with topologies.one_server(appendonly="yes", appendfsync="always") as store:
        (server,) = store.servers
        service = Service(store.url)
        initialize(service.server, PARTITIONS)
        order = an_order(service.locks, EVERYTHING)
        dying = Dying(service.server, server)

        with pytest.raises(LockIncomplete) as incomplete:
            RedisLocks(dying, events=Acts()).lock(order)

        server.start()
        assert missing_from(store.raw, order) == list(incomplete.value.missing)
        complete(service, store.raw, order)
        service.server.close()


class Dying(Store):
    """A store whose server dies when it has answered once."""

    def __init__(self, server: Server, process: topologies.Process) -> None:
        super().__init__(server, PARTITIONS)
        self._process = process

    def ask_durably(self, *question: Any) -> Any:
        """As ever, and never again."""
        answers = super().ask_durably(*question)
        self._process.kill()
        return answers
