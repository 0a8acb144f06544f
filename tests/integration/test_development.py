"""The development world itself: what it refuses, and what it says when it cannot start."""

from dataclasses import replace
from pathlib import Path

import jwt
import pytest
from flask.testing import FlaskClient

from delegation import wiring
from delegation.dev import service as development
from delegation.dev.api import sample_api
from delegation.dev.cast import CALENDAR_API
from delegation.dev.service import DidNotStart
from delegation.dev.world import running_world
from delegation.jose.keyring import Keyring, Status, new_key
from delegation.jose.signer import JwtSigner
from tests.attacks.endpoint import Endpoint
from tests.world import TestWorld


@pytest.fixture(name="api")
def _api(shared: TestWorld) -> FlaskClient:
    """A sample API that trusts the shared world's service."""
    url = shared.world.url
    app = sample_api(issuer=url, jwks_uri=f"{url}/jwks", audience=CALENDAR_API, scope="events.read")
    return app.test_client()


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_the_sample_api_takes_its_own_tokens(api: FlaskClient, endpoint: Endpoint) -> None:
    """A token for it, with its scope, is what it takes."""
    issued = endpoint.exchange().json["access_token"]

    answer = api.get("/", headers=_bearer(issued))

    assert answer.get_json() == {"subject": "corp|alice", "actor": "calendar-mcp"}


def test_the_sample_api_takes_nothing_else(
    api: FlaskClient, endpoint: Endpoint, shared: TestWorld
) -> None:
    """No token, the user's token, another API's token: 401; too little scope: 403 (RFC 6750)."""
    wider = shared.login.token(scope="calendar:write")
    written = endpoint.exchange(subject_token=wider, scope="events.write").json["access_token"]
    keyring = Keyring.load(shared.world.settings.signing_keys)
    untyped = jwt.encode(
        {"iss": shared.world.url},
        keyring.active.private,
        "ES256",
        headers={"kid": keyring.active.kid},
    )

    assert api.get("/").headers["WWW-Authenticate"].startswith("Bearer resource_metadata=")
    for token in ("x", shared.login.token(), untyped):
        answer = api.get("/", headers=_bearer(token))
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"].startswith('Bearer error="invalid_token"')
    forbidden = api.get("/", headers=_bearer(written))
    assert forbidden.status_code == 403
    assert 'error="insufficient_scope"' in forbidden.headers["WWW-Authenticate"]


def test_the_issuers_metadata(shared: TestWorld) -> None:
    """The development issuer says where its keys are, as issuers do (RFC 8414)."""
    issuer = shared.world.issuer
    endpoint = Endpoint(
        url=issuer.url, client="", secret="", resource="", scope="", token=lambda: ""
    )

    answer = endpoint.send(b"", path="/.well-known/oauth-authorization-server", method="GET")

    assert answer.json == {"issuer": issuer.url, "jwks_uri": issuer.jwks_uri}


def test_a_world_that_does_not_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says why, in the service's own words."""
    monkeypatch.setattr(development, "_START_TIMEOUT", 5)
    registry = tmp_path / "broken"
    registry.mkdir()
    (registry / "broken.yaml").write_text("clients: none\n")
    directory = tmp_path / "world"
    directory.mkdir()

    with (
        pytest.raises(DidNotStart, match=r"broken\.yaml"),
        running_world(directory, workers=1, DELEGATION_REGISTRY=str(registry)),
    ):
        pass  # pragma: no cover, it does not start


def test_a_key_that_does_not_sign() -> None:
    """What is signed is checked with what is published: where they differ, we are not ready."""
    sound, other = new_key(status=Status.ACTIVE), new_key()
    broken = replace(sound, public=other.public)

    assert wiring._signing_problems(JwtSigner(Keyring((sound,)), "https://sts.example")) == []  # noqa: SLF001
    problems = wiring._signing_problems(JwtSigner(Keyring((broken,)), "https://sts.example"))  # noqa: SLF001

    assert problems == ["signing_key"]
