"""Finding an authorization server's endpoints by its issuer identifier alone (RFC 8414)."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx2

from delegation.client.errors import Unavailable
from delegation.client.wire import Unusable, ask, must_be_safe


class DiscoveryFailed(Unavailable):
    """The metadata cannot be had, or is not the issuer's own; the message says what to look at."""


def discover(issuer: str, http: httpx2.Client) -> Mapping[str, Any]:
    """The metadata of *issuer*. Raises `DiscoveryFailed`.

    A document that does not name exactly this issuer is somebody else's, and refused (RFC 8414
    §3.3). It is read over https, or from this machine: whoever could change it on its way would
    say where the client's secret goes.
    """
    try:
        must_be_safe(issuer)
        url = well_known(issuer, "oauth-authorization-server")
        answer = ask(http, "GET", url, auth=None)
    except Unusable as error:
        raise DiscoveryFailed(str(error)) from error
    if answer.status != httpx2.codes.OK or answer.body is None:
        raise DiscoveryFailed(
            f"{url} is no metadata: it answered {answer.status}"
            + ("" if answer.body else ", and no JSON object")
        )
    if answer.body.get("issuer") != issuer:
        raise DiscoveryFailed(
            f"{url} is not the metadata of {issuer}: it names another issuer (often "
            "a slash at the end is too much, or missing)"
        )
    return answer.body


def token_endpoint(issuer: str, http: httpx2.Client) -> str:
    """Where *issuer* trades tokens. Raises `DiscoveryFailed`, also where no secret may go there."""
    endpoint = discover(issuer, http).get("token_endpoint")
    if not isinstance(endpoint, str):
        raise DiscoveryFailed(f"the metadata of {issuer} names no token_endpoint")
    try:
        must_be_safe(endpoint)
    except Unusable as error:
        raise DiscoveryFailed(f"the token_endpoint of {issuer} is not used: {error}") from error
    return endpoint


def well_known(identifier: str, name: str) -> str:
    """Where the well-known document *name* of *identifier* is: between its host and its path
    (RFC 8414 §3.1, RFC 9728 §3.1). Raises `ValueError` where *identifier* is no URL.
    """
    parts = urlsplit(identifier)
    path = f"/.well-known/{name}{parts.path.rstrip('/')}"
    return urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))
