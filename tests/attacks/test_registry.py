"""Attacks by way of the reviewed files: an entry that speaks in our name."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.command import Ran, run

US = "https://sts.example"

SPELLINGS: dict[str, Callable[[str], str]] = {
    "exactly": lambda issuer: issuer,
    "slash": lambda issuer: f"{issuer}/",
    "slashes": lambda issuer: f"{issuer}//",
    "capitals": lambda issuer: issuer.replace("sts", "STS"),
    "capitals-and-slash": lambda issuer: f"{issuer.replace('sts', 'Sts')}/",
}


def _checked(directory: Path, entries: dict[str, Any]) -> Ran:
    """What `delegation check` says of a registry, for a service that is *US*."""
    registry = directory / "registry"
    registry.mkdir()
    (registry / "all.yaml").write_text(yaml.safe_dump(entries, sort_keys=False))
    environment = {"DELEGATION_ISSUER": US, "DELEGATION_REGISTRY": str(registry)}
    return run("check", environment=environment)


def _issuer(name: str) -> dict[str, Any]:
    return {
        "issuer": name,
        "alias": "us",
        "jwks_uri": "https://evil.example/jwks",
        "algorithms": ["ES256"],
    }


@pytest.mark.attack(18)
@pytest.mark.standard("8725-3.8-1")
@pytest.mark.parametrize("section", ["issuers", "actor_issuers"])
@pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS)
def test_an_issuer_that_looks_like_us(
    tmp_path: Path, section: str, spell: Callable[[str], str]
) -> None:
    """Nobody is trusted in our name, nor in one that people would take for ours: neither for
    subjects nor for actors.
    """
    ran = _checked(tmp_path, {section: [_issuer(spell(US))]})

    assert ran.status == 1
    assert "registry: all.yaml:2: `issuer` is this service itself" in ran.err
    assert "[own_issuer]" in ran.err


@pytest.mark.attack(18)
@pytest.mark.standard("8725-3.8-1", "8693-A-1")
def test_a_client_that_is_called_like_an_actor_issuer(tmp_path: Path) -> None:
    """Or its assertions could be taken for that issuer's, and the other way round."""
    name = "https://workloads.example"
    client = {"id": name, "audience": "https://mcp.example/mcp", "exchange": True}

    ran = _checked(tmp_path, {"clients": [client], "actor_issuers": [_issuer(name)]})

    assert ran.status == 1
    assert "has this for its id" in ran.err
