"""The evidence of every decision."""

from pathlib import Path

import click

from delegation import wiring
from delegation.audit.drain import AlreadyDraining, Drain
from delegation.audit.events import schema_text
from delegation.cli.common import because, connected, give_up
from delegation.cli.terminal import printable


@click.group()
def audit() -> None:
    """The evidence of every decision."""


@audit.command()
@click.option(
    "--to",
    "directory",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Where the files go; made if it is not there.",
)
def drain(directory: Path) -> None:
    """Move all events from the store to JSON lines on disk."""
    with connected() as store:
        try:
            moved = Drain(source=wiring.undrained_events(store), directory=directory)()
        except AlreadyDraining:
            give_up(f"Another process drains into {directory} already: let it finish.")
        except OSError as error:
            give_up(f"{because(error)}: choose a directory that can be written to.")
    click.echo(printable(f"{moved} events moved to {directory}."))


@audit.command()
def schema() -> None:
    """Print the JSON Schema of an event."""
    click.echo(schema_text(), nl=False)
