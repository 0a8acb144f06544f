"""The verifier: what a sound token comes to mean, and a test for each attack on the way there."""

import base64
import hashlib
import hmac
import json
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from delegation.domain.errors import Cause, SubjectTokenRejected, Unavailable
from delegation.domain.parties import CHAIN_HARD_CAP, Actor, ActorChain, Identity
from delegation.domain.tokens import UNKNOWN, Authentication, TokenType
from delegation.domain.trust import LONGEST_SESSION
from delegation.jose.jwks import ForeignKeys
from delegation.jose.verifier import JwtVerifier
from tests.parties import (
    ALIAS,
    ALICE,
    CALENDAR_API,
    CALENDAR_MCP,
    CALENDAR_MCP_AUDIENCE,
    DESK_AGENT,
    LOGIN,
    NOW,
    OUR_ISSUER,
    a_registry,
    an_issuer,
)
from tests.signing import (
    ABSENT,
    NoCooldown,
    SigningParty,
    a_keyring,
    b64,
    keys_of,
    presented,
    unb64,
)

PARTNER = "https://partner.example.org"
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

login = SigningParty()
partner = SigningParty(PARTNER)
us = SigningParty(OUR_ISSUER)
verifier = JwtVerifier(keyring=a_keyring(us), keys=keys_of(login, partner), clock=lambda: NOW)

NOW_S = int(NOW.timestamp())


def verified(value, *, declared=TokenType.ACCESS_TOKEN, **entry):
    """What *value* means where the entry of its issuer is changed by *entry*."""
    registry = a_registry(issuers=[an_issuer(**entry)])
    return verifier.subject(presented(value, declared), registry)


def cause_of(value, **entry):
    """Why *value* is refused."""
    with pytest.raises(SubjectTokenRejected) as caught:
        verified(value, **entry)
    assert value not in str(caught.value.detail)
    return caught.value.cause


def our_token(**changes):
    """What we issue for Alice, as our signer writes it but for *changes*."""
    claims = {
        "sub": f"{ALIAS}|{ALICE.subject}",
        "sub_id": {"format": "iss_sub", "iss": LOGIN, "sub": ALICE.subject},
        "aud": CALENDAR_API,
        "client_id": CALENDAR_MCP,
        "scope": "events.read",
        "act": {"iss": OUR_ISSUER, "sub": CALENDAR_MCP},
        "iat": NOW_S - 60,
        "exp": NOW_S + 240,
        "jti": "exchange-1",
        "txn": "exchange-0",
    }
    return us.token(**(claims | changes))


# What a sound token means


@pytest.mark.standard("8693-2.1-14", "7519-1")
@pytest.mark.parametrize("declared", list(TokenType), ids=lambda each: each.name)
def test_a_foreign_token_is_understood(declared):
    """A sound token of a trusted issuer means what its claims say, whichever type is declared."""
    token = verified(login.token(), declared=declared)

    assert (token.issuer, token.id) == (LOGIN, "login-1")
    assert (token.subject, token.alias) == (ALICE, ALIAS)
    assert token.audience == (CALENDAR_MCP_AUDIENCE,)
    assert token.scope == {"calendar:read", "calendar:write"}
    assert token.issued_at == NOW - timedelta(minutes=1)
    assert token.expires_at == NOW + timedelta(hours=1)
    assert token.agent == DESK_AGENT
    assert (len(token.actors), token.may_act, token.txn) == (0, None, None)
    assert token.authentication == UNKNOWN
    assert token.claims == {}
    assert not token.is_ours


def test_our_own_token_is_understood():
    """A token of ours means the root identity that its `sub` names, with its chain."""
    token = verified(our_token())

    assert (token.issuer, token.id, token.txn) == (OUR_ISSUER, "exchange-1", "exchange-0")
    assert (token.subject, token.alias) == (ALICE, ALIAS)
    assert (token.audience, token.agent) == ((CALENDAR_API,), CALENDAR_MCP)
    assert token.actors.actors == (Actor(identity=Identity(OUR_ISSUER, CALENDAR_MCP)),)
    assert token.scope == {"events.read"}
    assert token.is_ours


@pytest.mark.standard("7662-2")
def test_our_own_token_is_told_from_all_others():
    """`own` understands what `subject` does of ours, and nothing of anybody else's."""
    registry = a_registry()

    assert verifier.own(our_token(), registry) == verified(our_token())
    assert verifier.own(login.token(), registry) is None


@pytest.mark.standard("7662-2")
@pytest.mark.parametrize(
    "value",
    [
        "",
        "x.y.z",
        our_token(exp=NOW_S),
        our_token(iss=[OUR_ISSUER]),
        our_token(act=ABSENT),
        our_token(aud=["a", "b"]),
        our_token(sub="nowhere|alice"),
        our_token(scope="a  b"),
        our_token(jti=5),
        us.token(header={"typ": "JWT"}),
        login.token(iss=OUR_ISSUER),
    ],
    ids=range(11),
)
def test_what_is_no_sound_token_of_ours_is_none(value):
    """Why is nobody's business who asks about a token; and nobody's keys are fetched for it."""

    def fetch(_):
        raise AssertionError("somebody was asked")

    alone = JwtVerifier(
        keyring=a_keyring(us), keys=ForeignKeys(NoCooldown(), fetch=fetch), clock=lambda: NOW
    )

    assert alone.own(value, a_registry()) is None


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA", "RS256", "PS256"])
def test_every_usual_algorithm_verifies(algorithm):
    """A token verifies under each algorithm that its issuer's entry lists."""
    party = SigningParty(algorithm=algorithm)
    special = JwtVerifier(keyring=a_keyring(), keys=keys_of(party), clock=lambda: NOW)
    registry = a_registry(issuers=[an_issuer(algorithms=frozenset({algorithm}))])

    assert special.subject(presented(party.token()), registry).subject == ALICE


def test_an_issuer_writes_in_its_own_vocabulary():
    """Id, scope and client are read where the issuer's entry says that they are."""
    entra = {"id_claim": "uti", "scope_claim": "scp", "client_claim": "azp"}
    value = login.token(
        jti=ABSENT, scope=ABSENT, client_id=ABSENT, uti="u-1", scp="a b", azp="agent-1"
    )

    token = verified(value, **entra)

    assert (token.id, token.scope, token.agent) == ("u-1", {"a", "b"}, "agent-1")


def test_an_issuer_without_ids_is_identified_by_what_it_signed():
    """Where tokens carry no id, theirs is the digest of what the signature covers."""
    value = login.token(jti=ABSENT)

    token = verified(value, id_claim=None)

    assert token.id == hashlib.sha256(value.rpartition(".")[0].encode()).hexdigest()


def test_dates_may_have_fractions():
    """A NumericDate with a fraction is as good as one without (RFC 7519 §2)."""
    token = verified(login.token(exp=NOW_S + 60.5, iat=NOW_S - 0.25, auth_time=NOW_S - 9.75))

    assert token.expires_at == NOW + timedelta(seconds=60.5)
    assert token.authentication.time == NOW - timedelta(seconds=10)


@pytest.mark.standard("9068-2.2-2")
def test_how_a_person_logged_in_is_read():
    """Time, class and methods of the login are read."""
    token = verified(login.token(auth_time=NOW_S - 600, acr="gold", amr=["pwd", "otp"]))

    assert token.authentication == Authentication(
        time=NOW - timedelta(minutes=10), acr="gold", amr=("pwd", "otp")
    )


@pytest.mark.standard("REV-3")
def test_a_login_that_is_too_long_past_is_refused():
    """Stops on logins are forgotten after the longest session: nothing may come from before it."""
    longest = int(LONGEST_SESSION.total_seconds())
    issued_at = NOW_S - 60

    assert verified(login.token(iat=issued_at, auth_time=issued_at - longest))
    too_old = login.token(iat=issued_at, auth_time=issued_at - longest - 1)
    assert cause_of(too_old) is Cause.LOGIN_TOO_OLD


@pytest.mark.parametrize(
    ("claim", "values"),
    [
        ("staff", ["staff"]),
        (["staff", "admins"], ["staff", "admins"]),
        ([], []),
        (True, []),
        (7, []),
        (None, []),
        ({"staff": True}, []),
        (["staff", 7], []),
        ([["staff"]], []),
    ],
    ids=repr,
)
def test_only_named_claims_leave_and_only_as_strings(claim, values):
    """A claim that grants may match becomes a set of strings; anything else matches nothing."""
    token = verified(login.token(groups=claim, department="sales"))

    assert token.claims.get("groups", frozenset()) == frozenset(values)
    assert "department" not in token.claims


# 1. Algorithm confusion


@pytest.mark.standard("8725-3.1-1")
@pytest.mark.parametrize("algorithm", ["none", "None", "noNE", "NONE", ""])
def test_no_token_is_unsigned(algorithm):
    """`alg: none` is refused in every spelling, with a signature and with a sham one."""
    header = {"alg": algorithm}
    head = login.token(header=header).rpartition(".")[0]

    assert cause_of(login.token(header=header)) is Cause.ALGORITHM
    assert cause_of(f"{head}.AA") is Cause.ALGORITHM
    assert cause_of(f"{head}.") is Cause.TOKEN_MALFORMED


def public_secrets():
    """The published key in every form that could be taken for a shared secret."""
    key = login.key.private.public_key()
    yield key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    yield key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    yield json.dumps(login.key.published()).encode()
    yield b""


@pytest.mark.standard("8725-3.1-1")
@pytest.mark.parametrize("secret", list(public_secrets()), ids=["pem", "der", "jwk", "empty"])
@pytest.mark.parametrize("listed", [{"ES256"}, {"ES256", "HS256"}], ids=["listed-not", "listed"])
def test_a_public_key_is_no_secret(secret, listed):
    """HS256 with the public key as the secret is refused, even where an entry lists HS256."""
    head = login.token(header={"alg": "HS256"}).rpartition(".")[0]
    value = f"{head}.{b64(hmac.digest(secret, head.encode(), 'sha256'))}"

    assert cause_of(value, algorithms=frozenset(listed)) is Cause.ALGORITHM


@pytest.mark.standard("8725-3.1-1")
@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "EdDSA", "ES384", "es256", "ES256 "])
def test_a_key_is_good_for_one_algorithm(algorithm):
    """A token that names another algorithm than its key's is refused, listed or not."""
    value = login.token(header={"alg": algorithm})

    assert cause_of(value) is Cause.ALGORITHM
    assert cause_of(value, algorithms=frozenset({"ES256", algorithm})) is Cause.ALGORITHM


@pytest.mark.standard("8725-3.1-1")
def test_an_rsa_key_is_bound_too():
    """PS256 with a key that its issuer published for RS256 is refused, though both are listed."""
    party, other = SigningParty(algorithm="RS256"), SigningParty(algorithm="PS256")
    other.key = replace(other.key, private=party.key.private, kid=party.kid)
    special = JwtVerifier(keyring=a_keyring(), keys=keys_of(party), clock=lambda: NOW)
    registry = a_registry(issuers=[an_issuer(algorithms=frozenset({"RS256", "PS256"}))])

    with pytest.raises(SubjectTokenRejected) as caught:
        special.subject(presented(other.token()), registry)

    assert caught.value.cause is Cause.ALGORITHM


@pytest.mark.standard("8725-3.1-1")
def test_only_listed_algorithms_count():
    """A sound signature of an algorithm that the entry does not list is refused, unfetched."""
    unreachable = JwtVerifier(keyring=a_keyring(), keys=keys_of(), clock=lambda: NOW)
    registry = a_registry(issuers=[an_issuer(algorithms=frozenset({"EdDSA"}))])

    with pytest.raises(SubjectTokenRejected) as caught:
        unreachable.subject(presented(login.token()), registry)

    assert caught.value.cause is Cause.ALGORITHM


# 2. and 3. Other kinds of tokens


@pytest.mark.standard("8693-3-1", "8725-3.11-1", "8725-3.12-1", "STK-8")
@pytest.mark.parametrize(
    "kind",
    [
        "secevent+jwt",
        "logout+jwt",
        "dpop+jwt",
        "client-authentication+jwt",
        "oauth-id-jag+jwt",
        "txntoken+jwt",
        "token-introspection+jwt",
        "JWT",
        "at+jwt; charset=utf-8",
        " at+jwt",
        "text/at+jwt",
        "application/application/at+jwt",
        "",
        ABSENT,
    ],
    ids=repr,
)
@pytest.mark.parametrize("party", [login, us], ids=["foreign", "ours"])
def test_other_kinds_of_tokens_are_refused(kind, party):
    """A token that is not typed as an access token is refused, however well it is signed."""
    value = our_token(header={"typ": kind}) if party is us else login.token(header={"typ": kind})

    assert cause_of(value) is Cause.TOKEN_TYPE


@pytest.mark.standard("8725-3.11-1")
@pytest.mark.parametrize("kind", ["at+jwt", "AT+JWT", "application/at+jwt", "Application/At+Jwt"])
def test_a_type_is_a_media_type(kind):
    """Neither the case of `typ` matters nor whether `application/` is written out."""
    assert verified(login.token(header={"typ": kind})).subject == ALICE


@pytest.mark.standard("8725-3.11-1")
@pytest.mark.parametrize("kind", ["AT+JWT", "application/at+jwt"])
def test_our_own_type_is_written_in_one_way(kind):
    """A token of ours bears the type that we write, letter by letter."""
    assert cause_of(our_token(header={"typ": kind})) is Cause.TOKEN_TYPE


@pytest.mark.standard("8725-3.11-1")
@pytest.mark.parametrize("kind", [ABSENT, "JWT", "jwt"], ids=repr)
@pytest.mark.parametrize("left_out", ["scope", "client_id", "nothing"])
def test_an_issuer_may_be_of_the_old_school(kind, left_out):
    """Where the entry says so, no type or `JWT` will do, with scope or client to make up for it."""
    value = login.token(header={"typ": kind}, **{left_out: ABSENT})

    assert verified(value, legacy_types=True).subject == ALICE
    assert cause_of(value) is Cause.TOKEN_TYPE


@pytest.mark.standard("8725-3.11-1")
@pytest.mark.parametrize("kind", ["logout+jwt", "id+jwt", ""])
def test_the_old_school_has_no_other_types(kind):
    """Where old types are accepted, wrong ones still are not."""
    assert cause_of(login.token(header={"typ": kind}), legacy_types=True) is Cause.TOKEN_TYPE


@pytest.mark.standard("8725-3.11-1")
def test_an_untyped_token_must_look_like_an_access_token():
    """Without a type, and with neither scope nor client, it could be anything."""
    value = login.token(header={"typ": ABSENT}, scope=ABSENT, client_id=ABSENT)

    assert cause_of(value, legacy_types=True) is Cause.TOKEN_TYPE


@pytest.mark.standard("8693-3-1", "8725-3.11-1")
@pytest.mark.parametrize("claim", ["nonce", "at_hash", "c_hash", "events"])
@pytest.mark.parametrize("kind", ["at+jwt", "JWT", ABSENT], ids=repr)
def test_an_id_token_is_no_access_token(claim, kind):
    """What ID tokens and security events have bars a token, under whichever type and setting."""
    value = login.token(header={"typ": kind}, **{claim: "n-0S6_WzA2Mj"})

    assert cause_of(value) is Cause.TOKEN_TYPE
    assert cause_of(value, legacy_types=True) is Cause.TOKEN_TYPE


# 5. The shape of `aud`


@pytest.mark.standard("8725-3.9-1")
@pytest.mark.parametrize(
    "audience",
    [ABSENT, None, "", [], [""], [None], [CALENDAR_MCP_AUDIENCE, None], [["a"]], {}, 5, True],
    ids=repr,
)
@pytest.mark.parametrize("several", [True, False], ids=["several", "single"])
def test_an_audience_is_named(audience, several):
    """A token for nobody in particular is refused."""
    assert cause_of(login.token(aud=audience), several_audiences=several) is Cause.AUDIENCE
    assert cause_of(our_token(aud=audience)) is Cause.AUDIENCE


@pytest.mark.standard("8725-3.9-1")
def test_a_token_has_one_audience_unless_its_issuer_may_name_several():
    """Several audiences are refused where the entry does not allow them; one in an array is one."""
    several = [CALENDAR_MCP_AUDIENCE, "https://evil.example"]

    assert verified(login.token(aud=[CALENDAR_MCP_AUDIENCE])).audience == (CALENDAR_MCP_AUDIENCE,)
    assert cause_of(login.token(aud=several)) is Cause.AUDIENCE
    assert verified(login.token(aud=several), several_audiences=True).audience == tuple(several)
    assert cause_of(our_token(aud=several), several_audiences=True) is Cause.AUDIENCE


# 7. The shape of `act`


@pytest.mark.standard("8693-4.1-1", "8693-4.1-5", "8693-4.1-7")
@pytest.mark.parametrize(
    "act",
    [
        "agent",
        [],
        [{"sub": "a"}],
        None,
        5,
        True,
        {},
        {"iss": PARTNER},
        {"sub": "a"},
        {"iss": PARTNER, "sub": ""},
        {"iss": PARTNER, "sub": 5},
        {"iss": 5, "sub": "a"},
        {"iss": None, "sub": "a"},
        {"iss": PARTNER, "sub": "a\nb"},
        {"iss": PARTNER, "sub": "a" * 256},
        {"iss": PARTNER, "sub": "a", "client_id": 5},
        {"iss": PARTNER, "sub": "a", "act": None},
        {"iss": PARTNER, "sub": "a", "act": "b"},
        {"iss": PARTNER, "sub": "a", "act": {"iss": PARTNER}},
    ],
    ids=repr,
)
def test_a_malformed_chain_is_refused(act):
    """An actor chain with any hop that does not name its actor is refused: `null` is not absent."""
    assert cause_of(login.token(act=act), asserts_actors=True) is Cause.CHAIN_MALFORMED
    assert cause_of(our_token(act=act)) is Cause.CHAIN_MALFORMED


def chain(length):
    """An `act` claim of so many hops, actor-1 current."""
    claim = None
    for number in range(length, 0, -1):
        hop = {"iss": PARTNER, "sub": f"actor-{number}"}
        claim = hop if claim is None else hop | {"act": claim}
    return claim


@pytest.mark.standard("8693-4.1-2", "8693-4.1-6", "8693-4.1-7")
def test_a_chain_is_kept_whole_or_refused():
    """A chain of the longest length is kept in order; one hop more refuses, nothing is cut."""
    longest = verified(login.token(act=chain(CHAIN_HARD_CAP)), asserts_actors=True)

    assert [actor.identity.subject for actor in longest.actors] == [
        f"actor-{number}" for number in range(1, CHAIN_HARD_CAP + 1)
    ]
    too_long = login.token(act=chain(CHAIN_HARD_CAP + 1))
    assert cause_of(too_long, asserts_actors=True) is Cause.CHAIN_MALFORMED


@pytest.mark.standard("8693-4.1-7")
@pytest.mark.parametrize(
    ("levels", "cause"),
    [(50, Cause.TOKEN_MALFORMED), (500, Cause.TOKEN_MALFORMED), (100_000, Cause.TOKEN_TOO_LARGE)],
)
def test_a_chain_is_no_bomb(levels, cause):
    """A chain of any depth is just refused."""
    header = json.dumps(login.header()).encode()
    bomb = b'{"act":' * levels + b"{}" + b"}" * levels

    assert cause_of(login.sign_bytes(header, bomb)) is cause


@pytest.mark.standard("8693-4.1-7")
def test_a_chain_of_60_kilobytes_is_refused():
    """A chain that is large rather than deep is refused by its size."""
    act = {"iss": PARTNER, "sub": "a", "note": "x" * 60_000}

    assert cause_of(login.token(act=act), asserts_actors=True) is Cause.TOKEN_TOO_LARGE


@pytest.mark.standard("8693-4.1-4")
def test_what_has_no_meaning_in_a_hop_is_ignored():
    """An `exp` in the past, a scope or a key inside `act` changes nothing."""
    act = {"iss": PARTNER, "sub": "a", "exp": 1, "scope": "admin", "cnf": {}, "aud": ["x"]}

    token = verified(login.token(act=act), asserts_actors=True)

    assert token.actors == ActorChain((Actor(identity=Identity(PARTNER, "a")),))


@pytest.mark.standard("8693-4.4-4")
@pytest.mark.parametrize("act", [None, {}, chain(1)], ids=repr)
def test_only_some_issuers_may_assert_actors(act):
    """An issuer that is not trusted to say who acts must not bring an `act`, not even an empty
    one.
    """
    assert cause_of(login.token(act=act)) is Cause.CHAIN_NOT_TRUSTED


@pytest.mark.standard("8693-4.1-8")
def test_nobody_else_speaks_for_our_clients():
    """A foreign hop that claims to be a client of ours is a forgery, at any depth."""
    forged = {"iss": OUR_ISSUER, "sub": CALENDAR_MCP}
    below = {"iss": PARTNER, "sub": "a", "act": forged}

    for act in (forged, below):
        assert cause_of(login.token(act=act), asserts_actors=True) is Cause.CHAIN_NOT_TRUSTED
    nameless = login.token(act={"sub": CALENDAR_MCP})
    assert (
        cause_of(nameless, asserts_actors=True, actor_issuer=OUR_ISSUER) is Cause.CHAIN_NOT_TRUSTED
    )


@pytest.mark.standard("8693-4.1-8")
def test_a_hop_without_an_issuer_takes_the_one_of_the_entry():
    """Where the entry supplies the issuer of nameless hops, they are that issuer's."""
    value = login.token(act={"sub": "a", "act": {"iss": LOGIN, "sub": "b"}})

    token = verified(value, asserts_actors=True, actor_issuer=PARTNER)

    assert [actor.identity for actor in token.actors] == [
        Identity(PARTNER, "a"),
        Identity(LOGIN, "b"),
    ]


# `may_act`


@pytest.mark.standard("8693-4.4-1", "8693-4.4-2")
def test_may_act_is_read():
    """Every member of `may_act` is handed to the policy, whether we know it or not."""
    members = {"iss": OUR_ISSUER, "sub": CALENDAR_MCP, "x": "y"}

    assert verified(login.token(may_act=members)).may_act == members
    assert verified(our_token(may_act=members)).may_act == members


@pytest.mark.standard("8693-4.4-1", "8693-4.4-2")
@pytest.mark.parametrize(
    "members", ["client", ["a"], None, {}, True, {"sub": 5}, {"sub": None}, {"act": {}}], ids=repr
)
def test_a_malformed_may_act_is_refused(members):
    """What cannot be understood of `may_act` is not taken for its absence."""
    assert cause_of(login.token(may_act=members)) is Cause.TOKEN_CLAIMS
    assert cause_of(our_token(may_act=members)) is Cause.TOKEN_CLAIMS


# 11. and 12. Headers that bring something along


@pytest.mark.standard("8725-3.10-1")
@pytest.mark.parametrize(
    "kid", ["../../../dev/null", "/etc/passwd", "unknown", "https://evil.example/key"]
)
def test_a_kid_is_looked_up_and_nothing_else(kid):
    """A key id is a name among the issuer's keys, whatever else it might look like."""
    assert cause_of(login.token(header={"kid": kid})) is Cause.KEY_UNKNOWN
    assert cause_of(our_token(header={"kid": kid})) is Cause.KEY_UNKNOWN


@pytest.mark.standard("8725-3.10-1", "8725-3.10-2")
@pytest.mark.parametrize(
    "member",
    [
        {"jwk": SigningParty("https://evil.example").key.published()},
        {"x5c": ["MIIB"]},
        {"jku": "https://evil.example/jwks"},
        {"jku": "http://169.254.169.254/latest/meta-data"},
        {"x5u": "https://evil.example/x5u"},
    ],
    ids=["jwk", "x5c", "jku", "jku-inside", "x5u"],
)
def test_no_token_brings_its_own_key(member):
    """A header with a key, or with the address of one, is refused before anything is fetched."""
    cooldown = NoCooldown()
    fetched = []
    keys = ForeignKeys(cooldown, fetch=fetched.append)
    special = JwtVerifier(keyring=a_keyring(), keys=keys, clock=lambda: NOW)

    with pytest.raises(SubjectTokenRejected) as caught:
        special.subject(presented(login.token(header=member)), a_registry())

    assert caught.value.cause is Cause.TOKEN_HEADER
    assert fetched == cooldown.asked == []


# 15. Copies


@pytest.mark.standard("8725-3.3-1", "STK-10")
@pytest.mark.parametrize("id_claim", ["jti", None])
def test_a_malleated_copy_is_the_same_token(id_claim):
    """A second signature made from the first (r, n-s) may verify, but has the same id."""
    value = login.token()
    head, _, signature = value.rpartition(".")
    raw = unb64(signature)
    r, s = int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")
    other = decode_dss_signature(encode_dss_signature(r, P256_ORDER - s))
    copy = f"{head}.{b64(b''.join(part.to_bytes(32, 'big') for part in other))}"

    assert copy != value
    assert verified(copy, id_claim=id_claim).id == verified(value, id_claim=id_claim).id
    assert cause_of(value + "=") is Cause.TOKEN_MALFORMED


# 16. Dates


@pytest.mark.standard("7519-1")
@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        pytest.param({"exp": NOW_S}, Cause.EXPIRED, id="expires-now"),
        pytest.param({"exp": NOW_S - 1}, Cause.EXPIRED, id="no-leeway-for-exp"),
        pytest.param({"exp": NOW_S - 3600}, Cause.EXPIRED, id="expired"),
        pytest.param({"exp": 0}, Cause.EXPIRED, id="expires-at-zero"),
        pytest.param({"iat": NOW_S + 31}, Cause.NOT_YET_VALID, id="from-the-future"),
        pytest.param({"nbf": NOW_S + 31}, Cause.NOT_YET_VALID, id="not-before"),
        pytest.param({"exp": ABSENT}, Cause.TOKEN_CLAIMS, id="no-exp"),
        pytest.param({"iat": ABSENT}, Cause.TOKEN_CLAIMS, id="no-iat"),
        pytest.param({"exp": None}, Cause.TOKEN_CLAIMS, id="null-exp"),
        pytest.param({"exp": str(NOW_S + 60)}, Cause.TOKEN_CLAIMS, id="string-exp"),
        pytest.param({"exp": True}, Cause.TOKEN_CLAIMS, id="true-exp"),
    ],
)
def test_a_token_lives_between_its_dates(changes, cause):
    """A token is good from `iat` and `nbf`, give or take a clock, and strictly before `exp`."""
    assert cause_of(login.token(**changes)) is cause
    assert cause_of(our_token(**changes)) is cause


@pytest.mark.standard("7519-1")
@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"exp": NOW_S + 1}, id="a-second-left"),
        pytest.param({"iat": NOW_S + 30}, id="iat-within-the-skew"),
        pytest.param({"nbf": NOW_S + 30}, id="nbf-within-the-skew"),
        pytest.param({"nbf": NOW_S - 3600}, id="nbf-past"),
    ],
)
def test_clocks_may_be_a_little_ahead(changes):
    """A clock that is up to thirty seconds ahead of ours does no harm."""
    assert verified(login.token(**changes)).subject == ALICE


@pytest.mark.standard("7519-1")
def test_no_token_lives_longer_than_we_remember():
    """A foreign token has at most a day from `iat` to `exp`, one of ours at most a quarter of an
    hour.
    """
    day = 24 * 3600

    assert verified(login.token(iat=NOW_S, exp=NOW_S + day)).subject == ALICE
    assert cause_of(login.token(iat=NOW_S, exp=NOW_S + day + 1)) is Cause.LIFETIME_TOO_LONG
    assert cause_of(login.token(iat=NOW_S - day, exp=NOW_S + 1)) is Cause.LIFETIME_TOO_LONG
    assert verified(our_token(iat=NOW_S, exp=NOW_S + 900)).subject == ALICE
    assert cause_of(our_token(iat=NOW_S, exp=NOW_S + 901)) is Cause.LIFETIME_TOO_LONG


# 18. Whose key, whose subject


@pytest.mark.standard("8725-3.8-1")
def test_the_same_subject_of_two_issuers_is_two_people():
    """A subject is told apart by its issuer, even where everything else is equal."""
    registry = a_registry(issuers=[an_issuer(), an_issuer(issuer=PARTNER, alias="partner")])

    hers = verifier.subject(presented(login.token()), registry)
    theirs = verifier.subject(presented(partner.token()), registry)

    assert (hers.subject, hers.alias) == (ALICE, ALIAS)
    assert (theirs.subject, theirs.alias) == (Identity(PARTNER, ALICE.subject), "partner")


@pytest.mark.standard("8725-3.8-1")
@pytest.mark.parametrize("claimed", [LOGIN, OUR_ISSUER])
def test_an_issuer_cannot_sign_for_another(claimed):
    """A trusted issuer's key is worth nothing under another issuer's name, ours included."""
    registry = a_registry(issuers=[an_issuer(), an_issuer(issuer=PARTNER, alias="partner")])

    with pytest.raises(SubjectTokenRejected) as caught:
        verifier.subject(presented(partner.token(iss=claimed)), registry)

    assert caught.value.cause is Cause.KEY_UNKNOWN


@pytest.mark.standard("8725-3.8-1")
def test_one_kid_of_two_issuers_is_two_keys():
    """Where two issuers publish the same key id, each is checked with its own key."""
    rival = SigningParty(PARTNER)
    rival.key = replace(rival.key, kid=login.kid, public=replace(rival.key.public, kid=login.kid))

    def published(source):
        party = rival if source.owner == PARTNER else login
        return {"keys": [party.key.published() | {"kid": login.kid}]}

    keys = ForeignKeys(NoCooldown(), fetch=published)
    special = JwtVerifier(keyring=a_keyring(), keys=keys, clock=lambda: NOW)
    theirs = an_issuer(issuer=PARTNER, alias="partner", jwks_uri=f"{PARTNER}/jwks")
    registry = a_registry(issuers=[an_issuer(), theirs])

    assert special.subject(presented(login.token()), registry).subject == ALICE
    assert special.subject(presented(rival.token()), registry).issuer == PARTNER
    with pytest.raises(SubjectTokenRejected) as caught:
        special.subject(presented(rival.token(iss=LOGIN)), registry)
    assert caught.value.cause is Cause.SIGNATURE


@pytest.mark.standard("8725-3.8-1")
@pytest.mark.parametrize(
    "issuer",
    [
        "https://unknown.example",
        f"{LOGIN}/",
        LOGIN.upper(),
        f"{LOGIN}.evil.example",
        f" {LOGIN}",
        "",
        None,
        5,
        [LOGIN],
        {LOGIN: 1},
        ABSENT,
    ],
    ids=repr,
)
def test_an_issuer_is_matched_character_by_character(issuer):
    """Only the exact identifier of a trusted issuer is trusted."""
    assert cause_of(login.token(iss=issuer)) is Cause.ISSUER_NOT_TRUSTED


@pytest.mark.standard("9068-5-2", "8725-3.8-1")
@pytest.mark.parametrize(
    ("sub", "cause"),
    [
        ("alice", Cause.ISSUER_NOT_TRUSTED),
        ("other|alice", Cause.ISSUER_NOT_TRUSTED),
        ("|alice", Cause.ISSUER_NOT_TRUSTED),
        ("CORP|alice", Cause.ISSUER_NOT_TRUSTED),
        ("corp|", Cause.TOKEN_CLAIMS),
        ("corp|al\tice", Cause.TOKEN_CLAIMS),
        (None, Cause.TOKEN_CLAIMS),
        (["corp|alice"], Cause.TOKEN_CLAIMS),
        (ABSENT, Cause.TOKEN_CLAIMS),
    ],
    ids=repr,
)
def test_our_sub_names_an_issuer_that_is_still_trusted(sub, cause):
    """In a token of ours, a subject without the alias of a trusted issuer is nobody."""
    assert cause_of(our_token(sub=sub)) is cause


def test_a_root_subject_may_hold_the_separator():
    """The first separator ends the alias, the rest is the subject, and `sub_id` is not asked."""
    value = our_token(
        sub="corp|auth0|alice", sub_id={"format": "iss_sub", "iss": PARTNER, "sub": "bob"}
    )

    assert verified(value).subject == Identity(LOGIN, "auth0|alice")


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"act": ABSENT}, id="no-act"),
        pytest.param({"act": {"sub": CALENDAR_MCP}}, id="no-issuer"),
    ],
)
@pytest.mark.standard("8693-4.4-4")
def test_somebody_acts_by_our_token(changes):
    """A token of ours by which nobody acts was not written by our signer."""
    assert cause_of(our_token(**changes)) is Cause.CHAIN_MALFORMED


@pytest.mark.parametrize("claim", ["jti", "txn", "client_id"])
@pytest.mark.parametrize("value", [ABSENT, None, "", 5], ids=repr)
def test_our_token_has_all_its_claims(claim, value):
    """A token of ours without an id, a client or a correlation id was not written by our signer."""
    assert cause_of(our_token(**{claim: value})) is Cause.TOKEN_CLAIMS


@pytest.mark.standard("JWKS-1")
def test_every_published_key_of_ours_verifies():
    """A token that was signed before a rotation is good for as long as its key is published."""
    keyring = a_keyring(us)
    old = SigningParty(OUR_ISSUER)
    old.key = keyring.keys[1]
    special = JwtVerifier(keyring=keyring, keys=keys_of(), clock=lambda: NOW)
    claims = json.loads(unb64(our_token().split(".")[1]))

    token = special.subject(presented(old.token(**claims)), a_registry())

    assert token.is_ours


# 22. Claims in other forms


@pytest.mark.standard("7519-2")
@pytest.mark.parametrize(
    "subject",
    [ABSENT, None, "", 5, True, ["alice"], "a" * 256, "al\nice", "al\u200bice", "al\u00a0ice"],
    ids=repr,
)
def test_a_subject_is_a_name(subject):
    """A subject is a printable string of bounded length."""
    assert cause_of(login.token(sub=subject)) is Cause.TOKEN_CLAIMS


@pytest.mark.standard("7519-2")
def test_subjects_are_compared_as_they_are():
    """No case is folded and nothing normalised: other code points are another person."""
    composed, decomposed = "Zo\u00eb", "Zoe\u0308"

    names = {verified(login.token(sub=name)).subject for name in (composed, decomposed, "zoë")}

    assert len(names) == 3


@pytest.mark.standard("7519-1")
@pytest.mark.parametrize("value", [ABSENT, None, "", 5, ["id"], "i" * 256, "i\0d"], ids=repr)
def test_an_id_is_required(value):
    """Unless the entry says that an issuer sends none, a token without an id is refused."""
    assert cause_of(login.token(jti=value)) in {Cause.TOKEN_CLAIMS, Cause.TOKEN_MALFORMED}


@pytest.mark.standard("8693-4.2-1", "6749-3.3-1")
@pytest.mark.parametrize(
    "scope",
    [
        "",
        " ",
        "read  write",
        " read",
        "read ",
        "read\u00a0admin",
        "read\tadmin",
        "read\nadmin",
        'read"',
        "read\\",
        "réad",
        "\U0001f4c5",
        None,
        5,
        True,
        ["read"],
        {"read": True},
    ],
    ids=repr,
)
def test_a_scope_is_one_string_of_the_grammar(scope):
    """What is no scope by RFC 6749 §3.3 refuses the token, rather than be read leniently."""
    assert cause_of(login.token(scope=scope)) is Cause.TOKEN_CLAIMS
    assert cause_of(our_token(scope=scope)) is Cause.TOKEN_CLAIMS


@pytest.mark.standard("8693-4.2-1")
@pytest.mark.parametrize(
    ("scope", "expected"),
    [(["read", "write"], ["read", "write"]), (["read"], ["read"]), ([], []), (ABSENT, [])],
    ids=repr,
)
def test_a_scope_may_be_an_array_where_the_entry_says_so(scope, expected):
    """An array holds one scope token in each string."""
    assert verified(login.token(scope=scope), scope_is_array=True).scope == set(expected)


@pytest.mark.standard("8693-4.2-1")
@pytest.mark.parametrize(
    "scope", ["read", None, ["read", 5], ["read write"], [""], ["re\u00a0ad"], [["read"]]], ids=repr
)
def test_a_scope_array_is_nothing_else(scope):
    """Where an array is expected, only an array of scope tokens will do."""
    assert cause_of(login.token(scope=scope), scope_is_array=True) is Cause.TOKEN_CLAIMS


def test_no_scope_is_the_empty_scope():
    """A token without a scope allows nothing, rather than everything."""
    assert verified(login.token(scope=ABSENT)).scope == frozenset()


@pytest.mark.parametrize("client", [None, "", 5, ["agent"], "a\nb"], ids=repr)
def test_a_client_is_a_name_or_absent(client):
    """A token may name no client; a client that is no name refuses it."""
    assert verified(login.token(client_id=ABSENT)).agent is None
    assert cause_of(login.token(client_id=client)) is Cause.TOKEN_CLAIMS


def test_a_client_may_be_a_url():
    """The id of a client is opaque, and nowadays a URL."""
    client = "https://agent.example/client.json?a=<b>"

    assert verified(login.token(client_id=client)).agent == client


@pytest.mark.standard("9068-2.2-2")
@pytest.mark.parametrize(
    "login_claims",
    [{"acr": 1}, {"acr": None}, {"amr": "pwd"}, {"amr": [5]}, {"amr": None}, {"auth_time": "1"}],
    ids=repr,
)
def test_a_malformed_login_is_refused(login_claims):
    """What a token says about the login is well-formed or refuses it."""
    assert cause_of(login.token(**login_claims)) is Cause.TOKEN_CLAIMS
    assert cause_of(our_token(**login_claims)) is Cause.TOKEN_CLAIMS


# Refusals


@pytest.mark.standard("8693-2.2.2-1", "8693-2.2.2-5", "8693-2.1-14")
@pytest.mark.parametrize(
    "value",
    [
        pytest.param("nonsense", id="malformed"),
        pytest.param(login.token(iss="https://unknown.example"), id="unknown-issuer"),
        pytest.param(login.token(exp=1), id="expired"),
        pytest.param(SigningParty().token(), id="unknown-key"),
        pytest.param(login.token(scope="  "), id="claims"),
    ],
)
def test_every_refusal_looks_alike_from_outside(value):
    """Whatever is wrong with a subject token, the client reads the same words."""
    with pytest.raises(SubjectTokenRejected) as caught:
        verified(value)

    assert caught.value.error == "invalid_request"
    assert caught.value.description == "the subject token is not acceptable"


def test_a_refusal_tells_the_event_whose_token_it_was():
    """The event learns of the issuer if it is trusted, and of nothing that anybody could say."""
    with pytest.raises(SubjectTokenRejected) as trusted:
        verified(login.token(exp=1))
    with pytest.raises(SubjectTokenRejected) as unknown:
        verified(login.token(iss="https://unknown.example"))

    assert trusted.value.detail == {"issuer": LOGIN}
    assert unknown.value.detail == {}


@pytest.mark.standard("8725-3.10-2")
def test_keys_out_of_reach_are_no_refusal():
    """Where an issuer's keys cannot be had there is no answer, neither yes nor no."""
    unreachable = JwtVerifier(keyring=a_keyring(), keys=keys_of(), clock=lambda: NOW)

    with pytest.raises(Unavailable, match="issuer_keys"):
        unreachable.subject(presented(login.token()), a_registry())


@given(st.sampled_from(sorted(login.claims())), st.data())
def test_an_altered_claim_is_refused(claim, data):
    """A verified token is refused once any claim says something else under the same signature."""
    value = login.token()
    header, payload, signature = value.split(".")
    claims = json.loads(unb64(payload))
    other = data.draw(
        st.one_of(st.none(), st.integers(), st.text(), st.lists(st.text())).filter(
            lambda drawn: drawn != claims[claim]
        )
    )
    altered = b64(json.dumps(claims | {claim: other}).encode())

    assert verified(value).subject == ALICE
    assert cause_of(f"{header}.{altered}.{signature}")


@given(st.data())
def test_an_altered_byte_is_refused(data):
    """A verified token is refused once any one character of it is another."""
    value = login.token()
    at = data.draw(st.integers(0, len(value) - 1))
    other = data.draw(st.characters(max_codepoint=127).filter(lambda char: char != value[at]))

    assert cause_of(value[:at] + other + value[at + 1 :])


@given(
    st.text(max_size=300) | st.binary(max_size=300).map(lambda raw: base64.b64encode(raw).decode())
)
def test_any_text_is_refused(value):
    """Whatever is presented, the answer is a refusal and never an error."""
    with pytest.raises(SubjectTokenRejected):
        verified(value)
