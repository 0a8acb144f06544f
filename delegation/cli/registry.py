"""The reviewed files."""

import click
import yaml

from delegation.cli.common import give_up
from delegation.cli.linting import format_files, lint_files
from delegation.cli.planning import make_plan, run_tests
from delegation.cli.questions import ask_can_i, ask_what_can, ask_who_can
from delegation.registry.schema import schema_text
from delegation.resource_metadata import NotUsable, resource_metadata


@click.group(short_help="The reviewed files.")
def registry() -> None:
    """The reviewed files: trusted issuers, clients, resources, grants."""


for command in (
    ask_can_i,
    ask_what_can,
    ask_who_can,
    lint_files,
    format_files,
    run_tests,
    make_plan,
):
    registry.add_command(command)


@registry.command()
def schema() -> None:
    """Print the JSON Schema of a registry file."""
    click.echo(schema_text(), nl=False)


@registry.command("import-resource", short_help="Print an entry for an API that describes itself.")
@click.argument("url")
@click.option(
    "--issuer",
    envvar="DELEGATION_ISSUER",
    show_envvar=True,
    required=True,
    help="This service, as the API's metadata must name it.",
)
@click.option("--private-network", is_flag=True, help="Allow a loopback or private address.")
def import_resource(url: str, *, issuer: str, private_network: bool) -> None:
    """Print an entry for the API at URL, from the metadata that it publishes (RFC 9728).

    The API must name this service among its authorization servers: it would not accept our tokens
    otherwise.
    """
    try:
        found = resource_metadata(url, our_issuer=issuer, private_network=private_network)
    except NotUsable as error:
        give_up(f"{error}.")
    entry = {"identifier": found.identifier, "scopes": list(found.scopes)}
    click.echo(yaml.safe_dump({"resources": [entry]}, sort_keys=False), nl=False)
    click.echo("# Say under `clients` whom the API admits, each with the most it may be given.")
