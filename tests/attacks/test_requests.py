"""Attacks on the request itself: repeated, smuggled, oversized, mislabelled and cut-off."""

import gzip
import json
from urllib.parse import urlencode

import pytest

from tests.attacks.attack import (
    CLIENT,
    GRANT_TYPE,
    MALFORMED,
    NOT_ALLOWED,
    SUBJECT_TOKEN,
    TARGET,
    TOO_LARGE,
    Attack,
    Refusal,
)
from tests.attacks.endpoint import ACCESS_TOKEN, EXCHANGE, FORM

ONCE = {
    "grant_type": EXCHANGE,
    "subject_token": "another-token",
    "subject_token_type": ACCESS_TOKEN,
    "requested_token_type": ACCESS_TOKEN,
    "scope": "events.read",
    "client_id": "some-client",
    "unknown_parameter": "whatever",
}


@pytest.mark.attack(13)
@pytest.mark.standard("8693-2.1-16", "6749-3.2-3")
@pytest.mark.parametrize("same", [True, False], ids=["same-value", "other-value"])
@pytest.mark.parametrize("name", ONCE)
def test_a_parameter_twice(attack: Attack, name: str, same: bool) -> None:  # noqa: FBT001
    """No parameter but a target comes twice, known or unknown, not even with one value."""
    form = dict(attack.endpoint.form())
    first = ONCE[name] if name not in form else form[name]
    second = first if same else "something-else"
    altered = {name: first}

    attack.exchange(MALFORMED, also=[(name, second)], **altered)


@pytest.mark.attack(13)
@pytest.mark.standard("8693-2.1-16")
def test_an_empty_parameter_beside_a_full_one(attack: Attack) -> None:
    """Empty counts as omitted, but twice is twice."""
    attack.exchange(MALFORMED, also=[("scope", "")])
    attack.exchange(MALFORMED, also=[("subject_token", "")])


@pytest.mark.attack(13)
@pytest.mark.standard("8693-2.1-1", "6749-3.2-3")
@pytest.mark.parametrize("name", [*ONCE, "resource", "audience", "client_secret"])
def test_a_parameter_in_the_query(attack: Attack, name: str) -> None:
    """What stands in the URL is never merged into the form: with a query there is no answer."""
    form = dict(attack.endpoint.form())
    body = urlencode({key: value for key, value in form.items() if key != name}).encode()
    value = ONCE.get(name, "https://calendar.example/api")
    path = f"/token?{urlencode({name: value})}"

    attack.fails(MALFORMED, lambda: attack.endpoint.send(body, path=path, sent=[value.encode()]))
    whole = urlencode(form).encode()
    attack.fails(MALFORMED, lambda: attack.endpoint.send(whole, path=path))


@pytest.mark.attack(13)
@pytest.mark.standard("8693-2.1-1")
def test_everything_in_the_query(attack: Attack) -> None:
    """A request without a body is none, whatever its URL says."""
    path = f"/token?{urlencode(attack.endpoint.form())}"
    sent = [value.encode() for _, value in attack.endpoint.form()]

    attack.fails(MALFORMED, lambda: attack.endpoint.send(b"", path=path, sent=sent))
    attack.fails(NOT_ALLOWED, lambda: attack.endpoint.send(b"", path=path, method="GET"))


@pytest.mark.attack(13)
@pytest.mark.standard("8693-2.1-9", "8693-2.1-12")
@pytest.mark.parametrize("name", ["resource", "audience"])
@pytest.mark.parametrize("value", ["https://rooms.example/api", "https://unknown.example/api"])
def test_two_targets(attack: Attack, name: str, value: str) -> None:
    """A token is for one target: two are refused, and not the first or the last of them taken."""
    attack.exchange(TARGET, also=[(name, value)])


@pytest.mark.attack(13)
@pytest.mark.standard("8693-2.1-9")
def test_the_same_target_twice(attack: Attack) -> None:
    """Said twice, one target is still one."""
    attack.succeeds(also=[("resource", attack.endpoint.resource)])
    attack.succeeds(also=[("audience", attack.endpoint.resource)])


@pytest.mark.attack(13)
@pytest.mark.standard("6749-3.2-4")
@pytest.mark.parametrize("name", ["Scope", "scope ", "scope\0", "resource[]", "\u017fcope", "act"])
def test_a_parameter_of_nearly_that_name(attack: Attack, name: str) -> None:
    """A name that is not exactly known is not known, and changes nothing."""
    answer = attack.succeeds(also=[(name, "events.write")])

    assert answer.json["scope"] == attack.endpoint.scope


@pytest.mark.attack(13)
@pytest.mark.standard("8693-2.1-2")
@pytest.mark.parametrize(
    ("grant_type", "expected"),
    [
        (None, MALFORMED),
        ("", MALFORMED),
        ("client_credentials", GRANT_TYPE),
        ("refresh_token", GRANT_TYPE),
        ("password", GRANT_TYPE),
        ("urn:ietf:params:oauth:grant-type:jwt-bearer", GRANT_TYPE),
        (EXCHANGE.upper(), GRANT_TYPE),
        (f"{EXCHANGE} ", GRANT_TYPE),
        (f"{EXCHANGE}\0", MALFORMED),
    ],
    ids=lambda value: repr(value)[-24:] if isinstance(value, str | None) else "",
)
def test_another_grant_type(attack: Attack, grant_type: str | None, expected: Refusal) -> None:
    """There is one grant type here, letter by letter."""
    attack.exchange(expected, grant_type=grant_type)


@pytest.mark.attack(21)
@pytest.mark.standard("8693-2.1-3")
@pytest.mark.parametrize(
    ("size", "expected"),
    [(13 * 1024, SUBJECT_TOKEN), (45 * 1024, SUBJECT_TOKEN), (52 * 1024, TOO_LARGE)],
    ids=["17K", "60K", "70K"],
)
def test_a_huge_token(attack: Attack, size: int, expected: Refusal) -> None:
    """A token that is too large is refused; it is never left out of what is believed
    (CVE-2026-9704).
    """
    token = attack.login.token(filler="x" * size)

    attack.exchange(expected, subject_token=token)


@pytest.mark.attack(21)
@pytest.mark.standard("8693-2.1-3")
@pytest.mark.parametrize("size", [64 * 1024 + 1, 5 * 1024 * 1024], ids=["64K+1", "5M"])
def test_a_huge_body(attack: Attack, size: int) -> None:
    """A body that is too large is refused, whatever it begins with."""
    body = urlencode(attack.endpoint.form()).encode() + b"&filler="
    body += b"x" * (size - len(body))

    attack.fails(TOO_LARGE, lambda: attack.endpoint.send(body))


@pytest.mark.attack(21)
def test_a_body_at_the_limit(attack: Attack) -> None:
    """What is just small enough is read whole."""
    body = urlencode(attack.endpoint.form()).encode() + b"&filler="
    body += b"x" * (64 * 1024 - len(body))

    assert attack.endpoint.send(body).status == 200


@pytest.mark.attack(21)
@pytest.mark.parametrize(
    ("count", "expected"), [(60, MALFORMED), (5_000, MALFORMED), (20_000, TOO_LARGE)]
)
def test_a_flood_of_fields(attack: Attack, count: int, expected: Refusal) -> None:
    """More parameters than anyone needs are refused before they are looked at."""
    fields = [(f"f{number}", "") for number in range(count)]

    attack.exchange(expected, also=fields)


@pytest.mark.attack(21)
@pytest.mark.standard("8693-2.1-1")
@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "application/json",
        "text/plain",
        "multipart/form-data; boundary=x",
        "application/x-www-form-urlencoded; charset=utf-16",
        "application/x-www-form-urlencoded; charset=iso-8859-1",
        "application/x-www-form-urlencoded, application/json",
        "application/x-www-form-urlencodedx",
        "text/html",
    ],
)
def test_a_body_that_is_called_something_else(attack: Attack, content_type: str | None) -> None:
    """Only what says that it is a form is read as one."""
    body = urlencode(attack.endpoint.form()).encode()
    headers = {"Content-Type": content_type}

    attack.fails(MALFORMED, lambda: attack.endpoint.send(body, headers=headers))


@pytest.mark.attack(21)
@pytest.mark.standard("8693-2.1-1")
def test_a_body_that_is_something_else(attack: Attack) -> None:
    """JSON and multipart are no forms, whatever their header says."""
    form = attack.endpoint.form()
    document = json.dumps(dict(form)).encode()
    parts = "".join(
        f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in form
    )
    multipart = f"{parts}--x--\r\n".encode()

    for body, kind in (
        (document, "application/json"),
        (multipart, "multipart/form-data; boundary=x"),
    ):
        for headers in ({"Content-Type": kind}, {"Content-Type": FORM}):
            attack.fails(MALFORMED, lambda b=body, h=headers: attack.endpoint.send(b, headers=h))


@pytest.mark.attack(21)
@pytest.mark.standard("6749-B-1")
@pytest.mark.parametrize(
    "tail",
    [b"&x=\xff", b"&x=%FF", b"&\xc3\x28=1", b"&x=%C3%28", b"&x=\xed\xa0\x80", b"&x=%ED%A0%80"],
    ids=repr,
)
def test_a_body_that_is_no_utf8(attack: Attack, tail: bytes) -> None:
    """What is no UTF-8 is no form, raw or escaped: it does not silently become an empty one."""
    body = urlencode(attack.endpoint.form()).encode() + tail

    attack.fails(MALFORMED, lambda: attack.endpoint.send(body))


@pytest.mark.attack(21)
@pytest.mark.standard("6749-B-1")
@pytest.mark.parametrize("name", ["subject_token", "client_id", "subject_token_type", "grant_type"])
@pytest.mark.parametrize("control", ["\0", "\n", "\r", "\x1b[2J", "\x7f", "\u202e"], ids=ascii)
def test_control_characters(attack: Attack, name: str, control: str) -> None:
    """No control character gets past the form, and so none into a log."""
    value = dict(attack.endpoint.form(client_id=attack.service.client))[name]
    altered = {name: value + control}

    attack.exchange(MALFORMED, **altered)


@pytest.mark.attack(21)
@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "gzip, identity", "x"])
def test_a_compressed_body(attack: Attack, encoding: str) -> None:
    """Nothing is unpacked: a small body stays small."""
    body = gzip.compress(urlencode(attack.endpoint.form()).encode())

    headers = {"Content-Encoding": encoding}
    attack.fails(MALFORMED, lambda: attack.endpoint.send(body, headers=headers))
    attack.fails(MALFORMED, lambda: attack.endpoint.send(body))


@pytest.mark.attack(21)
@pytest.mark.parametrize("off_by", [1, 1000], ids=["one", "many"])
def test_a_body_that_ends_early(attack: Attack, off_by: int) -> None:
    """What did not all arrive might mean something else: it is refused."""
    body = urlencode(attack.endpoint.form()).encode()

    headers = {"Content-Length": str(len(body) + off_by)}
    attack.fails(MALFORMED, lambda: attack.endpoint.send(body, headers=headers))


@pytest.mark.attack(21)
@pytest.mark.parametrize(
    ("length", "expected"), [(0, MALFORMED), (10, MALFORMED), (86, MALFORMED)], ids=str
)
def test_a_body_longer_than_it_says(attack: Attack, length: int, expected: Refusal) -> None:
    """What comes after the stated length belongs to no request."""
    body = urlencode(attack.endpoint.form()).encode()

    headers = {"Content-Length": str(length)}
    attack.fails(expected, lambda: attack.endpoint.send(body, headers=headers))


@pytest.mark.attack(21)
def test_a_chunked_body(attack: Attack) -> None:
    """In chunks a sound form is still one; with broken chunks it is not."""
    form = urlencode(attack.endpoint.form()).encode()
    half = len(form) // 2
    sound = _chunk(form[:half]) + _chunk(form[half:]) + _chunk(b"")

    assert attack.endpoint.send(sound, headers=_chunked()).status == 200
    for broken in (
        b"zz\r\n" + form,
        b"-1\r\n" + form,
        _chunk(form)[:-2] + b"XX" + _chunk(b""),
        _chunk(form),
        _chunk(form)[:-20],
        b"FFFFFFFFFFFFFFFFF\r\n" + form,
        b"",
    ):
        attack.fails(MALFORMED, lambda b=broken: attack.endpoint.send(b, headers=_chunked()))


@pytest.mark.attack(21)
def test_a_huge_chunked_body(attack: Attack) -> None:
    """A body that does not say how long it is may not be longer."""
    form = urlencode(attack.endpoint.form()).encode() + b"&filler=" + b"x" * (64 * 1024)
    pieces = b"".join(_chunk(form[at : at + 4096]) for at in range(0, len(form), 4096))

    attack.fails(TOO_LARGE, lambda: attack.endpoint.send(pieces + _chunk(b""), headers=_chunked()))


@pytest.mark.attack(21)
@pytest.mark.standard("6749-3.2-1")
@pytest.mark.parametrize(
    "method", ["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"]
)
def test_another_method(attack: Attack, method: str) -> None:
    """Only POST is allowed, and the answer says so."""
    body = urlencode(attack.endpoint.form()).encode()

    answer = attack.fails(NOT_ALLOWED, lambda: attack.endpoint.send(body, method=method))

    assert answer.header("Allow") == "POST"


@pytest.mark.attack(21)
@pytest.mark.standard("8693-2.1-3")
@pytest.mark.parametrize("name", ["subject_token", "subject_token_type"])
@pytest.mark.parametrize("value", [None, ""], ids=["missing", "empty"])
def test_no_subject_token(attack: Attack, name: str, value: str | None) -> None:
    """Without a subject there is nothing to delegate, and no client credentials instead."""
    form = [pair for pair in attack.endpoint.form() if pair[0] != name]
    if value is not None:
        form.append((name, value))
    body = urlencode(form).encode()

    attack.fails(MALFORMED, lambda: attack.endpoint.send(body))


@pytest.mark.attack(21)
def test_an_unauthenticated_flood(attack: Attack) -> None:
    """Nor does size help whoever has no credentials."""
    body = b"x=" + b"y" * (70 * 1024)

    attack.fails(TOO_LARGE, lambda: attack.endpoint.send(body, headers={"Authorization": None}))
    small = urlencode(attack.endpoint.form()).encode()
    attack.fails(CLIENT, lambda: attack.endpoint.send(small, headers={"Authorization": None}))


def _chunked() -> dict[str, str | bytes | None]:
    return {"Content-Length": None, "Transfer-Encoding": "chunked"}


def _chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"
