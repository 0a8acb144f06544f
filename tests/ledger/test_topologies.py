"""The ledger promises the same on every topology: its contracts, and what only clusters can do."""

import itertools
import socket
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from threading import Barrier
from typing import Any

import pytest
from redis.cluster import RedisCluster
from redis.crc import key_slot

from delegation.audit.acts import Acts
from delegation.audit.events import Events
from delegation.domain.errors import Unavailable
from delegation.domain.locks import EVERYTHING, Durability
from delegation.ledger import scripts
from delegation.ledger.layout import initialize
from delegation.ledger.ledger import Limits, RedisLedger
from delegation.ledger.locks import RedisLocks
from delegation.ledger.server import Server
from delegation.ledger.store import Store
from delegation.ledger.topology import Cluster
from tests.ledger import test_claim, test_layout, test_locks, test_record, test_refuse, topologies
from tests.ledger.test_durability import a_store, claim, everywhere
from tests.ledger.topologies import PRIMARY, is_whole, wait_until
from tests.parties import ALICE
from tests.valkey import PARTITIONS, an_order, now_in_milliseconds

pytestmark = [pytest.mark.standard("STK-14")]

HOME = PARTITIONS.of(ALICE)

KEPT = {"appendonly": "yes", "appendfsync": "always"}
"""What was acknowledged survives the process."""

CONTRACTS = (test_claim, test_layout, test_locks, test_record, test_refuse)

CORE = {
    "test_an_id_is_taken_once",
    "test_the_same_attempt_gets_the_same_answer",
    "test_an_empty_store_is_laid_out_once",
    "test_any_other_lock_is_in_every_partition",
    "test_a_lock_on_one_person_is_in_their_partition_alone",
    "test_a_repetition_completes_what_is_missing",
    "test_an_exchange_is_recorded_with_its_place_and_its_event",
    "test_a_repetition_gets_the_same_answer",
    "test_a_full_store_can_still_be_stopped",
}
"""What is asked of every topology at every change; the rest, at length."""

ABOUT_ONE_SERVER = {
    "test_what_is_no_id_of_ours_is_not_alive",
    "test_a_store_that_cannot_be_reached_is_not_laid_out",
    "test_a_lock_on_one_person_is_as_safe_as_their_server",
}
"""They look at, or change, the state of the only server there is."""


def _contracts() -> dict[str, Any]:
    """Every contract, by a name that says whose it is, and the fixtures of its own."""
    found: dict[str, Any] = {}
    for module in CONTRACTS:
        whose = module.__name__.rpartition(".")[2]
        for name, it in vars(module).items():
            if _is_contract(name):
                found[f"{whose}_{name.removeprefix('test_')}"] = it
            elif isinstance(it, type(_raw)) and name != "_ledger":
                found[name] = it
    return found


def _is_contract(name: str) -> bool:
    return name.startswith("test_") and name not in ABOUT_ONE_SERVER


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every contract on every topology."""
    if "topology" in metafunc.fixturenames:
        marks = [] if metafunc.function.__name__ in CORE else [pytest.mark.slow]
        names = [pytest.param(name, marks=marks) for name in TOPOLOGIES]
        metafunc.parametrize("topology", names, indirect=True, scope="session")


TOPOLOGIES: dict[str, Callable[[], Any]] = {
    "sentinel": topologies.with_sentinels,
    "cluster": topologies.cluster,
    "redis": topologies.redis_of_before,
}


@pytest.fixture(name="topology", scope="session")
def _topology(request: pytest.FixtureRequest) -> Iterator[topologies.Store]:
    """A store of several servers, or of another make."""
    with TOPOLOGIES[request.param]() as store:
        yield store


@pytest.fixture(name="raw")
def _raw(topology: topologies.Store) -> Any:
    """A plain client of all of it, which is empty."""
    topology.raw.flushall()
    return topology.raw


@pytest.fixture(name="server")
def _server(raw: Any, topology: topologies.Store) -> Iterator[Server]:
    """A connection to it."""
    assert raw.dbsize() in {0, None}
    server = Server(topology.url, timeout=2)
    yield server
    server.close()


@pytest.fixture(name="ledger")
def _ledger(request: pytest.FixtureRequest, store: Store) -> RedisLedger:
    """The one that the contract is about."""
    if request.function.__module__ == test_refuse.__name__:
        limits = Limits(undrained_events=5, refusals_per_minute=2)
        return RedisLedger(store, events=Events(), limits=limits)
    return RedisLedger(store, events=Events(), limits=Limits())


globals().update(_contracts())


def test_what_is_asked_at_every_change_is_there() -> None:
    """A contract that was renamed is still asked of every topology."""
    assert {name for module in CONTRACTS for name in vars(module)} >= CORE | ABOUT_ONE_SERVER


# -- a cluster ----------------------------------------------------------------------------------


@pytest.fixture(name="shards", scope="module")
def _shards() -> Iterator[topologies.Store]:
    """Three shards, with a replica each."""
    with topologies.cluster() as store:
        yield store


@pytest.fixture(name="behind")
def _behind(shards: topologies.Store) -> Iterator[Store]:
    """A store whose table of slots is out of date: since it was read, a replica has taken over."""
    shards.raw.flushall()
    with a_store(shards.url, patience=2000) as store:
        primary = shards.raw.get_node_from_key(PARTITIONS.of(ALICE).layout)
        [replica] = (
            one
            for one in shards.replicas()
            if one.client().execute_command("ROLE")[2] == primary.port
        )
        replica.client().execute_command("CLUSTER", "FAILOVER")
        wait_until(lambda: replica in shards.primaries() and len(shards.primaries()) == 3)
        shards.raw.nodes_manager.initialize()
        yield store


def test_a_call_is_sent_on_to_where_its_slot_is_now(behind):
    """A replica has taken over, and says so: nothing was run by the other."""
    now = now_in_milliseconds()
    arguments = ("attempt-1", now + 1000, now + 60_000, now)

    assert behind.ask(scripts.CLAIM, HOME, [HOME.claim("one", "id")], arguments) == [b"ok"]


def test_calls_together_are_sent_on(behind):
    """Those that had moved go again; all are answered, in their order."""
    assert claim(behind) == everywhere(Durability(on_disk=False, replicas=1))


@pytest.mark.parametrize("verb", [claim, lambda store: store.server.read_stream(HOME.events, 1)])
def test_a_call_is_not_sent_on_for_ever(behind, monkeypatch, verb):
    """A cluster in disorder is unwell."""
    monkeypatch.setattr(Cluster, "moved", lambda *_: None)

    with pytest.raises(Unavailable, match="ledger_unwell"):
        verb(behind)


@contextmanager
def moving(shards: topologies.Store, key: str) -> Iterator[topologies.Process]:
    """The slot of *key* is on its way to another primary, that of the URL excepted."""
    slot = shards.raw.keyslot(key)
    port = shards.raw.get_node_from_key(key).port
    [here] = (one for one in shards.primaries() if one.port == port)
    there = next(one for one in shards.primaries() if one is not here)
    names = {one: one.client().execute_command("CLUSTER", "MYID") for one in (here, there)}
    there.client().execute_command("CLUSTER SETSLOT", slot, "IMPORTING", names[here])
    here.client().execute_command("CLUSTER SETSLOT", slot, "MIGRATING", names[there])
    yield here
    for one in (here, there):
        one.client().execute_command("CLUSTER SETSLOT", slot, "STABLE")


def test_what_is_on_its_way_is_asked_for_there(shards):
    """Half of a slot is here, half is there: a key that is not here may be there."""
    shards.raw.flushall()
    with a_store(shards.url) as store, moving(shards, "dlg:cooldown:x"):
        assert store.server.take("dlg:cooldown:x", 60_000)
        assert not store.server.take("dlg:cooldown:x", 60_000)


def test_a_node_that_nobody_has_heard_of_is_not_asked(shards, monkeypatch):
    """It is in no table yet: the next reading of the table will have it."""
    shards.raw.flushall()
    with a_store(shards.url) as store, moving(shards, "dlg:cooldown:x"):
        monkeypatch.setattr(RedisCluster, "get_node", lambda *_, **__: None)

        with pytest.raises(Unavailable, match="ledger_unwell"):
            store.server.take("dlg:cooldown:x", 60_000)


def test_one_shard_that_evicts_is_enough(shards):
    """Any of them may hold the lock that is dropped."""
    shards.raw.flushall()
    with a_store(shards.url) as store:
        assert not store.server.evicts()
        last = shards.primaries()[-1].client()
        last.config_set("maxmemory-policy", "allkeys-lru")

        assert store.server.evicts()

        last.config_set("maxmemory-policy", "noeviction")


def test_a_cluster_by_the_address_of_one_node_is_unwell(shards):
    """A URL that speaks of one server means one server."""
    shards.raw.flushall()
    with a_store(shards.url), moving(shards, "dlg:cooldown:x") as here:
        server = Server(f"redis://127.0.0.1:{here.port}", timeout=2)
        for ask in (
            lambda: server.take("dlg:cooldown:x", 60_000),
            lambda: initialize(server, PARTITIONS),
        ):
            with pytest.raises(Unavailable, match="ledger_unwell"):
                ask()
        server.close()


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_a_lost_shard_holds_up_no_stop_on_the_others(lost: int) -> None:
    """Whichever it is: those that can be stopped are, and the rest is said to be missing."""
    shard_of = {one.number: key_slot(one.locks.encode()) * 3 // 16384 for one in PARTITIONS.all()}
    assert set(shard_of.values()) == {0, 1, 2}
    partial = {"cluster-require-full-coverage": "no"}
    with topologies.cluster(replicas=0, **partial) as here, a_store(here.url) as store:
        assert claim(store)[0][0] == b"ok"
        here.servers[lost].kill()
        locks = RedisLocks(store, events=Acts())

        with pytest.raises(Unavailable) as incomplete:
            locks.lock(an_order(locks, EVERYTHING))

        living = [server for server in here.servers if server is not here.servers[lost]]
        stopped = {key for server in living for key in server.client().keys("*:lockbook")}
    if shard_of[0] == lost:
        # Nothing is stopped before its event is written.
        assert (stopped, incomplete.value.problem) == (set(), "ledger_unreachable")
    else:
        others = [one for one in PARTITIONS.all() if shard_of[one.number] != lost]
        assert stopped == {one.lock_book.encode() for one in others}
        assert incomplete.value.problem == "lock_incomplete"


def test_a_cluster_that_was_away():
    """While it is, nothing is believed; afterwards it is found by the hosts of the URL."""
    with topologies.cluster(1, replicas=0, **KEPT) as alone, a_store(alone.url) as store:
        assert claim(store)[0][0] == b"ok"
        [server] = alone.servers
        server.kill()

        for _ in range(2):
            with pytest.raises(Unavailable, match="ledger_unreachable"):
                claim(store, nonce="attempt-2")

        server.start()
        wait_until(is_whole, server)
        assert claim(store, nonce="attempt-2")[0][0] == b"already_used"


def test_a_cluster_that_is_elsewhere_now():
    """None of the nodes that are known is left: the hosts of the URL are asked, as at first."""
    with (
        topologies.cluster(1, replicas=0) as one,
        topologies.cluster(1, replicas=0) as other,
    ):
        host = other.url.partition("://")[2]
        server = Server(f"{one.url},{host}", timeout=2)
        assert server.take("dlg:cooldown:x", 60_000)
        known = next(place for place in (one, other) if place.raw.exists("dlg:cooldown:x"))
        known.servers[0].kill()

        with pytest.raises(Unavailable, match="ledger_unreachable"):
            server.take("dlg:cooldown:x", 60_000)

        assert server.take("dlg:cooldown:x", 60_000)
        server.close()


def test_who_does_not_answer_is_not_asked_on_other_connections():
    """Each would cost a timeout: all that are idle are closed, and who is asked is looked up."""
    with topologies.one_server() as alone, ThreadPoolExecutor(8) as pool:
        server = Server(alone.url, timeout=0.2)
        barrier = Barrier(8)

        def take(number: int) -> bool:
            barrier.wait()
            return server.take(f"dlg:cooldown:{number}", 60_000)

        def ours() -> int:
            return sum(one["name"] == "delegation" for one in alone.raw.client_list())

        while ours() < 4:
            assert all(pool.map(take, range(8)))
            alone.raw.flushall()

        with alone.servers[0].frozen(), pytest.raises(Unavailable, match="ledger_unreachable"):
            server.take("dlg:cooldown:x", 60_000)

        wait_until(lambda: ours() == 0)
        server.close()


@contextmanager
def silent_hosts(number: int = 3) -> Iterator[list[socket.socket]]:
    """Hosts that take connections and say nothing."""
    with ExitStack() as stack:
        yield [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(number)]


def connections(host: socket.socket) -> int:
    """How many wait to be accepted."""
    host.settimeout(0)
    with ExitStack() as stack:
        for found in itertools.count():
            try:
                stack.enter_context(host.accept()[0])
            except BlockingIOError:
                return found
    raise AssertionError  # pragma: no cover, the loop is without end


@pytest.mark.parametrize("url", ["redis+cluster://{}", "redis+sentinel://{}/" + PRIMARY])
def test_a_primary_is_looked_up_once(url):
    """Where nobody says who it is, nothing was sent whose reply could be lost: it is said so."""
    with silent_hosts() as hosts:
        names = ",".join("{}:{}".format(*host.getsockname()) for host in hosts)
        server = Server(url.format(names), timeout=0.05)

        with pytest.raises(Unavailable, match="ledger_unreachable"):
            server.take("dlg:cooldown:x", 1000)

        server.close()
        assert [connections(host) for host in hosts] == [1, 1, 1]


# -- a Sentinel's primary -----------------------------------------------------------------------


@pytest.fixture(name="watched", scope="module")
def _watched() -> Iterator[topologies.Store]:
    """A primary with a replica, and a Sentinel."""
    with topologies.with_sentinels() as store:
        yield store


def test_a_name_that_no_sentinel_knows(watched):
    """Nobody is taken for it."""
    server = Server(watched.url.replace(PRIMARY, "other"), timeout=2)

    with pytest.raises(Unavailable, match="ledger_unreachable"):
        initialize(server, PARTITIONS)

    server.close()


def test_a_replica_is_not_read_either():
    """A Sentinel may still name what is no primary any more: nothing that it holds is believed."""
    with topologies.with_sentinels() as watched:
        watched.raw.replicaof("127.0.0.1", watched.servers[1].port)
        server = Server(watched.url, timeout=2)

        with pytest.raises(Unavailable, match="ledger_unreachable"):
            server.read_stream(HOME.events, 1)

        server.close()


# -- who we are ---------------------------------------------------------------------------------


def let_in(process: topologies.Process) -> None:
    """Let in somebody who has a password, and nobody without one to any good."""
    client = process.client()
    client.execute_command("ACL SETUSER", "us", "on", ">s3cret", "~*", "&*", "+@all")


@pytest.mark.parametrize("place", ["shards", "watched"])
def test_a_password_is_used_and_never_shown(request, place):
    """With the right one all is well; with a wrong one nothing, and nothing tells it."""
    store = request.getfixturevalue(place)
    for process in store.servers:
        let_in(process)
    store.raw.flushall()
    right = store.url.replace("://", "://us:s3cret@")
    wrong = store.url.replace("://", "://us:hunter2@")

    with a_store(right) as opened:
        assert claim(opened)[0][0] == b"ok"
    server = Server(wrong, timeout=2)
    with pytest.raises(Unavailable, match="ledger_unwell") as refused:
        server.take("dlg:cooldown:x", 1000)
    server.close()

    text = "".join(traceback.format_exception(refused.value))
    assert "hunter2" not in text
    assert "hunter2" not in repr(vars(server))


def test_sentinels_may_have_a_password_of_their_own():
    """It is another one than the store's."""
    with topologies.with_sentinels() as watched:
        let_in(watched.sentinels[0])
        watched.sentinels[0].client().execute_command("ACL SETUSER", "default", "-@all", "+ping")
        server = Server(watched.url, timeout=2)
        with pytest.raises(Unavailable, match="ledger_un"):
            initialize(server, PARTITIONS)
        server.close()

        url = f"{watched.url}?sentinel_username=us&sentinel_password=s3cret"
        with a_store(url) as store:
            assert claim(store)[0][0] == b"ok"


@pytest.mark.parametrize("place", ["shards", "watched"])
def test_tls_is_spoken_where_the_url_says_so(request, place):
    """A server that does not speak it is not spoken to."""
    server = Server(request.getfixturevalue(place).url.replace("redis", "rediss"), timeout=0.1)

    with pytest.raises(Unavailable, match="ledger_unreachable"):
        server.take("dlg:cooldown:x", 1000)

    server.close()
