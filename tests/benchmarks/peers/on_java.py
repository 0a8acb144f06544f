"""Peers on the JVM: Spring Authorization Server, Keycloak. They know no tokens but their own."""

import base64
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

import httpx2

from delegation.dev.story import TOKEN_EXCHANGE
from tests.benchmarks.driving import Target
from tests.benchmarks.peers.peer import Peer, Skipped, free_port, installed, run, serving
from tests.benchmarks.scene import WARM_TOKENS, Scene

_HERE = Path(__file__).parent / "java"
_ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"

KEYCLOAK = "26.7.3"
_REALM = _HERE / "keycloak.json"
_SPRING = (_HERE / "spring/pom.xml", _HERE / "spring/src/main/java/peer/Main.java")


def peers() -> tuple[Peer, ...]:
    """All of them."""
    return (
        Peer(
            name="Spring Authorization Server 7.1.1",
            told="its own tokens alone, with an actor token; it looks them up where it also keeps "
            "what it issues, in the memory of one process",
            warm_up=30,
            start=_spring,
        ),
        Peer(
            name=f"Keycloak {KEYCLOAK}",
            told=f"its own tokens alone, {WARM_TOKENS} of them again and again; sessions in its "
            "embedded database, in memory; as it is unpacked, in development mode",
            warm_up=30,
            start=_keycloak,
        ),
    )


@contextmanager
def _spring(scene: Scene) -> Iterator[Target]:
    home = installed("spring", _SPRING, _install_spring)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    arguments = [f"--server.port={port}", "--server.address=127.0.0.1"]
    with serving(
        ["java", "-jar", "target/peer.jar", *arguments],
        url=f"{url}/oauth2/jwks",
        directory=home,
        log=scene.world.directory / "spring.log",
    ) as pid:

        def minted(client: str, count: int) -> list[str]:
            asked = {"client": client, "count": count}
            answer = httpx2.get(f"{url}/mint", params=asked, trust_env=False, timeout=600)
            found: list[str] = answer.raise_for_status().json()
            return found

        (actor,) = minted("bench-mcp", 1)
        further = {"scope": "events.read", "actor_token": actor, "actor_token_type": _ACCESS_TOKEN}
        yield Target(
            url=f"{url}/oauth2/token",
            pid=pid,
            headers=_basic("bench-mcp"),
            bodies=lambda count: [_exchange(one, **further) for one in minted("agent", count)],
        )


def _install_spring(home: Path) -> None:
    shutil.copytree(_HERE / "spring", home, dirs_exist_ok=True)
    command = ["mvn", "--quiet", "--batch-mode", "--strict-checksums", "package"]
    run(command, directory=home, says="mvn package")


@contextmanager
def _keycloak(scene: Scene) -> Iterator[Target]:
    home = installed("keycloak", (Path(__file__), _REALM), _install_keycloak)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command: list[str | Path] = [home / "bin" / "kc.sh", "start-dev", "--import-realm"]
    command += ["--db=dev-mem", "--http-host=127.0.0.1", f"--http-port={port}"]
    with serving(
        command,
        url=f"{url}/realms/bench",
        directory=home,
        log=scene.world.directory / "keycloak.log",
        environment=dict(os.environ),
    ) as pid:
        endpoint = f"{url}/realms/bench/protocol/openid-connect/token"
        asked = [_exchange(_login(endpoint), audience="bench-api") for _ in range(WARM_TOKENS)]

        def bodies(count: int) -> Sequence[str]:
            return [asked[number % len(asked)] for number in range(count)]

        yield Target(url=endpoint, pid=pid, headers=_basic("bench-mcp"), bodies=bodies)


def _install_keycloak(home: Path) -> None:
    artifact = f"org.keycloak:keycloak-quarkus-dist:{KEYCLOAK}:zip"
    command = ["mvn", "--quiet", "--batch-mode", "--strict-checksums", "dependency:unpack"]
    command += [f"-Dartifact={artifact}", f"-DoutputDirectory={home}"]
    run(command, directory=home, says="mvn dependency:unpack")
    unpacked = home / f"keycloak-{KEYCLOAK}"
    for path in unpacked.iterdir():
        path.rename(home / path.name)
    (home / "bin" / "kc.sh").chmod(0o755)
    (home / "data" / "import").mkdir(parents=True)
    shutil.copy(_REALM, home / "data" / "import" / "bench.json")


def _login(endpoint: str) -> str:
    """Alice logs in at the agent, with her password."""
    asked = {
        "grant_type": "password",
        "username": "alice",
        "password": "secret-of-alice",
        "client_id": "agent",
        "client_secret": "secret-of-agent",
    }
    answer = httpx2.post(endpoint, data=asked, trust_env=False, timeout=60)
    if answer.status_code != httpx2.codes.OK:
        raise Skipped(f"nobody can log in: {answer.text[:300]}")
    return str(answer.json()["access_token"])


def _basic(client: str) -> dict[str, str]:
    credentials = base64.b64encode(f"{client}:secret-of-{client}".encode()).decode()
    return {"Authorization": f"Basic {credentials}"}


def _exchange(token: str, **further: str) -> str:
    return urlencode(
        {
            "grant_type": TOKEN_EXCHANGE,
            "subject_token": token,
            "subject_token_type": _ACCESS_TOKEN,
            "requested_token_type": _ACCESS_TOKEN,
            **further,
        }
    )
