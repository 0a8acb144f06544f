"""How much of its rate limits a client uses: what is in force, and of whom."""

from dataclasses import replace
from secrets import token_hex

import pytest

from delegation.domain.rates import Per, Rate, Rates
from delegation.ledger.ledger import RedisLedger
from delegation.ledger.quota import RedisQuota
from delegation.ledger.store import Store
from tests.parties import ALICE, CALENDAR_MCP, LOGIN, a_case, a_grant, a_registry
from tests.valkey import decide
from tests.web.admin.desk import Desk, problem

RATES: Rates = {
    Per.CLIENT: [Rate(600, 60), Rate(5000, 86_400)],
    Per.CLIENT_AND_SUBJECT: [Rate(10, 60)],
    Per.GRANT: [Rate(1, 60)],
}


@pytest.fixture(name="desk")
def _desk(store: Store, ledger: RedisLedger) -> Desk:
    """The admin API of a service that limits everything, and has made one exchange for Alice."""
    RedisQuota(store, RATES).take(decide(ledger), a_case(nonce=token_hex(8)))
    return Desk(store, ledger, rates=RATES)


def test_a_client(desk: Desk) -> None:
    """Each limit on all that it does; twice the same answer."""
    answer = desk.get("/usage", client=CALENDAR_MCP)

    minute, day = answer["items"]
    assert minute.pop("resets_at") < day.pop("resets_at")
    assert minute == {"per": "client", "limit": 600, "window": 60, "used": 1, "remaining": 599}
    assert (day["limit"], day["window"], day["remaining"]) == (5000, 86_400, 4999)
    assert [one["used"] for one in desk.get("/usage", client=CALENDAR_MCP)["items"]] == [1, 1]


@pytest.mark.parametrize(
    ("named", "used"),
    [
        ({"subject_issuer": LOGIN, "subject": ALICE.subject}, ("client_and_subject", 1, 9)),
        ({"subject_issuer": LOGIN, "subject": "bob"}, ("client_and_subject", 0, 10)),
        ({"grant": "calendar"}, ("grant", 1, 0)),
    ],
    ids=["a subject", "another", "a grant"],
)
def test_what_it_does_for_whom(
    desk: Desk, named: dict[str, str], used: tuple[str, int, int]
) -> None:
    """Besides, where it is named."""
    *_, last = desk.get("/usage", client=CALENDAR_MCP, **named)["items"]

    assert (last["per"], last["used"], last["remaining"]) == used
    assert (last["resets_at"] is None) == (last["used"] == 0)


def test_a_grant_with_a_limit_of_its_own(store: Store, ledger: RedisLedger) -> None:
    """It is in the registry, and for the client that is named."""
    own = a_grant(rates=(Rate(2, 120),))
    RedisQuota(store, {}).take(
        decide(ledger, registry=a_registry(grants=[own])), a_case(nonce=token_hex(8))
    )
    others = a_grant(id="rooms", rates=(Rate(7, 7),))
    desk = Desk(store, ledger, grants=[own, others, replace(others, client="mail-mcp")])

    [found] = desk.get("/usage", client=CALENDAR_MCP, grant="calendar")["items"]

    assert (found["per"], found["limit"], found["window"], found["used"]) == ("grant", 2, 120, 1)
    assert desk.get("/usage", client=CALENDAR_MCP)["items"] == []
    assert desk.get("/usage", client="mail-mcp", grant="calendar")["items"] == []


def test_nothing_is_limited(store: Store, ledger: RedisLedger) -> None:
    """Then there is nothing to show."""
    assert Desk(store, ledger).get("/usage", client=CALENDAR_MCP) == {"items": []}


@pytest.mark.parametrize(
    ("named", "status"),
    [
        ({}, 400),
        ({"client": ""}, 400),
        ({"client": "x", "actor": "y"}, 400),
        ({"client": "x", "subject": "alice"}, 422),
        ({"client": "x", "subject_issuer": LOGIN}, 422),
    ],
    ids=["no client", "an empty one", "something else", "half a subject", "the other half"],
)
def test_what_cannot_be_asked(desk: Desk, named: dict[str, str], status: int) -> None:
    """What is left out or misspelt never means everything."""
    assert problem(desk.ask("GET", "/usage", **named))[0] == status


def test_it_takes_a_scope(desk: Desk) -> None:
    """That of who may see what was exchanged."""
    answer = desk.ask("GET", "/usage", client=CALENDAR_MCP, scope="locks.read")

    assert problem(answer)[0] == 403
