"""A tool call, the exchange that it needs and the call of the API are one trace."""

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType

import httpx2
import pytest
import requests
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Sampler

from delegation.client import CallContext, DelegatedAuth, Exchanger, acting_for, in_call
from delegation.client.requests import DelegatedAuth as DelegatedRequests
from delegation.client.resource_server import ResourceServer
from delegation.client.service import Service
from delegation.client.trace import current_trace
from tests.client.api import now_of
from tests.client.issuing import BARE
from tests.client.server import METADATA, TOKEN, Server
from tests.parties import CALENDAR_API, CALENDAR_API_CLIENT

API, JWKS, INTROSPECT = "/api", "/jwks", "/introspect"
OTHER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@contextmanager
def a_tool_call(sampler: Sampler = ALWAYS_ON) -> Iterator[str]:
    """The current span, as it is sent on."""
    provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
    with provider.get_tracer("tests").start_as_current_span("tools/call") as span:
        its = span.get_span_context()
        flags = "02" if sampler is ALWAYS_OFF else "03"  # random, and sampled or not
        yield f"00-{its.trace_id:032x}-{its.span_id:016x}-{flags}"


def _call(auth: DelegatedAuth, **headers: str) -> None:
    with httpx2.Client(auth=auth, **BARE) as http, acting_for("alices-token"):
        http.get(auth.resource, headers=headers)


def _call_async(auth: DelegatedAuth, **headers: str) -> None:
    async def run() -> None:
        async with httpx2.AsyncClient(auth=auth, **BARE) as http:
            await http.get(auth.resource, headers=headers)

    with acting_for("alices-token"):
        asyncio.run(run())


@pytest.fixture(name="auth")
def _auth(server: Server, exchanger: Exchanger) -> DelegatedAuth:
    """For an API of the server, which takes anything."""
    server.says(API, b"{}")
    return DelegatedAuth(server.url + API, exchanger=exchanger)


def _traces(server: Server) -> list[tuple[str, str | None]]:
    """Which request belonged to which trace."""
    return [(asked.path, asked.headers.get("traceparent")) for asked in server.asked]


@pytest.mark.parametrize("sampler", [ALWAYS_ON, ALWAYS_OFF], ids=["sampled", "not sampled"])
@pytest.mark.parametrize("call", [_call, _call_async], ids=["sync", "async"])
def test_one_trace(
    server: Server, auth: DelegatedAuth, call: Callable[..., None], sampler: Sampler
) -> None:
    """All that is asked for the sake of a tool call has the call's span as its parent."""
    with a_tool_call(sampler) as trace:
        call(auth)

    assert _traces(server) == [(METADATA, trace), (TOKEN, trace), (API, trace)]


def test_one_trace_with_requests(server: Server, exchanger: Exchanger) -> None:
    """Likewise by `requests`, also where the API wants another token."""
    server.says(API, b"{}", 401)
    auth = DelegatedRequests(server.url + API, exchanger=exchanger)

    with a_tool_call() as trace, acting_for("alices-token"), requests.Session() as session:
        session.trust_env = False
        session.get(auth.resource, auth=auth)

    paths = [METADATA, TOKEN, API, TOKEN, API]
    assert _traces(server) == [(path, trace) for path in paths]


def test_what_is_said_counts_more(server: Server, auth: DelegatedAuth) -> None:
    """A trace that the server names itself, for the exchange or for the request to the API."""
    with a_tool_call() as trace, in_call(CallContext(traceparent=OTHER)):
        _call(auth, traceparent=OTHER)

    assert _traces(server) == [(METADATA, trace), (TOKEN, OTHER), (API, OTHER)]


def test_no_trace(server: Server, auth: DelegatedAuth) -> None:
    """Where there is no span, nothing is made up."""
    _call(auth)

    assert {trace for _, trace in _traces(server)} == {None}


def test_without_opentelemetry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody has imported it, there is no span to ask for; nor while somebody does."""
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", ModuleType("opentelemetry.trace"))
    assert current_trace() is None
    monkeypatch.delitem(sys.modules, "opentelemetry.trace")
    assert current_trace() is None


@pytest.mark.parametrize("way", ["sync", "async"])
def test_what_an_api_asks(server: Server, http: httpx2.Client, way: str) -> None:
    """An API that asks about a token does so within the trace of the request that brought it."""
    us = now_of(server)
    server.says(INTROSPECT, b'{"active": true}')
    api = ResourceServer(
        issuer=server.url,
        resource=CALENDAR_API,
        introspect_as=Service(
            issuer=server.url, client_id=CALENDAR_API_CLIENT, client_secret="secret"
        ),
        http=http,
    )
    header = [f"Bearer {us.token()}"]

    with a_tool_call() as trace:
        if way == "sync":
            api.authenticate(header)
        else:
            asyncio.run(api.authenticate_async(header))

    assert {path for path, _ in _traces(server)} == {METADATA, JWKS, INTROSPECT}
    assert {seen for _, seen in _traces(server)} == {trace}
