"""Whatever a request comes to at an endpoint, it is measured once."""

import pytest

from delegation.domain.errors import Cause, SubjectTokenRejected, TooManyExchanges
from delegation.metrics.tally import Place
from tests.fakes import ListQuota
from tests.metrics.conftest import Bench
from tests.parties import CALENDAR_API, CALENDAR_MCP
from tests.web.endpoint import MCP, WRONG_SECRET, Endpoint, asserting, basic, form, post

EXCHANGES, REQUESTS = "delegation_exchanges_total ", "delegation_request_duration_seconds_count "
FAILURES = "delegation_authentication_failures_total "
ALARMS = "delegation_alarms_sounded_total "


@pytest.fixture(name="sts")
def _sts() -> Endpoint:
    return Endpoint()


def counted(bench: Bench, sts: Endpoint, beginning: str) -> dict[str, float]:
    """What was counted so far under this name."""
    sts.tally.write(Place(0))
    return bench.only(beginning)


def test_what_is_issued(bench: Bench, sts: Endpoint) -> None:
    """One exchange, one request."""
    sts.ask()

    assert counted(bench, sts, EXCHANGES) == {f"{CALENDAR_MCP} issued none {CALENDAR_API}": 1}
    assert counted(bench, sts, REQUESTS) == {"token 200": 1}


def test_what_is_refused(bench: Bench, sts: Endpoint) -> None:
    """By its cause; what alarms is an alarm, too."""
    sts.tokens["another's"] = SubjectTokenRejected(Cause.PRESENTED_BY_ANOTHER_CLIENT)
    sts.ask(post(scope="too much"))
    sts.ask(post(subject_token="another's"))

    refused = counted(bench, sts, EXCHANGES)
    assert refused == {
        f"{CALENDAR_MCP} refused scope_exceeded {CALENDAR_API}": 1,
        f"{CALENDAR_MCP} refused presented_by_another_client {CALENDAR_API}": 1,
    }
    assert counted(bench, sts, REQUESTS) == {"token 400": 2}
    assert counted(bench, sts, ALARMS) == {"presented_by_another_client": 1}


def test_what_is_too_much(bench: Bench) -> None:
    """By which limit it is."""
    sts = Endpoint(quota=ListQuota(TooManyExchanges(Cause.LIMIT_PER_GRANT)))
    sts.ask()

    assert counted(bench, sts, EXCHANGES) == {
        f"{CALENDAR_MCP} refused limit_per_grant {CALENDAR_API}": 1
    }
    assert counted(bench, sts, REQUESTS) == {"token 429": 1}


def test_an_assertion_that_was_used(bench: Bench, sts: Endpoint) -> None:
    """Somebody may have taken it: that is no exchange, and an alarm."""
    for _ in range(2):
        sts.ask(asserting(MCP.assertion()))

    assert counted(bench, sts, FAILURES) == {f"already_used {CALENDAR_MCP}": 1}
    assert counted(bench, sts, ALARMS) == {"already_used": 1}
    assert sum(counted(bench, sts, EXCHANGES).values()) == 1


def test_what_is_malformed(bench: Bench, sts: Endpoint) -> None:
    """Before anybody is known it is no exchange."""
    sts.ask(post(grant_type=None))
    sts.ask(method="GET")
    sts.ask(path="/elsewhere")

    assert counted(bench, sts, EXCHANGES) == {}
    assert counted(bench, sts, "delegation_malformed_requests_total ") == {"malformed": 1}
    assert counted(bench, sts, REQUESTS) == {"token 400": 1, "none 405": 1, "none 404": 1}


def test_who_is_not_who_they_claim_to_be(bench: Bench, sts: Endpoint) -> None:
    """Each failure is counted, until and after they are told to stay away; and so are the lines
    that nobody wrote.
    """
    for _ in range(33):
        sts.ask(form(), authorization=basic(secret=WRONG_SECRET))
    sts.ask(form(), authorization=basic("a stranger"))

    assert counted(bench, sts, FAILURES) == {
        f"credentials {CALENDAR_MCP}": 33,
        "credentials other": 1,
    }
    assert counted(bench, sts, "delegation_throttled_requests_total") == {"": 23}
    assert counted(bench, sts, "delegation_suppressed_log_lines_total") == {"": 4}
    assert counted(bench, sts, REQUESTS) == {"token 401": 11, "token 429": 23}
