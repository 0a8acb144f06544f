"""What the event of an administrative act says of the request that asked for it."""

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from delegation.audit.events import schema
from tests.web.admin.desk import STAFF, Desk
from tests.web.admin.test_locks import events

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
VALIDATOR = Draft202012Validator(schema())


@pytest.mark.standard("REV-1")
def test_an_act_says_who_asked_for_it_from_where(desk: Desk, raw: Any) -> None:
    """The administrator by issuer and subject, the way, the address and the trace: of both."""
    lock = desk.lock(
        {"kind": "client", "client": "calendar-mcp"}, headers={"traceparent": TRACE}
    ).json
    assert lock is not None
    answer = desk.ask(
        "POST",
        f"/locks/{lock['lock']['id']}/lift",
        body={"reason": "over"},
        headers={"traceparent": TRACE},
    )

    found = events(raw)
    assert answer.status_code == 200
    assert [event["type"] for event in found] == ["lock", "lift"]
    for event in found:
        VALIDATOR.validate({"id": "0f:0:events:1", "at": "2026-11-20T12:00:00.000Z"} | event)
        assert event["administrator"] == {"iss": STAFF, "sub": "carol"}
        assert event["author"] == f"{STAFF}|carol"
        assert (event["how"], event["source"]) == ("admin_api", "127.0.0.1")
        assert event["traceparent"] == TRACE
