"""Peers on Node: both check the same claims, by jose, and write by the same script to our store."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from delegation.jose.keyring import Status, new_key
from tests.benchmarks.driving import Target
from tests.benchmarks.peers.peer import Peer, free_port, installed, run, serving
from tests.benchmarks.scene import API, CLIENT, CLIENT_AUDIENCE, Scene

_HERE = Path(__file__).parent / "node"
_LOCKS = (_HERE / "package.json", _HERE / "packages.lock")


def peers() -> tuple[Peer, ...]:
    """Both of them."""
    same = (
        "policy is a table of one entry; the script looks at locks, keeps and lists a record and "
        "appends an event; nothing that stops, seals or explains"
    )
    return (
        Peer(
            name="node-oidc-provider 9.13.3",
            told=f"the exchange is a bare handler of ours, on its client authentication and its "
            f"tokens; {same}",
            start=lambda scene: _started(scene, "oidc_provider"),
        ),
        Peer(
            name="@jmondi/oauth2-server 4.3.7 on Fastify",
            told=f"the grant is its own, verifying and signing are callbacks of ours; {same}",
            start=lambda scene: _started(scene, "jmondi"),
        ),
    )


@contextmanager
def _started(scene: Scene, script: str) -> Iterator[Target]:
    home = installed("node", _LOCKS, _install)
    for path in _HERE.iterdir():  # where it is run from is where its packages are
        shutil.copy(path, home)
    own = home / "node_modules" / ".bin" / "node"
    port = free_port()
    told = json.dumps(_told(scene, port))
    with serving(
        [own if own.exists() else "node", f"{script}.js", told],
        url=f"http://127.0.0.1:{port}/",
        directory=home,
        log=scene.world.directory / f"{script}.log",
    ) as pid:
        usual = scene.target()
        yield Target(
            url=f"http://127.0.0.1:{port}/token",
            pid=pid,
            headers=usual.headers,
            bodies=usual.bodies,
        )


def _install(home: Path) -> None:
    package, lock = _LOCKS
    shutil.copy(package, home)
    shutil.copy(lock, home / "package-lock.json")
    run(["npm", "ci", "--no-audit", "--no-fund"], directory=home, says="npm ci")


def _told(scene: Scene, port: int) -> dict[str, object]:
    login, secret = scene.logins["ES256"], scene.secrets[CLIENT]
    signing = new_key(status=Status.ACTIVE)
    ours = signing.kept()
    private = {name: ours[name] for name in ("kty", "crv", "x", "y", "d")}
    return {
        "port": port,
        "issuer": f"http://127.0.0.1:{port}",
        "redis": scene.world.settings.redis_url.removeprefix("unix://"),
        "trusted": login.issuer,
        "jwk": login.jwks()["keys"][0],
        "client": CLIENT,
        "secret": secret,
        "secretDigest": hashlib.sha256(secret.encode()).hexdigest(),
        "audience": CLIENT_AUDIENCE,
        "resource": API,
        "signing": private | {"kid": signing.kid, "alg": "ES256", "use": "sig"},
    }
