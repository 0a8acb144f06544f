"""What the tests take for a token in a log, and what not."""

import base64
import json
from hashlib import sha256

import pytest

from tests.secrecy import leaks, shows_any


@pytest.mark.parametrize(
    "part",
    [
        {"alg": "none"},
        {"alg": "ES256", "typ": "at+jwt", "kid": "2026-11"},
        {"iss": "https://login.example", "sub": "alice"},
    ],
)
def test_a_token_is_found(part: dict[str, str]) -> None:
    """Whole or cut, in the midst of a line; so is each part of it that is JSON."""
    token = base64.urlsafe_b64encode(json.dumps(part, separators=(",", ":")).encode()).decode()

    for shown in (token, token[:15]):
        assert [*leaks(f"of token={shown}; to x", known=())]
    for shown in (token, token[:3]):
        assert shows_any(f"of token={shown}; to x")


def test_an_id_is_none() -> None:
    """Not even one that begins like a token by chance."""
    drawn = (sha256(str(number).encode()).digest()[:14] for number in range(100))
    ids = [f"8-eyJ{base64.urlsafe_b64encode(bits).decode().rstrip('=')}" for bits in drawn]

    assert not [*leaks(" ".join(ids), known=())]
    assert not shows_any(" ".join(ids))
