"""requests_oauth2client, as it comes: it knows token exchange and discovery by itself."""

from collections.abc import Callable

import pytest
from authlib.oauth2.rfc8414 import get_well_known_url
from requests_oauth2client import (
    BearerToken,
    ClientSecretPost,
    InvalidClient,
    InvalidRequest,
    InvalidScope,
    InvalidTarget,
    PrivateKeyJwt,
    TokenEndpointError,
    oauth2_discovery_document_url,
)

from tests.attacks.endpoint import ACCESS_TOKEN
from tests.interop.stranger import Stranger, blocks, must_say_who_acts
from tests.world import TestWorld

BY_SECRET, BY_KEY, DISCOVER, EXCHANGE = blocks("requests_oauth2client", "python")
(VERIFY,) = blocks("At the API", "python")

BY_POST = "auth = ClientSecretPost(client_id, secret)\n"

WAYS = [
    pytest.param(Stranger.with_secret, BY_SECRET, id="basic"),
    pytest.param(Stranger.with_secret, BY_POST, id="post"),
    pytest.param(Stranger.with_key, BY_KEY, id="key"),
]


def _exchanged(stranger: Stranger, way: str, **changes: object) -> BearerToken:
    names = stranger.run([way, DISCOVER, EXCHANGE], ClientSecretPost=ClientSecretPost, **changes)
    issued = names["issued"]
    assert isinstance(issued, BearerToken)
    return issued


@pytest.mark.standard("8414-1", "8414-2", "8693-2.2.1-2", "8693-2.2.1-3", "7523-1", "JWKS-1")
@pytest.mark.parametrize(("who", "way"), WAYS)
def test_it_exchanges(shared: TestWorld, who: Callable[[TestWorld], Stranger], way: str) -> None:
    """It finds endpoint and keys, authenticates, and takes our answer for a bearer token."""
    issued = _exchanged(who(shared), way)

    assert issued.kwargs["issued_token_type"] == ACCESS_TOKEN
    assert issued.token_type == "Bearer"
    assert issued.scope == "events.read"
    assert 0 < (issued.expires_in or 0) <= 300
    assert issued.refresh_token is None


@pytest.mark.parametrize(("who", "way"), WAYS)
def test_the_token_is_verified(
    shared: TestWorld, who: Callable[[TestWorld], Stranger], way: str
) -> None:
    """joserfc, with the keys that the client found, reads in it who acts for whom, and where."""
    stranger = who(shared)
    issued = _exchanged(stranger, way)
    find = "server = {'jwks_uri': client.jwks_uri}\nimport requests\n"

    names = stranger.run(
        [way, DISCOVER, find, VERIFY],
        ClientSecretPost=ClientSecretPost,
        access_token=issued.access_token,
    )

    must_say_who_acts(names["token"].claims, stranger)


@pytest.mark.standard("8693-2.2.2-2", "8693-2.2.2-3")
@pytest.mark.parametrize(("who", "way"), WAYS)
@pytest.mark.parametrize(
    ("changes", "raised"),
    [
        ({"scope": "admin"}, InvalidScope),
        ({"resource": "https://nowhere.example"}, InvalidTarget),
        ({"subject_token": "nonsense"}, InvalidRequest),
    ],
    ids=["scope", "target", "token"],
)
def test_it_understands_a_refusal(
    shared: TestWorld,
    who: Callable[[TestWorld], Stranger],
    way: str,
    *,
    changes: dict[str, str],
    raised: type[TokenEndpointError],
) -> None:
    """It has an exception for each of our error codes."""
    with pytest.raises(raised) as caught:
        _exchanged(who(shared), way, **changes)

    assert caught.value.description


@pytest.mark.standard("7523bis-1")
def test_its_own_audience_is_refused(shared: TestWorld) -> None:
    """Unless it is told, it names the token endpoint, as anybody's assertions might."""
    stranger = Stranger.with_key(shared)
    unaware = "auth = PrivateKeyJwt(client_id, private_key)\n"

    with pytest.raises(InvalidClient):
        stranger.run([unaware, DISCOVER, EXCHANGE], PrivateKeyJwt=PrivateKeyJwt)


def test_it_misplaces_a_path() -> None:
    """Where the issuer has a path, its address of the metadata is not that of RFC 8414 §3.1."""
    issuer = "https://sts.example.com/tenant"

    assert oauth2_discovery_document_url(issuer) != get_well_known_url(issuer, external=True)
