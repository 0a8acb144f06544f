"""Questions to the registry, in files or as a service has loaded it: who could do what for whom."""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Any

import click

from delegation.cli.answers import decided_lines, drawn_decision, drawn_lines, listed_lines
from delegation.cli.asking import Files, Service, answering
from delegation.cli.options import say, show
from delegation.domain.tokens import SEPARATOR, Scope, parse_scope

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Moment(click.ParamType[datetime]):
    """A time with its offset from UTC."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """In UTC."""
        try:
            # A time without an offset is no distance from one with it.
            return _EPOCH + (datetime.fromisoformat(value) - _EPOCH)
        except (ValueError, TypeError, OverflowError):
            self.fail("write a time with its offset: 2026-11-20T12:00:00Z", param, ctx)


class ScopeText(click.ParamType[Scope]):
    """Scopes, with a space between each two."""

    name = "scope"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Scope:
        """The set of them."""
        try:
            return parse_scope(value)
        except ValueError:
            self.fail("write scopes with one space between each two", param, ctx)


class Pair(click.ParamType[tuple[str, str]]):
    """Two texts with a separator between them, of which the first cannot have it."""

    def __init__(self, separator: str, form: str) -> None:
        self.name = form
        self._separator = separator

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """The two of them."""
        first, _, second = value.partition(self._separator)
        if not (first and second):
            self.fail(f"write {self.name}", param, ctx)
        return first, second


def _of_a_registry(command: Callable[..., None]) -> Callable[..., None]:
    """The options of every question; *command* is given who answers it."""

    @wraps(command)
    def asking(
        *,
        api: str | None,
        token_file: Path | None,
        directory: Path | None,
        issuer: str | None,
        admin_audience: str | None,
        at: datetime | None,
        **others: Any,
    ) -> None:
        with answering(
            api=api,
            token_file=token_file,
            directory=directory,
            issuer=issuer,
            admin_audience=admin_audience,
            at=at,
        ) as registry:
            command(registry, **others)

    for option in (
        click.option(
            "--output",
            type=click.Choice(["table", "json", "mermaid"]),
            default="table",
            show_default=True,
            help="For people, for programs, or as a diagram.",
        ),
        click.option("--at", type=Moment(), help="When it is asked for. Left out: now."),
        click.option(
            "--token-file",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            help="A file with the access token, instead of DELEGATION_ADMIN_TOKEN.",
        ),
        click.option(
            "--api",
            envvar="DELEGATION_ADMIN_API",
            show_envvar=True,
            help="The admin API of a service: what it has loaded, instead of files.",
        ),
        click.option(
            "--admin-audience",
            envvar="DELEGATION_ADMIN_AUDIENCE",
            show_envvar=True,
            help="What administrators' tokens are for, if that is configured.",
        ),
        click.option(
            "--issuer",
            envvar="DELEGATION_ISSUER",
            show_envvar=True,
            help="The service that the files are for.",
        ),
        click.option(
            "--registry",
            "directory",
            envvar="DELEGATION_REGISTRY",
            show_envvar=True,
            type=click.Path(exists=True, file_okay=False, path_type=Path),
            help="The directory with the files.",
        ),
    ):
        asking = option(asking)
    return asking


@click.command("can-i", short_help="Would this client be given this token?")
@click.option("--client", required=True, help="Who asks.")
@click.option("--resource", required=True, help="The URI of the API, or a name of it.")
@click.option("--scope", type=ScopeText(), help="What is asked for. Left out: all there is.")
@click.option(
    "--subject",
    required=True,
    type=Pair(SEPARATOR, f"ALIAS{SEPARATOR}SUB"),
    help="For whom: the alias of a trusted issuer, and the `sub` of its token.",
)
@click.option(
    "--claim",
    "claims",
    multiple=True,
    type=Pair("=", "NAME=VALUE"),
    help="What its token says, by the names that grants use. May be repeated.",
)
@click.option("--agent", required=True, help="The MCP client that its token was issued to.")
@click.option(
    "--mcp-scope",
    "token_scope",
    type=ScopeText(),
    help="The scope of its token. Left out: none.",
)
@click.option(
    "--hop",
    "before",
    multiple=True,
    help="A client that exchanges it before, for a token for the next. May be repeated, in order.",
)
@_of_a_registry
def ask_can_i(
    registry: Files | Service,
    *,
    output: str,
    subject: tuple[str, str],
    claims: Iterable[tuple[str, str]],
    token_scope: Scope | None,
    **asked: Any,
) -> None:
    """Say whether a client would be given a token, and what it would say; or why not.

    It is the decision that the service would make, on an authenticated client and a new access
    token of the subject. Nothing is recorded, signed or looked up: locks are not known.

    Exit status: 0 for yes, 1 for no, 2 where there is no answer.
    """
    said = {name: frozenset(value for one, value in claims if one == name) for name, _ in claims}
    alias, name = subject
    answer = registry.can_i(
        alias=alias,
        subject=name,
        claims=said,
        token_scope=token_scope or frozenset(),
        **asked,
    )
    _show(output, answer, decided_lines, drawn_decision)
    sys.exit(0 if answer["allowed"] else 1)


@click.command("who-can", short_help="Who can get at this API, for whom?")
@click.argument("resource")
@click.argument("scope", required=False)
@_of_a_registry
def ask_who_can(
    registry: Files | Service, *, output: str, resource: str, scope: str | None
) -> None:
    """List every way to RESOURCE, a URI or a name; with SCOPE, only what leads to that.

    It lists what could be allowed for some token; what is not listed could not.
    """
    _show(output, registry.who_can(resource, scope), listed_lines, drawn_lines)


@click.command("what-can", short_help="What can this client do, or be done for this subject?")
@click.argument("name", metavar=f"CLIENT|ALIAS{SEPARATOR}SUB")
@_of_a_registry
def ask_what_can(registry: Files | Service, *, output: str, name: str) -> None:
    """List every way that CLIENT can go, or that the subject ALIAS|SUB can be taken.

    It lists what could be allowed for some token; what is not listed could not.
    """
    _show(output, registry.what_can(name), listed_lines, drawn_lines)


_Lines = Callable[[Mapping[str, Any]], Iterator[str]]


def _show(output: str, answer: Mapping[str, Any], lines: _Lines, drawn: _Lines) -> None:
    if output == "mermaid":
        say(drawn(answer))
    else:
        show(output, answer, lambda: lines(answer))
