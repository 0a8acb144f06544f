"""The strict parser: exactly one way to write a token, and nothing that two readers read apart."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delegation.domain.errors import Cause
from delegation.jose.parser import MAX_LENGTH, TokenFault, parse
from delegation.jose.strict_json import MAX_DEPTH, read_object
from tests.signing import ABSENT, SigningParty, b64

LOGIN = SigningParty()


def cause_of(value: str) -> Cause:
    """Why the parser refuses *value*."""
    with pytest.raises(TokenFault) as caught:
        parse(value)
    return caught.value.cause


def test_a_sound_token_comes_apart():
    """A token comes apart into what its header names, its claims, and what was signed."""
    value = LOGIN.token()

    token = parse(value)

    assert (token.algorithm, token.kid, token.type) == ("ES256", LOGIN.kid, "at+jwt")
    assert token.claims == LOGIN.claims()
    assert value.startswith(token.signing_input.decode() + ".")
    assert b64(token.signature) == value.rpartition(".")[2]
    assert value not in repr(token)
    assert "alice" not in repr(token)


@pytest.mark.standard("8725-3.3-1")
@pytest.mark.parametrize(
    "mangle",
    [
        pytest.param(lambda token: token + "=", id="padding"),
        pytest.param(lambda token: token + "\n", id="line-break-after"),
        pytest.param(lambda token: " " + token, id="space-before"),
        pytest.param(lambda token: token.replace(".", ". "), id="space-within"),
        pytest.param(lambda token: token + ".AAAA", id="four-segments"),
        pytest.param(lambda token: token.rpartition(".")[0], id="two-segments"),
        pytest.param(lambda token: token.rpartition(".")[0] + ".", id="no-signature"),
        pytest.param(lambda token: "." + token.partition(".")[2], id="no-header"),
        pytest.param(lambda token: token.replace(".", "..", 1), id="empty-segment"),
        pytest.param(lambda token: token.rpartition(".")[0] + ".A", id="impossible-length"),
        pytest.param(lambda token: token.replace(".", "\uff0e", 1), id="full-width-dot"),
        pytest.param(lambda token: token.replace("e", "\u0435", 1), id="cyrillic"),
        pytest.param(lambda token: token + "+", id="other-alphabet"),
        pytest.param(lambda _: "", id="nothing"),
        pytest.param(
            lambda token: json.dumps(
                dict(zip(("protected", "payload", "signature"), token.split("."), strict=True))
            ),
            id="json-serialisation",
        ),
    ],
)
def test_there_is_one_way_to_write_a_token(mangle):
    """Whatever is not three clean base64url segments is refused."""
    value = mangle(LOGIN.token())

    assert cause_of(value) is Cause.TOKEN_MALFORMED


@pytest.mark.standard("8725-3.3-1")
def test_stray_bits_are_refused():
    """A last character that says the same bytes in another way is refused (RFC 4648 §3.5)."""
    head, _, signature = LOGIN.token().rpartition(".")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    other = alphabet[alphabet.index(signature[-1]) + 1]

    assert cause_of(f"{head}.{signature[:-1]}{other}") is Cause.TOKEN_MALFORMED


def test_length_is_checked_before_anything_else():
    """A token that is too long is refused for that, whatever is in it."""
    assert cause_of("=" * (MAX_LENGTH + 1)) is Cause.TOKEN_TOO_LARGE
    assert cause_of("=" * MAX_LENGTH) is Cause.TOKEN_MALFORMED


@pytest.mark.standard("8725-3.7-1", "STK-9")
@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b'{"sub":"alice","sub":"bob"}', id="duplicate-sub"),
        pytest.param(b'{"aud":"a","iss":"i","aud":["a"]}', id="duplicate-aud"),
        pytest.param(b'{"exp":1,"exp":9999999999}', id="duplicate-exp"),
        pytest.param(b'{"sub":"alice","\\u0073ub":"bob"}', id="duplicate-by-escape"),
        pytest.param(b'{"act":{"sub":"a"},"act":{"sub":"b"}}', id="duplicate-act"),
        pytest.param(b'{"act":{"sub":"a","sub":"b"}}', id="duplicate-in-depth"),
        pytest.param(b'{"list":[{"a":1,"a":1}]}', id="duplicate-in-array"),
        pytest.param(b'{"exp":NaN}', id="nan"),
        pytest.param(b'{"exp":Infinity}', id="infinity"),
        pytest.param(b'{"exp":-Infinity}', id="minus-infinity"),
        pytest.param(b'{"exp":1e400}', id="1e400"),
        pytest.param(b'{"exp":' + b"9" * 5000 + b"}", id="5000-digits"),
        pytest.param('{"sub":"alice"}'.encode("utf-16"), id="utf-16"),
        pytest.param('{"sub":"alice"}'.encode("utf-16-le"), id="utf-16-without-bom"),
        pytest.param('{"sub":"alice"}'.encode("utf-8-sig"), id="bom"),
        pytest.param(b'{"sub":"\xe9"}', id="latin-1"),
        pytest.param(b'{"sub":"\xed\xa0\x80"}', id="raw-surrogate"),
        pytest.param(b'{"sub":"\\ud800"}', id="lone-surrogate"),
        pytest.param(b'{"list":["\\udc00"]}', id="lone-surrogate-in-array"),
        pytest.param(b'{"\\ud800":1}', id="lone-surrogate-in-name"),
        pytest.param(b'{"sub":"al\\u0000ice"}', id="nul"),
        pytest.param(b'{"sub":"al\x00ice"}', id="raw-nul"),
        pytest.param(b'{"sub":"alice"} {}', id="trailing-object"),
        pytest.param(b'{"sub":"alice"}\x00', id="trailing-byte"),
        pytest.param(b'["alice"]', id="array"),
        pytest.param(b'"alice"', id="string"),
        pytest.param(b"null", id="null"),
        pytest.param(b"{'sub':'alice'}", id="single-quotes"),
        pytest.param(b'{"sub":"alice"', id="unfinished"),
        pytest.param(b'{"sub":"' + b'\\"' * 5000, id="unfinished-string"),
        pytest.param(b'{"sub":' + b"[" * 40 + b'"\\', id="unfinished-escape"),
        pytest.param(b" ", id="empty"),
    ],
)
def test_what_two_readers_could_read_apart_is_refused(payload):
    """JSON that is not strict, or not UTF-8, is refused in claims and in the header alike."""
    header = json.dumps(LOGIN.header()).encode()

    assert cause_of(LOGIN.sign_bytes(header, payload)) is Cause.TOKEN_MALFORMED
    assert cause_of(LOGIN.sign_bytes(payload, b"{}")) is Cause.TOKEN_MALFORMED


def test_escapes_that_make_text_are_fine():
    """A pair of surrogates is a character, and so is any other escape but NUL."""
    payload = b'{"sub":"\\ud83d\\ude00 \\u00e9 \\\\u0000"}'

    token = parse(LOGIN.sign_bytes(json.dumps(LOGIN.header()).encode(), payload))

    assert token.claims == {"sub": "😀 é \\u0000"}


@pytest.mark.standard("STK-11")
@pytest.mark.parametrize("levels", [MAX_DEPTH, 500, 5_000])
@pytest.mark.parametrize(
    ("opening", "closing"), [('{"act":', "}"), ("[", "]")], ids=["objects", "arrays"]
)
def test_depth_is_bounded_before_anything_recurses(levels, opening, closing):
    """Nesting is refused where it is too deep, without ever recursing into it."""
    document = '{"act":' + opening * levels + "1" + closing * levels + "}"

    with pytest.raises(ValueError, match="deeply"):
        read_object(document.encode())


def test_a_chain_of_100_000_levels_is_refused():
    """No depth bomb gets as far as the JSON parser: neither by size nor by depth."""
    bomb = b'{"act":' * 100_000

    with pytest.raises(ValueError, match="deeply"):
        read_object(bomb)
    assert cause_of(LOGIN.sign_bytes(b"{}", bomb)) is Cause.TOKEN_TOO_LARGE


def test_brackets_in_strings_and_side_by_side_are_no_depth():
    """Only open brackets count: neither those in strings nor those that were closed."""
    document = {"text": '[[{{\\"' * 50, "list": [[{"a": []}] for _ in range(100)]}

    assert read_object(json.dumps(document).encode()) == document


@pytest.mark.standard("8725-3.10-1", "8725-crit")
@pytest.mark.parametrize(
    "member",
    ["crit", "b64", "jwk", "jku", "x5u", "x5c", "zip", "enc"],
)
@pytest.mark.parametrize("value", [None, False, ["b64"], "https://evil.example/jwks"], ids=str)
def test_a_header_brings_nothing_along(member, value):
    """A header with a key, a place to find one, or an extension is refused, whatever it says."""
    token = LOGIN.token(header={member: value})

    assert cause_of(token) is Cause.TOKEN_HEADER


@pytest.mark.parametrize("member", ["x5t", "x5t#S256"])
def test_a_thumbprint_in_the_header_is_passed_over(member):
    """It brings no key along; some issuers always send it."""
    token = LOGIN.token(header={member: "q-23falevZhhD3hm9CQbkP5MQyU"})

    assert parse(token).kid == LOGIN.kid


@pytest.mark.standard("8725-3.10-1", "STK-8", "STK-9")
@pytest.mark.parametrize(
    "header",
    [
        pytest.param({"alg": ABSENT}, id="no-alg"),
        pytest.param({"alg": None}, id="null-alg"),
        pytest.param({"alg": ["ES256"]}, id="alg-array"),
        pytest.param({"kid": ABSENT}, id="no-kid"),
        pytest.param({"kid": 5}, id="kid-number"),
        pytest.param({"kid": None}, id="kid-null"),
        pytest.param({"kid": ""}, id="kid-empty"),
        pytest.param({"kid": "' OR 1=1--"}, id="kid-sql"),
        pytest.param({"kid": "a\r\nSET x 1"}, id="kid-redis"),
        pytest.param({"kid": "key\n"}, id="kid-line-break"),
        pytest.param({"kid": "clé"}, id="kid-not-ascii"),
        pytest.param({"kid": "k" * 129}, id="kid-long"),
        pytest.param({"typ": ["at+jwt"]}, id="typ-array"),
        pytest.param({"typ": 5}, id="typ-number"),
        pytest.param({"typ": None}, id="typ-null"),
    ],
)
def test_a_header_is_in_proper_form(header):
    """`alg` and `kid` are there and are strings; `typ` is a string if it is there."""
    assert cause_of(LOGIN.token(header=header)) is Cause.TOKEN_HEADER


def test_a_huge_kid_is_refused():
    """A key id of 100 KiB ends at the length of the token."""
    assert cause_of(LOGIN.token(header={"kid": "k" * 102_400})) is Cause.TOKEN_TOO_LARGE


@pytest.mark.standard("7519-1", "STK-9")
@pytest.mark.parametrize("claim", ["exp", "iat", "nbf", "auth_time"])
@pytest.mark.parametrize(
    "value", ["1795208567", True, None, [1], {}, -1, 253_402_300_800, 1e18], ids=repr
)
def test_dates_are_numbers_of_the_calendar(claim, value):
    """A date is a JSON number that stands for a day: no string, no boolean, no year 31 billion."""
    assert cause_of(LOGIN.token(**{claim: value})) is Cause.TOKEN_CLAIMS


@given(st.text() | st.from_regex(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", fullmatch=True))
def test_no_text_does_more_than_be_refused(value):
    """Whatever text comes in, the answer is a token or one kind of error."""
    assert isinstance(cause_of(value), Cause)


@given(st.binary(max_size=200))
def test_no_payload_does_more_than_be_refused(payload):
    """Whatever bytes are inside, the answer is a token or one kind of error."""
    value = LOGIN.sign_bytes(b'{"alg":"ES256","kid":"1"}', payload)

    try:
        parse(value)
        cause = None
    except TokenFault as fault:
        cause = fault.cause

    assert cause in {None, Cause.TOKEN_MALFORMED, Cause.TOKEN_CLAIMS}
