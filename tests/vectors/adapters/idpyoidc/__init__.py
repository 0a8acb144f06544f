"""idpyoidc, an OAuth 2.0 server for Python with token exchange of its own: in a process by itself.

It is installed, once and by its digests, into an environment beside the caches of other tools.
"""

import hashlib
import json
import os
import subprocess
import sys
import venv
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx2

from ...adapter import HttpServer, NotSupported  # noqa: TID252, the folder can be copied
from ...world import SignedToken, World  # noqa: TID252, the folder can be copied

HERE = Path(__file__).parent
REQUIREMENTS = HERE / "requirements.txt"

FEATURES = frozenset({"readable-tokens", "second-hop", "targets", "clients-without-exchange"})

AGENT = "agent"
"""The client that people have logged in at."""


class NotInstalled(Exception):
    """It could not be installed; the message is the installer's."""


class Idpyoidc(HttpServer):
    """Knows no tokens but its own: what a login there would have given stands in for the others."""

    def subject(self, issuer: str, subject: str) -> str:
        """A digest that it makes up; so a login has to show it."""
        if issuer != "login":
            raise NotSupported("foreign-subject-tokens")
        return self._minted(sub=subject)["sub"]

    def presented(self, token: SignedToken) -> str:
        """A token of its own that says the same, where it can say it."""
        usual = {"iss", "sub", "aud", "client_id", "scope", "iat", "exp", "jti"}
        claims = token.claims
        plain = (
            token.signer == "issuer:login"
            and token.signature != "another"
            and token.header["typ"] == "at+jwt"
            and claims.keys() == usual
            and isinstance(claims["scope"], str)
            and isinstance(claims["exp"], int)
        )
        if not plain:
            raise NotSupported("foreign-subject-tokens")
        told = {name: claims[name] for name in ("sub", "aud", "exp", "scope")}
        header, payload, signature = self._minted(**told)["token"].split(".")
        if token.header["alg"] == "none":
            header, _, _ = token.value.split(".")
        match token.signature:
            case "none":
                signature = ""
            case "damaged":
                signature = signature[::-1]
        return f"{header}.{payload}.{signature}"

    def _minted(self, **changes: Any) -> dict[str, str]:
        asked = {"client_id": AGENT, "aud": "https://front.example/mcp", "scope": "read"} | changes
        asked.setdefault("exp", 4102444800)
        asked["scope"] = asked["scope"].split(" ")
        answer: dict[str, str] = self.http.post(f"{self.identifier}/mint", json=asked).json()
        return answer


@contextmanager
def adapter(world: World) -> Iterator[Idpyoidc]:
    """Start it, with the clients and targets of the world. Raises `NotInstalled`."""
    secrets = {client: f"secret-of-{client}" for client in (*world.clients, AGENT)}
    told = {"clients": {name: _client(world, name, secrets) for name in secrets}}
    with ExitStack() as stack:
        process = stack.enter_context(
            subprocess.Popen(  # noqa: S603, our own script
                [_python(), HERE / "server.py", json.dumps(told)],
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        )
        stack.callback(process.terminate)
        assert process.stdout
        url = process.stdout.readline().strip()
        http = stack.enter_context(httpx2.Client(trust_env=False))
        yield Idpyoidc(
            name="idpyoidc 5.0.0",
            identifier=url,
            features=FEATURES,
            http=http,
            token_endpoint=f"{url}/token",
            jwks_uri=f"{url}/jwks",
            secrets=secrets,
        )


def _client(world: World, name: str, secrets: Mapping[str, str]) -> dict[str, Any]:
    """What it is told of a client: its policy has targets and scopes, each for itself."""
    rules = [rule for rule in world.rules.values() if rule["client"] == name]
    resources = [world.resources[rule["resource"]] for rule in rules]
    scopes = sorted({scope for rule in rules for scope in rule["scopes"]})
    return {
        "secret": secrets[name],
        "exchange": name in world.clients and world.clients[name].entry["exchange"],
        "scopes": scopes or ["read", "write"],
        "policy": {
            "resource": [resource["identifier"] for resource in resources],
            "audience": [resource["name"] for resource in resources],
            "scope": scopes,
        },
    }


def _python() -> Path:
    """The interpreter of its environment, which is made where there is none."""
    digest = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    home = cache / "token-exchange-vectors" / f"idpyoidc-{sys.version_info[1]}-{digest}"
    python = home / ("Scripts" if os.name == "nt" else "bin") / "python"
    if not (home / "ready").exists():
        venv.create(home, clear=True, with_pip=True)
        command: list[str | Path] = [python, "-m", "pip", "install", "--quiet"]
        command += ["--disable-pip-version-check", "--require-hashes", "-r", REQUIREMENTS]
        installed = subprocess.run(  # noqa: S603, as locked
            command, capture_output=True, text=True, check=False
        )
        if installed.returncode:
            raise NotInstalled(installed.stderr)
        (home / "ready").touch()
    return python
