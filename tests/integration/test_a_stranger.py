"""Somebody else's client and somebody else's verifier, each as it comes."""

import base64
import json
import time
from typing import Any

import jwt as pyjwt
import pytest
import requests
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from joserfc import jwt
from joserfc.jwk import KeySet

from delegation.dev.world import CALENDAR_API
from tests.attacks.endpoint import ACCESS_TOKEN, EXCHANGE, JWT
from tests.world import TestWorld


def _session(world: TestWorld, method: str) -> OAuth2Session:
    session = OAuth2Session(
        "calendar-mcp", world.secrets["calendar-mcp"], token_endpoint_auth_method=method
    )
    session.trust_env = False
    return session


def _traded(world: TestWorld, subject_token: str, **changes: str) -> dict[str, Any]:
    with _session(world, changes.pop("method", "client_secret_basic")) as session:
        form = {
            "subject_token": subject_token,
            "subject_token_type": ACCESS_TOKEN,
            "resource": CALENDAR_API,
        }
        url = f"{world.world.url}/token"
        token: dict[str, Any] = session.fetch_token(url, grant_type=EXCHANGE, **(form | changes))
        return token


def _published(world: TestWorld) -> dict[str, Any]:
    answer = requests.get(f"{world.world.url}/jwks", timeout=5, proxies={"http": ""})
    assert answer.headers["Content-Type"] == "application/jwk-set+json"
    document: dict[str, Any] = answer.json()
    return document


@pytest.mark.standard("8693-2.2.1-1", "8693-2.2.1-2", "8693-2.2.1-3", "8693-2.2.1-4")
@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_authlib_exchanges(shared: TestWorld, method: str) -> None:
    """Authlib's client, unmodified, gets a token with every member that RFC 8693 asks for."""
    token = _traded(shared, shared.login.token(), method=method, requested_token_type=JWT)

    assert token["issued_token_type"] == JWT
    assert token["token_type"] == "Bearer"
    assert 0 < token["expires_in"] <= 300
    assert token["scope"] == "events.read"
    assert "refresh_token" not in token


def test_authlib_understands_a_refusal(shared: TestWorld) -> None:
    """And it can read our errors."""
    with pytest.raises(OAuthError) as caught:
        _traded(shared, shared.login.token(), scope="admin")

    assert caught.value.error == "invalid_scope"


@pytest.mark.standard("9068-2.1-1", "9068-2.2-1", "8707-2-3", "8693-4.1-2", "8693-4.3-1")
def test_joserfc_verifies(shared: TestWorld) -> None:
    """joserfc, with our published keys, finds every claim of RFC 9068, and who acts for whom."""
    before = int(time.time())
    issued = _traded(shared, shared.login.token(auth_time=before - 60, acr="mfa"))

    token = jwt.decode(
        issued["access_token"], KeySet.import_key_set(_published(shared)), algorithms=["ES256"]
    )

    assert token.header["typ"] == "at+jwt"
    claims = token.claims
    assert claims["exp"] - claims["iat"] == issued["expires_in"]
    assert before <= claims.pop("iat") <= time.time()
    assert claims.pop("exp") <= before + 300 + 5
    assert len(claims.pop("jti")) > len("63-") + 20
    assert claims.pop("txn")
    us = shared.world.url
    assert claims == {
        "iss": us,
        "sub": "corp|alice",
        "sub_id": {"format": "iss_sub", "iss": shared.login.issuer, "sub": "alice"},
        "aud": CALENDAR_API,
        "client_id": "calendar-mcp",
        "scope": "events.read",
        "act": {
            "iss": us,
            "sub": "calendar-mcp",
            "act": {"iss": shared.login.issuer, "sub": "desk-agent", "sub_profile": "ai_agent"},
        },
        "auth_time": before - 60,
        "acr": "mfa",
    }


@pytest.mark.standard("JWKS-1", "8725-3.1-1")
def test_pyjwt_verifies(shared: TestWorld) -> None:
    """PyJWT's own client finds the key by itself, among those that are published."""
    issued = _traded(shared, shared.login.token())["access_token"]

    keys = pyjwt.PyJWKClient(f"{shared.world.url}/jwks")
    claims = pyjwt.decode(
        issued,
        keys.get_signing_key_from_jwt(issued).key,
        algorithms=["ES256"],
        issuer=shared.world.url,
        audience=CALENDAR_API,
        options={"strict_aud": True, "require": ["exp", "iat", "jti", "act", "client_id"]},
    )

    assert claims["sub"] == "corp|alice"
    published = _published(shared)["keys"]
    assert len(published) >= 2
    assert not [key for key in published if "d" in key]


def test_nothing_of_the_subject_token_is_in_the_issued_one(shared: TestWorld) -> None:
    """The subject token is not passed on: not whole, not in part, not decoded."""
    secret = "only-the-login-knows-this"
    subject = shared.login.token(email="alice@corp.example", private=secret, nickname=secret)

    issued = _traded(shared, subject)["access_token"]

    contents = b"".join(base64.urlsafe_b64decode(part + "==") for part in issued.split(".")).decode(
        "latin-1"
    )
    header, payload, signature = subject.split(".")
    # The headers of two tokens of one kind may well begin alike.
    assert payload not in issued
    assert not [at for at in range(len(signature) - 12) if signature[at : at + 12] in issued]
    assert not [part for part in (header, payload, signature) if part in contents]
    assert secret not in contents
    assert "alice@corp.example" not in contents
    assert json.dumps(shared.login.kid) not in contents
