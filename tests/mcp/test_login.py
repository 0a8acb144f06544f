"""The MCP SDK's own OAuth client, from its first request to a step-up, with nothing of ours."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest
from mcp.client.auth import OAuthClientProvider
from mcp.shared.auth import (
    AuthorizationCodeResult,
    OAuthClientInformationFull,
    OAuthClientMetadata,
    OAuthToken,
)
from mcp.shared.exceptions import MCPError
from pydantic import AnyUrl

from delegation.client import Exchanger, Service
from delegation.dev.login import development_login
from tests.mcp.servers import FRAMEWORKS, Build
from tests.mcp.world import ERAS, LOOPBACK_API, LOOPBACK_MCP, PLAIN, McpWorld, an_agent, serving

REDIRECT = "http://127.0.0.1:1/callback"


class Person:
    """Alice at her browser, and what her agent remembers. *asked* is what she was asked for."""

    def __init__(self, name: str, login: str) -> None:
        self.name = name
        self.asked: list[dict[str, str]] = []
        self._answer: dict[str, str] = {}
        self._tokens: OAuthToken | None = None
        self._agent = OAuthClientInformationFull(
            client_id="desk-agent",
            redirect_uris=[AnyUrl(REDIRECT)],
            token_endpoint_auth_method="none",
            issuer=login,
        )

    async def browse(self, url: str) -> None:
        """She follows the agent to her login, and consents."""
        self.asked.append(dict(parse_qsl(urlsplit(url).query)))
        async with httpx2.AsyncClient(**PLAIN) as browser:
            answer = await browser.get(url, params={**self.asked[-1], "login_hint": self.name})
        self._answer = dict(parse_qsl(urlsplit(answer.headers["Location"]).query))

    async def come_back(self) -> AuthorizationCodeResult:
        """With what the login gave her for her agent."""
        return AuthorizationCodeResult(**self._answer)

    async def get_tokens(self) -> OAuthToken | None:
        """As the SDK's storage has it, and so are the rest."""
        return self._tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        """Remember."""
        self._tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        """The agent is known to the login."""
        return self._agent

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        """Remember."""
        self._agent = client_info


@pytest.fixture(name="login", scope="module")
def _login(world: McpWorld) -> Iterator[str]:
    """A login for the server that is where it says it is."""
    with development_login(world.world.issuer, audience=world.loopback) as url:
        yield url


@pytest.fixture(name="build", params=FRAMEWORKS)
def _build(request: pytest.FixtureRequest) -> Build:
    """Every test plays on both frameworks."""
    return FRAMEWORKS[request.param]


@pytest.fixture(name="url")
def _url(world: McpWorld, build: Build, login: str) -> Iterator[str]:
    """The server whose resource identifier is its address."""
    with ExitStack() as stack:
        secret = world.secrets[LOOPBACK_MCP]
        exchanger = Exchanger(
            Service(issuer=world.world.url, client_id=LOOPBACK_MCP, client_secret=secret)
        )
        stack.callback(exchanger.close)
        app = build(
            world, exchanger=exchanger, resource=world.loopback, api=LOOPBACK_API, login=login
        )
        yield stack.enter_context(serving(app, world.listener.dup()))


@pytest.mark.standard("MCP-3", "MCP-4")
@pytest.mark.parametrize("era", ERAS)
def test_the_step_up_round_trip(world: McpWorld, url: str, login: str, era: str) -> None:
    """The agent logs its user in, reads, is told what it lacks, asks her for that besides, and
    writes: all within the SDK's client, which understands the challenge.
    """
    alice = Person("alice", login)
    auth = OAuthClientProvider(
        world.loopback,
        OAuthClientMetadata(redirect_uris=[AnyUrl(REDIRECT)], scope="calendar:read"),
        alice,
        redirect_handler=alice.browse,
        callback_handler=alice.come_back,
    )

    async def play() -> None:
        """What the agent does."""
        async with an_agent(url, "", auth=auth, era=era) as agent:
            assert await agent.call("read") == "monday corp|alice"
            assert [asked["scope"] for asked in alice.asked] == ["calendar:read"]

            assert await agent.call("write") == "monday corp|alice"
            assert [asked["scope"] for asked in alice.asked[1:]] == ["calendar:read calendar:write"]

            assert await agent.call("decorated_write") == "monday corp|alice"
            with pytest.raises(MCPError, match="not permitted"):
                await agent.call("elsewhere")

    asyncio.run(play())

    # Each time for this server alone (RFC 8707), and never for what no login can give.
    assert [asked["resource"] for asked in alice.asked] == [world.loopback] * 2
    assert world.api.calls[-1]["aud"] == LOOPBACK_API


@pytest.mark.parametrize(
    "wrong", [{"resource": "https://mcp.example/mcp"}, {"code_challenge_method": "plain"}], ids=str
)
def test_the_login_is_for_one_server_and_with_pkce(
    world: McpWorld, login: str, wrong: dict[str, str]
) -> None:
    """Even in development."""
    asked = {"resource": world.loopback, "code_challenge_method": "S256"} | wrong

    answer = httpx2.get(f"{login}/authorize", params=asked, **PLAIN)

    assert answer.status_code == 400


def test_a_code_is_good_once_and_with_its_proof(world: McpWorld, login: str) -> None:
    """Nobody else can use it, and nobody twice."""
    asked = {
        "client_id": "desk-agent",
        "redirect_uri": REDIRECT,
        "state": "1",
        "resource": world.loopback,
        "login_hint": "alice",
        "code_challenge_method": "S256",
        "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",  # RFC 7636, appendix B
    }
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"

    def statuses(*verifiers: str) -> list[int]:
        there = httpx2.get(f"{login}/authorize", params=asked, **PLAIN).headers["Location"]
        code = dict(parse_qsl(urlsplit(there).query))["code"]
        forms = ({"code": code, "code_verifier": each} for each in verifiers)
        return [httpx2.post(f"{login}/token", data=form, **PLAIN).status_code for form in forms]

    assert statuses(verifier, verifier) == [200, 400]
    assert statuses("guessed", verifier) == [400, 400]
