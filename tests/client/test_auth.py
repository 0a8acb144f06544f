"""On the wire: each request carries a token for its user, and never the user's own."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextvars import ContextVar
from typing import Any
from urllib.parse import parse_qsl

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from delegation.client import (
    ConfigurationInvalid,
    DelegatedAuth,
    DelegationError,
    Exchanger,
    NoActorToken,
    NoSubjectToken,
    Service,
    SubjectTokenRejected,
    WrongOrigin,
    acting_for,
)
from delegation.client import exchanger as module
from delegation.client.auth import Delegated
from delegation.client.cache import REPLACED_EVERY
from delegation.dev.api import sample_api
from delegation.dev.cast import CALENDAR_API
from delegation.dev.servers import serving
from tests.client.clock import HeldClock
from tests.client.issuing import BARE, REFUSALS, exchanges, is_down, issues_each, refuses
from tests.client.server import METADATA, TOKEN, Handler, Server, authorization_server
from tests.world import TestWorld

Caller = Callable[..., httpx2.Response]
API = "/api"


@pytest.fixture(name="server")
def _server(server: Server) -> Server:
    """It exchanges, and has an API, which takes anything."""
    issues_each(server)
    server.says(API, b"{}")
    return server


@pytest.fixture(name="auth")
def _auth(server: Server, exchanger: Exchanger) -> DelegatedAuth:
    """For that API."""
    return DelegatedAuth(server.url + API, scope="events.read", exchanger=exchanger)


@pytest.fixture(name="call", params=["sync", "async"])
def _call(request: pytest.FixtureRequest, auth: DelegatedAuth) -> Caller:
    """One request, by a client of either kind, to the API by default."""

    def sync(method: str = "GET", url: str = auth.resource, **more: Any) -> httpx2.Response:
        with httpx2.Client(auth=more.pop("auth", auth), **BARE) as http:
            return http.request(method, url, **more)

    def asynchronous(method: str = "GET", url: str = auth.resource, **more: Any) -> httpx2.Response:
        async def run() -> httpx2.Response:
            async with httpx2.AsyncClient(auth=more.pop("auth", auth), **BARE) as http:
                return await http.request(method, url, **more)

        return asyncio.run(run())

    return sync if request.param == "sync" else asynchronous


def _at(server: Server, path: str = API) -> list[str | None]:
    """What authenticated each request to *path*."""
    return [asked.headers.get("Authorization") for asked in server.asked if asked.path == path]


def _went_nowhere_else(server: Server, token: str) -> bool:
    """Whether *token* was seen by the token endpoint alone."""
    return not any(
        token in f"{asked.path} {asked.headers} {asked.content}"
        for asked in server.asked
        if asked.path != TOKEN
    )


@pytest.mark.standard("MCP-2", "MCP-4")
def test_a_call(server: Server, call: Caller) -> None:
    """It carries what was issued, for as many calls as that holds, and not the user's own."""
    with acting_for("alices-token"):
        for _ in range(3):
            assert call().status_code == 200

    assert _at(server) == ["Bearer for-alices-1"] * 3
    assert exchanges(server) == 1
    form = dict(parse_qsl(server.asked[1].content))
    assert (form["resource"], form["scope"]) == (server.url + API, "events.read")
    assert _went_nowhere_else(server, "alices-token")


@pytest.mark.standard("MCP-5")
def test_one_client_for_all(server: Server, auth: DelegatedAuth) -> None:
    """Whoever calls at the same time, each call is its user's."""

    async def call(http: httpx2.AsyncClient, user: str) -> None:
        """One call, for this user."""
        with acting_for(f"{user}-token"):
            await http.get(f"{auth.resource}/{user}")

    async def run(users: list[str]) -> None:
        """All calls, on one client."""
        async with httpx2.AsyncClient(auth=auth, **BARE) as http:
            await asyncio.gather(*(call(http, user) for user in users))

    users = [f"user{number}" for number in range(12)]
    for user in users:
        server.says(f"{API}/{user}", b"{}")

    asyncio.run(run(users * 3))

    for user in users:
        assert _at(server, f"{API}/{user}") == [f"Bearer for-{user}-1"] * 3
    assert exchanges(server) == len(users)


CALLS = st.lists(
    st.tuples(
        st.sampled_from(["alice", "bob", "carol"]),
        st.sampled_from(["https://a.example", "https://b.example"]),
        st.sampled_from(["", "read", "read write"]),
        st.integers(0, 3),
    ),
    max_size=20,
)


@pytest.mark.standard("MCP-5")
@given(CALLS)
def test_any_calls_at_once(calls: list[tuple[str, str, str, int]]) -> None:
    """Whatever is called, in whatever order: a call has its user's token for its API and scope."""
    seen: list[tuple[str, str, str, str]] = []
    exchanger = Exchanger(SERVICE, http=lambda: httpx2.Client(transport=_issuing()))

    def answer(request: httpx2.Request) -> httpx2.Response:
        token = request.headers["Authorization"].removeprefix("Bearer ")
        seen.append((token, *request.headers["Expected"].split(",")))
        return httpx2.Response(401 if request.headers["Odd"] == "3" else 200)

    async def run() -> None:
        """All calls, on one client for each way to ask."""
        auths = {
            (api, scope): DelegatedAuth(api, scope=scope, exchanger=exchanger)
            for _, api, scope, _ in calls
        }
        async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer)) as http:

            async def one(user: str, api: str, scope: str, odd: int) -> None:
                """So many calls of one kind."""
                for _ in range(odd):
                    await asyncio.sleep(0)
                headers = {"Expected": f"{user},{api},{scope}", "Odd": str(odd)}
                with acting_for(user):
                    await http.get(api, headers=headers, auth=auths[api, scope])

            await asyncio.gather(*(one(*call) for call in calls))

    asyncio.run(run())
    exchanger.close()

    assert len(seen) >= len(calls)
    for token, user, api, scope in seen:
        assert token == _named(user, api, scope)


SERVICE = Service(
    issuer="https://sts.example",
    client_id="calendar-mcp",
    client_secret="the-clients-secret",
    token_endpoint="https://sts.example/token",
)


def _named(user: str, api: str, scope: str) -> str:
    return f"{user}/{api}/{scope}".replace(":", "-").replace(" ", "+")


def _issuing() -> httpx2.MockTransport:
    def issue(request: httpx2.Request) -> httpx2.Response:
        form = dict(parse_qsl(request.content.decode()))
        token = _named(form["subject_token"], form["resource"], form.get("scope", ""))
        body = {"access_token": token, "token_type": "Bearer", "expires_in": 300}
        return httpx2.Response(200, stream=httpx2.ByteStream(json.dumps(body).encode()))

    return httpx2.MockTransport(issue)


def _echoes(handler: Handler) -> None:
    issued = {"access_token": "alices-token", "token_type": "Bearer", "expires_in": 300}
    handler.reply(json.dumps(issued).encode())


def _hangs_up(handler: Handler) -> None:
    handler.close_connection = True


FAILURES: dict[str, Callable[[Server], object]] = {
    "not permitted": lambda server: refuses(server, **REFUSALS["not permitted"]),
    "rejected": lambda server: refuses(server, **REFUSALS["rejected"]),
    "bad client": lambda server: refuses(server, error="invalid_client"),
    "down": is_down,
    "no JSON": lambda server: server.says(TOKEN, b"<html>"),
    "no token": lambda server: server.says(TOKEN, b"{}"),
    "another type": lambda server: issues_each(server, token_type="DPoP"),
    "the subject token": lambda server: server.answers.update({TOKEN: _echoes}),
    "no answer": lambda server: server.answers.update({TOKEN: _hangs_up}),
    "redirect": lambda server: server.says(TOKEN, b"", 307, Location=server.url + API),
    "no metadata": lambda server: server.says(METADATA, b"", 404),
    "others' metadata": lambda server: server.has_metadata(issuer="https://evil.example"),
    "endpoint in clear": lambda server: server.has_metadata(token_endpoint="http://sts.example"),
}


@pytest.mark.standard("MCP-2")
@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("set_before", [{}, {"Authorization": "Bearer alices-token"}])
def test_whatever_fails(
    server: Server, call: Caller, failure: str, set_before: dict[str, str]
) -> None:
    """Then nothing is sent to the API: neither the user's own token, nor the bare request."""
    FAILURES[failure](server)

    with acting_for("alices-token"), pytest.raises(DelegationError) as caught:
        call(headers=set_before)

    assert _at(server) == []
    assert _went_nowhere_else(server, "alices-token")
    assert "alices-token" not in f"{caught.value} {caught.value!r}"


def test_what_was_set_before(server: Server, call: Caller) -> None:
    """Whoever forwards the user's token by hand does not."""
    with acting_for("alices-token"):
        call(headers={"Authorization": "Bearer alices-token"})

    assert _at(server) == ["Bearer for-alices-1"]


def test_nobody(server: Server, call: Caller) -> None:
    """Without a user there is no request; not even to the service."""
    with pytest.raises(NoSubjectToken):
        call()

    assert server.asked == []


@pytest.fixture(name="elsewhere")
def _elsewhere() -> Iterator[Server]:
    """Another origin: the same machine, another port."""
    with authorization_server() as server:
        server.says(API, b"{}")
        yield server


@pytest.mark.parametrize(
    "url",
    [
        "{elsewhere}/api",
        "http://localhost:1/api",
        "https://evil.example/api",
        "http://127.0.0.1.evil.example/api",
        "http://{host}@evil.example/api",
        "https://{host}/api",
    ],
)
def test_another_origin(server: Server, elsewhere: Server, call: Caller, url: str) -> None:
    """It gets nothing: neither the token, nor the request."""
    host = server.url.removeprefix("http://")

    with acting_for("alices-token"), pytest.raises(WrongOrigin, match="`origins`"):
        call(url=url.format(elsewhere=elsewhere.url, host=host))

    assert elsewhere.asked == []
    assert server.asked == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_elsewhere(server: Server, elsewhere: Server, call: Caller, status: int) -> None:
    """It is followed without the token; what it is answered there says nothing about the token."""
    server.says(API, b"", status, Location=elsewhere.url + API)
    elsewhere.says(API, b"", 401)

    with acting_for("alices-token"):
        assert call("POST", follow_redirects=True).status_code == 401
        call("POST", follow_redirects=True)

    assert _at(elsewhere) == [None, None]
    assert exchanges(server) == 1


def test_a_redirect_back(server: Server, elsewhere: Server, call: Caller) -> None:
    """Whoever was sent away does not get it back."""
    server.says(API, b"", 307, Location=elsewhere.url + API)
    elsewhere.says(API, b"", 307, Location=server.url + "/back")
    server.says("/back", b"{}")

    with acting_for("alices-token"):
        call(follow_redirects=True)

    assert _at(server, "/back") == [None]


def test_a_redirect_within(server: Server, call: Caller) -> None:
    """At the same origin it is followed with the token; a 401 there repeats nothing."""
    server.says(API, b"", 303, Location=f"{server.url}/done")
    server.says("/done", b"", 401)

    with acting_for("alices-token"):
        assert call("POST", follow_redirects=True).status_code == 401

    assert _at(server, "/done") == ["Bearer for-alices-1"]
    assert _at(server) == ["Bearer for-alices-1"]


def test_other_origins(server: Server, exchanger: Exchanger, call: Caller) -> None:
    """Where an API is found elsewhere than its identifier says, that is said."""
    auth = DelegatedAuth(
        "urn:calendar", origins=[server.url, "https://eu.example/ignored"], exchanger=exchanger
    )

    with acting_for("alices-token"):
        call(auth=auth)
        with pytest.raises(WrongOrigin):
            call(auth=auth, url="https://us.example/")

    assert _at(server) == ["Bearer for-alices-1"]
    assert "resource=urn%3Acalendar" in server.asked[1].content


@pytest.mark.parametrize(
    ("url", "is_same"),
    [
        ("https://calendar.example/", True),
        ("https://CALENDAR.example:443/other?a=b#c", True),
        ("https://calendar.example:8443/", False),
        ("http://calendar.example/", False),
        ("https://calendar.example.evil.example/", False),
        ("https://evil.example/calendar.example", False),
    ],
)
def test_what_an_origin_is(exchanger: Exchanger, url: str, is_same: bool) -> None:  # noqa: FBT001
    """Scheme, host and port, and nothing else."""
    delegated = Delegated("https://calendar.example/api", exchanger=exchanger)

    with acting_for("alices-token"):
        if is_same:
            assert delegated.wanted(httpx2.URL(url)).resource == "https://calendar.example/api"
        else:
            with pytest.raises(WrongOrigin):
                delegated.wanted(httpx2.URL(url))


def test_an_origin_is_no_list_of_origins(exchanger: Exchanger) -> None:
    """A text is a list of its letters, none of which is an origin."""
    with pytest.raises(ConfigurationInvalid, match=r"origins: write \['https://eu.example'\]"):
        DelegatedAuth(CALENDAR_API, origins="https://eu.example", exchanger=exchanger)


@pytest.mark.parametrize(
    ("resource", "origins"),
    [
        ("http://calendar.example/api", []),
        ("urn:calendar", []),
        ("calendar", []),
        ("https://calendar.example/api", ["http://calendar.internal"]),
    ],
)
def test_an_api_in_clear(exchanger: Exchanger, resource: str, origins: list[str]) -> None:
    """A token is not sent where everybody could read it: this is found at once."""
    with pytest.raises(ConfigurationInvalid, match="no token is sent there"):
        DelegatedAuth(resource, origins=origins, exchanger=exchanger)


def _rejects(server: Server, token: str) -> None:
    """The API takes all but *token*."""

    def answer(handler: Handler) -> None:
        is_it = handler.headers["Authorization"] == f"Bearer {token}"
        handler.reply(b"{}", 401 if is_it else 200)

    server.answers[API] = answer


def test_a_401(server: Server, call: Caller) -> None:
    """The token is exchanged anew and the request repeated, as it was."""
    _rejects(server, "for-alices-1")
    with acting_for("alices-token"):
        assert call("POST", json={"title": "Lunch"}).status_code == 200
        assert call().status_code == 200

    assert _at(server) == ["Bearer for-alices-1", "Bearer for-alices-2", "Bearer for-alices-2"]
    bodies = [asked.content for asked in server.asked if asked.path == API]
    assert bodies == ['{"title":"Lunch"}', '{"title":"Lunch"}', ""]


def test_a_401_again(server: Server, call: Caller, clock: HeldClock) -> None:
    """Once; and an API that takes nothing does not make every call an exchange."""
    server.says(API, b"{}", 401)
    with acting_for("alices-token"):
        assert call().status_code == 401
        assert call().status_code == 401
        assert _at(server) == [f"Bearer for-alices-{number}" for number in (1, 2, 2)]

        clock.pass_by(REPLACED_EVERY)
        assert call().status_code == 401

    assert _at(server)[3:] == ["Bearer for-alices-2", "Bearer for-alices-3"]


def test_a_401_for_many(server: Server, auth: DelegatedAuth) -> None:
    """However many calls find that their token has ended, there is one exchange more."""

    async def run() -> list[int]:
        """All at once."""
        async with httpx2.AsyncClient(auth=auth, **BARE) as http:
            answers = await asyncio.gather(*(http.get(auth.resource) for _ in range(20)))
            return [answer.status_code for answer in answers]

    _rejects(server, "for-alices-1")
    with acting_for("alices-token"):
        assert asyncio.run(run()) == [200] * 20

    assert exchanges(server) == 2


def test_a_body_that_is_gone(server: Server, auth: DelegatedAuth) -> None:
    """What cannot be sent again is not; the next call has another token."""

    async def parts() -> AsyncIterator[bytes]:
        """Can be read once."""
        yield b"part"

    async def run() -> list[int]:
        """Twice."""
        async with httpx2.AsyncClient(auth=auth, **BARE) as http:
            gone = await http.post(auth.resource, content=parts(), headers={"Content-Length": "4"})
            return [gone.status_code, (await http.get(auth.resource)).status_code]

    _rejects(server, "for-alices-1")
    with acting_for("alices-token"):
        assert asyncio.run(run()) == [401, 200]

    assert _at(server) == ["Bearer for-alices-1", "Bearer for-alices-2"]


def test_a_401_and_a_refusal(server: Server, call: Caller) -> None:
    """Where the service says why, that is what the caller hears."""
    _rejects(server, "for-alices-1")
    with acting_for("alices-token"):
        server.answers[API] = _then(server, server.answers[API])

        with pytest.raises(SubjectTokenRejected):
            call()

    assert _at(server) == ["Bearer for-alices-1"]


def _then(server: Server, answer: Callable[[Handler], object]) -> Callable[[Handler], object]:
    """*answer*, and from then on every exchange is refused."""

    def both(handler: Handler) -> None:
        refuses(server, **REFUSALS["rejected"])
        answer(handler)

    return both


@pytest.mark.parametrize("status", [200, 400, 403, 500])
def test_other_answers(server: Server, call: Caller, status: int) -> None:
    """They are the caller's own matter."""
    server.says(API, b"{}", status)

    with acting_for("alices-token"):
        assert call().status_code == status

    assert exchanges(server) == 1
    assert len(_at(server)) == 1


@pytest.mark.standard("MCP-2")
def test_on_real_parts(world: TestWorld) -> None:
    """A real API takes what the real service issued, and hears whom it serves and who asks."""
    exchanger = Exchanger(
        Service(
            issuer=world.world.url,
            client_id="calendar-mcp",
            client_secret=world.secrets["calendar-mcp"],
        )
    )
    app = sample_api(
        issuer=world.world.url,
        jwks_uri=f"{world.world.url}/jwks",
        audience=CALENDAR_API,
        scope="events.read",
    )
    with serving(app) as url:
        auth = DelegatedAuth(CALENDAR_API, origins=[url], exchanger=exchanger)
        with httpx2.Client(auth=auth, base_url=url, **BARE) as http:
            for name in ("alice", "bob"):
                with acting_for(world.login.token(sub=name)):
                    answer = http.get("/")
                assert answer.status_code == 200, answer.text
                assert answer.json()["subject"] == f"corp|{name}"
                assert answer.json()["actor"] == "calendar-mcp"
            with acting_for(world.login.token(aud=url)), pytest.raises(SubjectTokenRejected):
                http.get("/")
    exchanger.close()


def test_whose_token(exchanger: Exchanger) -> None:
    """Any function says it, or a context; a token would be everybody's."""
    known: ContextVar[str] = ContextVar("known")
    api = "https://calendar.example/api"
    url = httpx2.URL(api)

    by_function = Delegated(api, subject_token=lambda: "alices-token", exchanger=exchanger)
    by_context = Delegated(api, subject_token=known, exchanger=exchanger)

    assert by_function.wanted(url).subject_token == "alices-token"
    with pytest.raises(NoSubjectToken):
        by_context.wanted(url)
    known.set("bobs-token")
    assert by_context.wanted(url).subject_token == "bobs-token"
    with pytest.raises(TypeError, match="not a token"):
        Delegated(api, subject_token="alices-token", exchanger=exchanger)  # type: ignore[arg-type]


def test_who_acts(exchanger: Exchanger) -> None:
    """An actor token is shown where one is wanted, and none is never meant: another would act."""
    api, found = "https://calendar.example/api", ["planners-token", None]
    delegated = Delegated(
        api,
        actor_token=lambda: found.pop(0),
        actor_token_type="urn:ietf:params:oauth:token-type:jwt",
        exchanger=exchanger,
    )

    with acting_for("alices-token"):
        wanted = delegated.wanted(httpx2.URL(api))
        assert (wanted.actor_token, wanted.actor_token_type) == (
            "planners-token",
            "urn:ietf:params:oauth:token-type:jwt",
        )
        with pytest.raises(NoActorToken):
            delegated.wanted(httpx2.URL(api))


def test_which_service(monkeypatch: pytest.MonkeyPatch) -> None:
    """That of the environment, or the one that is given; what is wrong with it is found at once."""
    monkeypatch.setattr(module, "_shared", {})
    api = "https://calendar.example/api"

    with pytest.raises(ConfigurationInvalid):
        DelegatedAuth(api)
    one, two = DelegatedAuth(api, service=SERVICE), DelegatedAuth(f"{api}/v2", service=SERVICE)
    assert one.exchanger is two.exchanger
    with pytest.raises(TypeError, match="not both"):
        DelegatedAuth(api, service=SERVICE, exchanger=one.exchanger)


def test_nobody_is_shown(auth: DelegatedAuth) -> None:
    """What ends up in a log says for which API it is, and nothing of anybody."""
    with acting_for("alices-token"):
        assert repr(auth) == f"DelegatedAuth('{auth.resource}', scope='events.read')"
