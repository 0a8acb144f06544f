"""One request: where it may go, and how much an answer may cost."""

import time

import httpx2
import pytest

from delegation.client import wire
from delegation.client.wire import MAX_DEPTH, SIZE_LIMIT, Unusable, ask, must_be_safe, read_object
from tests.client.server import METADATA, TOKEN, Handler, Server


@pytest.mark.parametrize(
    "url",
    [
        "https://sts.example/token",
        "https://sts.example:8443/token?tenant=a",
        "http://localhost:8080/token",
        "http://127.0.0.1/token",
        "http://[::1]:8080/token",
    ],
)
def test_where_secrets_may_go(url: str) -> None:
    """Over https, and to this machine."""
    must_be_safe(url)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://sts.example/token", "in clear"),
        ("http://127.0.0.1.evil.example/token", "in clear"),
        ("http://localhost.evil.example/token", "in clear"),
        ("http://0.0.0.0/token", "in clear"),
        ("ftp://localhost/token", "in clear"),
        ("//sts.example/token", "in clear"),
        ("https:///token", "no URL"),
        ("https://sts.example:port/token", "no URL"),
        ("https://sts.example/\ntoken", "no URL"),
        ("https://sts.example/\x1b[31m", "no URL"),
        ("https://sts.example/\u202etoken", "no URL"),
        ("https://st\u0455.example/token", "no URL"),
        ("", "no URL"),
        ("https://user@sts.example/token", "a user"),
        ("http://localhost@evil.example/token", "a user"),
        ("https://sts.example/token#part", "a fragment"),
    ],
)
def test_where_secrets_may_not_go(url: str, reason: str) -> None:
    """In clear over a network, or to what is only called an address."""
    with pytest.raises(Unusable, match=reason):
        must_be_safe(url)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects(server: Server, http: httpx2.Client, status: int) -> None:
    """They are not followed, even by a client that usually does."""
    server.says(TOKEN, b"", status, Location=server.url + METADATA)

    with pytest.raises(Unusable, match="redirect, which is not followed"):
        ask(http, "POST", server.endpoint, auth=("client", "secret"))

    assert [asked.path for asked in server.asked] == [TOKEN]


def test_a_huge_answer(server: Server, http: httpx2.Client) -> None:
    """It is given up as soon as it is too long, whatever length it declares."""

    def endless(handler: Handler) -> None:
        handler.reply(b"", Content_Length=str(1 << 40))
        while True:
            handler.wfile.write(b" " * (1 << 16))

    server.answers[TOKEN] = endless

    with pytest.raises(Unusable, match="more than 256 KiB"):
        ask(http, "POST", server.endpoint)


def test_the_longest_answer(server: Server, http: httpx2.Client) -> None:
    """What is just short enough is read."""
    server.says(TOKEN, b"{}".ljust(SIZE_LIMIT))

    assert ask(http, "POST", server.endpoint).body == {}


def test_a_compressed_answer(server: Server, http: httpx2.Client) -> None:
    """None is asked for; nothing is unpacked."""
    server.says(TOKEN, b"\x1f\x8b\x08", Content_Encoding="gzip")

    assert ask(http, "POST", server.endpoint).body is None
    assert server.asked[0].headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize(
    ("begun", "drop"),
    [
        (b"", b"H"),
        (b"HTTP/1.1 200 OK\r\nX-", b"x"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", b" "),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"0"),
    ],
    ids=["status", "header", "interim answers", "body", "chunk size"],
)
def test_a_dripping_answer(
    server: Server, http: httpx2.Client, monkeypatch: pytest.MonkeyPatch, begun: bytes, drop: bytes
) -> None:
    """Bytes that keep coming do not extend the time that there is, whatever they are a part of."""
    monkeypatch.setattr(wire, "DEADLINE", 0.1)
    server.answers[TOKEN] = lambda handler: _drip(handler, begun, drop)

    with pytest.raises(Unusable, match="too long"):
        ask(http, "POST", server.endpoint)


def test_a_dripping_answer_on_a_kept_connection(
    server: Server, http: httpx2.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time is that of one request: one before it takes nothing away, and gives nothing."""
    connections = []

    def twice(handler: Handler) -> None:
        connections.append(handler)
        handler.reply(b"{}", Connection="keep-alive")
        while handler.rfile.readline().strip():
            """The second request, to the end of its head."""
        _drip(handler, b"", b"H")

    server.answers[TOKEN] = twice
    ask(http, "GET", server.endpoint)
    monkeypatch.setattr(wire, "DEADLINE", 0.1)

    with pytest.raises(Unusable, match="too long"):
        ask(http, "GET", server.endpoint)

    assert len(connections) == 1


def test_a_clients_other_requests(
    server: Server, http: httpx2.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not asked here has the client's own timeouts alone, also on a connection of ours."""

    def twice(handler: Handler) -> None:
        for _ in range(2):
            handler.reply(b"{}", Connection="keep-alive")
            while handler.rfile.readline().strip():
                """The next request, to the end of its head."""

    server.answers[TOKEN] = twice
    ask(http, "GET", server.endpoint)
    monkeypatch.setattr(wire, "DEADLINE", -1)

    assert http.get(server.endpoint).status_code == 200


def _drip(handler: Handler, begun: bytes, drop: bytes) -> None:
    """Send *begun*, and then a drop now and then, for as long as anybody listens."""
    handler.wfile.write(begun)
    while True:
        handler.wfile.write(drop)
        time.sleep(0.01)


def test_no_answer(server: Server) -> None:
    """Silence is bounded by the client's own timeout."""
    server.answers[TOKEN] = lambda _: time.sleep(0.5)

    with (
        httpx2.Client(trust_env=False, timeout=0.1) as http,
        pytest.raises(Unusable, match="cannot be reached: timed out"),
    ):
        ask(http, "POST", server.endpoint)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"a-token\r\n\r\n", "illegal status line"),
        (b"HTTP/1.1 200 OK\r\na-token\r\n\r\n", "illegal header line"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na-token\r\n",
            "illegal chunk header",
        ),
    ],
)
def test_what_is_no_http_is_not_repeated(
    server: Server, http: httpx2.Client, answer: bytes, reason: str
) -> None:
    """It may hold the very token that was sent there, and the message is for a log."""
    server.answers[TOKEN] = lambda handler: handler.wfile.write(answer)

    with pytest.raises(Unusable) as caught:
        ask(http, "POST", server.endpoint)

    assert str(caught.value) == f"{server.endpoint} cannot be reached: {reason}"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"null",
        b"<html>",
        b'{"a": 1',
        b"\xff\xfe",
        b"1" * 5000,
        b'{"a":' * (MAX_DEPTH + 1) + b"1" + b"}" * (MAX_DEPTH + 1),
        b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
    ids=[
        "empty",
        "array",
        "null",
        "html",
        "cut off",
        "no text",
        "huge number",
        "deep",
        "far too deep",
    ],
)
def test_what_is_no_object(content: bytes) -> None:
    """It is none, and nothing is raised."""
    assert read_object(content) is None


def test_what_is_an_object() -> None:
    """As deep as may be."""
    inner = b'{"a":[' * (MAX_DEPTH // 2 - 1) + b"1" + b"]}" * (MAX_DEPTH // 2 - 1)

    assert read_object(inner) is not None
