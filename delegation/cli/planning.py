"""What a change of the reviewed files does, and whether they mean what they are expected to."""

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from delegation.cli.admin_api import reached
from delegation.cli.common import give_up
from delegation.cli.options import show
from delegation.cli.planned import planned, planned_lines, tried, tried_lines
from delegation.cli.questions import Moment
from delegation.domain.changes import Effect
from delegation.registry.build import expectations
from delegation.registry.loader import Parser, snapshot
from delegation.registry.plan import Reading, joined, plan
from delegation.registry.problems import RegistryInvalid
from delegation.registry.published import restored
from delegation.registry.trials import run

F = TypeVar("F", bound=Callable[..., Any])

_UNANSWERED = 2
"""The exit status of tests that were not run: it must not be taken for one that failed."""

_CHANGES = 2
"""The exit status of a plan that changes what is allowed, where that is asked for."""

_DIRECTORY = click.Path(exists=True, file_okay=False, path_type=Path)


def _options(*, issuer_needed: bool) -> Callable[[F], F]:
    """What both commands take: the files, what their meaning depends on, and how it is said."""

    def decorated(command: F) -> F:
        for option in (
            click.option(
                "--output",
                type=click.Choice(["table", "json"]),
                default="table",
                show_default=True,
                help="For people or for programs.",
            ),
            click.option(
                "--at",
                "now",
                type=Moment(),
                default=lambda: datetime.now(UTC).isoformat(),
                help="The time at which it counts. Left out: now.",
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
                required=issuer_needed,
                help="The service that the files are for."
                + ("" if issuer_needed else " With --api it says so itself."),
            ),
            click.argument("directory", envvar="DELEGATION_REGISTRY", type=_DIRECTORY),
        ):
            command = option(command)
        return command

    return decorated


@click.command("test", short_help="Ask the questions that stand beside the grants.")
@_options(issuer_needed=True)
def run_tests(
    *, directory: Path, issuer: str, admin_audience: str | None, now: datetime, output: str
) -> None:
    """Run the tests that stand in the files of DIRECTORY: is each answered as it expects?

    Each is asked as `can-i` asks, at the time that it names, or else --at.

    Exit status: 0 where all pass, 1 where one fails, 2 where there are none, or no answer.
    """
    parser = Parser(issuer=issuer, admin_audience=admin_audience)
    try:
        files = snapshot(directory)
        registry = parser.parse(files)
        entries, _ = parser.examine(files)
    except RegistryInvalid as invalid:
        give_up(*map(str, invalid.problems), status=_UNANSWERED)
    outcomes = run(expectations(entries, now=now), registry)
    if not outcomes:
        give_up(f"There are no tests in {directory}.", status=_UNANSWERED)
    show(output, tried(outcomes, registry.revision), lambda: tried_lines(outcomes))
    sys.exit(0 if all(one.passed for one in outcomes) else 1)


class _Misused(click.UsageError):
    exit_code = 1


class _Plan(click.Command):
    """A command whose 2 means something of its own: wrong usage is an error like any other."""

    def make_context(self, *arguments: Any, **options: Any) -> click.Context:
        """What is wrong with the usage ends with the status 1."""
        try:
            return super().make_context(*arguments, **options)
        except click.UsageError as error:
            raise _Misused(error.format_message(), error.ctx) from None

    def invoke(self, ctx: click.Context) -> Any:
        """What turns out to be wrong with it later, likewise."""
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            raise _Misused(error.format_message(), error.ctx or ctx) from None


@click.command("plan", cls=_Plan, short_help="Say what a change of the files widens and narrows.")
@click.option("--against", type=_DIRECTORY, help="The directory with the files as they are.")
@click.option(
    "--api",
    envvar="DELEGATION_ADMIN_API",
    show_envvar=True,
    help="The admin API of a service: against what it has loaded.",
)
@click.option(
    "--token-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file with the access token, instead of DELEGATION_ADMIN_TOKEN.",
)
@click.option(
    "--detailed-exitcode", is_flag=True, help="Exit with 2 where what is allowed changes."
)
@_options(issuer_needed=False)
@click.pass_context
def make_plan(
    context: click.Context,
    *,
    directory: Path,
    against: Path | None,
    api: str | None,
    token_file: Path | None,
    detailed_exitcode: bool,
    issuer: str | None,
    admin_audience: str | None,
    now: datetime,
    output: str,
) -> None:
    """Say what changes with the files in DIRECTORY, entry by entry, and for whom.

    A change is wider where something may be allowed that was not, narrower where something may be
    no more, and both where that cannot be told apart. What it adds counts where a grant leads over
    it afterwards; what it takes, where one did before.

    Exit status: 0, or 1 for an error. With --detailed-exitcode: 0 where what is allowed is the
    same, 2 where it changes.
    """
    if against is not None:
        if api is not None and context.get_parameter_source("api") is ParameterSource.COMMANDLINE:
            raise click.UsageError("Name --against or --api, not both.")
        before, after = _of_files(directory, against, issuer, admin_audience)
    elif api is not None:
        before, after = _of_a_service(directory, api, token_file)
    else:
        raise click.UsageError("Name what to compare with: --against or --api.")
    found = plan(before, after, now)
    answer = planned(found, before=before.revision, after=after.revision)
    show(output, answer, lambda: planned_lines(found))
    sys.exit(_CHANGES if detailed_exitcode and joined(found) is not Effect.SAME else 0)


def _of_files(
    directory: Path, against: Path, issuer: str | None, admin_audience: str | None
) -> tuple[Reading, Reading]:
    if issuer is None:
        raise click.UsageError("Name the service that the files are for: --issuer.")

    def reading(where: Path) -> Reading:
        try:
            files = snapshot(where)
            return Reading.of(files, issuer=issuer, admin_audience=admin_audience)
        except RegistryInvalid as invalid:
            give_up(f"The files in {where} cannot be loaded:", *map(str, invalid.problems))

    return reading(against), reading(directory)


def _of_a_service(directory: Path, api: str, token_file: Path | None) -> tuple[Reading, Reading]:
    """What it says of itself is taken for whom the files are for, so that both are alike."""
    with reached(api, token_file) as administration:
        answer = administration.get("/registry")
    try:
        loaded = restored({file["name"]: file["content"] for file in answer["files"]})
        issuer, admin_audience = str(answer["issuer"]), str(answer["admin_audience"])
        before = Reading.of(
            loaded,
            issuer=issuer,
            admin_audience=admin_audience,
            revision=str(answer["revision"]),
            anonymous=True,
        )
    except (KeyError, TypeError, ValueError, RegistryInvalid):
        give_up("What the service has loaded is not understood: is it of this version?")
    try:
        files = snapshot(directory)
        after = Reading.of(files, issuer=issuer, admin_audience=admin_audience, secrets=False)
    except RegistryInvalid as invalid:
        give_up(f"The files in {directory} cannot be loaded:", *map(str, invalid.problems))
    return before, after
