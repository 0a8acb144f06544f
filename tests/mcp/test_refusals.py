"""What stops a call while it is on its way, or between two calls: locks, outages, begun answers."""

import asyncio
from collections.abc import Iterator
from socket import create_server

import pytest
from mcp.shared.exceptions import MCPError

from delegation import wiring
from delegation.client import Exchanger, Service
from delegation.client.cache import REFRESH_AT, REFUSED_FOR, SKEW, Instant, this_instant
from delegation.domain.administration import Administration, Stop
from delegation.domain.locks import Target
from delegation.domain.parties import Identity
from delegation.registry.loader import load
from tests.mcp.servers import FRAMEWORKS, Build
from tests.mcp.world import ERAS, McpWorld, ToolFailed, an_agent, serving

HELD = 300 - SKEW
"""Seconds for which a server uses a token of the story's grant."""


class Later:
    """A clock that can be put forward."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> Instant:
        """Now, or so much later."""
        return this_instant().plus(self.seconds)


@pytest.fixture(name="build", scope="module", params=FRAMEWORKS)
def _build(request: pytest.FixtureRequest) -> Build:
    """Every test plays on both frameworks."""
    return FRAMEWORKS[request.param]


@pytest.fixture(name="clock", scope="module")
def _clock() -> Later:
    """That of the server's cache."""
    return Later()


@pytest.fixture(name="url", scope="module")
def _url(world: McpWorld, build: Build, clock: Later) -> Iterator[str]:
    """A server whose clock can be put forward."""
    exchanger = Exchanger(world.exchanger.service, clock=clock)
    with serving(build(world, exchanger=exchanger)) as url:
        yield url
    exchanger.close()


@pytest.fixture(name="security")
def _security(world: McpWorld) -> Administration:
    """Who can put a lock on somebody."""
    settings = world.world.settings
    return wiring.administration(
        world.world.store, lambda: load(settings.registry, issuer=settings.issuer)
    )


def test_a_locked_user_is_refused_once_the_cache_is_past(
    world: McpWorld, url: str, clock: Later, security: Administration
) -> None:
    """The token that the server holds is used to its end, and no longer; the next is refused, with
    a challenge only once a new login would help.
    """
    user = f"carol-{url.rpartition(':')[2]}"
    carol = Target.subject(Identity(world.world.issuer.url, user))

    async def play() -> None:
        """What the agent does."""
        async with an_agent(url, world.token(user)) as agent:
            await agent.call("read")
            lock = security.stop(Stop(target=carol, reason="test"), author="test").lock

            clock.seconds += HELD * REFRESH_AT - 2
            assert await agent.call("read") == f"monday corp|{user}"

            clock.seconds += HELD * (1 - REFRESH_AT) + 2
            with pytest.raises(MCPError, match="not permitted"):
                await agent.call("read")
            assert agent.last.status_code == 403
            assert "WWW-Authenticate" not in agent.last.headers

            security.lift(lock, reason="test", author="test", mistaken=False)
            clock.seconds += REFUSED_FOR
            with pytest.raises(MCPError, match="get a new one"):
                await agent.call("read")
            assert agent.last.status_code == 401
            assert 'error="invalid_token"' in agent.last.headers["WWW-Authenticate"]

    asyncio.run(play())


@pytest.mark.parametrize("era", ERAS)
def test_an_answer_that_has_begun(world: McpWorld, url: str, era: str) -> None:
    """Progress has left, and with it a status: the refusal is the tool's error, and says why."""

    async def heard(progress: float, total: float | None, message: str | None) -> None:  # noqa: ARG001
        """What it tells."""
        reports.append(progress)

    async def play() -> str:
        """What the agent does."""
        async with an_agent(url, world.token(), era=era) as agent:
            with pytest.raises(ToolFailed) as failed:
                await agent.call("begun", heard=heard)
            assert agent.last.status_code == 200
            return str(failed.value)

    reports: list[float] = []
    text = asyncio.run(play())

    assert text == "This needs an access token with more scope: calendar:write"
    assert reports == [0.5]


def test_a_resource_that_is_read(world: McpWorld, url: str) -> None:
    """Not only tools are refused: whatever a client asks for is."""

    async def play() -> None:
        """What the agent does."""
        async with an_agent(url, world.token()) as agent:
            with pytest.raises(MCPError, match="more scope: calendar:write"):
                await agent.client.read_resource("calendar://monday")
            assert agent.last.status_code == 403

    asyncio.run(play())


def test_an_outage_is_no_fault_of_the_token(world: McpWorld, build: Build) -> None:
    """503 and when to come again: a client that got 401 would send the user to log in."""
    with create_server(("127.0.0.1", 0)) as gone:
        nowhere = f"http://127.0.0.1:{gone.getsockname()[1]}"
    service = Service(issuer=nowhere, client_id="calendar-mcp", client_secret="x")
    exchanger = Exchanger(service)

    async def play(url: str) -> None:
        """What the agent does."""
        async with an_agent(url, world.token()) as agent:
            with pytest.raises(MCPError, match="try again later"):
                await agent.call("read")
            assert agent.last.status_code == 503
            assert agent.last.headers["Retry-After"] == "5"
            assert "WWW-Authenticate" not in agent.last.headers

    with serving(build(world, exchanger=exchanger)) as url:
        asyncio.run(play(url))
    exchanger.close()
