"""A running service that traces: what a collector sees of a request, and what it never sees."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex
from urllib.parse import urlencode

import pytest

from delegation.dev.cast import CALENDAR_API
from delegation.domain.exchange import Stage
from tests.attacks.attack import Service
from tests.attacks.endpoint import Endpoint
from tests.secrecy import leaks
from tests.tracing.collector import CLIENT, SERVER, Collector, Seen, collecting
from tests.world import AUDITOR, Login, TestWorld, a_test_world

STAGES = [stage.value for stage in Stage]


@pytest.fixture(name="collector", scope="module")
def _collector() -> Iterator[Collector]:
    """It runs before the service, and after it."""
    with collecting() as collector:
        yield collector


@pytest.fixture(name="world", scope="module")
def _world(collector: Collector, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestWorld]:
    """A world whose one worker traces to that collector, and sends what it has at once."""
    with a_test_world(
        tmp_path_factory.mktemp("world"),
        workers=1,
        DELEGATION_TRACES="otlp",
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
        OTEL_BSP_SCHEDULE_DELAY="20",
    ) as world:
        yield world


@pytest.fixture(name="endpoint")
def _endpoint(world: TestWorld) -> Endpoint:
    """The token endpoint, for *calendar-mcp*."""
    return Service.of(world).endpoint()


class Trace:
    """A trace that a client began: what it sends, and what comes of it."""

    def __init__(self, collector: Collector) -> None:
        self._collector = collector
        self.id, self.span = token_hex(16), token_hex(8)
        self.headers = {"traceparent": f"00-{self.id}-{self.span}-01"}

    def spans(self) -> dict[str, Seen]:
        """All of its spans, by their names, once that of the request is among them."""
        self._collector.wait(lambda: self.span in [one.parent for one in self._collector.spans()])
        return {span.name: span for span in self._collector.spans() if span.trace == self.id}


@pytest.fixture(name="trace")
def _trace(collector: Collector) -> Trace:
    """A new one."""
    return Trace(collector)


def test_an_exchange(endpoint: Endpoint, trace: Trace, collector: Collector) -> None:
    """A span for the request, within the client's trace, and one for each stage below it."""
    answer = endpoint.exchange(headers=trace.headers)

    spans = trace.spans()
    request = spans["POST /token"]
    assert (request.kind, request.parent, request.failed) == (SERVER, trace.span, False)
    assert request.attributes == {
        "http.request.method": "POST",
        "http.route": "/token",
        "http.response.status_code": 200,
        "url.path": "/token",
        "url.scheme": "http",
        "delegation.decision": answer.header("Delegation-Decision"),
        "delegation.outcome": "issued",
        "delegation.client": "calendar-mcp",
        "delegation.resource": CALENDAR_API,
        "delegation.grant": "calendar-for-staff",
    }
    stages = [span for span in spans.values() if span.parent == request.id]
    assert [stage.name for stage in stages] == STAGES
    times = [time for stage in stages for time in (stage.began, stage.ended)]
    assert times == sorted(times)
    assert (request.began <= times[0], times[-1] <= request.ended) == (True, True)
    assert {one["service.name"] for one in collector.resources()} == {"delegation"}


def test_a_fetch_of_keys(world: TestWorld, endpoint: Endpoint, trace: Trace) -> None:
    """To verify may be to ask another server: that is a span of its own, below the stage."""
    answer = endpoint.exchange(headers=trace.headers, subject_token=world.partner.token())

    spans = trace.spans()
    assert answer.status == 200
    fetch = spans["GET"]
    url = f"{world.keys.url}/partner/jwks"
    assert (fetch.kind, fetch.parent, fetch.failed) == (CLIENT, spans["verify"].id, False)
    assert fetch.attributes == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "url.full": url,
        "server.address": "127.0.0.1",
        "server.port": int(url.split(":")[2].partition("/")[0]),
    }


def test_a_refusal(endpoint: Endpoint, trace: Trace) -> None:
    """Its decision, and why: the stage that it came to is the last one, and nothing has failed."""
    answer = endpoint.exchange(headers=trace.headers, resource="https://elsewhere.example/api")

    spans = trace.spans()
    request = spans.pop("POST /token")
    assert {
        name.removeprefix("delegation."): value
        for name, value in request.attributes.items()
        if name.startswith("delegation.")
    } == {
        "decision": answer.header("Delegation-Decision"),
        "outcome": "refused",
        "reason": "target_unknown",
        "client": "calendar-mcp",
        "resource": "other",
    }
    assert [name for name in spans if name in STAGES] == ["verify", "decide"]
    assert not any(span.failed for span in (request, *spans.values()))


def test_keys_out_of_reach(world: TestWorld, endpoint: Endpoint, trace: Trace) -> None:
    """What has failed says so, all the way up."""
    stranger = Login(f"{world.keys.url}/missing", usual={"sub": "alice"})

    answer = endpoint.exchange(headers=trace.headers, subject_token=stranger.token())

    spans = trace.spans()
    assert answer.status == 503
    errors = {name: span.attributes["error.type"] for name, span in spans.items() if span.failed}
    assert errors == {"POST /token": "503", "verify": "Unavailable", "GET": "ValueError"}
    assert spans["POST /token"].attributes["delegation.outcome"] == "unavailable"
    assert spans["POST /token"].attributes["delegation.reason"] == "issuer_keys"


@pytest.mark.parametrize("path", ["/introspect", "/revoke"])
def test_what_else_is_asked(world: TestWorld, endpoint: Endpoint, trace: Trace, path: str) -> None:
    """Who asks is on the span; what about is not."""
    client = AUDITOR if path == "/introspect" else "calendar-mcp"
    form = {"token": "whatever", "client_id": client, "client_secret": world.secrets[client]}

    answer = endpoint.send(
        urlencode(form).encode(), path=path, headers={**trace.headers, "Authorization": None}
    )

    (span,) = trace.spans().values()
    assert (answer.status, span.name, span.kind) == (200, f"POST {path}", SERVER)
    assert span.attributes["delegation.client"] == client


def test_nobody(endpoint: Endpoint, trace: Trace) -> None:
    """Who is not authenticated has no name."""
    endpoint.exchange(headers={**trace.headers, "Authorization": "Basic bm9ib2R5OndoYXRldmVy"})

    (span,) = trace.spans().values()
    assert span.attributes["http.response.status_code"] == 401
    assert "delegation.client" not in span.attributes


@pytest.mark.parametrize(
    "traceparent",
    [
        None,
        "",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
        "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        f"00-{'0' * 32}-b7ad6b7169203331-01",
        f"00-0af7651916cd43dd8448eb211c80319c-{'0' * 16}-01",
    ],
)
def test_no_trace_that_could_be_continued(
    endpoint: Endpoint, collector: Collector, traceparent: str | None
) -> None:
    """What is malformed (W3C Trace Context §3.2) is ignored: a new trace begins."""
    answer = endpoint.exchange(headers={"traceparent": traceparent})
    decision = answer.header("Delegation-Decision")

    def found() -> list[Seen]:
        spans = collector.spans()
        return [one for one in spans if one.attributes.get("delegation.decision") == decision]

    collector.wait(lambda: bool(found()))
    (request,) = found()
    assert request.parent == ""
    assert request.trace not in {"0af7651916cd43dd8448eb211c80319c", "0" * 32}


def test_what_the_client_does_not_sample(
    endpoint: Endpoint, trace: Trace, collector: Collector
) -> None:
    """It decides for all of its trace: nothing of it is sent."""
    unsampled = Trace(collector)

    answer = endpoint.exchange(headers={"traceparent": f"00-{unsampled.id}-{unsampled.span}-00"})
    endpoint.exchange(headers=trace.headers)

    assert answer.status == 200
    assert trace.spans()
    assert unsampled.id not in {span.trace for span in collector.spans()}


def test_health(endpoint: Endpoint, trace: Trace, collector: Collector) -> None:
    """Who asks every few seconds whether all is well is not traced; nor is what is nowhere."""
    quiet = Trace(collector)

    for path in ("/livez", "/readyz", "/nowhere"):
        endpoint.send(b"", method="GET", path=path, headers=quiet.headers)
    endpoint.exchange(headers=trace.headers)

    assert trace.spans()
    assert quiet.id not in {span.trace for span in collector.spans()}


def test_the_log(world: TestWorld, endpoint: Endpoint, trace: Trace) -> None:
    """A line belongs to its request, which the answer names, and to its trace."""
    answer = endpoint.exchange(headers={**trace.headers, "Authorization": None})

    (span,) = trace.spans().values()
    (line,) = _lines(world, "request_id", str(answer.header("X-Request-Id")))
    assert (line["trace_id"], line["span_id"]) == (trace.id, span.id)
    assert re.fullmatch("[0-9a-f]{32}", line["request_id"])
    assert span.attributes["delegation.request_id"] == line["request_id"]


def test_a_collector_that_is_away(
    world: TestWorld, endpoint: Endpoint, trace: Trace, collector: Collector
) -> None:
    """Nobody waits for it; the log says so, and not each time; what could be kept comes later."""
    collector.down = True
    answers = [endpoint.exchange(headers=trace.headers) for _ in range(3)]
    collector.wait(lambda: collector.turned_away > 0)
    away = [endpoint.exchange(headers=trace.headers) for _ in range(3)]
    collector.down = False

    assert {answer.status for answer in (*answers, *away)} == {200}
    # The first is tried again, the last were waiting.
    found = collector.trace(trace.id, until=6 * (1 + len(STAGES)))
    decisions = {span.attributes.get("delegation.decision") for span in found} - {None}
    assert decisions == {answer.header("Delegation-Decision") for answer in (*answers, *away)}
    (line,) = _lines(world, "event", "traces")
    assert line["level"] == "warning"
    assert "opentelemetry" not in world.log


@pytest.mark.standard("8693-5-3")
def test_nothing_of_a_request(
    world: TestWorld, endpoint: Endpoint, trace: Trace, collector: Collector
) -> None:
    """No token, no secret, nobody's name, and no word that a client made up."""
    token = world.login.token(sub="mallory-of-the-subjects", scope="calendar:read")
    made_up = {"tracestate": "vendor=made-up-word", "Mcp-Name": "made-up-word"}
    form = {"resource": "https://made-up-word.example/", "scope": "made-up-word"}

    issued = endpoint.exchange(subject_token=token, headers=trace.headers).json["access_token"]
    endpoint.exchange(subject_token=issued, headers={**trace.headers, **made_up})
    endpoint.exchange(headers={**trace.headers, **made_up}, **form)
    endpoint.exchange(headers={**trace.headers, "Authorization": "Basic bWFkZS11cC13b3JkOng="})
    endpoint.send(b"", path="/token?made-up-word", headers=trace.headers)

    requests = 5
    collector.wait(lambda: sum(one.parent == trace.span for one in collector.spans()) == requests)
    seen = b"\n".join(collector.received).decode("latin-1")
    assert "calendar-mcp" in seen
    assert not [*leaks(seen, known=[*world.secrets.values(), token, issued])]
    assert "made-up-word" not in seen
    assert "mallory" not in seen
    assert "alice" not in seen


@pytest.mark.slow
def test_a_worker_that_stops(collector: Collector, tmp_path: Path) -> None:
    """What it has not sent yet it sends then."""
    with a_test_world(
        tmp_path,
        DELEGATION_TRACES="otlp",
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
        OTEL_BSP_SCHEDULE_DELAY="600000",
    ) as world:
        trace = Trace(collector)
        Service.of(world).endpoint().exchange(headers=trace.headers)
        assert not [span for span in collector.spans() if span.trace == trace.id]

    assert "POST /token" in trace.spans()


def test_off(world: TestWorld) -> None:
    """By itself a service needs nothing of OpenTelemetry, which may well not be there."""
    environment = {
        name: value
        for name, value in world.world.environment.items()
        if name != "DELEGATION_TRACES"
    }
    ran = subprocess.run(  # noqa: S603, our own interpreter
        [sys.executable, "-c", _OFF],
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert (ran.returncode, ran.stdout) == (0, "400 ['delegation.tracing.untraced']\n"), ran.stderr


_OFF = """
import sys
sys.modules["opentelemetry"] = None  # who imports it fails
import delegation.gunicorn
from delegation.wsgi import application
answer = application.test_client().post("/token", data={"client_id": "nobody"})
print(answer.status_code, [name for name in sys.modules if name.startswith("delegation.tracing.")])
"""


def _lines(world: TestWorld, name: str, value: str) -> list[dict[str, str]]:
    """The lines of the log in which *name* is *value*."""
    lines = (line for line in world.log.splitlines() if line.startswith("{"))
    return [line for line in map(json.loads, lines) if line.get(name) == value]
