"""`make bench`: what an exchange costs, and all around it; as lines, as JSON and as a picture.

python -m tests.benchmarks                      the core: a few minutes
python -m tests.benchmarks all --json now.json  everything
python -m tests.benchmarks --read now.json --compare before.json
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from tests.benchmarks import client, core, counted, growth, kinds, locks, registry
from tests.benchmarks.comparing import compared
from tests.benchmarks.driving import CONNECTIONS, GENERATOR, NotGranted, keep_to_other_cores
from tests.benchmarks.figures import Figure, Report
from tests.benchmarks.machine import described
from tests.benchmarks.peers import comparison
from tests.benchmarks.picture import picture
from tests.benchmarks.rounds import Rounds

MODES: Mapping[str, Callable[[Rounds], Iterator[Figure | str]]] = {
    "core": core.figures,
    "kinds": kinds.figures,
    "live": growth.of_live,
    "locks": growth.of_locks,
    "ledger": locks.figures,
    "client": client.figures,
    "registry": registry.figures,
    "counted": counted.figures,
    "peers": comparison.figures,
}
"""What each finds; what is no figure is a remark."""

APART = frozenset({"counted", "peers"})
"""What needs more than this project installs, and so is not meant by all."""


_FAILED = "Not measured:"


def main(arguments: list[str]) -> None:
    """Measure what is asked for, or read it; print it, write it, compare it."""
    told = _parser().parse_args(arguments)
    if told.read is None:
        everything = [mode for mode in MODES if mode not in APART]
        modes = everything if "all" in told.modes else told.modes or ["core"]
        report = measured(modes, _rounds(told))
    else:
        report = Report.read(told.read)
    print("\n".join(report.lines()))
    if told.json is not None:
        report.write(told.json)
    if told.picture is not None:
        told.picture.write_text(picture(report), "utf-8")
    if told.compare is not None:
        print("\n" + "\n".join(compared(Report.read(told.compare), report)))
    if any(remark.startswith(_FAILED) for remark in report.remarks):
        sys.exit(1)


def measured(modes: list[str], rounds: Rounds) -> Report:
    """A report of these modes."""
    keep_to_other_cores()
    began, found = time.monotonic(), list[Figure | str]()
    for mode in modes:
        print(f"{mode} ...", file=sys.stderr)
        try:
            found += MODES[mode](rounds)
        except NotGranted as error:
            found.append(f"{_FAILED} {mode}: {error}")
    remarks = [one for one in found if isinstance(one, str)]
    return Report(
        machine=described(),
        settings={
            "load": f"{GENERATOR}, {CONNECTIONS} connections",
            "rounds": f"{rounds.count}, each sample of {rounds.seconds:g} s",
        },
        figures=[one for one in found if isinstance(one, Figure)],
        remarks=[*remarks, rounds.remark, f"It took {time.monotonic() - began:.0f} s."],
    )


def _rounds(told: argparse.Namespace) -> Rounds:
    return Rounds(count=told.rounds, seconds=told.seconds, most_live=told.most_live)


def _mode(name: str) -> str:
    if name not in {*MODES, "all"}:
        raise argparse.ArgumentTypeError(f"{name} is none of {', '.join(MODES)} and all")
    return name


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks")
    parser.add_argument("modes", nargs="*", type=_mode, metavar="MODE", help=", ".join(MODES))
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=2, help="how long a sample lasts")
    parser.add_argument("--most-live", type=int, default=1_000_000, help="of live exchanges")
    parser.add_argument("--read", type=Path, metavar="FILE", help="a former run, instead of a new")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write it there")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw it there (SVG)")
    parser.add_argument("--compare", type=Path, metavar="FILE", help="what has changed since then")
    return parser


if __name__ == "__main__":
    main(sys.argv[1:])
