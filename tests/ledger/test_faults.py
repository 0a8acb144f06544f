"""Every verb against every fault: no answer, nothing written, and well again by itself."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from delegation.audit.acts import Acts
from delegation.audit.events import Events
from delegation.domain.delegations import Delegation
from delegation.domain.errors import Cause, NotPermitted, Unavailable
from delegation.domain.locks import Target
from delegation.domain.parties import Identity
from delegation.domain.ports import StoredEvent
from delegation.ledger.cooldown import SharedCooldown
from delegation.ledger.evidence import Evidence
from delegation.ledger.ledger import Limits, RedisLedger
from delegation.ledger.locks import RedisLocks
from delegation.ledger.server import Server
from delegation.ledger.store import Store
from tests.parties import LOGIN, a_case
from tests.valkey import PARTITIONS, Proxy, an_order, decide, now_in_milliseconds, snapshot, url_of

pytestmark = pytest.mark.standard("STK-14")

UNREACHABLE, UNWELL = "ledger_unreachable", "ledger_unwell"
BOB = Identity(LOGIN, "bob")


@dataclass(kw_only=True)
class Scene:
    """A ledger behind a proxy, with one exchange recorded; and the server itself."""

    process: Any
    raw: Any
    proxy: Proxy
    ledger: RedisLedger
    locks: RedisLocks
    evidence: Evidence
    cooldown: SharedCooldown
    done: Delegation
    taken: int = field(default=0)

    def layouts(self, **fields: object) -> None:
        """Set fields of every layout."""
        for partition in PARTITIONS.all():
            self.raw.hset(partition.layout, mapping=fields)


@pytest.fixture(name="scene")
def _scene(request, valkey, raw, proxy, ledger) -> Iterator[Scene]:
    """Patient, unless the fault is that the server stands still."""
    callspec = getattr(request.node, "callspec", None)
    is_paused = callspec is not None and callspec.id.startswith("paused-")
    done = decide(ledger)
    ledger.record(done, a_case())
    server = Server(proxy.url, timeout=0.2 if is_paused else 2)
    store = Store(server, PARTITIONS)
    ledger = RedisLedger(store, events=Events(), limits=Limits(undrained_events=5))
    yield Scene(
        process=valkey,
        raw=raw,
        proxy=proxy,
        ledger=ledger,
        locks=RedisLocks(store, events=Acts()),
        evidence=Evidence(store),
        cooldown=SharedCooldown(server, seconds=60),
        done=done,
    )
    server.close()


# -- the verbs ----------------------------------------------------------------------------------


def record(scene):
    """Record another exchange."""
    scene.ledger.record(decide(scene.ledger), a_case())


def void(scene):
    """Void the one that is recorded."""
    scene.ledger.void(scene.done, a_case())


def describe(scene):
    """Introspect it."""
    assert scene.ledger.describe(scene.done.id).alive


def claim(scene):
    """Claim an assertion that nobody has claimed."""
    scene.taken += 1
    now = now_in_milliseconds()
    assert scene.ledger.claim(
        "calendar-mcp", f"assertion-{scene.taken}", nonce="n", issued_at=now, until=now + 60_000
    )


def refuse(scene):
    """Refuse a request."""
    scene.ledger.refuse(NotPermitted(Cause.NO_GRANT), a_case())


def lock(scene):
    """Stop somebody else."""
    scene.locks.lock(an_order(scene.locks, Target.subject(BOB), key="lock-1"))


def lock_all(scene):
    """Stop a client, in every partition."""
    scene.locks.lock(an_order(scene.locks, Target.client("mail-mcp"), key="lock-2"))


def readiness(scene):
    """Ask whether an exchange could be recorded: it says what otherwise is raised."""
    for problem in scene.ledger.problems():
        raise Unavailable(problem)


def settle(scene):
    """Write what was suppressed."""
    scene.evidence.settle()


def read(scene):
    """Read the first events."""
    scene.evidence.read(0, "events", count=10)


def trim(scene):
    """Drop the first event."""
    first = StoredEvent(epoch="e", number=1, at=0, event=b"{}")
    scene.evidence.trim(0, "events", first)


def cool_down(scene):
    """Begin a cool-down."""
    scene.taken += 1
    assert scene.cooldown.begin(f"issuer-{scene.taken}")


VERBS = [
    record,
    describe,
    claim,
    refuse,
    lock,
    lock_all,
    readiness,
    settle,
    read,
    trim,
    cool_down,
    void,
]


# -- the faults ---------------------------------------------------------------------------------


@contextmanager
def killed(scene):
    """The server is gone, and comes back with what it had acknowledged."""
    scene.process.terminate()
    yield
    scene.process.start()


@contextmanager
def paused(scene):
    """The server stands still."""
    process = scene.process._process  # noqa: SLF001, it offers no other way
    process.send_signal(signal.SIGSTOP)
    yield
    process.send_signal(signal.SIGCONT)
    scene.raw.ping()


@contextmanager
def loading(scene):
    """The server is reading its files."""
    scene.proxy.reply = b"-LOADING Redis is loading the dataset in memory\r\n"
    yield
    scene.proxy.reply = None


@contextmanager
def without_rights(scene):
    """The server does not know us any more."""
    scene.proxy.reply = b"-NOAUTH Authentication required.\r\n"
    yield
    scene.proxy.reply = None


@contextmanager
def read_only(scene):
    """The server has been made a replica."""
    scene.raw.replicaof("127.0.0.1", "1")
    yield
    scene.raw.replicaof("NO", "ONE")


@contextmanager
def full(scene):
    """No memory is left, and nothing is evicted."""
    scene.raw.config_set("maxmemory", 1)
    yield
    scene.raw.config_set("maxmemory", 0)


@contextmanager
def flushed(scene):
    """All is gone."""
    scene.raw.flushall()
    yield


@contextmanager
def without_layout(scene):
    """The layouts are gone, what they are about is not."""
    layouts = {
        partition.layout: scene.raw.hgetall(partition.layout) for partition in PARTITIONS.all()
    }
    scene.raw.delete(*layouts)
    yield
    for key, fields in layouts.items():
        scene.raw.hset(key, mapping=fields)


def otherwise(**fields: object) -> Callable[[Scene], AbstractContextManager[None]]:
    """The layouts say something else for a while."""

    @contextmanager
    def fault(scene):
        before = scene.raw.hgetall(PARTITIONS.all()[0].layout)
        scene.layouts(**fields)
        yield
        scene.layouts(**{name: before.get(name.encode(), 0) for name in fields})

    return fault


@contextmanager
def stale(scene):
    """Another server has taken over, which has seen fewer locks."""
    scene.layouts(locks=7)
    readiness(scene)
    scene.layouts(locks=6)
    yield
    scene.layouts(locks=7)


@contextmanager
def undrained(scene):
    """Nobody takes the events away."""
    entry = {"at": 0, "epoch": "e", "event": "{}"}
    for partition in PARTITIONS.all():
        for number in range(scene.raw.xlen(partition.events) + 1, 6):
            scene.raw.xadd(partition.events, entry, id=f"{number}-0")
    scene.layouts(events=5)
    yield


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What goes wrong, how it is called, and which verbs it leaves alone."""

    begin: Callable[[Scene], AbstractContextManager[None]]
    problem: str
    spares: frozenset[Callable[[Scene], None]] = frozenset()
    heals: bool = True
    server_answers: bool = True


EMPTYING = frozenset({settle, read, trim})
WITHOUT_LAYOUT = frozenset({read, cool_down})
"""Reading changes nothing, and a cool-down is about no exchange."""

FAULTS = {
    "killed": Fault(begin=killed, problem=UNREACHABLE, server_answers=False),
    "paused": Fault(begin=paused, problem=UNREACHABLE, server_answers=False),
    "loading": Fault(begin=loading, problem=UNWELL),
    "without rights": Fault(begin=without_rights, problem=UNWELL),
    "read-only": Fault(begin=read_only, problem=UNWELL, spares=frozenset({read})),
    "full": Fault(begin=full, problem=UNWELL, spares=EMPTYING | {lock, lock_all}),
    "flushed": Fault(begin=flushed, problem="no_layout", spares=WITHOUT_LAYOUT, heals=False),
    "without layout": Fault(begin=without_layout, problem="no_layout", spares=WITHOUT_LAYOUT),
    "other version": Fault(
        begin=otherwise(version=99), problem="other_layout_version", spares=WITHOUT_LAYOUT
    ),
    "other number of partitions": Fault(
        begin=otherwise(partitions=64), problem="other_number_of_partitions", spares=WITHOUT_LAYOUT
    ),
    "not ready": Fault(
        begin=otherwise(ready=0),
        problem="layout_not_ready",
        spares=WITHOUT_LAYOUT | {lock, lock_all},
    ),
    "stale": Fault(begin=stale, problem="stale", spares=WITHOUT_LAYOUT),
    "clock ahead": Fault(
        begin=otherwise(clock=now_in_milliseconds() + 3_600_000),
        problem="clocks_differ",
        spares=frozenset(VERBS) - {record, claim, readiness},
    ),
    "undrained": Fault(
        begin=undrained,
        problem="too_many_undrained_events",
        spares=frozenset(VERBS) - {record, readiness},
        heals=False,
    ),
}


@pytest.mark.standard("7662-4")
@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.__name__)
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_fault_is_no_answer(scene, fault, verb):
    """The verb raises `Unavailable` for that very cause, and not a byte changes.

    What the fault leaves alone works on. When the cause is gone, so is the fault.
    """
    before = snapshot(scene.raw)

    with fault.begin(scene):
        if fault.server_answers:
            before = snapshot(scene.raw)
        if verb in fault.spares:
            verb(scene)
            return
        with pytest.raises(Unavailable) as unavailable:
            verb(scene)
        if fault.server_answers:
            assert snapshot(scene.raw) == before

    assert unavailable.value.problem == fault.problem
    if fault.begin is killed:
        assert snapshot(scene.raw) == before
    if fault.heals:
        verb(scene)


def test_a_server_that_stands_still_does_not_hold_a_request(valkey, ledger):
    """With half a second for each of two attempts the answer is there in about one."""
    server = Server(url_of(valkey), timeout=0.5)
    impatient = RedisLedger(Store(server, PARTITIONS), events=Events(), limits=Limits())
    process = valkey._process  # noqa: SLF001, it offers no other way
    process.send_signal(signal.SIGSTOP)
    begun = time.monotonic()

    with pytest.raises(Unavailable, match=UNREACHABLE):
        impatient.record(decide(ledger), a_case())

    elapsed = time.monotonic() - begun
    process.send_signal(signal.SIGCONT)
    server.close()
    assert elapsed < 4  # generous: the machine may be busy


def test_what_drains_lets_a_full_stream_take_exchanges_again(scene):
    """Too many undrained events: over as soon as they are trimmed."""
    home = PARTITIONS.of(scene.done.subject).number
    with undrained(scene):
        for partition in PARTITIONS.all():
            last = scene.evidence.read(partition.number, "events", count=10)[-1]
            scene.evidence.trim(partition.number, "events", last)

    record(scene)

    assert scene.ledger.problems() == []
    assert scene.evidence.read(home, "events", count=10)


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-lru", "volatile-ttl"])
def test_a_store_that_evicts_is_not_ready(scene, policy):
    """An evicted claim is a replay, and an evicted lock no lock."""
    scene.raw.config_set("maxmemory-policy", policy)

    problems = scene.ledger.problems()
    scene.raw.config_set("maxmemory-policy", "noeviction")

    assert problems == ["ledger_evicts"]
    assert scene.ledger.problems() == []


def test_a_new_epoch_is_believed(scene):
    """In another epoch the counter begins again: that is no staleness."""
    scene.layouts(locks=7)
    readiness(scene)

    scene.layouts(locks=0, epoch="another")

    assert scene.ledger.problems() == []
    record(scene)


def test_an_answer_that_is_overtaken_takes_nothing_back(scene):
    """Answers to several threads may arrive in any order: the most that was seen counts."""
    store = scene.evidence.store
    partition = PARTITIONS.all()[0]
    ask = store._remember  # noqa: SLF001, no thread can be made to be overtaken
    ask(partition, [b"ok", b"epoch", 3])

    ask(partition, [b"ok", b"epoch", 2])

    assert store._seen[0] == (b"epoch", 3)  # noqa: SLF001
