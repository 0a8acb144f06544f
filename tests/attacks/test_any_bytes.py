"""Any bytes at all, anywhere in a request, over real HTTP."""

import json
from typing import Any
from urllib.parse import quote_from_bytes, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.attacks.attack import BRAKE, Service, must_be_harmless
from tests.attacks.endpoint import ACCESS_TOKEN, JWT, Answer, Fields, basic
from tests.world import TEAM, TEAM_API, TEAM_MCP, Login, TestWorld

JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

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
    "client_assertion_type",
    "unknown",
)
CREDENTIALS = frozenset({"client_id", "client_secret", "client_assertion", "client_assertion_type"})
HEADERS = (
    "Accept",
    "Authorization",
    "Connection",
    "Content-Encoding",
    "Content-Length",
    "Content-Type",
    "Cookie",
    "DPoP",
    "Expect",
    "Forwarded",
    "Host",
    "If-None-Match",
    "Origin",
    "Range",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
    "User-Agent",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
    "X-Request-Id",
    "traceparent",
)
CLAIMS = (
    "iss",
    "sub",
    "aud",
    "exp",
    "iat",
    "nbf",
    "jti",
    "client_id",
    "scope",
    "act",
    "may_act",
    "auth_time",
    "acr",
    "amr",
    "groups",
    "tid",
    "sub_profile",
    "txn",
    "cnf",
)

anything = st.binary(max_size=300) | st.text(max_size=100).map(
    lambda text: text.encode("utf-8", "surrogatepass")
)
names = st.text(max_size=20) | st.sampled_from(["iss", "sub", "act", "may_act", "client_id"])
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=300) | names,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=6,
)
claims = st.dictionaries(st.sampled_from(CLAIMS) | names, values, min_size=1, max_size=3)

often = settings(max_examples=300)
"""In every run: each property so many times, and a hundred thousand times in the slow suite."""


def _companions(service: Service, name: str) -> Fields:
    """What has to stand beside a parameter, or nobody would look at it."""
    return {
        "actor_token": [("actor_token_type", JWT)],
        "actor_token_type": [("actor_token", service.login.token())],
        "client_id": [("client_secret", service.secret)],
        "client_secret": [("client_id", service.client)],
        "client_assertion": [("client_assertion_type", JWT_BEARER)],
        "client_assertion_type": [("client_assertion", service.login.token())],
    }.get(name, [])


def _parameter(service: Service, name: str, value: bytes, *, raw: bool) -> Answer:
    endpoint = service.endpoint()
    fields = [pair for pair in endpoint.form() if pair[0] != name] + _companions(service, name)
    written = value if raw else quote_from_bytes(value).encode()
    body = urlencode(fields).encode() + b"&" + name.encode() + b"=" + written
    headers = {"Authorization": None} if name in CREDENTIALS else None
    return endpoint.send(body, headers=headers, sent=[value])


def _header(service: Service, name: str, value: bytes) -> Answer:
    endpoint = service.endpoint()
    body = urlencode(endpoint.form()).encode()
    return endpoint.send(body, headers={name: value})


def _token(issuer: Login, changes: dict[str, Any]) -> str:
    """A JWT of *issuer*, sound in all but the *changes*."""
    payload = json.dumps(issuer.claims() | changes)
    return issuer.sign_bytes(json.dumps(issuer.header()).encode(), payload.encode())


def _must_be_an_answer(service: Service, answer: Answer) -> None:
    if answer.status == 200:
        assert set(answer.json) == {
            "access_token",
            "issued_token_type",
            "token_type",
            "expires_in",
            "scope",
        }
        return
    known = {400, 401, 405, 413, 414, 431}
    if service.own is None:  # pragma: no cover, there all our failures come from one address
        known |= {BRAKE.status}
    assert answer.status in known
    must_be_harmless(answer)


@pytest.mark.attack(21)
@pytest.mark.standard("STK-12", "8693-2.2.2-4")
@often
@given(name=st.sampled_from(PARAMETERS), value=anything, raw=st.booleans())
def test_any_bytes_in_a_parameter(service: Service, name: str, value: bytes, raw: bool) -> None:  # noqa: FBT001
    """They yield a token or a refusal: never a failure, HTML or an echo."""
    _must_be_an_answer(service, _parameter(service, name, value, raw=raw))


@pytest.mark.attack(21)
@pytest.mark.standard("STK-12", "8693-2.2.2-4")
@often
@given(name=st.sampled_from(HEADERS), value=anything)
def test_any_bytes_in_a_header(service: Service, name: str, value: bytes) -> None:
    """The same of headers."""
    _must_be_an_answer(service, _header(service, name, value))


@pytest.mark.attack(21)
@pytest.mark.standard("STK-12", "8693-2.2.2-4")
@often
@given(body=st.binary(max_size=2000))
def test_any_bytes_in_the_body(service: Service, body: bytes) -> None:
    """And of the whole body, which never is a sound request by chance."""
    answer = service.endpoint().send(body, sent=[body])

    assert answer.status in {400, 401}
    must_be_harmless(answer)


@pytest.mark.attack(22)
@pytest.mark.standard("7519-1", "7519-2", "8725-3.7-1")
@often
@given(changes=claims)
def test_any_claims_in_a_subject_token(service: Service, changes: dict[str, Any]) -> None:
    """Nor does anything that an issuer signs, whatever it wrote into its claims."""
    token = _token(service.login, changes)

    _must_be_an_answer(service, service.endpoint().exchange(subject_token=token))


@pytest.mark.attack(22)
@pytest.mark.standard("7519-1", "7519-2", "8693-A-1")
@often
@given(changes=claims, kind=st.sampled_from([JWT, ACCESS_TOKEN]), in_chain=st.booleans())
def test_any_claims_where_actors_are_told(
    service: Service,
    own: TestWorld,
    changes: dict[str, Any],
    kind: str,
    in_chain: bool,  # noqa: FBT001
) -> None:
    """Nor what an actor issuer signs, or one that says who acts."""
    sound = {JWT: own.platform.workload, ACCESS_TOKEN: own.platform.access_token}[kind]
    subject = {"subject_token": own.login.token(aud=TEAM_MCP)}
    if in_chain:
        act = {"iss": "https://broker.example", "sub": "broker", "act": changes}
        form = {"subject_token": _token(own.federated, {"act": act} | changes)}
    else:
        form = subject | {"actor_token": sound(**changes), "actor_token_type": kind}
    endpoint = service.endpoint()

    answer = endpoint.exchange(
        **form,
        resource=TEAM_API,
        headers={"Authorization": basic(TEAM, own.secrets[TEAM])},
    )

    _must_be_an_answer(service, answer)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.attack(21)
@pytest.mark.standard("STK-12", "8693-2.2.2-4")
@settings(max_examples=100_000, derandomize=False)
@given(where=st.sampled_from([*PARAMETERS, *HEADERS]), value=anything, raw=st.booleans())
def test_any_bytes_anywhere(service: Service, where: str, value: bytes, raw: bool) -> None:  # noqa: FBT001
    """The same, at length."""
    if where in PARAMETERS:
        answer = _parameter(service, where, value, raw=raw)
    else:
        answer = _header(service, where, value)
    _must_be_an_answer(service, answer)
