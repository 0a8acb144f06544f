"""What the documentation shows is what happens."""

import contextlib
import doctest
import io
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\((?!https?:)([^)#]+)\)")


def examples(page: Path) -> Iterator[tuple[str, str]]:
    """Each Python block of *page*, with the text that stands right below it, if any."""
    blocks = BLOCK.findall(page.read_text())
    for (language, code), (below, text) in zip(blocks, [*blocks[1:], ("", "")], strict=True):
        if language == "python":
            yield code, text if below == "text" else ""


def test_the_tutorial_does_what_it_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every block of the first tutorial runs, in order, and prints what stands below it."""
    monkeypatch.chdir(ROOT)
    page, namespace, same = (
        ROOT / "docs/tutorial/your-first-exchange.md",
        {},
        doctest.OutputChecker(),
    )

    for code, expected in examples(page):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, str(page), "exec"), namespace)  # noqa: S102, it is our own page

        said = "\n".join(line.rstrip() for line in printed.getvalue().strip().splitlines())
        assert same.check_output(expected.strip(), said, doctest.ELLIPSIS), said


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    """A link within the repository names a file that is there."""
    targets = LINK.findall(page.read_text())

    missing = [target for target in targets if not (page.parent / target).exists()]

    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_make_command_is_a_target(page: Path) -> None:
    """`make something` in a console block can be made."""
    blocks = BLOCK.findall(page.read_text())
    console = "".join(text for language, text in blocks if language == "console")
    makefile = (ROOT / "Makefile").read_text()

    named = re.findall(r"^make ([a-z-]+)", console, re.MULTILINE)

    assert [name for name in named if not re.search(rf"^{name}:", makefile, re.MULTILINE)] == []


def test_every_decision_is_in_the_index() -> None:
    """The index of decisions names each page with its title."""
    folder = ROOT / "docs/decisions"
    index = (folder / "README.md").read_text()

    for page in folder.glob("0*.md"):
        number, _, title = page.read_text().splitlines()[0].removeprefix("# ").partition(". ")
        assert f"| [{number}]({page.name}) | {title} |" in index


def test_make_prints_what_can_be_made() -> None:
    """`make` alone is the help."""
    printed = subprocess.run(["make"], cwd=ROOT, check=True, capture_output=True, text=True).stdout  # noqa: S607

    assert {"demo", "test", "check", "bench"} <= {line.split()[0] for line in printed.splitlines()}
