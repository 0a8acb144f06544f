"""One exchange, as a client of any RFC 8693 server."""

import base64
import json
from math import nan
from urllib.parse import parse_qsl

import httpx2
import pytest

from delegation.client.credentials import Proof, Secret
from delegation.client.current import CallContext
from delegation.client.errors import Refused, Unavailable
from delegation.client.rfc8693 import (
    ACCESS_TOKEN,
    GRANT_TYPE,
    IssuedToken,
    Request,
    TokenResponse,
    trade,
)
from tests.client.server import TOKEN, Server

REQUEST = Request(subject_token="the-users-token", actor_token="the-actors-token")
PROOF = Secret("s+e c").prove("odd id:%")


def _trade(server: Server, http: httpx2.Client, request: Request = REQUEST) -> TokenResponse:
    return trade(server.endpoint, request, proof=PROOF, http=http)


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

    answer = _trade(server, http, request)

    assert answer.body["access_token"] == "opaque"
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


def test_a_proof_in_the_form(server: Server, http: httpx2.Client) -> None:
    """An assertion stands in the form, and nothing in the header beside it."""
    proof = Proof(parameters={"client_assertion": "signed"})

    trade(server.endpoint, REQUEST, proof=proof, http=http)

    (asked,) = server.asked
    assert ("client_assertion", "signed") in parse_qsl(asked.content)
    assert "Authorization" not in asked.headers


@pytest.mark.parametrize(
    ("context", "sent"),
    [
        (CallContext(), {}),
        (
            CallContext(
                mcp_method="tools/call",
                mcp_name="find events",
                consent="c-17",
                traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            ),
            {
                "Mcp-Method": "tools/call",
                "Mcp-Name": "find events",
                "Delegation-Consent": "c-17",
                "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            },
        ),
        (CallContext(mcp_name="föhn"), {"Mcp-Name": "=?base64?ZsO2aG4=?="}),
        (CallContext(mcp_name="a\r\nHost: evil"), {"Mcp-Name": "=?base64?YQ0KSG9zdDogZXZpbA==?="}),
        (CallContext(mcp_name="\udc80"), {"Mcp-Name": "=?base64?Pw==?="}),
        (CallContext(mcp_name="n" * 257), {}),
        (CallContext(consent="a\r\nHost: evil", traceparent="föhn"), {}),
    ],
)
def test_what_it_is_for(
    server: Server, http: httpx2.Client, context: CallContext, sent: dict[str, str]
) -> None:
    """Said in headers, as MCP 2026-07-28 writes them; what cannot be said is left out."""
    request = Request(subject_token="the-users-token", context=context)

    _trade(server, http, request)

    headers = server.asked[0].headers
    names = {"Mcp-Method", "Mcp-Name", "Delegation-Consent", "traceparent"}
    assert {name: headers[name] for name in names & headers.keys()} == sent


def test_tokens_are_not_shown() -> None:
    """A request or an answer that ends up in a log holds no token there."""
    body = {"access_token": "the-issued", "token_type": "Bearer"}
    answer = TokenResponse(body=body, decision=None)

    shown = f"{REQUEST!r} {answer!r} {IssuedToken.read(answer, REQUEST)!r}"

    assert "the-" not in shown


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (400, b'{"error": "invalid_target"}', "invalid_target"),
        (200, b'{"error": "invalid_target", "access_token": "t"}', "invalid_target"),
        (400, b'{"error": {}}', "unknown"),
    ],
)
def test_a_refusal(
    server: Server, http: httpx2.Client, status: int, body: bytes, error: str
) -> None:
    """All that the server said, and the decision's id."""
    server.says(TOKEN, body, status, Delegation_Decision="d-1")

    with pytest.raises(Refused) as caught:
        _trade(server, http)

    assert caught.value.status == status
    assert caught.value.error == error
    assert caught.value.decision == "d-1"
    assert caught.value.body == json.loads(body)


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

    with pytest.raises(Unavailable, match=reason) as caught:
        _trade(server, http)

    assert caught.value.status == status


def test_an_endpoint_in_clear(http: httpx2.Client) -> None:
    """The secret is not sent at all."""
    with pytest.raises(Unavailable, match="in clear"):
        trade("http://sts.example/token", REQUEST, proof=PROOF, http=http)


def _read(**members: object) -> IssuedToken:
    body = {"access_token": "issued", "token_type": "Bearer", **members}
    return IssuedToken.read(TokenResponse(body=body, decision="d-1"), REQUEST)


def test_an_issued_token() -> None:
    """What it is good for, and for how long."""
    assert _read(scope="events.read", expires_in=300) == IssuedToken(
        access_token="issued", scope="events.read", expires_in=300, decision="d-1"
    )


@pytest.mark.parametrize(
    ("said", "read"),
    [(299.5, 299.5), (-5, 0), (10**12, 86400), (nan, 0), ("300", 0), (True, 0), (None, 0), ([], 0)],
)
def test_a_lifetime(said: object, read: float) -> None:
    """What is no number is no promise, and nothing is kept for ever."""
    assert _read(expires_in=said).expires_in == read


def test_a_scope_that_is_none() -> None:
    """It is not taken for one."""
    assert _read(scope=["events.read"]).scope == ""


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"access_token": ""}, "that no header can hold"),
        ({"access_token": "two words"}, "that no header can hold"),
        ({"access_token": "a\r\nHost: evil"}, "that no header can hold"),
        ({"access_token": "trailing\n"}, "that no header can hold"),
        ({"token_type": "DPoP"}, "another token_type"),
        ({"token_type": "N_A"}, "another token_type"),
        ({"token_type": None}, "another token_type"),
        ({"access_token": "the-users-token"}, "the very token that it was shown"),
        ({"access_token": "the-actors-token"}, "the very token that it was shown"),
    ],
)
def test_a_token_of_no_use(members: dict[str, object], reason: str) -> None:
    """It is not sent on; least of all the token that was shown (MCP: no passthrough)."""
    with pytest.raises(Unavailable, match=reason):
        _read(**members)


def test_a_bearer_token_by_any_case() -> None:
    """`token_type` is case-insensitive (RFC 6749 §5.1)."""
    assert _read(token_type="bearer").access_token == "issued"
