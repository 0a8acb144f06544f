"""Peers in Python: idpyoidc, whose token exchange knows no tokens but its own."""

import json
import os
import venv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

import httpx2

from delegation.dev.story import TOKEN_EXCHANGE
from tests.benchmarks.driving import Target
from tests.benchmarks.peers.peer import ROOT, Peer, free_port, installed, run, serving
from tests.benchmarks.scene import API, CLIENT, CLIENT_AUDIENCE, Scene

_HERE = Path(__file__).parent / "python"
_ADAPTER = ROOT / "tests/vectors/adapters/idpyoidc"
_LOCKS = (_ADAPTER / "requirements.txt", _HERE / "requirements.txt")
_AGENT = "agent"


def peers() -> tuple[Peer, ...]:
    """It alone."""
    return (
        Peer(
            name="idpyoidc 5.0.0",
            told="its own session's tokens alone, sessions in the memory of one process; no record "
            "that outlives it; under gunicorn's sync worker",
            start=_started,
        ),
    )


@contextmanager
def _started(scene: Scene) -> Iterator[Target]:
    home = installed("python", _LOCKS, _install)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    told = {
        "url": url,
        "clients": {CLIENT: _client(scene.secrets[CLIENT]), _AGENT: _client("secret of agent")},
    }
    command = [home / "bin" / "python", "-m", "gunicorn", "--no-control-socket", "--workers", "1"]
    with serving(
        [*command, "--bind", f"127.0.0.1:{port}", "idpyoidc_wsgi:application"],
        url=f"{url}/jwks",
        directory=_HERE,
        log=scene.world.directory / "idpyoidc.log",
        environment=os.environ | {"PEER_TOLD": json.dumps(told), "PYTHONPATH": str(_ADAPTER)},
    ) as pid:
        headers = scene.target().headers

        def bodies(count: int) -> Sequence[str]:
            asked = {"client_id": _AGENT, "sub": "person", "aud": CLIENT_AUDIENCE, "count": count}
            answer = httpx2.post(f"{url}/mint", json=asked, trust_env=False, timeout=600)
            return [_body(token) for token in answer.raise_for_status().json()]

        yield Target(url=f"{url}/token", pid=pid, headers=headers, bodies=bodies)


def _install(home: Path) -> None:
    venv.create(home, clear=True, with_pip=True)
    files = [part for lock in _LOCKS for part in ("-r", lock)]
    command = [home / "bin" / "python", "-m", "pip", "install", "--quiet", "--require-hashes"]
    run([*command, "--disable-pip-version-check", *files], directory=home, says="pip install")


def _client(secret: str) -> dict[str, object]:
    policy = {"resource": [API], "audience": ["bench-api"], "scope": ["events.read"]}
    return {"secret": secret, "exchange": True, "scopes": ["events.read"], "policy": policy}


def _body(token: str) -> str:
    kind = "urn:ietf:params:oauth:token-type:access_token"
    return urlencode(
        {
            "grant_type": TOKEN_EXCHANGE,
            "subject_token": token,
            "subject_token_type": kind,
            "requested_token_type": kind,
            "resource": API,
            "scope": "events.read",
        }
    )
