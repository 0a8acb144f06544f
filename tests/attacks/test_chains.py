"""Attacks on the actor chain: forged, broken, too large, or lost on the way."""

import json
from typing import Any

import pytest

from delegation.dev.cast import ROOMS_API
from tests.attacks.attack import (
    MALFORMED,
    NOT_PERMITTED,
    SUBJECT_TOKEN,
    TOO_LARGE,
    Attack,
    Service,
    chain_of,
    claims_of,
    said_by,
)
from tests.attacks.endpoint import ACCESS_TOKEN, JWT
from tests.world import (
    DEEP_API,
    PLANNER,
    ROUND_API,
    TEAM,
    TEAM_MCP,
    WORKLOAD,
    Login,
    TestWorld,
)

BROKER = {"iss": "https://broker.example", "sub": "broker"}

PARAMETERS = {
    "act": json.dumps(BROKER),
    "may_act": json.dumps({"sub": "victim"}),
    "requested_subject": "victim",
    "requested_actor": "victim",
    "sub": "victim",
    "iss": "https://evil.example",
    "actor": "victim",
    "actor_id": "victim",
    "azp": "victim",
    "username": "victim",
    "assertion": "victim",
    "claims": json.dumps({"act": BROKER}),
}


@pytest.mark.attack(6)
@pytest.mark.standard("8693-2.1-15", "8693-4.3-1", "8693-4.1-9")
@pytest.mark.parametrize(("name", "value"), PARAMETERS.items(), ids=PARAMETERS)
def test_who_acts_is_no_parameter(attack: Attack, service: Service, name: str, value: str) -> None:
    """No parameter says who acts, or for whom: the token says what it would have said anyway."""
    usual = attack.succeeds()

    forged = attack.succeeds(also=[(name, value)])

    assert chain_of(forged) == chain_of(usual)
    assert chain_of(forged)[0]["sub"] == service.client
    for claim in ("sub", "sub_id", "client_id", "scope", "aud"):
        assert claims_of(forged)[claim] == claims_of(usual)[claim]
    assert not {"may_act", "cnf"} & claims_of(forged).keys()


@pytest.mark.attack(6)
@pytest.mark.standard("8693-4.3-1", "6749-2.3-5")
def test_acting_as_another_client(attack: Attack, service: Service) -> None:
    """Whoever names another client beside its own credentials acts as neither."""
    attack.exchange(MALFORMED, client_id=service.other[0])


@pytest.mark.attack(6)
@pytest.mark.standard("8725-3.8-1", "8693-4.1-6")
@pytest.mark.parametrize("who", ["client", "service", "issuer", "actor-issuer", "nobody"])
def test_a_subject_token_of_the_clients_own(team: Attack, own: TestWorld, who: str) -> None:
    """A client's key makes assertions, and never a subject token, whoever it says it is from."""
    issuer = {
        "client": TEAM,
        "service": own.world.url,
        "issuer": own.login.issuer,
        "actor-issuer": own.platform.issuer,
        "nobody": "https://evil.example",
    }[who]
    claims = own.login.claims(iss=issuer, sub="corp|alice", aud=TEAM_MCP, act=BROKER, txn="1-a")

    for kid in (own.team.kid, own.login.kid):
        token = own.team.sign(own.login.header(kid=kid), claims)
        team.exchange(SUBJECT_TOKEN, subject_token=token)


@pytest.mark.attack(6)
@pytest.mark.standard("8693-4.1-6", "8693-4.4-4")
@pytest.mark.parametrize("act", [BROKER, {"sub": "broker"}, {}, None, "broker", []], ids=repr)
def test_an_issuer_that_may_not_say_who_acts(attack: Attack, act: object) -> None:
    """What it says of actors is neither believed nor left out: the token is refused."""
    attack.exchange(SUBJECT_TOKEN, subject_token=attack.login.token(act=act))


@pytest.mark.attack(6)
@pytest.mark.standard("8693-4.1-8")
@pytest.mark.parametrize("below", [False, True], ids=["head", "below"])
def test_an_issuer_that_speaks_of_our_clients(team: Attack, own: TestWorld, below: bool) -> None:  # noqa: FBT001
    """Only we can say that a client of ours acts, also where an issuer may assert actors."""
    ours = {"iss": own.world.url, "sub": "calendar-mcp"}
    act = BROKER | {"act": ours} if below else ours

    team.exchange(SUBJECT_TOKEN, subject_token=own.federated.token(act=act))


SHAPES: dict[str, object] = {
    "string": "broker",
    "json-in-a-string": json.dumps(BROKER),
    "array": [BROKER],
    "empty-array": [],
    "null": None,
    "number": 7,
    "true": True,
    "empty": {},
    "no-sub": {"iss": BROKER["iss"]},
    "no-iss": {"sub": "broker"},
    "sub-null": BROKER | {"sub": None},
    "sub-number": BROKER | {"sub": 7},
    "sub-array": BROKER | {"sub": ["broker"]},
    "sub-object": BROKER | {"sub": {"sub": "broker"}},
    "sub-empty": BROKER | {"sub": ""},
    "sub-long": BROKER | {"sub": "b" * 256},
    "sub-newline": BROKER | {"sub": "broker\nadmin"},
    "sub-escape": BROKER | {"sub": "\x1b[2Jbroker"},
    "sub-bidi": BROKER | {"sub": "broker\u202e"},
    "iss-null": BROKER | {"iss": None},
    "iss-array": BROKER | {"iss": [BROKER["iss"]]},
    "iss-empty": BROKER | {"iss": ""},
    "client-number": BROKER | {"client_id": 7},
    "client-null": BROKER | {"client_id": None},
    "profile-array": BROKER | {"sub_profile": ["service"]},
}


@pytest.mark.attack(7)
@pytest.mark.standard("8693-4.1-1", "8693-4.1-5")
@pytest.mark.parametrize("below", [False, True], ids=["head", "below"])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_act_of_another_shape(team: Attack, own: TestWorld, shape: object, below: bool) -> None:  # noqa: FBT001
    """At every depth an actor is an object that names one; nothing else is taken for nobody."""
    act = BROKER | {"act": shape} if below else shape

    team.exchange(SUBJECT_TOKEN, subject_token=own.federated.token(act=act))


REPEATED: dict[str, str] = {
    "act": '"act": ACT, "act": ACT',
    "act-otherwise": '"act": ACT, "act": {"iss": "https://b.example", "sub": "b"}',
    "act-escaped": '"act": ACT, "\\u0061ct": ACT',
    "act-below": '"act": {"iss": "https://b.example", "sub": "b", "act": ACT, "act": ACT}',
    "sub": '"act": {"iss": "https://b.example", "sub": "b", "sub": "c"}',
}


@pytest.mark.attack(7)
@pytest.mark.standard("8725-3.7-1", "8693-4.1-1")
@pytest.mark.parametrize("text", REPEATED.values(), ids=REPEATED)
def test_act_twice(team: Attack, own: TestWorld, text: str) -> None:
    """Of two chains none is taken: not the first, not the last."""
    members = text.replace("ACT", json.dumps(BROKER))

    team.exchange(SUBJECT_TOKEN, subject_token=_signed(own.federated, members))


def _nested(hops: int) -> dict[str, Any]:
    act: dict[str, Any] = BROKER | {"sub": f"broker-{hops}"}
    return act if hops == 1 else act | {"act": _nested(hops - 1)}


def _signed(issuer: Login, members: str) -> str:
    """A token of *issuer* whose claims end with *members*, exactly as they are written."""
    claims = f"{json.dumps(issuer.claims())[:-1]}, {members}}}"
    return issuer.sign_bytes(json.dumps(issuer.header()).encode(), claims.encode())


@pytest.mark.attack(7)
@pytest.mark.standard("8693-4.1-7")
@pytest.mark.parametrize(("resource", "limit"), [(None, 4), (DEEP_API, 8)], ids=["usual", "cap"])
def test_a_chain_that_grows_too_long(
    team: Attack, own: TestWorld, resource: str | None, limit: int
) -> None:
    """The resulting chain is what counts: one more than the limit is refused, and nothing cut."""
    at = {} if resource is None else {"resource": resource}

    answer = team.succeeds(subject_token=own.federated.token(act=_nested(limit - 1)), **at)

    assert len(chain_of(answer)) == limit
    team.exchange(NOT_PERMITTED, subject_token=own.federated.token(act=_nested(limit)), **at)


@pytest.mark.attack(7)
@pytest.mark.standard("8693-4.1-7", "8725-3.7-1")
@pytest.mark.parametrize("opening", ['{"act":', "[", '{"sub":"b","iss":"https://b","act":'])
@pytest.mark.parametrize("depth", [9, 31, 33, 300, 3_000, 100_000])
def test_a_deep_chain(team: Attack, own: TestWorld, opening: str, depth: int) -> None:
    """However deep it is, it is refused, and the service is still there."""
    closing = {"[": "]"}.get(opening, "}")
    token = _signed(own.federated, f'"act": {opening * depth}1{closing * depth}')

    team.exchange(TOO_LARGE if len(token) > 60_000 else SUBJECT_TOKEN, subject_token=token)

    team.succeeds()


@pytest.mark.attack(7)
@pytest.mark.standard("8693-4.1-7")
def test_a_wide_chain(team: Attack, own: TestWorld) -> None:
    """Few hops can be large, too: more than 4096 bytes are no chain, and 60 KiB are no token."""
    wide = {"iss": "i" * 255, "sub": "s" * 255, "client_id": "c" * 255, "sub_profile": "p" * 255}
    narrow = wide | {"client_id": "c", "sub_profile": "p"}

    def chain(hop: dict[str, Any], hops: int) -> dict[str, Any]:
        return hop if hops == 1 else hop | {"act": chain(hop, hops - 1)}

    def token(act: dict[str, Any]) -> str:
        return own.federated.token(act=act)

    assert len(chain_of(team.succeeds(subject_token=token(chain(narrow, 6)), resource=DEEP_API)))
    team.exchange(NOT_PERMITTED, subject_token=token(chain(wide, 6)), resource=DEEP_API)
    huge = token(chain(wide | {"padding": "x" * 6_500}, 6))
    assert 55 * 1024 < len(huge) < 62 * 1024
    team.exchange(SUBJECT_TOKEN, subject_token=huge, resource=DEEP_API)


@pytest.mark.attack(7)
@pytest.mark.standard("8693-4.1-4", "8693-4.1-6")
@pytest.mark.parametrize(
    "members",
    [
        {"exp": 1},
        {"exp": "never"},
        {"nbf": 4102444800},
        {"aud": "https://evil.example"},
        {"scope": "admin"},
        {"cnf": {"jkt": "0"}},
        {"may_act": {"sub": "nobody"}},
        {"name": "\x1b[2J\u202e", "jti": 7, "x": [None]},
    ],
    ids=repr,
)
def test_what_an_actor_says_besides_its_name(
    team: Attack, own: TestWorld, members: dict[str, Any]
) -> None:
    """It means nothing: it is neither honoured nor passed on, and the chain is whole."""
    known = BROKER | {"client_id": "broker-client", "sub_profile": "service"}
    act = known | members | {"act": _nested(1) | members}

    answer = team.succeeds(subject_token=own.federated.token(act=act))

    assert chain_of(answer) == [_ours(own, TEAM), known, _nested(1)]


@pytest.mark.attack(8)
@pytest.mark.standard("8693-4.1-2", "8693-4.1-6", "8693-4.4-4", "8693-4.3-1")
@pytest.mark.parametrize("declared", [ACCESS_TOKEN, JWT], ids=["access_token", "jwt"])
def test_the_second_hop_has_the_first_in_it(attack: Attack, own: TestWorld, declared: str) -> None:
    """A delegated token that is exchanged without an actor token keeps all who acted before."""
    first = attack.succeeds()
    onward = attack.as_client("calendar-api", own.world.secrets["calendar-api"])

    second = onward.succeeds(
        subject_token=first.json["access_token"],
        subject_token_type=declared,
        resource=ROOMS_API,
        scope=None,
    )

    assert chain_of(second) == [_ours(own, "calendar-api"), *chain_of(first)]
    assert claims_of(second)["client_id"] == "calendar-api"
    assert claims_of(second)["sub"] == claims_of(first)["sub"]


def _actor_tokens(own: TestWorld) -> dict[str, tuple[str | None, dict[str, Any]]]:
    """Ways for *team-mcp* to say who acts, each with who that is."""
    return {
        "nobody": (None, _ours(own, TEAM)),
        "itself": (own.team.assertion(), _ours(own, TEAM)),
        "planner": (own.planner.assertion(), _ours(own, PLANNER)),
        "workload": (own.platform.workload(), {"iss": own.platform.issuer, "sub": WORKLOAD}),
    }


WAYS = ("nobody", "itself", "planner", "workload")


@pytest.mark.attack(8)
@pytest.mark.standard("8693-4.1-2", "8693-4.1-6", "8693-4.4-4", "8693-4.3-1")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("whose", ["ours", "federated"])
def test_a_chain_survives_an_actor_token(
    attack: Attack, team: Attack, own: TestWorld, way: str, whose: str
) -> None:
    """Whoever acts now stands outside the whole old chain, whether by an actor token or not."""
    token = {
        "ours": lambda: _for_team(attack),
        "federated": lambda: own.federated.token(act=_nested(2)),
    }[whose]()
    before = said_by(token)["act"]
    actor_token, actor = _actor_tokens(own)[way]
    shown = {} if actor_token is None else {"actor_token": actor_token, "actor_token_type": JWT}

    answer = team.succeeds(subject_token=token, **shown)

    assert claims_of(answer)["act"] == actor | {"act": before}
    assert claims_of(answer)["client_id"] == TEAM


@pytest.mark.attack(8)
@pytest.mark.standard("8693-4.1-10")
def test_going_round_in_a_circle(team: Attack, own: TestWorld) -> None:
    """Who acts already does not act again, unless the grant says so; then all of it is kept."""
    workload = {"iss": own.platform.issuer, "sub": WORKLOAD}
    for act in (workload, BROKER | {"act": workload}):
        token = own.federated.token(act=act)
        shown = {"actor_token_type": JWT, "subject_token": token}

        team.exchange(NOT_PERMITTED, actor_token=own.platform.workload(), **shown)

        answer = team.succeeds(actor_token=own.platform.workload(), resource=ROUND_API, **shown)
        assert claims_of(answer)["act"] == workload | {"act": act}


@pytest.mark.attack(8)
@pytest.mark.standard("8693-4.4-4", "8693-4.1-6")
def test_a_chain_that_is_cut_out(attack: Attack, own: TestWorld) -> None:
    """What is left of a token of ours without its chain is no token any more."""
    onward = attack.as_client("calendar-api", own.world.secrets["calendar-api"])
    issued = attack.succeeds().json["access_token"]
    header, _, signature = issued.split(".")
    claims = said_by(issued)
    for act in (None, claims["act"].get("act"), {}):
        cut = claims | {"act": act}
        if act is None:
            del cut["act"]
        payload = own.login.sign({}, cut).split(".")[1]
        for token in (f"{header}.{payload}.{signature}", own.login.sign(own.login.header(), cut)):
            onward.exchange(SUBJECT_TOKEN, subject_token=token, resource=ROOMS_API)


def _for_team(attack: Attack) -> str:
    """A token of ours with a chain, which *team-mcp* may exchange."""
    answer = attack.succeeds(resource=TEAM_MCP, scope=None)
    assert len(chain_of(answer)) == 2
    return str(answer.json["access_token"])


def _ours(own: TestWorld, client: str) -> dict[str, Any]:
    return {"iss": own.world.url, "sub": client}
