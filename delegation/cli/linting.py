"""What is wrong with the reviewed files, what is odd about them, and their one layout."""

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

import click

from delegation.cli.common import because, give_up
from delegation.cli.options import say
from delegation.cli.questions import Moment
from delegation.cli.terminal import inert, printable
from delegation.registry.fmt import Unformattable, WouldDiffer, formatted, schema_for
from delegation.registry.lint.catalogue import Severity
from delegation.registry.lint.findings import Finding
from delegation.registry.lint.linter import Report, lint
from delegation.registry.loader import snapshot
from delegation.registry.problems import RegistryInvalid

_STAND_IN = "https://stand-in.invalid"
"""The service that the files are for, where that is not said."""

_NOT_SAID = "Without --issuer, nothing is said of what stands for this service itself."


@click.command(
    "lint",
    epilog="Exit status: 0 where there is no error, 1 where there is one, 2 for usage.",
    short_help="Say all that is wrong with the files, or odd.",
)
@click.argument(
    "directory",
    envvar="DELEGATION_REGISTRY",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
)
@click.option(
    "--issuer",
    envvar="DELEGATION_ISSUER",
    show_envvar=True,
    help="The service that the files are for.",
)
@click.option(
    "--admin-audience",
    envvar="DELEGATION_ADMIN_AUDIENCE",
    show_envvar=True,
    help="What administrators' tokens are for, if that is configured.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "github"]),
    default="text",
    show_default=True,
    help="For people, for programs, or as annotations of a pull request.",
)
@click.option("--strict", is_flag=True, help="A warning counts as an error.")
@click.option(
    "--at",
    "now",
    type=Moment(),
    default=lambda: datetime.now(UTC).isoformat(),
    help="The time by which things have ended. Left out: now.",
)
def lint_files(
    *,
    directory: Path,
    issuer: str | None,
    admin_audience: str | None,
    form: str,
    strict: bool,
    now: datetime,
) -> None:
    """Say all that is wrong with the files in DIRECTORY, or odd, and what to do about it.

    With an error, the files are not loaded. A warning is of what has not the effect that it seems
    to have; a notice, of what somebody should know. Without DIRECTORY it is DELEGATION_REGISTRY.
    """
    report = lint(directory, issuer=issuer or _STAND_IN, admin_audience=admin_audience, now=now)
    _FORMS[form](report, directory)
    if issuer is None:
        click.echo(_NOT_SAID, err=True)
    failing = [Severity.ERROR, Severity.WARNING][: 1 + strict]
    sys.exit(any(one.severity in failing for one in report.findings))


def _as_text(report: Report, directory: Path) -> None:
    say(_lines(report, directory))


def _lines(report: Report, directory: Path) -> Iterator[str]:
    for one in report.findings:
        place = f"{_file(one, directory)}:{one.line}"
        yield f"{place}: {one.severity}: {one.message} [{one.code}]"
        if one.advice:
            yield f"  {one.advice}"
    yield _summary(report)


def _summary(report: Report) -> str:
    counts = _counts(report)
    said = [_number(count, severity) for severity, count in counts.items() if count]
    said += [f"{report.ignored} ignored"] * bool(report.ignored)
    return f"{', '.join(said) or 'Nothing is found'} in {_number(report.files, 'file')}."


def _counts(report: Report) -> dict[str, int]:
    counted = Counter(one.severity for one in report.findings)
    return {severity.value: counted[severity] for severity in Severity}


def _number(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _as_json(report: Report, directory: Path) -> None:
    findings = [
        {
            "file": _file(one, directory),
            "line": one.line,
            "code": one.code,
            "severity": one.severity,
            "message": one.message,
            "remedy": one.remedy,
        }
        for one in report.findings
    ]
    answer = {"findings": findings, "counts": _counts(report)}
    numbers = {"ignored": report.ignored, "files": report.files}
    click.echo(json.dumps(answer | numbers, indent=2))


def _as_commands(report: Report, directory: Path) -> None:
    """Workflow commands, which a runner shows beside the lines of a pull request."""
    for one in report.findings:
        where = f"file={_property(_file(one, directory))},line={one.line},title={one.code}"
        said = "%0A".join(_data(text) for text in (one.message, one.advice) if text)
        click.echo(f"::{one.severity} {where}::{said}")
    click.echo(_summary(report))


def _data(text: str) -> str:
    """*text* as the message of a command: it ends neither the line nor begins another command."""
    return printable(text).replace("%", "%25")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _file(one: Finding, directory: Path) -> str:
    """Where a reader finds it, from where the command runs."""
    return (directory / one.file).as_posix()


_FORMS: Mapping[str, Callable[[Report, Path], None]] = MappingProxyType(
    {"text": _as_text, "json": _as_json, "github": _as_commands}
)


@click.command(
    "fmt",
    epilog="Exit status: 0 where all is done, 1 where a file would be changed (with --check) or "
    "cannot be laid out, 2 for usage.",
    short_help="Lay out the files in the one way.",
)
@click.argument(
    "paths",
    envvar="DELEGATION_REGISTRY",
    nargs=-1,
    required=True,
    metavar="PATHS",
    type=click.Path(exists=True, path_type=Path),
)
@click.option("--check", is_flag=True, help="Change nothing; name the files that would be.")
def format_files(*, paths: tuple[Path, ...], check: bool) -> None:
    """Lay out the files at PATHS, or in them, in the one way: comments and meaning stay.

    What is held stands two columns further in, a blank line between entries, and the line that
    names the schema for editors first, where there is a registry.schema.json above the file.
    """
    done = [_format(path, check=check) for path in _files(paths)]
    sys.exit(not all(done))


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    """The files, and those that the loader would read in the directories."""
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        try:
            yield from (path / name for name, _ in snapshot(path).files)
        except RegistryInvalid as invalid:
            give_up(*map(str, invalid.problems))


def _format(path: Path, *, check: bool) -> bool:
    """Whether it is as it should be, now. Says what is done, or why not."""
    name = path.as_posix()
    try:
        before = path.read_bytes()
        after = formatted(name, before, schema=schema_for(path))
        if before == after:
            return True
        if not check:
            path.write_bytes(after)
    except Unformattable as error:
        for problem in error.problems:
            click.echo(inert(str(problem)), err=True)
        return False
    except WouldDiffer:
        click.echo(inert(f"{name}: {_LEFT}"), err=True)
        return False
    except OSError as error:
        click.echo(inert(because(error)), err=True)
        return False
    click.echo(inert(f"{name} would be changed" if check else f"{name} is changed"))
    return not check


_LEFT = (
    "this is left as it is, for its meaning could change: write texts of several lines in quotes, "
    "and keys without `?`"
)
