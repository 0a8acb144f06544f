"""Authlib's client, as it comes: by requests and by httpx, with a secret and with a key."""

import time
from collections.abc import Callable

import pytest
from authlib.integrations.base_client import OAuthError
from authlib.oauth2.rfc7523 import PrivateKeyJWT

from tests.attacks.endpoint import ACCESS_TOKEN
from tests.interop.stranger import Stranger, blocks, must_say_who_acts
from tests.world import TestWorld

DISCOVER, BY_SECRET, EXCHANGE, BY_HTTPX, BY_KEY = blocks("Authlib", "python")
(VERIFY,) = blocks("At the API", "python")

BY_POST = 'session.token_endpoint_auth_method = "client_secret_post"\n'

WAYS = [
    pytest.param(Stranger.with_secret, BY_SECRET, id="requests-basic"),
    pytest.param(Stranger.with_secret, BY_SECRET + BY_POST, id="requests-post"),
    pytest.param(Stranger.with_key, BY_KEY, id="requests-key"),
    pytest.param(Stranger.with_secret, BY_HTTPX, id="httpx-basic"),
    pytest.param(Stranger.with_secret, BY_HTTPX + BY_POST, id="httpx-post"),
]


@pytest.mark.standard("8693-2.2.1-1", "8693-2.2.1-2", "8693-2.2.1-3", "8693-2.2.1-4")
@pytest.mark.standard("8414-1", "8414-2", "6749-2.3-3", "7523-1")
@pytest.mark.parametrize(("who", "way"), WAYS)
def test_it_exchanges(shared: TestWorld, who: Callable[[TestWorld], Stranger], way: str) -> None:
    """It finds the endpoint, authenticates, and gets every member that RFC 8693 asks for."""
    stranger = who(shared)

    issued = stranger.run([DISCOVER, way, EXCHANGE])["issued"]

    assert issued["issued_token_type"] == ACCESS_TOKEN
    assert issued["token_type"] == "Bearer"
    assert 0 < issued["expires_in"] <= 300
    assert issued["scope"] == "events.read"
    assert "refresh_token" not in issued


@pytest.mark.parametrize(("who", "way"), WAYS)
def test_the_token_is_verified(
    shared: TestWorld, who: Callable[[TestWorld], Stranger], way: str
) -> None:
    """joserfc, with the keys that the metadata names, reads in it who acts for whom, and where."""
    stranger = who(shared)
    issued = stranger.run([DISCOVER, way, EXCHANGE])["issued"]

    names = stranger.run([DISCOVER, VERIFY], access_token=issued["access_token"])

    must_say_who_acts(names["token"].claims, stranger)


@pytest.mark.standard("8693-2.2.2-2", "8693-2.2.2-3")
@pytest.mark.parametrize(("who", "way"), WAYS)
@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"scope": "admin"}, "invalid_scope"),
        ({"resource": "https://nowhere.example"}, "invalid_target"),
        ({"subject_token": "nonsense"}, "invalid_request"),
    ],
    ids=["scope", "target", "token"],
)
def test_it_understands_a_refusal(
    shared: TestWorld,
    who: Callable[[TestWorld], Stranger],
    way: str,
    *,
    changes: dict[str, str],
    error: str,
) -> None:
    """Our error codes arrive in its own exception."""
    with pytest.raises(OAuthError) as caught:
        who(shared).run([DISCOVER, way, EXCHANGE], **changes)

    assert caught.value.error == error


def _refused(stranger: Stranger, method: PrivateKeyJWT) -> OAuthError:
    """What becomes of the page's lines, had they registered *method*."""
    register = "session.register_client_auth_method(method)\n"
    with pytest.raises(OAuthError) as caught:
        stranger.run([DISCOVER, BY_KEY + register, EXCHANGE], method=method)
    return caught.value


@pytest.mark.standard("7523bis-1", "STK-7")
def test_its_own_audience_is_refused(shared: TestWorld) -> None:
    """Unless it is told, it names the token endpoint, as anybody's assertions might."""
    claims = {"exp": int(time.time()) + 60}
    method = PrivateKeyJWT(claims=claims, headers={"kid": shared.signer.kid}, alg="ES256")

    assert _refused(Stranger.with_key(shared), method).error == "invalid_client"


@pytest.mark.standard("7523-2", "STK-7")
def test_its_own_lifetime_is_refused(shared: TestWorld) -> None:
    """Unless it is told, its assertions live for an hour."""
    method = PrivateKeyJWT(shared.world.url, headers={"kid": shared.signer.kid}, alg="ES256")

    assert _refused(Stranger.with_key(shared), method).error == "invalid_client"


@pytest.mark.standard("7523-3")
def test_a_method_with_claims_is_good_once(shared: TestWorld) -> None:
    """Given claims, it signs the same `jti` again, and so a replay."""
    stranger = Stranger.with_key(shared)
    method = PrivateKeyJWT(
        shared.world.url,
        claims={"exp": int(time.time()) + 60},
        headers={"kid": shared.signer.kid},
        alg="ES256",
    )
    register = "session.register_client_auth_method(method)\n"
    stranger.run([DISCOVER, BY_KEY + register, EXCHANGE], method=method)

    assert _refused(stranger, method).error == "invalid_client"
