"""Whether a token is still good, asked over real HTTP: how often, as whom, and what if not."""

import json
from collections.abc import Callable
from datetime import timedelta
from urllib.parse import parse_qs

import httpx2
import jwt
import pytest

from delegation.client import introspection
from delegation.client.bearer import CannotVerify, InvalidToken
from delegation.client.credentials import PrivateKey
from delegation.client.introspection import Introspection
from delegation.client.service import Service
from delegation.jose.keyring import Status, new_key
from tests.client.api import EXPECTED, Us, asked, publish
from tests.client.server import METADATA, Server
from tests.fakes import HeldClock

INTROSPECT = "/introspect"
US = Us()
VALUE = US.token()
TOKEN = EXPECTED.read(EXPECTED.parse(VALUE), US.verification_key(), US.seconds)


@pytest.fixture(name="clock")
def _clock() -> HeldClock:
    """A clock that stands still."""
    return HeldClock()


@pytest.fixture(name="ask")
def _ask(server: Server, http: httpx2.Client, clock: HeldClock) -> Introspection:
    """An issuer that says of every token that it is active; kept for five seconds."""
    publish(server, US)
    server.says(INTROSPECT, b'{"active": true}')
    service = Service(issuer=server.url, client_id="calendar api", client_secret="s:cret")
    return Introspection(service, seconds=5, http=http, clock=clock.seconds)


@pytest.mark.standard("7662-1", "6749-2.3-2")
def test_who_asks_what(server: Server, ask: Introspection) -> None:
    """The API asks as itself, in a form, at the endpoint that the metadata names."""
    ask.ask(VALUE, TOKEN)

    request = server.asked[-1]
    assert [each.path for each in server.asked] == [METADATA, INTROSPECT]
    assert parse_qs(request.content) == {"token": [VALUE]}
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    basic = httpx2.BasicAuth("calendar+api", "s%3Acret")
    (expected,) = [
        sent.headers["Authorization"]
        for sent in basic.sync_auth_flow(httpx2.Request("GET", server.url))
    ]
    assert request.headers["Authorization"] == expected


@pytest.mark.standard("7523bis-1")
def test_an_api_that_has_a_key(server: Server, http: httpx2.Client) -> None:
    """It signs an assertion for the issuer alone, another one each time."""
    publish(server, US)
    server.says(INTROSPECT, b'{"active": true}')
    key = PrivateKey.parse(json.dumps(new_key(status=Status.ACTIVE).kept()).encode())
    service = Service(issuer=server.url, client_id="calendar-api", client_key=key)
    ask = Introspection(service, seconds=0, http=http)

    ask.ask(VALUE, TOKEN)
    ask.ask(VALUE, TOKEN)

    forms = [parse_qs(each.content) for each in server.asked if each.path == INTROSPECT]
    one, other = (
        jwt.decode(form["client_assertion"][0], options={"verify_signature": False})
        for form in forms
    )
    assert one["aud"] == server.url
    assert one["jti"] != other["jti"]
    assert "Authorization" not in server.asked[-1].headers


@pytest.mark.standard("7662-4")
def test_an_answer_is_kept_for_seconds(
    server: Server, ask: Introspection, clock: HeldClock
) -> None:
    """A stop is seen when they are over, and not before."""
    assert not ask.remembered(VALUE, TOKEN)
    ask.ask(VALUE, TOKEN)
    server.says(INTROSPECT, b'{"active": false}')
    clock.pass_(seconds=4)
    ask.ask(VALUE, TOKEN)
    assert ask.remembered(VALUE, TOKEN)
    assert asked(server, INTROSPECT) == 1

    clock.pass_(seconds=1)

    assert not ask.remembered(VALUE, TOKEN)
    with pytest.raises(InvalidToken):
        ask.ask(VALUE, TOKEN)
    with pytest.raises(InvalidToken):
        ask.remembered(VALUE, TOKEN)
    with pytest.raises(InvalidToken):
        ask.ask(VALUE, TOKEN)
    assert asked(server, INTROSPECT) == 2
    assert asked(server, METADATA) == 1


def test_a_clock_that_is_set_back(server: Server, ask: Introspection, clock: HeldClock) -> None:
    """An answer from the future is none."""
    ask.ask(VALUE, TOKEN)

    clock.pass_(seconds=-1)

    assert not ask.remembered(VALUE, TOKEN)
    ask.ask(VALUE, TOKEN)
    assert asked(server, INTROSPECT) == 2


def test_no_answer_outlives_the_token(ask: Introspection, clock: HeldClock) -> None:
    """Whatever is remembered, an end is an end."""
    clock.now = TOKEN.expires_at - timedelta(seconds=1)
    ask.ask(VALUE, TOKEN)
    assert ask.remembered(VALUE, TOKEN)

    clock.pass_(seconds=1)

    assert not ask.remembered(VALUE, TOKEN)


def test_an_answer_is_about_one_token(server: Server, ask: Introspection) -> None:
    """Another token is asked about, though it says the same."""
    ask.ask(VALUE, TOKEN)
    ask.ask(US.token(), TOKEN)

    assert asked(server, INTROSPECT) == 2


def test_memory_has_an_end(
    server: Server, ask: Introspection, clock: HeldClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest answers go first: who was asked about again is not old."""
    monkeypatch.setattr(introspection, "MAX_ANSWERS", 2)
    one, two, three = (US.token() for _ in range(3))
    ask.ask(one, TOKEN)
    ask.ask(two, TOKEN)
    clock.pass_(seconds=5)
    ask.ask(one, TOKEN)
    ask.ask(three, TOKEN)

    assert [ask.remembered(value, TOKEN) for value in (one, two, three)] == [True, False, True]
    ask.ask(one, TOKEN)
    assert asked(server, INTROSPECT) == 4


@pytest.mark.standard("7662-2", "7662-4")
@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda server: server.says(INTROSPECT, b'{"active": true}', 401), id="401"),
        pytest.param(lambda server: server.says(INTROSPECT, b'{"active": true}', 503), id="503"),
        pytest.param(lambda server: server.says(INTROSPECT, b"{}"), id="neither"),
        pytest.param(lambda server: server.says(INTROSPECT, b'{"active": "true"}'), id="text"),
        pytest.param(lambda server: server.says(INTROSPECT, b'{"active": 1}'), id="number"),
        pytest.param(lambda server: server.says(INTROSPECT, b"true"), id="no object"),
        pytest.param(lambda server: server.says(INTROSPECT, b"", 302, Location="/"), id="redirect"),
        pytest.param(lambda server: server.has_metadata(), id="no endpoint"),
        pytest.param(lambda server: server.has_metadata(issuer="https://x.example"), id="other"),
        pytest.param(
            lambda server: server.has_metadata(introspection_endpoint="http://x.example/"),
            id="in clear",
        ),
    ],
)
def test_nobody_can_tell(
    server: Server,
    ask: Introspection,
    spoil: Callable[[Server], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What is neither yes nor no is 503, is not remembered, and is in the log without the token."""
    spoil(server)

    with pytest.raises(CannotVerify) as caught:
        ask.ask(VALUE, TOKEN)

    assert caught.value.status == 503
    (line,) = caplog.messages
    assert line.startswith(f"{server.url} cannot be asked about tokens: ")
    assert VALUE not in line
    publish(server, US)
    server.says(INTROSPECT, b'{"active": true}')
    ask.ask(VALUE, TOKEN)
