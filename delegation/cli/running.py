"""Running it: the service, a development world, the demo; and whether it could run."""

import os
import signal
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

import click
from click.core import ParameterSource
from rich.console import Console

from delegation.cli.common import give_up
from delegation.cli.terminal import printable, printable_lines
from delegation.preflight import Problem, listening, problems
from delegation.settings import Settings
from delegation.web.admin.openapi import document_text

_PARTS = "settings, registry, keys, metadata and store"

_MISSING = "{} is not installed: pip install 'mcp-delegation[dev]'."

ENV_FILE = click.option(
    "--env-file",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path(".delegation/dev.env"),
    show_default=True,
    help="Where the settings of a client go. The world is kept in a directory beside it.",
)


@click.command()
def serve() -> None:
    """Serve, with gunicorn. The settings are DELEGATION_* in the environment.

    What is wrong with them is said before anything starts. A store that does not answer yet is
    waited for: until it does, requests are answered 503, and /readyz says why.
    """
    settings = _sound_settings()
    _must_be_free(settings.bind, "DELEGATION_BIND")
    if settings.metrics_bind is not None:
        _must_be_free(settings.metrics_bind, "DELEGATION_METRICS_BIND")
    _become_gunicorn("delegation.wsgi:application")


@click.group(short_help="The admin API.")
def admin() -> None:
    """The admin API: what was exchanged, what is stopped, and how the service is."""


@admin.command("serve", short_help="Serve the admin API, as a process of its own.")
def serve_admin() -> None:
    """Serve the admin API, as a process of its own, at DELEGATION_ADMIN_BIND.

    Otherwise it is as `delegation serve`, with the same settings. It lets in whoever brings an
    access token of one of the registry's admin_issuers.
    """
    settings = _sound_settings()
    _must_be_free(settings.admin_bind, "DELEGATION_ADMIN_BIND")
    _become_gunicorn("--bind", settings.admin_bind, "delegation.wsgi_admin:application")


@admin.command()
def openapi() -> None:
    """Print the OpenAPI document of the admin API."""
    click.echo(document_text(), nl=False)


@click.command(short_help="Say everything that is wrong with the configuration.")
def check() -> None:
    """Say everything that is wrong with the configuration, and what to do about it.

    Nothing is started or changed. Exit status 0 means that the service could serve now.
    """
    found = problems(os.environ)
    _say(found)
    if found:
        sys.exit(1)
    click.echo(f"Nothing is wrong with {_PARTS}.")


@click.command(short_help="Play the whole story on real parts.")
def demo() -> None:
    """Play the whole story on real parts; exit status 0 if every step behaved."""
    try:
        from delegation.dev.service import DidNotStart  # noqa: PLC0415
        from delegation.dev.signals import handled  # noqa: PLC0415
        from delegation.dev.story import play  # noqa: PLC0415, what only development installs
    except ModuleNotFoundError as missing:
        give_up(_MISSING.format(missing.name))
    console = Console(highlight=False, soft_wrap=True)
    try:
        # A demo that is told to stop ends its processes, as on Ctrl-C.
        with handled(signal.default_int_handler, signal.SIGTERM):
            behaved = play(console)
    except DidNotStart as error:
        give_up(*f"{error}.".split("\n"))  # with what the service wrote
    if not behaved:
        give_up("A step did not behave as it should.")
    console.print("\n[bold green]Every step behaved.[/bold green]")


@click.group(invoke_without_command=True, short_help="Run a world to develop in.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8080,
    show_default=True,
    help="Of the service; 0 picks a free one.",
)
@ENV_FILE
@click.pass_context
def dev(context: click.Context, port: int, env_file: Path) -> None:
    """Run a world to develop in: store, issuer, service. Not for production.

    It listens on this machine alone, and stops on Ctrl-C. Its registry can be edited while it runs.
    Keys, secrets and registry are kept for the next time.
    """
    if context.invoked_subcommand is not None:
        return
    try:
        from delegation.dev.service import DidNotStart  # noqa: PLC0415
        from delegation.dev.standing import stand  # noqa: PLC0415, what only development installs
    except ModuleNotFoundError as missing:
        give_up(_MISSING.format(missing.name))
    try:
        stand(env_file, port=port, say=lambda text: click.echo(printable_lines(text)))
    except DidNotStart as error:
        give_up(*f"{error}.".split("\n"))  # with what the service wrote


@dev.command(short_help="Print a subject token, and nothing else.")
@click.option("--user", required=True, help="The subject.")
@click.option(
    "--agent", default="desk-agent", show_default=True, help="The MCP client that it is issued to."
)
@click.option(
    "--scope", default="calendar:read calendar:write", show_default=True, help="Space-delimited."
)
@click.option(
    "--audience", default=None, help="The MCP server it is for.  [default: that of calendar-mcp]"
)
@click.option(
    "--expires-in",
    default=3600,
    show_default=True,
    help="In seconds; less than 0 for one that has expired.",
)
@click.option(
    "--admin", "for_admin", is_flag=True, help="One for the admin API instead, for everything."
)
@ENV_FILE
@click.pass_context
def token(  # noqa: PLR0917, the options of a command
    context: click.Context,
    user: str,
    agent: str,
    scope: str,
    audience: str | None,
    expires_in: int,
    for_admin: bool,  # noqa: FBT001
    env_file: Path,
) -> None:
    """Print a subject token of the development issuer, and nothing else.

    Its user is one of the staff. Whoever can run this can be anyone: not for production.
    """
    try:
        from delegation.dev.standing import NoWorld, admin_token, subject_token  # noqa: PLC0415
    except ModuleNotFoundError as missing:
        give_up(_MISSING.format(missing.name))
    if context.get_parameter_source("env_file") is ParameterSource.DEFAULT and context.parent:
        env_file = context.parent.params["env_file"]  # `delegation dev --env-file ... token`
    try:
        value = (
            admin_token(env_file, user=user, lifetime=expires_in)
            if for_admin
            else subject_token(
                env_file,
                user=user,
                agent=agent,
                scope=scope,
                audience=audience,
                lifetime=expires_in,
            )
        )
    except NoWorld as error:
        give_up(f"{error}.")
    click.echo(value)


def _sound_settings() -> Settings:
    """The settings; where something is wrong that does not mend itself, the command ends."""
    found = problems(os.environ)
    _say(found)
    if any(not problem.passes for problem in found):
        sys.exit(1)
    return Settings.from_environment(os.environ)


def _must_be_free(bind: str, variable: str) -> None:
    taken = list(listening(bind, variable))
    _say(taken)
    if taken:
        sys.exit(1)


def _become_gunicorn(*arguments: str) -> NoReturn:
    """This process becomes gunicorn, so that signals reach it."""
    command = [sys.executable, "-m", "gunicorn", "--config", "python:delegation.gunicorn"]
    os.execv(sys.executable, [*command, *arguments])  # noqa: S606


def _say(found: Iterable[Problem]) -> None:
    for problem in found:
        click.echo(printable(str(problem)), err=True)
