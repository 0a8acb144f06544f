"""Attacks with actor tokens: stolen, mistaken for others, meant for others, or used twice."""

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from secrets import token_urlsafe
from typing import Any
from urllib.parse import urlencode

import pytest

from delegation.jose.keyring import Keyring, new_key
from tests.attacks.attack import (
    ACTOR_TOKEN,
    BRAKE,
    CLIENT,
    MALFORMED,
    SUBJECT_TOKEN,
    UNAVAILABLE,
    Attack,
    Refusal,
    chain_of,
    claims_of,
)
from tests.attacks.endpoint import ACCESS_TOKEN, JWT, Answer
from tests.signing import ABSENT, b64, unb64
from tests.world import (
    PLANNER,
    SIGNED_API,
    SIGNING_MCP,
    TEAM,
    TEAM_API,
    TEAM_MCP,
    WORKLOAD,
    Platform,
    Signer,
    TestWorld,
)

JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

Make = Callable[[TestWorld], str]


def _show(attack: Attack, token: str, *, kind: str = JWT, **altered: Any) -> Answer:
    return attack.endpoint.exchange(actor_token=token, actor_token_type=kind, **altered)


def _refused(attack: Attack, token: str, *, kind: str = JWT, **altered: Any) -> Answer:
    return attack.exchange(ACTOR_TOKEN, actor_token=token, actor_token_type=kind, **altered)


def _alarms(own: TestWorld, answer: Answer) -> bool:
    event = own.books.refusal(answer.header("Delegation-Decision") or "")
    return event.get("alarm") is True


def _kinds(own: TestWorld) -> dict[str, tuple[Callable[..., str], str]]:
    """All that *team-mcp* may show: what makes it, of any claims, and its type."""
    return {
        "itself": (own.team.assertion, JWT),
        "planner": (own.planner.assertion, JWT),
        "workload": (own.platform.workload, JWT),
        "access-token": (own.platform.access_token, ACCESS_TOKEN),
    }


KINDS = ("itself", "planner", "workload", "access-token")


@pytest.mark.attack(10)
@pytest.mark.standard("8693-A-1", "8693-A-2", "8693-4.3-1")
@pytest.mark.parametrize("way", KINDS)
def test_a_sound_actor_token(team: Attack, own: TestWorld, way: str) -> None:
    """What all others here differ from in one thing: that is no attack."""
    make, kind = _kinds(own)[way]

    answer = team.succeeds(actor_token=make(), actor_token_type=kind)

    head, *below = chain_of(answer)
    assert head["sub"] in {TEAM, PLANNER, WORKLOAD}
    assert [hop["sub"] for hop in below] == ["desk-agent"]
    assert claims_of(answer)["client_id"] == TEAM


@pytest.mark.attack(10)
@pytest.mark.standard("8693-2.1-5")
@pytest.mark.parametrize(
    ("token", "kind"),
    [
        ("sound", None),
        ("sound", ""),
        (None, JWT),
        ("", JWT),
        ("", ACCESS_TOKEN),
        ("sound", "jwt"),
        ("sound", f"{JWT} "),
        ("sound", JWT.upper()),
        *(
            ("sound", f"urn:ietf:params:oauth:token-type:{kind}")
            for kind in ("id_token", "refresh_token", "saml1", "saml2", "id-jag", "actor")
        ),
    ],
    ids=ascii,
)
def test_half_an_actor_token(attack: Attack, token: str | None, kind: str | None) -> None:
    """Token and type come together, and the type is one of two; half of it is not nothing."""
    # Any well-formed token will do: it is not looked at.
    value = attack.login.token() if token == "sound" else token

    attack.exchange(MALFORMED, actor_token=value, actor_token_type=kind)


@pytest.mark.attack(10)
@pytest.mark.standard("8693-2.1-16")
@pytest.mark.parametrize("name", ["actor_token", "actor_token_type"])
def test_an_actor_token_twice(attack: Attack, name: str) -> None:
    """Neither the first nor the last of two is taken."""
    form = {"actor_token": attack.login.token(), "actor_token_type": JWT}

    attack.exchange(MALFORMED, also=[(name, form[name])], **form)


@pytest.mark.attack(10)
@pytest.mark.standard("8693-A-1")
@pytest.mark.parametrize("kind", [JWT, ACCESS_TOKEN], ids=["jwt", "access_token"])
@pytest.mark.parametrize(
    "value", ["x", "a.b.c", "..", "null", "<script>alert(1)</script>", "A" * 17_000], ids=len
)
def test_what_is_no_token(attack: Attack, value: str, kind: str) -> None:
    """It is refused, and not left out as if nobody had been shown."""
    _refused(attack, value, kind=kind)


@pytest.mark.attack(10)
@pytest.mark.standard("8693-A-1", "8693-A-4")
@pytest.mark.parametrize("kind", [JWT, ACCESS_TOKEN], ids=["jwt", "access_token"])
def test_the_subject_as_actor(attack: Attack, kind: str) -> None:
    """A subject token is no actor token: neither the same one nor another, of its user or not."""
    token = attack.login.token()

    _refused(attack, token, kind=kind, subject_token=token)
    for claims in ({}, {"sub": "bob"}, {"client_id": attack.service.client}):
        _refused(attack, attack.login.token(**claims), kind=kind)
    _refused(attack, attack.login.token(aud=attack.service.url), kind=kind)


@pytest.mark.attack(10)
@pytest.mark.standard("8693-A-4")
@pytest.mark.parametrize("kind", [JWT, ACCESS_TOKEN], ids=["jwt", "access_token"])
def test_nobody_acts_for_themselves(team: Attack, own: TestWorld, kind: str) -> None:
    """Also where their issuer is trusted for both, and the client may present them."""
    issuer = own.hybrid
    actors = {JWT: issuer.workload, ACCESS_TOKEN: issuer.access_token}

    _refused(team, actors[kind](sub="alice"), kind=kind, subject_token=issuer.token())

    answer = team.succeeds(
        actor_token=actors[kind](sub="alice"),
        actor_token_type=kind,
        subject_token=issuer.token(sub="bob"),
    )
    assert chain_of(answer)[0] == {"iss": issuer.issuer, "sub": "alice"}


@pytest.mark.attack(10)
@pytest.mark.standard("8693-A-1")
def test_trust_in_one_thing_is_none_in_the_other(team: Attack, own: TestWorld) -> None:
    """An issuer of subjects shows no actors, and an issuer of actors shows no subjects."""
    for claims in ({"sub": WORKLOAD}, {"sub": TEAM, "iss": own.login.issuer}):
        as_workload = own.login.token(
            header={"typ": "JWT"}, aud=own.world.url, client_id=ABSENT, scope=ABSENT, **claims
        )
        as_access_token = own.login.token(aud="https://elsewhere.example", client_id=TEAM, **claims)
        _refused(team, as_workload)
        _refused(team, as_access_token, kind=ACCESS_TOKEN)

    team.exchange(SUBJECT_TOKEN, subject_token=own.platform.token())
    team.exchange(SUBJECT_TOKEN, subject_token=own.platform.token(), subject_token_type=JWT)
    team.succeeds(subject_token=own.hybrid.token())


OF_ANOTHER: dict[str, tuple[Make, str, bool]] = {
    "client-not-listed": (lambda own: own.signer.assertion(), JWT, True),
    "workload-not-listed": (lambda own: own.platform.workload(sub=f"{WORKLOAD}-2"), JWT, False),
    "workload-named-like-a-client": (lambda own: own.platform.workload(sub=PLANNER), JWT, False),
    "workload-named-like-us": (lambda own: own.platform.workload(sub=TEAM), JWT, False),
    "workload-in-capitals": (lambda own: own.platform.workload(sub=WORKLOAD.upper()), JWT, False),
    "listed-at-another-issuer": (lambda own: own.platform.workload(sub="alice"), JWT, False),
    "issued-to-another": (
        lambda own: own.platform.access_token(client_id="calendar-mcp"),
        ACCESS_TOKEN,
        True,
    ),
    "issued-to-a-presentable-client": (
        lambda own: own.platform.access_token(client_id=PLANNER),
        ACCESS_TOKEN,
        True,
    ),
    "issued-to-itself": (
        lambda own: own.platform.access_token(client_id=WORKLOAD),
        ACCESS_TOKEN,
        True,
    ),
    "issued-to-us-but-not-listed": (
        lambda own: own.platform.access_token(sub=f"{WORKLOAD}-2"),
        ACCESS_TOKEN,
        True,
    ),
}


@pytest.mark.attack(10)
@pytest.mark.standard("8693-A-2", "8693-4.1-8")
@pytest.mark.parametrize(("make", "kind", "alarms"), OF_ANOTHER.values(), ids=OF_ANOTHER)
def test_anothers_actor_token(
    team: Attack,
    own: TestWorld,
    make: Make,
    kind: str,
    alarms: bool,  # noqa: FBT001
) -> None:
    """Nobody pairs somebody else's actor token with a subject token of their own; where it was
    another client's, somebody is alarmed.
    """
    answer = _refused(team, make(own), kind=kind)

    assert _alarms(own, answer) is alarms


@pytest.mark.attack(10)
@pytest.mark.standard("8693-A-2")
@pytest.mark.parametrize("way", KINDS)
def test_a_client_that_may_present_nobody(attack: Attack, own: TestWorld, way: str) -> None:
    """What *team-mcp* may show, another client may not: what is stolen is worth nothing."""
    make, kind = _kinds(own)[way]

    _refused(attack, make(), kind=kind)


@pytest.mark.attack(10)
@pytest.mark.standard("8693-A-3")
@pytest.mark.parametrize("way", KINDS)
@pytest.mark.parametrize(
    "act",
    [{"iss": "https://broker.example", "sub": "broker"}, {}, None, [], "broker", False],
    ids=repr,
)
def test_an_actor_that_acts_for_another(
    team: Attack, own: TestWorld, way: str, act: object
) -> None:
    """An actor token with `act` is refused, whatever the claim holds."""
    make, kind = _kinds(own)[way]

    _refused(team, make(act=act), kind=kind)


@pytest.mark.attack(10)
@pytest.mark.standard("8693-A-3", "8693-A-1")
@pytest.mark.parametrize("kind", [JWT, ACCESS_TOKEN], ids=["jwt", "access_token"])
def test_a_token_of_ours_as_actor(attack: Attack, team: Attack, own: TestWorld, kind: str) -> None:
    """What we issue shows who acts for somebody; it never shows who acts. Not even if our own key
    had signed it without saying for whom.
    """
    issued = attack.succeeds().json["access_token"]
    key = Keyring.load(own.world.settings.signing_keys).active
    us = Platform(own.world.url, audience=own.world.url, usual={})
    us.key, us._kid = key, key.kid  # noqa: SLF001, what nobody else ever does

    _refused(team, issued, kind=kind)
    for sub in (TEAM, PLANNER, WORKLOAD, "corp|alice"):
        _refused(team, us.workload(sub=sub), kind=kind)
        _refused(team, us.access_token(sub=sub), kind=kind)


AUDIENCES: dict[str, Callable[[str], object]] = {
    "another": lambda _: "https://sts.other.example",
    "endpoint": lambda url: f"{url}/token",
    "slash": lambda url: f"{url}/",
    "capitals": lambda url: url.upper(),
    "us-and-another": lambda url: [url, "https://sts.other.example"],
    "another-and-us": lambda url: ["https://sts.other.example", url],
    "twice": lambda url: [url, url],
    "client": lambda _: TEAM,
    "clients-audience": lambda _: TEAM_MCP,
    "target": lambda _: TEAM_API,
    "empty": lambda _: "",
    "empty-array": lambda _: [],
    "null": lambda _: None,
    "absent": lambda _: ABSENT,
}


@pytest.mark.attack(10)
@pytest.mark.standard("8693-A-1", "8725-3.9-1")
@pytest.mark.parametrize("write", AUDIENCES.values(), ids=AUDIENCES)
@pytest.mark.parametrize("who", ["planner", "workload"])
def test_an_actor_token_for_somebody_else(
    team: Attack, own: TestWorld, who: str, write: Callable[[str], object]
) -> None:
    """We are its sole audience, by our issuer identifier alone."""
    make = {"planner": own.planner.assertion, "workload": own.platform.workload}[who]

    _refused(team, make(aud=write(own.world.url)))


@pytest.mark.attack(10)
@pytest.mark.standard("8693-A-1", "8725-3.9-1")
@pytest.mark.parametrize("audience", ["us", "us-too", "empty", "null", "absent"])
def test_an_access_token_for_us(team: Attack, own: TestWorld, audience: str) -> None:
    """An access token of an actor is for an API: one for us, or for nobody, is none."""
    url = own.world.url
    value: object = {
        "us": url,
        "us-too": ["https://elsewhere.example/api", url],
        "empty": [],
        "null": None,
    }.get(audience, ABSENT)

    _refused(team, own.platform.access_token(aud=value), kind=ACCESS_TOKEN)


@pytest.mark.attack(10)
@pytest.mark.standard("8725-3.12-1", "8725-3.11-1", "8693-A-7")
@pytest.mark.parametrize(
    "type_",
    [
        "at+jwt",
        "oauth-id-jag+jwt",
        "secevent+jwt",
        "logout+jwt",
        "dpop+jwt",
        "txntoken+jwt",
        "",
        "jwt ",
        "application/",
        ["JWT"],
        None,
        5,
    ],
    ids=repr,
)
@pytest.mark.parametrize("who", ["planner", "workload"])
def test_another_kind_of_jwt(team: Attack, own: TestWorld, who: str, type_: object) -> None:
    """An authorization grant, an event, an access token: none of them names an actor to us."""
    make = {"planner": own.planner.assertion, "workload": own.platform.workload}[who]

    _refused(team, make(header={"typ": type_}))


@pytest.mark.attack(10)
@pytest.mark.standard("8725-3.12-1", "8725-3.11-1", "8693-A-7")
@pytest.mark.parametrize(
    "type_", ["JWT", "oauth-id-jag+jwt", "client-authentication+jwt", "", None, ABSENT], ids=repr
)
def test_what_is_no_access_token(team: Attack, own: TestWorld, type_: object) -> None:
    """The same of what is called an access token."""
    _refused(team, own.platform.access_token(header={"typ": type_}), kind=ACCESS_TOKEN)


@pytest.mark.attack(10)
@pytest.mark.standard("8725-3.12-1")
def test_the_kind_that_was_not_declared(team: Attack, own: TestWorld) -> None:
    """What fits one profile does not fit another: the type that is declared counts."""
    for token in (own.planner.assertion(), own.team.assertion(), own.platform.workload()):
        _refused(team, token, kind=ACCESS_TOKEN)
    _refused(team, own.platform.access_token())
    _refused(team, own.platform.access_token(header={"typ": "JWT"}))
    _refused(team, own.platform.workload(header={"typ": "at+jwt"}), kind=ACCESS_TOKEN)


@pytest.mark.attack(10)
@pytest.mark.standard("8725-3.12-1")
@pytest.mark.parametrize("claim", ["nonce", "at_hash", "c_hash", "events"])
def test_an_id_token_as_actor_token(team: Attack, own: TestWorld, claim: str) -> None:
    """What has the claims of an ID token or an event names no workload."""
    _refused(team, own.platform.workload(**{claim: "x"}))
    _refused(team, own.platform.access_token(**{claim: "x"}), kind=ACCESS_TOKEN)


WRONG: dict[str, dict[str, Any]] = {
    "expired": {"iat": -120, "exp": -1},
    "expires-now": {"exp": 0},
    "nearly-over": {"exp": 3},
    "not-yet": {"iat": 3600, "exp": 3700},
    "not-before": {"nbf": 3600},
    "too-long": {"exp": 25 * 3600},
}


@pytest.mark.attack(10)
@pytest.mark.standard("8693-A-1", "8693-A-6")
@pytest.mark.parametrize("way", KINDS)
@pytest.mark.parametrize("offsets", WRONG.values(), ids=WRONG)
def test_an_actor_token_out_of_its_time(
    team: Attack, own: TestWorld, way: str, offsets: dict[str, int]
) -> None:
    """Over, not begun, too long, or with too little left to be worth a token: refused."""
    now = int(time.time())
    claims = {name: now + offset for name, offset in offsets.items()}
    make, kind = _kinds(own)[way]

    _refused(team, make(**claims), kind=kind)


@pytest.mark.attack(10)
@pytest.mark.standard("8693-A-6")
def test_an_assertion_that_lasts(team: Attack, own: TestWorld) -> None:
    """What a client says of itself is good for five minutes, and not a second longer."""
    now = int(time.time())

    _refused(team, own.planner.assertion(iat=now, exp=now + 301))


@pytest.mark.attack(16)
@pytest.mark.standard("8693-A-1", "9068-2.2-3")
@pytest.mark.parametrize("way", KINDS)
def test_no_token_outlives_its_actor(team: Attack, own: TestWorld, way: str) -> None:
    """An actor token with a minute left gives no more than that minute."""
    make, kind = _kinds(own)[way]
    end = int(time.time()) + 60

    answer = team.succeeds(actor_token=make(exp=end), actor_token_type=kind)

    assert claims_of(answer)["exp"] <= end
    assert 0 < answer.json["expires_in"] <= 60


@pytest.mark.attack(10)
@pytest.mark.standard("8693-A-1", "7519-1")
@pytest.mark.parametrize("claim", ["iss", "sub", "exp", "iat", "jti"])
@pytest.mark.parametrize("value", [ABSENT, None, "", 7.5, [], {}], ids=repr)
@pytest.mark.parametrize("way", KINDS)
def test_a_claim_that_is_missing(
    team: Attack, own: TestWorld, way: str, claim: str, value: object
) -> None:
    """Nothing is assumed where a claim is left out, or holds something else."""
    make, kind = _kinds(own)[way]

    _refused(team, make(**{claim: value}), kind=kind)


@pytest.mark.attack(10)
@pytest.mark.standard("8693-A-2")
@pytest.mark.parametrize("value", [ABSENT, None, "", 7, ["team-mcp"], "TEAM-MCP"], ids=repr)
def test_an_access_token_issued_to_nobody(team: Attack, own: TestWorld, value: object) -> None:
    """Without the client that it was issued to, it is nobody's to show."""
    _refused(team, own.platform.access_token(client_id=value), kind=ACCESS_TOKEN)


@pytest.mark.attack(10)
@pytest.mark.standard("8725-3.1-1", "8725-3.8-1", "8725-3.10-1")
def test_a_forged_actor_token(team: Attack, own: TestWorld) -> None:
    """Signed by nobody, by the presenter, by another issuer under the same name of a key, or by
    whoever brings the key along.
    """
    forger = Platform(own.platform.issuer, audience=own.world.url, usual={}, kid=own.platform.kid)
    planner = Signer(PLANNER, audience=own.world.url, key=new_key())
    forged = [
        own.platform.workload(header={"alg": "none"}),
        own.platform.workload().rpartition(".")[0] + ".",
        own.platform.workload(header={"alg": "RS256"}),
        own.platform.workload(header={"kid": "another"}),
        own.platform.workload(header={"jwk": own.platform.key.published()}),
        own.platform.workload(header={"jku": f"{own.keys.url}/platform/jwks"}),
        forger.workload(),
        forger.workload(header={"jwk": forger.key.published()}),
        own.hybrid.workload(iss=own.platform.issuer),
        own.partner.token(
            header={"typ": "JWT"}, iss=own.platform.issuer, sub=WORKLOAD, aud=own.world.url
        ),
        own.team.sign(own.platform.header(typ="JWT"), _said(own.platform.workload())),
        planner.assertion(),
        planner.assertion(header={"kid": own.planner.kid}),
        own.team.assertion(iss=PLANNER, sub=PLANNER),
        own.team.assertion(iss=PLANNER, sub=PLANNER, header={"kid": own.planner.kid}),
        own.planner.assertion(sub=TEAM),
        own.planner.assertion(iss=TEAM),
        own.planner.assertion(iss="nobody-mcp", sub="nobody-mcp"),
        own.planner.assertion(iss="calendar-mcp", sub="calendar-mcp"),
    ]

    for token in forged:
        _refused(team, token)


@pytest.mark.attack(12)
@pytest.mark.standard("8725-3.10-2")
def test_an_actor_issuer_whose_keys_cannot_be_had(team: Attack, own: TestWorld) -> None:
    """Then there is no answer; and for what cannot be good, nobody goes and looks."""
    down = Platform(f"{own.keys.url}/down", audience=own.world.url, usual={})
    own.keys.requests.clear()

    _refused(team, down.workload(act={}))
    _refused(team, down.workload(), kind=ACCESS_TOKEN)
    _refused(team, own.planner.assertion(iss=f"{own.keys.url}/nobody"))
    assert not own.keys.requests

    team.exchange(UNAVAILABLE, actor_token=down.workload(), actor_token_type=JWT)


def _said(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = json.loads(unb64(token.split(".")[1]))
    return claims


def _high_s(token: str) -> str:
    """The same ECDSA signature, written as its other solution."""
    signing_input, _, signature = token.rpartition(".")
    r, s = unb64(signature)[:32], int.from_bytes(unb64(signature)[32:])
    return f"{signing_input}.{b64(r + (P256_ORDER - s).to_bytes(32))}"


def _by_assertion(attack: Attack, assertion: str, **altered: Any) -> Answer:
    """An exchange whose client authenticates by *assertion*."""
    return attack.endpoint.exchange(
        headers={"Authorization": None},
        client_assertion=assertion,
        client_assertion_type=JWT_BEARER,
        **altered,
    )


COPIES: dict[str, Callable[[str], str]] = {
    "same": lambda token: token,
    "other-signature": _high_s,
    "padding": lambda token: f"{token}=",
    "two-paddings": lambda token: f"{token}==",
    "space": lambda token: f"{token} ",
    "spare-bits": lambda token: token[:-1] + chr(ord(token[-1]) + 1),
}


@pytest.mark.attack(15)
@pytest.mark.standard("8693-A-6", "8725-3.3-1")
@pytest.mark.parametrize("copy", COPIES.values(), ids=COPIES)
@pytest.mark.parametrize("who", ["itself", "planner"])
def test_a_copy_of_an_assertion(
    team: Attack, own: TestWorld, who: str, copy: Callable[[str], str]
) -> None:
    """It was used: however its copy is written, it shows nobody any more, and authenticates nobody.
    Where it is the very same, somebody is alarmed.
    """
    signer = {"itself": own.team, "planner": own.planner}[who]
    token = signer.assertion()
    team.succeeds(actor_token=token, actor_token_type=JWT)

    answer = _refused(team, copy(token))

    event = own.books.refusal(answer.header("Delegation-Decision") or "")
    used = event["cause"] == "already_used"
    assert used is (copy in {COPIES["same"], COPIES["other-signature"]})
    assert _alarms(own, answer) is used
    team.fails(CLIENT, lambda: _by_assertion(team, copy(token)))


@pytest.mark.attack(15)
@pytest.mark.standard("8693-A-5", "8725-3.3-1", "7523-3")
@pytest.mark.parametrize("copy", COPIES.values(), ids=COPIES)
def test_a_copy_of_what_authenticated(
    team: Attack, own: TestWorld, copy: Callable[[str], str]
) -> None:
    """And the other way round: what has authenticated does so no more, and shows nobody."""
    token = own.team.assertion()
    assert _by_assertion(team, token).status == 200

    team.fails(CLIENT, lambda: _by_assertion(team, copy(token)))
    _refused(team, copy(token))


@pytest.mark.attack(14)
@pytest.mark.standard("7523-3")
def test_the_same_id_of_two_clients(team: Attack, own: TestWorld) -> None:
    """An id is used up for the client that wrote it, and for nobody else: that is no attack."""
    jti = token_urlsafe(16)
    signing = {"subject_token": own.login.token(aud=SIGNING_MCP), "resource": SIGNED_API}

    for assertion, request in (
        (own.team.assertion(jti=jti), {}),
        (own.signer.assertion(jti=jti), signing),
    ):
        assert _by_assertion(team, assertion, **request).status == 200
        team.fails(CLIENT, lambda a=assertion, r=request: _by_assertion(team, a, **r))


@pytest.mark.attack(15)
@pytest.mark.standard("8693-A-6")
@pytest.mark.parametrize("who", ["itself", "planner"])
def test_another_assertion_with_the_same_id(team: Attack, own: TestWorld, who: str) -> None:
    """The id is what is used up: whatever else it says, and in whichever role."""
    signer = {"itself": own.team, "planner": own.planner}[who]
    jti, now = token_urlsafe(16), int(time.time())
    team.succeeds(actor_token=signer.assertion(jti=jti), actor_token_type=JWT)

    _refused(team, signer.assertion(jti=jti, exp=now + 250))
    _refused(team, signer.assertion(jti=jti, header={"typ": "JWT"}))
    team.fails(CLIENT, lambda: _by_assertion(team, signer.assertion(jti=jti)))
    # It is somebody else's id as well.
    other = {"itself": own.planner, "planner": own.team}[who]
    team.succeeds(actor_token=other.assertion(jti=jti), actor_token_type=JWT)


@pytest.mark.attack(15)
@pytest.mark.standard("8693-A-6", "8693-A-5", "STK-14")
@pytest.mark.parametrize("written", ["same", "other-signature"])
def test_twenty_at_once(team: Attack, own: TestWorld, written: str) -> None:
    """Of twenty at once, over all workers, one gets in; and none later."""
    token = own.planner.assertion()
    sent = [token, COPIES[written](token)] * 10

    def use(one: str) -> Answer:
        return _show(team, one)

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(use, sent))

    assert sorted(answer.status for answer in answers) == [200] + [400] * 19
    assert {answer.json["reason"] for answer in answers if answer.status != 200} == {
        "actor_token_rejected"
    }
    _refused(team, token)


@pytest.mark.attack(15)
@pytest.mark.standard("8693-A-5")
def test_one_assertion_in_both_roles(team: Attack, own: TestWorld) -> None:
    """In one request it authenticates and shows who acts by one use; and then it is used up in
    both roles.
    """
    token = own.team.assertion()
    both = {"actor_token": token, "actor_token_type": JWT}

    answer = _by_assertion(team, token, **both)

    assert [hop["sub"] for hop in chain_of(answer)] == [TEAM, "desk-agent"]
    for written in (token, _high_s(token)):
        _refused(team, written)
        team.fails(CLIENT, lambda w=written: _by_assertion(team, w))
        team.fails(CLIENT, lambda w=written: _by_assertion(team, w, **both))


@pytest.mark.attack(15)
@pytest.mark.standard("8693-A-5", "STK-14")
def test_twenty_in_both_roles(team: Attack, own: TestWorld) -> None:
    """One use is one use, though each request asks for it twice."""
    token = own.team.assertion()
    both = {"actor_token": token, "actor_token_type": JWT}

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: _by_assertion(team, token, **both), range(20)))

    assert [answer.status for answer in answers].count(200) == 1
    # The others are refused as clients; so many of them have to wait.
    assert {answer.status for answer in answers} <= {200, CLIENT.status, BRAKE.status}


@pytest.mark.attack(15)
@pytest.mark.standard("8693-A-5", "8693-A-6")
def test_the_longer_of_two_with_one_id(team: Attack, own: TestWorld) -> None:
    """Two assertions with one id, in two roles of one request: the id is used up for as long as
    the longer one lasts.
    """
    jti, now = token_urlsafe(16), int(time.time())
    short = own.team.assertion(jti=jti, iat=now, exp=now + 20)
    long = own.team.assertion(jti=jti, iat=now, exp=now + 200)
    before = own.books.claims()

    assert _by_assertion(team, short, actor_token=long, actor_token_type=JWT).status == 200

    claims = own.books.claims()
    (left,) = [claims[key] for key in claims.keys() - before.keys()]
    assert left > 150


@pytest.mark.attack(15)
@pytest.mark.standard("8693-A-6")
def test_what_is_refused_uses_nothing_up(team: Attack, own: TestWorld) -> None:
    """Nobody can use up somebody's assertion by an exchange that would not have been granted."""
    token = own.planner.assertion()

    for expected, altered in (
        (SUBJECT_TOKEN, {"subject_token": own.login.token()}),
        (Refusal(400, "invalid_target", "not_permitted"), {"resource": "https://no.example/api"}),
        (Refusal(400, "invalid_scope", "not_permitted"), {"scope": "admin"}),
    ):
        team.exchange(expected, actor_token=token, actor_token_type=JWT, **altered)

    team.succeeds(actor_token=token, actor_token_type=JWT)


@pytest.mark.attack(15)
@pytest.mark.standard("8693-A-6")
@pytest.mark.parametrize("way", ["workload", "access-token"])
def test_what_may_be_shown_again(team: Attack, own: TestWorld, way: str) -> None:
    """What an actor issuer signs lasts as long as it says: that is no attack."""
    make, kind = _kinds(own)[way]
    token = make()

    for _ in range(3):
        team.succeeds(actor_token=token, actor_token_type=kind)


@pytest.mark.attack(10)
@pytest.mark.standard("8693-2.1-1")
def test_an_actor_token_in_the_query(team: Attack, own: TestWorld) -> None:
    """What stands in the URL shows nobody."""
    query = urlencode({"actor_token": own.planner.assertion(), "actor_token_type": JWT})
    form = urlencode(team.endpoint.form()).encode()

    team.fails(MALFORMED, lambda: team.endpoint.send(form, path=f"/token?{query}"))
