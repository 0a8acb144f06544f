"""The services that issued tokens are for, and how a request names exactly one of them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import urlsplit

from delegation.domain.errors import Cause, InvalidTarget
from delegation.domain.tokens import Scope

_TARGET_LIMIT = 2048
_URI = re.compile(
    r"https?://[A-Za-z0-9.\-:\[\]]+(?:[/?][A-Za-z0-9\-._~:/?\[\]@!$&'()*+,;=%]*)?", re.ASCII
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """A service that tokens are issued for.

    *identifier* is what its tokens say in `aud`. *names* are the other ways to ask for it: aliases
    of its URI (a trailing slash, a default port) for `resource`, logical names for `audience`;
    always configured, never computed. *scopes* is its catalogue. *clients* are those it admits,
    each with the scopes it may ever be given here: a client that is not named gets nothing. One
    that *introspects* asks us about a token each time (RFC 7662): what is stopped, stops at once.
    """

    identifier: str
    names: frozenset[str] = frozenset()
    scopes: Scope
    clients: Mapping[str, Scope] = field(default_factory=dict)
    introspects: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """What a request names as its target: `resource` URIs and `audience` names."""

    resources: tuple[str, ...] = ()
    audiences: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what can be no identifier of a resource (RFC 8693 §2.1, RFC 8707 §2)."""
        if not all(map(is_resource_uri, self.resources)):
            raise InvalidTarget(Cause.TARGET_MALFORMED)
        if not all(len(name) <= _TARGET_LIMIT and name.isprintable() for name in self.audiences):
            raise InvalidTarget(Cause.TARGET_MALFORMED)


@lru_cache(1024)
def is_resource_uri(value: str) -> bool:
    """Whether *value* is an https URI without fragment or userinfo (http on loopback only)."""
    if len(value) > _TARGET_LIMIT or not _URI.fullmatch(value):
        return False
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    if not host:
        return False
    return parts.scheme == "https" or is_loopback(host)


def is_loopback(host: str) -> bool:
    """Whether *host* names this machine itself."""
    return host in {"localhost", "127.0.0.1", "::1"}
