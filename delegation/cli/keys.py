"""The keys that tokens are signed with: making, showing and rotating them."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import click

from delegation.cli.common import give_up
from delegation.cli.terminal import printable
from delegation.jose.keyring import SUPPORTED, Keyring, SigningKey, Status, new_key, write_keys
from delegation.jose.rotation import OUTLIVED_AFTER, TooSoon, alone_with, is_outlived
from delegation.jose.rotation import retire as without_retired
from delegation.jose.rotation import rotate as rotated
from delegation.preflight import KeysUnusable, keyring

_FILE = click.argument("file", type=click.Path(dir_okay=False, path_type=Path))


@click.group()
def keys() -> None:
    """The keys that tokens are signed with."""


@keys.command("new", short_help="Write two new keys to a file.")
@_FILE
@click.option(
    "--algorithm",
    type=click.Choice(sorted(SUPPORTED)),
    default="ES256",
    show_default=True,
    help="What the keys sign with.",
)
def new_keys(file: Path, algorithm: str) -> None:
    """Write two new keys to FILE: the one that signs, and the one that will."""
    if file.exists():
        give_up(f"{file} is there already, and is left as it is: choose another name.")
    since = int(_now().timestamp())
    pair = [new_key(algorithm, Status.ACTIVE, since=since), new_key(algorithm, since=since)]
    try:
        write_keys(file, pair)
    except OSError as error:
        give_up(
            f"{file} cannot be written ({error.strerror}): "
            "choose a directory that is there and can be written to."
        )
    shown = printable(str(file))
    click.echo(f"Wrote {shown}, which only its owner can read. Set DELEGATION_SIGNING_KEYS to it.")


@keys.command("list", short_help="List the keys in a file.")
@_FILE
@click.option("--jwks", is_flag=True, help="As the JWK Set that is published.")
def list_keys(file: Path, *, jwks: bool) -> None:
    """List the keys in FILE: names, status and since when, nothing private."""
    found = _load(file)
    if jwks:
        click.echo(json.dumps(found.public_keys(), indent=2))
        return
    _list(found)


@keys.command(short_help="Sign with the next key from now on.")
@_FILE
@click.option("--now", "at_once", is_flag=True, help="Also if not everybody knows the next key.")
def rotate(file: Path, *, at_once: bool) -> None:
    """Sign with the next key of FILE from now on.

    The key that signed until now stays published while its tokens live, and a new key is published
    for the next time. Running services read the file by themselves.
    """
    _change(file, lambda found: rotated(found, _now(), at_once=at_once))


@keys.command(short_help="Drop the keys whose tokens have all expired.")
@_FILE
@click.option("--now", "at_once", is_flag=True, help="Also if tokens that they signed are alive.")
def retire(file: Path, *, at_once: bool) -> None:
    """Drop the keys of FILE that retire, as far as all that they signed has expired."""
    _change(file, lambda found: without_retired(found, _now(), at_once=at_once))


def _change(file: Path, change: Callable[[Keyring], Keyring]) -> None:
    try:
        with alone_with(file):
            changed = change(_load(file))
            write_keys(file, changed.keys)
    except TooSoon as error:
        give_up(
            f"{file} is left as it is: {error}.",
            "Wait; or, where a key is in the wrong hands, use --now: good tokens fail then, too.",
        )
    except ValueError as error:
        give_up(f"{file} is left as it is: {error}.")
    except OSError as error:
        give_up(f"{file} is left as it is ({error.strerror}): run this as who may replace it.")
    _list(changed)


def _list(found: Keyring) -> None:
    for key in found.keys:
        click.echo(f"{key.kid}  {key.algorithm}  {key.status}{_said_of(key)}")


def _said_of(key: SigningKey) -> str:
    if key.since is None:
        return ""
    said = f" since {datetime.fromtimestamp(key.since, UTC):%Y-%m-%dT%H:%M:%SZ}"
    if key.status is not Status.RETIRING:
        return said
    if is_outlived(key, _now()):
        return f"{said}: can go now"
    gone = datetime.fromtimestamp(key.since, UTC) + OUTLIVED_AFTER
    return f"{said}: can go from {gone:%Y-%m-%dT%H:%M:%SZ} on"


def _load(file: Path) -> Keyring:
    try:
        return keyring(file)
    except KeysUnusable as error:
        give_up(f"{error}.")


def _now() -> datetime:
    return datetime.now(UTC)
