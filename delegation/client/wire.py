"""One request to an authorization server, made so that a hostile answer costs little and learns
nothing.
"""

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from ssl import SSLContext
from typing import Any

import httpx2

SIZE_LIMIT = 256 * 1024
"""Bytes of an answer."""

DEADLINE = 20.0
"""Seconds for the body of an answer. Until it begins, the client's own timeouts count."""

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

    *url* must pass `must_be_safe`. A redirect is no answer: what is sent is meant for *url* alone.
    """
    must_be_safe(url)
    headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
    headers |= request.pop("headers", {})
    try:
        with http.stream(
            method, url, headers=headers, follow_redirects=False, **request
        ) as response:
            if response.is_redirect:
                raise Unusable(f"{url} answered with a redirect, which is not followed")
            body = read_object(_bounded(response))
            return Answer(status=response.status_code, headers=response.headers, body=body)
    except httpx2.HTTPError as error:
        raise Unusable(f"{url} cannot be reached: {_reason(error)}") from error


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
    return value if isinstance(value, dict) and not _is_too_deep(value) else None


def _reason(error: httpx2.HTTPError) -> str:
    """In our own words and those of the system: what is no HTTP is quoted behind a colon."""
    said = str(error).rstrip(".") or type(error).__name__
    return said.partition(":")[0] if isinstance(error, httpx2.ProtocolError) else said


def _bounded(response: httpx2.Response) -> bytes:
    end = time.monotonic() + DEADLINE
    body = bytearray()
    # Raw, for what is compressed has no size until it is unpacked.
    for chunk in response.iter_raw():
        body += chunk
        if len(body) > SIZE_LIMIT:
            raise Unusable(f"{response.url} answers with more than {SIZE_LIMIT // 1024} KiB")
        if time.monotonic() > end:
            raise Unusable(f"{response.url} takes too long to answer")
    return bytes(body)


def _is_too_deep(value: object) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [inner for outer in level for inner in _members(outer)]
        if not level:
            return False
    return True


def _members(value: object) -> list[object]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
