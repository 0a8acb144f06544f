"""Attacks on `may_act`: acting though the subject's token says that somebody else may."""

import json
from typing import Any

import pytest

from tests.attacks.attack import NOT_PERMITTED, SUBJECT_TOKEN, Attack, Service, chain_of, claims_of
from tests.attacks.endpoint import JWT
from tests.world import PLANNER, TEAM, TEAM_MCP, WORKLOAD, TestWorld


def _named(service: Service, *members: str) -> dict[str, str]:
    """Those members of `may_act` that mean the client itself."""
    known = {"iss": service.url, "sub": service.client, "client_id": service.client}
    return {name: known[name] for name in members}


@pytest.mark.attack(9)
@pytest.mark.standard("8693-4.4-2", "8693-4.4-3")
@pytest.mark.parametrize(
    "members", [["sub"], ["client_id"], ["iss", "sub"], ["iss", "sub", "client_id"]], ids="-".join
)
def test_who_may_act(attack: Attack, service: Service, members: list[str]) -> None:
    """Whom every member means may act: that is no attack. It is not passed on."""
    token = attack.login.token(may_act=_named(service, *members))

    answer = attack.succeeds(subject_token=token)

    assert chain_of(answer)[0]["sub"] == service.client
    assert "may_act" not in json.dumps(claims_of(answer))


OTHERS: dict[str, dict[str, Any]] = {
    "another-sub": {"sub": "another-mcp"},
    "sub-in-capitals": {"sub": "CLIENT"},
    "sub-with-space": {"sub": "CLIENT "},
    "another-iss": {"iss": "https://evil.example"},
    "iss-of-the-subject": {"iss": "LOGIN"},
    "iss-with-slash": {"iss": "URL/"},
    "another-client": {"client_id": "another-mcp"},
    "client-of-the-agent": {"client_id": "desk-agent"},
    "one-member-more": {"email": "calendar@example.com"},
    "sub-profile": {"sub_profile": "service"},
    "audience": {"aud": "https://calendar.example/api"},
}


@pytest.mark.attack(9)
@pytest.mark.standard("8693-4.4-2", "8693-4.1-8")
@pytest.mark.parametrize("change", OTHERS.values(), ids=OTHERS)
@pytest.mark.parametrize("alone", [True, False], ids=["alone", "beside-right-ones"])
def test_somebody_else_may_act(
    attack: Attack,
    service: Service,
    change: dict[str, str],
    alone: bool,  # noqa: FBT001
) -> None:
    """One member that does not match, or that we do not know, is enough to refuse."""
    meant = {"CLIENT": service.client.swapcase(), "CLIENT ": f"{service.client} "}
    meant |= {"LOGIN": attack.login.issuer, "URL/": f"{service.url}/"}
    other = {name: meant.get(value, value) for name, value in change.items()}
    right = {} if alone else _named(service, "iss", "sub", "client_id")

    attack.exchange(NOT_PERMITTED, subject_token=attack.login.token(may_act=right | other))


SHAPES: dict[str, object] = {
    "string": "CLIENT",
    "array": ["CLIENT"],
    "array-of-objects": [{"sub": "CLIENT"}],
    "empty-array": [],
    "empty": {},
    "null": None,
    "true": True,
    "number": 0,
    "json-in-a-string": '{"sub": "CLIENT"}',
    "sub-null": {"sub": None},
    "sub-array": {"sub": ["CLIENT"]},
    "sub-object": {"sub": {"sub": "CLIENT"}},
    "sub-empty": {"sub": ""},
    "sub-number": {"sub": 7},
    "sub-escape": {"sub": "CLIENT\x1b[0m"},
    "nested": {"sub": "CLIENT", "may_act": {"sub": "CLIENT"}},
}


@pytest.mark.attack(9)
@pytest.mark.standard("8693-4.4-1", "8693-4.4-2")
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_may_act_of_another_shape(attack: Attack, service: Service, shape: object) -> None:
    """What is malformed is neither absent nor empty: nobody may act."""
    may_act = json.loads(json.dumps(shape).replace("CLIENT", service.client))

    attack.exchange(SUBJECT_TOKEN, subject_token=attack.login.token(may_act=may_act))


@pytest.mark.attack(9)
@pytest.mark.standard("8693-4.4-1", "8725-3.7-1")
@pytest.mark.parametrize("first", [True, False], ids=["ours-first", "ours-last"])
def test_may_act_twice(attack: Attack, service: Service, first: bool) -> None:  # noqa: FBT001
    """Of two the better one is not taken."""
    both = [json.dumps(_named(service, "sub")), json.dumps({"sub": "another-mcp"})]
    one, two = both if first else both[::-1]
    login = attack.login
    claims = f'{json.dumps(login.claims())[:-1]}, "may_act": {one}, "may_act": {two}}}'

    token = login.sign_bytes(json.dumps(login.header()).encode(), claims.encode())

    attack.exchange(SUBJECT_TOKEN, subject_token=token)


def _shown(own: TestWorld, actor: str) -> dict[str, str]:
    """How *team-mcp* shows who acts."""
    if actor == "nobody":
        return {}
    token = {
        "itself": own.team.assertion,
        "planner": own.planner.assertion,
        "workload": own.platform.workload,
        "workload-by-access-token": own.platform.access_token,
    }[actor]()
    kind = "access_token" if actor.endswith("access-token") else "jwt"
    return {"actor_token": token, "actor_token_type": f"{JWT.removesuffix('jwt')}{kind}"}


OURS = "URL"
THEIRS = "PLATFORM"

BOTH_NAMED: dict[str, tuple[str, dict[str, str]]] = {
    "nobody": ("nobody", {"iss": OURS, "sub": TEAM}),
    "itself": ("itself", {"sub": TEAM}),
    "planner": ("planner", {"iss": OURS, "sub": PLANNER, "client_id": TEAM}),
    "planner-without-iss": ("planner", {"sub": PLANNER, "client_id": TEAM}),
    "workload": ("workload", {"iss": THEIRS, "sub": WORKLOAD, "client_id": TEAM}),
    "access-token": (
        "workload-by-access-token",
        {"iss": THEIRS, "sub": WORKLOAD, "client_id": TEAM},
    ),
}


def _subject_token(own: TestWorld, may_act: dict[str, str]) -> str:
    issuers = {OURS: own.world.url, THEIRS: own.platform.issuer}
    named = {name: issuers.get(value, value) for name, value in may_act.items()}
    return own.login.token(aud=TEAM_MCP, may_act=named)


@pytest.mark.attack(9)
@pytest.mark.standard("8693-4.4-2", "8693-4.4-3")
@pytest.mark.parametrize(("actor", "may_act"), BOTH_NAMED.values(), ids=BOTH_NAMED)
def test_an_actor_who_may_act(
    team: Attack, own: TestWorld, actor: str, may_act: dict[str, str]
) -> None:
    """Where it names who acts, and the client that asks, it is met."""
    answer = team.succeeds(subject_token=_subject_token(own, may_act), **_shown(own, actor))

    assert chain_of(answer)[0]["sub"] == may_act["sub"]
    assert "may_act" not in json.dumps(claims_of(answer))


BYPASSES: dict[str, tuple[str, dict[str, str]]] = {
    "nobody-shown": ("nobody", {"iss": OURS, "sub": PLANNER, "client_id": TEAM}),
    "nobody-shown-for-a-workload": ("nobody", {"iss": THEIRS, "sub": WORKLOAD}),
    "only-the-actor-named": ("planner", {"iss": OURS, "sub": PLANNER}),
    "only-the-workload-named": ("workload", {"iss": THEIRS, "sub": WORKLOAD}),
    "only-the-client-named": ("planner", {"client_id": TEAM}),
    "only-the-client-named-with-iss": ("planner", {"iss": OURS, "client_id": TEAM}),
    "only-the-issuer-named": ("workload", {"iss": THEIRS}),
    "a-third-client": ("planner", {"iss": OURS, "sub": PLANNER, "client_id": "calendar-mcp"}),
    "the-actor-as-client": ("planner", {"iss": OURS, "sub": PLANNER, "client_id": PLANNER}),
    "the-client-as-actor": ("planner", {"iss": OURS, "sub": TEAM, "client_id": TEAM}),
    "another-actor": ("workload", {"iss": OURS, "sub": PLANNER, "client_id": TEAM}),
    "another-issuer": ("workload", {"iss": OURS, "sub": WORKLOAD, "client_id": TEAM}),
    "another-workload": (
        "workload-by-access-token",
        {"iss": THEIRS, "sub": f"{WORKLOAD}-2", "client_id": TEAM},
    ),
    "itself-but-not-meant": ("itself", {"sub": PLANNER}),
    "one-member-more": (
        "planner",
        {"iss": OURS, "sub": PLANNER, "client_id": TEAM, "email": "planner@example.com"},
    ),
}


@pytest.mark.attack(9)
@pytest.mark.standard("8693-4.4-2", "8693-4.4-4", "8693-4.1-8")
@pytest.mark.parametrize(("actor", "may_act"), BYPASSES.values(), ids=BYPASSES)
def test_an_actor_who_may_not_act(
    team: Attack, own: TestWorld, actor: str, may_act: dict[str, str]
) -> None:
    """It binds both, who acts and who asks: neither an actor token nor its absence gets past it."""
    token = _subject_token(own, may_act)

    team.exchange(NOT_PERMITTED, subject_token=token, **_shown(own, actor))


@pytest.mark.attack(9)
@pytest.mark.standard("8693-4.4-1", "8693-4.4-4")
@pytest.mark.parametrize("actor", ["itself", "planner", "workload"])
def test_a_malformed_may_act_beside_an_actor_token(
    team: Attack, own: TestWorld, actor: str
) -> None:
    """A sound actor token does not make up for it."""
    for may_act in (None, [], {}, TEAM, {"sub": None}):
        token = own.login.token(aud=TEAM_MCP, may_act=may_act)
        team.exchange(SUBJECT_TOKEN, subject_token=token, **_shown(own, actor))
