"""The commands, as people type them."""

import json
import os
import sys
from pathlib import Path

import click
from rich.console import Console

from delegation import wiring
from delegation.audit.drain import AlreadyDraining, Drain
from delegation.audit.events import schema as event_schema
from delegation.domain.errors import Unavailable
from delegation.ledger.layout import LayoutDiffers, initialize
from delegation.registry.schema import schema_text as registry_schema
from delegation.settings import Settings, SettingsInvalid


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="mcp-delegation", prog_name="delegation")
def main() -> None:
    """Let AI agents act for people, without token passthrough."""


@main.command()
def demo() -> None:
    """Play the whole story on real parts; exit status 0 if every step behaved."""
    from delegation.dev.story import play  # noqa: PLC0415, what only development installs

    console = Console(highlight=False, soft_wrap=True)
    if not play(console):
        sys.exit("A step did not behave as it should.")
    console.print("\n[bold green]Every step behaved.[/bold green]")


@main.group()
def ledger() -> None:
    """The store of exchanges and locks."""


@ledger.command()
def init() -> None:
    """Lay out an empty store. A store that is laid out already is left as it is."""
    store = wiring.connect(_settings())
    try:
        created = initialize(store.server, store.partitions)
    except (LayoutDiffers, Unavailable) as error:
        sys.exit(_complaint(error))
    click.echo("The store is laid out." if created else "The store was laid out already.")


@main.group()
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
    source = wiring.undrained_events(wiring.connect(_settings()))
    try:
        moved = Drain(source=source, directory=directory)()
    except (AlreadyDraining, Unavailable, OSError) as error:
        sys.exit(_complaint(error))
    click.echo(f"{moved} events moved to {directory}.")


@audit.command("schema")
def print_event_schema() -> None:
    """Print the JSON Schema of an event."""
    click.echo(json.dumps(event_schema(), indent=2))


@main.group()
def registry() -> None:
    """The reviewed files: trusted issuers, clients, resources, grants."""


@registry.command("schema")
def print_registry_schema() -> None:
    """Print the JSON Schema of a registry file."""
    click.echo(registry_schema(), nl=False)


def _settings() -> Settings:
    try:
        return Settings.from_environment(os.environ)
    except SettingsInvalid as invalid:
        sys.exit(str(invalid))


def _complaint(error: Exception) -> str:
    match error:
        case AlreadyDraining():
            return f"Another process drains into {error} already. Let it finish."
        case Unavailable(problem="no_layout"):
            return "The store is not laid out. Run `delegation ledger init` first."
        case Unavailable():
            return f"The store cannot be used now: {error.problem}. Check DELEGATION_REDIS_URL."
        case _:
            return f"{error}."
