"""Attacks with what grew from a parent that was stopped: it is dead, whoever shows it and where."""

from collections.abc import Callable

import pytest

from delegation.domain.locks import Target
from delegation.domain.parties import Identity
from tests.attacks.attack import NOT_PERMITTED, SUBJECT_TOKEN, Attack, Refusal, said_by
from tests.attacks.endpoint import Answer
from tests.attacks.family import Family, ask, cut_off, is_active, stopped
from tests.world import AUDITOR, TEAM, TestWorld

pytestmark = [
    pytest.mark.attack(17),
    pytest.mark.standard("7009-4", "7662-2", "7662-4", "REV-3"),
]


@pytest.fixture(name="family")
def _family(own: TestWorld, attack: Attack) -> Family:
    """Three hops, for a person of its own."""
    return Family.of(own, attack)


TARGETS: dict[str, Callable[[Family, TestWorld], Target]] = {
    "subject-jti": lambda family, own: Target.token(
        own.login.issuer, said_by(family.foreign)["jti"]
    ),
    "person": lambda family, _: Target.subject(family.person),
    "actor": lambda _, own: Target.actor(Identity(own.world.url, "calendar-mcp")),
    "agent": lambda _, own: Target.agent(Identity(own.login.issuer, "desk-agent")),
    "pair": lambda family, own: Target.pair(family.person, Identity(own.world.url, "calendar-mcp")),
    "client": lambda _family, _own: Target.client("calendar-mcp"),
    "grant": lambda _family, _own: Target.grant("calendar-to-team"),
}


def _nothing_goes_on(family: Family, own: TestWorld, expected: Refusal) -> None:
    """Its tokens are not active, and no hop can be taken anew from any of them."""
    assert not any(is_active(family.by_first, own, token) for token in family.issued)
    family.by_second.exchange(expected)
    family.by_third.exchange(expected)


@pytest.mark.parametrize("name", TARGETS)
def test_while_a_stop_stands(family: Family, own: TestWorld, name: str) -> None:
    """The foreign token is not exchanged, no child is active, and no child is exchanged."""
    assert all(is_active(family.by_first, own, token) for token in family.issued)

    with stopped(own, TARGETS[name](family, own)):
        family.by_first.exchange(NOT_PERMITTED)
        _nothing_goes_on(family, own, NOT_PERMITTED)

    assert all(is_active(family.by_first, own, token) for token in family.issued)


@pytest.mark.parametrize("name", TARGETS)
def test_after_a_cut_off(family: Family, own: TestWorld, name: str) -> None:
    """What was issued up to then stays dead. A person's earlier foreign tokens are dead, too;
    of the others a new exchange begins a new life, and gives the old tokens none.
    """
    cut_off(own, TARGETS[name](family, own))

    _nothing_goes_on(family, own, SUBJECT_TOKEN)
    if name in {"subject-jti", "person"}:
        family.by_first.exchange(SUBJECT_TOKEN)
        return
    again = family.by_first.succeeds().json["access_token"]
    assert is_active(family.by_first, own, again)
    _nothing_goes_on(family, own, SUBJECT_TOKEN)


def _revoked_by_its_client(family: Family, own: TestWorld) -> None:
    answer = ask(
        family.by_first, "/revoke", family.first, "calendar-mcp", own.secrets["calendar-mcp"]
    )
    assert (answer.status, answer.body) == (200, b"")


def _cut_off(family: Family, own: TestWorld) -> None:
    cut_off(own, Target.exchange(said_by(family.first)["jti"]))


@pytest.mark.standard("7009-1", "7009-2")
@pytest.mark.parametrize("end", [_revoked_by_its_client, _cut_off])
def test_a_grandparent(
    family: Family, own: TestWorld, end: Callable[[Family, TestWorld], None]
) -> None:
    """What grew from it at the third hop is dead as well, and a repetition changes nothing. The
    foreign token is what it was: it can be exchanged, and gives the dead no new life.
    """
    for _ in range(2):
        end(family, own)
        _nothing_goes_on(family, own, SUBJECT_TOKEN)

    family.by_first.succeeds()
    _nothing_goes_on(family, own, SUBJECT_TOKEN)


@pytest.mark.standard("7009-4")
def test_a_parent(family: Family, own: TestWorld) -> None:
    """The second hop's end is that of the third, and not of the first."""
    answer = ask(family.by_second, "/revoke", family.second, TEAM, own.secrets[TEAM])

    assert answer.status == 200
    alive = [is_active(family.by_first, own, token) for token in family.issued]
    assert alive == [True, False, False]
    family.by_third.exchange(SUBJECT_TOKEN)
    family.by_second.succeeds()


@pytest.mark.attack(24)
@pytest.mark.standard("7009-2")
def test_another_client_ends_nothing(family: Family, own: TestWorld) -> None:
    """Neither the next hop, nor an auditor, nor a thief; each is told what success is told."""
    answers: list[Answer] = [
        ask(family.by_first, "/revoke", family.first, client, own.secrets[client])
        for client in (TEAM, AUDITOR, "notes-mcp")
    ]

    for answer in answers:
        assert (answer.status, answer.body) == (200, b"")
        assert answer.header("Delegation-Decision") is None
    assert all(is_active(family.by_first, own, token) for token in family.issued)
    family.by_second.succeeds()
    assert own.log.count('"cause": "presented_by_another_client"') >= 3


@pytest.mark.standard("7662-1", "7662-2")
@pytest.mark.parametrize("client", ["calendar-mcp", "notes-mcp", "calendar-api"])
def test_nobody_learns_whether_it_is_dead(family: Family, own: TestWorld, client: str) -> None:
    """Who is not entitled to know is told the same of the living and of the dead."""

    def told() -> bytes:
        return ask(family.by_first, "/introspect", family.first, client, own.secrets[client]).body

    alive = told()
    _revoked_by_its_client(family, own)

    assert alive == told() == b'{"active": false}'
