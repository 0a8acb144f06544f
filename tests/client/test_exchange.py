"""One exchange, as a client of any RFC 8693 server."""

import base64
from urllib.parse import parse_qsl

import httpx2
import pytest

from delegation.client.exchange import (
    ACCESS_TOKEN,
    GRANT_TYPE,
    ExchangeRefused,
    NoAnswer,
    Request,
    exchange,
)
from tests.client.server import TOKEN, Server

REQUEST = Request(subject_token="the-users-token")


def _trade(server: Server, http: httpx2.Client, request: Request = REQUEST) -> object:
    return exchange(
        server.endpoint, request, client_id="odd id:%", client_secret="s+e c", http=http
    )


@pytest.mark.standard("8693-2.1-1", "6749-2.3-2")
def test_what_is_sent(server: Server, http: httpx2.Client) -> None:
    """A form, with what was asked for and nothing empty; id and secret encoded in the header."""
    request = Request(
        subject_token="the-users-token",
        resources=("https://a.example", "https://b.example"),
        audiences=("a", "b"),
        scope="events.read rooms.read",
        actor_token="the-actors-token",
        actor_token_type="urn:ietf:params:oauth:token-type:jwt",
    )

    answer = exchange(
        server.endpoint, request, client_id="odd id:%", client_secret="s+e c", http=http
    )

    assert answer["access_token"] == "opaque"
    (asked,) = server.asked
    assert asked.headers["Content-Type"] == "application/x-www-form-urlencoded"
    credentials = base64.b64decode(asked.headers["Authorization"].removeprefix("Basic "))
    assert credentials == b"odd+id%3A%25:s%2Be+c"
    assert parse_qsl(asked.content, keep_blank_values=True) == [
        ("grant_type", GRANT_TYPE),
        ("subject_token", "the-users-token"),
        ("subject_token_type", ACCESS_TOKEN),
        ("resource", "https://a.example"),
        ("resource", "https://b.example"),
        ("audience", "a"),
        ("audience", "b"),
        ("scope", "events.read rooms.read"),
        ("actor_token", "the-actors-token"),
        ("actor_token_type", "urn:ietf:params:oauth:token-type:jwt"),
    ]


def test_tokens_are_not_shown() -> None:
    """A request that ends up in a log holds no token there."""
    request = Request(subject_token="the-users", actor_token="the-actors")

    assert "the-" not in repr(request)


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (400, b'{"error": "invalid_target"}', "invalid_target"),
        (200, b'{"error": "invalid_target", "access_token": "t"}', "invalid_target"),
        (503, b"{}", "unknown"),
        (400, b'{"error": {}}', "{}"),
    ],
)
def test_a_refusal(
    server: Server, http: httpx2.Client, status: int, body: bytes, error: str
) -> None:
    """All that the server said, and the decision's id."""
    server.says(TOKEN, body, status, Delegation_Decision="d-1")

    with pytest.raises(ExchangeRefused) as caught:
        _trade(server, http)

    assert caught.value.status == status
    assert caught.value.error == error
    assert caught.value.decision == "d-1"
    assert str(caught.value) == f"{error} ({status})"


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (200, b"", "answered 200, and no JSON object"),
        (502, b"<html>", "answered 502, and no JSON object"),
        (200, b"{}", "answered 200, and no access_token"),
        (200, b'{"access_token": {}}', "answered 200, and no access_token"),
    ],
)
def test_what_is_no_answer(
    server: Server, http: httpx2.Client, status: int, body: bytes, reason: str
) -> None:
    """A token response has a token, as text (RFC 8693 §2.2.1)."""
    server.says(TOKEN, body, status)

    with pytest.raises(NoAnswer, match=reason):
        _trade(server, http)


def test_an_endpoint_in_clear(http: httpx2.Client) -> None:
    """The secret is not sent at all."""
    with pytest.raises(NoAnswer, match="in clear"):
        exchange("http://sts.example/token", REQUEST, client_id="id", client_secret="s", http=http)
