"""Client assertions: what a sound one means, each way not to be one, and that no token is both."""

import base64
import hmac
import json
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delegation.domain.errors import AssertionRejected, Cause, SubjectTokenRejected, Unavailable
from delegation.domain.parties import PublishedKeys
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
    a_client,
    a_registry,
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

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
JWKS_URI = "https://calendar-mcp.example.com/jwks"

us = SigningParty(OUR_ISSUER)
login = SigningParty()
mcp, api, stranger = SigningClient(), SigningClient(CALENDAR_API_CLIENT), SigningClient()
rsa = SigningClient(algorithm="RS256")

NOW_S = NOW.timestamp()


def verifier_with(keys):
    """A verifier that finds the keys of others with *keys*."""
    return JwtVerifier(keyring=a_keyring(us), keys=keys, clock=lambda: NOW)


verifier = verifier_with(keys_of(login))


def registered(**entry):
    """A registry in which *calendar-mcp* has its key, or what *entry* says."""
    client = a_client(**({"keys": inline(mcp)} | entry))
    return a_registry(clients=[client, the_next_client(keys=inline(api))])


def verified(value, **entry):
    """What *value* means where the entry of *calendar-mcp* is changed by *entry*."""
    return verifier.assertion(value, registered(**entry))


def cause_of(value, **entry):
    """Why *value* is refused."""
    with pytest.raises(AssertionRejected) as caught:
        verified(value, **entry)
    assert value not in str(caught.value.detail)
    return caught.value.cause


# What a sound assertion means


@pytest.mark.standard("7523-2", "7523bis-1")
def test_a_client_authenticates():
    """A sound assertion means the client that signed it, with the id to be claimed."""
    assertion = verified(mcp.assertion())

    assert assertion.client == registered().clients[CALENDAR_MCP]
    assert assertion.id == "assertion-1"
    assert assertion.issued_at == NOW - timedelta(seconds=1)
    assert assertion.expires_at == NOW + timedelta(minutes=1)


@pytest.mark.standard("7523-4")
@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA", "RS256", "PS256"])
def test_every_usual_algorithm_verifies(algorithm):
    """An assertion verifies under the algorithm of a registered key."""
    client = SigningClient(algorithm=algorithm)

    assert verified(client.assertion(), keys=inline(client)).client.id == CALENDAR_MCP


@pytest.mark.standard("7523bis-3")
@pytest.mark.parametrize(
    "kind",
    [
        ABSENT,
        "JWT",
        "jwt",
        "application/jwt",
        "client-authentication+jwt",
        "application/client-authentication+JWT",
    ],
    ids=str,
)
def test_the_type_of_an_assertion(kind):
    """It should say what it is; that it says nothing is no reason to refuse it."""
    assert verified(mcp.assertion(header={"typ": kind})).client.id == CALENDAR_MCP


@pytest.mark.standard("7523bis-3", "8725-3.12-1")
@pytest.mark.parametrize(
    "kind",
    [
        "at+jwt",
        "application/at+jwt",
        "dpop+jwt",
        "secevent+jwt",
        "logout+jwt",
        "oauth-id-jag+jwt",
        "oauth-client-attestation+jwt",
        "client-authentication",
        "JWT ",
        "",
    ],
)
def test_another_type_is_refused(kind):
    """What says that it is something else is no assertion."""
    assert cause_of(mcp.assertion(header={"typ": kind})) is Cause.TOKEN_TYPE


# Whose it is


@pytest.mark.standard("7523-2")
@pytest.mark.parametrize(
    "claims",
    [
        {"iss": ABSENT},
        {"sub": ABSENT},
        {"iss": CALENDAR_API_CLIENT},
        {"sub": CALENDAR_API_CLIENT},
        {"iss": OUR_ISSUER},
        {"iss": CALENDAR_MCP.upper()},
        {"iss": f"{CALENDAR_MCP} "},
        {"iss": [CALENDAR_MCP]},
        {"sub": [CALENDAR_MCP]},
        {"sub": None},
        {"sub": ""},
        {"iss": True},
        {"iss": CALENDAR_MCP_AUDIENCE, "sub": CALENDAR_MCP_AUDIENCE},
        {"iss": CALENDAR_API_CLIENT, "sub": CALENDAR_API_CLIENT},
    ],
    ids=repr,
)
def test_a_client_speaks_for_itself_alone(claims):
    """Issuer and subject are both the client's id, exactly; its key is good for no other name."""
    assert cause_of(mcp.assertion(**claims)) in {Cause.TOKEN_CLAIMS, Cause.KEY_UNKNOWN}


@pytest.mark.standard("7523-4", "8725-3.8-1")
def test_a_client_has_no_keys_but_its_own():
    """Neither another client's key nor an issuer's counts, under its own name or a borrowed one."""
    for thief in (api, login, us, stranger):
        borrowed = SigningClient.assertion(thief, header={"kid": mcp.kid}, **_of_mcp())
        own_name = SigningClient.assertion(thief, **_of_mcp())

        assert cause_of(borrowed) is Cause.SIGNATURE
        assert cause_of(own_name) is Cause.KEY_UNKNOWN


def _of_mcp():
    return {"iss": CALENDAR_MCP, "sub": CALENDAR_MCP}


@pytest.mark.standard("6749-2.3-4")
def test_who_is_unknown_is_refused_like_who_has_no_key():
    """Unknown, without keys, with a secret alone: nothing verifies, for the same cause."""
    unknown = SigningClient("nobody")

    assert cause_of(unknown.assertion()) is Cause.KEY_UNKNOWN
    assert cause_of(mcp.assertion(), keys=None) is Cause.KEY_UNKNOWN
    assert cause_of(mcp.assertion(), keys=None, secrets=(bytes(32),)) is Cause.KEY_UNKNOWN
    assert cause_of(rsa.assertion(), keys=None) is Cause.ALGORITHM


def test_the_log_is_told_who_was_named():
    """A refusal says which client it claimed to be, if it said so; and never what was sent."""
    for value, claimed in (
        (mcp.assertion(aud="x"), CALENDAR_MCP),
        (SigningClient("nobody").assertion(), "nobody"),
        (mcp.assertion(sub=5), None),
        ("x.y.z", None),
    ):
        with pytest.raises(AssertionRejected) as caught:
            verified(value)
        assert caught.value.claimed == claimed


# For whom it is


@pytest.mark.standard("7523bis-1", "7523bis-2", "7523-5", "BCPupd-1", "2.1-2")
def test_we_are_the_sole_audience():
    """Our issuer identifier, by itself or as the only value of an array (RFC 7519 §4.1.3)."""
    assert verified(mcp.assertion(aud=OUR_ISSUER))
    assert verified(mcp.assertion(aud=[OUR_ISSUER]))


@pytest.mark.standard("7523bis-1", "7523-5", "BCPupd-1", "2.1-2", "STK-7")
@pytest.mark.attack(14)
@pytest.mark.parametrize(
    "audience",
    [
        f"{OUR_ISSUER}/token",
        [f"{OUR_ISSUER}/token"],
        [OUR_ISSUER, "https://evil.example"],
        ["https://evil.example", OUR_ISSUER],
        [OUR_ISSUER, f"{OUR_ISSUER}/token"],
        [OUR_ISSUER, OUR_ISSUER],
        [OUR_ISSUER, None],
        [[OUR_ISSUER]],
        [],
        {OUR_ISSUER: True},
        None,
        "",
        ABSENT,
        f"{OUR_ISSUER}/",
        f"{OUR_ISSUER} ",
        f"{OUR_ISSUER}:443",
        OUR_ISSUER.upper(),
        OUR_ISSUER.removeprefix("https://"),
        CALENDAR_MCP_AUDIENCE,
        CALENDAR_API,
    ],
    ids=repr,
)
def test_no_other_audience_is_ours(audience):
    """Whoever passes our token endpoint off as its own gets nothing that is good here."""
    assert cause_of(mcp.assertion(aud=audience)) is Cause.AUDIENCE


# When it is good


@pytest.mark.standard("7523-2", "STK-7")
@pytest.mark.attack(14)
@pytest.mark.parametrize(
    ("claims", "cause"),
    [
        ({"exp": ABSENT}, Cause.TOKEN_CLAIMS),
        ({"iat": ABSENT}, Cause.TOKEN_CLAIMS),
        ({"exp": str(int(NOW_S + 60))}, Cause.TOKEN_CLAIMS),
        ({"exp": True}, Cause.TOKEN_CLAIMS),
        ({"nbf": "soon"}, Cause.TOKEN_CLAIMS),
        ({"exp": NOW_S}, Cause.EXPIRED),
        ({"exp": NOW_S - 1}, Cause.EXPIRED),
        ({"iat": NOW_S + 61, "exp": NOW_S + 120}, Cause.NOT_YET_VALID),
        ({"nbf": NOW_S + 61}, Cause.NOT_YET_VALID),
        ({"iat": NOW_S, "exp": NOW_S + 301}, Cause.LIFETIME_TOO_LONG),
        ({"iat": NOW_S - 299, "exp": NOW_S + 2}, Cause.LIFETIME_TOO_LONG),
        ({"exp": NOW_S + 3600}, Cause.LIFETIME_TOO_LONG),
        ({"exp": NOW_S + 31 * 365 * 86400}, Cause.LIFETIME_TOO_LONG),
    ],
    ids=repr,
)
def test_an_assertion_is_of_this_moment(claims, cause):
    """It says when it was made and when it ends, and lives for five minutes at most."""
    assert cause_of(mcp.assertion(**claims)) is cause


@pytest.mark.standard("7523-2")
@pytest.mark.parametrize(
    "claims",
    [
        {"exp": NOW_S + 0.5},
        {"iat": NOW_S, "exp": NOW_S + 300},
        {"iat": NOW_S - 299, "exp": NOW_S + 1},
        {"iat": NOW_S + 60, "exp": NOW_S + 360},
        {"nbf": NOW_S + 60},
        {"nbf": NOW_S - 600},
    ],
    ids=repr,
)
def test_a_clients_clock_may_be_a_minute_ahead(claims):
    """Leeway is for `iat` and `nbf`; `exp` has none."""
    assert verified(mcp.assertion(**claims))


@pytest.mark.standard("7523-2", "7523-3")
@pytest.mark.parametrize("jti", [ABSENT, None, "", 5, ["a"], "a" * 256, "a\nb", "\u200b"], ids=repr)
def test_an_assertion_has_an_id(jti):
    """What has no usable id cannot be claimed, so it is good for nothing."""
    assert cause_of(mcp.assertion(jti=jti)) is Cause.TOKEN_CLAIMS


# How it is signed


@pytest.mark.standard("7523-4", "8725-3.1-1")
@pytest.mark.parametrize("algorithm", ["none", "None", "noNE", "HS256", "HS512", "ES384", "RS256"])
def test_another_algorithm_is_refused(algorithm):
    """Only what the client's entry lists: never unsigned, never with a shared secret."""
    assert cause_of(mcp.assertion(header={"alg": algorithm})) is Cause.ALGORITHM


@pytest.mark.standard("7523-4", "8725-3.1-1")
def test_a_public_key_is_no_secret():
    """An assertion keyed with the public JWK verifies not even where an entry lists HS256."""
    keys = inline(mcp, algorithms=frozenset({"ES256", "HS256"}))
    head, payload, _ = mcp.assertion(header={"alg": "HS256"}).split(".")
    forged = [
        b64(hmac.digest(secret, f"{head}.{payload}".encode(), "sha256"))
        for secret in (keys.jwks[0].encode(), unb64(mcp.key.published()["x"]), b"")
    ]

    causes = {cause_of(f"{head}.{payload}.{signature}", keys=keys) for signature in forged}

    assert causes == {Cause.ALGORITHM}


@pytest.mark.standard("7523-4")
def test_a_key_that_the_entry_does_not_list_is_refused():
    """The algorithm must be the client's and the key's own, both."""
    both = frozenset({"RS256", "PS256"})
    borrowed = rsa.assertion(header={"alg": "PS256"})

    assert cause_of(rsa.assertion(), keys=inline(rsa, algorithms=frozenset({"ES256"})))
    assert cause_of(borrowed, keys=inline(rsa, algorithms=both)) is Cause.ALGORITHM
    assert verified(rsa.assertion(), keys=inline(rsa, algorithms=both))


@pytest.mark.standard("7523-4", "8725-3.10-1")
@pytest.mark.parametrize(
    "header",
    [
        {"jwk": stranger.key.published()},
        {"jku": "https://evil.example/jwks"},
        {"x5u": "https://evil.example/cert"},
        {"x5c": ["MIIB"]},
        {"crit": ["exp"]},
        {"kid": ABSENT},
        {"kid": 5},
        {"kid": "../../dev/null\n"},
    ],
    ids=lambda header: ascii(header)[:20],
)
def test_no_assertion_brings_its_own_key(header):
    """It names a registered key, and nothing else decides what it is checked with."""
    assert cause_of(stranger.assertion(header=header)) is Cause.TOKEN_HEADER


@pytest.mark.standard("STK-10", "7523-3")
@pytest.mark.attack(14, 15)
def test_a_malleated_copy_has_the_same_id():
    """What can be written differently is either refused or claimed under the same id."""
    value = mcp.assertion()
    signed, _, signature = value.rpartition(".")
    raw = unb64(signature)
    mirrored_s = P256_ORDER - int.from_bytes(raw[32:])
    mirrored = f"{signed}.{b64(raw[:32] + mirrored_s.to_bytes(32))}"

    assert mirrored != value
    assert verified(mirrored).id == verified(value).id
    for copy in (f"{value}=", f"{value}==", f" {value}", f"{value}\n", f"{value}.", value[:-1]):
        assert cause_of(copy) in {Cause.TOKEN_MALFORMED, Cause.SIGNATURE}


@given(st.sampled_from(["iss", "sub", "aud", "iat", "exp", "jti"]), st.data())
def test_an_altered_claim_is_refused(claim, data):
    """A signature is good for what was signed."""
    head, payload, signature = mcp.assertion().split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    other = data.draw(st.text() | st.integers() | st.none() | st.just(ABSENT))
    changed = {name: value for name, value in claims.items() if name != claim}
    if other is not ABSENT and other != claims[claim]:
        changed[claim] = other

    cause_of(f"{head}.{b64(json.dumps(changed).encode())}.{signature}")


@given(st.text() | st.from_regex(r"[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*", fullmatch=True))
def test_any_text_is_refused(value):
    """Whatever comes in, the answer is the one refusal."""
    with pytest.raises(AssertionRejected):
        verified(value)


def test_a_registered_key_that_is_none_verifies_nothing():
    """A key text that no registry would let pass is no key, and no error of ours."""
    keys = inline(mcp)
    broken = [text.replace('"EC"', '"oct"') for text in keys.jwks]

    for jwks in ((*broken,), ("{",)):
        assert cause_of(mcp.assertion(), keys=type(keys)(jwks=jwks, algorithms=keys.algorithms))


# Several keys, and keys elsewhere


@pytest.mark.standard("7523-4")
def test_keys_are_rotated_without_a_gap():
    """Two keys count at once; one that has been taken out does not."""
    following = SigningClient()
    both, later = inline(mcp, following), inline(following)

    assert verified(mcp.assertion(), keys=both)
    assert verified(following.assertion(), keys=both)
    assert verified(following.assertion(), keys=later)
    assert cause_of(mcp.assertion(), keys=later) is Cause.KEY_UNKNOWN


def published(owner=CALENDAR_MCP):
    """Keys that a client publishes itself."""
    return PublishedKeys(owner=owner, jwks_uri=JWKS_URI, algorithms=frozenset({"ES256"}))


@pytest.mark.standard("7523-4", "8725-3.10-2")
def test_a_client_may_publish_its_keys():
    """Its `jwks_uri` is asked once, under the limits that hold for issuers; others need nothing."""
    cooldown, asked = NoCooldown(), []

    def fetch(source):
        asked.append(source.jwks_uri)
        return mcp.jwks()

    special = verifier_with(ForeignKeys(cooldown, fetch=fetch, clock=lambda: 1000.0))
    registry = registered(keys=published())

    for _ in range(3):
        assert special.assertion(mcp.assertion(), registry).client.keys == published()
    assert special.assertion(api.assertion(), registry).client.id == CALENDAR_API_CLIENT
    with pytest.raises(AssertionRejected):
        special.assertion(stranger.assertion(), registry)
    assert asked == [JWKS_URI]
    assert cooldown.asked == []


@pytest.mark.standard("8725-3.10-2")
def test_keys_out_of_reach_are_no_refusal():
    """Where nobody can tell whether the client is who it says, there is no answer."""
    with pytest.raises(Unavailable, match="issuer_keys"):
        verified(mcp.assertion(), keys=published())


@pytest.mark.standard("8725-3.10-2")
def test_what_cannot_be_good_causes_no_fetch():
    """Another type, another name, another algorithm: its keys are not even looked for."""
    for value in (
        mcp.assertion(header={"typ": "at+jwt"}),
        mcp.assertion(iss="x"),
        rsa.assertion(),
    ):
        assert cause_of(value, keys=published())


# No token is two things


BOTH = SigningClient(LOGIN)
"""An issuer that is also a client, of the same name and with the same key: as bad as it gets."""

ACCESS = {"sub": ALICE.subject, "aud": CALENDAR_MCP_AUDIENCE, "client_id": "desk-agent"}


def _confused_registry():
    issuer = an_issuer(legacy_types=True)
    return a_registry(issuers=[issuer], clients=[a_client(id=LOGIN, keys=inline(BOTH))])


@pytest.mark.standard("8725-3.12-1", "8725-3.11-1")
@pytest.mark.attack(2)
@pytest.mark.parametrize("aud", [OUR_ISSUER, CALENDAR_MCP_AUDIENCE], ids=["ours", "theirs"])
@pytest.mark.parametrize("kind", [ABSENT, "JWT", "at+jwt", "client-authentication+jwt"], ids=str)
@pytest.mark.parametrize("subject", [LOGIN, ALICE.subject])
def test_no_token_is_both_an_assertion_and_a_subject_token(subject, kind, aud):
    """Even where one party is issuer and client, whatever verifies as the one is not the other."""
    registry = _confused_registry()
    special = verifier_with(keys_of(BOTH))
    value = BOTH.assertion(
        header={"typ": kind}, sub=subject, aud=aud, client_id="desk-agent", scope="calendar:read"
    )

    outcomes = [
        _succeeds(lambda: special.subject(presented(value), registry)),
        _succeeds(lambda: special.assertion(value, registry)),
    ]

    assert outcomes != [True, True]
    assert outcomes[1] is (subject == LOGIN and kind != "at+jwt" and aud == OUR_ISSUER)
    assert outcomes[0] is (subject != LOGIN and kind != "client-authentication+jwt")


def _succeeds(call):
    try:
        return bool(call())
    except (SubjectTokenRejected, AssertionRejected):
        return False


def _our_token():
    """An access token that we issued."""
    claims = {"sub": f"{ALIAS}|alice", "aud": CALENDAR_API, "client_id": CALENDAR_MCP}
    act = {"iss": OUR_ISSUER, "sub": CALENDAR_MCP}
    return us.token(**claims, act=act, exp=int(NOW_S) + 60, txn="exchange-1")


@pytest.mark.standard("8725-3.12-1")
@pytest.mark.parametrize("kind", ["assertion", "foreign", "ours"])
@pytest.mark.parametrize("judge", ["assertion", "subject"])
def test_all_pairs(kind, judge):
    """Each kind of token passes the one validator that is meant for it, and no other."""
    value = {"assertion": mcp.assertion, "foreign": login.token, "ours": _our_token}[kind]()
    registry = registered()

    outcome = {
        "assertion": lambda: verifier.assertion(value, registry),
        "subject": lambda: verifier.subject(presented(value), registry),
    }[judge]

    assert _succeeds(outcome) is ((kind == "assertion") == (judge == "assertion"))
