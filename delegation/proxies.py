"""Whom a request came from, where proxies of ours stand between us and them."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Any, Self

_NONE, _UNIX = "none", "unix"

# An address, which some proxies write with a port; a port without brackets is an IPv4 address's.
_ADDRESS = re.compile(
    r"([0-9.]+)(?::[0-9]{1,5})?|\[([0-9A-Fa-f:.]+)\](?::[0-9]{1,5})?|([0-9A-Fa-f:.]+)", re.ASCII
)

# What nginx and others make up, and no more than a name may be.
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)

REQUEST_ID = "delegation.request_id"
"""Where a request's id stands in its WSGI environment, once it has one. No header can be that."""

Application = Callable[[dict[str, Any], Any], Iterable[bytes]]
"""A WSGI application."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedProxies:
    """Whose `X-Forwarded-For` and `X-Request-Id` are believed: those of peers in *networks*; with
    *unix* those of whoever has our socket.

    Of nobody else is any header believed, and by itself of nobody. `Forwarded` (RFC 7239) is not
    read.
    """

    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    unix: bool = False

    @classmethod
    def parse(cls, text: str) -> Self:
        """From networks, or `unix`, with commas between them; or `none`. Raises `ValueError`."""
        if text == _NONE:
            return cls()
        names = [name.strip(" ") for name in text.split(",")]
        networks = tuple(_network(name) for name in names if name != _UNIX)
        return cls(networks=networks, unix=_UNIX in names)

    def source(self, peer: str, forwarded: str) -> str:
        """The address of whoever asked, by the *peer*'s address and what was *forwarded*.

        It is the rightmost entry that no trusted proxy wrote of another one: what stands left of it
        is what a stranger says. Where that cannot be read, it is the peer's.
        """
        return self._said(peer, forwarded) if self._believes(peer) else peer

    def before(self, application: Application) -> Application:
        """*application*, with `REMOTE_ADDR` as the address of whoever asked, and `REQUEST_ID`."""
        if self == TrustedProxies():
            return application

        def behind(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            environ["REMOTE_ADDR"] = peer = environ.get("REMOTE_ADDR") or ""
            if self._believes(peer):
                forwarded = environ.get("HTTP_X_FORWARDED_FOR", "")
                environ["REMOTE_ADDR"] = self._said(peer, forwarded)
                name = environ.get("HTTP_X_REQUEST_ID", "")
                if _NAME.fullmatch(name):
                    environ[REQUEST_ID] = name
            return application(environ, start_response)

        return behind

    def _believes(self, peer: str) -> bool:
        return self._trusts(_address(peer)) or (self.unix and not peer)

    def _said(self, peer: str, forwarded: str) -> str:
        at = None
        for entry in reversed(forwarded.split(",")):
            at = _address(entry.strip(" \t"))
            if at is None:
                return peer
            if not self._trusts(at):
                break
        return str(at)

    def _trusts(self, address: IPv4Address | IPv6Address | None) -> bool:
        return address is not None and any(address in network for network in self.networks)


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        network = ip_network(text)
    except ValueError:
        network = None
    if network is None or network.prefixlen == 0:
        # Who trusts everybody believes whatever anybody writes.
        raise ValueError(
            f"must be networks like 10.0.0.0/8 or 2001:db8::/32, or {_UNIX} for whoever has our "
            f"socket, with commas between them, and none that holds all addresses; or {_NONE}"
        )
    return network


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """As it is compared: an IPv4 address in IPv6's clothes is an IPv4 address."""
    found = _ADDRESS.fullmatch(text)
    if found is None:
        return None
    try:
        address = ip_address(found[1] or found[2] or found[3])
    except ValueError:
        return None
    return (address.version == 6 and address.ipv4_mapped) or address  # noqa: PLR2004, IP's versions
