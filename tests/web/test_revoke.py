"""Revocation: a client ends what was issued to it, and all that came from it; nothing of others."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from structlog.testing import capture_logs

from delegation.audit.packing import unpacked
from delegation.domain.delegations import Delegation
from delegation.domain.errors import Cause, Unavailable
from delegation.domain.locks import Target, milliseconds
from delegation.ledger.evidence import Evidence
from delegation.ledger.ledger import RedisLedger
from tests.parties import (
    CALENDAR_API,
    CALENDAR_API_CLIENT,
    CALENDAR_MCP,
    LOGIN,
    OUR_ISSUER,
    a_delegation,
    a_second_delegation,
)
from tests.signing import SigningParty
from tests.valkey import decide, decide_next
from tests.web.endpoint import (
    AUDITOR,
    INVALID_CLIENT,
    JWT_BEARER,
    MCP,
    NEXT_SECRET,
    SECRET,
    WRONG_SECRET,
    Endpoint,
    Live,
    asking,
    body_of,
    refused,
)


def revoke(sts: Endpoint, token: str, **more: str) -> Any:
    """What *calendar-mcp* is answered that wants a token to end."""
    return sts.ask(asking(token, CALENDAR_MCP, SECRET, **more), path="/revoke")


def must_be_done(response: Any) -> None:
    """Two hundred without a body, kept by nobody, and without a decision that could tell more."""
    assert (response.status_code, response.data) == (200, b"")
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["Pragma"] == "no-cache"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert not {"Content-Type", "Delegation-Decision"} & set(response.headers.keys())


def is_alive(live: Live, token: str) -> bool:
    """What an auditor is told of it."""
    return bool(body_of(live.ask(asking(token, AUDITOR, SECRET), path="/introspect"))["active"])


@pytest.mark.standard("7009-1", "7009-2")
def test_a_token_of_ones_own(sts: Endpoint) -> None:
    """A cut-off on its exchange, in the client's name, at the moment that it was recorded."""
    done = a_delegation()

    must_be_done(revoke(sts, sts.token(done)))

    [order] = sts.locks.orders
    assert [origin.address for origin in sts.locks.origins if origin] == ["192.0.2.1"]
    assert order.target == Target.exchange(done.id)
    assert order.author == f"client:{CALENDAR_MCP}"
    assert order.reason == "revoked by its client"
    assert order.ends_at == milliseconds(done.decided_at) + 1000
    assert not order.parents
    assert not sts.ledger.refused


@pytest.mark.standard("7009-1")
@pytest.mark.parametrize("hint", ["access_token", "refresh_token", "nonsense", "", "a\nb"])
def test_a_hint_changes_nothing(sts: Endpoint, hint: str) -> None:
    """A wrong one does not keep a token from its end, and there is no unsupported type."""
    must_be_done(revoke(sts, sts.token(a_delegation()), token_type_hint=hint))

    assert len(sts.locks.orders) == 1


@pytest.mark.standard("7009-4")
def test_a_repetition_is_the_same_order(sts: Endpoint) -> None:
    """To the last member: the ledger knows the second one again."""
    token = sts.token(a_delegation())

    revoke(sts, token)
    revoke(sts, token)

    first, second = sts.locks.orders
    assert first == second


@pytest.mark.standard("7009-4")
def test_each_token_has_an_order_of_its_own(sts: Endpoint) -> None:
    """Ending one is no ending of another."""
    for number in (1, 2):
        revoke(sts, sts.token(a_delegation(id=f"exchange-{number}")))

    assert len({order.id for order in sts.locks.orders}) == 2


def _over(sts: Endpoint) -> str:
    token = sts.token(a_delegation())
    sts.clock.pass_(minutes=5)
    return token


NOTHING_TO_END: Mapping[str, Callable[[Endpoint], str]] = {
    "foreign": lambda _: SigningParty(LOGIN).token(aud=CALENDAR_API),
    "never recorded": lambda sts: sts.own.sign(a_delegation(id="exchange-9")).value,
    "over": _over,
    "no token": lambda _: "nonsense",
    "control characters": lambda _: "a\r\nb\0",
    "too large": lambda _: "x" * 20_000,
    "refresh token": lambda _: "8xLOxBtZp8",
}


@pytest.mark.standard("7009-3", "7009-5")
@pytest.mark.parametrize("make", NOTHING_TO_END.values(), ids=NOTHING_TO_END)
def test_what_is_no_token_is_as_good_as_revoked(
    sts: Endpoint, make: Callable[[Endpoint], str]
) -> None:
    """The client wanted it gone: it is. Nothing is written, and the answer is that of success."""
    must_be_done(revoke(sts, make(sts)))

    assert not sts.locks.orders
    assert not sts.ledger.refused


@pytest.mark.standard("7009-2")
@pytest.mark.parametrize(
    ("client", "secret"),
    [(CALENDAR_API_CLIENT, NEXT_SECRET), (AUDITOR, SECRET), ("idle-mcp", SECRET)],
    ids=["audience", "auditor", "another client"],
)
def test_a_token_of_another_client(sts: Endpoint, client: str, secret: str) -> None:
    """It lives on, and the answer does not say so; but somebody is told to look."""
    token = sts.token(a_delegation())

    with capture_logs() as logs:
        answer = sts.ask(asking(token, client, secret), path="/revoke")

    must_be_done(answer)
    assert list(answer.headers) == list(revoke(sts, "nonsense").headers)
    assert not sts.locks.orders
    [(refusal, case)] = sts.ledger.refused
    assert refusal.cause is Cause.PRESENTED_BY_ANOTHER_CLIENT
    assert refusal.detail == {"issued_to": CALENDAR_MCP}
    assert case.client.id == client
    assert case.subject is not None
    assert case.subject.id == "exchange-1"
    [line] = logs
    assert line == {
        "event": "alarm",
        "log_level": "error",
        "cause": "presented_by_another_client",
        "client": client,
        "decision": "refusal-1",
        "suppressed": 0,
    }
    assert token not in str(logs)


@pytest.mark.standard("7009-2")
def test_ones_parent_is_not_ones_own(sts: Endpoint) -> None:
    """The API at the second hop ends what it obtained, and not what it was sent."""
    first, second = sts.token(a_delegation()), sts.token(a_second_delegation())

    for token in (first, second):
        body = asking(token, CALENDAR_API_CLIENT, NEXT_SECRET)
        must_be_done(sts.ask(body, path="/revoke"))

    assert [order.target for order in sts.locks.orders] == [Target.exchange("exchange-2")]


@pytest.mark.standard("7009-2", "7523-5", "6749-5.2-1")
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"client_id": CALENDAR_MCP},
        {"client_id": CALENDAR_MCP, "client_secret": WRONG_SECRET},
        {
            "client_assertion_type": JWT_BEARER,
            "client_assertion": MCP.assertion(aud=f"{OUR_ISSUER}/revoke"),
        },
    ],
    ids=["none", "no secret", "wrong", "for the endpoint"],
)
def test_strangers(sts: Endpoint, fields: dict[str, str]) -> None:
    """Who has a token and nothing else cannot end it."""
    token = sts.token(a_delegation())

    answer = sts.ask(urlencode(fields | {"token": token}).encode(), path="/revoke")

    assert refused(answer) == INVALID_CLIENT
    assert not sts.locks.orders


@pytest.mark.standard("7009-2", "7523-1")
def test_by_assertion(sts: Endpoint) -> None:
    """`private_key_jwt` works here as well, for our issuer."""
    fields = {
        "client_assertion_type": JWT_BEARER,
        "client_assertion": MCP.assertion(),
        "token": sts.token(a_delegation()),
    }

    must_be_done(sts.ask(urlencode(fields).encode(), path="/revoke"))

    assert len(sts.locks.orders) == 1


@pytest.mark.standard("7009-5", "STK-14")
@pytest.mark.parametrize(
    ("client", "secret"),
    [(CALENDAR_MCP, SECRET), (CALENDAR_API_CLIENT, NEXT_SECRET)],
    ids=["its own", "another's"],
)
def test_where_it_cannot_be_done_nobody_says_that_it_is(
    sts: Endpoint, client: str, secret: str
) -> None:
    """The client has to take the token for alive, and to try again; no alarm is lost either."""
    token = sts.token(a_delegation())
    sts.ledger.trouble = Unavailable("ledger_unreachable")

    answer = sts.ask(asking(token, client, secret), path="/revoke")

    assert refused(answer) == (503, "temporarily_unavailable", None)
    assert answer.headers["Retry-After"] == "2"


# -- with the real ledger -------------------------------------------------------------------------


def _chain(ledger: RedisLedger) -> tuple[Delegation, Delegation]:
    first = decide(ledger)
    return first, decide_next(ledger, first)


@pytest.mark.standard("7009-4", "7662-4")
def test_all_that_came_from_it_ends_at_once(live: Live, ledger: RedisLedger) -> None:
    """The next hop's token dies with it, one of the same parent does not; a repetition is the
    same again.
    """
    first, second = _chain(ledger)
    token, child, sibling = (live.token(one) for one in (first, second, decide(ledger)))
    assert is_alive(live, child)

    for _ in range(2):
        must_be_done(revoke(live, token))

        assert [is_alive(live, one) for one in (token, child, sibling)] == [False, False, True]


@pytest.mark.standard("7009-4")
def test_ending_a_child_leaves_its_parent(live: Live, ledger: RedisLedger) -> None:
    """What it grew from lives on."""
    first, second = _chain(ledger)
    token, child = live.token(first), live.token(second)

    must_be_done(live.ask(asking(child, CALENDAR_API_CLIENT, NEXT_SECRET), path="/revoke"))

    assert [is_alive(live, one) for one in (token, child)] == [True, False]


@pytest.mark.standard("7009-4")
@pytest.mark.parametrize("seconds", [-1.9, 1.9], ids=["behind", "ahead"])
def test_a_worker_whose_clock_is_off(live: Live, ledger: RedisLedger, seconds: float) -> None:
    """A cut-off by its own clock could come before the exchange; the store's own time cannot."""
    token = live.token(decide(ledger))
    live.running.ahead = timedelta(seconds=seconds)

    must_be_done(revoke(live, token))

    assert not is_alive(live, token)


@pytest.mark.standard("7009-4")
def test_its_event_is_written_once(live: Live, ledger: RedisLedger, evidence: Evidence) -> None:
    """Who ended what, and why: like every other stop, and before its effect."""
    done = decide(ledger)
    token = live.token(done)

    revoke(live, token)
    revoke(live, token)

    events = [
        unpacked(stored.event)
        for number, stream in evidence.streams()
        for stored in evidence.read(number, stream, count=100)
    ]
    [lock] = [event for event in events if event["type"] == "lock"]
    assert lock["target"] == {"kind": "exchange", "names": [done.id]}
    assert (lock["author"], lock["reason"]) == (f"client:{CALENDAR_MCP}", "revoked by its client")
    assert len(events) == 2
