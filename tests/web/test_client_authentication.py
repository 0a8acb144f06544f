"""Who calls: one mechanism per request, one answer to every stranger."""

import re

import pytest
from structlog.testing import capture_logs

from delegation.domain.errors import Unavailable
from tests.parties import CALENDAR_MCP
from tests.web.endpoint import (
    INVALID_CLIENT,
    KEYLESS,
    MALFORMED,
    NEXT_SECRET,
    SECRET,
    WRONG_SECRET,
    Endpoint,
    basic,
    encoded,
    form,
    issued,
    post,
    refused,
)


def with_spare_bit(header: str) -> str:
    """The same base64, but for a bit that says nothing; it must end in one `=`."""
    last, padding = header[-2:]
    assert padding == "="
    return header[:-2] + chr(ord(last) + 1) + padding


BASIC_BYTES = f"{CALENDAR_MCP}:{SECRET}".encode()


@pytest.mark.standard("6749-2.3-2", "STK-5")
@pytest.mark.parametrize(
    "authorization",
    [
        encoded(BASIC_BYTES, "Basic"),
        encoded(BASIC_BYTES, "bAsIc"),
        encoded(BASIC_BYTES, "Basic  "),
        encoded(b"%63alendar%2Dmcp:%64lg_" + b"S" * 43),
        basic(secret=NEXT_SECRET),
    ],
    ids=["plain", "scheme in any case", "more spaces", "urlencoded", "the other secret"],
)
def test_basic(sts: Endpoint, authorization: str) -> None:
    """Id and secret are form-urlencoded, then put together, then base64."""
    response = sts.ask(form(), authorization=authorization)

    assert issued(response)
    assert sts.ledger.recorded[0][1].authenticated_by == "client_secret_basic"


@pytest.mark.standard(
    "6749-2.3-2", "6749-2.3-4", "6749-5.2-1", "8693-2.1-13", "8693-2.2.2-3", "STK-5"
)
@pytest.mark.attack(23)
@pytest.mark.parametrize(
    ("authorization", "body"),
    [
        (None, form()),
        (None, form(client_id=CALENDAR_MCP)),
        (None, form(client_id=KEYLESS)),
        (None, form(client_secret=SECRET)),
        (None, post(client_secret=WRONG_SECRET)),
        (None, post(client_id="nobody")),
        (None, post(client_id=KEYLESS)),
        (None, form(client_id=CALENDAR_MCP, client_assertion="x.y.z")),
        (None, form(client_assertion="x.y.z")),
        (basic(secret=WRONG_SECRET), form()),
        (basic(secret=SECRET + " "), form()),
        (basic(secret=SECRET[:-1] + "+"), form()),
        (basic(secret=""), form()),
        (basic(client_id=""), form()),
        (basic(client_id="nobody"), form()),
        (basic(client_id=CALENDAR_MCP.upper()), form()),
        (basic(client_id=KEYLESS), form()),
        (basic(client_id=KEYLESS, secret=""), form()),
        (encoded(b"\xff\xfe:\xff"), form()),
        (encoded(b"%FF:%FF"), form()),
        (encoded(BASIC_BYTES + b"%FF"), form()),
        (encoded(b"no colon"), form()),
        (encoded(b""), form()),
        (encoded(BASIC_BYTES)[:-1], form()),
        (encoded(BASIC_BYTES) + "=", form()),
        (encoded(BASIC_BYTES) + "!", form()),
        (encoded(BASIC_BYTES) + "A===", form()),
        (with_spare_bit(encoded(BASIC_BYTES.replace(b"-", b"%2D"))), form()),
        (basic(secret=SECRET + "+")[:-1] + "x", form()),
        (encoded(BASIC_BYTES) + ", " + encoded(BASIC_BYTES), form()),
        (encoded(BASIC_BYTES).replace("Basic ", "Basic\t"), form()),
        ("Basic é\xff", form()),
        ("Basic", form()),
        ("", form()),
        (encoded(BASIC_BYTES, "Bearer"), form()),
        ("DPoP x", form()),
    ],
    ids=ascii,
)
def test_strangers(sts: Endpoint, authorization: str | None, body: bytes) -> None:
    """Whatever is wrong, a stranger gets the same answer, with a challenge; nothing is recorded."""
    plain = sts.ask(form())

    response = sts.ask(body, authorization=authorization)

    assert refused(response) == INVALID_CLIENT
    assert response.headers["WWW-Authenticate"] == 'Basic realm="delegation"'
    assert response.data == plain.data
    assert list(response.headers) == list(plain.headers)
    assert not sts.outcomes


@pytest.mark.standard("6749-2.3-1")
@pytest.mark.attack(23)
@pytest.mark.parametrize(
    ("authorization", "body"),
    [
        (basic(), form(client_secret=SECRET)),
        (basic(secret=WRONG_SECRET), post()),
        ("Basic !", post()),
        ("", post()),
        ("Bearer x", post()),
        (basic(), form(client_assertion="x.y.z")),
        (None, post(client_assertion="x.y.z")),
        (basic(), post(client_assertion="x.y.z")),
    ],
    ids=ascii,
)
def test_more_than_one_mechanism(sts: Endpoint, authorization: str | None, body: bytes) -> None:
    """Two mechanisms are one too many, whichever of them is right."""
    response = sts.ask(body, authorization=authorization)

    assert refused(response) == MALFORMED
    assert not sts.outcomes


@pytest.mark.standard("6749-2.3-5")
@pytest.mark.attack(6)
def test_client_id_beside_basic(sts: Endpoint) -> None:
    """A `client_id` in the form is no mechanism, but it must name the same client."""
    same = sts.ask(form(client_id=CALENDAR_MCP), authorization=basic())
    other = sts.ask(form(client_id="calendar-api"), authorization=basic())
    other_and_wrong = sts.ask(form(client_id="x"), authorization=basic(secret=WRONG_SECRET))

    assert issued(same)
    assert refused(other) == MALFORMED
    assert refused(other_and_wrong) == MALFORMED


@pytest.mark.standard("6749-2.3-4")
def test_brake(sts: Endpoint) -> None:
    """After ten failures in a minute the next is told to wait, known client or not."""
    for name in (CALENDAR_MCP, "nobody"):
        answers = [sts.ask(form(), authorization=basic(name, WRONG_SECRET)) for _ in range(11)]

        assert {refused(answer) for answer in answers[:10]} == {INVALID_CLIENT}
        assert refused(answers[10]) == (429, "temporarily_unavailable", None)
        assert answers[10].headers["Retry-After"] == "60"


@pytest.mark.standard("6749-2.3-4")
def test_brake_never_stops_the_client_itself(sts: Endpoint) -> None:
    """The right secret is always let in: nobody can shut a client out by guessing."""
    for _ in range(20):
        sts.ask(form(), authorization=basic(secret=WRONG_SECRET))

    assert issued(sts.ask())
    assert issued(sts.ask(post()))


def test_brake_lets_go(sts: Endpoint) -> None:
    """After a minute a failure is a failure again; elsewhere it always was."""
    wrong = basic(secret=WRONG_SECRET)
    for _ in range(11):
        sts.ask(form(), authorization=wrong)

    elsewhere = sts.ask(form(), authorization=wrong, REMOTE_ADDR="192.0.2.2")
    sts.clock.pass_(seconds=60)
    later = sts.ask(form(), authorization=wrong)

    assert refused(elsewhere) == INVALID_CLIENT
    assert refused(later) == INVALID_CLIENT


def test_brake_needs_a_name(sts: Endpoint) -> None:
    """Where no client is named, no secret is being guessed."""
    answers = [sts.ask(form(), authorization="Bearer x") for _ in range(20)]

    assert {refused(answer) for answer in answers} == {INVALID_CLIENT}


@pytest.mark.standard("CIMD-2")
def test_log(sts: Endpoint) -> None:
    """A failure is logged with what it takes to find who made it, and never with a secret."""
    name = "https://evil.example/\x1b[2J\r\n" + "é" * 200

    with capture_logs() as logs:
        sts.ask(form(), authorization=basic(name, WRONG_SECRET))
        sts.ask(form(), authorization=basic(secret=SECRET[:-1]))
        sts.ask(form())

    assert [line["event"] for line in logs] == ["authentication_failed"] * 3
    assert re.fullmatch("unknown, sha256 [0-9a-f]{12}", logs[0]["client"])
    assert logs[0]["address"] == "192.0.2.1"
    assert [line["client"] for line in logs[1:]] == [CALENDAR_MCP, None]
    assert "dlg_" not in str(logs)


def test_log_is_sampled(sts: Endpoint) -> None:
    """Nobody can fill the disk by knocking: what is left out is counted."""
    with capture_logs() as logs:
        for _ in range(40):
            sts.ask(form())
        sts.clock.pass_(minutes=1)
        sts.ask(form())

    assert [line["suppressed"] for line in logs] == [0] * 30 + [10]


def test_registry_out_of_reach(sts: Endpoint) -> None:
    """Without a registry there are no clients, and no answer."""

    def unavailable() -> object:
        raise Unavailable("registry")

    sts.registry.make = unavailable

    assert refused(sts.ask()) == (503, "temporarily_unavailable", None)
