"""What stands in front of the service: TLS, slow clients, sizes, addresses, and a quiet log."""

import json
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.attacks.endpoint import Endpoint
from tests.deploy.nginx import HOST, Nginx, answer_on, nginx
from tests.integration.conftest import endpoint_of
from tests.resilience.load import wait_until
from tests.world import TestWorld, a_test_world

SECRET = "eyJhbGciOiJFUzI1NiJ9"


@pytest.fixture(name="world", scope="module")
def _world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestWorld]:
    """The service with one worker: who holds it holds everybody."""
    directory = tmp_path_factory.mktemp("world")
    with a_test_world(directory, workers=1, DELEGATION_TRUSTED_PROXIES="127.0.0.1/32") as world:
        yield world


@pytest.fixture(name="front", scope="module")
def _front(world: TestWorld, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    """What stands in front of it."""
    with nginx(tmp_path_factory.mktemp("front") / "n", _port(world)) as front:
        yield front


@pytest.fixture(name="endpoint")
def _endpoint(world: TestWorld) -> Endpoint:
    return endpoint_of(world)


def _port(world: TestWorld) -> int:
    return int(world.world.url.rpartition(":")[2])


def _get(path: str, *headers: str) -> bytes:
    head = [f"GET {path} HTTP/1.1", "Host: sts.example.com", "Connection: close", *headers]
    return "\r\n".join([*head, "", ""]).encode()


def test_an_exchange(front: Nginx, endpoint: Endpoint) -> None:
    """It is answered as without; the log has its decision."""
    answer = front.exchange(endpoint)

    assert answer.status == 200
    decision = str(answer.header("Delegation-Decision"))
    wait_until(lambda: decision in front.log)
    [line] = [json.loads(line) for line in front.log.splitlines() if decision in line]
    assert (line["place"], line["status"], line["upstream_status"]) == ("/token", "200", "200")


def test_slow_clients_keep_nobody_waiting(front: Nginx, endpoint: Endpoint) -> None:
    """Ten of them send a byte now and then: the one worker serves the others meanwhile."""
    whole = b"POST /token HTTP/1.1\r\nHost: sts.example.com\r\nConnection: close\r\n"
    whole += b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n\r\n"
    whole += b"a" * 100
    served = []
    with ExitStack() as stack:
        # Some are in the midst of their headers by now, some of their body.
        slow = {20 * number: stack.enter_context(front.connected()) for number in range(10)}
        for begun, connection in slow.items():
            connection.sendall(whole[:begun])

        for byte in range(5):
            for begun, connection in slow.items():
                connection.sendall(whole[begun + byte :][:1])
            served += [front.raw(_get("/livez")), front.exchange(endpoint)]

        for begun, connection in slow.items():
            connection.sendall(whole[begun + 5 :])
        answers = [answer_on(connection) for connection in slow.values()]
    assert [answer.status for answer in served] == [200] * 10
    assert {answer.status for answer in answers} == {400}


def test_what_a_stranger_says_of_its_address_is_dropped(
    front: Nginx, endpoint: Endpoint, world: TestWorld
) -> None:
    """The event has the address that the connection came from."""
    answer = front.exchange(endpoint, **{"X-Forwarded-For": "192.0.2.66", "Forwarded": "for=x"})

    decision = answer.header("Delegation-Decision")
    assert decision is not None
    assert world.books.exchange(decision)["source"] == endpoint.source


def test_what_a_request_is_called(front: Nginx, endpoint: Endpoint, world: TestWorld) -> None:
    """One name in both logs, in the event and in the answer; and none that a stranger made up."""
    answer = front.exchange(endpoint, **{"X-Request-Id": "strangers-own"})

    name, decision = answer.header("X-Request-Id"), str(answer.header("Delegation-Decision"))
    wait_until(lambda: decision in front.log)
    [line] = [json.loads(line) for line in front.log.splitlines() if decision in line]
    assert name == line["request_id"] == world.books.exchange(decision)["request_id"]
    assert name != "strangers-own"


@pytest.mark.parametrize(
    "path",
    ["/", "/readyz", "/admin", "/admin/v1/locks", "/v1/locks", "/metrics", "/token/", "/tokenx"],
)
def test_nothing_else_is_there(front: Nginx, path: str) -> None:
    """Neither the admin API, nor what says how the service is, nor anything near."""
    answer = front.raw(_get(path))

    assert answer.status == 404
    assert answer.json["error"] == "not_found"


@pytest.mark.parametrize(
    "path", ["/jwks", "/.well-known/oauth-authorization-server", "/livez"], ids=str
)
def test_what_everybody_may_read(front: Nginx, path: str) -> None:
    """It comes through, and with word that TLS is what it comes by."""
    answer = front.raw(_get(path))

    assert answer.status == 200
    assert answer.header("Strict-Transport-Security") == "max-age=63072000"


@pytest.mark.parametrize(
    ("version", "spoken"),
    [(ssl.TLSVersion.TLSv1_2, "TLSv1.2"), (ssl.TLSVersion.TLSv1_3, "TLSv1.3")],
)
def test_tls(front: Nginx, version: ssl.TLSVersion, spoken: str) -> None:
    """1.2 with ciphers that keep the past secret, and 1.3."""
    with front.connected(minimum=version, maximum=version) as connection:
        cipher = connection.cipher()

        assert connection.version() == spoken
        assert cipher is not None
        assert cipher[0].startswith(("ECDHE-", "TLS_"))


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_no_tls_of_before(front: Nginx) -> None:
    """1.1 is not spoken."""
    old = ssl.TLSVersion.TLSv1_1

    with pytest.raises((ssl.SSLError, OSError)):
        front.connected(minimum=old, maximum=old)


def test_no_http_in_the_clear(front: Nginx) -> None:
    """It is refused, and leads nowhere else."""
    with socket.create_connection((HOST, front.port), 10) as connection:
        connection.sendall(_get("/jwks"))
        answer = answer_on(connection)

    assert (answer.status, answer.json) == (400, {"error": "invalid_request"})
    assert answer.header("Location") is None


def test_a_body_that_is_too_large(front: Nginx, endpoint: Endpoint) -> None:
    """As much as the service takes comes through to it; of more, not a byte."""
    most = front.send(endpoint, b"a" * 65536)
    more = front.send(endpoint, b"a" * 65537)

    assert (most.status, most.json["reason"]) == (400, "malformed_request")
    assert (more.status, more.json["error_description"]) == (413, "the request is too large")


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03 no http at all\r\n\r\n",
        _get("/jwks", "X-Long: " + "a" * 8200),
        _get("/jwks?" + "a" * 8200),
        _get("/jwks").replace(b"Host: sts.example.com\r\n", b""),
    ],
    ids=["no HTTP", "a long header", "a long line", "no host"],
)
def test_what_is_no_request(front: Nginx, data: bytes) -> None:
    """It is refused in the form of the service's own answers."""
    answer = front.raw(data)

    assert (answer.status, answer.json) == (400, {"error": "invalid_request"})


def test_an_instance_that_is_away(tmp_path: Path) -> None:
    """Where no instance answers, clients are told to come back."""
    with nginx(tmp_path / "n", 1) as front:
        answer = front.raw(_get("/jwks"))

    assert (answer.status, answer.json["error"]) == (503, "temporarily_unavailable")
    assert answer.header("Retry-After") == "1"


def test_no_secret_is_in_its_log(tmp_path: Path, front: Nginx, endpoint: Endpoint) -> None:
    """Whatever a client writes, wherever it writes it, and whether or not anybody answers."""
    data = [
        _get(f"/jwks?token={SECRET}", f"Referer: https://x.example/?{SECRET}"),
        _get(f"/{SECRET}", f"Authorization: Bearer {SECRET}", f"User-Agent: {SECRET}"),
        _get("/jwks").replace(b"Host: sts.example.com", b"Host: " + SECRET.encode()),
        _get(f"/jwks?token={SECRET}" + "a" * 8200),
        _get("/jwks", f"X-{SECRET}: a", f"Bad {SECRET}"),
        SECRET.encode() + b" / HTTP/1.1\r\n\r\n",
    ]

    with nginx(tmp_path / "n", 1) as alone:
        for one in data:
            alone.raw(one)
            front.raw(one)
        alone.send(endpoint, SECRET.encode() + b"a" * 70_000, path=f"/token?{SECRET}")
        alone.send(endpoint, SECRET.encode(), path=f"/{SECRET}", Expect=SECRET)
        # Refused by the service, whose log is looked at in the end.
        front.send(endpoint, b"grant_type=x", **{"X-Request-Id": SECRET, "Traceparent": SECRET})

    assert SECRET not in alone.log + front.log
    assert endpoint.secret not in alone.log + front.log
    assert len(alone.log.splitlines()) >= len(data)


def test_nothing_that_is_sent_is_on_its_disk(
    world: TestWorld, endpoint: Endpoint, tmp_path: Path
) -> None:
    """What comes through is in memory alone: it would say so, were it otherwise."""
    with nginx(tmp_path / "n", _port(world), level="warn") as front:
        front.send(endpoint, b"a" * 65536)
        chunk = b"8000\r\n" + b"a" * 0x8000 + b"\r\n"
        head = _get("/token", "Transfer-Encoding: chunked").replace(b"GET", b"POST")
        chunked = front.raw(head + chunk * 2 + b"0\r\n\r\n")

    assert chunked.status in {400, 401}
    assert "temporary file" not in front.log
