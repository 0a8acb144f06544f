"""What several commands need: the settings, the store, and how to end when something is wrong."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import click

from delegation import preflight
from delegation.cli.terminal import inert
from delegation.domain.errors import Unavailable
from delegation.ledger.store import Store
from delegation.settings import Settings, SettingsInvalid


def give_up(*lines: str, status: int = 1) -> NoReturn:
    """End with exit *status*, and say why on standard error, in as many *lines* and no more."""
    for line in lines:
        click.echo(inert(line), err=True)
    sys.exit(status)


def because(error: OSError) -> str:
    """What the system says about a file, without its number."""
    return f"{error.filename}: {error.strerror}"


def settings(*instead: str) -> Settings:
    """The settings in the environment; without them the command ends, saying what is wrong.

    *instead* is what else would do.
    """
    try:
        return Settings.from_environment(os.environ)
    except SettingsInvalid as invalid:
        give_up(*map(str, invalid.problems), *instead)


@contextmanager
def connected() -> Iterator[Store]:
    """The store of the settings; where it cannot be used, the command ends, saying what to do."""
    try:
        with preflight.store(settings()) as store:
            yield store
    except Unavailable as error:
        give_up(f"ledger: {preflight.remedy(error.problem)}")
