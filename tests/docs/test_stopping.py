"""The pages on stopping are true: every command runs, against the admin API and without it."""

import os
import pwd
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_urlsafe
from typing import Any

import httpx2
import jwt
import pytest
import redis
import yaml

from delegation import wiring
from delegation.audit.keys import write_new
from delegation.dev.cast import CALENDAR_API, CALENDAR_MCP, ROOMS_API
from delegation.dev.servers import listening
from delegation.dev.world import World, running_world
from delegation.domain.administration import Capability, Stop
from delegation.domain.errors import ALARMING
from delegation.domain.locks import EVERYTHING
from delegation.domain.registry import Registry
from delegation.ledger.server import Server
from delegation.registry.loader import Snapshot, parse
from delegation.storeurl import StoreUrl
from tests.attacks.endpoint import ACCESS_TOKEN, EXCHANGE
from tests.audit.trails import KEY
from tests.cli.command import run
from tests.docs.pages import ROOT, alike, blocks, table
from tests.docs.test_explanations import missing
from tests.ledger import topologies

STOP, HOLD, STORE = (
    ROOT / f"docs/how-to/{name}.md"
    for name in ("stop-an-agent", "who-holds-what", "durability-and-topologies")
)

LOGIN, US = "https://login.example.com", "https://sts.example.com"

BOBS, FIRST, SECOND = (
    "25-IRkh_vO_iTt39EkUDFPiaw",
    "39-mddoxvXI5ysGOUBJV8H7MQ",
    "39-m_haU-AwwAa1RoQuooXgdQ",
)
"""The exchanges on the pages: Bob's, Alice's, and what grew from hers."""

ID = r"[0-9]+-[A-Za-z0-9_-]{22}"
LOCK = re.compile(rf"^  lock +({ID})$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The world of the pages, with an admin API at *admin_url*; *store* is a plain client."""

    world: World
    admin_url: str
    store: "redis.Redis"

    @property
    def desk(self) -> dict[str, str]:
        """The settings of whoever administers against the API."""
        token = self.world.issuer.token(
            user="security",
            agent="delegation",
            audience=self.world.settings.admin_audience,
            scope=" ".join(Capability),
        )
        return {"DELEGATION_ADMIN_API": self.admin_url, "DELEGATION_ADMIN_TOKEN": token}

    def exchange(self, client: str, token: str, resource: str) -> httpx2.Response:
        """What *client* is answered."""
        form = {
            "grant_type": EXCHANGE,
            "subject_token": token,
            "subject_token_type": ACCESS_TOKEN,
            "resource": resource,
        }
        with httpx2.Client(trust_env=False) as http:
            return http.post(
                f"{self.world.url}/token", data=form, auth=(client, self.world.secrets[client])
            )

    def token(self, user: str, **claims: str) -> str:
        """What the agent sent to the MCP server."""
        return self.world.issuer.token(
            user=user,
            agent="desk-agent",
            audience=CALENDAR_MCP,
            scope="calendar:read",
            groups=["staff"],
            **claims,
        )

    def begin_anew(self) -> None:
        """Nothing of another test is alive, or stops anything, or stands in the evidence."""
        for partition in self.world.store.partitions.all():
            self.store.delete(partition.events, partition.refusals)
            self.store.hset(partition.layout, mapping={"events": 0, "refusals": 0})
        registry = Registry.of(issuer=self.world.url, revision="none")
        administration = wiring.administration(self.world.store, lambda: registry)
        now = administration.now()
        administration.stop(Stop(target=EVERYTHING, reason="x", ends_at=now), author="test")
        for lock in administration.standing():
            administration.lift(lock, reason="x", author="test", mistaken=False)


@contextmanager
def serving(command: str, environment: Mapping[str, str], url: str, cwd: Path) -> Iterator[None]:
    """What *command* serves, ready."""
    arguments = shlex.split(command)
    process = subprocess.Popen(  # noqa: S603, our own page
        [Path(sys.executable).with_name(arguments[0]), *arguments[1:]], env=environment, cwd=cwd
    )
    try:
        deadline = time.monotonic() + 20
        with httpx2.Client(trust_env=False) as http:
            while True:
                try:
                    if http.get(f"{url}/readyz").is_success:
                        break
                except httpx2.TransportError:
                    pass
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(name="place", scope="module")
def _place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A running service, the admin API by the page's own command, and a store that is durable."""
    directory = tmp_path_factory.mktemp("stopping")
    directory.chmod(0o700)
    with listening(0) as listener:
        bind = f"127.0.0.1:{listener.getsockname()[1]}"
    with (
        running_world(directory, workers=1) as world,
        redis.Redis.from_url(world.settings.redis_url) as store,
    ):
        store.config_set("appendfsync", "always")
        _edit(world.settings.registry / "world.yaml")
        environment = {**_others(), **world.environment, "DELEGATION_ADMIN_BIND": bind}
        with serving("delegation admin serve", environment, f"http://{bind}", directory):
            place = Place(world=world, admin_url=f"http://{bind}", store=store)
            _wait_until_edited(place)
            yield place


def _edit(file: Path) -> None:
    """Let the rooms API introspect, as the page has it, and be for whoever a test makes up."""
    entries = yaml.safe_load(file.read_text())
    (rooms,) = (one for one in entries["resources"] if one["identifier"] == ROOMS_API)
    rooms["introspects"] = True
    entries["clients"].append({"id": "rooms-api", "audience": ROOMS_API, "exchange": False})
    (grant,) = (one for one in entries["grants"] if one["resource"] == ROOMS_API)
    grant["subjects"] = [{"issuer": "corp", "everyone": True}]
    file.write_text(yaml.safe_dump(entries))


def _wait_until_edited(place: Place) -> None:
    """The service reads its registry anew within two seconds."""
    first = _issued(place, "calendar-mcp", place.token("carol"), CALENDAR_API)
    deadline = time.monotonic() + 20
    while place.exchange("calendar-api", first, ROOMS_API).status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _others() -> dict[str, str]:
    found = {name: text for name, text in os.environ.items() if "DELEGATION_" not in name}
    return found | {"PATH": f"{Path(sys.executable).parent}:{found['PATH']}"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Three exchanges, as on the pages, and whoever runs their commands in *environment*.

    *names* are what stands on the pages, each with what it is here.
    """

    place: Place
    environment: Mapping[str, str]
    cwd: Path
    names: dict[str, str] = field(default_factory=dict)

    def here(self, text: str) -> str:
        """A command of a page, for this world."""
        for shown, ours in self.names.items():
            text = text.replace(shown, ours)
        return text

    def shown(self, text: str) -> str:
        """What was said in this world, as a page has it."""
        for shown, ours in self.names.items():
            text = text.replace(ours, shown)
        return text

    def says(self, command: str, *, status: int = 0) -> str:
        """What a command of a page says; a plain one of ours is run in this process."""
        line = self.here(command)
        if line.startswith("delegation ") and not re.search(r"[|<>$\n]", line):
            ran = run(*shlex.split(line)[1:], environment=self.environment)
            assert ran.status == status, ran.err
            return ran.out + ran.err
        shell = subprocess.run(  # noqa: S603
            ["bash", "-e", "-o", "pipefail", "-c", line],  # noqa: S607
            cwd=self.cwd,
            env=_others() | dict(self.environment),
            check=False,
            capture_output=True,
            text=True,
        )
        assert shell.returncode == status, shell.stderr
        return shell.stdout

    def agrees(self, command: str, expected: str, *, status: int = 0) -> None:
        """Run *command*, and learn which lock is which; it must say what is *expected*."""
        said = self.says(command, status=status)
        self.names.update(zip(LOCK.findall(expected), LOCK.findall(said), strict=False))
        said = self.shown(said)
        assert not expected or alike(told(said), told(expected)), said

    def follow(self, page: Path) -> int:
        """Run every command of *page* in order; how many there were."""
        found = commands(page)
        if "DELEGATION_ADMIN_API" not in self.environment:
            found = [one for one in found if "$DELEGATION_ADMIN_API" not in one[0]]
        for command, expected in found:
            self.agrees(command, expected)
        return len(found)


def commands(page: Path) -> list[tuple[str, str]]:
    """Each command of *page* with the text that stands right below it; one that serves is apart."""
    found = blocks(page)
    return [
        (text.replace("\\\n", " ").strip(), below if kind_below == "text" else "")
        for (kind, text), (kind_below, below) in zip(found, [*found[1:], ("", "")], strict=True)
        if kind == "console" and not text.startswith(("export", "delegation admin serve"))
    ]


def told(text: str) -> str:
    """Without what differs from one night to the next: times, widths, and the order of a table."""
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME", text.strip())
    text = re.sub(r"in \d+ min \d+ s", "in a while", text)
    lines = [re.sub(r"(?<=\S)  +", "  ", line).rstrip() for line in text.splitlines()]
    return "\n".join(sorted(lines) if lines[0].startswith("EXCHANGE") else lines)


@pytest.fixture(name="scene", params=["api", "local"])
def _scene(place: Place, request: pytest.FixtureRequest, tmp_path: Path) -> Scene:
    """What the pages begin with, for whoever has the API, and for whoever has the store."""
    user = f"local:{pwd.getpwuid(os.getuid()).pw_name}"
    is_local = request.param == "local"
    scene = Scene(
        place=place,
        environment=dict(place.world.environment)
        | {"DELEGATION_AUDIT_KEY": str(tmp_path / "audit.key")}
        | ({} if is_local else place.desk),
        cwd=tmp_path,
    )
    write_new(tmp_path / "audit.key", KEY)
    people = {name: f"{name}-{token_urlsafe(8)}" for name in ("alice", "bob")}
    login = f"id-{token_urlsafe(8)}"
    place.begin_anew()
    bob, alice = place.token(people["bob"]), place.token(people["alice"], jti=login)
    bobs, first = (_issued(place, "calendar-mcp", token, CALENDAR_API) for token in (bob, alice))
    second = _issued(place, "calendar-api", first, ROOMS_API)
    assert place.exchange("notes-mcp", alice, CALENDAR_API).status_code == 400
    exchanges = {BOBS: bobs, FIRST: first, SECOND: second}
    scene.names.update({shown: _jti(token) for shown, token in exchanges.items()})
    scene.names.update(
        {
            f"{LOGIN}|security": user if is_local else f"{place.world.issuer.url}|security",
            LOGIN: place.world.issuer.url,
            US: place.world.url,
            "https://calendar.example.com/api": CALENDAR_API,
            "https://rooms.example.com/api": ROOMS_API,
            "192.0.2.7": "127.0.0.1",
            "login-1": login,
        }
        | people
    )
    return scene


def _issued(place: Place, client: str, token: str, resource: str) -> str:
    answer = place.exchange(client, token, resource)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])


def _jti(token: str) -> str:
    return str(jwt.decode(token, options={"verify_signature": False})["jti"])


def test_the_five_minutes(scene: Scene) -> None:
    """From the alarm to the lift, and what is left of it: each command says what is shown."""
    assert scene.follow(STOP) >= 12


def test_who_holds_what(scene: Scene) -> None:
    """What is listed, and one exchange among its relatives, as it is shown."""
    assert scene.follow(HOLD) >= 3


def test_each_question_has_its_command(scene: Scene) -> None:
    """Every row finds something."""
    rows = table(HOLD.read_text("utf-8"), "you ask", "command")

    found = {row[0]: scene.says(row[1].strip("`")) for row in rows}

    assert len(found) == 8
    assert all(said.startswith("EXCHANGE ") for said in found.values()), found


def test_each_case_has_its_stop(scene: Scene) -> None:
    """Every row reaches something, and what it should: Bob's as well where it is about all."""
    rows = table(STOP.read_text("utf-8"), "what went wrong", "stop it with")
    for_alice = {"--pair", "--subject", "revoke", "--token"}

    for _, command in rows:
        said = scene.says(f"{command.strip('`')} --reason x --dry-run")
        reached = re.findall(r"(\d+) alive", said)
        assert reached == ["2" if for_alice & {*command.split()} else "3"], said

    assert len(rows) == 11


def test_a_stop_that_is_done_in_part(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says so and what to do; done as it says, it is one lock, and stands everywhere."""
    monkeypatch.setattr("delegation.cli.admin_api._ATTEMPTS", 1)
    command = 'delegation lock --client calendar-mcp --reason "INC-7"'
    (expected,) = (text for kind, text in blocks(STOP) if kind == "text" and "missing" in text)
    layout = scene.place.world.store.partitions.all()[17].layout
    kept = scene.place.store.dump(layout)

    scene.place.store.delete(layout)
    said = scene.says(command, status=1)
    scene.place.store.restore(layout, 0, kept)
    [(key, shown)] = zip(
        re.findall(r"--key (\S+),", said), re.findall(r"--key (\S+),", expected), strict=True
    )
    assert expected in said.replace(key, shown)
    again = [scene.says(f"{command} --key {key}") for _ in "ab"]
    (lock,) = {one for said in again for one in LOCK.findall(said)}
    scene.says(f"delegation unlock {lock} --reason x")


def test_the_scopes_are_the_capabilities() -> None:
    """Each has its row."""
    named = [row[0].strip("`") for row in table(STOP.read_text("utf-8"), "scope", "for")]

    assert named == [*Capability]


def test_every_alarm_is_explained() -> None:
    """Each cause that alarms has its row."""
    rows = table(STOP.read_text("utf-8"), "cause", "what it looks like")

    assert sorted(row[0].strip("`") for row in rows) == sorted(ALARMING)


def test_the_entries_load() -> None:
    """An admin issuer, and an API that asks."""
    admins, rooms = (text for kind, text in blocks(STOP) if kind == "yaml")
    client = {"id": "calendar-api", "audience": "https://calendar.example.com/api"}
    clients = {"clients": [client | {"exchange": True}]}
    files = {"a.yaml": admins, "b.yaml": rooms, "c.yaml": yaml.safe_dump(clients)}

    registry = parse(
        Snapshot(tuple((name, text.encode()) for name, text in files.items())), issuer=US
    )

    assert [*registry.admin_issuers] == [LOGIN]
    assert [one.introspects for one in registry.resources.values()] == [True]


def test_every_url_is_one() -> None:
    """Each topology, by its scheme."""
    rows = table(STORE.read_text("utf-8"), "store", "URL")

    found = [StoreUrl.parse(row[1].strip("`")) for row in rows]

    assert [one.topology for one in found] == ["", "", "sentinel", "cluster"]
    assert found[2].primary == "delegation"
    assert [len(one.hosts) for one in found[2:]] == [3, 3]


def test_the_store_can_be_told_so() -> None:
    """A real server takes every line, and drops nothing; without a replica it takes nothing."""
    _, text = next(block for block in blocks(STORE) if block[1].startswith("maxmemory-policy"))
    config: dict[str, Any] = dict(line.split(" ", 1) for line in text.splitlines())

    with topologies.one_server(**config) as alone:
        server = Server(alone.url, timeout=2)
        try:
            assert not server.evicts()
        finally:
            server.close()
        with pytest.raises(redis.ResponseError, match="NOREPLICAS"):
            alone.raw.set("x", "y")

    assert (
        topologies.SAFE.items()
        <= {
            name: int(value) if value.isdigit() else value for name, value in config.items()
        }.items()
    )


def test_every_test_that_is_named_is_there() -> None:
    """Whoever follows a link to a test finds it."""
    assert missing(STORE.read_text("utf-8"), STORE) == []


def test_after_a_loss(scene: Scene) -> None:
    """An emptied store is not believed. From the evidence it has its stops again, and no more."""
    place, alice = scene.place, scene.place.token("alice")
    before = _issued(place, "calendar-mcp", alice, CALENDAR_API)
    scene.says("delegation lock --client notes-mcp --reason x")
    trail = scene.cwd / "audit"
    scene.says(f"delegation audit seal --once {trail}")
    (check, missing_layout), (replay, replayed) = commands(STORE)
    place.store.flushall()

    scene.agrees(check, missing_layout, status=1)
    assert place.exchange("calendar-api", before, ROOMS_API).status_code == 503
    scene.agrees(replay.replace(" audit", f" {trail}"), replayed)

    assert place.exchange("calendar-api", before, ROOMS_API).json()["reason"] == (
        "subject_token_rejected"
    )
    assert place.exchange("calendar-mcp", alice, CALENDAR_API).status_code == 200
    assert "notes-mcp" in scene.says("delegation locks")
