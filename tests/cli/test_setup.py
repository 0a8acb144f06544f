"""Setting it up, from nothing to a service that could serve."""

import json
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import click
import jsonschema
import pytest

from delegation.cli import main
from delegation.jose.keyring import SUPPORTED, Keyring
from delegation.registry.loader import load
from delegation.registry.secrets import digest
from tests.cli.command import run


def _commands(group: click.Group, *path: str) -> Iterator[tuple[str, ...]]:
    yield path
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from _commands(command, *path, name)
        else:
            yield (*path, name)


@pytest.mark.parametrize(
    "path", list(_commands(main)), ids=lambda path: " ".join(path) or "delegation"
)
def test_help(path: tuple[str, ...]) -> None:
    """Every command says what it is for, without any setting, in full sentences that fit."""
    ran = run(*path, "--help")

    assert ran.status == 0
    assert ran.err == ""
    assert ran.out.startswith(" ".join(["Usage: delegation", *path]))
    assert "..." not in ran.out.replace("[ARGS]...", "")
    assert max(map(len, ran.out.splitlines())) <= 80


def _options(group: click.Group) -> Iterator[tuple[str, click.Option]]:
    for path in _commands(group):
        command: click.Command = group
        for name in path:
            assert isinstance(command, click.Group)
            command = command.commands[name]
        options = (option for option in command.params if isinstance(option, click.Option))
        yield from ((" ".join(path), option) for option in options)


def test_every_option_is_explained() -> None:
    """There is none without a word about it."""
    assert [(path, option.name) for path, option in _options(main) if not option.help] == []


def test_the_command_is_installed() -> None:
    """`delegation` is there, and knows its version."""
    ran = subprocess.run(  # noqa: S603, our own command
        [Path(sys.executable).with_name("delegation"), "--version"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert re.fullmatch(r"delegation, version \d+\.\d+\.\d+\n", ran.stdout)


@pytest.mark.parametrize("group", ["audit", "registry"])
def test_the_schemas(group: str) -> None:
    """Both schemas are printed as they are published: JSON Schema, and sound."""
    printed = run(group, "schema")

    assert printed.status == 0
    jsonschema.Draft202012Validator.check_schema(json.loads(printed.out))


def test_from_nothing(unlaid: dict[str, str]) -> None:
    """What `init` and `keys new` made, and `ledger init`, are all that `check` asks for."""
    laid_out = run("ledger", "init", environment=unlaid)
    checked = run("check", environment=unlaid)

    assert (laid_out.status, laid_out.out) == (0, "The store is laid out.\n")
    assert (checked.status, checked.out, checked.err) == (
        0,
        "Nothing is wrong with settings, registry, keys, metadata and store.\n",
        "",
    )


def test_laying_out_again(sound: dict[str, str]) -> None:
    """A store that is laid out stays as it is; one that is laid out otherwise, too."""
    again = run("ledger", "init", environment=sound)
    other = run("ledger", "init", environment=sound | {"DELEGATION_PARTITIONS": "8"})

    assert (again.status, again.out) == (0, "The store was laid out already.\n")
    assert other.status == 1
    assert other.err == (
        "ledger: the store has layout version 2 with 64 partitions; "
        "this service expects version 2 with 8: nothing was changed.\n"
    )


def test_a_first_registry(tmp_path: Path) -> None:
    """It is sound, its one client has the secret that is shown, and it says what to do next."""
    directory = tmp_path / "a registry"

    ran = run("init", str(directory))

    assert ran.status == 0
    registry = load(directory, issuer="https://sts.example")
    assert [grant.id for (grant,) in registry.grants.values()] == ["calendar-for-staff"]
    (secret,) = re.findall(r"dlg_[\w-]{43}", ran.out)
    text = (directory / "registry.yaml").read_text()
    assert digest(secret) in text
    assert secret not in text
    assert max(map(len, text.splitlines())) <= 100
    assert (
        ran.out.replace(str(tmp_path), "PATH").replace(secret, "SECRET")
        == """\
Wrote PATH/a registry/registry.yaml. Read it from top to bottom.

The secret of its client calendar-mcp, shown only now: SECRET

Next:
  export DELEGATION_ISSUER=https://...   # where this service will be found
  export DELEGATION_REDIS_URL=redis://...
  export DELEGATION_REGISTRY='PATH/a registry'
  export DELEGATION_SIGNING_KEYS=keys.json
  delegation keys new keys.json
  delegation ledger init
  delegation check
"""
    )


@pytest.mark.parametrize("algorithm", sorted(SUPPORTED))
def test_new_keys(algorithm: str, tmp_path: Path) -> None:
    """One signs, one will; their file is their owner's; what is shown of them is public."""
    file = tmp_path / "keys.json"

    made = run("keys", "new", str(file), "--algorithm", algorithm)
    listed = run("keys", "list", str(file))
    published = run("keys", "list", str(file), "--jwks")

    assert made.out == (
        f"Wrote {file}, which only its owner can read. Set DELEGATION_SIGNING_KEYS to it.\n"
    )
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    keyring = Keyring.load(file)
    first, second = keyring.keys
    since = f" since {datetime.fromtimestamp(first.since or 0, UTC):%Y-%m-%dT%H:%M:%SZ}\n"
    assert listed.out == (
        f"{first.kid}  {algorithm}  active{since}{second.kid}  {algorithm}  next{since}"
    )
    assert json.loads(published.out) == keyring.public_keys()
    assert '"d"' not in published.out


def test_a_new_secret() -> None:
    """The secret, and the digest of it that the registry keeps."""
    shown = run("clients", "new-secret").out

    match = re.fullmatch(r"secret for the client:  (\S+)\nline for the registry:  (\S+)\n", shown)
    assert match is not None
    assert match[2] == digest(match[1])
