"""Reading the evidence: finding events, following them, and what is no longer to be kept."""

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event as Told
from typing import Any, TypeVar

import click

from delegation import preflight, wiring
from delegation.audit.checkpoint import timestamp
from delegation.audit.following import CannotGoOn, Follower, Position, meant_of, tail
from delegation.audit.inquiry import Inquiry
from delegation.audit.pruning import Rewritten, prune, pruning, read_kept
from delegation.audit.reading import Entry, Notes, Reader
from delegation.audit.segments import Damaged, Directory
from delegation.cli.admin_api import reached
from delegation.cli.common import because, give_up, settings
from delegation.cli.events_said import event_line, event_table, explained_lines, trace_lines
from delegation.cli.options import REACHING, STATUSES, Duration, say, segment, show
from delegation.cli.terminal import printable
from delegation.dev.signals import until_told
from delegation.domain.errors import Cause, TrailUnreadable, Unavailable
from delegation.domain.evidence import EventFilter, Outcome
from delegation.domain.locks import Kind, Target, milliseconds

F = TypeVar("F", bound=Callable[..., Any])

_BATCH = 500
"""Events after which an export says how far it has come."""


class Moment(click.ParamType[str]):
    """A date and time, or how long ago."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """As events have it."""
        try:
            found = datetime.fromisoformat(value)
        except ValueError:
            try:
                seconds = Duration().convert(value, None, None)
                found = datetime.now(UTC) - timedelta(seconds=seconds)
            except (click.BadParameter, OverflowError):
                self.fail("write a time, 2026-11-21T03:00Z, or how long ago: 15m, 8h", param, ctx)
        found = found.replace(tzinfo=UTC) if found.tzinfo is None else found
        return timestamp(max(milliseconds(found), 0))


def _options(*options: Callable[[F], F]) -> Callable[[F], F]:
    def decorated(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return decorated


_SOURCES = _options(
    click.argument(
        "directory",
        required=False,
        type=click.Path(file_okay=False, path_type=Path),
        envvar="DELEGATION_AUDIT_DIRECTORY",
    ),
    click.option(
        "--sealed",
        is_flag=True,
        help="Read the segments alone: neither settings nor store are needed.",
    ),
)

_SINCE = click.option("--since", type=Moment(), help="Recorded then or later: a time, or 2h ago.")

_FILTER = _options(
    click.option("--subject", nargs=2, metavar="ISSUER SUBJECT", help="On whose behalf."),
    click.option("--actor", nargs=2, metavar="ISSUER SUBJECT", help="Who acts, anywhere."),
    click.option("--agent", nargs=2, metavar="ISSUER CLIENT", help="Through which agent."),
    click.option("--client", help="Which client asked."),
    click.option("--resource", help="For which resource, by its identifier."),
    click.option("--grant", help="Under which grant."),
    click.option(
        "--outcome",
        type=click.Choice([outcome.value for outcome in Outcome]),
        metavar="OUTCOME",
        help=f"What became of it: {', '.join(Outcome)}.",
    ),
    click.option(
        "--reason",
        "--cause",
        "cause",
        type=click.Choice([cause.value for cause in Cause]),
        metavar="CAUSE",
        help="Why it was refused: the `cause` of the event.",
    ),
    _SINCE,
    click.option("--until", type=Moment(), help="Recorded before then."),
)

_OUTPUT = click.option(
    "--output",
    type=click.Choice(["table", "json", "jsonl"]),
    default="table",
    show_default=True,
    help="For people or for programs.",
)

_INTERVAL = click.option(
    "--interval",
    type=click.FloatRange(0.05, 3600),
    default=1,
    show_default=True,
    help="Seconds between two looks.",
)


@click.command(epilog=STATUSES, short_help="Find events, sealed or not.")
@_SOURCES
@_FILTER
@click.option(
    "--limit", type=click.IntRange(1), default=100, show_default=True, help="How many at most."
)
@_OUTPUT
def query(directory: Path | None, *, sealed: bool, limit: int, output: str, **named: Any) -> None:
    """Find the events that fit all that is named, oldest first.

    They are read from the segments in DIRECTORY and from the store, each event once.
    """
    notes = Notes()
    with _reading(directory, sealed=sealed) as reader:
        entries = reader.events(_meant(named), notes=notes)
        events = (dict(entry.event) for entry in entries if entry.event is not None)
        events = (event for event, _ in zip(events, range(limit), strict=False))
        if output == "jsonl":
            found = sum(1 for event in events if _write(event))
        else:
            items = list(events)
            found = len(items)
            show(output, {"items": items}, lambda: event_table(items))
    if found == limit:
        click.echo(f"There may be more than these {limit}: narrow it, or raise --limit.", err=True)
    _tell(notes, directory)


@click.command(epilog=STATUSES, short_help="Show what belongs to one exchange.")
@click.argument("id_", metavar="ID")
@_SOURCES
@click.option(
    "--output",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="For people or for programs.",
)
def trace(id_: str, directory: Path | None, *, sealed: bool, output: str) -> None:
    """Show what an exchange came from, what came from it, and what was refused or stopped.

    ID is that of an exchange (the `jti` of its token), of a refusal, or of a transaction (`txn`).
    """
    notes = Notes()
    with _reading(directory, sealed=sealed) as reader:
        found = Inquiry(reader).trace(id_, notes)
    items = [dict(event) for event in found.items]
    show(output, {"items": items}, lambda: trace_lines(items, id_))
    _tell(notes, directory)
    if not items:
        sys.exit(1)


@click.command("tail", epilog=STATUSES, short_help="Show the last events, and follow.")
@_SOURCES
@_FILTER
@click.option("-n", "most", type=click.IntRange(1), default=10, show_default=True, help="How many.")
@click.option("-f", "--follow", is_flag=True, help="Go on until told to stop.")
@_INTERVAL
@_OUTPUT
def show_tail(
    directory: Path | None,
    *,
    sealed: bool,
    most: int,
    follow: bool,
    interval: float,
    output: str,
    **named: Any,
) -> None:
    """Show the last events that fit all that is named, a line for each; and those that follow."""
    notes, meant = Notes(), _meant(named)

    def said(entries: Iterator[Entry] | list[Entry]) -> None:
        for entry in entries:
            event = entry.event or {}
            _write(event) if output != "table" else say(iter([event_line(event)]))
        sys.stdout.flush()

    with until_told() as stopped, _reading(directory, sealed=sealed) as reader:
        last, follower = tail(reader, meant, most, notes)
        said(last)
        problem = _told_once("", notes.problem) if follow else ""
        while follow and not stopped.wait(interval):
            said(meant_of(follower, meant))
            problem = _told_once(problem, notes.problem)
    _tell(notes, directory)


@click.command(epilog=STATUSES, short_help="Write events as lines of JSON, to ship them.")
@_SOURCES
@click.option("--since", type=Moment(), help="Where it begins without a cursor: a time, or 2h ago.")
@click.option(
    "--cursor",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A file that remembers how far it has come: with it, the next export goes on.",
)
@click.option("--follow", is_flag=True, help="Go on until told to stop.")
@_INTERVAL
def export(
    directory: Path | None,
    *,
    sealed: bool,
    since: str | None,
    cursor: Path | None,
    follow: bool,
    interval: float,
) -> None:
    """Write every event to standard output, a line of JSON by the published schema.

    Each comes at least once, with an `id` of its own: who stores them drops what they have. Those
    of one stream come in order.
    """
    notes = Notes()
    with until_told() as stopped, _reading(directory, sealed=sealed) as reader:
        position = _position(reader, cursor, since)
        # What was not exported while this was down is older than `2h ago` is now.
        meant = EventFilter(since=since if cursor is None or not cursor.exists() else None)
        follower = Follower(reader.source, reader.segments, position, notes=notes)
        problem = ""
        while True:
            _export(follower, meant, cursor, stopped)
            problem = _told_once(problem, notes.problem) if follow else notes.problem
            if not follow or stopped.wait(interval):
                break
    _tell(notes, directory)


def _export(follower: Follower, meant: EventFilter, cursor: Path | None, stopped: Told) -> None:
    """Write what is new. How far it has come is kept once what was written has left us."""
    for number, entry in enumerate(meant_of(follower, meant), 1):
        _write(entry.event or {})
        if number % _BATCH == 0:
            _keep(cursor, follower.position)
        if stopped.is_set():
            break
    _keep(cursor, follower.position)


def _keep(cursor: Path | None, position: Position) -> None:
    sys.stdout.flush()
    if cursor is not None:
        draft = cursor.with_name(f".{cursor.name}.draft")
        with draft.open("w", encoding="ascii") as file:
            file.write(position.written())
            file.flush()
            os.fsync(file.fileno())
        draft.replace(cursor)


def _position(reader: Reader, cursor: Path | None, since: str | None) -> Position:
    try:
        if cursor is not None:
            return Position.read(cursor.read_text("utf-8"))
    except FileNotFoundError:
        pass
    return Position.at(reader, since)


@click.command("prune", epilog=STATUSES, short_help="Drop the oldest segments.")
@click.argument(
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="DELEGATION_AUDIT_DIRECTORY",
)
@click.option("--older-than", type=Duration(), required=True, help="Such as 400d.")
@click.option(
    "--keep",
    "kept",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file with a checkpoint that was kept elsewhere, and shall go on to verify.",
)
@click.option("--dry-run", is_flag=True, help="Say what it would do, and do nothing.")
def prune_segments(
    directory: Path, *, older_than: int, kept: tuple[Path, ...], dry_run: bool
) -> None:
    """Drop the segments in DIRECTORY all of whose events are older: whole ones, from the first on.

    Of the last that is dropped its checkpoint stays, so that what remains verifies. The last
    segment stays, and so does the evidence of every lock that stops something yet.
    """
    segments, now = Directory(directory), datetime.now(UTC)
    before = now - timedelta(seconds=older_than)
    try:
        checkpoints = [read_kept(path.read_text("utf-8")) for path in kept]
        found = pruning(segments, before=before, kept=checkpoints, now=now)
        if not dry_run:
            prune(segments, found)
    except (Damaged, Rewritten) as error:
        give_up(f"{directory}: {error}. Nothing was dropped.")
    except ValueError as error:
        give_up(f"--keep: {error}. Nothing was dropped.")
    except OSError as error:
        give_up(f"{because(error)}.")
    if found.anchor is None:
        click.echo("Nothing can be dropped.")
    else:
        did = "Would drop" if dry_run else "Dropped"
        click.echo(f"{did} the records up to segment {found.anchor}.")
        click.echo(f"What remains verifies from segment {found.anchor + 1} on.")
    if found.lock is not None:
        give_up(
            f"What follows stays: lock {found.lock} stops something yet, and its evidence is there."
            " To let it go, put the lock anew, and lift this one."
        )


@click.command(epilog=STATUSES, short_help="Say why a request was answered as it was.")
@click.argument("decision")
@REACHING
def explain(*, decision: str, api: str | None, token_file: Path | None, output: str) -> None:
    """Say what was asked, what was decided and by what, and what would have been needed.

    DECISION is what the header Delegation-Decision has, or the `jti` of a token.
    """
    with reached(api, token_file) as found:
        answer = found.get(f"/decisions/{segment(decision)}")
    show(output, answer, lambda: explained_lines(answer))
    if answer["event"] is None:
        sys.exit(1)


@contextmanager
def _reading(directory: Path | None, *, sealed: bool) -> Iterator[Reader]:
    """Where a segment cannot be read, the command ends, and says so: what was shown is not all."""
    segments = None if directory is None else Directory(directory)
    if sealed and segments is None:
        raise click.UsageError("Name the DIRECTORY, or set DELEGATION_AUDIT_DIRECTORY.")
    try:
        if sealed:
            yield Reader(None, segments)
            return
        with preflight.store(settings("Or read the segments alone, with --sealed.")) as store:
            yield wiring.reader(store, segments)
    except TrailUnreadable as error:
        give_up(f"{directory}: {error.__cause__}.")
    except Unavailable as error:
        give_up(f"ledger: {preflight.remedy(error.problem)}")
    except (Damaged, CannotGoOn) as error:
        give_up(f"{directory}: {error}.", "This is not all: what follows cannot be read.")
    except BrokenPipeError:
        raise
    except OSError as error:
        give_up(f"{because(error)}.", "This is not all: what follows cannot be read.")


def _meant(named: Mapping[str, Any]) -> EventFilter:
    targets = []
    for kind in (Kind.SUBJECT, Kind.ACTOR, Kind.AGENT, Kind.CLIENT, Kind.RESOURCE, Kind.GRANT):
        value = named[kind]
        if value:
            targets.append(Target(kind, value if isinstance(value, tuple) else (value,)))
    return EventFilter(
        targets=frozenset(targets),
        outcome=None if named["outcome"] is None else Outcome(named["outcome"]),
        cause=None if named["cause"] is None else Cause(named["cause"]),
        since=named["since"],
        until=named["until"],
    )


def _write(event: Mapping[str, Any]) -> bool:
    """As a line of JSON in ASCII, which no terminal acts upon."""
    sys.stdout.write(json.dumps(event, separators=(",", ":")) + "\n")
    return True


def _told_once(before: str, problem: str) -> str:
    """An outage is said when it begins, and not again."""
    if problem and problem != before:
        click.echo(_OUT_OF_REACH.format(preflight.remedy(problem)), err=True)
    return problem


_OUT_OF_REACH = "The store cannot be read: {} Until then only what is sealed comes."


def _tell(notes: Notes, directory: Path | None) -> None:
    """Say what is not among the events, and end accordingly."""
    if directory is None:
        click.echo("Only what is not sealed yet: name the DIRECTORY of what is.", err=True)
    if notes.missing:
        click.echo(
            f"The trail says itself that {notes.missing} events are missing in it.", err=True
        )
    if notes.unreadable:
        click.echo(f"{notes.unreadable} records are no events, and were left out.", err=True)
    lines = []
    if notes.problem:
        remedy = preflight.remedy(notes.problem)
        lines.append(f"The store cannot be read: only what is sealed was. ledger: {remedy}")
    if notes.is_torn:
        where = "no DIRECTORY was named" if directory is None else f"{directory} does not have them"
        lines.append(printable(f"Events were sealed before those in the store, and {where}."))
    if lines:
        give_up(*lines)
