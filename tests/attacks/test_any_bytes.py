"""Any bytes at all, anywhere in a request, over real HTTP."""

from urllib.parse import quote_from_bytes, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.attacks.attack import Service, must_be_harmless
from tests.attacks.endpoint import Answer

PARAMETERS = (
    "grant_type",
    "subject_token",
    "subject_token_type",
    "actor_token",
    "actor_token_type",
    "requested_token_type",
    "resource",
    "audience",
    "scope",
    "client_id",
    "client_secret",
    "client_assertion",
    "unknown",
)
HEADERS = (
    "Accept",
    "Authorization",
    "Content-Encoding",
    "Content-Length",
    "Content-Type",
    "Cookie",
    "Expect",
    "Forwarded",
    "Host",
    "If-None-Match",
    "Origin",
    "Transfer-Encoding",
    "Upgrade",
    "User-Agent",
    "X-Forwarded-For",
    "X-Forwarded-Proto",
    "X-Request-Id",
    "traceparent",
)

anything = st.binary(max_size=300) | st.text(max_size=100).map(
    lambda text: text.encode("utf-8", "surrogatepass")
)


def _parameter(service: Service, name: str, value: bytes, *, raw: bool) -> Answer:
    endpoint = service.endpoint()
    fields = [pair for pair in endpoint.form() if pair[0] != name]
    written = value if raw else quote_from_bytes(value).encode()
    body = urlencode(fields).encode() + b"&" + name.encode() + b"=" + written
    return endpoint.send(body, sent=[value])


def _header(service: Service, name: str, value: bytes) -> Answer:
    endpoint = service.endpoint()
    body = urlencode(endpoint.form()).encode()
    return endpoint.send(body, headers={name: value})


def _must_be_an_answer(answer: Answer) -> None:
    if answer.status == 200:
        assert set(answer.json) == {
            "access_token",
            "issued_token_type",
            "token_type",
            "expires_in",
            "scope",
        }
        return
    assert answer.status in {400, 401, 405, 413, 414, 431}
    must_be_harmless(answer)


@pytest.mark.attack(21)
@given(name=st.sampled_from(PARAMETERS), value=anything, raw=st.booleans())
def test_any_bytes_in_a_parameter(service: Service, name: str, value: bytes, raw: bool) -> None:  # noqa: FBT001
    """They yield a token or a refusal: never a failure, HTML or an echo."""
    _must_be_an_answer(_parameter(service, name, value, raw=raw))


@pytest.mark.attack(21)
@given(name=st.sampled_from(HEADERS), value=anything)
def test_any_bytes_in_a_header(service: Service, name: str, value: bytes) -> None:
    """The same of headers."""
    _must_be_an_answer(_header(service, name, value))


@pytest.mark.attack(21)
@given(body=st.binary(max_size=2000))
def test_any_bytes_in_the_body(service: Service, body: bytes) -> None:
    """And of the whole body, which never is a sound request by chance."""
    answer = service.endpoint().send(body, sent=[body])

    assert answer.status in {400, 401}
    must_be_harmless(answer)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.attack(21)
@settings(max_examples=5000, derandomize=False)
@given(
    where=st.sampled_from([*PARAMETERS, *HEADERS]),
    value=anything,
    raw=st.booleans(),
)
def test_any_bytes_anywhere(service: Service, where: str, value: bytes, raw: bool) -> None:  # noqa: FBT001
    """The same, at length."""
    if where in PARAMETERS:
        _must_be_an_answer(_parameter(service, where, value, raw=raw))
    else:
        _must_be_an_answer(_header(service, where, value))
