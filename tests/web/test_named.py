"""What a request is called: by a proxy of ours, or by nobody until there is something to find."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from structlog.testing import LogCapture

from delegation import wiring
from delegation.proxies import REQUEST_ID, TrustedProxies
from delegation.web.named import request_named
from tests.web.endpoint import Endpoint, post

PROXY, STRANGER = "10.0.0.1", "198.51.100.7"
NAME = "7f3c.A-b_9"


@pytest.fixture(name="lines")
def _lines() -> Iterator[list[Any]]:
    """The lines of the log, each with what belongs to its request."""
    capture = LogCapture()
    before = structlog.get_config()["processors"]
    structlog.configure(processors=[request_named, capture])
    yield capture.entries
    structlog.configure(processors=before)


@pytest.fixture(name="sts")
def _sts() -> Endpoint:
    """A service behind a proxy."""
    endpoint = Endpoint()
    app = endpoint.app
    app.wsgi_app = TrustedProxies.parse("10.0.0.0/8").before(app.wsgi_app)
    return endpoint


def test_nothing_to_find(sts: Endpoint) -> None:
    """A request that nobody named, and that leaves no line, has no name: its decision has."""
    answer = sts.ask()

    assert answer.status_code == 200
    assert "X-Request-Id" not in answer.headers


def test_a_line(sts: Endpoint, lines: list[Any]) -> None:
    """What is written has an id, which the answer has, too: each request another."""
    answers = [sts.ask(post(subject_token=None, grant_type=None)) for _ in range(2)]

    names = [answer.headers["X-Request-Id"] for answer in answers]
    assert [line["request_id"] for line in lines] == names
    assert len(set(names)) == 2
    assert all(re.fullmatch("[0-9a-f]{32}", name) for name in names)


@pytest.mark.parametrize("name", [NAME, "a", "0" * 64])
def test_a_name_by_a_proxy(sts: Endpoint, lines: list[Any], name: str) -> None:
    """Then it is that one: in the line, in the answer, and in the event."""
    answer = sts.ask(post(grant_type=None), REMOTE_ADDR=PROXY, HTTP_X_REQUEST_ID=name)
    sts.ask(REMOTE_ADDR=PROXY, HTTP_X_REQUEST_ID=name)

    assert answer.headers["X-Request-Id"] == name
    assert [line["request_id"] for line in lines] == [name]
    assert sts.ledger.recorded[-1][1].origin.request_id == name


@pytest.mark.parametrize(
    ("peer", "name"),
    [
        (STRANGER, NAME),
        ("", NAME),
        (PROXY, ""),
        (PROXY, "0" * 65),
        (PROXY, "a b"),
        (PROXY, "a\x1b[31m"),
        (PROXY, "föhn"),
        (PROXY, f"{NAME},{NAME}"),
        (PROXY, f"{NAME}\n"),
    ],
)
def test_a_name_that_is_not_believed(sts: Endpoint, lines: list[Any], peer: str, name: str) -> None:
    """Anybody's, or no name: it is as good as absent."""
    answer = sts.ask(post(grant_type=None), REMOTE_ADDR=peer, HTTP_X_REQUEST_ID=name)
    sts.ask(REMOTE_ADDR=peer, HTTP_X_REQUEST_ID=name)

    assert answer.headers["X-Request-Id"] == lines[0]["request_id"] != name
    assert sts.ledger.recorded[-1][1].origin.request_id is None


def test_no_header_is_the_name_itself(sts: Endpoint) -> None:
    """Where it stands, no client can write."""
    assert not REQUEST_ID.startswith("HTTP_")
    answer = sts.ask(HTTP_DELEGATION_REQUEST_ID=NAME)

    assert "X-Request-Id" not in answer.headers


def test_a_line_of_no_request(lines: list[Any]) -> None:
    """Nothing is made up for it."""
    structlog.get_logger().info("loaded")

    assert "request_id" not in lines[0]


def test_the_log_of_the_service(capsys: pytest.CaptureFixture[str]) -> None:
    """It is told in each line that the service writes, whoever writes it."""
    before = structlog.get_config()
    wiring.configure_logging()
    try:
        answer = Endpoint().ask(post(grant_type=None))
    finally:
        structlog.configure(**before)

    (line,) = map(json.loads, capsys.readouterr().err.splitlines())
    assert line["event"] == "request_refused"
    assert line["request_id"] == answer.headers["X-Request-Id"]
