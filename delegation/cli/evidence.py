"""The evidence of every decision: sealing it, verifying it, and keeping what it is verified by."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

from delegation import preflight, wiring
from delegation.audit.draft import Sealed
from delegation.audit.events import schema_text
from delegation.audit.keys import write_new
from delegation.audit.note import SignerKey, VerifierKey
from delegation.audit.seal import NotOurs, Sealer
from delegation.audit.sealing import keep_sealing
from delegation.audit.segments import Damaged, Directory, Trail
from delegation.audit.verify import CannotVerify, Verified, verify
from delegation.cli.common import because, connected, give_up, settings
from delegation.cli.terminal import printable, printable_lines
from delegation.dev.signals import until_told
from delegation.metrics.sealing import SealerFile, measured

_UNWRITABLE = "{}: choose a directory that can be written to."

DIRECTORY = click.argument(
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="DELEGATION_AUDIT_DIRECTORY",
)


@click.group()
def audit() -> None:
    """The evidence of every decision."""


@audit.command("new-key")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--name",
    required=True,
    help="Of the trail, for ever: such as sts.example.com/audit.",
)
def new_key(file: Path, name: str) -> None:
    """Write a new audit key to FILE, and print what verifies."""
    try:
        key = SignerKey.new(name)
        write_new(file, key)
    except ValueError as error:
        give_up(f"--name: {error}.")
    except FileExistsError:
        give_up(f"{file} is there already, and is left as it is: choose another name.")
    except OSError as error:
        give_up(_UNWRITABLE.format(because(error)))
    click.echo(
        f"Wrote {printable(str(file))}, which only its owner can read. "
        "Set DELEGATION_AUDIT_KEY to it."
    )
    click.echo(f"Whoever verifies needs: {key.verifier}")


@audit.command("seal", short_help="Move events from the store into sealed segments.")
@DIRECTORY
@click.option("--once", is_flag=True, help="Seal what is there now, and end.")
@click.option(
    "--interval",
    type=click.FloatRange(0.1, 3600),
    default=10,
    show_default=True,
    help="Seconds between two looks at the store.",
)
@click.option(
    "--metrics-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Keep it up to date with what was sealed, for a node's textfile collector.",
)
def seal_events(directory: Path, *, once: bool, interval: float, metrics_file: Path | None) -> None:
    """Move events from the store into sealed segments in DIRECTORY, until told to stop.

    They are dropped from the store only once they are safe on disk. The key that signs is in the
    file DELEGATION_AUDIT_KEY. With --once, exit status 1 means that events were missing.
    """
    with _sealer(directory) as sealer:
        seal = sealer if metrics_file is None else measured(sealer, SealerFile(metrics_file))
        if once:
            _seal_once(seal, directory)
            return
        wiring.configure_logging()
        with until_told() as stopped:
            keep_sealing(seal, interval=interval, stopped=stopped)


@contextmanager
def _sealer(directory: Path) -> Iterator[Sealer]:
    """Where something is wrong with key, trail or disk, the command ends, and says what to do."""
    try:
        keys = preflight.audit_keys(settings())
        with connected() as store:
            segments = Directory(directory)
            segments.prepare()
            yield wiring.sealer(store, segments, *keys)
    except preflight.KeysUnusable as error:
        give_up(f"{error}.")
    except NotOurs as error:
        give_up(
            f"{directory}: {error}. Seal into another directory, or put the former key's verifier "
            "key below the key in DELEGATION_AUDIT_KEY."
        )
    except Damaged as error:
        give_up(f"{directory}: {error}. Keep it as it is, and seal into another directory.")
    except OSError as error:
        give_up(_UNWRITABLE.format(because(error)))


def _seal_once(seal: Callable[[], Iterator[Sealed]], directory: Path) -> None:
    found = list(seal())
    records, missing = sum(one.records for one in found), [one for one in found if one.gaps]
    click.echo(printable(f"{records} records sealed in {directory}, in {len(found)} segments."))
    if missing:
        give_up(
            *(f"Events are missing: see segment {one.checkpoint.segment}." for one in missing),
        )


@audit.command("verify", short_help="Verify sealed segments, offline.")
@DIRECTORY
@click.option("--key", "keys", multiple=True, required=True, help="What `new-key` printed.")
@click.option(
    "--checkpoint",
    "kept",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file with a checkpoint that was kept elsewhere.",
)
@click.option("--since", help="Begin with this segment, or with the first of this date.")
def verify_trail(
    directory: Path, keys: tuple[str, ...], kept: tuple[Path, ...], since: str | None
) -> None:
    """Verify the segments in DIRECTORY: that nothing was changed, dropped or reordered.

    Neither settings nor store are needed. Exit status 0: it is whole. 1: it is not, or says itself
    that events are missing. 2: it could not be verified.
    """
    segments = Directory(directory)
    try:
        verifiers = [_verifier_key(key) for key in keys]
        notes = [path.read_text("utf-8") for path in kept]
        first = _first(Trail(segments), since)
        with _progress(sum(map(segments.size, segments.numbers()))) as advance:
            found = verify(segments, verifiers, kept=notes, since=first, advance=advance)
    except Damaged as error:
        give_up(f"Not verified: {error}.")
    except (CannotVerify, UnicodeDecodeError) as error:
        give_up(f"Cannot verify: {error}.", status=2)
    except OSError as error:
        give_up(f"Cannot verify: {because(error)}.", status=2)
    for line in _verified(found):
        click.echo(printable(line))
    if found.gaps:
        sys.exit(1)


def _verifier_key(text: str) -> VerifierKey:
    try:
        return VerifierKey.parse(text)
    except ValueError as error:
        raise CannotVerify(f"--key: {error}") from error


def _first(trail: Trail, since: str | None) -> int:
    if since is None:
        return trail.begins()
    if since.isdecimal() and since.isascii():
        return int(since)
    try:
        moment = datetime.fromisoformat(since)
    except ValueError:
        raise CannotVerify("--since: give a segment's number, or a date") from None
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    numbers = trail.numbers(since=f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z")
    if not numbers:
        raise CannotVerify("--since: no segment is as late as that")
    return numbers[0]


def _verified(found: Verified) -> Iterator[str]:
    last = found.last
    yield f"Verified: {found.records} records in {found.segments} segments."
    yield f"  trail       {last.origin}"
    yield f"  segments    {found.first} to {last.segment}, the last sealed at {last.sealed}"
    if found.first > 1:
        yield f"  before      what was before segment {found.first} was not verified"
    yield f"  events      {found.events}"
    if found.epochs:
        yield f"  began anew  {found.epochs} times: what was not sealed by then is not known"
    if found.unreadable:
        yield f"  unreadable  {found.unreadable} events, which are kept as they were"
    if not found.gaps:
        yield "  gaps        none"
        return
    yield f"  gaps        {found.gaps}: {found.missing} events were gone before they were sealed"
    for segment, line, gap in found.examples:
        place = f"{gap.epoch}:{gap.partition}:{gap.stream}"
        yield f"    segment {segment}, line {line}: {gap.first} to {gap.last} of {place}"


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], object]]:
    """Shows how far it is, on a terminal; says it nowhere else."""
    console = Console(stderr=True)
    columns = (BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("", total=total)
        yield lambda count: bar.advance(task, count)


@audit.command("checkpoint", short_help="Print the last checkpoint, to be kept elsewhere.")
@DIRECTORY
def print_checkpoint(directory: Path) -> None:
    """Print the last checkpoint of the trail in DIRECTORY: a signed note.

    Keep it where who seals cannot write. With it, `verify` proves that nothing before it was
    changed, even by who has the key.
    """
    trail = Trail(Directory(directory))
    try:
        numbers = trail.numbers()
        note = trail.ending(numbers[-1]).note if numbers else None
    except Damaged as error:
        give_up(f"{error}.")
    except OSError as error:
        give_up(f"{because(error)}.")
    if note is None:
        give_up(f"{directory} holds no segment.")
    click.echo(printable_lines(note), nl=False)


@audit.command()
def schema() -> None:
    """Print the JSON Schema of an event."""
    click.echo(schema_text(), nl=False)
