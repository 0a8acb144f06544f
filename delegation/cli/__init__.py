"""`delegation ...`: a function per command, none with any logic of its own."""

from delegation.cli.commands import main

__all__ = ["main"]
