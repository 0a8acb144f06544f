"""The signer: a token says what was decided, and the verifier reads the same out of it."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delegation.domain.errors import Unavailable
from delegation.domain.parties import NOBODY, Actor, ActorChain, Identity
from delegation.domain.tokens import Authentication, TokenType
from delegation.jose.keyring import Keyring, Status, new_key
from delegation.jose.parser import parse
from delegation.jose.signer import JwtSigner
from delegation.jose.verifier import JwtVerifier
from tests.parties import (
    ALIAS,
    ALICE,
    CALENDAR_API,
    CALENDAR_MCP,
    DESK_AGENT,
    LOGIN,
    NOW,
    OUR_ISSUER,
    a_delegation,
    a_grant,
    a_registry,
    a_verified_token,
)
from tests.signing import a_keyring, keys_of, presented, unb64

KEYRING = a_keyring()
SIGNER = JwtSigner(KEYRING, OUR_ISSUER)
VERIFIER = JwtVerifier(keyring=KEYRING, keys=keys_of(), clock=lambda: NOW)

PRINTABLE = st.characters(codec="utf-8", exclude_categories=("C", "Z"), include_characters=" ")
NAMES = st.text(PRINTABLE, min_size=1, max_size=40)


def read(value):
    """The header and the claims of a token, as anybody can read them."""
    header, payload, _ = value.split(".")
    return json.loads(unb64(header)), json.loads(unb64(payload))


@pytest.mark.standard(
    "9068-2.1-1", "9068-2.2-1", "8707-2-3", "8693-4.3-1", "8693-4.2-1", "9068-5-2", "8693-6-1"
)
def test_a_token_says_what_was_decided():
    """Every claim of an issued token follows from the delegation, and there are no others."""
    delegation = a_delegation()

    issued = SIGNER.sign(delegation)

    header, claims = read(issued.value)
    assert header == {"typ": "at+jwt", "alg": "ES256", "kid": KEYRING.active.kid}
    assert claims == {
        "iss": OUR_ISSUER,
        "sub": f"{ALIAS}|{ALICE.subject}",
        "sub_id": {"format": "iss_sub", "iss": LOGIN, "sub": ALICE.subject},
        "aud": CALENDAR_API,
        "client_id": CALENDAR_MCP,
        "scope": "events.read events.write",
        "act": {
            "iss": OUR_ISSUER,
            "sub": CALENDAR_MCP,
            "act": {"iss": LOGIN, "sub": DESK_AGENT, "sub_profile": "ai_agent"},
        },
        "iat": int(NOW.timestamp()),
        "exp": int(NOW.timestamp()) + 300,
        "jti": "exchange-1",
        "txn": "exchange-1",
    }


@pytest.mark.standard("8693-2.2.1-4")
def test_what_is_handed_back_agrees_with_the_token():
    """Id, type, scope and lifetime beside the token are those inside it."""
    delegation = a_delegation()

    issued = SIGNER.sign(delegation)

    _, claims = read(issued.value)
    assert issued.id == claims["jti"]
    assert issued.type is TokenType.ACCESS_TOKEN
    assert issued.scope == frozenset(claims["scope"].split())
    assert issued.lifetime == claims["exp"] - claims["iat"] == 300
    assert issued.value not in repr(issued)


@pytest.mark.standard("9068-2.2-2")
def test_an_exchange_is_no_login():
    """When and how the person logged in is passed on as the subject token had it."""
    login = Authentication(
        time=NOW - timedelta(hours=3), acr="urn:example:silver", amr=("pwd", "otp")
    )
    delegation = a_delegation(subject=a_verified_token(authentication=login))

    _, claims = read(SIGNER.sign(delegation).value)

    assert claims["auth_time"] == int(NOW.timestamp()) - 3 * 3600
    assert claims["acr"] == "urn:example:silver"
    assert claims["amr"] == ["pwd", "otp"]


@pytest.mark.standard("8693-4.4-3")
def test_may_act_is_not_passed_on():
    """What the subject token allowed its bearer is not what the issued token allows."""
    subject = a_verified_token(may_act={"iss": OUR_ISSUER, "sub": CALENDAR_MCP})

    _, claims = read(SIGNER.sign(a_delegation(subject=subject)).value)

    assert not {"may_act", "cnf"} & claims.keys()


@pytest.mark.standard("9068-2.1-1")
@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA", "RS256", "PS256"])
def test_every_supported_algorithm_signs(algorithm):
    """A token can be signed with each supported algorithm, and is good under the published key."""
    keyring = Keyring((new_key(algorithm, Status.ACTIVE),))

    token = parse(JwtSigner(keyring, OUR_ISSUER).sign(a_delegation()).value)

    key = keyring.find(token.kid)
    assert key is not None
    assert key.algorithm == token.algorithm == algorithm
    assert key.verifies(token.signing_input, token.signature)


def test_nothing_is_issued_in_which_nobody_acts():
    """A delegation without an actor is a bug, and never becomes a token."""
    with pytest.raises(ValueError, match="impersonation"):
        SIGNER.sign(replace(a_delegation(), actors=NOBODY))


@given(
    subject=NAMES,
    agent=st.none() | NAMES,
    before=st.lists(NAMES, max_size=3, unique=True),
    scope=st.sets(st.sampled_from(["events.read", "events.write", "a:b"]), min_size=1),
    acr=st.none() | NAMES,
    amr=st.lists(NAMES, max_size=3),
    login=st.none() | st.integers(0, int(NOW.timestamp())),
    seconds=st.integers(5, 900),
)
def test_the_verifier_reads_what_the_signer_wrote(
    *, subject, agent, before, scope, acr, amr, login, seconds
):
    """An issued token, verified, says the same as the delegation it was made of."""
    time = None if login is None else NOW.fromtimestamp(login, NOW.tzinfo)
    root = Identity(LOGIN, subject)
    head = Actor(identity=Identity(OUR_ISSUER, CALENDAR_MCP), client_id=agent)
    tail = (Actor(identity=Identity("https://other.example", name)) for name in before)
    delegation = replace(
        a_delegation(),
        parent=a_verified_token(
            subject=root, authentication=Authentication(time=time, acr=acr, amr=tuple(amr))
        ),
        actors=ActorChain((head, *tail)),
        scope=frozenset(scope),
        expires_at=NOW + timedelta(seconds=seconds),
    )

    token = VERIFIER.subject(presented(SIGNER.sign(delegation).value), a_registry())

    assert token.is_ours
    assert (token.issuer, token.id, token.txn) == (OUR_ISSUER, delegation.id, delegation.txn)
    assert (token.subject, token.alias) == (root, ALIAS)
    assert (token.agent, token.audience) == (CALENDAR_MCP, (CALENDAR_API,))
    assert (token.scope, token.actors) == (delegation.scope, delegation.actors)
    assert (token.issued_at, token.expires_at) == (delegation.issued_at, delegation.expires_at)
    assert token.authentication == delegation.authentication
    assert (token.may_act, token.claims) == (None, {})


def test_the_self_test_signs_and_checks():
    """The self-test passes with a sound key."""
    SIGNER.self_test()


def test_the_self_test_finds_halves_that_do_not_match():
    """A key whose halves do not match cannot sign, and readiness hears of it."""
    broken = replace(new_key(status=Status.ACTIVE), public=new_key().public)

    with pytest.raises(Unavailable, match="signing_key"):
        JwtSigner(Keyring((broken,)), OUR_ISSUER).self_test()


def test_the_self_test_finds_a_key_that_does_not_sign():
    """A key that raises when it is used cannot sign, and readiness hears of it."""
    broken = replace(new_key(status=Status.ACTIVE), algorithm="EdDSA")

    with pytest.raises(Unavailable, match="signing_key"):
        JwtSigner(Keyring((broken,)), OUR_ISSUER).self_test()


@pytest.mark.standard("9700-4.15")
def test_a_service_is_called_one_at_every_hop():
    """What is issued for a machine says so, and is read so again: it cannot pass for a person."""
    machine = a_verified_token(subject=Identity(LOGIN, DESK_AGENT), agent=DESK_AGENT)
    registry = a_registry(grants=[a_grant(services=True)])

    issued = SIGNER.sign(a_delegation(subject=machine, registry=registry))

    assert read(issued.value)[1]["sub_profile"] == "service"
    assert VERIFIER.subject(presented(issued.value), a_registry()).is_of_a_service
