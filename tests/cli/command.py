"""A command, run as people run it, but in this process."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from click.testing import CliRunner

from delegation.cli import main
from tests.secrecy import leaks

MAKING = {"init", "exchange", "token", "new-secret", "new-key", "checkpoint", "--jwks"}
"""Words of commands that are asked for a token, a secret, a key or a signature, and print it."""


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

    *given* is on its standard input. It may end by its exit status alone: no traceback. What it
    says holds no token and no secret, but for what it was asked to make.
    """
    ours = {name: None for name in os.environ if name.startswith("DELEGATION_")}
    result = CliRunner().invoke(main, arguments, env=ours | dict(environment), input=given)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    said = result.stderr if {*arguments} & MAKING else result.stdout + result.stderr
    found = [*leaks(said, known=())]
    assert not found, (arguments, found)
    return Ran(result.exit_code, result.stdout, result.stderr)
