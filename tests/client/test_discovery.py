"""Finding a server's token endpoint, and being led nowhere else."""

import httpx2
import pytest

from delegation.client.discovery import DiscoveryFailed, discover, token_endpoint, well_known
from tests.client.server import METADATA, Server


@pytest.mark.parametrize(
    ("identifier", "url"),
    [
        ("https://sts.example", "https://sts.example/.well-known/x"),
        ("https://sts.example/", "https://sts.example/.well-known/x"),
        ("https://sts.example/tenant/a", "https://sts.example/.well-known/x/tenant/a"),
        ("https://api.example/v1?t=a", "https://api.example/.well-known/x/v1?t=a"),
    ],
)
def test_where_it_is(identifier: str, url: str) -> None:
    """Between host and path (RFC 8414 §3.1, RFC 9728 §3.1)."""
    assert well_known(identifier, "x") == url


def test_discovery(server: Server, http: httpx2.Client) -> None:
    """By the issuer identifier alone; nothing secret is sent."""
    assert discover(server.url, http)["issuer"] == server.url
    assert token_endpoint(server.url, http) == server.endpoint

    assert {asked.path for asked in server.asked} == {METADATA}
    assert "Authorization" not in server.asked[0].headers


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        (b"{}", 404, "is no metadata: it answered 404"),
        (b"<html>", 200, "is no metadata: it answered 200, and no JSON object"),
        (b"{}", 200, "names another issuer"),
        (b'{"issuer": "https://evil.example"}', 200, "names another issuer"),
        (b'{"issuer": ["https://evil.example"]}', 200, "names another issuer"),
    ],
)
def test_what_is_not_its_metadata(
    server: Server, http: httpx2.Client, body: bytes, status: int, reason: str
) -> None:
    """A document that does not say exactly whose it is is nobody's (RFC 8414 §3.3)."""
    server.says(METADATA, body, status)

    with pytest.raises(DiscoveryFailed, match=reason):
        discover(server.url, http)


@pytest.mark.parametrize("issuer", ["http://sts.example", "sts.example", "https://[", ""])
def test_an_issuer_that_is_not_asked(issuer: str, http: httpx2.Client) -> None:
    """Whoever could change the metadata on its way could say where secrets go."""
    with pytest.raises(DiscoveryFailed):
        discover(issuer, http)


@pytest.mark.parametrize(
    ("endpoint", "reason"),
    [
        (None, "names no token_endpoint"),
        (["https://sts.example/token"], "names no token_endpoint"),
        ("http://sts.example/token", "in clear"),
        ("/token", "no URL"),
        ("https://user:password@sts.example/token", "a user"),
    ],
)
def test_an_endpoint_that_gets_no_secret(
    server: Server, http: httpx2.Client, endpoint: object, reason: str
) -> None:
    """Metadata cannot send the client's secret over a network in clear."""
    server.has_metadata(token_endpoint=endpoint)

    with pytest.raises(DiscoveryFailed, match=reason):
        token_endpoint(server.url, http)
