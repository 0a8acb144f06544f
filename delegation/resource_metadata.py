"""What an API publishes about itself (RFC 9728), read when it is configured, never on a request."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from delegation.client.discovery import well_known
from delegation.domain.errors import Unavailable
from delegation.domain.resources import is_resource_uri
from delegation.domain.tokens import parse_scope
from delegation.jose.fetch import Fetcher

Fetch = Callable[..., Mapping[str, Any]]


class NotUsable(Exception):
    """The API's metadata cannot be had, or does not fit; the message says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceMetadata:
    """What of an API's metadata makes an entry in the registry."""

    identifier: str
    scopes: tuple[str, ...]


def resource_metadata(
    url: str, *, our_issuer: str, private_network: bool = False, fetch: Fetch | None = None
) -> ResourceMetadata:
    """The metadata of the API that *url* identifies. Raises `NotUsable`.

    It must name exactly that identifier (RFC 9728 §3.3), and us among its authorization servers: it
    would not accept our tokens otherwise. It is fetched as issuers' keys are: over https, from one
    address that is checked, without redirects, bounded in size and time.
    """
    if not is_resource_uri(url):
        raise NotUsable(f"{url!r} identifies no API: write an https URI without fragment")
    location = well_known(url, "oauth-protected-resource")
    try:
        document = (fetch or Fetcher())(location, private_network=private_network)
    except Unavailable as error:
        raise NotUsable(
            f"{location} cannot be read: it must answer 200 with JSON, over https, "
            "from a public address unless you say --private-network"
        ) from error
    if document.get("resource") != url:
        raise NotUsable(f"{location} describes another resource than {url}")
    if our_issuer not in _strings(document, "authorization_servers"):
        raise NotUsable(
            f"{location} does not name {our_issuer} in authorization_servers: "
            "add it there first, or the API will refuse our tokens"
        )
    return ResourceMetadata(identifier=url, scopes=_scopes(document, location))


def _scopes(document: Mapping[str, Any], location: str) -> tuple[str, ...]:
    names = _strings(document, "scopes_supported")
    if not names:
        raise NotUsable(f"{location} names no scopes_supported: write the entry by hand")
    try:
        sound = all(len(parse_scope(name)) == 1 for name in names)
    except ValueError:
        sound = False
    if not sound:
        raise NotUsable(f"{location} has a scope that is none by RFC 6749 section 3.3")
    return tuple(names)


def _strings(document: Mapping[str, Any], member: str) -> list[str]:
    value = document.get(member)
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        return []
    return value
