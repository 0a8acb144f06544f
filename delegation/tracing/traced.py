"""Spans: one for each request, within it one for each stage, and one for each fetch of keys."""

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar
from urllib.parse import urlsplit

from flask import Flask
from opentelemetry.context import Context, attach, detach
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.semconv.attributes.error_attributes import ERROR_TYPE
from opentelemetry.semconv.attributes.http_attributes import (
    HTTP_REQUEST_METHOD,
    HTTP_RESPONSE_STATUS_CODE,
    HTTP_ROUTE,
)
from opentelemetry.semconv.attributes.server_attributes import SERVER_ADDRESS, SERVER_PORT
from opentelemetry.semconv.attributes.url_attributes import URL_FULL, URL_PATH, URL_SCHEME
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    Tracer,
    get_current_span,
    set_span_in_context,
)
from werkzeug.exceptions import HTTPException

from delegation.domain.case import Case, ExchangeRequest
from delegation.domain.errors import Refused
from delegation.domain.exchange import Lap, Stage
from delegation.domain.tokens import IssuedToken
from delegation.metrics.catalogue import NONE
from delegation.metrics.meter import Meter, resource_of
from delegation.proxies import REQUEST_ID
from delegation.tracing.untraced import Exchanging, Processor, Untraced
from delegation.web.origin import traceparent_of

T = TypeVar("T")

DECISION = "delegation.decision"
"""The decision's id: that of the header `Delegation-Decision`."""
OUTCOME = "delegation.outcome"
REASON = "delegation.reason"
CLIENT = "delegation.client"
RESOURCE = "delegation.resource"
GRANT = "delegation.grant"
REQUEST = "delegation.request_id"

_QUIET = frozenset({"livez", "readyz", "measured"})
"""Views that somebody asks every few seconds."""

_FIRST_SERVER_ERROR = 500


class Traced(Untraced):
    """Makes spans by *provider*. What is on them are names and ids of ours, and nothing else of a
    request: neither a token nor who it is for.

    A span continues the trace that its request names (W3C Trace Context §3.2). What a `tracestate`
    holds is anybody's: it is not taken over.
    """

    def __init__(self, provider: TracerProvider) -> None:
        self._tracer = provider.get_tracer("delegation")
        self._stages: ContextVar[_Stages | None] = ContextVar("delegation_stages", default=None)
        self.processors: tuple[Processor, ...] = (_named,)

    def around(self, app: Flask) -> Flask:
        """*app*, each of whose requests is a span, but for those about its health."""
        application, route_of = app.wsgi_app, _routes(app)

        def traced(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            route = route_of(environ)
            if route is None:
                return application(environ, start_response)
            span = self._received(environ, route)
            outside = attach(set_span_in_context(span))
            try:
                return application(environ, _watched(span, environ, start_response))
            finally:
                detach(outside)
                span.end()

        app.wsgi_app = traced  # type: ignore[method-assign]
        return app

    def stopwatch(self, measured: Callable[[], Lap]) -> Callable[[], Lap]:
        """*measured*, with a span for each stage of an exchange that is `exchanging`."""

        def begin() -> Lap:
            lap, stages = measured(), self._stages.get()
            if stages is None:
                return lap
            stages.begin_next()

            def both(stage: Stage) -> None:
                lap(stage)
                stages.end()
                stages.begin_next()

            return both

        return begin

    def exchanging(self, exchange: Exchanging) -> Exchanging:
        """*exchange*, whose stages are spans."""

        def traced(request: ExchangeRequest, case: Case) -> IssuedToken:
            if not get_current_span().is_recording():
                return exchange(request, case)
            stages = _Stages(self._tracer)
            outside = self._stages.set(stages)
            try:
                return exchange(request, case)
            except Exception as error:
                stages.fail(error)
                raise
            finally:
                self._stages.reset(outside)

        return traced

    def concerning(self, answer: Callable[[str, Case], T]) -> Callable[[str, Case], T]:
        """*answer*, with the client that asks for it on the span."""

        def told(token: str, case: Case) -> T:
            get_current_span().set_attribute(CLIENT, case.client.id)
            return answer(token, case)

        return told

    def hear(self, meter: Meter) -> None:
        """Put on the span what *meter* is told of an exchange."""
        meter.tell(_exchanged)

    @contextmanager
    def fetching(self, url: str) -> Iterator[Mapping[str, str]]:
        """A context in which a document is fetched; it gives further headers to ask with."""
        parts = urlsplit(url)
        about: dict[str, str | int] = {
            HTTP_REQUEST_METHOD: "GET",
            # Without its query, which is between its publisher and us.
            URL_FULL: f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}",
            SERVER_ADDRESS: parts.hostname or "",
            SERVER_PORT: parts.port or {"http": 80}.get(parts.scheme, 443),
        }
        span = self._tracer.start_span("GET", kind=SpanKind.CLIENT, attributes=about)
        its = span.get_span_context()
        try:
            yield {"traceparent": _written(its)} if its.is_valid else {}
            span.set_attribute(HTTP_RESPONSE_STATUS_CODE, 200)
        except Exception as error:
            _failed(span, type(error).__name__)
            raise
        finally:
            span.end()

    def _received(self, environ: Mapping[str, Any], route: str) -> Span:
        method = environ["REQUEST_METHOD"]
        about = {
            HTTP_REQUEST_METHOD: method,
            HTTP_ROUTE: route,
            URL_SCHEME: environ["wsgi.url_scheme"],
        }
        if route == environ["PATH_INFO"]:  # in any other path stands what somebody wrote
            about[URL_PATH] = route
        return self._tracer.start_span(
            f"{method} {route}", context=_parent(environ), kind=SpanKind.SERVER, attributes=about
        )


class _Stages:
    """The spans of one exchange's stages, one after the other."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._left = iter(Stage)
        self._span: Span | None = None
        self._outside: Any = None

    def begin_next(self) -> None:
        """The next stage begins, unless all are over."""
        stage = next(self._left, None)
        if stage is None:
            return
        self._span = self._tracer.start_span(stage.value)
        self._outside = attach(set_span_in_context(self._span))

    def end(self) -> None:
        """The stage that has begun is over, if there is one."""
        if self._span is None:
            return
        detach(self._outside)
        self._span.end()
        self._span = None

    def fail(self, error: Exception) -> None:
        """It is over, because of *error*: to refuse is no failure."""
        if self._span is not None and not isinstance(error, Refused):
            _failed(self._span, type(error).__name__)
        self.end()


def _routes(app: Flask) -> Callable[[Mapping[str, Any]], str | None]:
    """Tells the route of a request: its rule, which is none of the ids that stand in the path."""
    rules = [rule for rule in app.url_map.iter_rules() if rule.endpoint not in _QUIET]
    known = {(method, rule.rule): rule.rule for rule in rules for method in rule.methods or ()}
    patterns = [rule for rule in rules if rule.arguments]
    adapter = app.url_map.bind("")

    def route_of(environ: Mapping[str, Any]) -> str | None:
        asked = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        if asked in known or not patterns:
            return known.get(asked)
        try:
            rule, _ = adapter.match(asked[1], asked[0], return_rule=True)
        except HTTPException:
            return None
        return known.get((asked[0], rule.rule))

    return route_of


def _parent(environ: Mapping[str, Any]) -> Context:
    traceparent = traceparent_of(environ)
    if traceparent is None:
        return Context()
    _, trace, span, flags = traceparent.split("-")
    sender = SpanContext(
        int(trace, 16), int(span, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16))
    )
    return set_span_in_context(NonRecordingSpan(sender), Context())


def _written(span: SpanContext) -> str:
    return f"00-{span.trace_id:032x}-{span.span_id:016x}-{span.trace_flags:02x}"


def _watched(span: Span, environ: Mapping[str, Any], start_response: Any) -> Any:
    """*start_response*, which puts on the span how the request is answered."""
    if not span.is_recording():
        return start_response

    def started(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
        code = int(status[:3])
        span.set_attribute(HTTP_RESPONSE_STATUS_CODE, code)
        if code >= _FIRST_SERVER_ERROR:
            _failed(span, str(code))
        for name, value in headers:
            if name == "Delegation-Decision":
                span.set_attribute(DECISION, value)
        if REQUEST_ID in environ:
            span.set_attribute(REQUEST, environ[REQUEST_ID])
        return start_response(status, headers, *more)

    return started


def _failed(span: Span, kind: str) -> None:
    span.set_status(StatusCode.ERROR)
    span.set_attribute(ERROR_TYPE, kind)


def _exchanged(case: Case, outcome: str, reason: str) -> None:
    span = get_current_span()
    if not span.is_recording():
        return
    about = {
        OUTCOME: outcome,
        REASON: reason,
        CLIENT: case.client.id,
        RESOURCE: resource_of(case),
        GRANT: NONE if case.delegation is None else case.delegation.grant,
    }
    span.set_attributes({name: value for name, value in about.items() if value != NONE})


def _named(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> Any:
    """What a line of the log says of the trace that it belongs to."""
    span = get_current_span().get_span_context()
    if span.is_valid:
        event["trace_id"] = f"{span.trace_id:032x}"
        event["span_id"] = f"{span.span_id:016x}"
    return event
