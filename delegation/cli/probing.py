"""Trying a running service from outside, once or for ever."""

import json
import os
import shlex
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import structlog

from delegation import wiring
from delegation.cli.common import because, give_up
from delegation.cli.options import say
from delegation.cli.said import table
from delegation.client.errors import ConfigurationInvalid
from delegation.client.service import PREFIX, Service
from delegation.dev.signals import until_told
from delegation.probe import textfile
from delegation.probe.catalogue import tried
from delegation.probe.findings import Outcome, Verdict
from delegation.probe.target import OfCommand, OfFile, Source, Target

_EPILOG = (
    "Exit status: 0 where all is as it should be, 1 where something is not, 2 for usage, 3 where "
    "nobody can tell, for there was no answer."
)

_FOUND = (Verdict.CRITICAL, Verdict.WRONG)

_SHORTEST = 15
"""Seconds between two rounds: the service bounds what it records of one client in a minute."""

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command("probe", epilog=_EPILOG, short_help="Try what a running service must do, and not.")
@click.option(
    "--subject-token-command",
    envvar="DELEGATION_PROBE_SUBJECT_TOKEN_COMMAND",
    show_envvar=True,
    help="Prints a fresh subject token. It is run without a shell.",
)
@click.option(
    "--subject-token-file",
    envvar="DELEGATION_PROBE_SUBJECT_TOKEN_FILE",
    show_envvar=True,
    type=_FILE,
    help="A file with a fresh subject token, instead.",
)
@click.option(
    "--resource",
    envvar="DELEGATION_RESOURCE",
    show_envvar=True,
    required=True,
    help="The API that a token must be issued for.",
)
@click.option(
    "--scope",
    envvar="DELEGATION_SCOPE",
    show_envvar=True,
    required=True,
    help="What that token must allow. Space-delimited.",
)
@click.option(
    "--forbidden-resource",
    envvar="DELEGATION_PROBE_FORBIDDEN_RESOURCE",
    show_envvar=True,
    help="An API of the registry that is not granted here.",
)
@click.option(
    "--forbidden-scope",
    envvar="DELEGATION_PROBE_FORBIDDEN_SCOPE",
    show_envvar=True,
    help="A scope of the API that is not granted here.",
)
@click.option(
    "--next-resource",
    envvar="DELEGATION_PROBE_NEXT_RESOURCE",
    show_envvar=True,
    help="An API that the API may exchange the token for.",
)
@click.option(
    "--expired-token-file",
    envvar="DELEGATION_PROBE_EXPIRED_TOKEN_FILE",
    show_envvar=True,
    type=_FILE,
    help="A file with a subject token that was good once.",
)
@click.option(
    "--with-alarms", is_flag=True, help="Try also what raises an alarm, such as a stolen token."
)
@click.option(
    "--interval",
    type=click.IntRange(_SHORTEST, 86_400),
    help="Seconds between two rounds, until told to stop. Left out: one round.",
)
@click.option(
    "--metrics-file",
    type=_FILE,
    help="Where to write metrics, for the textfile collector of the node exporter.",
)
@click.option(
    "--output",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="For people or for programs. With --interval there are log lines instead.",
)
def probe(
    *,
    subject_token_command: str | None,
    subject_token_file: Path | None,
    expired_token_file: Path | None,
    with_alarms: bool,
    interval: int | None,
    metrics_file: Path | None,
    output: str,
    **wanted: str | None,
) -> None:
    """Try what a running service must do, and what it must refuse, as its clients would.

    The service and the client are DELEGATION_ISSUER, DELEGATION_CLIENT_ID, and
    DELEGATION_CLIENT_SECRET, DELEGATION_CLIENT_SECRET_FILE or DELEGATION_CLIENT_KEY_FILE. With the
    same variables of any other client, beginning with DELEGATION_OTHER_CLIENT_, and of the API
    itself, beginning with DELEGATION_API_CLIENT_, more is tried.
    """
    target = Target(
        service=_service(),
        other=_party("OTHER_"),
        api=_party("API_"),
        subject_token=_source(subject_token_command, subject_token_file),
        expired_token=None if expired_token_file is None else OfFile(expired_token_file),
        alarms=with_alarms,
        **wanted,  # type: ignore[arg-type]
    )
    if interval is not None:
        _for_ever(target, interval, metrics_file)
        return
    outcomes = tried(target)
    if output == "json":
        click.echo(json.dumps(_document(target, outcomes), indent=2))
    else:
        say(_lines(outcomes))
    not_written = _write(metrics_file, outcomes)
    if not_written is not None:
        give_up(f"--metrics-file: {not_written}.")
    sys.exit(_status(outcomes))


def _for_ever(target: Target, interval: int, metrics_file: Path | None) -> None:
    wiring.configure_logging()
    log = structlog.get_logger(__name__)
    with until_told() as told:
        while not told.is_set():
            outcomes = tried(target)
            _log(log, outcomes)
            not_written = _write(metrics_file, outcomes)
            if not_written is not None:
                log.error("metrics_not_written", error=not_written)
            told.wait(interval)


def _log(log: Any, outcomes: Sequence[Outcome]) -> None:
    """What is not as it should be, each on a line, and then what became of the round."""
    for one in outcomes:
        if one.verdict in {Verdict.OK, Verdict.SKIPPED}:
            continue
        write = log.error if one.verdict in _FOUND else log.warning
        write("probe", probe=one.probe, verdict=one.verdict.value, detail=one.detail)
    seconds = round(sum(one.seconds for one in outcomes), 3)
    log.info("probed", seconds=seconds, **_counted(outcomes))


def _write(metrics_file: Path | None, outcomes: Sequence[Outcome]) -> str | None:
    """Write the metrics, if they are wanted; why they could not be, if so."""
    try:
        if metrics_file is not None:
            textfile.write(metrics_file, outcomes, now=time.time())
    except OSError as error:
        return because(error)
    return None


def _service() -> Service:
    try:
        return Service.from_environment(os.environ)
    except ConfigurationInvalid as invalid:
        give_up(*invalid.problems, status=2)


def _party(name: str) -> Service | None:
    """A further client of the same service, if its variables are there at all."""
    prefix = f"{PREFIX}{name}CLIENT_"
    own = {key: value for key, value in os.environ.items() if key.startswith(prefix)}
    if not own:
        return None
    same = {
        key: os.environ[key]
        for key in (f"{PREFIX}ISSUER", f"{PREFIX}TOKEN_ENDPOINT")
        if key in os.environ
    }
    client = {key.replace(prefix, f"{PREFIX}CLIENT_"): value for key, value in own.items()}
    try:
        return Service.from_environment(same | client)
    except ConfigurationInvalid as invalid:
        renamed = (problem.replace(f"{PREFIX}CLIENT_", prefix) for problem in invalid.problems)
        give_up(*renamed, status=2)


def _source(command: str | None, file: Path | None) -> Source:
    if (command is None) == (file is None):
        raise click.UsageError("Give --subject-token-command or --subject-token-file.")
    if file is not None:
        return OfFile(file)
    try:
        words = tuple(shlex.split(command or ""))
    except ValueError:
        words = ()
    if not words:
        raise click.UsageError("--subject-token-command is no command.")
    return OfCommand(words)


def _status(outcomes: Sequence[Outcome]) -> int:
    count = Counter(one.verdict for one in outcomes)
    if any(count[verdict] for verdict in _FOUND):
        return 1
    return 3 if count[Verdict.UNAVAILABLE] else 0


def _counted(outcomes: Sequence[Outcome]) -> Mapping[str, int]:
    count = Counter(one.verdict for one in outcomes)
    return {verdict.value: count[verdict] for verdict in Verdict}


def _document(target: Target, outcomes: Sequence[Outcome]) -> Mapping[str, Any]:
    return {
        "issuer": target.service.issuer,
        "client": target.service.client_id,
        "count": _counted(outcomes),
        "probes": [
            {
                "probe": one.probe,
                "promise": one.promise,
                "verdict": one.verdict.value,
                "detail": one.detail or None,
                "seconds": round(one.seconds, 3),
            }
            for one in outcomes
        ],
    }


def _lines(outcomes: Sequence[Outcome]) -> Iterator[str]:
    rows = [(one.verdict.value, one.probe, one.promise, one.detail) for one in outcomes]
    yield from table(("VERDICT", "PROBE", "PROMISE", "INSTEAD"), rows)
    yield ""
    count = ", ".join(f"{number} {verdict}" for verdict, number in _counted(outcomes).items())
    yield f"{count}; {sum(one.seconds for one in outcomes):.1f} s"
