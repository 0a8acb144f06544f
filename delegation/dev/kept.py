"""What a development world keeps when it is started again: its keys, its secrets, its ports."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from delegation.dev.cast import CLIENTS
from delegation.jose.keyring import Keyring, SigningKey, Status, new_key, write_keys
from delegation.registry.secrets import new_secret


class Damaged(Exception):
    """What was kept cannot be used any more; the message says what to do."""


class Occupied(Exception):
    """Another world stands here."""


@dataclass(frozen=True, slots=True)
class Directory:
    """Where a world is kept. What is there already is used, so that the world stays the same."""

    path: Path

    @classmethod
    def beside(cls, env_file: Path) -> Self:
        """That of the world whose settings for a client are in *env_file*: its own alone."""
        return cls(env_file.with_name(f"{env_file.name}.world"))

    @property
    def registry(self) -> Path:
        """Its registry."""
        return self.path / "registry"

    @property
    def signing_keys(self) -> Path:
        """The service's keys."""
        return self.path / "keys.json"

    @property
    def issuer_key(self) -> Path:
        """The key of the development issuer."""
        return self.path / "issuer.json"

    @property
    def log(self) -> Path:
        """What the service wrote."""
        return self.path / "service.log"

    @property
    def admin_log(self) -> Path:
        """What the admin API wrote."""
        return self.path / "admin.log"

    @property
    def facts(self) -> Path:
        """Ports and secrets."""
        return self.path / "world.json"

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Make it, for its owner alone, and hold it. Raises `Occupied` and `Damaged`."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = (self.path / ".lock").open("w")
        except OSError as error:
            raise Damaged(
                f"{self.path} cannot be written ({error.strerror}): "
                "choose another place with --env-file"
            ) from error
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Occupied from None
            yield

    def make_keys(self) -> SigningKey:
        """Make what keys are missing; the issuer's. Raises `Damaged`."""
        if not self.signing_keys.exists():
            write_keys(self.signing_keys, [new_key(status=Status.ACTIVE), new_key()])
        if not self.issuer_key.exists():
            write_keys(self.issuer_key, [new_key(status=Status.ACTIVE)])
        return self.read_issuer_key()

    def read_issuer_key(self) -> SigningKey:
        """The issuer's key. Raises `Damaged`."""
        try:
            return Keyring.load(self.issuer_key).active
        except (OSError, ValueError) as error:
            raise self._damaged(self.issuer_key) from error

    def read_facts(self) -> "Facts":
        """Ports and secrets that were kept; new ones where none were. Raises `Damaged`."""
        if not self.facts.exists():
            return Facts()
        try:
            facts = Facts(**json.loads(self.facts.read_text(encoding="utf-8")))
            complete = set(facts.secrets) >= set(CLIENTS)
        except (OSError, ValueError, TypeError) as error:
            raise self._damaged(self.facts) from error
        if not complete:
            raise self._damaged(self.facts)
        return facts

    def write_facts(self, facts: "Facts") -> None:
        """Keep them, for their owner alone. Raises `OSError`."""
        text = {"port": facts.port, "issuer_port": facts.issuer_port, "secrets": facts.secrets}
        write_private(self.facts, json.dumps(text))

    def _damaged(self, file: Path) -> Damaged:
        return Damaged(f"{file} cannot be used any more: remove {self.path}, and begin anew")


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Ports (0: none yet) and the clients' secrets, by client id."""

    port: int = 0
    issuer_port: int = 0
    secrets: dict[str, str] = field(
        default_factory=lambda: {client: new_secret() for client in CLIENTS}, repr=False
    )


def write_private(path: Path, text: str) -> None:
    """Write *text* to *path*, readable for its owner alone, whatever stood there."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        os.fchmod(descriptor, 0o600)
        file.write(text)
