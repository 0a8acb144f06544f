"""Setting it up: a first registry, secrets, and the layout of the store."""

import shlex
from pathlib import Path

import click

from delegation.cli.common import because, connected, give_up
from delegation.cli.terminal import printable
from delegation.ledger.layout import LayoutDiffers, initialize
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
