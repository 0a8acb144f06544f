"""The service of this project, under its own server, with a store of its own, asked over HTTP."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

from delegation.dev.world import running_world
from delegation.registry.secrets import digest, new_secret

from ..adapter import HttpServer  # noqa: TID252, the folder can be copied
from ..world import World  # noqa: TID252, the folder can be copied


class Delegation(HttpServer):
    """Writes subjects by the short names of their issuers; here these are the world's own names."""

    def subject(self, issuer: str, subject: str) -> str:
        """The pair (issuer, subject) in one."""
        return f"{issuer}|{subject}"


@contextmanager
def adapter(world: World) -> Iterator[Delegation]:
    """Start it, with a registry that says what the world says; it has every feature."""
    secrets = {client: new_secret() for client in world.clients}
    with (
        tempfile.TemporaryDirectory(prefix="vectors-") as directory,
        running_world(
            Path(directory),
            workers=1,
            entries=_entries(world, secrets),
            DELEGATION_REFUSALS_PER_MINUTE="1000000",
        ) as running,
        httpx2.Client(trust_env=False) as http,
    ):
        yield Delegation(
            name="delegation",
            identifier=running.url,
            features=frozenset(world.features),
            http=http,
            token_endpoint=f"{running.url}/token",
            jwks_uri=f"{running.url}/jwks",
            secrets=secrets,
        )


def _entries(world: World, secrets: dict[str, str]) -> dict[str, Any]:
    """The registry."""
    return {
        "issuers": [
            _issuer(world, name) | _asserting(party.entry)
            for name, party in world.issuers.items()
            if party.entry["subjects"]
        ],
        "actor_issuers": [
            _issuer(world, name) for name, party in world.issuers.items() if party.entry["actors"]
        ],
        "clients": [
            {
                "id": name,
                "audience": party.entry["audience"],
                "secrets": [digest(secrets[name])],
                "keys": [party.key.public],
                "exchange": party.entry["exchange"],
            }
            | _presenting(party.entry)
            for name, party in world.clients.items()
        ],
        "resources": [_resource(world, name) for name in world.resources],
        "grants": [_grant(world, name) for name in world.rules],
    }


def _issuer(world: World, name: str) -> dict[str, Any]:
    party = world.issuers[name]
    return {
        "issuer": party.identifier,
        "alias": name,
        "jwks_uri": party.jwks_uri,
        "algorithms": ["ES256"],
        "private_network": True,
    }


def _asserting(entry: Any) -> dict[str, Any]:
    return {"asserts_actors": True} if entry["asserts_actors"] else {}


def _presenting(entry: Any) -> dict[str, Any]:
    return {"may_present_actors": entry["may_present"]} if "may_present" in entry else {}


def _resource(world: World, name: str) -> dict[str, Any]:
    resource = world.resources[name]
    clients = {
        rule["client"]: rule["scopes"] for rule in world.rules.values() if rule["resource"] == name
    }
    return {
        "identifier": resource["identifier"],
        "names": [resource["name"]],
        "scopes": resource["scopes"],
    } | ({"clients": clients} if clients else {})


def _grant(world: World, name: str) -> dict[str, Any]:
    rule = world.rules[name]
    subjects = [issuer for issuer, party in world.issuers.items() if party.entry["subjects"]]
    return {
        "id": name,
        "client": rule["client"],
        "subjects": [{"issuer": issuer, "everyone": True} for issuer in subjects],
        "agents": rule.get("agents", "any"),
        "resource": world.resources[rule["resource"]]["identifier"],
        "scopes": {scope: [scope] for scope in rule["scopes"]},
        "expires": "never",
    } | {name: rule[name] for name in ("cycles", "chain_limit", "downscope") if name in rule}
