"""The page on protecting an API is true: both apps run as shown, and answer as shown."""

import asyncio
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest

from delegation.client.resource_server import ResourceServer
from delegation.dev.cast import CALENDAR_API, CALENDAR_MCP
from delegation.dev.kept import Directory
from delegation.dev.world import World, running_world
from delegation.resource_metadata import resource_metadata
from tests.attacks.endpoint import ACCESS_TOKEN, EXCHANGE
from tests.docs.pages import ROOT, alike, blocks, table
from tests.signing import SigningParty

PAGE = ROOT / "docs/tutorial/protect-your-api.md"
EXAMPLES = ROOT / "docs/examples"
BLOCKS = blocks(PAGE)

FLASK = "flask --app docs/examples/api_flask run --port 8001\n"
FASTAPI = "uvicorn --app-dir docs/examples api_fastapi:app --port 8002\n"
SERVERS = (FLASK, FASTAPI)
NOT_RUN = ("pip install", ". .venv/bin/activate", *SERVERS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Where the page plays: a world in `.delegation`, and both apps. *ports* are those it names,
    and where they are.
    """

    directory: Path
    world: World
    environment: Mapping[str, str] = field(repr=False)
    ports: Mapping[str, int]

    def here(self, text: str) -> str:
        """*text* with the ports that there are."""
        for shown, port in self.ports.items():
            text = text.replace(f":{shown}", f":{port}")
        return text

    def token(self) -> str:
        """Alice's token for the API, as the MCP server gets it."""
        alices = self.world.issuer.token(
            user="alice",
            agent="desk-agent",
            audience=CALENDAR_MCP,
            scope="calendar:read",
            groups=["staff"],
        )
        with httpx2.Client(trust_env=False) as http:
            answer = http.post(
                f"{self.world.url}/token",
                data={
                    "grant_type": EXCHANGE,
                    "subject_token": alices,
                    "subject_token_type": ACCESS_TOKEN,
                    "resource": CALENDAR_API,
                },
                auth=("calendar-mcp", self.world.secrets["calendar-mcp"]),
            )
            return str(answer.json()["access_token"])

    def run(self, command: str) -> str:
        """What a command prints."""
        ran = subprocess.run(  # noqa: S603
            ["bash", "-e", "-o", "pipefail", "-c", self.here(command)],  # noqa: S607
            cwd=self.directory,
            env=dict(self.environment),
            check=False,
            capture_output=True,
            text=True,
        )
        assert ran.returncode == 0, ran.stderr
        return ran.stdout


@pytest.fixture(name="scene", scope="module")
def _scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """Everything that the page starts, started."""
    directory = tmp_path_factory.mktemp("page")
    kept = Directory.beside(directory / ".delegation" / "dev.env").path
    kept.mkdir(mode=0o700, parents=True)
    with ExitStack() as stack:
        world = stack.enter_context(running_world(kept, workers=1))
        environment = {name: os.environ[name] for name in ("HOME", "LANG") if name in os.environ}
        environment |= {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "NO_PROXY": "127.0.0.1",
            "DELEGATION_ISSUER": world.url,
            "DELEGATION_CLIENT_ID": "calendar-mcp",
            "DELEGATION_CLIENT_SECRET": world.secrets["calendar-mcp"],
            "DELEGATION_RESOURCE": CALENDAR_API,
        }
        more = {"CALENDAR_API_SECRET": world.secrets["calendar-api"]}
        ports = {
            command.split()[-1]: stack.enter_context(_served(command, environment | more))
            for command in SERVERS
        }
        for port in ports.values():
            _until_it_answers(port)
        yield Scene(directory=directory, world=world, environment=environment, ports=ports)


@contextmanager
def _served(command: str, environment: Mapping[str, str]) -> Iterator[int]:
    """The app of a command of the page, started on a port of its own."""
    port = _free_port()
    *words, _ = command.split()
    with subprocess.Popen(  # noqa: S603, our own page
        [sys.executable, "-m", *words, str(port)],
        cwd=ROOT,
        env={**environment, "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            yield port
        finally:
            process.terminate()


def _free_port() -> int:
    """One that nobody listens on, below those that the system gives to whoever connects."""
    while True:
        port = 10_000 + secrets.randbelow(20_000)
        with socket.socket() as one, suppress(OSError):
            one.bind(("127.0.0.1", port))
            return port


def _until_it_answers(port: int) -> None:
    deadline = time.monotonic() + 20
    with httpx2.Client(trust_env=False, timeout=2) as http:
        while time.monotonic() < deadline:
            with suppress(httpx2.HTTPError):
                assert http.get(f"http://127.0.0.1:{port}/health").json() == {"healthy": True}
                return
            time.sleep(0.05)
    raise AssertionError("it does not answer")


def test_the_apps_are_those_of_the_page() -> None:
    """What can be copied from the page lies beside it."""
    shown = [text for kind, text in BLOCKS if kind == "python"]

    assert shown[:2] == [
        (EXAMPLES / name).read_text("utf-8") for name in ("api_flask.py", "api_fastapi.py")
    ]


@pytest.mark.standard("9068-2.1-1", "9700-2.3", "6750-1", "7662-1", "7009-4", "9700-2.6")
def test_every_command_does_what_is_shown(scene: Scene) -> None:
    """From the first refusal over a real exchange to the stop, which one API sees and one not."""
    commands = [
        (text, BLOCKS[index + 1][1] if BLOCKS[index + 1][0] == "text" else "")
        for index, (kind, text) in enumerate(BLOCKS)
        if kind == "console" and not text.startswith(NOT_RUN)
    ]

    for command, expected in commands:
        if command.startswith("export"):
            command = f"{command}\necho $CALENDAR_API_SECRET"  # noqa: PLW2901
            expected = scene.world.secrets["calendar-api"]  # noqa: PLW2901
        said = scene.run(command).replace("\r", "").strip()
        assert alike(said, expected.strip()), (command, said)

    assert len(commands) == 9


def test_any_other_framework(scene: Scene) -> None:
    """The last block runs, with real tokens."""
    code = [text for kind, text in BLOCKS if kind == "python"][2]
    token = scene.token()
    with httpx2.Client(trust_env=False) as http:
        api = ResourceServer(issuer=scene.world.url, resource=CALENDAR_API, http=http)
        names: dict[str, Any] = {"api": api}
        exec(compile(code, str(PAGE), "exec"), names)  # noqa: S102, it is our own page

        def handle(*headers: str) -> Any:
            return asyncio.run(names["handle"](headers, ""))

        assert handle(f"Bearer {token}") == (200, {}, {"of": "alice"})
        status, headers, body = handle()

    assert (status, body) == (401, {})
    assert headers["WWW-Authenticate"].startswith("Bearer resource_metadata=")


def test_the_table_of_answers(scene: Scene) -> None:
    """Each row but the one about an outage: that is tried where an outage is cheap."""
    rows = {row[0]: row[1] for row in table(PAGE.read_text("utf-8"), "the request", "answer")}
    token = scene.token()
    forged = SigningParty(scene.world.url).token()
    cases = [({}, ""), ({"Authorization": f"Bearer {token}"}, "access_token=x")]
    cases += [({"Authorization": f"Bearer {forged}"}, "")]
    with httpx2.Client(trust_env=False) as http:
        found = [
            http.get(f"http://127.0.0.1:{port}/events?{query}", headers=headers)
            for port in scene.ports.values()
            for headers, query in cases
        ]

    said = [answer[:3] for answer in rows.values()]
    assert [str(answer.status_code) for answer in found] == [*said[:3], *said[:3]]
    for answer, shown in zip(found[:3], rows.values(), strict=False):
        assert answer.json().get("error", "no error") in shown


@pytest.mark.standard("9728-1")
def test_the_api_can_be_registered_from_its_metadata(scene: Scene) -> None:
    """Ours reads theirs: the identifier, us, and the scopes."""
    with httpx2.Client(trust_env=False) as http:
        document = http.get(
            f"http://127.0.0.1:{scene.ports['8001']}/.well-known/oauth-protected-resource/api"
        ).json()

    def fetch(url: str, **_: object) -> Any:
        assert url == "https://calendar.example/.well-known/oauth-protected-resource/api"
        return document

    found = resource_metadata(CALENDAR_API, our_issuer=scene.world.url, fetch=fetch)

    assert (found.identifier, found.scopes) == (CALENDAR_API, ("events.read", "events.write"))
