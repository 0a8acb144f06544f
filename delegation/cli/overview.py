"""Seeing what was exchanged, what is stopped, and what somebody should look at."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from delegation.cli.admin_api import reached
from delegation.cli.alarms import alarm_lines
from delegation.cli.options import REACHING, STATUSES, segment, show
from delegation.cli.said import exchange_table, lock_table, tree_lines, usage_table
from delegation.domain.locks import Kind

_PAGE = 1000
"""The most that the API gives at once."""


@click.command(epilog=STATUSES, short_help="List the exchanges that have not expired.")
@click.option("--subject", nargs=2, metavar="ISSUER SUBJECT", help="On whose behalf.")
@click.option("--actor", nargs=2, metavar="ISSUER SUBJECT", help="Who acts, anywhere in the chain.")
@click.option("--agent", nargs=2, metavar="ISSUER CLIENT", help="Through which agent.")
@click.option("--client", help="Which client asked.")
@click.option("--resource", help="For which resource, by its identifier.")
@click.option("--grant", help="Under which grant.")
@click.option("--state", type=click.Choice(["alive", "dead"]), help="Both, where left out.")
@click.option(
    "--limit", type=click.IntRange(1), default=100, show_default=True, help="How many at most."
)
@REACHING
def exchanges(
    *, api: str | None, token_file: Path | None, output: str, limit: int, **named: Any
) -> None:
    """List the exchanges that have not expired and fit all that is named."""
    with reached(api, token_file) as found:
        # The state is looked at when a page is made: then a page may have few of those it names.
        page = min(limit, _PAGE) if named["state"] is None else _PAGE
        items = _first(found.items("/exchanges", limit=page, **_flat(named)), limit)
    show(output, {"items": items}, lambda: exchange_table(items, full=len(items) == limit))


@click.command(epilog=STATUSES, short_help="Show what an exchange came from, and what from it.")
@click.argument("exchange")
@REACHING
def tree(*, exchange: str, api: str | None, token_file: Path | None, output: str) -> None:
    """Show EXCHANGE, the `jti` of a token, with all that it grew from and all that grew from it."""
    with reached(api, token_file) as found:
        answer = found.get(f"/exchanges/{segment(exchange)}")
    show(output, answer, lambda: tree_lines(answer))


@click.command(epilog=STATUSES, short_help="List the locks.")
@click.option(
    "--state",
    type=click.Choice(["standing", "ended", "lifted", "annulled", "all"]),
    default="standing",
    show_default=True,
    help="What has become of them.",
)
@click.option(
    "--kind",
    type=click.Choice([kind.value for kind in Kind]),
    metavar="KIND",
    help=f"Of which kind of target: {', '.join(Kind)}.",
)
@REACHING
def locks(
    *, api: str | None, token_file: Path | None, output: str, state: str, kind: str | None
) -> None:
    """List the locks: those that stand, or those that have ended."""
    wanted = None if state == "all" else state
    with reached(api, token_file) as found:
        listed = found.items("/locks", limit=_PAGE, state=wanted, kind=kind)
        items = [*{one["id"]: one for one in listed}.values()]
    show(output, {"items": items}, lambda: lock_table(items))


@click.command(epilog=STATUSES, short_help="List the alarms: what to look at now.")
@click.option(
    "--limit",
    type=click.IntRange(1, _PAGE),
    default=20,
    show_default=True,
    help="How many at most.",
)
@REACHING
def alarms(*, api: str | None, token_file: Path | None, output: str, limit: int) -> None:
    """List the latest alarms, newest first, with what each means and what to do next."""
    with reached(api, token_file) as found:
        answer = found.get("/alarms", limit=limit)
    show(output, answer, lambda: alarm_lines(answer))


@click.command(epilog=STATUSES, short_help="Show how much of its rate limits a client uses.")
@click.argument("client")
@click.option("--subject", nargs=2, metavar="ISSUER SUBJECT", help="Also of those for this person.")
@click.option("--grant", help="Also of those under this grant.")
@REACHING
def usage(
    *, client: str, api: str | None, token_file: Path | None, output: str, **named: Any
) -> None:
    """Show how much CLIENT uses of its rate limits; looking counts nothing."""
    with reached(api, token_file) as found:
        answer = found.get("/usage", client=client, **_flat(named))
    show(output, answer, lambda: usage_table(answer["items"]))


def _flat(named: Mapping[str, Any]) -> dict[str, str]:
    """As a query has them."""
    flat: dict[str, str] = {}
    for name, value in named.items():
        if isinstance(value, tuple):
            flat |= {f"{name}_issuer": value[0], name: value[1]} if value else {}
        elif value is not None:
            flat[name] = value
    return flat


def _first(items: Iterator[dict[str, Any]], limit: int) -> list[dict[str, Any]]:
    return [item for item, _ in zip(items, range(limit), strict=False)]
