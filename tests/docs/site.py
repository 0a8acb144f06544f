"""`make docs`: the site, with the sources that its pages point to."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.docs.pages import ROOT

SITE = ROOT / ".site"
"""Where `make docs` puts it."""

_LINK = re.compile(r"(?<=\]\()(?!\w+:)[^)#\s]+")
_ROW = re.compile(r"^\|.*\|$", re.MULTILINE)
_CODE = re.compile(r"`[^`\n]+`")


class NotBuilt(Exception):
    """The site has a mistake; the message says where."""


def pages() -> list[str]:
    """The pages in the navigation, in its order, named as below docs/."""
    config = tomllib.loads((ROOT / "zensical.toml").read_text("utf-8"))
    return list(_flat(config["project"]["nav"]))


def _flat(nav: object) -> Iterator[str]:
    match nav:
        case str():
            yield nav
        case dict():
            yield from _flat(list(nav.values()))
        case list():
            for entry in nav:
                yield from _flat(entry)


def stage(at: Path) -> None:
    """Put at *at* what the site is built from: our pages, and whatever else they point to.

    That is below docs/source there: Markdown as a page of its own, and all else as text.
    """
    shutil.copytree(ROOT / "docs", at / "docs", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "zensical.toml", at)
    for page in sorted(at.rglob("*.md")):
        _settle(page, ROOT / page.relative_to(at), at / "docs")


def _settle(page: Path, origin: Path, docs: Path) -> None:
    """Let the links of *page*, which was at *origin*, lead to where things are now."""
    # In a table, code hosts want the bar in code escaped; the site would show the escape.
    text = _ROW.sub(lambda row: _CODE.sub(_unescaped, row[0]), page.read_text("utf-8"))
    page.write_text(_LINK.sub(partial(_moved, page, origin, docs), text), "utf-8")


def _unescaped(code: re.Match[str]) -> str:
    return code[0].replace(r"\|", "|")


def _moved(page: Path, origin: Path, docs: Path, link: re.Match[str]) -> str:
    source = Path(os.path.normpath(origin.parent / link[0]))
    if source.is_dir():
        source /= "README.md"
    if not source.is_file():
        return link[0]
    if source.is_relative_to(ROOT / "docs"):
        return os.path.relpath(docs / source.relative_to(ROOT / "docs"), page.parent)
    name = str(source.relative_to(ROOT)) + ("" if source.suffix == ".md" else ".txt")
    copy = docs / "source" / name
    if not copy.exists():
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, copy)
        if source.suffix == ".md":
            _settle(copy, source, docs)
    return os.path.relpath(copy, page.parent)


def build(at: Path) -> str:
    """Build the site of what is staged at *at*, and return what was said of it.

    Any warning is an error: raises `NotBuilt`.
    """
    command = [sys.executable, "-m", "zensical", "build", "--strict"]
    ran = subprocess.run(command, cwd=at, check=False, capture_output=True, text=True)  # noqa: S603
    if ran.returncode != 0:
        raise NotBuilt(ran.stdout + ran.stderr)
    return ran.stdout + ran.stderr


def main() -> None:
    """Build it, and say where it is."""
    with TemporaryDirectory() as name:
        stage(Path(name))
        try:
            build(Path(name))
        except NotBuilt as error:
            sys.exit(str(error))
        shutil.rmtree(SITE, ignore_errors=True)
        shutil.copytree(Path(name) / SITE.name, SITE)
    print(f"The site is at {SITE}: python -m http.server --directory {SITE}")  # noqa: T201


if __name__ == "__main__":
    main()
