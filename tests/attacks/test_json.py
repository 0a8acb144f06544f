"""Attacks on readers of JSON and JWS: documents that two of them would understand differently."""

import json
from collections.abc import Callable

import pytest

from tests.attacks.attack import MALFORMED, SUBJECT_TOKEN, Attack
from tests.signing import b64, unb64
from tests.world import Login


def _payload(login: Login, **changes: object) -> str:
    return json.dumps(login.claims(**changes))


def _raw(member: str, text: str) -> Callable[[Login], bytes]:
    """Claims in which *member* stands exactly as *text*."""

    def write(login: Login) -> bytes:
        marker = "this-is-to-be-replaced"
        return _payload(login, **{member: marker}).replace(f'"{marker}"', text).encode()

    return write


def _with(text: str) -> Callable[[Login], bytes]:
    """Claims with *text* as one member more."""
    return lambda login: (_payload(login)[:-1] + f", {text}}}").encode()


def _wrapped(before: bytes = b"", after: bytes = b"") -> Callable[[Login], bytes]:
    return lambda login: before + _payload(login).encode() + after


PAYLOADS: dict[str, Callable[[Login], bytes]] = {
    "sub-twice": _with('"sub": "victim"'),
    "aud-twice": _with('"aud": "https://evil.example"'),
    "exp-twice": _with('"exp": 4102444800'),
    "iss-twice": _with('"iss": "https://evil.example"'),
    "scope-twice": _with('"scope": "calendar:write"'),
    "escaped-twice": _with('"\\u0073ub": "victim"'),
    "nested-twice": _with('"x": {"a": 1, "a": 2}'),
    "exp-string": _raw("exp", '"4102444800"'),
    "exp-true": _raw("exp", "true"),
    "exp-null": _raw("exp", "null"),
    "exp-huge": _raw("exp", "1e400"),
    "exp-year-31-billion": _raw("exp", "999999999999999999"),
    "exp-many-digits": _raw("exp", "1" * 5000),
    "exp-nan": _raw("exp", "NaN"),
    "exp-infinity": _raw("exp", "Infinity"),
    "exp-negative": _raw("exp", "-1"),
    "exp-array": _raw("exp", "[4102444800]"),
    "exp-hex": _raw("exp", "0xF48657F0"),
    "exp-leading-zero": _raw("exp", "04102444800"),
    "iat-string": _raw("iat", '"1"'),
    "nbf-string": _raw("nbf", '"1"'),
    "auth-time-string": _raw("auth_time", '"1"'),
    "utf-16": lambda login: _payload(login).encode("utf-16"),
    "utf-16-le": lambda login: _payload(login).encode("utf-16-le"),
    "utf-32": lambda login: _payload(login).encode("utf-32"),
    "bom": _wrapped(before=b"\xef\xbb\xbf"),
    "latin-1": lambda login: _payload(login).replace("alice", "alic\u00e9").encode("latin-1"),
    "invalid-utf-8": lambda login: _payload(login).encode()[:-1] + b', "x": "\xff"}',
    "overlong-utf-8": lambda login: _payload(login).encode()[:-1] + b', "x": "\xc0\x80"}',
    "lone-surrogate": _raw("sub", '"alice\\ud800"'),
    "raw-surrogate": lambda login: _payload(login).encode()[:-1] + b', "x": "\xed\xa0\x80"}',
    "nul": _raw("sub", '"alice\\u0000"'),
    "raw-nul": _raw("sub", '"alice\0"'),
    "empty-sub": _raw("sub", '""'),
    "number-as-sub": _raw("sub", "7"),
    "object-as-sub": _raw("sub", '{"sub": "alice"}'),
    "long-sub": _raw("sub", f'"{"a" * 256}"'),
    "newline-in-sub": _raw("sub", '"alice\\nadmin"'),
    "bidi-in-sub": _raw("sub", '"alice\\u202e"'),
    "trailing-bytes": _wrapped(after=b"x"),
    "second-document": _wrapped(after=b"{}"),
    "trailing-nul": _wrapped(after=b"\0"),
    "array": lambda login: f"[{_payload(login)}]".encode(),
    "string": lambda login: json.dumps(_payload(login)).encode(),
    "null": lambda _: b"null",
    "empty": lambda _: b" ",
    "comment": _wrapped(before=b"/* */"),
    "trailing-comma": lambda login: (_payload(login)[:-1] + ",}").encode(),
    "single-quotes": lambda login: _payload(login).replace('"', "'").encode(),
    "deep-array": _with(f'"x": {"[" * 1000}{"]" * 1000}'),
    "deeper-array": _with(f'"x": {"[" * 5000}{"]" * 5000}'),
    "deep-object": _with('"x": ' + '{"a": ' * 40 + "1" + "}" * 40),
    "unclosed": _with(f'"x": {"[" * 1000}'),
}


@pytest.mark.attack(22)
@pytest.mark.standard("8725-3.7-1", "7519-1", "7519-2")
@pytest.mark.parametrize("write", PAYLOADS.values(), ids=PAYLOADS)
def test_claims_that_readers_differ_about(attack: Attack, write: Callable[[Login], bytes]) -> None:
    """What can be understood in two ways is not understood at all, though its signature holds."""
    header = json.dumps(attack.login.header()).encode()

    token = attack.login.sign_bytes(header, write(attack.login))

    attack.exchange(SUBJECT_TOKEN, subject_token=token)


HEADERS: dict[str, Callable[[str], str]] = {
    "alg-twice": lambda header: header[:-1] + ', "alg": "none"}',
    "kid-twice": lambda header: header[:-1] + ', "kid": "other"}',
    "unknown-crit": lambda header: header[:-1] + ', "crit": ["exp"], "exp": 1}',
    "empty-crit": lambda header: header[:-1] + ', "crit": []}',
    "b64-false": lambda header: header[:-1] + ', "b64": false, "crit": ["b64"]}',
    "b64-false-quietly": lambda header: header[:-1] + ', "b64": false}',
    "zip": lambda header: header[:-1] + ', "zip": "DEF"}',
    "enc": lambda header: header[:-1] + ', "enc": "A256GCM"}',
    "array": lambda header: f"[{header}]",
    "trailing": lambda header: header + "x",
    "bom": lambda header: "\ufeff" + header,
    "nan": lambda header: header[:-1] + ', "x": NaN}',
    "empty": lambda _: "{}",
}


@pytest.mark.attack(22)
@pytest.mark.standard("8725-crit", "8725-3.7-1")
@pytest.mark.parametrize("write", HEADERS.values(), ids=HEADERS)
def test_headers_that_readers_differ_about(attack: Attack, write: Callable[[str], str]) -> None:
    """The same of headers; and one that changes the meaning of the token is refused."""
    header = write(json.dumps(attack.login.header())).encode()

    token = attack.login.sign_bytes(header, _payload(attack.login).encode())

    attack.exchange(SUBJECT_TOKEN, subject_token=token)


def _json_serialized(token: str) -> str:
    header, payload, signature = token.split(".")
    return json.dumps({"protected": header, "payload": payload, "signature": signature})


def _high_s(token: str) -> str:
    """The same ECDSA signature, written as its other solution."""
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    signing_input, _, signature = token.rpartition(".")
    r, s = unb64(signature)[:32], int.from_bytes(unb64(signature)[32:])
    return f"{signing_input}.{b64(r + (order - s).to_bytes(32))}"


SERIALIZATIONS: dict[str, Callable[[str], str]] = {
    "four-segments": lambda token: f"{token}.e30",
    "five-segments": lambda token: f"{token}.e30.e30",
    "two-segments": lambda token: token.rpartition(".")[0],
    "one-segment": lambda token: token.partition(".")[0],
    "empty-signature": lambda token: token.rpartition(".")[0] + ".",
    "empty-payload": lambda token: "..".join(token.split(".")[::2]),
    "dots": lambda _: "..",
    "json-serialized": _json_serialized,
    "json-general": lambda token: json.dumps({"payload": token.split(".")[1], "signatures": []}),
    "padding": lambda token: f"{token}=",
    "two-paddings": lambda token: f"{token}==",
    "space": lambda token: f"{token} ",
    "leading-space": lambda token: f" {token}",
    "standard-alphabet": lambda token: f"{token}+/",
    "spare-bits": lambda token: token[:-1] + chr(ord(token[-1]) + 1),
    "bearer": lambda token: f"Bearer {token}",
    "quoted": lambda token: f'"{token}"',
    "truncated": lambda token: token[:-4],
    "twice": lambda token: token + token,
    "opaque": lambda _: "2YotnFZFEjr1zCsicMWpAA",
    "markup": lambda _: "<script>alert(1)</script>",
    "not-ascii": lambda token: token.replace("e", "\u0435", 1),
    "fullwidth-dot": lambda token: token.replace(".", "\uff0e", 1),
}


@pytest.mark.attack(22)
@pytest.mark.standard("8725-3.3-1")
@pytest.mark.parametrize("write", SERIALIZATIONS.values(), ids=SERIALIZATIONS)
def test_another_serialization(attack: Attack, write: Callable[[str], str]) -> None:
    """There is one way to write a token: three segments, and nothing before, between or after."""
    attack.exchange(SUBJECT_TOKEN, subject_token=write(attack.login.token()))


@pytest.mark.attack(22)
@pytest.mark.parametrize("tail", ["\n", "\r\n", "\t", "\0"], ids=ascii)
def test_a_token_with_a_control_character(attack: Attack, tail: str) -> None:
    """A control character is no part of a parameter at all."""
    attack.exchange(MALFORMED, subject_token=attack.login.token() + tail)


@pytest.mark.attack(22)
def test_the_other_signature_of_the_same_token(attack: Attack) -> None:
    """ECDSA has two signatures for everything: which one is sent changes nothing."""
    token = attack.login.token()

    both = [attack.succeeds(subject_token=one) for one in (token, _high_s(token))]

    assert len({answer.json["scope"] for answer in both}) == 1
