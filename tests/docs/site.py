"""`make docs`: the site, with the sources that its pages point to."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from tests.docs.pages import ROOT

SITE = ".site"
"""Where it is built, in the root of the project (zensical.toml)."""

_HREF = re.compile(r'(?<=href=")(?:\.\./)+[^"#?]+')


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


def build(root: Path) -> str:
    """Build the site of the project at *root*, and return what was said of it.

    Any warning is an error: raises `subprocess.CalledProcessError`. Its pages point to sources,
    such as tests, that are no pages: these come along as text, below source/.
    """
    command = [sys.executable, "-m", "zensical", "build", "--clean", "--strict"]
    said = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout  # noqa: S603
    site = root / SITE
    for page in site.rglob("*.html"):
        html = page.read_text("utf-8")
        page.write_text(_HREF.sub(lambda href, at=page: _brought(href[0], at, site), html), "utf-8")  # type: ignore[misc]
    return said


def _brought(href: str, page: Path, site: Path) -> str:
    """Where *page* of the *site* finds what it calls *href*: within the site, in any case."""
    source = (page.parent / href).resolve()
    if source.is_relative_to(site.resolve()):
        return href
    copy = site / "source" / f"{source.relative_to(ROOT)}.txt"
    copy.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, copy)
    return os.path.relpath(copy, page.parent)


def main() -> None:
    """Build it, and say where it is."""
    try:
        build(ROOT)
    except subprocess.CalledProcessError as error:
        sys.exit(error.stdout + error.stderr)
    print(f"The site is in {SITE}/: python -m http.server --directory {SITE}")


if __name__ == "__main__":
    main()
