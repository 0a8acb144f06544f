"""How safely a write is kept: said by the server that has it, about what it has, or not at all."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from hashlib import sha1

import pytest

from delegation.domain.errors import Unavailable
from delegation.domain.locks import Durability
from delegation.ledger import scripts
from delegation.ledger.layout import initialize
from delegation.ledger.scripts import Script
from delegation.ledger.server import Server
from delegation.ledger.store import Store
from tests.ledger import topologies
from tests.ledger.topologies import wait_until
from tests.valkey import PARTITIONS, now_in_milliseconds

OTHERS = ("everysec", "no")
"""When a server may write to its disk, but for `always`."""

LONG = 20_000

_SOURCE = "#!lua\nreturn redis.call('EXISTS', KEYS[1])"
READ = Script(_SOURCE, sha1(_SOURCE.encode(), usedforsecurity=False).hexdigest())
"""A script that writes nothing."""


@pytest.fixture(name="pair", scope="module")
def _pair() -> Iterator[topologies.Store]:
    """A primary that writes to its disk, and a replica."""
    with topologies.with_replicas(1, appendonly="yes", appendfsync="always") as pair:
        yield pair


@pytest.fixture(name="empty")
def _empty(pair: topologies.Store) -> topologies.Store:
    """The same, with nothing in it."""
    pair.raw.flushall()
    return pair


@contextmanager
def a_store(url: str, *, patience: int = 100) -> Iterator[Store]:
    """A store there, laid out, by connections of its own."""
    server = Server(url, timeout=2, patience=patience)
    initialize(server, PARTITIONS)
    yield Store(server, PARTITIONS)
    server.close()


def claim(store: Store, *, nonce: str = "attempt-1") -> list[tuple[bytes, Durability]]:
    """Claim one id in every partition: with each answer, how safely it is kept."""
    now = now_in_milliseconds()
    questions = [(one, [one.claim("calendar-mcp", "assertion")]) for one in PARTITIONS.all()]
    arguments = (nonce, now + 1000, now + 60_000, now)
    answers = store.ask_durably(scripts.CLAIM, questions, arguments)
    return [(status, durability) for (status, *_), durability in answers]


def everywhere(durability: Durability) -> list[tuple[bytes, Durability]]:
    """What `claim` says where all went well."""
    return [(b"ok", durability)] * PARTITIONS.count


def test_a_server_alone():
    """It is on its disk, and nowhere else."""
    config = {"appendonly": "yes", "appendfsync": "always"}
    with topologies.one_server(**config) as alone, a_store(alone.url) as store:
        assert claim(store) == everywhere(Durability(on_disk=True, replicas=0))


@pytest.mark.parametrize(
    "config",
    [{"appendonly": "no"}, *({"appendonly": "yes", "appendfsync": when} for when in OTHERS)],
    ids=["no file", *OTHERS],
)
def test_a_server_that_cannot_say(config):
    """Its word is good for as long as its process lives: what is not sure is not said.

    Where it writes to its disk every second, it may say so before it has.
    """
    with topologies.one_server(**config) as alone, a_store(alone.url) as store:
        assert claim(store) == everywhere(Durability(on_disk=False, replicas=0))


def test_a_server_of_before():
    """Redis before 7.2 knows replicas, and nobody can ask it about its disk."""
    config = {"appendonly": "yes", "appendfsync": "always"}
    with topologies.redis_of_before(**config) as old, a_store(old.url) as store:
        assert claim(store) == everywhere(Durability(on_disk=False, replicas=0))


def test_a_primary_with_a_replica(empty):
    """Both have it."""
    with a_store(empty.url, patience=LONG) as store:
        assert claim(store) == everywhere(Durability(on_disk=True, replicas=1))
        assert claim(store, nonce="attempt-2")[0][0] == b"already_used"


def test_a_replica_that_stands_still_has_nothing(empty):
    """It is on the disk alone. Nobody takes the replica's existence for its having anything."""
    with a_store(empty.url) as store, empty.servers[1].frozen():
        assert claim(store) == everywhere(Durability(on_disk=True, replicas=0))


def test_it_is_waited_for(empty):
    """The answer comes when the replica has it, not when it has been sent."""
    replica = empty.servers[1]
    with a_store(empty.url, patience=LONG) as store, ThreadPoolExecutor(1) as pool:
        with replica.frozen():
            claimed = pool.submit(claim, store)
            wait_until(lambda: empty.raw.info("clients")["blocked_clients"] == 1)
            assert not claimed.done()

        assert claimed.result() == everywhere(Durability(on_disk=True, replicas=1))


def test_who_writes_nothing_is_told_how_safe_it_is(empty):
    """A repetition finds all there: the answer is about what is there, not about nothing.

    Who lost the first answer would otherwise be told that a replica has what it has not.
    """
    with a_store(empty.url) as first, a_store(empty.url) as second, empty.servers[1].frozen():
        claim(first)

        answers = second.server.run_durably(READ, [(["dlg:{0}:layout"], [])])

        assert answers == [(1, Durability(on_disk=True, replicas=0))]


def test_a_full_server_says_it_too(empty):
    """What may be written there, for it stops something, is also waited for."""
    with a_store(empty.url, patience=LONG) as store:
        questions = [(one, [one.refusals, one.caps]) for one in PARTITIONS.all()]
        empty.raw.config_set("maxmemory", 1)
        try:
            answers = store.ask_durably(scripts.SETTLE, questions, ())
        finally:
            empty.raw.config_set("maxmemory", 0)

    assert {durability for _, durability in answers} == {Durability(on_disk=True, replicas=1)}


def test_nothing_is_left_behind(empty):
    """What is written so that there is something to wait for is gone again."""
    with a_store(empty.url, patience=LONG) as store:
        claim(store)

        kept = {key.rpartition(b":")[0].partition(b"}:")[2] for key in empty.raw.scan_iter()}
    assert kept == {b"", b"claim"}


def test_the_connection_that_wrote_is_the_one_that_waits(empty):
    """Of no other would the server speak."""
    with a_store(empty.url, patience=LONG) as store, empty.raw.monitor() as monitor:
        claim(store)
        empty.raw.echo("that was all")
        senders: dict[str, set[str]] = {}
        for seen in monitor.listen():
            if "that was all" in seen["command"]:
                break
            if seen["client_type"] != "lua":
                [name] = re.findall(r"^\w+", seen["command"])
                senders.setdefault(name, set()).add(
                    f"{seen['client_address']}{seen['client_port']}"
                )

    assert {"EVALSHA", "EVAL", "WAIT", "WAITAOF"} <= senders.keys()
    waiting = {name: senders[name] for name in ("EVALSHA", "EVAL", "WAIT", "WAITAOF")}
    assert len(set.union(*waiting.values())) == 1


def test_nothing_is_asked_without_a_question(empty):
    """No call, no answer."""
    with a_store(empty.url) as store:
        assert store.ask_durably(scripts.CLAIM, [], ()) == []


def test_a_replica_is_no_place_to_write():
    """What was the primary is none any more: refused before anything is tried."""
    with topologies.with_replicas(1) as pair, a_store(pair.url) as store:
        pair.raw.replicaof("127.0.0.1", pair.servers[1].port)

        with pytest.raises(Unavailable, match="ledger_unwell"):
            claim(store)


def test_a_primary_that_is_one_no_more_while_it_is_waited_for():
    """What it wrote may be taken back by the new primary: in doubt, it is refused."""
    with (
        topologies.with_replicas(1) as pair,
        a_store(pair.url, patience=LONG) as store,
        ThreadPoolExecutor(1) as pool,
        pair.servers[1].frozen(),
    ):
        claimed = pool.submit(claim, store)
        wait_until(lambda: pair.raw.info("clients")["blocked_clients"] == 1)
        pair.raw.replicaof("127.0.0.1", pair.servers[1].port)

        with pytest.raises(Unavailable, match="ledger_unwell"):
            claimed.result()


@contextmanager
def without_right(pair: topologies.Store, command: str) -> Iterator[str]:
    """The URL of somebody who may do all but that."""
    rights = ["+@all", f"-{command}"]
    pair.raw.acl_setuser("half", enabled=True, passwords=["+pw"], keys=["*"], commands=rights)
    yield pair.url.replace("//", "//half:pw@")
    pair.raw.acl_deluser("half")


@pytest.mark.parametrize("command", ["role", "wait"])
def test_a_server_that_may_not_be_asked(empty, command):
    """Without its word nothing is believed."""
    with (
        without_right(empty, command) as url,
        a_store(url) as store,
        pytest.raises(Unavailable, match="ledger_unwell"),
    ):
        claim(store)


@pytest.mark.parametrize("command", ["waitaof", "config"])
def test_a_disk_that_may_not_be_asked_about(empty, command):
    """It counts for nothing, whatever is on it."""
    with without_right(empty, command) as url, a_store(url, patience=LONG) as store:
        assert claim(store) == everywhere(Durability(on_disk=False, replicas=1))


def test_a_lost_answer(proxy):
    """It is sent once more, and is then told of what stands."""
    with a_store(proxy.url, patience=LONG) as behind:
        proxy.cuts = 1

        assert {status for status, _ in claim(behind)} == {b"ok"}

        assert proxy.cuts == 0
        assert claim(behind, nonce="attempt-2")[0][0] == b"already_used"
