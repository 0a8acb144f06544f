"""An API as a resource server: its settings, its answers, and that async waits for nobody."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from delegation.client.bearer import CannotVerify, InvalidToken, LacksScope, NoToken
from delegation.client.resource_server import ResourceServer
from delegation.client.service import Service
from tests.client.api import Us, asked, now_of, publish
from tests.client.server import METADATA, Handler, Server
from tests.parties import CALENDAR_API, CALENDAR_API_CLIENT, OUR_ISSUER

JWKS, INTROSPECT = "/jwks", "/introspect"
METADATA_URL = "https://calendar.example.com/.well-known/oauth-protected-resource/api"


def an_api(server: Server, http: httpx2.Client, *, introspects: bool = False) -> ResourceServer:
    """The calendar API, which trusts *server*."""
    service = Service(issuer=server.url, client_id=CALENDAR_API_CLIENT, client_secret="secret")
    return ResourceServer(
        issuer=server.url,
        resource=CALENDAR_API,
        introspect_as=service if introspects else None,
        http=http,
    )


Verify = Callable[[ResourceServer, str], Any]


def _in_a_loop(api: ResourceServer, value: str) -> Any:
    return asyncio.run(api.authenticate_async([f"Bearer {value}"]))


def _in_a_thread(api: ResourceServer, value: str) -> Any:
    return api.authenticate([f"Bearer {value}"])


@pytest.fixture(name="verify", params=[_in_a_thread, _in_a_loop], ids=["sync", "async"])
def _verify(request: pytest.FixtureRequest) -> Verify:
    """Both edges of the one core."""
    way: Verify = request.param
    return way


def test_who_asks(server: Server, http: httpx2.Client, verify: Verify) -> None:
    """By the token in the header, with keys that are fetched once; any number of loops may ask."""
    us = now_of(server)
    api = an_api(server, http)

    for _ in "ab":
        assert verify(api, us.token()).subject.subject == "alice"
        with pytest.raises(InvalidToken):
            verify(api, us.token(aud=OUR_ISSUER))
        with pytest.raises(InvalidToken):
            verify(api, Us(server.url, now=us.seconds).token(header={"kid": us.kid}))

    assert [request.path for request in server.asked] == [METADATA, JWKS]


@pytest.mark.standard("7662-4")
def test_a_stop_is_seen(server: Server, http: httpx2.Client, verify: Verify) -> None:
    """Where the API asks the issuer, what is not active is not served."""
    us = now_of(server)
    api = an_api(server, http, introspects=True)
    server.says(INTROSPECT, b'{"active": true}')
    first, second = us.token(), us.token(jti="12-exchange-2")
    for _ in "ab":
        assert verify(api, first)
    assert asked(server, INTROSPECT) == 1

    server.says(INTROSPECT, b'{"active": false}')

    assert verify(api, first)
    with pytest.raises(InvalidToken):
        verify(api, second)
    server.says(INTROSPECT, b"{}", status=500)
    with pytest.raises(CannotVerify):
        verify(api, us.token(jti="12-exchange-3"))


def test_only_what_is_signed_is_asked_about(
    server: Server, http: httpx2.Client, verify: Verify
) -> None:
    """Nobody can have the API send the issuer whatever they like."""
    us = now_of(server)
    api = an_api(server, http, introspects=True)
    forged = Us(server.url, now=us.seconds).token(header={"kid": us.kid})

    with pytest.raises(InvalidToken):
        verify(api, forged)

    assert asked(server, INTROSPECT) == 0


def test_keys_out_of_reach(server: Server, http: httpx2.Client, verify: Verify) -> None:
    """That is 503, and never 401: a client must not throw its token away for that."""
    us = now_of(server)
    server.says(JWKS, b"", status=500)
    api = an_api(server, http)

    with pytest.raises(CannotVerify) as caught:
        verify(api, us.token())

    answer = api.answer(caught.value)
    assert answer.status == 503
    assert answer.headers == {"Retry-After": "5"}
    assert answer.body == {"error": "temporarily_unavailable"}


def test_after_a_fork(server: Server) -> None:
    """The child begins anew: the parent's threads, locks and connections stay with it."""
    us = now_of(server)
    server.says(INTROSPECT, b'{"active": true}')
    ran = subprocess.run(  # noqa: S603, our own interpreter
        # Later Pythons warn of just what is tested here: a fork beside threads.
        [
            *(sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORK),
            *(server.url, us.token(), us.token(jti="12-exchange-2")),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (ran.returncode, ran.stderr) == (0, "")
    assert asked(server, JWKS) == 2
    assert asked(server, INTROSPECT) == 3


FORK = f"""
import asyncio, os, signal, sys
from delegation.client.resource_server import ResourceServer
from delegation.client.service import Service

issuer, first, second = sys.argv[1:]
service = Service(issuer=issuer, client_id="{CALENDAR_API_CLIENT}", client_secret="s")
api = ResourceServer(issuer=issuer, resource="{CALENDAR_API}", introspect_as=service)
asyncio.run(api.verify_async(first))
with api._keys._fetching, api._introspection._lock:
    child = os.fork()
if child == 0:
    signal.alarm(20)
    asyncio.run(api.verify_async(first))
    api.verify(second)
else:
    assert os.waitpid(child, 0)[1] == 0
"""


def test_the_loop_goes_on(server: Server, http: httpx2.Client) -> None:
    """While keys are fetched, other tasks run: the answer comes only when one of them has."""
    us = now_of(server)
    loop_went_on = False

    async def both() -> None:
        """Three tasks that need a key, and the one that lets it come."""
        fetching, go_on = asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()

        async def gate() -> None:
            """Wait, in the loop, until the test has seen it going on."""
            fetching.set()
            await go_on.wait()

        def held_back(handler: Handler) -> None:
            """The keys, once the loop says so."""
            asyncio.run_coroutine_threadsafe(gate(), loop).result(10)
            handler.reply(json.dumps(us.jwks()).encode())

        server.answers[JWKS] = held_back
        api = an_api(server, http)
        asking = [asyncio.create_task(api.verify_async(us.token())) for _ in "abc"]
        await fetching.wait()
        nonlocal loop_went_on
        loop_went_on = not any(task.done() for task in asking)
        go_on.set()
        for token in await asyncio.gather(*asking):
            assert token.subject.subject == "alice"

    asyncio.run(asyncio.wait_for(both(), 10))

    assert loop_went_on
    assert asked(server, JWKS) == 1


def test_scope(server: Server, http: httpx2.Client) -> None:
    """All that is needed, by whole names; who lacks some is told what it takes."""
    us = now_of(server)
    api = an_api(server, http)
    token = api.verify(us.token(scope="events.read events.write"))

    api.must_allow(token, ["events.read"])
    api.must_allow(token, [])
    with pytest.raises(ValueError, match=r"scope: write \['events.read'\]"):
        api.must_allow(token, "events.read")
    with pytest.raises(LacksScope) as caught:
        api.must_allow(token, ["events.read", "events"])

    answer = api.answer(caught.value)
    assert answer.status == 403
    assert answer.headers == {
        "WWW-Authenticate": 'Bearer error="insufficient_scope", scope="events events.read", '
        f'resource_metadata="{METADATA_URL}"'
    }


def test_who_brings_nothing(server: Server, http: httpx2.Client) -> None:
    """The answer says where to learn more, and no error; the log says the rest."""
    api = an_api(server, http)

    with pytest.raises(NoToken) as caught:
        api.authenticate([], query="access_token=x")

    answer = api.answer(caught.value)
    assert (answer.status, answer.body) == (401, {})
    assert answer.headers == {"WWW-Authenticate": f'Bearer resource_metadata="{METADATA_URL}"'}
    assert not server.asked


@pytest.mark.standard("9728-1")
def test_what_it_says_of_itself() -> None:
    """RFC 9728 §2: what it is called, whose tokens it takes, and how they come."""
    api = ResourceServer(issuer=OUR_ISSUER, resource=CALENDAR_API, scopes=["events.read"])

    assert api.metadata_path == "/.well-known/oauth-protected-resource/api"
    assert api.metadata == {
        "resource": CALENDAR_API,
        "authorization_servers": [OUR_ISSUER],
        "bearer_methods_supported": ["header"],
        "scopes_supported": ["events.read"],
    }
    plain = ResourceServer(issuer=OUR_ISSUER, resource="https://calendar.example.com")
    assert plain.metadata_path == "/.well-known/oauth-protected-resource"
    assert "scopes_supported" not in plain.metadata


@pytest.mark.parametrize(
    "changes",
    [
        {"issuer": "http://sts.example.com"},
        {"issuer": ""},
        {"resource": "urn:calendar"},
        {"resource": "https://calendar.example.com/api#top"},
        {"resource": 'https://calendar.example.com/a"b'},
        {"jwks_uri": "http://sts.example.com/jwks"},
        {"algorithms": []},
        {"algorithms": "ES256"},
        {"algorithms": ["ES256", "HS256"]},
        {"algorithms": ["none"]},
        {"scopes": "events.read"},
        {"introspect_every": 1},
        {
            "introspect_as": Service(
                issuer="https://other.example", client_id="a", client_secret="b"
            )
        },
    ],
    ids=lambda changes: "-".join(map(str, changes.values()))[:40],
)
def test_settings_that_cannot_be_used(changes: dict[str, Any]) -> None:
    """They are refused when the API starts, and not at its first request."""
    with pytest.raises(
        ValueError, match=r"https|URL|fragment|issues|algorithms|identifier|list|as whom"
    ):
        ResourceServer(**{"issuer": OUR_ISSUER, "resource": CALENDAR_API} | changes)


def test_algorithms_can_be_fewer(server: Server, http: httpx2.Client) -> None:
    """What the service signs with now is enough."""
    us = Us(server.url, algorithm="EdDSA")
    publish(server, us)
    api = ResourceServer(issuer=server.url, resource=CALENDAR_API, algorithms=["ES256"], http=http)

    with pytest.raises(InvalidToken):
        api.verify(us.token())
    assert not server.asked
