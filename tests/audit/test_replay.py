"""Which stops of a trail stop something yet, and that a store that lost them has them again."""

from datetime import UTC, datetime, timedelta

import pytest

from delegation.audit.replay import orders
from delegation.audit.seal import Sealer
from delegation.audit.segments import Directory, Trail
from delegation.domain.locks import EVERYTHING, Kind, LockOrder, Target
from delegation.ledger.layout import initialize
from tests.audit.trails import BEGAN, KEY, a_trail
from tests.parties import ALICE, CALENDAR_MCP
from tests.valkey import PARTITIONS, now_in_milliseconds, put

DAY = 86_400_000

NOW = datetime.fromtimestamp(BEGAN / 1000, UTC) + timedelta(hours=1)


def a_lock(name="lock-1", **members):
    """The event of a lock on everything."""
    usual = {
        "type": "lock",
        "lock": name,
        "target": {"kind": "everything", "names": []},
        "parents": False,
        "since_login": False,
        "reason": "INC-7",
        "author": "sec@example.com",
    }
    return usual | members


def a_lift(name="lock-1", **members):
    """The event of its end."""
    return {"type": "lift", "lock": name, "mistaken": False} | members


def an_order(**changes):
    """What is to be ordered again."""
    usual = {
        "id": "lock-1",
        "target": EVERYTHING,
        "reason": "INC-7",
        "author": "sec@example.com",
    }
    return LockOrder(**(usual | changes))


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([], []),
        ([{}, a_lift()], []),
        ([a_lock()], [an_order()]),
        ([a_lock(ends_at=BEGAN + DAY)], [an_order(ends_at=BEGAN + DAY)]),
        ([a_lock(ends_at=BEGAN + 2000)], []),
        ([a_lock(), a_lift()], []),
        ([a_lock(parents=True), a_lift()], [an_order(parents=True, ends_at=BEGAN + 2000)]),
        ([a_lock(parents=True), a_lift(mistaken=True)], []),
        (
            [a_lock(parents=True, ends_at=BEGAN + 1500), a_lift()],
            [an_order(parents=True, ends_at=BEGAN + 1500)],
        ),
        (
            [a_lock(parents=True, ends_at=BEGAN - 1000)],
            [an_order(parents=True, ends_at=BEGAN + 1000)],
        ),
        (
            [a_lock(parents=True, ends_at=BEGAN - 1001)],
            [an_order(parents=True, ends_at=BEGAN - 1001)],
        ),
        ([a_lock(parents=True, ends_at=BEGAN - DAY)], []),
        (
            [a_lock(parents=True, since_login=True, ends_at=BEGAN - 366 * DAY)],
            [an_order(parents=True, since_login=True, ends_at=BEGAN - 366 * DAY)],
        ),
        ([a_lock(parents=True, since_login=True, ends_at=BEGAN - 367 * DAY)], []),
        (
            [a_lock(target={"kind": "subject", "names": ["https://login.example", "alice"]})],
            [an_order(target=Target(Kind.SUBJECT, ("https://login.example", "alice")))],
        ),
        ([a_lock(), a_lock("lock-2"), a_lift()], [an_order(id="lock-2")]),
    ],
)
def test_what_stops_something_yet(tmp_path, events, expected):
    """What stands; and what ended, as long as anything that it stops could live."""
    trail = Trail(a_trail(tmp_path, events)) if events else Trail(Directory(tmp_path))

    assert orders(trail.records(), now=NOW) == expected


def test_a_store_that_lost_its_stops(server, locks, raw, evidence, tmp_path):
    """What stood, stands; what was let go is let go; what was over stops what it stopped."""
    client = put(locks, Target.client(CALENDAR_MCP))
    alice = put(locks, Target.subject(ALICE), parents=True, ends_at=now_in_milliseconds())
    lifted = put(locks, EVERYTHING)
    locks.lift(lifted, reason="over", author="sec@example.com", mistaken=False)
    list(Sealer(evidence, Directory(tmp_path), KEY, clock=lambda: datetime.now(UTC))())
    raw.flushall()
    initialize(server, PARTITIONS)

    for order in orders(Trail(Directory(tmp_path)).records(), now=datetime.now(UTC)):
        locks.lock(order)
        locks.lock(order)

    found = {lock.order.id: lock for lock in locks.page(None, count=100).items}
    assert found.keys() == {client.order.id, alice.order.id}
    assert found[client.order.id].order == client.order
    again = found[alice.order.id]
    assert again.ends_at is not None
    assert abs(again.ends_at - alice.ends_at) <= 2000
    assert again.order.parents
