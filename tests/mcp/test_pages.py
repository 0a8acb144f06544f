"""The pages for MCP servers are true: the change is small, the servers run and answer as shown."""

import asyncio
import contextlib
import importlib.util
import io
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from mcp.shared.exceptions import MCPError
from starlette.middleware import Middleware

from delegation import wiring
from delegation.client import acting_for, errors, shared
from delegation.client.cache import REFRESH_AT, REFUSED_FOR, SKEW
from delegation.client.challenge import challenge
from delegation.client.errors import DelegationError, InsufficientScope
from delegation.client.stepup import StepUpMiddleware
from delegation.dev.cast import CALENDAR_MCP
from delegation.domain.administration import Stop
from delegation.domain.locks import Target
from delegation.domain.parties import Identity
from delegation.registry.loader import load
from tests.docs.pages import ROOT, alike, blocks, table
from tests.mcp.servers import FRAMEWORKS, Build
from tests.mcp.world import Agent, McpWorld, an_agent, serving

EXAMPLES = ROOT / "docs/examples"
TUTORIAL = ROOT / "docs/tutorial/call-an-api-for-your-user.md"
HOW_TO = ROOT / "docs/how-to/errors-and-step-up.md"

SERVERS = ("calendar_fastmcp", "calendar_mcp")
PYTHON = [text for kind, text in blocks(TUTORIAL) if kind == "python"]
BEFORE, AGENT, MORE, ON_THE_SDK, NIGHTLY = PYTHON


def source(name: str) -> str:
    """An example as it lies beside the pages."""
    return (EXAMPLES / f"{name}.py").read_text("utf-8")


def run(name: str) -> ModuleType:
    """An example as a module, with the environment that there is now."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(name="environment", scope="module")
def _environment(world: McpWorld) -> Iterator[pytest.MonkeyPatch]:
    """What the page takes over from the development world, and where its API is."""
    secrets = world.world.secrets
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        patch.setattr("delegation.client.exchanger._shared", {})
        patch.setenv("DELEGATION_ISSUER", world.world.url)
        patch.setenv("DELEGATION_CLIENT_ID", "calendar-mcp")
        patch.setenv("DELEGATION_CLIENT_SECRET", secrets["calendar-mcp"])
        patch.setenv("CALENDAR_API_SECRET", secrets["calendar-api"])
        patch.setenv("LOGIN", world.world.issuer.url)
        patch.setenv("NO_PROXY", "127.0.0.1")
        api = stack.enter_context(serving(run("api_fastapi").app))
        patch.setenv("CALENDAR_API", api)
        yield patch
        shared().close()


@pytest.fixture(name="url", scope="module", params=SERVERS)
def _url(environment: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[str]:  # noqa: ARG001
    """Where a server of the page is."""
    module = run(request.param)
    with serving(module.app) as url:
        yield url
        # It serves until its process ends, and so are its connections; here they end with it.
        asyncio.run(module.calendar.aclose())


def test_the_change_is_five_lines() -> None:
    """The diffs turn the server that was into the one that lies beside the page, but for the tool
    that is added later; and are no longer than that.
    """
    after, added = BEFORE, 0
    for diff in (text for kind, text in blocks(TUTORIAL) if kind == "diff"):
        lines = diff.splitlines()
        old, new = ("\n".join(line[1:] for line in lines if line[0] in f" {mark}") for mark in "-+")
        assert after.count(old) == 1
        after = after.replace(old, new)
        added += sum(line.startswith("+") and len(line) > 1 for line in lines)
    import_, tool = MORE.split("\n\n\n")

    assert added == 5
    assert source("calendar_fastmcp") == after.replace(
        f"{FIRST}\n", f"{FIRST}\n{import_}\n"
    ).replace("\n\n\napp =", f"\n\n\n{tool.rstrip()}\n\n\napp =")


FIRST = "from delegation.client import DelegatedAuth"


def test_what_can_be_copied_lies_beside_the_page() -> None:
    """The agent, and the server on the MCP SDK."""
    assert source("agent") == AGENT
    assert source("calendar_mcp") == ON_THE_SDK


def test_every_command_does_what_is_shown(world: McpWorld, url: str) -> None:
    """The first call, the challenge, and the step-up: on both frameworks."""
    found = blocks(TUTORIAL)
    commands = [
        (text, found[index + 1][1])
        for index, (kind, text) in enumerate(found[:-1])
        if kind == "console" and found[index + 1][0] == "text"
    ]

    for command, expected in commands:
        said = _said(command.replace("http://127.0.0.1:8003", url), world)
        assert alike(said.strip(), expected.strip()), (command, said)

    assert len(commands) == 3


def _said(command: str, world: McpWorld) -> str:
    """What a command prints. Ours are played here: a process of its own takes long to start."""
    if not command.startswith("python docs/examples/agent.py"):
        token, command = command.split("\n", 1)
        assert token == "delegation dev token --user alice --scope calendar:read > alice.jwt"
        (world.directory / "alice.jwt").write_text(world.token())
        ran = subprocess.run(  # noqa: S603
            ["bash", "-e", "-o", "pipefail", "-c", command],  # noqa: S607
            cwd=world.directory,
            env={"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "NO_PROXY": "127.0.0.1"},
            check=True,
            capture_output=True,
            text=True,
        )
        return ran.stdout.replace("\r", "")
    address, tool, *arguments = command.split()[2:]
    named = dict(each.split("=") for each in arguments)
    printed = io.StringIO()

    def ask(scope: str) -> str:
        print("Alice is asked for:", scope)  # noqa: T201, as the example does
        return world.token("alice", scope=scope)

    with contextlib.redirect_stdout(printed):
        said = asyncio.run(run("agent").call(address, tool, named, ask))
    # The MCP SDK writes JSON with spaces.
    return printed.getvalue() + "".join(said.split())


def test_what_the_log_says_is_what_is_shown() -> None:
    """Each line of the table begins as the error does that is logged."""
    rows = table(HOW_TO.read_text("utf-8"), "your log says", "look at")
    codes = [
        (
            row[0].removeprefix("`no token for ...: ").partition("`")[0],
            row[0].endswith("INFO`"),
        )
        for row in rows
        if row[0].startswith("`no token for ...: ") and "..." not in row[0][19:]
    ]

    for said, is_theirs in codes:
        error, _, reason = said.partition(": ")
        found = errors.refused_or_unavailable(400, {}, {"error": error, "reason": reason})
        assert str(found).startswith(said)
        assert isinstance(found, errors.SubjectTokenRejected) is is_theirs

    assert len(codes) == 6


@pytest.mark.slow
def test_the_whole_story() -> None:
    """What `make demo-mcp` plays behaves at every step."""
    ran = subprocess.run(  # noqa: S603, our own example
        [sys.executable, str(EXAMPLES / "run.py")],
        env={"PATH": "/usr/bin:/bin", "NO_PROXY": "127.0.0.1"},
        check=False,
        capture_output=True,
        text=True,
        timeout=100,
    )

    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.endswith("\nEvery step behaved.\n")


@pytest.mark.usefixtures("environment")
def test_who_serves_nobody_says_for_whom(world: McpWorld) -> None:
    """The last block runs, without a request."""
    names: dict[str, Any] = {}
    exec(compile(NIGHTLY, str(TUTORIAL), "exec"), names)  # noqa: S102, it is our own page

    issued = asyncio.run(names["nightly"](world.token()))

    assert issued.scope == "events.read"


def test_what_becomes_of_each_error() -> None:
    """Every error of the package is in the table, with the answer that it gets."""
    rows = table(HOW_TO.read_text("utf-8"), "error", "means", "answer", "so the agent")
    shown = {
        name: answer
        for names, _, answer, _ in rows
        for name in names.replace("any other ", "").replace("`", "").split(", ")
    }

    made = {
        kind.__name__: "" if (found := challenge([_made(kind)])) is None else _shown(found)
        for kind in _kinds(DelegationError)
    }

    assert {name: "" if said == "none" else said for name, said in shown.items()} == made


def _kinds(kind: type[DelegationError]) -> Iterator[type[DelegationError]]:
    for each in kind.__subclasses__():
        if each.__module__ == errors.__name__:
            yield each
            yield from _kinds(each)


def _made(kind: type[DelegationError]) -> DelegationError:
    if kind is InsufficientScope:
        return InsufficientScope("invalid_scope", required_scope=("calendar:write",))
    return kind("said")


def _shown(found: Any) -> str:
    if found.error:
        return f"{found.status} `{found.error}`"
    if found.status == 403:
        return "403, no challenge"
    more = " with `Retry-After`" if "Retry-After" in found.headers else ""
    return f"{found.status}{more}"


def test_the_challenge_is_the_one_of_the_how_to() -> None:
    """The header and the text that it shows."""
    [header, text] = [block for kind, block in blocks_within(HOW_TO) if kind == "text"]
    refused = InsufficientScope("invalid_scope", required_scope=("calendar:write",))
    metadata = "https://calendar-mcp.example/.well-known/oauth-protected-resource/mcp"

    found = challenge([refused], held=["calendar:read"], metadata=metadata)

    assert found is not None
    assert f"WWW-Authenticate: {found.headers['WWW-Authenticate']}" == header.strip()
    assert found.text == text.strip()


def blocks_within(page: Path) -> list[tuple[str, str]]:
    """The blocks of *page*, those within lists, too."""
    lines = (line.removeprefix("   ") for line in page.read_text("utf-8").splitlines())
    found, open_ = [], ""
    for line in lines:
        if line.startswith("```"):
            open_ = "" if open_ else line[3:]
            found += [(open_, [])] if open_ else []
        elif open_:
            found[-1][1].append(line)
    return [(kind, "\n".join(text)) for kind, text in found]


@pytest.mark.usefixtures("environment")
def test_the_blocks_of_the_how_to_run(world: McpWorld) -> None:
    """The middleware by either way, the tool that goes on, and the errors elsewhere."""
    placing, catching, elsewhere = (text for kind, text in blocks(HOW_TO) if kind == "python")
    made: list[Any] = []
    names: dict[str, Any] = {
        "server": SimpleNamespace(streamable_http_app=lambda: "app"),
        "fast": SimpleNamespace(http_app=lambda **options: made.append(options) or "app"),
    }
    for block in (placing, catching, elsewhere):
        exec(compile(block, str(HOW_TO), "exec"), names)  # noqa: S102, it is our own page

    with acting_for(world.token()):
        said = asyncio.run(names["what_is_allowed"]())
    with acting_for(world.token(scope="calendar:read calendar:write")):
        more = asyncio.run(names["what_is_allowed"]())

    [middleware] = made[0]["middleware"]
    assert isinstance(middleware, Middleware)
    assert middleware.cls is StepUpMiddleware
    assert said == "events.read; more with calendar:write"
    assert set(more.split()) == {"events.read", "events.write"}
    statuses = [names["status_of"](_made(kind)) for kind in STATUSES]
    assert statuses == list(STATUSES.values())


STATUSES: Mapping[type[DelegationError], int] = {
    errors.SubjectTokenRejected: 401,
    errors.Unavailable: 503,
    errors.NotPermitted: 403,
}


@pytest.mark.parametrize("build", FRAMEWORKS.values(), ids=FRAMEWORKS)
def test_the_middleware_among_others(world: McpWorld, build: Build) -> None:
    """Added to the app instead of around it, it does the same."""
    app: Any = build(world)._app  # noqa: SLF001
    app.add_middleware(StepUpMiddleware, resource=CALENDAR_MCP)

    async def play(url: str) -> int:
        """What the agent does."""
        async with an_agent(url, world.token()) as agent:
            with pytest.raises(MCPError):
                await agent.call("write")
            return agent.last.status_code

    with serving(app) as url:
        assert asyncio.run(play(url)) == 403


def test_a_stop_that_the_api_sees_first(world: McpWorld, url: str) -> None:
    """The API that introspects takes the token no more; no other is issued; the agent is told."""
    user = f"dan-{url.rpartition(':')[2]}"
    settings = world.world.settings
    security = wiring.administration(
        world.world.store, lambda: load(settings.registry, issuer=settings.issuer)
    )
    dan = Target.subject(Identity(world.world.issuer.url, user))

    async def insist(agent: Agent) -> None:
        """As long as it takes, which is a second or so: the API asks that often."""
        for _ in range(200):
            assert user in await agent.say("list_events")
            await asyncio.sleep(0.05)

    async def play() -> None:
        """What the agent does."""
        async with an_agent(url, world.token(user)) as agent:
            assert user in await agent.say("list_events")
            security.stop(Stop(target=dan, reason="test"), author="test")
            with pytest.raises(MCPError, match="not permitted"):
                await insist(agent)
            assert agent.last.status_code == 403

    asyncio.run(play())


def test_the_numbers_of_the_how_to() -> None:
    """How long what is kept is what the code says."""
    text = HOW_TO.read_text("utf-8")

    assert (SKEW, REFUSED_FOR, REFRESH_AT) == (10, 10, 0.8)
    assert "until ten seconds before its end" in text
    assert "four fifths of that time" in text
    assert "A refusal is kept for ten seconds" in text
