"""The store as it is given out: each user can do what their process does, and nothing else."""

import itertools
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.exceptions import AuthenticationError, NoPermissionError

from delegation.audit.acts import Acts
from delegation.audit.events import Events
from delegation.audit.seal import Sealer
from delegation.audit.segments import Directory
from delegation.audit.verify import verify
from delegation.domain.alarms import Alarm
from delegation.domain.errors import Cause, NotPermitted
from delegation.domain.exchanges import Filter
from delegation.domain.locks import EVERYTHING, Target
from delegation.domain.ports import WorkerReport
from delegation.domain.rates import Per, Rate
from delegation.ledger.alarms import RedisAlarms
from delegation.ledger.cooldown import SharedCooldown
from delegation.ledger.evidence import Evidence
from delegation.ledger.exchanges import RedisExchanges
from delegation.ledger.layout import initialize
from delegation.ledger.ledger import Limits, RedisLedger
from delegation.ledger.locks import RedisLocks
from delegation.ledger.presence import RedisPresence
from delegation.ledger.quota import RedisQuota
from delegation.ledger.server import Server
from delegation.ledger.store import Store
from tests.audit.trails import KEY
from tests.deploy.as_users import ADMIN, SEALER, SERVICE, login
from tests.deploy.places import DEPLOY, ROOT, url
from tests.ledger.topologies import cluster, wait_until, with_replicas, with_sentinels
from tests.parties import a_case, a_grant, a_registry
from tests.valkey import PARTITIONS, decide, decide_next, now_in_milliseconds, put

UNSEEN = {"auth", "client|setname", "client|setinfo", "ping", "role"}
UNSEEN |= {"command", "cluster|slots", "asking"}
"""What is about connections alone, to one server, to what a Sentinel has named, to a cluster."""


@pytest.fixture(name="raw")
def _raw(hardened: Path) -> Iterator["redis.Redis[bytes]"]:
    """Whoever may look behind the curtain; the store is laid out anew."""
    with redis.Redis.from_url(f"unix://tester@{hardened}/s", protocol=2) as client:
        client.flushall()
        server = Server(url(hardened, "admin"), timeout=2)
        initialize(server, PARTITIONS)
        server.close()
        yield client


def _store(directory: Path, name: str) -> Iterator[Store]:
    server = Server(url(directory, name), timeout=2)
    yield Store(server, PARTITIONS)
    server.close()


@pytest.fixture(name="service")
def _service(hardened: Path, raw: "redis.Redis[bytes]") -> Iterator[Store]:  # noqa: ARG001
    """The store as the service has it."""
    yield from _store(hardened, "service")


@pytest.fixture(name="admin")
def _admin(hardened: Path, raw: "redis.Redis[bytes]") -> Iterator[Store]:  # noqa: ARG001
    """As the admin API and the commands have it."""
    yield from _store(hardened, "admin")


@pytest.fixture(name="sealer")
def _sealer(hardened: Path, raw: "redis.Redis[bytes]") -> Iterator[Store]:  # noqa: ARG001
    """As the sealer has it."""
    yield from _store(hardened, "sealer")


def rules(user: str) -> str:
    """Those of *user*, as they are given out."""
    [line] = re.findall(
        f"^user {user} (.*)$", (DEPLOY / "valkey/users.acl").read_text(), re.MULTILINE
    )
    return str(line)


def allowed(user: str) -> set[str]:
    """The commands that *user* may run, but for those about connections."""
    return set(re.findall(r"\+([a-z|]+)", rules(user))) - UNSEEN


def used(raw: "redis.Redis[bytes]") -> set[str]:
    """The commands that were run since statistics began, by anybody and by any script."""
    found = {name.removeprefix("cmdstat_") for name in raw.info("commandstats")}
    return found - {"config|resetstat", *UNSEEN}


RATES = {Per.CLIENT: [Rate(1, 60)]}


def test_the_service_has_what_it_uses(service: Store, raw: "redis.Redis[bytes]") -> None:
    """Exchange, second hop, one-time use, refusal, alarm, revocation, health; no other command."""
    ledger = RedisLedger(service, events=Events(), limits=Limits(refusals_per_minute=1))
    for partition in PARTITIONS.all():
        raw.hset(partition.layout, "born", 0)
    raw.config_resetstat()

    first = decide(ledger)
    ledger.record(first, a_case())
    second = decide_next(ledger, first)
    ledger.record(second, a_case())
    assert ledger.describe(second.id).alive
    ledger.record(decide(ledger, registry=a_registry(grants=[a_grant(single_use=True)])), a_case())
    ledger.void(second, a_case())
    now = now_in_milliseconds()
    for later in (1_000, 2_000):
        ledger.claim("c", "assertion", nonce="n", issued_at=now, until=now + later)
    for _ in range(2):
        ledger.refuse(NotPermitted(Cause.NO_GRANT), a_case())
    RedisQuota(service, RATES).take(first, a_case())
    ledger.sound(Alarm(cause=Cause.ALREADY_USED, about="calendar-mcp"))
    assert ledger.problems() == []
    presence = RedisPresence(service, patience=100)
    for id_ in ("a", "b"):
        presence.report(WorkerReport(id=id_, revision="r", problems=(), started_at=1))
        wait_until(lambda: presence.workers() == [])
    assert SharedCooldown(service.server, seconds=60).begin("https://login.example.com")
    recorded = RedisExchanges(service).find(first.id)
    assert recorded is not None
    revocations = RedisLocks(service, events=Acts(), waits=False)
    put(revocations, Target.exchange(first.id), ends_at=recorded.recorded_at)
    assert not ledger.describe(first.id).alive

    assert used(raw) == allowed("delegation")


def test_the_admin_api_has_what_it_uses(
    service: Store, admin: Store, raw: "redis.Redis[bytes]"
) -> None:
    """Laying out, listing, stopping durably, lifting, events, alarms, health; no other command."""
    ledger = RedisLedger(service, events=Events(), limits=Limits())
    own = RedisLedger(admin, events=Events(), limits=Limits())
    first, second = decide(ledger), decide(ledger)
    for one in (first, second):
        ledger.record(one, a_case())
    raw.delete(PARTITIONS.of(first.subject).layout)
    raw.config_resetstat()

    assert initialize(admin.server, PARTITIONS)
    locks, exchanges = RedisLocks(admin, events=Acts()), RedisExchanges(admin)
    page = exchanges.page(Filter(), None, count=1, budget=10)
    rest = exchanges.page(Filter(), page.cursor, count=1, budget=10)
    assert {one.id for one in (*page.items, *rest.items)} == {first.id, second.id}
    put(locks, Target.client("calendar-mcp"), ends_at=1)
    booked = put(locks, EVERYTHING)
    assert booked in locks.page(None, count=10).items
    durability = locks.lift(booked, reason="over", author="sec@example.com", mistaken=False)
    assert durability.on_disk
    own.sound(Alarm(cause=Cause.KEYS_REPLACED, about="https://login.example.com"))
    home = PARTITIONS.of(first.subject).number
    assert [one.number for one in Evidence(admin).read(home, "events", count=2)] == [1, 2]
    alarms = RedisAlarms(admin)
    assert len(alarms.page(None, count=10).items) == sum(alarms.counts().values()) == 1
    assert RedisPresence(admin).workers() == []
    assert [one.used for one in RedisQuota(admin, RATES).usage("calendar-mcp")] == [0]
    assert own.problems() == []
    assert SharedCooldown(admin.server, seconds=60).begin("https://login.example.com")

    assert used(raw) == allowed("delegation-admin")


def test_the_sealer_has_what_it_uses(
    service: Store, sealer: Store, raw: "redis.Redis[bytes]", tmp_path: Path
) -> None:
    """What happened, and what was suppressed, is sealed and dropped, by no other command."""
    ledger = RedisLedger(service, events=Events(), limits=Limits(refusals_per_minute=1))
    ledger.record(decide(ledger), a_case())
    for _ in range(3):
        ledger.refuse(NotPermitted(Cause.NO_GRANT), a_case())
    for partition in PARTITIONS.all():
        for client, value in raw.hgetall(partition.caps).items():
            _, _, rest = value.partition(b":")
            raw.hset(partition.caps, client, b"1:" + rest)
    segments = Directory(tmp_path / "audit")
    segments.prepare()
    raw.config_resetstat()

    seal = Sealer(Evidence(sealer), segments, KEY, clock=lambda: datetime.now(UTC))
    sealed = sum(one.records for one in seal())

    assert sealed == verify(segments, [KEY.verifier]).events == 3
    assert used(raw) == allowed("delegation-sealer")


FORBIDDEN = {
    "what others keep there": ("GET", "somebody:else"),
    "a key that only looks like one of ours": ("GET", "dlg:x"),
    "which keys there are": ("KEYS", "*"),
    "which keys there are, bit by bit": ("SCAN", "0"),
    "emptying it": ("FLUSHALL",),
    "emptying a database": ("FLUSHDB",),
    "its configuration": ("CONFIG", "SET", "appendonly", "no"),
    "its users": ("ACL", "SETUSER", "delegation", "+@all"),
    "what others do": ("MONITOR",),
    "another database": ("SELECT", "1"),
    "its end": ("SHUTDOWN", "NOSAVE"),
    "another primary": ("REPLICAOF", "192.0.2.1", "6379"),
    "a copy of it": ("PSYNC", "?", "-1"),
    "a record, whole": ("DUMP", "dlg:{0}:x:0-a"),
    "a key from elsewhere": ("RESTORE", "dlg:{0}:locks", "0", "x"),
    "forgetting what is stopped": ("DEL", "dlg:{0}:locks"),
    "forgetting it later": ("PEXPIRE", "dlg:{0}:locks", "1"),
    "overwriting what is stopped": ("SET", "dlg:{0}:locks", "x"),
    "forgetting the evidence": ("DEL", "dlg:{0}:events"),
    "functions that outlive a connection": ("FUNCTION", "LIST"),
    "the messages of others": ("SUBSCRIBE", "x"),
}


@pytest.mark.parametrize("name", ["service", "admin", "sealer"])
@pytest.mark.parametrize("what", FORBIDDEN)
def test_nobody_may(what: str, name: str, hardened: Path, raw: "redis.Redis[bytes]") -> None:
    """Neither by itself, nor in a script."""
    command = FORBIDDEN[what]
    raw.hset("dlg:{0}:locks", "a", "lock")
    raw.set("somebody:else", "secret")
    words = ", ".join(f"'{word}'" for word in command)

    with redis.Redis.from_url(url(hardened, name), protocol=2) as client:
        with pytest.raises(NoPermissionError):
            client.execute_command(*command)
        with pytest.raises(redis.ResponseError):
            client.eval(f"return redis.call({words})", 0)

    assert raw.hget("dlg:{0}:locks", "a") == b"lock"


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("service", ("XTRIM", "dlg:{0}:events", "MAXLEN", "0")),
        ("service", ("XRANGE", "dlg:{0}:events", "-", "+")),
        ("service", ("CONFIG", "GET", "*")),
        ("admin", ("SET", "dlg:{0}:x:0-a", "a record")),
        ("admin", ("DEL", "dlg:{0}:x:0-a")),
        ("admin", ("XTRIM", "dlg:{0}:events", "MAXLEN", "0")),
        ("sealer", ("GET", "dlg:{0}:x:0-a")),
        ("sealer", ("HGET", "dlg:{0}:locks", "a")),
        ("sealer", ("XTRIM", "dlg:{0}:alarms", "MAXLEN", "0")),
        ("sealer", ("INFO",)),
    ],
)
def test_who_does_not_need_it_may_not(
    name: str, command: tuple[str, ...], hardened: Path, raw: "redis.Redis[bytes]"
) -> None:
    """What one of them may, the others may only where they use it."""
    assert raw.ping()

    with (
        redis.Redis.from_url(url(hardened, name), protocol=2) as client,
        pytest.raises(NoPermissionError),
    ):
        client.execute_command(*command)


@pytest.mark.parametrize("user", ["default", "delegation", "delegation:wrong", "replica"])
def test_nobody_logs_in_without_a_password(user: str, hardened: Path) -> None:
    """There is no default user, and whose password was never made cannot log in."""
    with (
        redis.Redis.from_url(f"unix://{user}@{hardened}/s", protocol=2) as client,
        pytest.raises((AuthenticationError, redis.ResponseError)),
    ):
        client.ping()


def test_rules_that_were_not_prepared_let_nobody_in() -> None:
    """As the file is given out, none of its users has a password but who may only say that it
    lives.
    """
    text = (DEPLOY / "valkey/users.acl").read_text()

    assert re.findall(r"^user (\S+) .*(?:nopass|[#>][0-9a-z])", text, re.MULTILINE) == ["health"]
    assert rules("health") == "reset on nopass -@all +ping"


def test_what_is_written_is_on_the_disk(raw: "redis.Redis[bytes]") -> None:
    """The settings that the page on durability asks of a server alone."""
    wanted = {"maxmemory-policy": "noeviction", "appendonly": "yes", "appendfsync": "always"}

    assert {name: raw.config_get(name)[name] for name in wanted} == wanted
    assert int(raw.config_get("maxmemory")["maxmemory"]) > 0


CONTRACT = ("record", "actors", "alive", "claim", "cooldown", "refuse", "presence", "exchanges")
CONTRACT += ("locks", "lift", "book", "retention", "lost_replies")
"""What the ledger promises, by the files of its tests."""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_ledgers_contract_is_kept_by_these_users() -> None:
    """Every promise of the ledger holds where its parts may do no more than is given out."""
    files = [f"tests/ledger/test_{name}.py" for name in CONTRACT]
    # One of them counts the commands that were sent, and to log in is one more.
    files += ["--deselect=tests/ledger/test_locks.py::test_a_lock_costs_the_same_whatever_it_kills"]
    command = [sys.executable, "-m", "pytest", "-p", "tests.deploy.as_users", "--no-cov", *files]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603

    assert done.returncode == 0, done.stdout[-3000:]


@pytest.mark.slow
@pytest.mark.parametrize("several", [with_sentinels, cluster])
def test_they_serve_stores_of_several_servers(several: Any, tmp_path: Path) -> None:
    """The same rules let the same users find their way among Sentinels, and in a cluster."""
    with several(appendonly="yes", appendfsync="always") as found:
        for server, user in itertools.product(found.servers, (SERVICE, ADMIN, SEALER)):
            login(f"redis://127.0.0.1:{server.port}", user)

        def store(user: str) -> Store:
            named = found.url.replace("://", f"://{user}:password@")
            return Store(Server(named, timeout=1), PARTITIONS)

        admin = store(ADMIN)
        initialize(admin.server, PARTITIONS)
        ledger = RedisLedger(store(SERVICE), events=Events(), limits=Limits())
        first = decide(ledger)
        ledger.record(first, a_case())
        assert ledger.problems() == []
        put(RedisLocks(admin, events=Acts()), EVERYTHING)
        segments = Directory(tmp_path)
        seal = Sealer(Evidence(store(SEALER)), segments, KEY, clock=lambda: datetime.now(UTC))
        assert sum(one.records for one in seal()) == 2
        assert not ledger.describe(first.id).alive


@pytest.mark.slow
def test_a_replica_may_copy() -> None:
    """With its user, and a password that it was given, it follows its primary."""
    own = {"primaryuser": "replica", "primaryauth": "password"}

    with with_replicas(user=f"replica {rules('replica')} >password", **own) as found:
        found.raw.set("dlg:{0}:x", "copied")
        [replica] = found.replicas()
        wait_until(lambda: replica.client().get("dlg:{0}:x") == b"copied")
