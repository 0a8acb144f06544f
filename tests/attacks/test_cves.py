"""What went wrong elsewhere with stops and introspection: each by its number, or by what it was."""

import itertools

import pytest

from delegation.domain.locks import EVERYTHING, Target
from tests.attacks.attack import NOT_PERMITTED, SUBJECT_TOKEN, Attack, said_by
from tests.attacks.endpoint import basic
from tests.attacks.family import Family, ask, cut_off, is_active, stopped
from tests.world import AUDITOR, TEAM, TEAM_API, TestWorld

pytestmark = pytest.mark.attack(17)


@pytest.fixture(name="family")
def _family(own: TestWorld, attack: Attack) -> Family:
    """Three hops, for a person of its own."""
    return Family.of(own, attack)


CLIENT, GRANT = Target.client("calendar-mcp"), Target.grant("calendar-to-team")


def _must_be_dead(family: Family, own: TestWorld) -> None:
    assert not any(is_active(family.by_first, own, token) for token in family.issued)
    family.by_second.exchange(SUBJECT_TOKEN)
    family.by_third.exchange(SUBJECT_TOKEN)


@pytest.mark.standard("7662-4", "7009-4")
@pytest.mark.parametrize("narrow", [CLIENT, GRANT], ids=["client", "grant"])
def test_cve_2026_18218(own: TestWorld, attack: Attack, narrow: Target) -> None:
    """A client's not-before was ignored where the realm had an older one: here an old cut-off of
    everything takes nothing from a newer one of less.
    """
    cut_off(own, EVERYTHING)
    family = Family.of(own, attack)
    assert is_active(attack, own, family.third)

    cut_off(own, narrow)

    _must_be_dead(family, own)


@pytest.mark.standard("7662-4", "7009-4")
@pytest.mark.parametrize("narrow", [CLIENT, GRANT], ids=["client", "grant"])
def test_cve_2026_8922(own: TestWorld, attack: Attack, narrow: Target) -> None:
    """The realm's not-before was ignored where the client had one, too: here an old cut-off of one
    client takes nothing from a newer one of everything.
    """
    cut_off(own, narrow)
    family = Family.of(own, attack)
    assert is_active(attack, own, family.third)

    cut_off(own, EVERYTHING)

    _must_be_dead(family, own)


@pytest.mark.standard("7662-4")
@pytest.mark.parametrize(
    ("standing", "ended"),
    [*itertools.permutations([EVERYTHING, CLIENT, GRANT], 2)],
    ids=lambda target: target.kind.value,
)
def test_of_two_stops_each_counts(
    family: Family, own: TestWorld, standing: Target, ended: Target
) -> None:
    """Whichever is wider, older or still in force: to lift one is not to lift the other."""
    with stopped(own, standing):
        cut_off(own, ended)
        assert not is_active(family.by_first, own, family.third)

    _must_be_dead(family, own)


@pytest.mark.standard("7662-1", "7662-2")
@pytest.mark.parametrize(
    "accept",
    ["application/token-introspection+jwt", "application/jwt", "application/json", "*/*"],
)
@pytest.mark.parametrize("client", ["calendar-mcp", "notes-mcp", "calendar-api"])
def test_cve_2026_37979_and_cve_2026_18208(
    family: Family, own: TestWorld, client: str, accept: str
) -> None:
    """Any client could read tokens that were for others, and then still in a signed answer: here
    who asks must be meant, and there is one form of answer, which has nothing to hide.
    """
    headers = {"Authorization": basic(client, own.secrets[client]), "Accept": accept}
    body = f"token={family.second}".encode()

    answer = family.by_first.endpoint.send(body, headers=headers, path="/introspect")

    assert (answer.status, answer.body) == (200, b'{"active": false}')
    assert answer.header("Content-Type") == "application/json"
    answer = ask(family.by_first, "/introspect", family.second, AUDITOR, own.secrets[AUDITOR])
    assert answer.json["active"] is True


@pytest.mark.standard("7009-4")
def test_a_dead_root_is_not_extended(family: Family, own: TestWorld) -> None:
    """A chain was extended because its last link was sound: here all links are looked at."""
    cut_off(own, Target.token(own.login.issuer, said_by(family.foreign)["jti"]))

    for hop in (family.by_first, family.by_second, family.by_third):
        hop.exchange(SUBJECT_TOKEN)
    assert not is_active(family.by_first, own, family.third)


@pytest.mark.standard("7662-4")
def test_a_grant_that_is_there_and_stopped(family: Family, own: TestWorld) -> None:
    """A grant's row was there, and that it was revoked was in another column: here a grant that
    stands in the registry is no grant while a lock stands on it.
    """
    family.by_first.succeeds()

    with stopped(own, GRANT):
        family.by_first.exchange(NOT_PERMITTED)
        assert not any(is_active(family.by_first, own, token) for token in family.issued)

    family.by_first.succeeds()


@pytest.mark.standard("8693-4-1", "7662-3")
def test_introspection_keeps_who_acts(family: Family, own: TestWorld) -> None:
    """Who acts was lost on the way into the answer: here it has the chain, whole and in order."""
    answer = ask(family.by_first, "/introspect", family.third, AUDITOR, own.secrets[AUDITOR])

    hops, act = [], answer.json["act"]
    while act is not None:
        hops.append(act["sub"])
        act = act.get("act")
    assert hops == ["team-api", TEAM, "calendar-mcp", "desk-agent"]
    assert answer.json["act"] == said_by(family.third)["act"]


@pytest.mark.standard("7662-4")
def test_a_new_exchange_ends_no_other(family: Family, own: TestWorld) -> None:
    """A new grant put an end to those before it: here each exchange lives by itself."""
    again = [str(family.by_second.succeeds().json["access_token"]) for _ in range(3)]

    tokens = (*family.issued, *again)
    assert all(is_active(family.by_first, own, token) for token in tokens)
    family.by_third.succeeds()
    answer = ask(family.by_second, "/revoke", again[0], TEAM, own.secrets[TEAM])
    assert answer.status == 200
    alive = [is_active(family.by_first, own, token) for token in tokens]
    assert alive == [True] * 3 + [False, True, True]
    assert said_by(again[1])["aud"] == TEAM_API
