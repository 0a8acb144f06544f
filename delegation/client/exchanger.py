"""Exchanges for a whole process: each is made once, whoever asks, and kept while it holds."""

import asyncio
import logging
import os
import weakref
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from copy import copy
from threading import Lock
from typing import TypeAlias

import httpx2

from delegation.client import discovery
from delegation.client.cache import Cache, Clock, Instant, expires, this_instant
from delegation.client.errors import (
    DelegationError,
    InsufficientScope,
    SubjectTokenRejected,
    Unavailable,
)
from delegation.client.noted import noted
from delegation.client.rfc8693 import IssuedToken, trade
from delegation.client.service import Service
from delegation.client.wanted import Key, Wanted
from delegation.client.wire import a_client

PATIENCE = 30.0
"""Seconds that a caller waits for an exchange, its own or somebody else's."""

METADATA_HOLDS = 3600.0
"""Seconds for which the token endpoint that the metadata named is used."""

_AT_ONCE = 16
"""Exchanges under way at a time; further ones wait."""

_log = logging.getLogger("delegation.client")

Outcome: TypeAlias = IssuedToken | DelegationError
Flight: TypeAlias = Future[Outcome]
"""An exchange under way. It belongs to none of those who wait for it: none can cancel it."""


class Exchanger:
    """Exchanges tokens at one service, for all users, tasks, threads and event loops of a process.

    What many want at once is asked for once. A token is kept in memory, for *size* users, APIs and
    scopes at most, and used until shortly before its end and that of the subject token; from four
    fifths of its life on it is replaced in the background. What is not permitted is remembered for
    some seconds; an outage never is.

    *http* makes the client with which the service is asked, where it needs another certificate
    authority, proxy or timeout. A process that was forked begins anew.
    """

    def __init__(
        self,
        service: Service,
        *,
        size: int = 10_000,
        http: Callable[[], httpx2.Client] = a_client,
        clock: Clock = this_instant,
    ) -> None:
        self.service = service
        self._size = size
        self._make_http = http
        self._clock = clock
        self.start_over()
        _all.add(self)

    def __repr__(self) -> str:
        """Which service is asked, as whom."""
        return f"{type(self).__name__}({self.service!r})"

    @property
    def under_way(self) -> int:
        """How many exchanges are, at the moment."""
        with self._lock:
            return len(self._flights)

    async def exchange(self, wanted: Wanted) -> IssuedToken:
        """The token that is *wanted*, kept or new. Raises `Refused` or `Unavailable`.

        Runs under asyncio. Cancelling it cancels nobody else's.
        """
        found = self._find(wanted)
        return _given(await _landed(found) if isinstance(found, Future) else found)

    def exchange_sync(self, wanted: Wanted) -> IssuedToken:
        """`exchange`, for code that is not asynchronous."""
        found = self._find(wanted)
        if isinstance(found, Future):
            try:
                found = found.result(PATIENCE)
            except TimeoutError:
                found = _too_late()
        return _given(found)

    def reject(self, wanted: Wanted, token: IssuedToken) -> bool:
        """The API does not take *token*: forget it. Whether another one is worth a try."""
        now = self._clock()
        with self._lock:
            return self._cache.reject(wanted.key, token, now)

    def forget(self) -> None:
        """Forget every token and refusal; what is under way is not kept when it comes."""
        with self._lock:
            self._cache.clear()
            self._flights.clear()

    def close(self) -> None:
        """Wait for what is under way, and ask no more."""
        self._pool.shutdown()
        with self._asking:
            if self._http is not None:
                self._http.close()

    def start_over(self) -> None:
        """Begin anew. Nobody may be using it."""
        self._lock = Lock()
        self._cache = Cache(self._size)
        self._flights: dict[Key, Flight] = {}
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="delegation")
        self._asking = Lock()
        self._http: httpx2.Client | None = None
        self._endpoint: tuple[str, float] | None = None

    def _find(self, wanted: Wanted) -> Outcome | Flight:
        now = self._clock()
        with self._lock:
            kept = self._cache.find(wanted.key, now)
            if kept is None:
                return self._flight(wanted)
            if now.monotonic >= kept.refresh_at:
                # Whoever comes first starts it, and nobody waits for it.
                self._flight(wanted)
            return kept.outcome

    def _flight(self, wanted: Wanted) -> Flight:
        """The one for this key, which begins now if there is none."""
        flight = self._flights.get(wanted.key)
        if flight is None:
            flight = Future()
            try:
                # In the context of whoever starts it: it belongs to their trace.
                flying = copy_context().run
                self._pool.submit(flying, self._fly, wanted, flight, self._clock())
            except RuntimeError:
                flight.set_result(Unavailable("the process ends, or its exchanger is closed"))
            else:
                self._flights[wanted.key] = flight
        return flight

    def _fly(self, wanted: Wanted, flight: Flight, since: Instant) -> None:
        asked = self._clock()
        try:
            # Whoever waited has gone: what piled up in an outage is not asked for after it.
            is_late = asked.monotonic >= since.monotonic + PATIENCE
            outcome = _too_late() if is_late else self._outcome(wanted)
        except BaseException as error:  # noqa: BLE001, whoever waits must hear of it
            with self._lock:
                self._land(wanted, flight)
            flight.set_exception(error)
            return
        now, subject_expires = self._clock(), expires(wanted.subject_token)
        with self._lock:
            if self._land(wanted, flight):
                self._cache.learn(
                    wanted.key, outcome, asked=asked, now=now, subject_expires=subject_expires
                )
        flight.set_result(outcome)

    def _land(self, wanted: Wanted, flight: Flight) -> bool:
        """Whether it is still the one for its key, which has none from now on."""
        if self._flights.get(wanted.key) is not flight:
            return False
        del self._flights[wanted.key]
        return True

    def _outcome(self, wanted: Wanted) -> Outcome:
        try:
            return self._traded(wanted)
        except DelegationError as error:
            # What another token of the user's would mend is not for whoever runs this.
            is_theirs = isinstance(error, SubjectTokenRejected | InsufficientScope)
            level = logging.INFO if is_theirs else logging.WARNING
            _log.log(level, "no token for %s: %s", wanted.resource, error)
            return error

    def _traded(self, wanted: Wanted) -> IssuedToken:
        http, service, request = self._client(), self.service, wanted.request()
        endpoint = service.token_endpoint or self._discovered(http)
        proof = service.credential.prove(service.client_id, service.issuer)
        return IssuedToken.read(trade(endpoint, request, proof=proof, http=http), request)

    def _client(self) -> httpx2.Client:
        # Not the other lock: a client takes its time to make, and callers do not wait for that.
        with self._asking:
            if self._http is None:
                self._http = self._make_http()
            return self._http

    def _discovered(self, http: httpx2.Client) -> str:
        now = self._clock().monotonic
        if self._endpoint is not None and now < self._endpoint[1]:
            return self._endpoint[0]
        endpoint = discovery.token_endpoint(self.service.issuer, http)
        self._endpoint = endpoint, now + METADATA_HOLDS
        return endpoint


def shared(service: Service | None = None) -> Exchanger:
    """The one exchanger of this process for *service*, by default that of the environment.

    The environment is read once. Raises `ConfigurationInvalid`.
    """
    with _sharing:
        if service not in _shared:
            _shared[service] = Exchanger(service or Service.from_environment())
        return _shared[service]


async def _landed(flight: Flight) -> Outcome:
    loop, landed = asyncio.get_running_loop(), asyncio.Event()

    def tell(_: Flight) -> None:
        # Whoever waited may have gone, and its loop, too.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(landed.set)

    flight.add_done_callback(tell)
    try:
        await asyncio.wait_for(landed.wait(), PATIENCE)
    except TimeoutError:
        return _too_late()
    return flight.result()


def _too_late() -> Unavailable:
    return Unavailable(f"the service has not answered within {PATIENCE:.0f} seconds")


def _given(outcome: Outcome) -> IssuedToken:
    if isinstance(outcome, DelegationError):
        # Each caller its own: an error that several raise would collect all their tracebacks.
        raise noted(copy(outcome))
    return outcome


_sharing = Lock()
_shared: dict[Service | None, Exchanger] = {}
_all: "weakref.WeakSet[Exchanger]" = weakref.WeakSet()


def _begin_anew() -> None:
    # Threads are gone, locks may be held for ever, and connections belong to the parent.
    for exchanger in list(_all):
        exchanger.start_over()
    _sharing.release()


# Where there is no fork there is nothing to begin anew.
getattr(os, "register_at_fork", lambda **_: None)(
    before=_sharing.acquire, after_in_parent=_sharing.release, after_in_child=_begin_anew
)
