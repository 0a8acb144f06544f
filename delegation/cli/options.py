"""What the commands of security have in common: where they ask, and how they say it."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from delegation.cli.terminal import inert

F = TypeVar("F", bound=Callable[..., Any])

STATUSES = "Exit status: 0 where it is done, 1 where it is not, or not everywhere, 2 for usage."


class Duration(click.ParamType[int]):
    """Seconds, or minutes, hours, days with their letter."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """In seconds."""
        found = re.fullmatch(r"([1-9][0-9]{0,8})([smhd]?)", str(value), re.ASCII)
        if found is None:
            self.fail("write a number and s, m, h or d: 90s, 15m, 8h, 7d", param, ctx)
        return int(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}[found[2]]


def _options(*options: Callable[[F], F]) -> Callable[[F], F]:
    def decorated(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return decorated


REACHING = _options(
    click.option(
        "--api",
        envvar="DELEGATION_ADMIN_API",
        show_envvar=True,
        help="The admin API. Left out: in this process, by the service's own settings.",
    ),
    click.option(
        "--token-file",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="A file with the access token, instead of DELEGATION_ADMIN_TOKEN.",
    ),
    click.option(
        "--output",
        type=click.Choice(["table", "json"]),
        default="table",
        show_default=True,
        help="For people or for programs.",
    ),
)

REASON = click.option("--reason", required=True, help="Why; it stands in the audit trail.")

DRY_RUN = click.option("--dry-run", is_flag=True, help="Say what it would do, and do nothing.")

KEY = click.option("--key", default=None, help="The same key is the same lock: to go on with one.")

TTL = click.option(
    "--ttl",
    type=Duration(),
    help="How long it stands, such as 15m, 8h, 7d; left out: until lifted.",
)


def segment(id_: str) -> str:
    """An id as it stands in a path: what is none of ours leads nowhere else."""
    if not re.fullmatch(r"(0|[1-9][0-9]{0,8})-[A-Za-z0-9_-]{22}", id_, re.ASCII):
        raise click.UsageError("That is no id: see `delegation exchanges` and `delegation locks`.")
    return id_


def show(output: str, answer: Mapping[str, Any], lines: Callable[[], Iterator[str]]) -> None:
    """Print *answer* as it is for programs, or as *lines* for people."""
    if output == "json":
        click.echo(json.dumps(answer, indent=2))
    else:
        say(lines())


def say(lines: Iterator[str]) -> None:
    """Print *lines*, with nothing in them that a terminal or a workflow would act upon."""
    for line in lines:
        click.echo(inert(line))
