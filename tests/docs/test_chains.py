"""The page on chains is true: its registry is in force, its commands run, its tables hold."""

import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_urlsafe
from typing import Any

import httpx2
import jwt
import pytest
import yaml

from delegation.audit.keys import write_new
from delegation.dev.world import World, running_world
from delegation.domain.registry import Registry
from delegation.ledger.exchanges import RedisExchanges
from delegation.registry.loader import Snapshot, parse
from delegation.registry.secrets import digest, new_secret
from tests.attacks.endpoint import ACCESS_TOKEN, EXCHANGE, JWT
from tests.audit.trails import KEY
from tests.cli.command import run
from tests.docs.pages import ROOT, alike, blocks, table
from tests.signing import ABSENT
from tests.world import Login, key_server

PAGE = ROOT / "docs/how-to/chains-over-several-services.md"
TEXT = PAGE.read_text("utf-8")
BLOCKS = blocks(PAGE)

US, LOGIN, PLATFORM = (f"https://{name}.example.com" for name in ("sts", "login", "workloads"))
CALENDAR, ROOMS, DOORS = (
    f"https://{name}.example.com/api" for name in ("calendar", "rooms", "doors")
)
PATH = (("calendar-mcp", CALENDAR), ("calendar-api", ROOMS), ("rooms-api", DOORS))


Entries = dict[str, list[dict[str, Any]]]


def of(language: str) -> list[str]:
    """The blocks of the page in one language."""
    return [text for kind, text in BLOCKS if kind == language]


ISSUERS, CLIENTS, RESOURCES, GRANTS, COMING_BACK, PLATFORMS, WORKLOADS = map(
    yaml.safe_load, of("yaml")
)


def merged(*parts: Mapping[str, list[dict[str, Any]]]) -> Entries:
    """All entries of *parts*; where two are called alike, the later one."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for part in parts:
        for section, entries in part.items():
            names = ("id", "alias", "identifier")
            called = {next(one[name] for name in names if name in one): one for one in entries}
            found[section] = found.get(section, {}) | called
    return {section: list(entries.values()) for section, entries in found.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Chains:
    """The world of the page: *login* and *platform* stand for those that it names."""

    world: World
    login: Login
    platform: Login
    secrets: Mapping[str, str] = field(repr=False)

    def configure(self, *parts: Mapping[str, list[dict[str, Any]]]) -> None:
        """Put these entries into force, at addresses that are here and with secrets of ours."""
        write(self.world.directory, merged(*parts), self.login, self.platform, self.secrets)

    def shown(self, text: str) -> str:
        """*text* with the addresses that the page has."""
        here = {self.world.url: US, self.login.issuer: LOGIN, self.platform.issuer: PLATFORM}
        for ours, theirs in here.items():
            text = text.replace(ours, theirs)
        return text

    def alices(self, **claims: Any) -> str:
        """What the agent sent to the MCP server."""
        return self.login.token(**claims)

    def planners(self) -> str:
        """What the platform gave to the planner: the claims that the page shows, and now."""
        (shown,) = map(json.loads, of("json"))
        now = int(time.time())
        lifetime = shown["exp"] - shown["iat"]
        claims = shown | {
            "iss": self.platform.issuer,
            "aud": self.world.url,
            "iat": now,
            "exp": now + lifetime,
        }
        return self.platform.sign(self.platform.header(typ=ABSENT), claims)

    def exchange(self, client: str, token: str, resource: str, **also: str) -> httpx2.Response:
        """What *client* is answered."""
        form = {
            "grant_type": EXCHANGE,
            "subject_token": token,
            "subject_token_type": ACCESS_TOKEN,
            "resource": resource,
        }
        with httpx2.Client(trust_env=False) as http:
            return http.post(
                f"{self.world.url}/token", data=form | also, auth=(client, self.secrets[client])
            )

    def along(self, token: str, *path: tuple[str, str]) -> list[str]:
        """Each token of a chain, one traded for the next."""
        tokens = []
        for client, resource in path:
            answer = self.exchange(client, token, resource)
            assert answer.status_code == 200, answer.text
            token = answer.json()["access_token"]
            tokens.append(token)
        return tokens


def write(
    directory: Path, entries: Entries, login: Login, platform: Login, secrets: Mapping[str, str]
) -> None:
    """The registry of a world, from entries of the page."""
    text = json.dumps(entries).replace(LOGIN, login.issuer).replace(PLATFORM, platform.issuer)
    found = json.loads(text)
    for entry in (*found["issuers"], *found["actor_issuers"]):
        entry["private_network"] = True
    for client in found["clients"]:
        client["secrets"] = [digest(secrets[client["id"]])]
    (directory / "registry").mkdir(mode=0o700, exist_ok=True)
    (directory / "registry" / "page.yaml").write_text(yaml.safe_dump(found))


ALL = (ISSUERS, CLIENTS, RESOURCES, GRANTS, PLATFORMS, WORKLOADS)


@pytest.fixture(name="chains", scope="module")
def _chains(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chains]:
    """A running service with the registry of the page."""
    directory = tmp_path_factory.mktemp("chains")
    directory.chmod(0o700)
    secrets = {client: new_secret() for client, _ in PATH}
    usual = {
        "sub": "alice",
        "aud": "https://calendar-mcp.example.com/mcp",
        "client_id": "desk-agent",
        "scope": "calendar:write",
        "groups": ["staff"],
    }
    with key_server() as keys:
        login = Login(f"{keys.url}/login", usual=usual)
        platform = Login(f"{keys.url}/platform", usual={})
        keys.documents.update({"/login/jwks": login.jwks(), "/platform/jwks": platform.jwks()})
        write(directory, merged(*ALL), login, platform, secrets)
        with running_world(directory, workers=1) as world:
            yield Chains(world=world, login=login, platform=platform, secrets=secrets)


def claims_of(token: str) -> dict[str, Any]:
    """What a token says."""
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims


def chain_of(token: str) -> list[str]:
    """Who acts, current first."""
    found, hop = [], claims_of(token).get("act")
    while hop is not None:
        found.append(hop["sub"])
        hop = hop.get("act")
    return found


def test_the_entries_load_as_they_stand() -> None:
    """Each step can be copied from the page, and so can what the later sections change."""

    def load(*parts: Mapping[str, list[dict[str, Any]]]) -> Registry:
        return parse(Snapshot((("a.yaml", json.dumps(merged(*parts)).encode()),)), issuer=US)

    first = load(ISSUERS, CLIENTS, RESOURCES, GRANTS)
    whole = load(*ALL, COMING_BACK)

    assert [client.audience for client in first.clients.values()][1:] == [CALENDAR, ROOMS]
    assert len(whole.grants) == len(first.grants) + 1
    assert len(whole.actor_issuers) == 1


def test_every_command_does_what_is_shown(chains: Chains, tmp_path: Path) -> None:
    """From Alice's token over three services to the evidence, and then with a workload's JWT."""
    for client, secret in chains.secrets.items():
        (tmp_path / f"{client}.secret").write_text(secret)
    (tmp_path / "alice.jwt").write_text(chains.alices())
    (tmp_path / "planner.jwt").write_text(chains.planners())
    environment = os.environ | chains.world.environment
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    environment["DELEGATION_AUDIT_KEY"] = str(tmp_path / "audit.key")
    write_new(tmp_path / "audit.key", KEY)
    commands = [
        (text, BLOCKS[index + 1][1] if BLOCKS[index + 1][0] == "text" else "")
        for index, (kind, text) in enumerate(BLOCKS)
        if kind == "console" and not text.startswith("export")
    ]

    for command, expected in commands:
        second = tmp_path / "second.jwt"
        known = {"txn": claims_of(second.read_text().strip())["txn"]} if second.exists() else {}
        ran = subprocess.run(  # noqa: S603
            ["bash", "-e", "-o", "pipefail", "-c", command],  # noqa: S607
            cwd=tmp_path,
            env=environment | known,
            check=False,
            capture_output=True,
            text=True,
        )

        said = chains.shown(ran.stdout).strip()
        assert ran.returncode == 0, ran.stderr
        assert alike(said, expected.strip()), said

    assert len(commands) == 5
    assert f"export DELEGATION_ISSUER={US}\n" in of("console")


def test_the_tokens_say_what_the_table_says(chains: Chains) -> None:
    """Claim by claim, from Alice's token to the third that grew from it."""
    alice = chains.alices()
    tokens = [alice, *chains.along(alice, *PATH)]
    names = {LOGIN: "the login", US: "this service", CALENDAR: "calendar API"} | {
        "https://calendar-mcp.example.com/mcp": "calendar-mcp",
        ROOMS: "rooms API",
        DOORS: "doors API",
    }

    def say(claim: str, token: str) -> str:
        claims = claims_of(token)
        if claim == "act":
            return " ".join(chain_of(token))
        if claim == "lives for":
            seconds = claims["exp"] - claims["iat"]
            return "an hour" if token == alice else f"{seconds} s"
        value = chains.shown(claims[claim])
        return names.get(value, value)

    rows = table(TEXT, "claim", "Alice's token", "first", "second", "third")
    shown = {row[0].strip("`"): row[1:] for row in rows}

    assert {
        claim: [cell.replace("`", "").replace(r"\|", "|") for cell in cells]
        for claim, cells in shown.items()
    } == {claim: [say(claim, token) for token in tokens] for claim in shown}
    assert len({claims_of(token)["txn"] for token in tokens[1:]}) == 1
    assert claims_of(tokens[1])["txn"] == claims_of(tokens[1])["jti"]


def test_two_first_exchanges_are_two_transactions(chains: Chains) -> None:
    """Even of the same token of Alice's."""
    alice = chains.alices()

    first, other = (claims_of(chains.along(alice, PATH[0])[0])["txn"] for _ in "ab")

    assert first != other


def test_the_path_is_that_of_the_grants(chains: Chains) -> None:
    """Nobody skips a hop, or trades what was issued for another."""
    alice = chains.alices()
    first, second, _ = chains.along(alice, *PATH)

    for client, token, resource in (
        ("calendar-api", first, DOORS),
        ("rooms-api", first, DOORS),
        ("calendar-api", second, ROOMS),
        ("rooms-api", alice, DOORS),
    ):
        assert chains.exchange(client, token, resource).status_code == 400


BY_ITSELF, WITH_ACTOR = 1, 2


@pytest.mark.parametrize(
    "row",
    table(
        TEXT,
        "`may_act` in Alice's token",
        "`calendar-mcp` by itself",
        "`calendar-mcp` with the planner's JWT",
    ),
    ids=lambda row: row[0].strip("`"),
)
@pytest.mark.parametrize("column", [BY_ITSELF, WITH_ACTOR], ids=["alone", "planner"])
def test_may_act_decides_as_the_table_says(chains: Chains, row: list[str], column: int) -> None:
    """Each row, with and without an actor token."""
    text = row[0].strip("`")
    may_act = {} if text == "none" else {"may_act": json.loads(text)}
    if chains.platform.issuer not in text:
        may_act = json.loads(
            json.dumps(may_act)
            .replace(PLATFORM, chains.platform.issuer)
            .replace(LOGIN, chains.login.issuer)
        )
    shown = {"actor_token": chains.planners(), "actor_token_type": JWT}
    also = shown if column == WITH_ACTOR else {}

    answer = chains.exchange("calendar-mcp", chains.alices(**may_act), CALENDAR, **also)

    expected = {"yes": (200, None), "no": (400, "not_permitted")}[row[column]]
    assert (answer.status_code, answer.json().get("reason")) == expected


@contextmanager
def stopped(chains: Chains, command: str) -> Iterator[None]:
    """While a stop of the page stands, given by somebody with the settings of the service."""
    here = {US: chains.world.url, LOGIN: chains.login.issuer, PLATFORM: chains.platform.issuer}
    for theirs, ours in here.items():
        command = command.replace(theirs, ours)
    reason = ["--reason", "incident 7"]
    environment = chains.world.environment
    ran = run(*shlex.split(command), *reason, "--output", "json", environment=environment)
    assert ran.status == 0, ran.err
    yield
    lifted = run("unlock", json.loads(ran.out)["lock"]["id"], *reason, environment=environment)
    assert lifted.status == 0, lifted.err


def alive(chains: Chains, tokens: Iterable[str]) -> list[str]:
    """Of each token whether it is."""
    exchanges = RedisExchanges(chains.world.store)
    found = [exchanges.find(claims_of(token)["jti"]) for token in tokens]
    return ["alive" if one is not None and one.alive else "dead" for one in found]


@pytest.mark.parametrize(
    "row",
    table(TEXT, "what went wrong", "`delegation ...`", "first", "second", "third"),
    ids=lambda row: row[0],
)
def test_a_lock_reaches_what_the_table_says(chains: Chains, row: list[str]) -> None:
    """Each row, put on a chain that lives: which of its three tokens are dead then, and after."""
    name, login = f"alice-{token_urlsafe(8)}", f"login-{token_urlsafe(8)}"
    token = chains.alices(sub=name, jti=login)
    tokens = chains.along(token, *PATH)
    assert alive(chains, tokens) == ["alive"] * 3
    names = {"alice": name, "login-1": login, "$second": claims_of(tokens[1])["jti"]}
    command = " ".join(names.get(word, word) for word in row[1].strip("`").split())

    with stopped(chains, command):
        found = alive(chains, tokens)
        again = chains.exchange("calendar-mcp", token, CALENDAR)

    assert found == alive(chains, tokens) == row[2:]
    assert (again.status_code == 200) is (row[2] == "alive")


def test_a_lock_on_a_workload_reaches_all_that_it_began(chains: Chains) -> None:
    """The actor is the workload, and the client that showed it is found as well."""
    shown = {"actor_token": chains.planners(), "actor_token_type": JWT}
    answer = chains.exchange("calendar-mcp", chains.alices(), CALENDAR, **shown)
    first = answer.json()["access_token"]
    (second,) = chains.along(first, PATH[1])
    (command,) = re.findall(r"A workload is an actor: `(.*)`\.", TEXT)

    with stopped(chains, command):
        assert alive(chains, [first, second]) == ["dead", "dead"]

    assert chain_of(second) == ["calendar-api", "spiffe://example.com/planner", "desk-agent"]


def until(holds: Callable[[], bool]) -> None:
    """Wait until it does; a changed registry is read within two seconds."""
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_service_that_comes_back(chains: Chains) -> None:
    """Refused as the page begins, and possible with what it shows; and then not once more."""
    round_trip = (*PATH[:2], ("rooms-api", CALENDAR))
    without_cycles = json.loads(json.dumps(COMING_BACK))
    del without_cycles["grants"][1]["cycles"]
    chains.configure(*ALL, without_cycles)
    alice = chains.alices()
    second = chains.along(alice, *PATH[:2])[-1]
    until(lambda: chains.exchange("rooms-api", second, CALENDAR).status_code == 200)
    back = chains.along(alice, *round_trip)[-1]
    assert chains.exchange("calendar-api", back, ROOMS).json()["reason"] == "not_permitted"

    chains.configure(*ALL, COMING_BACK)

    until(lambda: chains.exchange("calendar-api", back, ROOMS).status_code == 200)
    (around,) = chains.along(back, ("calendar-api", ROOMS))
    assert chain_of(around) == [
        "calendar-api",
        "rooms-api",
        "calendar-api",
        "calendar-mcp",
        "desk-agent",
    ]
    assert chains.exchange("rooms-api", around, CALENDAR).status_code == 400
