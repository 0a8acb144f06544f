"""What an API says about itself, and when that is not to be used."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from delegation.domain.errors import Unavailable
from delegation.registry.loader import load
from delegation.resource_metadata import NotUsable, resource_metadata
from tests.cli.command import run
from tests.client.server import authorization_server

US = "https://sts.example"
API = "https://api.example/v1?tenant=a"
LOCATION = "https://api.example/.well-known/oauth-protected-resource/v1?tenant=a"

SOUND: dict[str, Any] = {
    "resource": API,
    "authorization_servers": ["https://other.example", US],
    "scopes_supported": ["events.read", "events.write"],
}

pytestmark = pytest.mark.standard("9728-1")
"""We consume resource metadata when a resource is configured, and never on a request."""


def _publishing(document: Mapping[str, Any]) -> Any:
    def fetch(url: str, *, private_network: bool) -> Mapping[str, Any]:
        assert url == LOCATION
        assert private_network is False
        return document

    return fetch


def test_an_api_that_describes_itself() -> None:
    """Its identifier and its scopes, from where RFC 9728 §3.1 puts them."""
    found = resource_metadata(API, our_issuer=US, fetch=_publishing(SOUND))

    assert found.identifier == API
    assert found.scopes == ("events.read", "events.write")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"resource": "https://api.example/v1"}, "describes another resource"),
        ({"resource": None}, "describes another resource"),
        ({"authorization_servers": []}, "does not name https://sts.example"),
        ({"authorization_servers": US}, "does not name https://sts.example"),
        ({"authorization_servers": [US, 1]}, "does not name https://sts.example"),
        ({"authorization_servers": [US + "/"]}, "does not name https://sts.example"),
        ({"scopes_supported": None}, "names no scopes_supported"),
        ({"scopes_supported": []}, "names no scopes_supported"),
        ({"scopes_supported": ["a", {}]}, "names no scopes_supported"),
        ({"scopes_supported": ["a", "b c"]}, "a scope that is none"),
        ({"scopes_supported": ["a", ""]}, "a scope that is none"),
        ({"scopes_supported": ["a", "\x1b[31m"]}, "a scope that is none"),
    ],
)
def test_metadata_that_does_not_fit(changes: dict[str, Any], said: str) -> None:
    """It must be about that very API, and name us: absence never means yes (RFC 9728 §3.3)."""
    with pytest.raises(NotUsable, match=said) as caught:
        resource_metadata(API, our_issuer=US, fetch=_publishing(SOUND | changes))

    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    ["", "api.example", "http://api.example", "https://api.example/#x", "https://u@api.example"],
)
def test_what_identifies_no_api(url: str) -> None:
    """Nothing is fetched."""
    with pytest.raises(NotUsable, match="identifies no API"):
        resource_metadata(url, our_issuer=US)


def test_metadata_that_cannot_be_had() -> None:
    """It says what would have to be so."""

    def fetch(_: str, **__: object) -> Mapping[str, Any]:
        raise Unavailable("issuer_keys")

    with pytest.raises(NotUsable) as caught:
        resource_metadata(API, our_issuer=US, fetch=fetch)

    assert str(caught.value) == (
        f"{LOCATION} cannot be read: it must answer 200 with JSON, over https, "
        "from a public address unless you say --private-network"
    )


def test_the_command(tmp_path: Path) -> None:
    """It fetches for itself, and prints an entry that a registry takes as it is."""
    with authorization_server() as server:
        api = f"{server.url}/api"
        document = json.dumps(SOUND | {"resource": api}).encode()
        server.says("/.well-known/oauth-protected-resource/api", document)
        arguments = ("registry", "import-resource", api, "--issuer", US)

        private = run(*arguments)
        printed = run(*arguments, "--private-network")

    assert private.status == 1
    assert "unless you say --private-network" in private.err
    assert printed.status == 0
    (entry,) = yaml.safe_load(printed.out)["resources"]
    assert entry == {"identifier": api, "scopes": ["events.read", "events.write"]}
    (tmp_path / "api.yaml").write_text(printed.out)
    assert list(load(tmp_path, issuer=US).resources) == [api]
