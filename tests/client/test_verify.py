"""What an API believes of a token: each case is sound in all but one thing."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from hypothesis import given
from hypothesis import strategies as st

from delegation.client.bearer import InvalidToken
from delegation.client.verify import (
    MAX_ACTORS,
    MAX_LENGTH,
    SKEW,
    AccessToken,
    Actor,
    Expected,
    Identity,
)
from tests.client.api import EXPECTED, MCP_SERVER, Us
from tests.parties import CALENDAR_API, CALENDAR_MCP, LOGIN, NOW, OUR_ISSUER, ROOMS_API
from tests.signing import ABSENT, SigningParty, b64, unb64

US = Us()
SECONDS = NOW.timestamp()


def read(
    value: str, *, by: Us = US, expected: Expected = EXPECTED, now: float = SECONDS
) -> AccessToken:
    """What the calendar API reads in a token, with the key of *by*."""
    return expected.read(expected.parse(value), by.verification_key(), now)


def refuses(value: str, **how: Any) -> None:
    """The calendar API refuses it, and says nothing of it."""
    with pytest.raises(InvalidToken) as caught:
        read(value, **how)
    assert (caught.value.status, caught.value.error) == (401, "invalid_token")
    assert len(value) < 100 or value not in str(caught.value)


@pytest.mark.standard("8693-4.1-2", "8693-4.1-3", "9068-2.2-1")
def test_what_a_token_says() -> None:
    """Who, through whom, what, until when: the person is the pair that her own issuer knows."""
    token = read(US.token())

    assert token == AccessToken(
        id="12-exchange-1",
        subject=Identity(LOGIN, "alice"),
        delegation_chain=(
            Actor(issuer=OUR_ISSUER, subject=CALENDAR_MCP),
            Actor(issuer=LOGIN, subject="desk-agent", sub_profile="ai_agent"),
        ),
        client_id=CALENDAR_MCP,
        scope=frozenset({"events.read"}),
        issued_at=datetime.fromtimestamp(SECONDS - 1, UTC),
        expires_at=datetime.fromtimestamp(SECONDS + 299, UTC),
        txn="12-exchange-1",
        claims=US.claims(),
    )
    assert token.current_actor.subject == CALENDAR_MCP
    assert token.claims["sub"] == "corp|alice"
    assert "corp|" not in repr(token)


@pytest.mark.standard("8725-3.1-1", "9068-2.1-1")
@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA", "RS256", "PS256"])
def test_every_algorithm_of_the_service(algorithm: str) -> None:
    """What it can be told to sign with, an API can check, unless it is told otherwise."""
    us = Us(algorithm=algorithm)
    only = Expected(
        issuer=OUR_ISSUER, resource=CALENDAR_API, algorithms=frozenset({"ES256", "RS256"})
    )

    assert read(us.token(), by=us).subject.subject == "alice"
    if algorithm in only.algorithms:
        assert read(us.token(), by=us, expected=only)
    else:
        refuses(us.token(), by=us, expected=only)


@pytest.mark.standard("8725-3.11-1", "9068-2.1-1")
@pytest.mark.parametrize("kind", ["at+jwt", "AT+JWT", "application/at+jwt"])
def test_an_access_token_is_called_one(kind: str) -> None:
    """RFC 9068 §4: with the prefix or without, in any case."""
    assert read(US.token(header={"typ": kind}))


@pytest.mark.standard("8725-3.11-1", "8725-3.12-1")
@pytest.mark.parametrize(
    "kind",
    [
        ABSENT,
        "JWT",
        "secevent+jwt",
        "logout+jwt",
        "dpop+jwt",
        "client-authentication+jwt",
        "oauth-id-jag+jwt",
        "txntoken+jwt",
        "at+jwt ",
        "",
        ["at+jwt"],
        5,
        None,
    ],
    ids=repr,
)
def test_a_token_of_another_kind(kind: object) -> None:
    """Whatever else the service may sign is no access token."""
    refuses(US.token(header={"typ": kind}))


def _by_hmac(secret: bytes) -> str:
    """A token that is signed with what everybody knows."""
    parts = US.header(alg="HS256"), US.claims()
    signing_input = ".".join(b64(json.dumps(part).encode()) for part in parts)
    digest = hmac.new(secret, signing_input.encode(), hashlib.sha256).digest()
    return f"{signing_input}.{b64(digest)}"


PEM = US.key.public.key.public_bytes(  # type: ignore[union-attr]
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)


@pytest.mark.standard("8725-3.1-1", "9068-2.1-1")
@pytest.mark.parametrize(
    "token",
    [
        pytest.param(_by_hmac(PEM), id="hmac with the public PEM"),
        pytest.param(_by_hmac(json.dumps(US.key.published()).encode()), id="hmac with the JWK"),
        pytest.param(_by_hmac(b""), id="hmac with nothing"),
        *(
            pytest.param(US.token(header={"alg": name}), id=f"alg {name!r}")
            for name in ("none", "None", "noNE", "RS256", "es256", "ES256 ", "ES384", "", 5, ABSENT)
        ),
        pytest.param(US.token(header={"alg": "none"}).rpartition(".")[0] + ".", id="unsigned"),
        pytest.param(Us().token(header={"kid": US.kid}), id="somebody else's signature"),
    ],
)
def test_a_token_that_the_key_has_not_signed(token: str) -> None:
    """The key says which algorithm is used, and the header can only agree (RFC 8725 §3.1)."""
    refuses(token)


@pytest.mark.standard("8725-3.10-1", "8725-crit")
@pytest.mark.parametrize(
    "member",
    [
        {"crit": ["exp"]},
        {"crit": []},
        {"b64": False},
        {"b64": True},
        {"jwk": US.key.published()},
        {"jku": "https://evil.example/jwks"},
        {"x5u": "https://evil.example/chain"},
        {"x5c": ["MII"]},
        {"zip": "DEF"},
        {"enc": "A256GCM"},
        {"kid": ABSENT},
        {"kid": ""},
        {"kid": 5},
        {"kid": "a\r\nSET x"},
        {"kid": "../../dev/null\0"},
        {"kid": "k" * 129},
    ],
    ids=lambda member: repr(member)[:30],
)
def test_a_header_that_says_too_much(member: dict[str, Any]) -> None:
    """It names a key that we have, and brings nothing along."""
    refuses(US.token(header=member))


@pytest.mark.standard("9700-2.3", "8725-3.8-1", "8725-3.9-1", "8707-2-4")
@pytest.mark.parametrize(
    "claims",
    [
        {"aud": ROOMS_API},
        {"aud": [CALENDAR_API]},
        {"aud": [CALENDAR_API, ROOMS_API]},
        {"aud": f"{CALENDAR_API}/"},
        {"aud": CALENDAR_API.upper()},
        {"aud": f"{CALENDAR_API}.evil.example"},
        {"aud": ABSENT},
        {"aud": None},
        {"aud": {}},
        {"iss": LOGIN},
        {"iss": f"{OUR_ISSUER}/"},
        {"iss": [OUR_ISSUER]},
        {"iss": ABSENT},
        {"aud": "", "iss": ""},
    ],
    ids=repr,
)
def test_a_token_that_is_not_for_it(claims: dict[str, Any]) -> None:
    """One issuer and one audience, each exactly as written: no prefix, no list, no case."""
    refuses(US.token(**claims))


@pytest.mark.standard("7519-1")
@pytest.mark.parametrize("claim", ["exp", "iat", "nbf"])
@pytest.mark.parametrize(
    "value",
    ["4102444800", True, None, [4102444800], -1, 10**12, {}, ""],
    ids=repr,
)
def test_a_date_that_is_none(claim: str, value: object) -> None:
    """A JSON number that a calendar knows (RFC 7519 §2): PyJWT would take a string."""
    refuses(US.token(**{claim: value}))


@pytest.mark.standard("7519-1")
@pytest.mark.parametrize(
    ("claims", "good"),
    [
        ({"exp": SECONDS + 0.5}, True),
        ({"exp": int(SECONDS)}, False),
        ({"exp": int(SECONDS) - 1}, False),
        ({"exp": ABSENT}, False),
        ({"iat": ABSENT}, False),
        ({"iat": int(SECONDS) + SKEW}, True),
        ({"iat": int(SECONDS) + SKEW + 1}, False),
        ({"nbf": int(SECONDS) + SKEW}, True),
        ({"nbf": int(SECONDS) + SKEW + 1}, False),
    ],
    ids=repr,
)
def test_when_a_token_is_good(claims: dict[str, Any], *, good: bool) -> None:
    """A clock may be ahead by the skew; an end is an end."""
    token = US.token(**claims)

    if good:
        assert read(token)
    else:
        refuses(token)


@pytest.mark.standard("9449-5")
@pytest.mark.parametrize(
    "cnf",
    [{"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}, {"x5t#S256": "x"}, {}, None],
    ids=["jkt", "x5t#S256", "empty", "null"],
)
def test_a_token_that_is_bound_to_a_key_is_no_bearer_token(cnf: object) -> None:
    """RFC 9449 §7.2: whoever took it for one would let a thief use it, whatever it is bound to."""
    refuses(US.token(cnf=cnf))


def _hop(**members: Any) -> dict[str, Any]:
    return MCP_SERVER | members


def _nested(hops: int) -> dict[str, Any]:
    chain = dict(MCP_SERVER)
    for _ in range(hops - 1):
        chain = MCP_SERVER | {"act": chain}
    return chain


@pytest.mark.standard("8693-4.1-1", "8693-4.1-5", "8693-4.1-7", "8693-4.1-8")
@pytest.mark.parametrize(
    "act",
    [
        pytest.param(ABSENT, id="none"),
        pytest.param(None, id="null"),
        pytest.param(CALENDAR_MCP, id="string"),
        pytest.param([], id="empty array"),
        pytest.param([MCP_SERVER], id="array"),
        pytest.param({}, id="empty"),
        pytest.param({"sub": CALENDAR_MCP}, id="no issuer"),
        pytest.param({"iss": OUR_ISSUER}, id="no subject"),
        pytest.param(_hop(sub=""), id="empty subject"),
        pytest.param(_hop(sub=5), id="number as subject"),
        pytest.param(_hop(sub="a\nb"), id="two lines"),
        pytest.param(_hop(client_id=None), id="client_id is null"),
        pytest.param(_hop(sub_profile=["ai_agent"]), id="sub_profile is an array"),
        pytest.param(_hop(act=None), id="nested null"),
        pytest.param(_hop(act="desk-agent"), id="nested string"),
        pytest.param(_hop(act={"sub": "desk-agent"}), id="nested without issuer"),
        pytest.param(_nested(MAX_ACTORS + 1), id="too deep"),
        pytest.param(_nested(100), id="far too deep"),
    ],
)
def test_a_chain_that_is_none(act: object) -> None:
    """Whoever acts is named as a pair, at every hop; no hop is left out or made up."""
    refuses(US.token(act=act))


@pytest.mark.standard("8693-4.1-4", "8693-4.1-7")
def test_a_chain_as_long_as_they_come() -> None:
    """What a hop says besides who it is means nothing (RFC 8693 §4.1)."""
    token = read(US.token(act=_nested(MAX_ACTORS) | {"exp": 1, "scope": "admin", "aud": "x"}))

    assert len(token.delegation_chain) == MAX_ACTORS
    assert token.scope == {"events.read"}


def test_nobody_acts_where_the_api_allows_for_that() -> None:
    """That a claim is malformed is not the same as that it is not there."""
    lenient = Expected(issuer=OUR_ISSUER, resource=CALENDAR_API, actor_required=False)

    token = read(US.token(act=ABSENT), expected=lenient)

    assert token.delegation_chain == ()
    with pytest.raises(IndexError):
        assert token.current_actor
    refuses(US.token(act=None), expected=lenient)


def test_a_token_that_names_no_other_issuer() -> None:
    """Then the subject is the pair of the token itself; half a `sub_id` is not taken for none."""
    assert read(US.token(sub_id=ABSENT)).subject == Identity(OUR_ISSUER, "corp|alice")
    assert read(US.token(txn=ABSENT)).txn is None


@pytest.mark.standard("7519-2", "9068-2.2-1")
@pytest.mark.parametrize(
    "claims",
    [
        *({name: ABSENT} for name in ("sub", "client_id", "jti")),
        *({name: value} for name in ("sub", "client_id", "jti", "txn") for value in ("", 5, None)),
        {"sub": "a" * 256},
        {"sub": "corp|alice\u202e"},
        {"sub_id": None},
        {"sub_id": "alice"},
        {"sub_id": {"iss": LOGIN, "sub": "alice"}},
        {"sub_id": {"format": "email", "email": "alice@corp.example"}},
        {"sub_id": {"format": "iss_sub", "iss": LOGIN}},
        {"sub_id": {"format": "iss_sub", "iss": LOGIN, "sub": ["alice"]}},
    ],
    ids=repr,
)
def test_a_name_that_is_none(claims: dict[str, Any]) -> None:
    """Who and what is printable text, and not too much of it."""
    refuses(US.token(**claims))


@pytest.mark.standard("8693-4.2-1", "6749-3.3-1")
@pytest.mark.parametrize(
    ("scope", "allowed"),
    [
        ("events.read", {"events.read"}),
        ("b a b", {"a", "b"}),
        ("", set()),
        (ABSENT, set()),
        *((value, None) for value in (["events.read"], 5, None, " ", "a  b", " a", "a\u00a0b")),
        *((value, None) for value in ("a\tb", 'a"b', "a\\b", "\u00e9t\u00e9")),
    ],
    # A set is written in another order by each process.
    ids=lambda value: repr(sorted(value) if isinstance(value, set) else value),
)
def test_what_scope_is(scope: object, allowed: set[str] | None) -> None:
    """One string with single spaces; none at all allows nothing."""
    if allowed is None:
        refuses(US.token(scope=scope))
    else:
        assert read(US.token(scope=scope)).scope == allowed


def _spare_bits(token: str) -> str:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return token[:-1] + alphabet[alphabet.index(token[-1]) + 1]


@pytest.mark.standard("8725-3.3-1")
@pytest.mark.parametrize(
    "mangle",
    [
        pytest.param(lambda token: token + "=", id="padding"),
        pytest.param(lambda token: token + "\n", id="line break"),
        pytest.param(lambda token: " " + token, id="space"),
        pytest.param(lambda token: token + ".AAAA", id="four segments"),
        pytest.param(lambda token: token.rpartition(".")[0], id="two segments"),
        pytest.param(lambda token: token.rpartition(".")[0] + ".A", id="impossible length"),
        pytest.param(lambda token: token.replace("e", "\u0435", 1), id="cyrillic"),
        pytest.param(_spare_bits, id="spare bits"),
        pytest.param(lambda token: token + "A" * MAX_LENGTH, id="too long"),
        pytest.param(lambda token: json.dumps({"payload": token}), id="JSON serialisation"),
        pytest.param(lambda _: "", id="nothing"),
    ],
)
def test_there_is_one_way_to_write_a_token(mangle: Callable[[str], str]) -> None:
    """Three clean segments: what is malleable could be counted twice."""
    refuses(mangle(US.token()))


def test_a_token_has_an_end() -> None:
    """However sound: what is too long is not even looked at."""
    assert len(US.token(x="a" * 10_000)) < MAX_LENGTH
    assert read(US.token(x="a" * 10_000)).id

    refuses(US.token(x="a" * 12_000))


def test_the_other_signature() -> None:
    """(r, n-s) is as good as (r, s): it is another text, and says the same (nothing is keyed on
    it but a short memory).
    """
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    token = US.token()
    head, _, signature = token.rpartition(".")
    raw = unb64(signature)
    r, s = int.from_bytes(raw[:32]), int.from_bytes(raw[32:])
    assert decode_dss_signature(encode_dss_signature(r, s)) == (r, s)

    other = f"{head}.{b64(r.to_bytes(32) + (order - s).to_bytes(32))}"

    assert other != token
    assert read(other) == read(token)


def _with(text: str) -> bytes:
    """Sound claims, with *text* as one member more."""
    return (json.dumps(US.claims())[:-1] + f", {text}}}").encode()


@pytest.mark.standard("8725-3.7-1")
@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(_with('"aud": "https://evil.example"'), id="aud twice"),
        pytest.param(_with('"exp": 4102444800'), id="exp twice"),
        pytest.param(_with('"\\u0073ub": "victim"'), id="sub twice, escaped"),
        pytest.param(_with('"x": {"a": 1, "a": 2}'), id="nested twice"),
        pytest.param(_with('"x": NaN'), id="NaN"),
        pytest.param(_with('"x": -Infinity'), id="Infinity"),
        pytest.param(_with('"nbf": 1e400'), id="huge"),
        pytest.param(_with(f'"x": {"1" * 5000}'), id="many digits"),
        pytest.param(_with('"x": "\\ud800"'), id="half a pair"),
        pytest.param(_with('"x": "\\u0000"'), id="NUL"),
        pytest.param(_with('"x": "\0"'), id="raw NUL"),
        pytest.param(_with(f'"x": {"[" * 5000}{"]" * 5000}'), id="deep"),
        pytest.param(_with('"x": 1') + b"{}", id="two documents"),
        pytest.param(b"\xef\xbb\xbf" + _with('"x": 1'), id="byte order mark"),
        pytest.param(_with('"x": 1').decode().encode("utf-16"), id="UTF-16"),
        pytest.param(_with('"x": 1')[:-1] + b', "y": "\xff"}', id="no UTF-8"),
        pytest.param(b"[]", id="array"),
        pytest.param(b"null", id="null"),
    ],
)
def test_claims_that_readers_differ_about(payload: bytes) -> None:
    """What can be understood in two ways is not understood, though its signature holds."""
    refuses(US.sign_bytes(json.dumps(US.header()).encode(), payload))


def test_text_of_any_language_is_text() -> None:
    """An escape alone is no reason to refuse."""
    name = "\u00c5sa \U0001f4c5"

    token = US.token(sub_id={"format": "iss_sub", "iss": LOGIN, "sub": name})

    assert "\\u" in base64.urlsafe_b64decode(token.split(".")[1] + "==").decode()
    assert read(token).subject == Identity(LOGIN, name)


@given(st.text(max_size=200) | st.from_regex(r"[A-Za-z0-9_-]*(\.[A-Za-z0-9_-]*){0,4}"))
def test_any_text(value: str) -> None:
    """Whatever comes is refused in the one way."""
    refuses(value)


@given(st.binary(min_size=1, max_size=100))
def test_any_signature(signature: bytes) -> None:
    """No bytes are a signature by chance, and none is an error of another kind."""
    refuses(f"{US.token().rpartition('.')[0]}.{b64(signature)}")


def test_a_login_s_own_token() -> None:
    """The user's token at the MCP server is not one for the API: there is no passthrough."""
    refuses(SigningParty(LOGIN).token())
