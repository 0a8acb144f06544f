"""One request to an authorization server, made so that a hostile answer costs little and learns
nothing.
"""

import json
import re
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from http.cookiejar import CookieJar, DefaultCookiePolicy
from ssl import SSLContext
from typing import Any

import httpx2

from delegation.client.trace import HEADER, current_trace

SIZE_LIMIT = 256 * 1024
"""Bytes of an answer."""

DEADLINE = 20.0
"""Seconds for a request and all of its answer; to connect, there are the client's own timeouts."""

TIMEOUT = 10.0
"""Seconds for each step of a request: connecting, sending, waiting."""

MAX_DEPTH = 32
"""Levels of nesting in an answer, or in a token."""

LOOPBACK = ("localhost", "127.0.0.1", "::1")


_HOST = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]+", re.ASCII)


class Unusable(Exception):
    """There is no answer to work with; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back. *body* is `None` where it is no JSON object."""

    status: int
    headers: Mapping[str, str]
    body: Mapping[str, Any] | None


def a_client(*, timeout: float = TIMEOUT, verify: SSLContext | bool = True) -> httpx2.Client:
    """A client that keeps no cookies, and asks this machine without a proxy: to that, secrets
    would go in clear.
    """
    hosts = (f"[{host}]" if ":" in host else host for host in LOOPBACK)
    return httpx2.Client(
        timeout=timeout,
        verify=verify,
        mounts={f"all://{host}": None for host in hosts},
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
    )


def ask(http: httpx2.Client, method: str, url: str, **request: Any) -> Answer:
    """The answer to one request, bounded in size and time. Raises `Unusable`.

    It belongs to the current trace, if there is one and *headers* name no other.
    *url* must pass `must_be_safe`. A redirect is no answer: what is sent is meant for *url* alone.
    """
    must_be_safe(url)
    headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
    trace = current_trace()
    if trace is not None:
        headers[HEADER] = trace
    headers |= request.pop("headers", {})
    before = _current.set(_Deadline(url))
    try:
        with http.stream(
            method,
            url,
            headers=headers,
            follow_redirects=False,
            extensions={"trace": _when_connected},
            **request,
        ) as response:
            if response.is_redirect:
                raise Unusable(f"{url} answered with a redirect, which is not followed")
            body = read_object(_bounded(response))
            return Answer(status=response.status_code, headers=response.headers, body=body)
    except httpx2.HTTPError as error:
        raise Unusable(f"{url} cannot be reached: {_reason(error)}") from error
    finally:
        _current.reset(before)


def must_be_safe(url: str) -> None:
    """Raise `Unusable` unless *url* is one that secrets may be sent to: https, or this machine."""
    try:
        # By the very parser that the request goes through: two could disagree about the host.
        parts = httpx2.URL(url)
    except httpx2.InvalidURL as error:
        raise Unusable(f"{url} is no URL") from error
    if not (url.isascii() and url.isprintable() and _HOST.fullmatch(parts.host)):
        raise Unusable(f"{url} is no URL")
    if parts.userinfo or parts.fragment:
        raise Unusable(f"{url} holds a user or a fragment, which no endpoint has")
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.host in LOOPBACK):
        raise Unusable(f"{url} is neither https nor on this machine: secrets would travel in clear")


def read_object(content: bytes) -> dict[str, Any] | None:
    """The JSON object that *content* is; `None` where it is none, or is nested too deeply."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and not is_too_deep(value) else None


def is_too_deep(value: object) -> bool:
    """Whether *value* has more than `MAX_DEPTH` levels. It does not recurse."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [inner for outer in level for inner in _members(outer)]
        if not level:
            return False
    return True


def _reason(error: httpx2.HTTPError) -> str:
    """In our own words and those of the system: what is no HTTP is quoted behind a colon."""
    said = str(error).rstrip(".") or type(error).__name__
    return said.partition(":")[0] if isinstance(error, httpx2.ProtocolError) else said


class _Deadline:
    """One allowance of time for all that is read in answer to a request to *url*."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._end = time.monotonic() + DEADLINE

    def left(self) -> float:
        """The seconds that are left. Raises `Unusable` where there are none."""
        remaining = self._end - time.monotonic()
        if remaining <= 0:
            raise Unusable(f"{self._url} takes too long to answer")
        return remaining


_current: ContextVar[_Deadline | None] = ContextVar("delegation_deadline", default=None)


def _when_connected(step: str, told: Mapping[str, Any]) -> None:
    """Bound what is read from a new connection, whoever made the client.

    The client's timeouts are for one read each, and begin anew with every byte that drips in.
    """
    if step.endswith((".connect_tcp.complete", ".start_tls.complete")):
        stream = told["return_value"]
        stream.read = partial(_read, stream.read)


def _read(read: Callable[..., bytes], size: int, timeout: float | None = None) -> bytes:
    deadline = _current.get()
    if deadline is None:
        return read(size, timeout)
    left = deadline.left()
    try:
        return read(size, left if timeout is None else min(timeout, left))
    finally:
        # What has run out while it was waited for is no timeout of the client's.
        deadline.left()


def _bounded(response: httpx2.Response) -> bytes:
    body = bytearray()
    # Raw, for what is compressed has no size until it is unpacked.
    for chunk in response.iter_raw():
        body += chunk
        if len(body) > SIZE_LIMIT:
            raise Unusable(f"{response.url} answers with more than {SIZE_LIMIT // 1024} KiB")
    return bytes(body)


def _members(value: object) -> list[object]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
