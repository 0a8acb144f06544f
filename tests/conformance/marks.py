"""Which tests hold which rows: the marks of all tests, as pytest collects them."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]

_OUTPUT = "MARKED_TESTS"

Tests = Mapping[str, Sequence[str]]
"""For each row, or number of an attack, the tests that are marked with it, sorted."""


class Marks(NamedTuple):
    """What `@pytest.mark.standard` and `@pytest.mark.attack` say, all over the tests."""

    standard: Tests
    attack: Tests


_remembered: dict[Path, Marks] = {}


def remember(items: Sequence[pytest.Item]) -> None:
    """Note the marks of *items* where these are all of our own tests, of every file: then
    `collected` need not collect them again.
    """
    if {item.path for item in items} == {*(ROOT / "tests").rglob("test_*.py")}:
        _remembered[ROOT] = Marks(**{name: _marked(items, name) for name in Marks._fields})


def collected(root: Path = ROOT) -> Marks:
    """The marks of all tests below *root*, from a pytest that collects them and runs none.

    A mark of a class, of a module or of one parameter counts, as it does for pytest. Raises
    `RuntimeError` where the tests cannot be collected.
    """
    if root not in _remembered:
        _remembered[root] = _collect(root)
    return _remembered[root]


def _collect(root: Path) -> Marks:
    with tempfile.TemporaryDirectory() as directory:
        output = Path(directory) / "marks.json"
        command = [sys.executable, "-m", "pytest", "--collect-only", "--quiet", "--no-cov"]
        run = subprocess.run(  # noqa: S603, our own tests
            [*command, "-p", "no:cacheprovider", "-p", __name__, "tests"],
            cwd=root,
            env=_environment() | {_OUTPUT: str(output), "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        if run.returncode != pytest.ExitCode.OK:
            raise RuntimeError(f"the tests cannot be collected:\n{run.stdout[-2000:]}{run.stderr}")
        return Marks(**json.loads(output.read_text("utf-8")))


def _environment() -> dict[str, str]:
    """Ours, without what would measure the collecting, or take it for a part of this run."""
    ours = ("COVERAGE_", "PYTEST_")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def pytest_collection_finish(session: pytest.Session) -> None:
    """Write down the marks: this module is a plugin of the pytest that `collected` starts."""
    found = {name: _marked(session.items, name) for name in Marks._fields}
    Path(os.environ[_OUTPUT]).write_text(json.dumps(found), "utf-8")


def _marked(items: Sequence[pytest.Item], name: str) -> Tests:
    found: dict[str, set[str]] = {}
    for item in items:
        test = item.nodeid.partition("[")[0]
        for mark in item.iter_markers(name):
            for row in mark.args:
                found.setdefault(str(row), set()).add(test)
    return {row: sorted(tests) for row, tests in sorted(found.items())}
