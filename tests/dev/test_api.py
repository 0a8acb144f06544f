"""The sample API, against tokens that are sound in all but one thing."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask, jsonify
from flask.testing import FlaskClient

from delegation.dev.api import sample_api
from delegation.dev.servers import serving
from tests.parties import CALENDAR_API, CALENDAR_MCP, OUR_ISSUER, ROOMS_API
from tests.signing import ABSENT, SigningParty

US = SigningParty(OUR_ISSUER, now=datetime.now(UTC))


@pytest.fixture(name="api", scope="module")
def _api() -> Iterator[FlaskClient]:
    """The calendar API, which finds our keys where we publish them."""
    keys = Flask("keys")
    keys.add_url_rule("/jwks", view_func=lambda: jsonify(US.jwks()))
    with serving(keys) as url:
        app = sample_api(
            issuer=OUR_ISSUER,
            jwks_uri=f"{url}/jwks",
            audience=CALENDAR_API,
            scope="events.read",
        )
        yield app.test_client()


def ask(api: FlaskClient, scheme: str = "Bearer", **claims: Any) -> tuple[int, str | None]:
    """What the API answers to a token of ours in which *claims* are changed."""
    act = {"iss": OUR_ISSUER, "sub": CALENDAR_MCP}
    ours: dict[str, Any] = {
        "sub": "corp|alice",
        "aud": CALENDAR_API,
        "scope": "events.read",
        "act": act,
    }
    header = {"Authorization": f"{scheme} {US.token(**(ours | claims))}"}
    answer = api.get("/", headers=header)
    return answer.status_code, answer.headers.get("WWW-Authenticate")


WHERE = 'resource_metadata="https://calendar.example.com/.well-known/oauth-protected-resource/api"'
INVALID = (401, f'Bearer error="invalid_token", {WHERE}')


def test_what_it_takes(api: FlaskClient) -> None:
    """A token of ours, for it, with its scope."""
    assert ask(api) == (200, None)


@pytest.mark.standard("9449-5")
@pytest.mark.parametrize(
    "cnf",
    [{"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}, {"x5t#S256": "x"}, {}, None],
    ids=["jkt", "x5t#S256", "empty", "null"],
)
def test_a_token_that_is_bound_to_a_key_is_no_bearer_token(api: FlaskClient, cnf: object) -> None:
    """RFC 9449 §7.2: whoever took it for one would let a thief use it, whatever it is bound to."""
    assert ask(api, cnf=cnf) == INVALID


@pytest.mark.standard("9449-5")
def test_a_proof_is_not_asked_for(api: FlaskClient) -> None:
    """Another scheme than the one that it knows is no credential."""
    assert ask(api, "DPoP", cnf={"jkt": "x"}) == (401, f"Bearer {WHERE}")


@pytest.mark.standard("9700-2.3")
@pytest.mark.parametrize(
    "claims",
    [
        {"aud": ROOMS_API},
        {"aud": [CALENDAR_API]},
        {"aud": [CALENDAR_API, ROOMS_API]},
        {"aud": ABSENT},
        {"iss": "https://login.example.com"},
        {"act": ABSENT},
        {"exp": 1},
    ],
    ids=repr,
)
def test_what_is_not_for_it(api: FlaskClient, claims: dict[str, Any]) -> None:
    """Another API's token, another issuer's, one in which nobody acts, one that is over."""
    assert ask(api, **claims) == INVALID


def test_a_token_that_allows_nothing(api: FlaskClient) -> None:
    """No scope is not all scopes."""
    expected = f'Bearer error="insufficient_scope", scope="events.read", {WHERE}'

    assert ask(api, scope=ABSENT) == ask(api, scope="events.write") == (403, expected)
