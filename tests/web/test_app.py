"""The addresses of the service, and what is answered where there is none."""

import json

import pytest
from authlib.oauth2.rfc6749.errors import InsecureTransportError
from structlog.testing import capture_logs
from werkzeug.exceptions import ServiceUnavailable

from tests.web.endpoint import Endpoint, body_of, issued, refused


def test_below_the_path_of_the_issuer() -> None:
    """Endpoints are below the issuer's path, health is at the root."""
    sts = Endpoint("https://sts.example.com/tenant1")

    assert issued(sts.ask(path="/tenant1/token"))
    assert sts.ask(path="/tenant1/jwks", method="GET").status_code == 200
    assert sts.ask(path="/livez", method="GET").status_code == 200
    assert refused(sts.ask(path="/token")) == (404, "not_found", None)


def test_issuer_with_a_slash() -> None:
    """A slash at the issuer's end does not double."""
    assert issued(Endpoint("https://sts.example.com/").ask())


def test_issuer_on_loopback() -> None:
    """The development server needs no certificate."""
    assert issued(Endpoint("http://127.0.0.1:8080").ask())


@pytest.mark.standard("6749-3.2-2", "8693-5-3")
def test_issuer_without_tls() -> None:
    """An issuer that is not https is a mistake of ours, found at the start."""
    with pytest.raises(InsecureTransportError):
        Endpoint("http://sts.example.com")


@pytest.mark.standard("JWKS-1")
def test_jwks(sts: Endpoint) -> None:
    """Our public keys may be kept for five minutes."""
    sts.keys = {"keys": [{"kty": "EC", "kid": "1"}]}

    response = sts.ask(path="/jwks", method="GET")

    assert json.loads(response.data) == sts.keys
    assert response.headers["Content-Type"] == "application/jwk-set+json"
    assert response.headers["Cache-Control"] == "public, max-age=300"
    assert "Pragma" not in response.headers
    assert response.headers["X-Content-Type-Options"] == "nosniff"


def test_liveness(sts: Endpoint) -> None:
    """Whatever is unwell, the process is alive: restarting it would help nobody."""
    sts.problems = ["ledger"]

    response = sts.ask(path="/livez", method="GET")

    assert response.status_code == 200
    assert body_of(response) == {"status": "alive"}


def test_readiness(sts: Endpoint) -> None:
    """Ready, or the names of what is unwell."""
    ready = sts.ask(path="/readyz", method="GET")
    sts.problems = ("ledger", "signing")
    unready = sts.ask(path="/readyz", method="GET")

    assert ready.status_code == 200
    assert body_of(ready) == {"status": "ready"}
    assert unready.status_code == 503
    assert body_of(unready) == {"status": "not ready", "problems": ["ledger", "signing"]}


@pytest.mark.standard("STK-12")
@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/token/",
        "/Token",
        "/token/x",
        "/static/x",
        "/<script>",
        "/jwks.json",
        "/\xff",
        "/tok\0",
    ],
    ids=ascii,
)
def test_nothing_there(sts: Endpoint, path: str) -> None:
    """No pages, no redirects, no static files: JSON, and no echo."""
    response = sts.ask(path="/", PATH_INFO=path)

    assert refused(response) == (404, "not_found", None)
    assert "Location" not in response.headers


@pytest.mark.parametrize("path", ["/jwks", "/livez", "/readyz"])
@pytest.mark.parametrize("method", ["POST", "OPTIONS", "DELETE"])
def test_only_to_be_read(sts: Endpoint, path: str, method: str) -> None:
    """What is published is read with GET, or HEAD."""
    response = sts.ask(path=path, method=method)

    assert refused(response) == (405, "invalid_request", "malformed_request")
    assert response.headers["Allow"] == "GET, HEAD"


@pytest.mark.standard("6749-5.2-3")
def test_server_error_of_the_framework(sts: Endpoint) -> None:
    """A server error says nothing, whoever raises it."""

    def fail() -> object:
        raise ServiceUnavailable("the inside of the house")

    sts.registry.make = fail

    with capture_logs() as logs:
        response = sts.ask()

    assert refused(response) == (500, "server_error", None)
    assert "house" not in response.text
    assert logs[0]["error"] == "ServiceUnavailable"
