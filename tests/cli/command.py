"""A command, run as people run it, but in this process."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from click.testing import CliRunner

from delegation.cli import main


@dataclass(frozen=True, slots=True)
class Ran:
    """How it ended, and what it said where."""

    status: int
    out: str
    err: str


def run(
    *arguments: str,
    environment: Mapping[str, str] = MappingProxyType({}),
    given: str | bytes = "",
) -> Ran:
    """Run `delegation` with *arguments*, in *environment* and with no other setting of ours.

    *given* is on its standard input. It may end by its exit status alone: no traceback.
    """
    ours = {name: None for name in os.environ if name.startswith("DELEGATION_")}
    result = CliRunner().invoke(main, arguments, env=ours | dict(environment), input=given)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Ran(result.exit_code, result.stdout, result.stderr)
