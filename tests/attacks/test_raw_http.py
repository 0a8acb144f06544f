"""Attacks below the application: what no client library sends, at the server itself."""

import socket
from http.client import HTTPResponse, RemoteDisconnected
from urllib.parse import urlencode

import pytest

from tests.attacks.attack import MALFORMED, Attack, must_be_harmless, must_be_proper
from tests.attacks.endpoint import FORM, Answer, basic
from tests.world import TestWorld

CANARY = b"canary-7f3a9c"
"""Stands wherever an echo or a log line could pick it up."""

SCRIPT = b"<script>" + CANARY + b"</script>"

GET = b"GET /livez HTTP/1.1\r\n"
POST = b"POST /token HTTP/1.1\r\nContent-Type: " + FORM.encode() + b"\r\n"
SMUGGLED = b"0\r\n\r\nGET /" + CANARY + b" HTTP/1.1\r\n\r\n"

REQUESTS: dict[str, tuple[int, bytes]] = {
    "no-request-line": (400, SCRIPT + b"\r\n\r\n"),
    "http-0.9": (400, b"GET /" + CANARY + b"\r\n\r\n"),
    "http-9.9": (400, b"GET /" + CANARY + b" HTTP/9.9\r\n\r\n"),
    "http-2-preface": (400, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "lower-case-method": (400, b"get /" + CANARY + b" HTTP/1.1\r\n\r\n"),
    "method-markup": (400, SCRIPT + b" / HTTP/1.1\r\n\r\n"),
    "four-words": (400, b"GET / " + CANARY + b" HTTP/1.1\r\n\r\n"),
    "line-feeds-only": (400, b"GET /" + CANARY + b" HTTP/1.1\nHost: a\n\n"),
    "raw-bytes-in-path": (400, b"GET /\xff\xfe" + CANARY + b" HTTP/1.1\r\n\r\n"),
    "line-too-long": (414, b"GET /" + CANARY + b"a" * 9000 + b" HTTP/1.1\r\n\r\n"),
    "query-too-long": (414, b"POST /token?x=" + CANARY + b"a" * 9000 + b" HTTP/1.1\r\n\r\n"),
    "header-too-long": (431, GET + b"X: " + CANARY + b"a" * 9000 + b"\r\n\r\n"),
    "too-many-headers": (431, GET + (b"X: " + CANARY + b"\r\n") * 100 + b"\r\n"),
    "space-in-name": (400, GET + b"X " + CANARY + b": a\r\n\r\n"),
    "space-before-colon": (400, GET + b"X-" + CANARY + b" : a\r\n\r\n"),
    "no-colon": (400, GET + CANARY + b"\r\n\r\n"),
    "empty-name": (400, GET + b": " + CANARY + b"\r\n\r\n"),
    "folded": (400, GET + b"X: a\r\n " + CANARY + b"\r\n\r\n"),
    "nul-in-header": (400, GET + b"X: " + CANARY + b"\0\r\n\r\n"),
    "bare-cr-in-header": (400, GET + b"X: " + CANARY + b"\rSet-Cookie: a=b\r\n\r\n"),
    "two-hosts": (400, GET + b"Host: a\r\nHost: " + CANARY + b"\r\n\r\n"),
    "length-is-no-number": (400, POST + b"Content-Length: " + CANARY + b"\r\n\r\na"),
    "length-is-negative": (400, POST + b"Content-Length: -1\r\n\r\n" + CANARY),
    "length-with-plus": (400, POST + b"Content-Length: +5\r\n\r\n" + CANARY),
    "two-lengths": (400, POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n" + CANARY),
    "length-list": (400, POST + b"Content-Length: 1, 1\r\n\r\n" + CANARY),
    "chunked-and-length": (
        400,
        POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n" + SMUGGLED,
    ),
    "length-and-chunked": (
        400,
        POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" + SMUGGLED,
    ),
    "chunked-twice": (
        400,
        POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" + SMUGGLED,
    ),
    "chunked-not-last": (400, POST + b"Transfer-Encoding: chunked, identity\r\n\r\n" + SMUGGLED),
    "unknown-coding": (400, POST + b"Transfer-Encoding: x" + CANARY + b"\r\n\r\n" + SMUGGLED),
    "obscured-coding": (400, POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n" + SMUGGLED),
    "chunked-in-1.0": (
        400,
        b"POST /token HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n" + SMUGGLED,
    ),
    "unknown-expectation": (400, POST + b"Expect: " + CANARY + b"\r\nContent-Length: 0\r\n\r\n"),
    "proxy-protocol": (400, b"PROXY TCP4 1.2.3.4 1.2.3.4 1 1\r\n" + GET + b"\r\n"),
    "unknown-path": (404, b"GET /" + SCRIPT + b" HTTP/1.1\r\nHost: a\r\n\r\n"),
    "encoded-path": (404, b"GET /%3Cscript%3E%0d%0a%00%ff" + CANARY + b" HTTP/1.1\r\n\r\n"),
    "double-slash": (404, b"GET //" + CANARY + b"/token HTTP/1.1\r\nHost: a\r\n\r\n"),
    # Werkzeug takes the two slashes for one: the same endpoint, and the same rules.
    "double-slash-token": (400, b"POST //token HTTP/1.1\r\nHost: a\r\n\r\n"),
    "dot-segments": (404, b"GET /../../etc/" + CANARY + b" HTTP/1.1\r\nHost: a\r\n\r\n"),
    "absolute-form-elsewhere": (
        404,
        b"GET http://evil.example/" + CANARY + b" HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    ),
    "asterisk": (404, b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"),
    "connect": (404, b"CONNECT " + CANARY + b":443 HTTP/1.1\r\nHost: a\r\n\r\n"),
    "trace": (405, b"TRACE /token HTTP/1.1\r\nX-Canary: " + CANARY + b"\r\n\r\n"),
    "absolute-form": (200, b"GET http://evil.example/livez HTTP/1.1\r\nHost: evil.example\r\n\r\n"),
    "host-garbage": (200, GET + b"Host: " + SCRIPT + b"@@:://\r\n\r\n"),
    "no-host": (200, GET + b"\r\n"),
    "forwarded": (
        200,
        GET + b"X-Forwarded-Host: " + CANARY + b"\r\nX-Forwarded-Proto: gopher\r\n\r\n",
    ),
    "script-name": (200, GET + b"SCRIPT_NAME: /" + CANARY + b"\r\n\r\n"),
    "range": (200, GET + b"Range: bytes=0-0\r\n\r\n"),
}


def _log(attack: Attack) -> str:
    return "" if attack.service.own is None else attack.service.own.log


@pytest.mark.attack(21)
@pytest.mark.standard("6749-5.2-3")
@pytest.mark.parametrize(("status", "request_"), REQUESTS.values(), ids=REQUESTS)
def test_what_is_hardly_http(attack: Attack, status: int, request_: bytes) -> None:
    """The server's own answers are JSON without an echo, too; and so is its log."""
    with attack.nothing_happens():
        answer = attack.endpoint.raw(request_, sent=[CANARY, b"evil.example"], method="GET")

    assert answer.status == status
    must_be_harmless(answer)
    assert CANARY.decode() not in _log(attack)


@pytest.mark.attack(21)
@pytest.mark.parametrize(
    "request_",
    [b"", b"\r\n", b"POST /tok", GET, GET + b"X: " + CANARY, b"\x16\x03\x01\x02\x00\x01\x00\x01"],
    ids=["nothing", "line-end", "half-a-line", "half-a-head", "half-a-header", "tls"],
)
def test_what_is_cut_off(attack: Attack, request_: bytes) -> None:
    """Whoever leaves before the end of the headers gets no answer, and leaves no trace."""
    with attack.nothing_happens(), pytest.raises(RemoteDisconnected):
        attack.endpoint.raw(request_)

    assert CANARY.decode() not in _log(attack)


def _request(attack: Attack, *, expect: bool = False) -> bytes:
    body = urlencode(attack.endpoint.form()).encode()
    credentials = basic(attack.endpoint.client, attack.endpoint.secret)
    head = POST + f"Authorization: {credentials}\r\nContent-Length: {len(body)}\r\n".encode()
    return head + (b"Expect: 100-continue\r\n" if expect else b"") + b"\r\n" + body


def _everything(connection: socket.socket) -> bytes:
    received = b""
    while data := connection.recv(65536):
        received += data
    return received


@pytest.mark.attack(21)
def test_pipelining(attack: Attack) -> None:
    """One request, one answer: what comes behind it on the connection is not read."""
    with attack.endpoint.connected() as connection:
        connection.sendall(_request(attack) + _request(attack))
        connection.shutdown(socket.SHUT_WR)
        received = _everything(connection)

    assert received.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nConnection: close\r\n" in received
    assert received.count(b"HTTP/1.1") == 1
    assert received.count(b"access_token") == len([b"access_token", b"issued_token_type"])


@pytest.mark.attack(21)
def test_expect_continue(attack: Attack) -> None:
    """A client that asks first may go on, and gets the same answer."""
    answer = attack.endpoint.raw(_request(attack, expect=True))

    assert answer.status == 200


@pytest.mark.attack(21)
def test_a_request_in_single_bytes(attack: Attack) -> None:
    """How the bytes are cut into packets changes nothing."""
    with attack.endpoint.connected() as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in _request(attack):
            connection.sendall(bytes([byte]))
        response = HTTPResponse(connection)
        response.begin()

    assert response.status == 200


@pytest.mark.attack(21)
@pytest.mark.parametrize("name", ["Set-Cookie: a=b", "Transfer-Encoding: chunked"])
def test_header_injection(attack: Attack, name: str) -> None:
    """Line breaks in parameters never become headers of the answer."""
    broken = f"https://calendar.example/api\r\n{name}\r\n\r\n<html>"
    for parameter in ("resource", "audience", "scope", "state", "client_id"):
        answer = attack.endpoint.exchange(also=[(parameter, broken)])

        assert answer.header("Set-Cookie") is None
        assert answer.header("Transfer-Encoding") is None
        assert b"<html>" not in answer.body


@pytest.mark.attack(21)
def test_nothing_of_a_token_in_the_log(attack: Attack, own: TestWorld) -> None:
    """Neither a token nor a secret is ever logged, wherever in a request it was put."""
    token = own.login.token()
    misplaced = [
        f"GET /{token} HTTP/1.1\r\nHost: a\r\n\r\n",
        f"GET /token?subject_token={token} HTTP/1.1\r\nHost: a\r\n\r\n",
        f"{token} / HTTP/1.1\r\n\r\n",
        f"GET / HTTP/1.1\r\n{token}\r\n\r\n",
        f"POST /token HTTP/1.1\r\nAuthorization: Bearer {token}\r\n\r\n",
        f"POST /token HTTP/1.1\r\nContent-Type: {token}\r\n\r\n",
    ]

    answers = [attack.endpoint.raw(one.encode(), sent=[token.encode()]) for one in misplaced]

    assert {answer.status for answer in answers} <= {400, 404, 405}
    for answer in answers:
        must_be_harmless(answer)
    assert token.split(".")[1] not in own.log
    assert token.split(".")[2] not in own.log


@pytest.mark.attack(21)
@pytest.mark.parametrize("path", ["/livez", "/readyz", "/jwks", "/nowhere", "/token"])
@pytest.mark.parametrize("method", ["POST", "PUT", "OPTIONS", "DELETE"])
def test_other_addresses(attack: Attack, path: str, method: str) -> None:
    """No address but the token endpoint takes anything, and none answers in HTML."""
    answer: Answer = attack.endpoint.send(b"", path=path, method=method)

    assert answer.status == {"/nowhere": 404}.get(path, 405) or (path, method) == ("/token", "POST")
    assert answer.header("Access-Control-Allow-Origin") is None
    if answer.status == 400:
        must_be_proper(answer, MALFORMED)
    must_be_harmless(answer)
