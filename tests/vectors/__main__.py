"""`python -m tests.vectors`: run the vectors against the server that an adapter speaks for."""

import argparse
import sys
from collections.abc import Sequence
from fnmatch import fnmatchcase
from importlib import import_module

from .adapter import Adapter
from .cases import load
from .report import FORMS
from .runner import run
from .world import a_world


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, and print the report; 0 only where at least one case passed and none failed."""
    asked = _parser().parse_args(arguments)
    chosen = [
        case
        for case in load()
        if any(fnmatchcase(case["id"], pattern) for pattern in asked.only or ["*"])
    ]
    with a_world() as world, _adapter(asked.adapter)(world) as server:
        results = list(run(chosen, server, world))
        name = server.name
    sys.stdout.write(FORMS[asked.report](name, results))
    outcomes = {result.outcome for result in results}
    return 0 if "passed" in outcomes and "failed" not in outcomes else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="vectors", description="Conformance vectors for token exchange and actor chains."
    )
    parser.add_argument(
        "--adapter",
        required=True,
        metavar="MODULE[:ATTRIBUTE]",
        help="what speaks for the server; the attribute is `adapter` unless told",
    )
    parser.add_argument(
        "--only",
        action="append",
        metavar="ID",
        help="run this case alone; `*` stands for anything, and it may be given more than once",
    )
    parser.add_argument("--report", choices=sorted(FORMS), default="text", help="its form")
    return parser


def _adapter(named: str) -> Adapter:
    module, _, attribute = named.partition(":")
    adapter: Adapter = getattr(import_module(module), attribute or "adapter")
    return adapter


if __name__ == "__main__":
    sys.exit(main())
