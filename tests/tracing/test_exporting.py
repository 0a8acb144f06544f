"""Where spans go: on their way out nothing waits for them, and nothing is said of them twice."""

import logging
import subprocess
import sys
from collections.abc import Iterator
from socket import create_server
from typing import Any

import pytest
from opentelemetry.sdk.resources import SERVICE_NAME
from structlog.testing import capture_logs

from delegation.tracing import exporting
from tests.tracing.collector import collecting

_ENDS = """
from delegation.tracing import exporting
exporting.LAST_WORDS = 0.2 if {hurried} else exporting.LAST_WORDS
provider = exporting.exporting()
with provider.get_tracer("tests").start_as_current_span("the last"):
    pass
"""


def _ended(endpoint: str, *, hurried: bool = False) -> None:
    """A process has made a span, and ended at once."""
    ran = subprocess.run(  # noqa: S603, our own interpreter
        [sys.executable, "-c", _ENDS.format(hurried=hurried)],
        env={"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_BSP_SCHEDULE_DELAY": "60000"},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")


def test_what_a_process_that_ends_still_has() -> None:
    """It is sent, though its turn would have come later."""
    with collecting() as collector:
        _ended(collector.url)

        assert [span.name for span in collector.spans()] == ["the last"]


def test_a_process_that_ends_waits_for_no_collector() -> None:
    """One that takes the connection and never answers is left, long before it is given up."""
    with create_server(("127.0.0.1", 0)) as silent:
        _ended(f"http://127.0.0.1:{silent.getsockname()[1]}", hurried=True)


@pytest.mark.parametrize(
    ("environment", "name"),
    [
        ({}, "delegation"),
        ({"OTEL_SERVICE_NAME": "exchange-eu"}, "exchange-eu"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=exchange-us"}, "exchange-us"),
    ],
)
def test_who_we_are(
    environment: dict[str, str], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Our own name, unless the standard variables say another."""
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)

    assert exporting.resource().attributes[SERVICE_NAME] == name


@pytest.fixture(name="log")
def _log() -> Iterator[list[Any]]:
    """What is written into our log."""
    with capture_logs() as logs:
        yield logs


@pytest.fixture(name="library")
def _library() -> Iterator[logging.Logger]:
    """What the library says is told in our log, for the time of the test."""
    logger = logging.getLogger("opentelemetry")
    handlers, propagate = logger.handlers, logger.propagate
    exporting.tell_in_our_log()
    yield logging.getLogger("opentelemetry.exporter")
    logger.handlers, logger.propagate = handlers, propagate


def test_what_the_library_says(library: logging.Logger, log: list[Any]) -> None:
    """One line a minute, with the kind of the trouble, and none of the values: one may be a key."""
    library.info("quiet")
    library.error("Failed to export %s: %s, %s", "a-key", 503, ConnectionError("a-key"))
    library.error("Failed again")

    (line,) = log
    assert (line["event"], line["said"]) == ("traces", "Failed to export %s: %s, %s")
    assert (line["error"], line["status"]) == ("ConnectionError", 503)
    assert "a-key" not in str(log)


def test_what_the_library_did_not_foresee(library: logging.Logger, log: list[Any]) -> None:
    """Likewise, without what was raised."""
    try:
        int("a-key")
    except ValueError:
        library.exception("Exception while exporting.")

    assert (log[0]["error"], log[0]["status"]) == ("ValueError", None)
    assert "a-key" not in str(log)
