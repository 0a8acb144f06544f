"""Setting it up: a first registry, keys, secrets, and the layout of the store."""

import json
import shlex
from pathlib import Path

import click

from delegation.cli.common import because, connected, give_up
from delegation.cli.terminal import printable
from delegation.jose.keyring import SUPPORTED, Status, new_key, write_keys
from delegation.ledger.layout import LayoutDiffers, initialize
from delegation.preflight import KeysUnusable, keyring
from delegation.registry.secrets import digest, new_secret
from delegation.registry.skeleton import AlreadyThere, write_skeleton


@click.command(short_help="Make a first registry: an example that explains itself.")
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
def init(directory: Path) -> None:
    """Make a first registry in DIRECTORY: an example that explains itself and permits nothing
    real.
    """
    secret = new_secret()
    try:
        path = write_skeleton(directory, secret=digest(secret))
    except AlreadyThere:
        give_up(f"{directory} is not empty, and is left as it is: choose another directory.")
    except OSError as error:
        give_up(f"{because(error)}: choose a directory that can be written to.")
    click.echo(f"""\
Wrote {printable(str(path))}. Read it from top to bottom.

The secret of its client calendar-mcp, shown only now: {secret}

Next:
  export DELEGATION_ISSUER=https://...   # where this service will be found
  export DELEGATION_REDIS_URL=redis://...
  export DELEGATION_REGISTRY={printable(shlex.quote(str(directory)))}
  export DELEGATION_SIGNING_KEYS=keys.json
  delegation keys new keys.json
  delegation ledger init
  delegation check""")


@click.group()
def keys() -> None:
    """The keys that tokens are signed with."""


@keys.command("new")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
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
    pair = [new_key(algorithm, Status.ACTIVE), new_key(algorithm)]
    try:
        write_keys(file, pair)
    except OSError as error:
        give_up(
            f"{file} cannot be written ({error.strerror}): "
            "choose a directory that is there and can be written to."
        )
    shown = printable(str(file))
    click.echo(f"Wrote {shown}, which only its owner can read. Set DELEGATION_SIGNING_KEYS to it.")


@keys.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--jwks", is_flag=True, help="As the JWK Set that is published.")
def show(file: Path, *, jwks: bool) -> None:
    """Show the keys in FILE: names and status, nothing private."""
    try:
        found = keyring(file)
    except KeysUnusable as error:
        give_up(f"{error}.")
    if jwks:
        click.echo(json.dumps(found.public_keys(), indent=2))
        return
    for key in found.keys:
        click.echo(f"{key.kid}  {key.algorithm}  {key.status}")


@click.group()
def clients() -> None:
    """The MCP servers that may ask."""


@clients.command("new-secret", short_help="Make a client secret and its digest.")
def print_new_secret() -> None:
    """Make a client secret, and the digest of it that the registry keeps.

    The secret is shown only now: give it to the client, and write the digest into the registry.
    """
    secret = new_secret()
    click.echo(f"secret for the client:  {secret}")
    click.echo(f"line for the registry:  {digest(secret)}")


@click.group()
def ledger() -> None:
    """The store of exchanges and locks."""


@ledger.command("init")
def lay_out() -> None:
    """Lay out an empty store. A store that is laid out already is left as it is."""
    with connected() as store:
        try:
            created = initialize(store.server, store.partitions)
        except LayoutDiffers as error:
            give_up(f"ledger: {error}: nothing was changed.")
    click.echo("The store is laid out." if created else "The store was laid out already.")
