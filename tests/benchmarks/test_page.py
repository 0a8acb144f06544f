"""The page on measuring: its commands are understood, and its tables name what there is."""

import re
import shlex

from tests.benchmarks.__main__ import MODES, _parser
from tests.docs.pages import ROOT, table

TEXT = (ROOT / "docs/how-to/measure.md").read_text("utf-8")


def test_every_command_is_understood() -> None:
    """Whoever copies one gets a measurement, not a complaint."""
    commands = re.findall(r'^make bench(?: A="(.*)")?$', TEXT, re.MULTILINE)

    assert len(commands) == TEXT.count("\nmake ") == 7
    for arguments in commands:
        assert _parser().parse_args(shlex.split(arguments))


def test_every_mode_is_explained() -> None:
    """In the order in which they run."""
    assert [row[0].strip("`") for row in table(TEXT, "mode", "measures")] == [*MODES]
