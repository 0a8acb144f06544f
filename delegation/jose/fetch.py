"""Fetches one JSON document of another party, under limits: from where, how long, how much."""

import socket
import ssl
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any
from urllib.parse import urlsplit

import httpcore2

from delegation.domain.errors import Unavailable
from delegation.domain.resources import is_loopback
from delegation.jose.strict_json import read_object

TIMEOUT = 3.0
"""Seconds for everything together. Only the system's resolver keeps its own time."""

SIZE_LIMIT = 256 * 1024
"""Bytes of a document."""

_FAILURES = (
    httpcore2.NetworkError,
    httpcore2.TimeoutException,
    httpcore2.ProtocolError,
    OSError,
    ValueError,
)
_GLOBAL_UNICAST = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")

Resolver = Callable[[str, int], Iterable[str]]
"""The addresses of a host and port, as literals."""

Around = Callable[[str], AbstractContextManager[Mapping[str, str]]]
"""A context for the fetch of a URL, which gives further headers to ask with."""


def resolve(host: str, port: int) -> Iterable[str]:
    """The addresses that the system's resolver has for *host*. Raises `OSError`."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


def _alone(_url: str) -> AbstractContextManager[Mapping[str, str]]:
    return nullcontext({})


class Fetcher:
    """Fetches a document from a configured URL: that one URL, with no redirects and no proxies.

    The address is checked after the name is resolved, and the checked address is the one connected
    to, so that a name cannot change its meaning in between; TLS still verifies the name. httpcore2
    is used as it is, without httpx2 around it, because it follows, decodes and takes from the
    environment nothing at all. *around* is asked for the context of each fetch.
    """

    def __init__(
        self,
        *,
        tls: ssl.SSLContext | None = None,
        resolver: Resolver = resolve,
        around: Around = _alone,
    ) -> None:
        self._tls = tls or httpcore2.default_ssl_context()
        self._resolver = resolver
        self._around = around

    def __call__(self, url: str, *, private_network: bool = False) -> dict[str, Any]:
        """The JSON object at *url*. Raises `Unavailable`, whatever went wrong.

        Only on a *private_network* may its host have a loopback or private address.
        """
        try:
            with self._around(url) as further:
                return read_object(self._get(url, further, private_network=private_network))
        except _FAILURES as error:
            raise Unavailable("issuer_keys") from error

    def _get(self, url: str, further: Mapping[str, str], *, private_network: bool) -> bytes:
        _must_be_safe(url, private_network=private_network)
        backend = _Connector(
            resolver=self._resolver,
            deadline=_Deadline(TIMEOUT),
            private_network=private_network,
        )
        usual = {"Accept": "application/json", "Accept-Encoding": "identity"}
        headers = [*usual.items(), *further.items()]
        with (
            httpcore2.ConnectionPool(ssl_context=self._tls, network_backend=backend) as pool,
            pool.stream("GET", url, headers=headers) as response,
        ):
            if response.status != 200:  # noqa: PLR2004, a redirect is a failure too
                raise ValueError("the status is not 200")
            return _bounded(response.iter_stream())


def _must_be_safe(url: str, *, private_network: bool) -> None:
    parts = urlsplit(url)
    if parts.scheme == "https":
        return
    if not (parts.scheme == "http" and private_network and is_loopback(parts.hostname or "")):
        raise ValueError("keys are fetched over https")


def _bounded(chunks: Iterable[bytes]) -> bytes:
    body = bytearray()
    for chunk in chunks:
        body += chunk
        if len(body) > SIZE_LIMIT:
            raise ValueError("the document is too large")
    return bytes(body)


class _Deadline:
    """One allowance of time, which every step draws on."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """The seconds that are left. Raises `TimeoutError` where there are none."""
        remaining = self._end - time.monotonic()
        if remaining <= 0:
            raise TimeoutError("out of time")
        return remaining


class _Connector(httpcore2.NetworkBackend):
    """Connects to addresses that have been checked, and to no others."""

    def __init__(self, *, resolver: Resolver, deadline: _Deadline, private_network: bool) -> None:
        self._resolver = resolver
        self._deadline = deadline
        self._private_network = private_network

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002, the deadline is stricter
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        """Connect to the first address of *host* that answers, if all are allowed."""
        addresses = tuple(dict.fromkeys(self._resolver(host, port)))
        if not (self._private_network or all(map(_is_public, addresses))):
            raise httpcore2.ConnectError("an address is not public")
        for waiting in range(len(addresses), 0, -1):
            # A dead address must leave time for those after it.
            share = self._deadline.left() / waiting
            try:
                stream = httpcore2.SyncBackend().connect_tcp(
                    addresses[-waiting], port, share, local_address, socket_options
                )
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                continue
            return _TimedStream(stream, self._deadline)
        raise httpcore2.ConnectError("no address answers")


class _TimedStream(httpcore2.NetworkStream):
    """A connection whose every step draws on one deadline: dripping bytes do not extend it."""

    def __init__(self, stream: httpcore2.NetworkStream, deadline: _Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002
        return self._stream.read(max_bytes, self._deadline.left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        self._stream.write(buffer, self._deadline.left())

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002
    ) -> httpcore2.NetworkStream:
        secured = self._stream.start_tls(ssl_context, server_hostname, self._deadline.left())
        return _TimedStream(secured, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _is_public(address: str) -> bool:
    ip = ip_address(address)
    if isinstance(ip, IPv6Address):
        embedded = _embedded(ip)
        if embedded is None:
            return ip.is_global and ip in _GLOBAL_UNICAST
        ip = embedded
    return ip.is_global and not ip.is_multicast


def _embedded(ip: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that packets to *ip* really go to, where there is one."""
    if ip in _NAT64:
        return IPv4Address(int(ip) & 0xFFFF_FFFF)
    return ip.ipv4_mapped or ip.sixtofour
