"""What a lock stops, from when, until when, and what stays dead after it."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delegation.domain.locks import EVERYTHING, Kind, Link, Lock, Target, dead
from delegation.domain.parties import Identity
from tests.parties import ALICE, LOGIN, OUR_ISSUER, a_delegation, a_second_delegation
from tests.strategies import BOB, lineages, locks_and_lineages, locks_on

PARENT = Link(
    targets=frozenset({EVERYTHING, Target.subject(ALICE), Target.token(LOGIN, "login-1")}),
    issued_at=100,
    is_foreign=True,
    logged_in_at=50,
)
OURS = Link(
    targets=frozenset({EVERYTHING, Target.subject(ALICE), Target.exchange("exchange-1")}),
    issued_at=200,
)
LINEAGE = [OURS, PARENT]


def a_lock(**changes: object) -> Lock:
    """A lock on Alice that began at 0 and stands."""
    arguments = {"id": "lock-1", "target": Target.subject(ALICE), "begins_at": 0}
    return Lock(**(arguments | changes))  # type: ignore[arg-type]


def test_without_a_lock_all_live() -> None:
    """Death comes by locks alone; expiry is another matter."""
    assert not dead(LINEAGE, [], now=10**15)


@pytest.mark.parametrize(
    ("now", "is_dead"),
    [(99, False), (100, True), (200, True), (299, True)],
    ids=["before", "at-its-beginning", "while-it-stands", "just-before-its-end"],
)
@pytest.mark.standard("7009-4")
def test_while_a_lock_stands_nothing_it_matches_is_alive(now: int, *, is_dead: bool) -> None:
    """Whenever it was issued: from the lock's beginning, inclusive, to its end, exclusive."""
    lock = a_lock(begins_at=100, ends_at=300)
    ours = replace(OURS, issued_at=1000)

    assert dead([ours], [lock], now) is is_dead
    assert lock.stands(now) is is_dead
    assert not lock.has_ended(now)


def test_a_lock_without_end_stands_for_ever() -> None:
    """Until it is lifted, which gives it an end."""
    lock = a_lock()

    assert dead([OURS], [lock], now=10**15)
    assert lock.stands(10**15)
    assert not lock.has_ended(10**15)


@pytest.mark.parametrize(
    ("issued_at", "is_dead"),
    [(199, True), (200, True), (201, False)],
    ids=["before-its-end", "at-its-end", "after-its-end"],
)
@pytest.mark.standard("REV-3")
def test_what_we_issued_up_to_the_end_stays_dead(issued_at: int, *, is_dead: bool) -> None:
    """A lock that is lifted does not revive what it stopped."""
    lock = a_lock(begins_at=50, ends_at=200)
    ours = replace(OURS, issued_at=issued_at)

    assert dead([ours], [lock], now=300) is is_dead
    assert lock.has_ended(300)
    assert not lock.stands(300)


def test_what_was_issued_before_the_lock_stays_dead_too() -> None:
    """It was dead while the lock stood, and nothing comes back."""
    lock = a_lock(begins_at=250, ends_at=260)

    assert dead([OURS], [lock], now=255)
    assert dead([OURS], [lock], now=300)


@pytest.mark.parametrize(
    ("parents", "issued_at", "is_dead"),
    [
        pytest.param(False, 150, False, id="not-asked-for"),
        pytest.param(True, 150, True, id="before-its-end"),
        pytest.param(True, 160, True, id="at-its-end"),
        pytest.param(True, 161, False, id="after-its-end"),
    ],
)
@pytest.mark.standard("REV-3")
def test_foreign_parents_stay_dead_where_the_lock_says_so(
    issued_at: int, *, parents: bool, is_dead: bool
) -> None:
    """Otherwise a minute of a lock on everything would log everybody out."""
    lock = a_lock(begins_at=140, ends_at=160, parents=parents)
    parent = replace(PARENT, issued_at=issued_at)

    assert dead([parent], [lock], now=150)
    assert dead([parent], [lock], now=200) is is_dead
    assert dead([OURS, parent], [lock], now=200) is is_dead


@pytest.mark.parametrize(
    ("logged_in_at", "since_login", "is_dead"),
    [
        pytest.param(159, False, False, id="not-asked-for"),
        pytest.param(159, True, True, id="before-its-end"),
        pytest.param(160, True, True, id="at-its-end"),
        pytest.param(161, True, False, id="after-its-end"),
        pytest.param(0, True, True, id="unknown"),
    ],
)
def test_a_whole_login_stays_dead_where_the_lock_says_so(
    logged_in_at: int, *, since_login: bool, is_dead: bool
) -> None:
    """However fresh the token: what counts is when the person authenticated."""
    lock = a_lock(begins_at=140, ends_at=160, since_login=since_login)
    parent = replace(PARENT, issued_at=180, logged_in_at=logged_in_at)

    assert dead([parent], [lock], now=200) is is_dead


@pytest.mark.parametrize("parents", [True, False], ids=["parents", "no-parents"])
@pytest.mark.parametrize("since_login", [True, False], ids=["since-login", "no-login"])
def test_our_own_count_by_when_they_were_recorded(*, parents: bool, since_login: bool) -> None:
    """Neither flag is about what we issued: after the end it lives, up to it it does not."""
    lock = a_lock(begins_at=140, ends_at=160, parents=parents, since_login=since_login)

    assert not dead([replace(OURS, issued_at=161)], [lock], now=200)
    assert dead([replace(OURS, issued_at=160)], [lock], now=200)


@pytest.mark.standard("REV-3")
def test_a_cut_off_ends_when_it_begins() -> None:
    """It never stands: everything up to then is dead, and everything after it lives."""
    cut_off = a_lock(begins_at=200, ends_at=200)

    assert not any(cut_off.stands(now) for now in (199, 200, 201))
    assert dead([replace(OURS, issued_at=200)], [cut_off], now=200)
    assert not dead([replace(OURS, issued_at=201)], [cut_off], now=201)
    assert not dead([replace(OURS, issued_at=199)], [cut_off], now=199)


def test_lifting_one_lock_leaves_the_others() -> None:
    """Each counts by itself."""
    lifted, other = a_lock(id="lock-1", ends_at=10), a_lock(id="lock-2")

    assert not dead([OURS], [lifted], now=300)
    assert dead([OURS], [lifted, other], now=300)


@pytest.mark.standard("7009-4")
def test_a_lineage_dies_with_any_of_its_ancestors() -> None:
    """A lock on one exchange, or on the foreign token, is one on all that came from it."""
    child = Link(targets=frozenset({EVERYTHING, Target.exchange("exchange-2")}), issued_at=300)

    for target in (Target.exchange("exchange-1"), Target.token(LOGIN, "login-1")):
        assert dead([child, OURS, PARENT], [a_lock(target=target)], now=400)
    assert not dead(LINEAGE, [a_lock(target=Target.exchange("exchange-2"))], now=400)


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.standard("7009-4")
def test_every_kind_of_lock_reaches_the_second_hop(kind: Kind) -> None:
    """Whatever the kind, the story's lineage has something for it to match."""
    second, first = a_second_delegation(), a_delegation()
    origin = first.origin()
    assert origin is not None
    lineage = [
        Link(targets=second.targets(), issued_at=300),
        Link(targets=first.targets(), issued_at=200),
        origin,
    ]

    matched = {target for link in lineage for target in link.targets if target.kind is kind}

    assert matched
    assert all(dead(lineage, [a_lock(target=target)], now=10**15) for target in matched)


@pytest.mark.standard("REV-2")
@pytest.mark.parametrize(
    "target",
    [
        Target.issuer(OUR_ISSUER),
        Target.subject(BOB),
        Target.subject(Identity(OUR_ISSUER, "alice")),
        Target.agent(ALICE),
        Target.actor(ALICE),
        Target.client("alice"),
        Target.resource("alice"),
        Target.grant("exchange-1"),
        Target.exchange("login-1"),
        Target.token(OUR_ISSUER, "login-1"),
        Target.token(LOGIN, "exchange-1"),
        Target.pair(ALICE, ALICE),
    ],
    ids=str,
)
def test_a_lock_on_something_else_stops_nothing(target: Target) -> None:
    """The kind and every name must be the same."""
    assert not dead(LINEAGE, [a_lock(target=target)], now=300)


@given(case=locks_and_lineages(), data=st.data())
def test_another_lock_never_revives(
    case: tuple[list[Link], list[Lock], int], data: st.DataObject
) -> None:
    """Locks only add up, in whatever order they come."""
    lineage, locks, now = case
    targets = sorted(lineage[0].targets)
    more = [*locks, data.draw(locks_on(targets, id="lock-9"))]

    assert dead(lineage, more, now) >= dead(lineage, locks, now)
    assert dead(lineage, reversed(locks), now) == dead(lineage, locks, now)


@given(case=locks_and_lineages())
def test_a_lineage_is_dead_if_any_of_its_links_is(
    case: tuple[list[Link], list[Lock], int],
) -> None:
    """A descendant never outlives an ancestor, and no link dies of what only its children did."""
    lineage, locks, now = case

    assert dead(lineage, locks, now) == any(dead([link], locks, now) for link in lineage)
    for start in range(len(lineage)):
        assert dead(lineage, locks, now) >= dead(lineage[start:], locks, now)


@given(hers=lineages(), data=st.data())
def test_a_lock_on_one_subject_touches_nobody_else(hers: list[Link], data: st.DataObject) -> None:
    """Nor does one on another's pairs, exchanges and tokens."""
    his = data.draw(lineages(root=BOB))
    personal = {Kind.SUBJECT, Kind.PAIR, Kind.EXCHANGE, Kind.TOKEN}
    targets = sorted(target for link in his for target in link.targets if target.kind in personal)
    lock = data.draw(locks_on(targets))

    assert not dead(hers, [lock], hers[0].issued_at)


@given(case=locks_and_lineages())
def test_what_we_issued_never_comes_back(case: tuple[list[Link], list[Lock], int]) -> None:
    """Once a record is dead it stays dead, whatever locks end in the meantime."""
    lineage, locks, now = case
    ours = [link for link in lineage if not link.is_foreign and link.issued_at <= now]

    if dead(ours, locks, now):
        assert dead(ours, locks, now + 10)
