"""Others' clients, as they come, at the endpoints where tokens are asked about and ended."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import jwt
import pytest
import requests
from authlib.integrations.httpx_client import OAuth2Client as HttpxSession
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc8414 import get_well_known_url
from requests_oauth2client import (
    ClientSecretBasic,
    ClientSecretPost,
    InvalidClient,
    OAuth2Client,
    PrivateKeyJwt,
    oauth2_discovery_document_url,
)

from tests.integration.conftest import endpoint_of
from tests.world import AUDITOR, SIGNED_API, SIGNING_MCP, TestWorld

Ask = Callable[[str, str, str], Mapping[str, Any]]
"""What a client, with its secret, is told of a token."""

End = Callable[[str, str, str], None]
"""A client, with its secret, ends a token."""


@contextmanager
def _other(world: TestWorld, auth: Any) -> Iterator[OAuth2Client]:
    where = oauth2_discovery_document_url(world.world.url)
    client = OAuth2Client.from_discovery_endpoint(where, world.world.url, auth=auth, testing=True)
    try:
        yield client
    finally:
        client.session.close()


def _asking(world: TestWorld, kind: str) -> tuple[Ask, End]:
    """How one of the libraries does it, with what it finds in the metadata."""
    server = requests.get(get_well_known_url(world.world.url, external=True), timeout=5).json()
    sessions = {"authlib-requests": OAuth2Session, "authlib-httpx": HttpxSession}
    schemes = {"other-basic": ClientSecretBasic, "other-post": ClientSecretPost}

    def ask(token: str, client: str, secret: str) -> Mapping[str, Any]:
        if kind in sessions:
            with sessions[kind](client, secret) as session:
                answer = session.introspect_token(server["introspection_endpoint"], token=token)
                return dict(answer.json())
        with _other(world, schemes[kind](client, secret)) as client_:
            return dict(client_.introspect_token(token))

    def end(token: str, client: str, secret: str) -> None:
        if kind in sessions:
            with sessions[kind](client, secret) as session:
                answer = session.revoke_token(server["revocation_endpoint"], token=token)
                assert answer.status_code == 200
            return
        with _other(world, schemes[kind](client, secret)) as client_:
            assert client_.revoke_access_token(token) is True

    return ask, end


KINDS = ["authlib-requests", "authlib-httpx", "other-basic", "other-post"]


@pytest.mark.standard("7662-1", "7662-2", "7662-3", "8693-4-1", "7009-1", "7009-4", "8414-2")
@pytest.mark.parametrize("kind", KINDS)
def test_they_ask_and_they_end(shared: TestWorld, kind: str) -> None:
    """They find both endpoints, read who acts in the answer, end the token, and are told so."""
    ask, end = _asking(shared, kind)
    token = str(endpoint_of(shared).exchange().json["access_token"])
    api = ("calendar-api", shared.secrets["calendar-api"])

    said = ask(token, *api)

    claims = jwt.decode(token, options={"verify_signature": False})
    assert said == claims | {"active": True, "token_type": "Bearer"}
    assert said["act"]["sub"] == "calendar-mcp"
    assert ask(token, "notes-mcp", shared.secrets["notes-mcp"]) == {"active": False}

    end(token, "notes-mcp", shared.secrets["notes-mcp"])
    assert ask(token, *api)["active"] is True
    end(token, "calendar-mcp", shared.secrets["calendar-mcp"])
    assert ask(token, *api) == {"active": False}
    end(token, "calendar-mcp", shared.secrets["calendar-mcp"])


@pytest.mark.standard("7523-1", "7523-5", "7009-2")
def test_with_a_key(shared: TestWorld) -> None:
    """By an assertion for our issuer one of them gets in; for the endpoint, as it would make it by
    itself, it does not.
    """
    form = {"subject_token": shared.login.token(aud=SIGNING_MCP), "resource": SIGNED_API}
    endpoint = endpoint_of(shared)
    proof = {
        "client_assertion": shared.signer.assertion(),
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
    }
    answer = endpoint.exchange(headers={"Authorization": None}, **form, **proof)
    token = str(answer.json["access_token"])
    kept = shared.signer.key.kept()
    key = {name: kept[name] for name in kept if name != "status"}

    with (
        _other(shared, PrivateKeyJwt("signing-mcp", key)) as unaware,
        pytest.raises(InvalidClient),
    ):
        unaware.revoke_access_token(token)
    with _other(shared, PrivateKeyJwt("signing-mcp", key, aud=shared.world.url)) as client:
        assert client.revoke_access_token(token) is True

    ask, _ = _asking(shared, "other-basic")
    assert ask(token, AUDITOR, shared.secrets[AUDITOR]) == {"active": False}
