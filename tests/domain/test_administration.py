"""What administrators do, as far as no store is needed to tell."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from delegation.domain.administration import Administration, Administrator, Capability, Stop
from delegation.domain.case import Origin
from delegation.domain.locks import BookedLock, Durability, Kind, LockOrder, State, Target
from delegation.domain.parties import Identity
from delegation.domain.ports import Page
from tests.parties import ALICE, LOGIN, NOW, a_registry


def a_lock(id_: str, state: State = State.STANDING) -> BookedLock:
    """One on Alice."""
    order = LockOrder(id=id_, target=Target.subject(ALICE), reason="r", author="a")
    return BookedLock(order=order, begins_at=0, ends_at=None, state=state)


def administration(**ports: Any) -> Administration:
    """With *ports*, and none besides."""
    nothing: Any = SimpleNamespace()
    return Administration(
        locks=ports.get("locks", nothing),
        exchanges=ports.get("exchanges", nothing),
        registry=a_registry,
        clock=lambda: NOW,
    )


def test_authors_cannot_be_mistaken() -> None:
    """An issuer's name holds no separator, and no issuer is called `local:`."""
    carol = Administrator.of(Identity(LOGIN, "carol|x"), frozenset({"locks.read"}))
    local = Administrator.local("root")

    assert carol.author == f"{LOGIN}|carol|x"
    assert local.author == "local:root"
    assert local.scope == frozenset(Capability)


def test_all_that_stands_page_by_page() -> None:
    """Each once, though a page may bring it again."""
    pages = {
        None: Page((a_lock("1"), a_lock("2", State.LIFTED)), "more"),
        "more": Page((a_lock("1"), a_lock("3")), None),
    }
    locks = SimpleNamespace(page=lambda cursor, **_: pages[cursor])

    standing = administration(locks=locks).standing()

    assert [lock.order.id for lock in standing] == ["1", "3"]


def test_which_stops_reach_foreign_tokens() -> None:
    """Those on a subject or a token, unless it is told otherwise."""
    usual = {kind: Stop(target=Target(kind), reason="r").reaches_parents for kind in Kind}
    told = [
        Stop(target=Target(Kind.SUBJECT), reason="r", parents=False).reaches_parents,
        Stop(target=Target(Kind.CLIENT), reason="r", parents=True).reaches_parents,
    ]

    assert {kind for kind, reaches in usual.items() if reaches} == {Kind.SUBJECT, Kind.TOKEN}
    assert told == [False, True]


@pytest.mark.standard("REV-1")
def test_a_repetition_orders_the_same_end() -> None:
    """A time to live counts from the first attempt, in the partitions that come later, too."""
    ordered: list[LockOrder] = []
    first = a_lock("1")
    known = replace(first, order=replace(first.order, ends_at=1_000))

    def lock(order: LockOrder, _origin: Origin | None) -> Durability:
        ordered.append(order)
        return Durability()

    def page(*_: Any, **__: Any) -> Page[Any]:
        return Page((), None)

    locks = SimpleNamespace(new_id=lambda *_, **__: "1", find=lambda _: known, lock=lock)
    desk = administration(locks=locks, exchanges=SimpleNamespace(page=page))
    again = Stop(target=Target.subject(ALICE), reason="r", ends_at=9_000)

    desk.stop(again, author="a", key="k")
    desk.stop(again, author="a")

    assert [order.ends_at for order in ordered] == [1_000, 9_000]
