"""The whole of an issued token, as verifiers that are not ours read it."""

import base64
import json
import time
from typing import Any

import jwt as pyjwt
import pytest
import requests
from authlib.integrations.requests_client import OAuth2Session
from joserfc import jwt
from joserfc.jwk import KeySet

from delegation.dev.cast import CALENDAR_API
from tests.attacks.endpoint import ACCESS_TOKEN, EXCHANGE, JWT
from tests.world import TestWorld


def _traded(world: TestWorld, subject_token: str, **more: str) -> dict[str, Any]:
    with OAuth2Session("calendar-mcp", world.secrets["calendar-mcp"]) as session:
        token: dict[str, Any] = session.fetch_token(
            f"{world.world.url}/token",
            grant_type=EXCHANGE,
            subject_token=subject_token,
            subject_token_type=ACCESS_TOKEN,
            resource=CALENDAR_API,
            **more,
        )
        return token


def _published(world: TestWorld) -> dict[str, Any]:
    answer = requests.get(f"{world.world.url}/jwks", timeout=5)
    assert answer.headers["Content-Type"] == "application/jwk-set+json"
    document: dict[str, Any] = answer.json()
    return document


@pytest.mark.standard("8693-2.1-6", "8693-2.2.1-2")
def test_the_type_that_was_asked_for(shared: TestWorld) -> None:
    """An access token that is asked for as a JWT is called one."""
    issued = _traded(shared, shared.login.token(), requested_token_type=JWT)

    assert issued["issued_token_type"] == JWT


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


@pytest.mark.standard("MCP-2", "8693-6-1")
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
