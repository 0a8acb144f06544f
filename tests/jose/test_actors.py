"""Actor tokens: what each kind means, each way not to be one, and that no token is of two kinds."""

import base64
import hashlib
import json
from datetime import timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delegation.domain.bindings import bind
from delegation.domain.errors import (
    ActorTokenRejected,
    AssertionRejected,
    Cause,
    Refused,
    Unavailable,
)
from delegation.domain.parties import Identity
from delegation.domain.registry import usual_admin_audience
from delegation.domain.tokens import TokenType, VerifiedActor
from delegation.jose.jwks import ForeignKeys
from delegation.jose.verifier import JwtVerifier
from tests.parties import (
    ALIAS,
    ALICE,
    CALENDAR_API,
    CALENDAR_API_CLIENT,
    CALENDAR_MCP,
    CALENDAR_MCP_AUDIENCE,
    LOGIN,
    NOW,
    OUR_ISSUER,
    PLANNER,
    PLATFORM,
    a_client,
    a_registry,
    a_verified_token,
    an_actor_issuer,
    an_issuer,
    the_next_client,
)
from tests.signing import (
    ABSENT,
    NoCooldown,
    SigningClient,
    SigningParty,
    a_keyring,
    b64,
    inline,
    keys_of,
    presented,
    unb64,
)

JWT, ACCESS_TOKEN = TokenType.JWT, TokenType.ACCESS_TOKEN

us = SigningParty(OUR_ISSUER)
login, platform = SigningParty(), SigningParty(PLATFORM)
mcp, api, stranger = SigningClient(), SigningClient(CALENDAR_API_CLIENT), SigningClient()

NOW_S = NOW.timestamp()


def verifier_with(keys):
    """A verifier that finds the keys of others with *keys*."""
    return JwtVerifier(keyring=a_keyring(us), keys=keys, clock=lambda: NOW)


verifier = verifier_with(keys_of(login, platform))


def workload(*, header=None, **claims):
    """A JWT in which the platform names the planner to us."""
    usual = {"sub": PLANNER.subject, "aud": OUR_ISSUER, "jti": "workload-1"}
    bare = {"client_id": ABSENT, "scope": ABSENT}
    return platform.token(header={"typ": "JWT"} | (header or {}), **(usual | bare | claims))


def access_token(*, header=None, **claims):
    """An access token of the platform by which *calendar-mcp* acts, at some API or other."""
    usual = {
        "sub": CALENDAR_MCP,
        "aud": "https://elsewhere.example.com",
        "client_id": CALENDAR_MCP,
        "jti": "access-1",
    }
    return platform.token(header=header, **(usual | claims))


def our_token(**changes):
    """An access token that we issued."""
    claims = {
        "sub": f"{ALIAS}|{ALICE.subject}",
        "aud": CALENDAR_API,
        "client_id": CALENDAR_MCP,
        "act": {"iss": OUR_ISSUER, "sub": CALENDAR_MCP},
        "exp": NOW_S + 240,
        "txn": "exchange-0",
    }
    return us.token(**(claims | changes))


KINDS = {
    "assertion": (mcp.assertion, JWT),
    "workload": (workload, JWT),
    "access-token": (access_token, ACCESS_TOKEN),
}
"""Each kind: how it is made, and as what it is presented."""

of_each_kind = pytest.mark.parametrize(("make", "declared"), KINDS.values(), ids=KINDS)
of_an_actor_issuer = pytest.mark.parametrize(
    ("make", "declared"), [KINDS["workload"], KINDS["access-token"]], ids=["workload", "access"]
)


def registered(**entry):
    """A registry in which both clients have keys, and the platform's entry says *entry* besides."""
    return a_registry(
        actor_issuers=[an_actor_issuer(**entry)],
        clients=[a_client(keys=inline(mcp)), the_next_client(keys=inline(api))],
    )


def verified(value, declared=JWT, **entry):
    """What *value* means where it is presented as *declared*."""
    return verifier.actor(presented(value, declared), registered(**entry))


def rejected(value, declared=JWT, **entry):
    """The refusal of *value*."""
    with pytest.raises(ActorTokenRejected) as caught:
        verified(value, declared, **entry)
    assert value not in str(caught.value.detail)
    return caught.value


def cause_of(value, declared=JWT, **entry):
    """Why *value* is refused."""
    return rejected(value, declared, **entry).cause


# What a sound actor token means


@pytest.mark.standard("8693-A-1", "8693-A-6")
@pytest.mark.parametrize("client", [mcp, api], ids=lambda client: client.issuer)
def test_a_client_says_who_it_is(client):
    """What a client signed of itself names it by us, and is good for one use."""
    assert verified(client.assertion()) == VerifiedActor(
        issuer=client.issuer,
        id="assertion-1",
        identity=Identity(OUR_ISSUER, client.issuer),
        issued_at=NOW - timedelta(seconds=1),
        expires_at=NOW + timedelta(minutes=1),
        is_one_time=True,
    )


@pytest.mark.standard("8693-A-1")
def test_a_platform_names_a_workload():
    """It is who its platform says, and good for as long as that says."""
    assert verified(workload()) == VerifiedActor(
        issuer=PLATFORM,
        id="workload-1",
        identity=PLANNER,
        issued_at=NOW - timedelta(minutes=1),
        expires_at=NOW + timedelta(hours=1),
    )


@pytest.mark.standard("8693-A-1")
def test_an_access_token_says_whom_it_was_issued_to():
    """Who acts by it, and the client that it is for."""
    assert verified(access_token(), ACCESS_TOKEN) == VerifiedActor(
        issuer=PLATFORM,
        id="access-1",
        identity=Identity(PLATFORM, CALENDAR_MCP),
        issued_at=NOW - timedelta(minutes=1),
        expires_at=NOW + timedelta(hours=1),
        issued_to=CALENDAR_MCP,
    )


def test_an_actor_issuer_writes_in_its_own_vocabulary():
    """Id and client are read where its entry says that they are."""
    value = access_token(jti=ABSENT, client_id=ABSENT, uti="u-1", azp=CALENDAR_MCP)

    actor = verified(value, ACCESS_TOKEN, id_claim="uti", client_claim="azp")

    assert (actor.id, actor.issued_to) == ("u-1", CALENDAR_MCP)


@of_an_actor_issuer
def test_an_actor_issuer_may_write_no_ids(make, declared):
    """Then the id is the digest of what the signature covers."""
    value = make(jti=ABSENT)

    actor = verified(value, declared, id_claim=None)

    assert actor.id == hashlib.sha256(value.rpartition(".")[0].encode()).hexdigest()


# Types


@pytest.mark.standard("8725-3.11-1", "8693-A-1")
@pytest.mark.parametrize("kind", [ABSENT, "JWT", "jwt", "application/jwt"], ids=str)
def test_a_workload_token_need_not_say_what_it_is(kind):
    """None counts as `JWT`, which it is by default."""
    assert verified(workload(header={"typ": kind})).identity == PLANNER


@pytest.mark.standard("8725-3.11-1", "8725-3.12-1", "8693-A-1", "8693-A-7")
@pytest.mark.parametrize(
    "kind",
    [
        "at+jwt",
        "application/at+jwt",
        "client-authentication+jwt",
        "oauth-id-jag+jwt",
        "secevent+jwt",
        "logout+jwt",
        "dpop+jwt",
        "wimse-id+jwt",
        "JWT ",
        "",
        "application/",
    ],
)
def test_another_type_is_no_workload_token(kind):
    """What says that it is something else is something else; and empty is not absent."""
    assert cause_of(workload(header={"typ": kind})) is Cause.TOKEN_TYPE


@pytest.mark.standard("8725-3.11-1")
def test_a_platform_may_have_a_type_of_its_own():
    """Then nothing else will do, and none at all neither."""
    own = {"assertion_types": frozenset({"wimse-id+jwt"})}

    assert verified(workload(header={"typ": "wimse-id+JWT"}), **own).identity == PLANNER
    for kind in ("JWT", ABSENT):
        assert cause_of(workload(header={"typ": kind}), **own) is Cause.TOKEN_TYPE


@pytest.mark.standard("8725-3.11-1", "8725-3.12-1")
@pytest.mark.parametrize(
    ("kind", "usual", "legacy"),
    [
        ("at+jwt", True, True),
        ("application/AT+JWT", True, True),
        ("JWT", False, True),
        (ABSENT, False, True),
        ("", False, False),
        ("client-authentication+jwt", False, False),
        ("oauth-id-jag+jwt", False, False),
        ("secevent+jwt", False, False),
    ],
    ids=str,
)
def test_the_type_of_an_access_token(kind, usual, legacy):
    """`at+jwt`; none or `JWT` only where the entry says so."""
    value = access_token(header={"typ": kind})

    for is_good, entry in ((usual, {}), (legacy, {"legacy_types": True})):
        if is_good:
            assert verified(value, ACCESS_TOKEN, **entry).issued_to == CALENDAR_MCP
        else:
            assert cause_of(value, ACCESS_TOKEN, **entry) is Cause.TOKEN_TYPE


@pytest.mark.standard("8693-A-1", "8725-3.12-1")
@pytest.mark.parametrize("claim", ["nonce", "at_hash", "c_hash", "events"])
@of_an_actor_issuer
def test_what_other_tokens_have_actor_tokens_have_not(make, declared, claim):
    """ID tokens and security events of the same issuer, under the same key, are refused."""
    assert cause_of(make(**{claim: "x"}), declared, legacy_types=True) is Cause.TOKEN_TYPE


@of_an_actor_issuer
def test_an_actor_issuer_is_no_actor(make, declared):
    """What it says of itself is there to authenticate it."""
    assert cause_of(make(sub=PLATFORM), declared) is Cause.TOKEN_TYPE


@pytest.mark.standard("8693-A-1")
@pytest.mark.parametrize(
    ("kind", "declared"),
    [("assertion", ACCESS_TOKEN), ("workload", ACCESS_TOKEN), ("access-token", JWT)],
)
def test_a_token_is_of_the_kind_that_is_declared(kind, declared):
    """The declared type and the issuer say how it is verified; no other way is tried."""
    make, _ = KINDS[kind]

    assert cause_of(make(), declared) in {Cause.TOKEN_TYPE, Cause.ISSUER_NOT_TRUSTED}


# Who signed it


@pytest.mark.standard("8693-A-1")
@pytest.mark.parametrize("declared", list(TokenType), ids=lambda each: each.name)
def test_trust_in_subjects_is_none_in_actors(declared):
    """A trusted issuer's token shows no actor, and an actor issuer's no subject."""
    value = login.token(sub="planner", aud=OUR_ISSUER, header={"typ": "JWT"})

    assert cause_of(value, declared, legacy_types=True) is Cause.ISSUER_NOT_TRUSTED
    with pytest.raises(Refused) as caught:
        verifier.subject(presented(access_token(aud=CALENDAR_MCP_AUDIENCE)), registered())
    assert caught.value.cause is Cause.ISSUER_NOT_TRUSTED


@pytest.mark.standard("8693-A-3", "8725-3.12-1")
@pytest.mark.parametrize("declared", list(TokenType), ids=lambda each: each.name)
@pytest.mark.parametrize("kind", ["at+jwt", "JWT", ABSENT], ids=str)
@pytest.mark.parametrize("act", ["act", "no-act"])
def test_our_own_tokens_show_no_actor(declared, kind, act):
    """They have `act`; and one without it would be none of ours."""
    claims = {} if act == "act" else {"act": ABSENT, "aud": OUR_ISSUER, "sub": CALENDAR_MCP}
    value = our_token(header={"typ": kind}, **claims)

    expected = Cause.ACTOR_IS_DELEGATED if act == "act" else Cause.ISSUER_NOT_TRUSTED
    assert cause_of(value, declared) is expected


@pytest.mark.standard("8693-A-3")
@pytest.mark.parametrize("act", [{"sub": "x"}, {}, None, "x", [], 0, False], ids=repr)
@of_each_kind
def test_who_acts_for_somebody_is_not_who_acts(make, declared, act):
    """An actor token with `act` is refused, whatever that holds."""
    assert cause_of(make(act=act), declared) is Cause.ACTOR_IS_DELEGATED


@pytest.mark.standard("8693-A-1", "8725-3.8-1")
@pytest.mark.parametrize(
    ("value", "declared", "cause"),
    [
        pytest.param(stranger.assertion(), JWT, Cause.KEY_UNKNOWN, id="stranger"),
        pytest.param(
            stranger.assertion(header={"kid": mcp.kid}), JWT, Cause.SIGNATURE, id="forged"
        ),
        pytest.param(
            api.assertion(iss=CALENDAR_MCP, sub=CALENDAR_MCP),
            JWT,
            Cause.KEY_UNKNOWN,
            id="another-client",
        ),
        pytest.param(
            platform.token(iss=CALENDAR_MCP, sub=CALENDAR_MCP, header={"typ": "JWT"}),
            JWT,
            Cause.KEY_UNKNOWN,
            id="platform-as-client",
        ),
        pytest.param(
            mcp.assertion(iss=PLATFORM, sub=PLANNER.subject, header={"typ": "JWT"}),
            JWT,
            Cause.KEY_UNKNOWN,
            id="client-as-platform",
        ),
        pytest.param(workload(iss="https://evil.example"), JWT, Cause.ISSUER_NOT_TRUSTED, id="no"),
        pytest.param(workload(iss=f"{PLATFORM}/"), JWT, Cause.ISSUER_NOT_TRUSTED, id="slash"),
        pytest.param(workload(header={"alg": "none"}), JWT, Cause.ALGORITHM, id="unsigned"),
        pytest.param(workload(header={"alg": "HS256"}), JWT, Cause.ALGORITHM, id="hmac"),
        pytest.param(mcp.assertion(header={"alg": "none"}), JWT, Cause.ALGORITHM, id="of-client"),
        pytest.param(
            access_token(header={"kid": login.kid}), ACCESS_TOKEN, Cause.KEY_UNKNOWN, id="kid"
        ),
    ],
)
def test_who_signed_it_is_who_it_says(value, declared, cause):
    """The keys of one party are good for that party alone."""
    assert cause_of(value, declared) is cause


# Claims


@pytest.mark.standard("8693-A-1", "8693-A-7", "7523-2")
@pytest.mark.parametrize(
    "claims",
    [
        {"sub": ALICE.subject},
        {"sub": CALENDAR_API_CLIENT},
        {"sub": f"{CALENDAR_MCP} "},
        {"sub": ABSENT},
        {"sub": None},
    ],
    ids=str,
)
def test_a_client_speaks_of_itself_alone(claims):
    """What it says of others is an authorization grant, and shows no actor (RFC 7523 §2.1)."""
    assert cause_of(mcp.assertion(**claims)) is Cause.TOKEN_CLAIMS


@pytest.mark.standard("8693-A-1", "7523bis-1")
@pytest.mark.parametrize(
    "audience",
    [
        f"{OUR_ISSUER}/",
        f"{OUR_ISSUER}/token",
        OUR_ISSUER.upper(),
        CALENDAR_MCP_AUDIENCE,
        [OUR_ISSUER, "https://evil.example"],
        [OUR_ISSUER, OUR_ISSUER],
        [],
        "",
        None,
        5,
        {"aud": OUR_ISSUER},
        ABSENT,
    ],
    ids=repr,
)
@pytest.mark.parametrize("make", [mcp.assertion, workload], ids=["assertion", "workload"])
def test_we_are_the_sole_audience(make, audience):
    """Of what shows an actor to us; by our issuer identifier, and once."""
    assert cause_of(make(aud=audience)) is Cause.AUDIENCE
    assert verified(make(aud=[OUR_ISSUER])).expires_at > NOW


@pytest.mark.standard("8693-A-1", "8725-3.12-1")
@pytest.mark.parametrize(
    "audience",
    [
        OUR_ISSUER,
        [OUR_ISSUER],
        ["https://a.example", OUR_ISSUER],
        usual_admin_audience(OUR_ISSUER),
        ["https://a.example", usual_admin_audience(OUR_ISSUER)],
        [],
        "",
        None,
        ABSENT,
    ],
)
def test_an_access_token_is_for_somebody_else(audience):
    """What is addressed to us is another kind of token; so is an administrator's."""
    assert cause_of(access_token(aud=audience), ACCESS_TOKEN) is Cause.AUDIENCE


@pytest.mark.standard("8693-A-1")
@pytest.mark.parametrize("value", [ABSENT, None, "", 5, ["x"], "x" * 256, "a\nb"], ids=repr)
@pytest.mark.parametrize("claim", ["iss", "sub", "jti", "client_id"])
@of_an_actor_issuer
def test_who_and_by_what_id_must_be_said(make, declared, claim, value):
    """Absent and malformed are alike; only a workload token has no client."""
    token = make(**{claim: value})

    if claim == "client_id" and declared is JWT:
        assert verified(token, declared).issued_to is None
    else:
        assert cause_of(token, declared) is Cause.TOKEN_CLAIMS


@pytest.mark.standard("8693-A-6", "7523-3")
@pytest.mark.parametrize("jti", [ABSENT, None, "", 5, "x" * 256], ids=repr)
def test_what_is_good_once_has_an_id(jti):
    """Else it could not be told from another."""
    assert cause_of(mcp.assertion(jti=jti)) is Cause.TOKEN_CLAIMS


@pytest.mark.standard("8693-A-1", "7519-1")
@pytest.mark.parametrize(
    ("claims", "cause"),
    [
        ({"exp": NOW_S}, Cause.EXPIRED),
        ({"exp": NOW_S - 1}, Cause.EXPIRED),
        ({"exp": ABSENT}, Cause.TOKEN_CLAIMS),
        ({"exp": str(int(NOW_S) + 60)}, Cause.TOKEN_CLAIMS),
        ({"iat": ABSENT}, Cause.TOKEN_CLAIMS),
        ({"iat": True}, Cause.TOKEN_CLAIMS),
        ({"iat": NOW_S + 61, "exp": NOW_S + 120}, Cause.NOT_YET_VALID),
        ({"nbf": NOW_S + 61}, Cause.NOT_YET_VALID),
        ({"nbf": None}, Cause.TOKEN_CLAIMS),
        ({"iat": NOW_S, "exp": NOW_S + 24 * 3600 + 1}, Cause.LIFETIME_TOO_LONG),
    ],
    ids=str,
)
@of_each_kind
def test_an_actor_token_is_of_this_moment(make, declared, claims, cause):
    """No leeway for `exp`, and no token for ever."""
    assert cause_of(make(**claims), declared) is cause


@pytest.mark.standard("8693-A-6")
@pytest.mark.parametrize(("life", "is_good"), [(300, True), (301, False)])
def test_what_a_client_signed_lives_five_minutes_at_most(life, *, is_good):
    """An issuer's token may live longer: it is not kept by whom it speaks of."""
    value = mcp.assertion(iat=NOW_S, exp=NOW_S + life)

    if is_good:
        assert verified(value).expires_at == NOW + timedelta(seconds=life)
    else:
        assert cause_of(value) is Cause.LIFETIME_TOO_LONG
    assert verified(workload(iat=NOW_S, exp=NOW_S + life)).identity == PLANNER


@pytest.mark.parametrize(
    ("kind", "ahead"), [("assertion", 60), ("workload", 30), ("access-token", 30)]
)
def test_a_clock_may_be_ahead(kind, ahead):
    """A client's by a minute, an issuer's by half of one."""
    make, declared = KINDS[kind]
    good, late = (make(iat=NOW_S + by, exp=NOW_S + 120) for by in (ahead, ahead + 1))

    assert verified(good, declared).issued_at == NOW + timedelta(seconds=ahead)
    assert cause_of(late, declared) is Cause.NOT_YET_VALID


# No token is of two kinds

EVERYBODY = SigningClient(LOGIN)
"""Trusted issuer and actor issuer in one, under one key, of the old school: as bad as it gets."""


def confused_registry(*, is_client):
    """A registry that takes it for both; and, which `check` refuses, for a client as well."""
    clients = [a_client(may_present_actors=frozenset(EVERY_ACTOR))]
    if is_client:
        clients.append(the_next_client(id=LOGIN, keys=inline(EVERYBODY)))
    return a_registry(
        issuers=[an_issuer(legacy_types=True)],
        actor_issuers=[
            an_actor_issuer(
                issuer=LOGIN,
                legacy_types=True,
                assertion_types=frozenset({"jwt", "client-authentication+jwt", "at+jwt"}),
            )
        ],
        clients=clients,
    )


EVERY_ACTOR = {
    Identity(issuer, name)
    for issuer in (LOGIN, OUR_ISSUER)
    for name in (LOGIN, ALICE.subject, CALENDAR_MCP)
}
SPECIAL = verifier_with(keys_of(EVERYBODY))


def uses_of(value, *, is_client=False):
    """As what *value* is good to *calendar-mcp*, in an exchange of its own."""
    registry = confused_registry(is_client=is_client)
    client = registry.clients[CALENDAR_MCP]
    alice = a_verified_token(subject=Identity(LOGIN, "somebody-else"))

    def binds(subject, actor):
        return bind(subject, actor, by=client, our_issuer=OUR_ISSUER, now=NOW)

    def as_actor(declared):
        return SPECIAL.actor(presented(value, declared), registry)

    attempts = {
        "subject": lambda: binds(SPECIAL.subject(presented(value), registry), None),
        "named": lambda: binds(alice, as_actor(JWT)),
        "access": lambda: binds(alice, as_actor(ACCESS_TOKEN)),
        "assertion": lambda: SPECIAL.assertion(value, registry),
        "both": lambda: binds(SPECIAL.subject(presented(value), registry), as_actor(ACCESS_TOKEN)),
        "both, named": lambda: binds(SPECIAL.subject(presented(value), registry), as_actor(JWT)),
    }
    return {name for name, attempt in attempts.items() if _succeeds(attempt)}


def _succeeds(call):
    try:
        return bool(call())
    except (Refused, AssertionRejected):
        return False


VARIATIONS = [
    *product(
        [ABSENT, "JWT", "at+jwt", "client-authentication+jwt"],
        [OUR_ISSUER, CALENDAR_MCP_AUDIENCE, [CALENDAR_MCP_AUDIENCE], CALENDAR_API],
        [LOGIN, ALICE.subject, CALENDAR_MCP],
        [CALENDAR_MCP, "desk-agent", ABSENT],
    )
]


@pytest.mark.standard("8725-3.12-1", "8693-A-1", "8693-A-4", "8693-A-7")
@pytest.mark.parametrize("is_client", [False, True], ids=["issuer", "issuer-and-client"])
def test_no_token_is_of_two_kinds(*, is_client):
    """Whatever is good as one is good as no other, even from a party that may sign them all.

    But for two: what a client signs of itself both authenticates it and shows that it acts; and a
    service's own access token may show its subject, or that it acts, though never in one exchange.
    """
    seen = set()
    for kind, aud, sub, client in VARIATIONS:
        value = EVERYBODY.assertion(
            header={"typ": kind}, aud=aud, sub=sub, client_id=client, scope="calendar:read"
        )
        uses = frozenset(uses_of(value, is_client=is_client))
        seen.add(uses)

        assert not {"both", "both, named"} & uses
        assert not {"named", "access"} <= uses
        assert not {"named", "subject"} <= uses
        assert not {"assertion", "subject"} <= uses
        assert not {"assertion", "access"} <= uses

    only = frozenset({"assertion", "named"} if is_client else {"named"})
    assert {only, frozenset({"subject"}), frozenset({"access"})} <= seen


@pytest.mark.standard("8725-3.12-1")
@pytest.mark.parametrize("kind", [*KINDS, "foreign", "ours"])
@pytest.mark.parametrize("judge", [*KINDS, "subject"])
def test_all_pairs(kind, judge):
    """Each kind of token passes the one validator that is meant for it, and no other."""
    makers = {name: make for name, (make, _) in KINDS.items()}
    value = (makers | {"foreign": login.token, "ours": our_token})[kind]()
    identity = {
        "assertion": Identity(OUR_ISSUER, CALENDAR_MCP),
        "workload": PLANNER,
        "access-token": Identity(PLATFORM, CALENDAR_MCP),
    }

    if judge == "subject":
        outcome = _succeeds(lambda: verifier.subject(presented(value), registered()))
        assert outcome is (kind in {"foreign", "ours"})
        return
    _, declared = KINDS[judge]
    if kind in KINDS and KINDS[kind][1] is declared:
        assert verified(value, declared).identity == identity[kind]
    else:
        assert cause_of(value, declared)


# Refusals


@pytest.mark.standard("8693-2.2.2-1", "8693-2.2.2-5", "8693-2.1-14", "8693-A-5")
@pytest.mark.parametrize(
    ("value", "detail"),
    [
        pytest.param("nonsense", {}, id="malformed"),
        pytest.param(workload(iss="https://unknown.example"), {}, id="unknown-issuer"),
        pytest.param(workload(exp=1), {"issuer": PLATFORM}, id="expired"),
        pytest.param(mcp.assertion(exp=1), {"issuer": CALENDAR_MCP}, id="of-a-client"),
        pytest.param(workload(act={}), {}, id="delegated"),
        pytest.param(workload(aud=1), {"issuer": PLATFORM, "claim": "aud"}, id="claims"),
    ],
)
def test_every_refusal_looks_alike_from_outside(value, detail):
    """The client reads the same words; the event learns of issuers that are known."""
    refused = rejected(value)

    assert (refused.error, refused.reason) == ("invalid_request", "actor_token_rejected")
    assert refused.description == "the actor token is not acceptable"
    assert refused.detail == detail


@of_an_actor_issuer
def test_keys_out_of_reach_are_no_refusal(make, declared):
    """Where an actor issuer's keys cannot be had there is no answer."""
    with pytest.raises(Unavailable, match="issuer_keys"):
        verifier_with(keys_of()).actor(presented(make(), declared), registered())


@pytest.mark.parametrize(
    "value",
    [
        workload(act={}),
        workload(iss="https://unknown.example"),
        workload(header={"typ": "at+jwt"}),
        workload(header={"alg": "RS256"}),
        workload(nonce="x"),
        workload(sub=PLATFORM),
    ],
    ids=range(6),
)
def test_what_cannot_be_good_causes_no_fetch(value):
    """Nobody makes us ask an issuer for its keys with a token that tells what it is not."""
    fetched = []
    keys = ForeignKeys(NoCooldown(), fetch=lambda source: fetched.append(source) or {"keys": []})

    with pytest.raises(ActorTokenRejected):
        verifier_with(keys).actor(presented(value, JWT), registered())

    assert fetched == []


@pytest.mark.standard("8693-A-1")
@given(kind=st.sampled_from(sorted(KINDS)), data=st.data())
def test_an_altered_claim_is_refused(kind, data):
    """A verified token is refused once any claim says something else under the same signature."""
    make, declared = KINDS[kind]
    value = make()
    header, payload, signature = value.split(".")
    claims = json.loads(unb64(payload))
    claim = data.draw(st.sampled_from(sorted({*claims, "act", "client_id", "nbf"})))
    other = data.draw(
        st.one_of(st.none(), st.integers(), st.text(), st.lists(st.text())).filter(
            lambda drawn: drawn != claims.get(claim, ABSENT)
        )
    )
    altered = b64(json.dumps(claims | {claim: other}).encode())

    assert verified(value, declared)
    assert cause_of(f"{header}.{altered}.{signature}", declared)


@pytest.mark.standard("8693-A-1")
@given(kind=st.sampled_from(sorted(KINDS)), data=st.data())
def test_a_claim_left_out_is_refused(kind, data):
    """Nor is a claim missed by nobody, while the signature is that of the whole."""
    make, declared = KINDS[kind]
    header, payload, signature = make().split(".")
    claims = json.loads(unb64(payload))
    del claims[data.draw(st.sampled_from(sorted(claims)))]

    assert cause_of(f"{header}.{b64(json.dumps(claims).encode())}.{signature}", declared)


@given(
    value=st.text(max_size=300)
    | st.binary(max_size=300).map(lambda raw: base64.b64encode(raw).decode())
    | st.from_regex(r"[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*", fullmatch=True),
    declared=st.sampled_from(TokenType),
)
def test_any_text_is_refused(value, declared):
    """Whatever is presented, the answer is a refusal and never an error."""
    with pytest.raises(ActorTokenRejected):
        verified(value, declared)
