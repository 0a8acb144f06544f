"""Pages of the documentation: what stands on them, and what their examples print when they run."""

import contextlib
import doctest
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
"""Where the pages, the tests and the code are."""

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_COMPARE = doctest.OutputChecker()


def blocks(page: Path) -> list[tuple[str, str]]:
    """The blocks of *page*, in order: each with its language."""
    return _BLOCK.findall(page.read_text("utf-8"))


def examples(page: Path) -> Iterator[tuple[str, str]]:
    """Each Python block of *page*, with the text that stands right below it, if any."""
    found = blocks(page)
    for (language, code), (below, text) in zip(found, [*found[1:], ("", "")], strict=True):
        if language == "python":
            yield code, text if below == "text" else ""


def run(page: Path, names: dict[str, Any]) -> None:
    """Run every Python block of *page* in order, with *names* in scope, which it may add to.

    Fails where one prints something else than what stands below it.
    """
    for code, expected in examples(page):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, str(page), "exec"), names)  # noqa: S102, it is our own page
        said = "\n".join(line.rstrip() for line in printed.getvalue().strip().splitlines())
        assert alike(said, expected.strip()), said


def alike(said: str, shown: str) -> bool:
    """Whether *said* is what is *shown*, in which `...` stands for anything."""
    return _COMPARE.check_output(shown, said, doctest.ELLIPSIS)


def table(text: str, *head: str) -> list[list[str]]:
    """The rows of the first table of *text* with this head."""
    lines = text.splitlines()
    start = lines.index(f"| {' | '.join(head)} |") + 2
    rows = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    return rows
