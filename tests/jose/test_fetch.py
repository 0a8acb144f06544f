"""Fetching under limits: from where, how long, how much, against a real server."""

import itertools
import time

import pytest

from delegation.domain.errors import Unavailable
from delegation.jose import fetch
from delegation.jose.fetch import SIZE_LIMIT, Fetcher, resolve

DOCUMENT = b'{"keys":[]}'


def addresses(*literals):
    """A resolver that has the same addresses for every name, and remembers what it was asked."""
    return lambda _host, _port: literals


def test_a_document_is_fetched(server):
    """The document at the configured URL is read, in one plain request."""
    assert Fetcher()(server.url(), private_network=True) == {"keys": []}

    ((path, headers),) = server.requests
    assert path == "/jwks"
    assert headers["Host"] == f"127.0.0.1:{server.server_port}"
    assert headers["Accept-Encoding"] == "identity"
    assert "Authorization" not in headers


def test_the_environment_changes_nothing(server, dead_port, monkeypatch):
    """A proxy in the environment is not used."""
    for name in (
        "http_proxy",
        "https_proxy",
        "all_proxy",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
    ):
        monkeypatch.setenv(name, f"http://127.0.0.1:{dead_port}")

    assert Fetcher()(server.url(), private_network=True) == {"keys": []}


@pytest.mark.standard("8725-3.10-2")
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(server, status):
    """A server that points elsewhere is a server without keys."""
    elsewhere = server.url().replace("/jwks", "/elsewhere")
    server.answer = lambda handler: handler.reply(DOCUMENT, status=status, Location=elsewhere)

    with pytest.raises(Unavailable, match="issuer_keys"):
        Fetcher()(server.url(), private_network=True)
    assert [path for path, _ in server.requests] == ["/jwks"]


@pytest.mark.standard("8725-3.10-2")
@pytest.mark.parametrize("status", [201, 204, 404, 500, 503])
def test_only_200_is_an_answer(server, status):
    """Any other status is a failure, whatever the body says."""
    server.answer = lambda handler: handler.reply(DOCUMENT, status=status)

    with pytest.raises(Unavailable):
        Fetcher()(server.url(), private_network=True)


@pytest.mark.standard("8725-3.10-2")
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"<html></html>", id="html"),
        pytest.param(b"[]", id="array"),
        pytest.param(b'{"keys":[],"keys":[]}', id="member-twice"),
        pytest.param(b'{"keys":NaN}', id="nan"),
        pytest.param('{"keys":[]}'.encode("utf-16"), id="utf-16"),
        pytest.param(b'{"keys":' * 50_000, id="deep"),
        pytest.param(b'{"keys":[]}' + b" " * SIZE_LIMIT, id="huge"),
    ],
)
def test_only_a_strict_json_object_is_a_document(server, body):
    """What is no JSON object by the reader's rules is a failure."""
    server.answer = lambda handler: handler.reply(body)

    with pytest.raises(Unavailable):
        Fetcher()(server.url(), private_network=True)


@pytest.mark.standard("8725-3.10-2")
def test_compressed_documents_are_not_unpacked(server):
    """A body that claims to be compressed is read as it is, so none can blow up in memory."""
    server.answer = lambda handler: handler.reply(DOCUMENT, Content_Encoding="gzip")

    assert Fetcher()(server.url(), private_network=True) == {"keys": []}


@pytest.mark.standard("8725-3.10-2")
def test_an_endless_document_is_cut_off(server):
    """Reading stops at the limit, whatever length was announced."""

    def endless(handler):
        handler.reply(b'{"keys":["', Transfer_Encoding="identity", Content_Length=10**12)
        for _ in itertools.takewhile(lambda _: not server.closing.is_set(), itertools.count()):
            handler.wfile.write(b"x" * 65536)

    server.answer = endless

    with pytest.raises(Unavailable):
        Fetcher()(server.url(), private_network=True)


@pytest.mark.standard("8725-3.10-2")
@pytest.mark.parametrize(
    "drip",
    [b"", b"HTTP/1.1 200 OK\r\nX-", b"HTTP/1.1 200 OK\r\n\r\n"],
    ids=["silence", "headers", "body"],
)
def test_a_slow_server_is_given_up(server, drip, monkeypatch):
    """All of the time together is limited: bytes that drip in do not extend it."""
    monkeypatch.setattr(fetch, "TIMEOUT", 0.3)

    def slow(handler):
        handler.wfile.write(drip)
        while not server.closing.wait(0.05):
            handler.wfile.write(b"x")

    server.answer = slow if drip else lambda _: server.closing.wait()

    began = time.monotonic()
    with pytest.raises(Unavailable):
        Fetcher()(server.url(), private_network=True)
    assert time.monotonic() - began < 2


def test_time_that_is_up_is_up(server, monkeypatch):
    """Where the time is up before the connection, there is none."""
    monkeypatch.setattr(fetch, "TIMEOUT", 0.0)

    with pytest.raises(Unavailable):
        Fetcher()(server.url(), private_network=True)
    assert server.requests == []


def test_a_server_that_hangs_up_is_a_failure(server):
    """A connection that ends without an answer is a failure."""
    server.answer = lambda _: None

    with pytest.raises(Unavailable):
        Fetcher()(server.url(), private_network=True)


def test_a_port_where_nobody_listens_is_a_failure(dead_port):
    """A refused connection is a failure."""
    with pytest.raises(Unavailable):
        Fetcher()(f"http://127.0.0.1:{dead_port}/jwks", private_network=True)


@pytest.mark.parametrize("url", ["https://[broken/jwks", "https://host:port/jwks", "https:///jwks"])
def test_a_broken_url_is_a_failure(url):
    """A URL that leads nowhere is a failure and no bug."""
    with pytest.raises(Unavailable):
        Fetcher(resolver=addresses())(url, private_network=True)


@pytest.mark.standard("8725-3.10-2")
@pytest.mark.parametrize(
    ("url", "private_network"),
    [
        ("http://127.0.0.1:{port}/jwks", False),
        ("http://keys.example.com:{port}/jwks", True),
        ("http://10.0.0.1:{port}/jwks", True),
        ("ftp://127.0.0.1:{port}/jwks", True),
        ("file:///etc/passwd", True),
        ("//127.0.0.1:{port}/jwks", True),
    ],
)
def test_keys_come_over_https(server, url, private_network):
    """Plain http is for loopback alone, and only where the entry allows a private network."""
    fetcher = Fetcher(resolver=addresses("127.0.0.1"))

    with pytest.raises(Unavailable):
        fetcher(url.format(port=server.server_port), private_network=private_network)
    assert server.requests == []


@pytest.mark.standard("8725-3.10-2")
@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.1.2.3",
        "0.0.0.0",  # noqa: S104, an address to be refused
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.169.254",
        "192.0.2.1",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::1",
        "2002:7f00:1::1",
        "2001:0:1::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fe80::1%lo",
        "fec0::1",
        "ff02::1",
        "2001:db8::1",
    ],
)
@pytest.mark.parametrize("others", [(), ("93.184.215.14",)], ids=["alone", "among-public"])
def test_no_connection_is_made_into_a_private_network(address, others, monkeypatch):
    """A name that resolves to anything but public addresses is not connected to."""
    monkeypatch.setattr(fetch.httpcore2.SyncBackend, "connect_tcp", None)
    fetcher = Fetcher(resolver=addresses(*others, address))

    with pytest.raises(Unavailable) as caught:
        fetcher("https://keys.example.com/jwks")
    assert "not public" in str(caught.value.__cause__)


@pytest.mark.parametrize(
    "address",
    ["93.184.215.14", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"],
)
def test_public_addresses_are_connected_to(address, monkeypatch):
    """A public address is connected to, and it is the one that was checked."""
    tried = []

    def connect(_, host, *__):
        tried.append(host)
        raise fetch.httpcore2.ConnectError

    monkeypatch.setattr(fetch.httpcore2.SyncBackend, "connect_tcp", connect)

    with pytest.raises(Unavailable):
        Fetcher(resolver=addresses(address))("https://keys.example.com/jwks")
    assert tried == [address]


@pytest.mark.standard("8725-3.10-2")
def test_a_name_is_resolved_once(tls_server, trust):
    """A name that changes its meaning after the check is not asked again (DNS rebinding)."""
    asked = []

    def rebinding(host, _port):
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["192.0.2.66"]

    fetcher = Fetcher(tls=trust, resolver=rebinding)

    assert fetcher(tls_server.url("keys.example.com"), private_network=True) == {"keys": []}
    assert asked == ["keys.example.com"]


def test_the_certificate_must_bear_the_name(tls_server, trust):
    """TLS verifies the name of the URL, not the address connected to."""
    fetcher = Fetcher(tls=trust, resolver=addresses("127.0.0.1"))

    with pytest.raises(Unavailable):
        fetcher(tls_server.url("other.example.com"), private_network=True)
    assert tls_server.requests == []


def test_the_certificate_must_be_trusted(tls_server):
    """A certificate of an unknown authority is worth nothing, also within a private network."""
    fetcher = Fetcher(resolver=addresses("127.0.0.1"))

    with pytest.raises(Unavailable):
        fetcher(tls_server.url("keys.example.com"), private_network=True)
    assert tls_server.requests == []


def test_an_address_that_does_not_answer_leaves_time_for_the_next(tls_server, trust):
    """All addresses of a name are tried in turn."""
    fetcher = Fetcher(tls=trust, resolver=addresses("127.0.0.2", "127.0.0.2", "127.0.0.1"))

    assert fetcher(tls_server.url("keys.example.com"), private_network=True) == {"keys": []}


def test_a_name_without_addresses_is_a_failure():
    """A name that resolves to nothing is a failure."""
    with pytest.raises(Unavailable):
        Fetcher(resolver=addresses())("https://keys.example.com/jwks")


def test_names_are_resolved_by_the_system():
    """The default resolver gives address literals."""
    assert "127.0.0.1" in resolve("127.0.0.1", 443)
