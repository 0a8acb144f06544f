"""Stopping what was exchanged, and letting it go: by the admin API, or where the settings are."""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from secrets import token_urlsafe
from typing import Any

import click

from delegation.cli.admin_api import Api, reached
from delegation.cli.options import (
    DRY_RUN,
    KEY,
    REACHING,
    REASON,
    STATUSES,
    TTL,
    say,
    segment,
    show,
)
from delegation.cli.said import lifted_lines, reach_lines, said_target, stopped_lines


@click.command(epilog=STATUSES, short_help="Stop something, with all that derives from it.")
@click.option("--subject", nargs=2, metavar="ISSUER SUBJECT", help="All for this person.")
@click.option("--actor", nargs=2, metavar="ISSUER SUBJECT", help="All in which this one acts.")
@click.option("--agent", nargs=2, metavar="ISSUER CLIENT", help="All through this agent.")
@click.option(
    "--pair",
    nargs=4,
    metavar="ISSUER SUBJECT ISSUER ACTOR",
    help="All that this actor does for this person.",
)
@click.option("--client", help="All that this client obtained.")
@click.option("--resource", help="All that was issued for this resource.")
@click.option("--grant", help="All that was issued under this grant.")
@click.option("--issuer", help="All that grew from a token of this issuer.")
@click.option("--exchange", help="One exchange, by the `jti` of its token.")
@click.option("--token", nargs=2, metavar="ISSUER ID", help="One foreign token.")
@REASON
@TTL
@click.option("--until", help="Instead: when it ends, such as 2027-01-31T00:00:00Z.")
@click.option(
    "--cut-off",
    help="Instead: only what was issued up to then, such as 2027-01-31T00:00:00Z, or `now`.",
)
@click.option(
    "--parents/--no-parents",
    default=None,
    help="Whether tokens that people hold already are good for nothing new either. "
    "[default: yes for --subject and --token]",
)
@click.option("--since-login", is_flag=True, help="Whether new tokens of an old login are, too.")
@DRY_RUN
@KEY
@REACHING
def lock(
    *,
    api: str | None,
    token_file: Path | None,
    output: str,
    reason: str,
    ttl: int | None,
    until: str | None,
    cut_off: str | None,
    parents: bool | None,
    since_login: bool,
    dry_run: bool,
    key: str | None,
    **named: Any,
) -> None:
    """Stop something, with everything that derives from it, until it is lifted.

    Exactly one thing is named. Tokens that were issued are dead at once for every API that asks;
    for the others they expire: the answer says by when.
    """
    body = {
        "target": _target(named),
        "reason": reason,
        "ttl": ttl,
        "ends_at": until,
        "cut_off": cut_off,
        "parents": parents,
        "since_login": since_login,
    }
    with reached(api, token_file) as found:
        _stop(found, body, output=output, dry_run=dry_run, key=key)


@click.command(epilog=STATUSES, short_help="Stop one exchange, with all that came from it.")
@click.argument("exchange")
@REASON
@DRY_RUN
@KEY
@REACHING
def revoke(
    *,
    exchange: str,
    api: str | None,
    token_file: Path | None,
    output: str,
    reason: str,
    dry_run: bool,
    key: str | None,
) -> None:
    """Stop EXCHANGE, the `jti` of a token, with all that came from it, for good."""
    target = {"kind": "exchange", "exchange": segment(exchange)}
    body = {"target": target, "reason": reason, "cut_off": "now"}
    with reached(api, token_file) as found:
        _stop(found, body, output=output, dry_run=dry_run, key=key)


@click.command(epilog=STATUSES, short_help="End a lock.")
@click.argument("lock_id", metavar="LOCK")
@REASON
@click.option("--mistaken", is_flag=True, help="As if it had never been: what it stopped lives on.")
@DRY_RUN
@REACHING
def unlock(
    *,
    lock_id: str,
    api: str | None,
    token_file: Path | None,
    output: str,
    reason: str,
    mistaken: bool,
    dry_run: bool,
) -> None:
    """End LOCK. What had been issued by now stays dead, unless the lock was a mistake."""
    with reached(api, token_file) as found:
        _lift(found, [lock_id], output=output, reason=reason, mistaken=mistaken, dry_run=dry_run)


@click.group("kill-switch", short_help="Stop everything, or let it go again.")
def kill_switch() -> None:
    """Stop everything that is delegated, or let it go again."""


@kill_switch.command(epilog=STATUSES, short_help="Stop everything.")
@REASON
@TTL
@DRY_RUN
@KEY
@REACHING
def on(
    *,
    api: str | None,
    token_file: Path | None,
    output: str,
    reason: str,
    ttl: int | None,
    dry_run: bool,
    key: str | None,
) -> None:
    """Stop everything: nothing is issued any more, and nothing that was is alive."""
    body = {"target": {"kind": "everything"}, "reason": reason, "ttl": ttl}
    with reached(api, token_file) as found:
        _stop(found, body, output=output, dry_run=dry_run, key=key)


@kill_switch.command(epilog=STATUSES, short_help="Let everything go again.")
@REASON
@click.option("--mistaken", is_flag=True, help="As if it had never been: what it stopped lives on.")
@DRY_RUN
@REACHING
def off(
    *,
    api: str | None,
    token_file: Path | None,
    output: str,
    reason: str,
    mistaken: bool,
    dry_run: bool,
) -> None:
    """Lift every lock on everything. What had been issued before stays dead."""
    with reached(api, token_file) as found:
        listed = found.items("/locks", limit=1000, state="standing", kind="everything")
        standing = sorted({one["id"] for one in listed})
        _lift(found, standing, output=output, reason=reason, mistaken=mistaken, dry_run=dry_run)
    if not standing and output == "table":
        click.echo("The kill switch is off: no lock on everything stands.")


def _stop(
    api: Api, body: Mapping[str, Any], *, output: str, dry_run: bool, key: str | None
) -> None:
    if dry_run:
        answer = api.post("/locks", body, dry_run=True)
        show(output, answer, lambda: _would_stop(body["target"], answer))
        return
    answer = api.post("/locks", body, key=key or token_urlsafe(16))
    show(output, answer, lambda: stopped_lines(answer))


def _would_stop(target: Mapping[str, Any], answer: Mapping[str, Any]) -> Iterator[str]:
    yield f"Would stop {said_target(target)}:"
    yield from reach_lines(answer)
    yield "Nothing was changed. To do it, run the same without --dry-run."


def _lift(
    api: Api, ids: list[str], *, output: str, reason: str, mistaken: bool, dry_run: bool
) -> None:
    answers = []
    for id_ in ids:
        path = f"/locks/{segment(id_)}"
        if dry_run:
            answers.append({"lock": api.get(path)})
        else:
            body = {"reason": reason, "mistaken": mistaken}
            answers.append(api.post(f"{path}/lift", body))
    if output == "json":
        click.echo(json.dumps({"items": answers}, indent=2))
    else:
        for answer in answers:
            say(lifted_lines(answer, mistaken=mistaken, dry_run=dry_run))
    if mistaken and not dry_run and any(one["lock"]["state"] != "annulled" for one in answers):
        sys.exit(1)


def _target(named: Mapping[str, Any]) -> dict[str, Any]:
    given = {kind: names for kind, names in named.items() if names}
    if len(given) != 1:
        raise click.UsageError("Name exactly one thing to stop: --subject, --client, ...")
    [(kind, names)] = given.items()
    match kind:
        case "subject" | "actor" | "agent":
            return {"kind": kind, kind: _iss_sub(*names)}
        case "pair":
            return {
                "kind": kind,
                "subject": _iss_sub(*names[:2]),
                "actor": _iss_sub(*names[2:]),
            }
        case "token":
            return {"kind": kind, "issuer": names[0], "token": names[1]}
        case "exchange":
            return {"kind": kind, kind: segment(names)}
        case _:
            return {"kind": kind, kind: names}


def _iss_sub(issuer: str, subject: str) -> dict[str, str]:
    return {"format": "iss_sub", "iss": issuer, "sub": subject}
