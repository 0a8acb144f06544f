"""What the commands say when they cannot: the exact words, so that a change of them is seen."""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.audit.trails import KEY
from tests.cli.command import run

Environment = dict[str, str]


class Situation(NamedTuple):
    """What is wrong, what is typed, and all that is said. PATH stands for a place of the test."""

    name: str
    wrong: Callable[[Environment, Path], object]
    typed: str
    said: str
    status: int = 1


def _set(**settings: str) -> Callable[[Environment, Path], object]:
    def change(environment: Environment, path: Path) -> None:
        for name, text in settings.items():
            environment[f"DELEGATION_{name}"] = text.replace("PATH", str(path))

    return change


def _write(name: str, text: str, mode: int = 0o600) -> Callable[[Environment, Path], object]:
    def change(_: Environment, path: Path) -> None:
        (path / name).write_text(text)
        (path / name).chmod(mode)

    return change


def _audit_key(environment: Environment, path: Path) -> None:
    """There is an audit key."""
    _write("key", KEY.kept())(environment, path)
    _set(AUDIT_KEY="PATH/key")(environment, path)


def _nothing(_: Environment, __: Path) -> None:
    """Nothing is wrong but what is typed."""


SITUATIONS = [
    Situation(
        "settings and everything else",
        lambda environment, path: (
            environment.clear(),
            _set(
                ISSUER="ftp://user:password@sts.example",
                REDIS_ULR="redis://localhost",
                REGISTRY="PATH/registry",
                SIGNING_KEYS="PATH/none.json",
                WORKERS="many",
            )(environment, path),
            _write("registry/second.yaml", "grants: \x01\n")(environment, path),
        ),
        "check",
        """\
settings: DELEGATION_ISSUER: must be an https URL (http only on loopback) without user, query, \
fragment and trailing slash
settings: DELEGATION_REDIS_ULR: is not known; the nearest that is known is DELEGATION_REDIS_URL
settings: DELEGATION_REDIS_URL: is not set: set it, or DELEGATION_REDIS_URL_FILE
settings: DELEGATION_WORKERS: must be a whole number from 1 to 64
registry: second.yaml:1: a control character: remove it [unreadable]
keys: PATH/none.json is not there: make it with `delegation keys new PATH/none.json`
""",
    ),
    Situation(
        "a file with the store's URL that is not there, and a store that is not looked at",
        lambda environment, path: (
            environment.pop("DELEGATION_REDIS_URL"),
            _set(REDIS_URL_FILE="PATH/none")(environment, path),
        ),
        "check",
        """\
settings: DELEGATION_REDIS_URL_FILE: must be the path of a file that can be read, with the URL
""",
    ),
    Situation(
        "the store's URL twice",
        lambda environment, path: (
            _write("url", "redis://localhost")(environment, path),
            _set(REDIS_URL_FILE="PATH/url")(environment, path),
        ),
        "check",
        """\
settings: DELEGATION_REDIS_URL_FILE: is set together with DELEGATION_REDIS_URL: unset one
""",
    ),
    Situation(
        "no layout",
        _nothing,
        "check",
        "ledger: the store is not laid out: run `delegation ledger init` if it is a new one, and "
        "`delegation ledger replay-locks` if it has lost what it knew\n",
    ),
    Situation(
        "no store",
        _set(REDIS_URL="unix://PATH/nowhere"),
        "check",
        "ledger: the store does not answer: check DELEGATION_REDIS_URL, and that it runs\n",
    ),
    Situation(
        "no store to lay out",
        _set(REDIS_URL="unix://PATH/nowhere"),
        "ledger init",
        "ledger: the store does not answer: check DELEGATION_REDIS_URL, and that it runs\n",
    ),
    Situation(
        "no store to seal from",
        lambda environment, path: (
            _audit_key(environment, path),
            _set(REDIS_URL="unix://PATH/nowhere")(environment, path),
        ),
        "audit seal --once PATH/audit",
        "ledger: the store does not answer: check DELEGATION_REDIS_URL, and that it runs\n",
    ),
    Situation(
        "no layout to seal from",
        _audit_key,
        "audit seal --once PATH/audit",
        "ledger: the store is not laid out: run `delegation ledger init` if it is a new one, and "
        "`delegation ledger replay-locks` if it has lost what it knew\n",
    ),
    Situation(
        "sealing to where nothing can be",
        lambda environment, path: (_audit_key(environment, path), _write("file", "")({}, path)),
        "audit seal --once PATH/file/below",
        "PATH/file/below: Not a directory: choose a directory that can be written to.\n",
    ),
    Situation(
        "no audit key",
        _nothing,
        "audit seal --once PATH/audit",
        """\
DELEGATION_AUDIT_KEY is not set: make a key with `delegation audit new-key`, and set it to its file.
""",
    ),
    Situation(
        "an audit key that is not there",
        _set(AUDIT_KEY="PATH/none"),
        "audit seal --once PATH/audit",
        """\
PATH/none cannot be read (No such file or directory): set DELEGATION_AUDIT_KEY to a file that this \
user may read.
""",
    ),
    Situation(
        "an audit key that others may read",
        lambda environment, path: (_audit_key(environment, path), (path / "key").chmod(0o644)),
        "audit seal --once PATH/audit",
        "PATH/key: others than its owner have access: chmod 600 PATH/key.\n",
    ),
    Situation(
        "a signing key for an audit key",
        lambda environment, _: environment.update(
            DELEGATION_AUDIT_KEY=environment["DELEGATION_SIGNING_KEYS"]
        ),
        "audit seal --once PATH/audit",
        "PATH/keys.json: it is no file of `delegation audit new-key`.\n",
    ),
    Situation(
        "an audit key that is there already",
        _write("key", ""),
        "audit new-key PATH/key --name sts.example.com/audit",
        "PATH/key is there already, and is left as it is: choose another name.\n",
    ),
    Situation(
        "an audit key where nothing can be",
        _nothing,
        "audit new-key PATH/none/key --name sts.example.com/audit",
        "PATH/none/key: No such file or directory: choose a directory that can be written to.\n",
    ),
    Situation(
        "an audit key without a name",
        _nothing,
        "audit new-key PATH/key --name a+b",
        "--name: a key's name has neither blanks nor +, and is not empty.\n",
    ),
    Situation(
        "verifying where nothing is",
        _nothing,
        f"audit verify PATH/audit --key {KEY.verifier}",
        "Cannot verify: PATH/audit: No such file or directory.\n",
        status=2,
    ),
    Situation(
        "verifying an empty directory",
        _nothing,
        f"audit verify PATH --key {KEY.verifier}",
        "Cannot verify: there is no segment there.\n",
        status=2,
    ),
    Situation(
        "verifying with something else than a key",
        _nothing,
        "audit verify PATH --key key",
        "Cannot verify: --key: it is no Ed25519 key of a signed note.\n",
        status=2,
    ),
    Situation(
        "verifying since never",
        _nothing,
        f"audit verify PATH --since never --key {KEY.verifier}",
        "Cannot verify: --since: give a segment's number, or a date.\n",
        status=2,
    ),
    Situation(
        "verifying since tomorrow",
        _nothing,
        f"audit verify PATH --since 2999-01-01 --key {KEY.verifier}",
        "Cannot verify: --since: no segment is as late as that.\n",
        status=2,
    ),
    Situation(
        "stops of a trail without its key",
        _nothing,
        "ledger replay-locks PATH/audit",
        """\
DELEGATION_AUDIT_KEY is not set: make a key with `delegation audit new-key`, and set it to its file.
""",
    ),
    Situation(
        "stops of a trail that is not there",
        _audit_key,
        "ledger replay-locks PATH/audit",
        "PATH/audit: No such file or directory: nothing was ordered.\n",
    ),
    Situation(
        "stops of a trail that is damaged",
        lambda environment, path: (
            _audit_key(environment, path),
            _write("segment-000000000001.jsonl", "{}\n")(environment, path),
        ),
        "ledger replay-locks PATH",
        "PATH: segment 1, line 1: this is no record: it has no seal at its end: nothing was "
        "ordered.\n",
    ),
    Situation(
        "a checkpoint of nothing",
        _nothing,
        "audit checkpoint PATH",
        "PATH holds no segment.\n",
    ),
    Situation(
        "a checkpoint of what is not there",
        _nothing,
        "audit checkpoint PATH/audit",
        "PATH/audit: No such file or directory.\n",
    ),
    Situation(
        "a checkpoint of what is no segment",
        _write("segment-000000000001.jsonl", "{}\n"),
        "audit checkpoint PATH",
        "segment 1: it does not end with a checkpoint: it has another form.\n",
    ),
    Situation(
        "options of a URL that do not fit",
        _set(REDIS_URL="redis://localhost/0?ssl_ca_certs=/x"),
        "ledger init",
        "DELEGATION_REDIS_URL: may have ssl options only with rediss://\n",
    ),
    Situation(
        "a database that is none",
        _set(REDIS_URL="redis://localhost/0?db=first"),
        "check",
        "settings: DELEGATION_REDIS_URL: must have a whole number as db\n",
    ),
    Situation(
        "no settings for a command that needs them",
        lambda environment, _: environment.clear(),
        "ledger init",
        """\
DELEGATION_ISSUER: is not set: our issuer identifier: what our tokens say in `iss`, and where we \
are found
DELEGATION_REDIS_URL: is not set: set it, or DELEGATION_REDIS_URL_FILE
DELEGATION_REGISTRY: is not set: the directory with the registry's files
DELEGATION_SIGNING_KEYS: is not set: the file with our private JWK Set
""",
    ),
    Situation(
        "keys that others can read",
        _write("keys.json", "{}", 0o644),
        "keys list PATH/keys.json",
        "PATH/keys.json: others than its owner have access: chmod 600 PATH/keys.json.\n",
    ),
    Situation(
        "keys that are no JSON",
        _write("keys.json", "-----BEGIN EC PRIVATE KEY-----"),
        "keys list PATH/keys.json",
        "PATH/keys.json: this is no JSON: make another file with "
        "`delegation keys new PATH/keys.json`.\n",
    ),
    Situation(
        "keys that are no key set",
        _write("keys.json", '{"keys": {}}'),
        "keys list PATH/keys.json",
        'PATH/keys.json: write it as a JWK Set: an object with an array of objects in "keys".\n',
    ),
    Situation(
        "no active key",
        _write("keys.json", '{"keys": []}'),
        "keys list PATH/keys.json",
        "PATH/keys.json: 0 keys are active: set the status of exactly one so.\n",
    ),
    Situation(
        "keys that are not there",
        _nothing,
        "keys list PATH/none.json",
        "PATH/none.json is not there: make it with `delegation keys new PATH/none.json`.\n",
    ),
    Situation(
        "keys that cannot be read",
        _set(SIGNING_KEYS="PATH/registry"),
        "serve",
        "keys: PATH/registry cannot be read (Is a directory): "
        "name a file that this user may read\n"
        "ledger: the store is not laid out: run `delegation ledger init` if it is a new one, and "
        "`delegation ledger replay-locks` if it has lost what it knew\n",
    ),
    Situation(
        "keys that would be lost",
        _nothing,
        "keys new PATH/keys.json",
        "PATH/keys.json is there already, and is left as it is: choose another name.\n",
    ),
    Situation(
        "keys that cannot be written",
        _nothing,
        "keys new PATH/none/keys.json",
        "PATH/none/keys.json cannot be written (No such file or directory): "
        "choose a directory that is there and can be written to.\n",
    ),
    Situation(
        "a registry that would be lost",
        _nothing,
        "init PATH/registry",
        "PATH/registry is not empty, and is left as it is: choose another directory.\n",
    ),
    Situation(
        "a registry that cannot be written",
        _nothing,
        "init PATH/keys.json/registry",
        "PATH/keys.json/registry: Not a directory: choose a directory that can be written to.\n",
    ),
    Situation(
        "an API that is none",
        _nothing,
        "registry import-resource http://api.example",
        "'http://api.example' identifies no API: write an https URI without fragment.\n",
    ),
    Situation(
        "no development world",
        _nothing,
        "dev token --user alice --env-file PATH/dev.env",
        "there is no world beside PATH/dev.env: start one with `delegation dev`.\n",
    ),
    Situation(
        "a development world where none can be",
        _nothing,
        "dev --env-file PATH/keys.json/dev.env",
        "PATH/keys.json/dev.env.world cannot be written (Not a directory): "
        "choose another place with --env-file.\n",
    ),
    Situation(
        "a name that would act on the terminal",
        _nothing,
        "keys list PATH/\x1b[31mkeys\x9b\u202e.json",
        "PATH/\\x1b[31mkeys\\x9b\\u202e.json is not there: make it with "
        "`delegation keys new PATH/\\x1b[31mkeys\\x9b\\u202e.json`.\n",
    ),
    Situation(
        "an exchange with nobody",
        lambda environment, _: environment.clear(),
        "exchange --client-id me --subject-token t",
        """\
Usage: delegation exchange [OPTIONS]
Try 'delegation exchange --help' for help.

Error: Name the server, with --issuer or --token-endpoint.
""",
        2,
    ),
    Situation(
        "an exchange without a secret",
        lambda environment, _: environment.clear(),
        "exchange --client-id me --subject-token t --token-endpoint https://sts.example/token",
        """\
Usage: delegation exchange [OPTIONS]
Try 'delegation exchange --help' for help.

Error: Set DELEGATION_CLIENT_SECRET, or name a file that holds it.
""",
        2,
    ),
]


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda situation: situation.name)
def test_what_is_said(situation: Situation, unlaid: Environment, tmp_path: Path) -> None:
    """Exactly this, on standard error and nowhere else; no traceback."""
    situation.wrong(unlaid, tmp_path)
    typed = [part.replace("PATH", str(tmp_path)) for part in situation.typed.split(" ")]

    ran = run(*typed, environment=unlaid)

    assert ran.err.replace(str(tmp_path), "PATH") == situation.said
    assert ran.out == ""
    assert ran.status == situation.status


@pytest.fixture(name="taken")
def _taken() -> Iterator[int]:
    """A port where somebody listens."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        yield listener.getsockname()[1]


@pytest.mark.parametrize(
    ("bind", "said"),
    [
        (
            "127.0.0.1:TAKEN",
            (
                "127.0.0.1:TAKEN cannot be had (Address already in use): "
                "stop what listens there, or set DELEGATION_BIND to another address"
            ),
        ),
        (
            "192.0.2.1:8080",
            (
                "192.0.2.1:8080 cannot be had (Cannot assign requested address): "
                "set DELEGATION_BIND to another address"
            ),
        ),
        (
            "unix:/nowhere/at/all.sock",
            (
                "/nowhere/at is no directory that can be written to: make it, "
                "or set DELEGATION_BIND to another address"
            ),
        ),
    ],
    ids=["taken", "elsewhere", "no directory"],
)
def test_an_address_that_cannot_be_had(
    sound: Environment, taken: int, bind: str, said: str
) -> None:
    """It is found before gunicorn starts to try again and again."""
    environment = sound | {"DELEGATION_BIND": bind.replace("TAKEN", str(taken))}

    ran = run("serve", environment=environment)

    assert ran.err.replace(str(taken), "TAKEN") == f"bind: {said}\n"
    assert ran.status == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_no_permission(unlaid: Environment, tmp_path: Path) -> None:
    """What may not be read is named, with what to do."""
    (tmp_path / "keys.json").chmod(0o000)

    ran = run("keys", "list", str(tmp_path / "keys.json"), environment=unlaid)

    assert ran.err.replace(str(tmp_path), "PATH") == (
        "PATH/keys.json cannot be read (Permission denied): name a file that this user may read.\n"
    )
