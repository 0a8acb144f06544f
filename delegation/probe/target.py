"""Which service to try, as whom, and with whose tokens."""

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from delegation.client.service import Service

PATIENCE = 30
"""Seconds that a command has for a token."""


class NoToken(Exception):
    """There is no token where one was to come from; the message says why."""


Source = Callable[[], str]
"""Where a token comes from, anew for each round. Raises `NoToken`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """*service*, as the client that trades tokens there, and what it may and may not have.

    A token of *subject_token* is good for *resource* with *scope*. *other* is any other client.
    *api* is *resource*, as a client; it may trade what it is shown for a token at *next_resource*,
    with whatever scope it gets. *forbidden_resource* and *forbidden_scope* exist and are not
    granted here. *expired_token* was good once.

    With *alarms* also that is tried which raises an alarm at the service.
    """

    service: Service
    subject_token: Source
    resource: str
    scope: str
    other: Service | None = None
    api: Service | None = None
    next_resource: str | None = None
    forbidden_resource: str | None = None
    forbidden_scope: str | None = None
    expired_token: Source | None = None
    alarms: bool = False


@dataclass(frozen=True, slots=True)
class OfCommand:
    """What a command writes to its standard output. No shell is asked."""

    words: tuple[str, ...]

    def __call__(self) -> str:
        """Run it. What it writes to standard error goes to ours."""
        try:
            ran = subprocess.run(  # noqa: S603, whoever probes has named it
                self.words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                timeout=PATIENCE,
                check=False,
            )
        except OSError as error:
            raise NoToken(f"the command cannot be run: {error.strerror}") from error
        except subprocess.TimeoutExpired:
            # The error would carry along what was written so far.
            raise NoToken(f"the command takes longer than {PATIENCE} s") from None
        if ran.returncode != 0:
            raise NoToken(f"the command ended with status {ran.returncode}")
        return _only_token(ran.stdout, "the command writes")


@dataclass(frozen=True, slots=True)
class OfFile:
    """What a file holds, which somebody keeps fresh."""

    path: Path

    def __call__(self) -> str:
        """Read it."""
        try:
            content = self.path.read_bytes()
        except OSError as error:
            raise NoToken(f"the file cannot be read: {error.strerror}") from error
        return _only_token(content, "the file holds")


def _only_token(content: bytes, who: str) -> str:
    text = content.strip()
    if not text or not text.isascii() or len(text.split()) != 1:
        raise NoToken(f"{who} something else than one token")
    return text.decode("ascii")
