"""An API that takes the service's tokens: says who asks, or what to answer instead."""

import asyncio
import logging
import os
import time
import weakref
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import httpx2

from delegation.client import bearer
from delegation.client.bearer import CannotVerify, LacksScope, NotServed
from delegation.client.challenge import metadata_url
from delegation.client.introspection import Introspection
from delegation.client.jwks import RETRY_AFTER, IssuerKeys
from delegation.client.service import Service
from delegation.client.verify import ALGORITHMS, AccessToken, Expected, UnverifiedToken
from delegation.client.wire import LOOPBACK, Unusable, must_be_safe

TIMEOUT = 3.0
"""Seconds for each step of a request to the issuer."""

_THREADS = 8

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What to answer where a request is not served. *body* is JSON, and holds nothing of it."""

    status: int
    headers: Mapping[str, str]
    body: Mapping[str, str]


class ResourceServer:
    """The API at *resource*, as a resource server (RFC 6750, RFC 9068) of *issuer* alone.

    *resource* is the identifier that the registry knows the API by: the whole of `aud`. *scopes*
    are what it publishes as its catalogue. The issuer's keys are found by its metadata, unless
    *jwks_uri* names them; nothing is fetched before the first request. *http* is what it is asked
    with, instead of a client of our own: that must not come to a process by a fork, for two would
    read from its connections. *clock* tells seconds since 1970.

    With *introspect_as* the issuer is asked about each token, as that client, and its answer kept
    for *introspect_every* seconds, or five: so soon a stop is seen. Otherwise a token is good until
    it ends.

    A token in which nobody acts is refused, unless *actor_required* is false. Safe under threads,
    forks and any number of event loops. Raises `ValueError` where the settings cannot be used.
    """

    def __init__(
        self,
        *,
        issuer: str,
        resource: str,
        scopes: Collection[str] = (),
        introspect_as: Service | None = None,
        introspect_every: float | None = None,
        jwks_uri: str | None = None,
        algorithms: Collection[str] = ALGORITHMS,
        actor_required: bool = True,
        http: httpx2.Client | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        _must_be_usable(issuer, resource, jwks_uri, introspect_as, algorithms)
        if introspect_every is not None and introspect_as is None:
            raise ValueError("introspect_every: say as whom, with introspect_as")
        self._expected = Expected(
            issuer=issuer,
            resource=resource,
            algorithms=frozenset(algorithms),
            actor_required=actor_required,
        )
        self._scopes = several("scopes", scopes)
        self._clock = clock
        self._metadata_url = metadata_url(resource)
        self._jwks_uri = jwks_uri
        self._introspect_as = introspect_as
        self._introspect_every = 5.0 if introspect_every is None else introspect_every
        self._http = http
        self.start_over()
        _all.add(self)

    def start_over(self) -> None:
        """Begin anew. Nobody may be using it."""
        http = self._http or _direct()
        self._keys = IssuerKeys(self._expected.issuer, jwks_uri=self._jwks_uri, http=http)
        self._introspection = self._introspect_as and Introspection(
            self._introspect_as, seconds=self._introspect_every, http=http, clock=self._clock
        )
        # Of its own: whoever waits here for the issuer keeps nobody else from working.
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="delegation")

    def authenticate(self, authorization: Iterable[str], *, query: str = "") -> AccessToken:
        """Who asks, by the `Authorization` headers of a request with this *query* string.

        Raises `NotServed`, whatever is wrong; `answer` says what to answer then.
        """
        return self.verify(bearer.presented(authorization, query=query))

    async def authenticate_async(
        self, authorization: Iterable[str], *, query: str = ""
    ) -> AccessToken:
        """As `authenticate` does, without keeping the event loop waiting."""
        return await self.verify_async(bearer.presented(authorization, query=query))

    def verify(self, value: str) -> AccessToken:
        """What a token says, if it is good here and now. Raises `InvalidToken`, `CannotVerify`."""
        unverified = self._expected.parse(value)
        token = self._expected.read(unverified, self._keys.find(unverified.kid), self._clock())
        if self._introspection:
            self._introspection.ask(value, token)
        return token

    async def verify_async(self, value: str) -> AccessToken:
        """As `verify` does. What is known is used here, and only who has to ask takes a thread."""
        unverified = self._expected.parse(value)
        token = await self._read(unverified)
        if self._introspection and not self._introspection.remembered(value, token):
            await self._in_thread(self._introspection.ask, value, token)
        return token

    def must_allow(self, token: AccessToken, scope: Iterable[str]) -> None:
        """Raise `LacksScope` unless *token* has all of *scope*."""
        needed = frozenset(several("scope", scope))
        if not needed <= token.scope:
            raise LacksScope("the token has too little scope", scope=needed)

    def answer(self, refused: NotServed) -> Answer:
        """What to answer, as RFC 6750 §3 has it, with the place of the metadata (RFC 9728 §5.1)."""
        _log.info("not served: %s", refused.reason)
        if isinstance(refused, CannotVerify):
            headers = {"Retry-After": str(int(RETRY_AFTER))}
        else:
            said = bearer.challenge(refused, resource_metadata=self._metadata_url)
            headers = {"WWW-Authenticate": said}
        body = {"error": refused.error} if refused.error else {}
        return Answer(status=refused.status, headers=headers, body=body)

    @property
    def metadata(self) -> dict[str, Any]:
        """What the API says of itself (RFC 9728 §2)."""
        document: dict[str, Any] = {
            "resource": self._expected.resource,
            "authorization_servers": [self._expected.issuer],
            "bearer_methods_supported": ["header"],
        }
        # RFC 9728 §3.2: what has no element is left out.
        return document | ({"scopes_supported": list(self._scopes)} if self._scopes else {})

    @property
    def metadata_path(self) -> str:
        """Where it says so: on its own host, before its own path (RFC 9728 §3.1)."""
        return urlsplit(self._metadata_url).path

    async def _read(self, unverified: UnverifiedToken) -> AccessToken:
        key = self._keys.at_hand(unverified.kid)
        if key is None:
            key = await self._in_thread(self._keys.find, unverified.kid)
        return self._expected.read(unverified, key, self._clock())

    async def _in_thread(self, function: Callable[..., Any], *arguments: object) -> Any:
        # In the context of whoever asks: it belongs to their trace.
        function = partial(copy_context().run, function)
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)


def several(name: str, values: Iterable[str]) -> tuple[str, ...]:
    """All of *values*. Raises `ValueError` for a text, each of whose letters would be one."""
    if isinstance(values, str):
        message = f"{name}: write [{values!r}], which is a list"
        raise ValueError(message)  # noqa: TRY004, as for every other setting
    return tuple(values)


def _must_be_usable(
    issuer: str,
    resource: str,
    jwks_uri: str | None,
    introspect_as: Service | None,
    algorithms: Collection[str],
) -> None:
    try:
        for url in (issuer, resource, jwks_uri or issuer):
            must_be_safe(url)
    except Unusable as error:
        raise ValueError(str(error)) from error
    if introspect_as is not None and introspect_as.issuer != issuer:
        raise ValueError(f"{introspect_as.issuer} is asked, and {issuer} issues the tokens")
    if isinstance(algorithms, str) or not algorithms or not ALGORITHMS.issuperset(algorithms):
        raise ValueError(f"algorithms are some of {', '.join(sorted(ALGORITHMS))}")


def _direct() -> httpx2.Client:
    """A client that asks this machine without a proxy."""
    hosts = (f"[{host}]" if ":" in host else host for host in LOOPBACK)
    return httpx2.Client(timeout=TIMEOUT, mounts={f"all://{host}": None for host in hosts})


_all: "weakref.WeakSet[ResourceServer]" = weakref.WeakSet()


def _begin_anew() -> None:
    # Threads are gone, locks may be held for ever, and connections bring the parent's answers.
    for api in list(_all):
        api.start_over()


# Where there is no fork there is nothing to begin anew.
getattr(os, "register_at_fork", lambda **_: None)(after_in_child=_begin_anew)
