"""How the service is: its workers, its keys, its alarms, its numbers; and what there is not."""

import json
import time
from typing import Any

import pytest

from delegation.domain.errors import Cause, SubjectTokenRejected, Unavailable
from delegation.domain.ports import WorkerReport
from delegation.web.admin.metrics import metrics
from delegation.web.admin.views import OPERATIONS
from tests.parties import LOGIN, a_case
from tests.web.admin.desk import Desk, iss_sub, problem


def a_worker(**changes: Any) -> WorkerReport:
    """One that is well."""
    usual: dict[str, Any] = {"id": "a:1", "revision": "r1", "problems": (), "started_at": 1_000}
    return WorkerReport(**(usual | changes))


def test_workers(desk: Desk) -> None:
    """Each with the registry that it runs, how it is, since when, and when it said so."""
    desk.presence.report(a_worker())
    desk.presence.report(a_worker(id="b:2", problems=("registry_invalid",)))

    well, unwell = desk.get("/workers")["items"]

    assert (well["id"], well["revision"], well["status"]) == ("a:1", "r1", "ready")
    assert well["started_at"] == "1970-01-01T00:00:01.000Z"
    assert well["seen_at"] > "2026"
    assert (unwell["status"], unwell["problems"]) == ("not ready", ["registry_invalid"])


def test_keys(desk: Desk) -> None:
    """How each is used, and its public part alone."""
    keys = desk.get("/keys")["items"]

    assert [key["status"] for key in keys] == ["active", "next"]
    for key in keys:
        assert key["kid"] == key["jwk"]["kid"]
        assert set(key["jwk"]) == {"kty", "crv", "x", "y", "kid", "alg", "use"}


def test_alarms(desk: Desk) -> None:
    """The latest first, page by page, with their events; and how many of each cause."""
    for number in range(3):
        stolen = SubjectTokenRejected(Cause.PRESENTED_BY_ANOTHER_CLIENT, number=number)
        desk.ledger.refuse(stolen, a_case())
        time.sleep(0.002)  # the order within a millisecond is nobody's promise

    page = desk.get("/alarms", limit=2)
    rest = desk.get("/alarms", limit=2, cursor=page["cursor"])

    events = [one["event"] for one in (*page["items"], *rest["items"])]
    assert [event["detail"]["number"] for event in events] == [2, 1, 0]
    assert {event["cause"] for event in events} == {"presented_by_another_client"}
    assert rest["cursor"] is None
    assert page["counts"] == {"presented_by_another_client": 3}


def test_metrics(desk: Desk) -> None:
    """What a monitoring system reads: alarms by cause, and the locks that stand."""
    stolen = SubjectTokenRejected(Cause.PRESENTED_BY_ANOTHER_CLIENT)
    desk.ledger.refuse(stolen, a_case())
    desk.lock({"kind": "subject", "subject": iss_sub(LOGIN, "alice")})
    desk.lock({"kind": "client", "client": "x"})
    desk.lock({"kind": "client", "client": "x"}, cut_off="now")

    answer = desk.ask("GET", "/metrics")

    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    lines = answer.text.splitlines()
    assert 'delegation_alarms_total{cause="presented_by_another_client"} 1' in lines
    assert "delegation_standing_locks 2" in lines
    assert problem(desk.ask("GET", "/metrics", scope="locks.read"))[0] == 403
    assert problem(desk.ask("GET", "/metrics", limit=1))[0] == 400


def test_a_cause_that_must_be_escaped() -> None:
    """Whatever a label holds, a line is a line."""
    text = metrics({'a"b\\c\nd': 1}, 0)

    assert 'delegation_alarms_total{cause="a\\"b\\\\c\\nd"} 1\n' in text


def test_health(desk: Desk) -> None:
    """At the root, for nobody in particular."""
    client = desk.app.test_client()

    assert client.get("/livez").json == {"status": "alive"}
    assert client.get("/readyz").json == {"status": "ready"}
    desk.problems = ["ledger_unreachable"]
    answer = client.get("/readyz")

    assert (answer.status_code, answer.json["problems"]) == (503, ["ledger_unreachable"])


def test_there_is_nothing_else(desk: Desk) -> None:
    """Neither at other addresses, nor by other methods, nor for browsers of other origins."""
    nothing = desk.ask("GET", "/canary")
    method = desk.ask("DELETE", "/locks")
    options = desk.ask("OPTIONS", "/locks")

    assert problem(nothing) == (404, "nothing-here")
    assert problem(method) == problem(options) == (405, "method-not-allowed")
    assert method.headers["Allow"] == "GET, HEAD, POST"
    assert "canary" not in nothing.text
    assert desk.app.test_client().get("/token").status_code == 404


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_nothing_is_answered_without_a_token(desk: Desk, operation: Any) -> None:
    """Every operation asks who asks, first of all."""
    path = operation.address.replace("{id}", "none")

    answer = desk.app.test_client().open(path, method=operation.method, data=b"\xff")

    assert problem(answer) == (401, "unauthenticated")


def test_a_store_out_of_reach(desk: Desk) -> None:
    """503 and when to come again: nothing is made up."""

    class Away:
        def workers(self) -> Any:
            raise Unavailable("ledger_unreachable", retry_after=7)

    object.__setattr__(desk.service, "presence", Away())

    answer = desk.ask("GET", "/workers")

    assert problem(answer) == (503, "unavailable")
    assert answer.headers["Retry-After"] == "7"
    assert "ledger" not in json.dumps(answer.json)
