"""The book of locks: each is found again by its id, and all of them page by page."""

import pytest

from delegation.domain.locks import EVERYTHING, BookedLock, LockOrder, State, Target
from delegation.domain.ports import UnknownLock
from tests.parties import ALICE
from tests.valkey import PARTITIONS, an_order, move_clock, now_in_milliseconds, put, somebody_in


def test_a_lock_is_found_as_it_was_ordered(locks):
    """What was ordered, when it began, and that it stands."""
    before = now_in_milliseconds()
    order = LockOrder(
        id=locks.new_id(Target.subject(ALICE)),
        target=Target.subject(ALICE),
        reason='lost \N{PILE OF POO} phone: "blue"\n\x1b[31m',
        author="sec@example.com",
        ends_at=before + 60_000,
        parents=True,
        since_login=True,
    )

    locks.lock(order)

    found = locks.find(order.id)
    assert before <= found.begins_at <= now_in_milliseconds()
    assert found == BookedLock(
        order=order, begins_at=found.begins_at, ends_at=before + 60_000, state=State.STANDING
    )


@pytest.mark.parametrize(
    "id_", ["", "lock-1", f"0-{'A' * 22}", f"8-{'A' * 22}", f"0-{'A' * 22}\n"], ids=repr
)
def test_there_is_no_lock_of_an_unknown_id(locks, id_):
    """Whether it has our form or not."""
    with pytest.raises(UnknownLock):
        locks.find(id_)


def pages(locks, count):
    """All pages, the first one first."""
    cursor, found = None, []
    while True:
        page = locks.page(cursor, count=count)
        found.append(page.items)
        cursor = page.cursor
        if cursor is None:
            return found


def test_an_empty_book_has_one_empty_page(locks):
    """There is nothing to go on with."""
    assert pages(locks, 10) == [()]


@pytest.mark.parametrize("count", [1, 7, 1000])
def test_every_lock_is_on_some_page(locks, count):
    """Those that stand everywhere are told of once, however many partitions have them."""
    targets = [Target.client(f"client-{number}") for number in range(20)]
    targets += [Target.subject(somebody_in(number % 8)) for number in range(20)]
    orders = {(order := an_order(locks, target)).id: order for target in targets}
    for order in orders.values():
        locks.lock(order)

    found = [lock for page in pages(locks, count) for lock in page]

    assert {lock.order.id: lock.order for lock in found} == orders
    assert len(found) == len(orders)


@pytest.fixture(name="hash_tables")
def _hash_tables(raw):
    """A server that keeps but few entries of a hash in one piece."""
    raw.config_set("hash-max-listpack-entries", 8)
    yield
    raw.config_set("hash-max-listpack-entries", 512)


@pytest.mark.usefixtures("hash_tables")
@pytest.mark.parametrize("count", [10, 100])
def test_every_lock_is_on_some_page_of_a_long_book(locks, count):
    """Beyond what a server keeps in one piece, and while other locks come and go."""
    orders = [an_order(locks, Target.client(f"client-{number}")) for number in range(200)]
    for order in orders:
        locks.lock(order)
    found, cursor = set(), None

    while True:
        page = locks.page(cursor, count=count)
        found |= {lock.order.id for lock in page.items}
        put(locks, Target.subject(ALICE))
        cursor = page.cursor
        if cursor is None:
            break

    assert {order.id for order in orders} <= found


@pytest.mark.parametrize(
    "cursor",
    [
        *("", ".", "0", "8.0", "-1.0", "0.-1", "0.x", "0.0.0", "0.0\n"),
        *("\N{ARABIC-INDIC DIGIT ONE}.0", f"0.{'9' * 20}", f"{'9' * 5000}.0"),
    ],
)
def test_a_cursor_that_is_none_of_ours_is_refused(locks, cursor):
    """It is asked of nobody."""
    with pytest.raises(ValueError, match="not a cursor"):
        locks.page(cursor, count=10)


def test_the_book_tells_what_has_become_of_each(locks, raw):
    """Standing, ended, lifted, annulled."""
    now = now_in_milliseconds()
    standing, lifted, annulled = (put(locks, EVERYTHING) for _ in range(3))
    brief = put(locks, EVERYTHING, ends_at=now + 60_000)
    cut_off = put(locks, EVERYTHING, ends_at=now - 60_000)
    locks.lift(lifted, reason="over", author="sec@example.com", mistaken=False)
    locks.lift(annulled, reason="wrong one", author="sec@example.com", mistaken=True)
    states = {standing: State.STANDING, lifted: State.LIFTED, annulled: State.ANNULLED}
    states |= {brief: State.STANDING, cut_off: State.ENDED}

    assert {lock: locks.find(lock.order.id).state for lock in states} == states
    move_clock(raw, now + 60_000)
    assert locks.find(brief.order.id).state is State.ENDED
    [page] = pages(locks, 100)
    assert {one.order.id: one.state for one in page} == {
        lock.order.id: state for lock, state in (states | {brief: State.ENDED}).items()
    }


def test_only_one_partition_tells_of_a_lock_that_stands_everywhere(locks, raw):
    """The others know that it stands, and need no words for it."""
    put(locks, EVERYTHING, reason="a" * 1000)

    sizes = [len(raw.hvals(partition.lock_book)[0]) for partition in PARTITIONS.all()]

    assert sizes[0] > 1000
    assert max(sizes[1:]) < 100
