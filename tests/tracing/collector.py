"""A collector of spans: it takes them as OTLP over HTTP has them, and tells what is in them."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1 import trace_pb2

SERVER = trace_pb2.Span.SPAN_KIND_SERVER
CLIENT = trace_pb2.Span.SPAN_KIND_CLIENT

_PATIENCE = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One span, as it came."""

    name: str
    kind: int
    trace: str
    id: str
    parent: str
    began: int
    ended: int
    failed: bool
    attributes: dict[str, Any] = field(default_factory=dict)

    @property
    def traceparent(self) -> str:
        """How it is named to whoever is asked for its sake, where it is sampled."""
        return f"00-{self.trace}-{self.id}-03"


@dataclass(slots=True, kw_only=True)
class Collector:
    """What has come to *url*. While it is *down*, it answers 503 and keeps nothing."""

    url: str
    down: bool = False
    turned_away: int = 0
    received: list[bytes] = field(default_factory=list)

    def spans(self) -> list[Seen]:
        """All spans that have come, in the order in which they began."""
        seen = []
        for body in tuple(self.received):
            for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                for of_scope in of_resource.scope_spans:
                    seen += [_seen(span) for span in of_scope.spans]
        return sorted(seen, key=lambda span: span.began)

    def resources(self) -> list[dict[str, Any]]:
        """Who says that the spans are theirs."""
        requests = map(ExportTraceServiceRequest.FromString, tuple(self.received))
        return [
            _attributes(one.resource.attributes)
            for request in requests
            for one in request.resource_spans
        ]

    def trace(self, id: str, *, until: int = 1) -> list[Seen]:  # noqa: A002
        """The spans of a trace, once there are so many."""

        def found() -> list[Seen]:
            return [span for span in self.spans() if span.trace == id]

        self.wait(lambda: len(found()) >= until)
        return found()

    def wait(self, condition: Callable[[], bool]) -> None:
        """Until *condition* holds; and no longer than anybody would."""
        deadline = time.monotonic() + _PATIENCE
        while not condition():
            assert time.monotonic() < deadline, "nothing of the kind has come"
            time.sleep(0.02)


@contextmanager
def collecting() -> Iterator[Collector]:
    """Collect on a free loopback port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            assert self.path == "/v1/traces"
            assert self.headers["Content-Type"] == "application/x-protobuf"
            if collector.down:
                collector.turned_away += 1
            else:
                collector.received.append(body)
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(503 if collector.down else 200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    collector = Collector(url=f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _seen(span: trace_pb2.Span) -> Seen:
    return Seen(
        name=span.name,
        kind=span.kind,
        trace=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        began=span.start_time_unix_nano,
        ended=span.end_time_unix_nano,
        failed=span.status.code == trace_pb2.Status.STATUS_CODE_ERROR,
        attributes=_attributes(span.attributes),
    )


def _attributes(given: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in given}
