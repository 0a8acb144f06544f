"""The development world: an issuer, a store, the service under gunicorn, and its registry."""

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from socket import socket
from subprocess import Popen
from threading import Event
from types import MappingProxyType
from typing import Any

import yaml

from delegation import wiring
from delegation.dev.cast import story
from delegation.dev.issuer import DevelopmentIssuer, development_issuer
from delegation.dev.kept import Damaged, Directory, Facts
from delegation.dev.servers import listening, valkey
from delegation.dev.service import DidNotStart, running_service
from delegation.domain.errors import Unavailable
from delegation.jose.keyring import SigningKey
from delegation.ledger.layout import initialize
from delegation.ledger.store import Store
from delegation.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A running world. *secrets* are those of its clients, by client id; *process* is gunicorn.

    *environment* are the variables that *settings* were read from.
    """

    directory: Path
    process: Popen[bytes] = field(repr=False)
    environment: Mapping[str, str] = field(repr=False)
    settings: Settings
    issuer: DevelopmentIssuer
    store: Store
    secrets: Mapping[str, str] = field(repr=False)
    admin_url: str | None = None
    """Where the admin API is, if it was started."""
    admin_process: Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """The service's issuer identifier, and the base of its endpoints."""
        return self.settings.issuer


@contextmanager
def running_world(
    directory: Path,
    *,
    port: int | None = None,
    told: Event | None = None,
    workers: int = 2,
    admin: bool = False,
    entries: Mapping[str, Any] = MappingProxyType({}),
    **overrides: str,
) -> Iterator[World]:
    """Start everything, and stop it again. Keys, secrets, registry and ports are kept in
    *directory*.

    *port* is the service's, 0 a free one, `None` the one it had. With *admin* the admin API runs,
    too, on a free port. *entries* stand in a second file
    of the registry; *overrides* are further settings by their environment names. Raises
    `DidNotStart`, also where we are *told* to stop before everything stands.
    """
    kept = Directory(directory)
    facts, key = _kept(kept)
    with ExitStack() as stack:
        issuer = stack.enter_context(_issuer(key, kept, port=facts.issuer_port))
        listener = stack.enter_context(_listener(facts.port if port is None else port))
        facts = Facts(
            port=listener.getsockname()[1],
            issuer_port=int(issuer.url.rpartition(":")[2]),
            secrets=facts.secrets,
        )
        kept.write_facts(facts)
        _write_registry(kept.registry, story(issuer, facts.secrets), entries)
        # A socket's path is short, wherever the world is kept.
        private = stack.enter_context(tempfile.TemporaryDirectory(prefix="delegation-"))
        environment = {
            "DELEGATION_ISSUER": f"http://127.0.0.1:{facts.port}",
            "DELEGATION_REDIS_URL": stack.enter_context(valkey(Path(private))),
            "DELEGATION_REGISTRY": str(kept.registry),
            "DELEGATION_SIGNING_KEYS": str(kept.signing_keys),
            "DELEGATION_WORKERS": str(workers),
            **overrides,
        }
        settings = Settings.from_environment(environment)
        store = wiring.connect(settings)
        stack.callback(store.server.close)
        _lay_out(store)
        process = stack.enter_context(
            running_service(listener, environment=environment, log=kept.log, told=told or Event())
        )
        admin_url, admin_process = None, None
        if admin:
            second = stack.enter_context(_listener(0))
            admin_url = f"http://127.0.0.1:{second.getsockname()[1]}"
            admin_process = stack.enter_context(
                running_service(
                    second,
                    environment=environment | {"DELEGATION_WORKERS": "1"},
                    log=kept.admin_log,
                    told=told or Event(),
                    application="delegation.wsgi_admin:application",
                )
            )
        yield World(
            directory=directory,
            process=process,
            environment=environment,
            settings=settings,
            issuer=issuer,
            store=store,
            secrets=facts.secrets,
            admin_url=admin_url,
            admin_process=admin_process,
        )


def _kept(kept: Directory) -> tuple[Facts, SigningKey]:
    try:
        return kept.read_facts(), kept.make_keys()
    except Damaged as error:
        raise DidNotStart(str(error)) from error


@contextmanager
def _issuer(key: SigningKey, kept: Directory, *, port: int) -> Iterator[DevelopmentIssuer]:
    with ExitStack() as stack:
        try:
            issuer = stack.enter_context(development_issuer(key, port=port))
        except OSError as error:
            # Its port is part of its name, which the registry knows it by.
            raise DidNotStart(
                f"port {port}, the issuer's, cannot be had ({_why(error)}): stop what listens "
                f"there, or remove {kept.path} and begin anew"
            ) from error
        yield issuer


@contextmanager
def _listener(port: int) -> Iterator[socket]:
    with ExitStack() as stack:
        try:
            listener = stack.enter_context(listening(port))
        except OSError as error:
            raise DidNotStart(
                f"port {port} cannot be had ({_why(error)}): stop what listens there, "
                "or choose another with --port"
            ) from error
        yield listener


def _lay_out(store: Store) -> None:
    try:
        initialize(store.server, store.partitions)
    except Unavailable as error:
        raise DidNotStart("the store has stopped before it was laid out: try again") from error


def _why(error: OSError) -> str:
    # Without what the library adds: the port is named already.
    return os.strerror(error.errno or 0)


def _write_registry(directory: Path, story: Mapping[str, Any], further: Mapping[str, Any]) -> None:
    """Only the first time: whoever edits it means it."""
    if directory.exists():
        return
    directory.mkdir(mode=0o700)
    for name, entries in (("world.yaml", story), ("further.yaml", further)):
        if not entries:
            continue
        text = yaml.safe_dump(dict(entries), sort_keys=False)
        (directory / name).write_text(text, encoding="utf-8")
