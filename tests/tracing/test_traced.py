"""Spans of what is no exchange: of the admin API, and of documents that are fetched."""

from collections.abc import Iterator
from typing import NoReturn

import flask
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from delegation.domain.case import Case, ExchangeRequest
from delegation.domain.errors import Unavailable
from delegation.jose.fetch import Fetcher
from delegation.ledger.ledger import RedisLedger
from delegation.ledger.store import Store
from delegation.tracing.traced import Traced
from tests.client.server import Server, authorization_server
from tests.parties import a_case, a_request
from tests.valkey import _ledger, _server, _store, _valkey, _valkey_process  # noqa: F401, fixtures
from tests.web.admin.desk import Desk

TRACE, SENDER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Spans(InMemorySpanExporter):
    """What was traced, by *tracing* or by the *tracer* of a test."""

    def __init__(self) -> None:
        super().__init__()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self))
        self.tracer = provider.get_tracer("tests")
        self.tracing = Traced(provider)

    def only(self) -> ReadableSpan:
        """The one span that there is."""
        (span,) = self.get_finished_spans()
        return span


@pytest.fixture(name="spans")
def _spans() -> Spans:
    """None so far."""
    return Spans()


@pytest.fixture(name="issuer")
def _issuer() -> Iterator[Server]:
    """Publishes its keys."""
    with authorization_server() as server:
        server.says("/jwks", b'{"keys": []}')
        yield server


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/admin/v1/locks", "/admin/v1/locks"),
        ("/admin/v1/locks/0-0123456789abcdefABCDEF", "/admin/v1/locks/<id>"),
        ("/admin/v1/openapi.json", "/admin/v1/openapi.json"),
        ("/admin/v1/metrics", None),
        ("/readyz", None),
        ("/admin/v1/nowhere/0-0123456789abcdefABCDEF", None),
    ],
)
def test_the_admin_api(
    spans: Spans, store: Store, ledger: RedisLedger, path: str, route: str | None
) -> None:
    """Each request of somebody is a span by its route: what stands in its path is not there."""
    desk = Desk(store, ledger)
    spans.tracing.around(desk.app)

    desk.app.test_client().get(path, headers={"traceparent": f"00-{TRACE}-{SENDER}-01"})

    if route is None:
        assert spans.get_finished_spans() == ()
        return
    span = spans.only()
    assert span.name == f"GET {route}"
    assert span.parent is not None
    assert (f"{span.parent.trace_id:x}", f"{span.parent.span_id:x}") == (TRACE[1:], SENDER)
    assert (span.attributes or {})["http.response.status_code"] in {200, 401}
    assert "0123456789" not in span.to_json().replace(TRACE, "")


def test_a_fetch(spans: Spans, issuer: Server) -> None:
    """Whoever is asked can go on with the trace; a query is between us and them."""
    issuer.says("/jwks?key=whatever", b'{"keys": []}')

    Fetcher(around=spans.tracing.fetching)(f"{issuer.url}/jwks?key=whatever", private_network=True)

    span = spans.only()
    its = span.get_span_context()
    assert issuer.asked[0].headers["traceparent"] == f"00-{its.trace_id:032x}-{its.span_id:016x}-03"
    assert (span.attributes or {})["url.full"] == f"{issuer.url}/jwks"


def test_a_fetch_that_fails(spans: Spans, issuer: Server) -> None:
    """What failed is named, and not what was said."""
    issuer.says("/jwks", b"a secret", 500)

    with pytest.raises(Unavailable):
        Fetcher(around=spans.tracing.fetching)(f"{issuer.url}/jwks", private_network=True)

    assert spans.only().status.status_code is trace.StatusCode.ERROR
    assert (spans.only().attributes or {})["error.type"] == "ValueError"
    assert "secret" not in spans.only().to_json()


def test_a_fetch_that_is_not_sampled(issuer: Server) -> None:
    """That is passed on as well."""
    tracing = Traced(TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False))

    Fetcher(around=tracing.fetching)(f"{issuer.url}/jwks", private_network=True)

    assert issuer.asked[0].headers["traceparent"].endswith("-02")


def test_where_the_library_is_switched_off(issuer: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its own variable: then there is no trace, and none is made up."""
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    tracing = Traced(TracerProvider(shutdown_on_exit=False))

    Fetcher(around=tracing.fetching)(f"{issuer.url}/jwks", private_network=True)

    assert "traceparent" not in issuer.asked[0].headers


def test_an_exchange_that_does_not_begin(spans: Spans) -> None:
    """It has come to no stage."""

    def fails(_request: ExchangeRequest, _case: Case) -> NoReturn:
        raise Unavailable("signing")

    with spans.tracer.start_as_current_span("request"), pytest.raises(Unavailable):
        spans.tracing.exchanging(fails)(a_request(), a_case())

    assert spans.only().name == "request"


def test_a_service_that_breaks(spans: Spans) -> None:
    """What nobody foresaw ends the span, too, and leaves nothing to the next request."""
    app = flask.Flask("tests")
    app.add_url_rule("/token", view_func=lambda: 1 / 0, methods=["POST"])
    app.config["PROPAGATE_EXCEPTIONS"] = True

    with pytest.raises(ZeroDivisionError):
        spans.tracing.around(app).test_client().post("/token")

    assert spans.only().name == "POST /token"
    assert not trace.get_current_span().get_span_context().is_valid


def test_a_line_of_no_request(spans: Spans) -> None:
    """It belongs to no trace."""
    (named,) = spans.tracing.processors

    assert named(None, "info", {"event": "loaded"}) == {"event": "loaded"}
