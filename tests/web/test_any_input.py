"""Whatever comes in: the answer is one of ours, in JSON, and repeats nothing."""

from typing import Any
from urllib.parse import quote_from_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from tests.web.endpoint import REQUEST, Endpoint, basic, body_of, encoded, form

# One service for all examples: a service per example would take too long.
STS = Endpoint()

CANARY = "Zz4-canary-4zZ"


def canaries(strategy: st.SearchStrategy[Any], canary: str | bytes) -> st.SearchStrategy[Any]:
    """Anything of *strategy*, by itself or with the canary that no answer may repeat."""
    return strategy | strategy.map(lambda value: value + canary)


BYTES = canaries(st.binary(max_size=200), CANARY.encode())
UTF8 = canaries(st.text(st.characters(codec="utf-8")), CANARY).map(str.encode)
LATIN = canaries(
    st.text(st.characters(max_codepoint=255, exclude_characters="\r\n"), max_size=200), CANARY
)

PARAMETERS = [
    *REQUEST,
    "audience",
    "requested_token_type",
    "actor_token",
    "actor_token_type",
    "client_id",
    "client_secret",
    "client_assertion",
    "client_assertion_type",
]

HEADERS = [
    "CONTENT_TYPE",
    "CONTENT_LENGTH",
    "HTTP_AUTHORIZATION",
    "HTTP_CONTENT_ENCODING",
    "HTTP_TRACEPARENT",
    "HTTP_HOST",
    "HTTP_X_FORWARDED_FOR",
    "HTTP_X_FORWARDED_HOST",
    "HTTP_X_FORWARDED_PROTO",
    "HTTP_FORWARDED",
    "HTTP_CONNECTION",
    "HTTP_UPGRADE",
    "HTTP_ACCEPT",
    "HTTP_COOKIE",
    "HTTP_TRANSFER_ENCODING",
    "HTTP_DPOP",
    "QUERY_STRING",
    "REMOTE_ADDR",
    "SERVER_NAME",
]


def assert_ours(response: TestResponse) -> None:
    """An answer of ours, in which nothing is repeated."""
    body_of(response)
    assert response.status_code in {200, 400, 401, 413, 429}
    assert CANARY not in f"{response.text}{response.headers}"


@pytest.mark.standard("6749-B-1", "6749-5.2-3", "8693-2.2.2-4")
@given(body=BYTES)
def test_any_body(body: bytes) -> None:
    """Any bytes as the body."""
    assert_ours(STS.ask(body, authorization=basic()))


@given(start=BYTES)
def test_any_bytes_around_a_proper_form(start: bytes) -> None:
    """Any bytes before and after what would be a proper request."""
    assert_ours(STS.ask(start + b"&" + form(), authorization=basic()))
    assert_ours(STS.ask(form() + b"&" + start, authorization=basic()))


@pytest.mark.standard("6749-B-1", "6749-5.2-3", "8693-2.2.2-4")
@pytest.mark.attack(21)
@pytest.mark.parametrize("name", PARAMETERS)
@given(value=BYTES | UTF8)
def test_any_parameter(name: str, value: bytes) -> None:
    """Any bytes in any parameter, escaped."""
    body = form(**{name: None}) + f"&{name}={quote_from_bytes(value)}".encode()

    assert_ours(STS.ask(body, authorization=basic()))


@pytest.mark.standard("7662-2", "7009-3")
@pytest.mark.parametrize("path", ["/introspect", "/revoke"])
@given(token=BYTES | UTF8, hint=BYTES | UTF8)
def test_any_token(path: str, token: bytes, hint: bytes) -> None:
    """Any bytes for a token that is asked about, or is to end: it is none, and that is all."""
    fields = {"token": token, "token_type_hint": hint}
    body = "&".join(f"{name}={quote_from_bytes(value)}" for name, value in fields.items())

    response = STS.ask(body.encode(), authorization=basic(), path=path)

    assert response.data in {b"", b'{"active": false}'} or response.status_code == 400
    assert CANARY not in f"{response.text}{response.headers}"


@pytest.mark.parametrize("name", HEADERS)
@given(value=LATIN)
def test_any_header(name: str, value: str) -> None:
    """Any value in any header that we or what we stand on reads."""
    environ: dict[str, Any] = {name: value}

    assert_ours(STS.ask(**environ))


@pytest.mark.standard("6749-2.3-2")
@pytest.mark.attack(23)
@given(credentials=BYTES)
def test_any_credentials(credentials: bytes) -> None:
    """Any bytes where id and secret should be."""
    response = STS.ask(form(), authorization=encoded(credentials))

    assert_ours(response)
    assert response.status_code in {401, 429}


@given(path=LATIN, method=st.sampled_from(["GET", "POST", "HEAD", "OPTIONS"]) | LATIN)
def test_any_address(path: str, method: str) -> None:
    """Any path, any method: JSON, and neither of them in it."""
    response = STS.ask(PATH_INFO=f"/~{path}", REQUEST_METHOD=method)

    assert response.status_code == 404
    assert response.headers["Content-Type"] == "application/json"
    assert CANARY not in f"{response.text}{response.headers}"
