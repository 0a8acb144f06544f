"""The site: every page once, every link good, and nothing from elsewhere."""

import re
import xml.etree.ElementTree as ET
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.docs.pages import ROOT
from tests.docs.site import SITE, NotBuilt, build, pages, stage

DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("**/*.md"))
FENCED = re.compile(r"^ *```.*?^ *```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\((?!https?:)([^)#]*)#([^)]+)\)")
WITHIN = frozenset({"", "data"})
"""Schemes of what is fetched from nowhere else."""


class Page(HTMLParser):
    """What a page of the site loads, points to, and calls its places."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what the tag says; a `link` is loaded, but for those that only name a page."""
        found = {name: value or "" for name, value in attrs}
        self.ids += [found[name] for name in ("id", "name") if name in found]
        page = tag == "a" or found.get("rel") in {"next", "prev", "canonical"}
        (self.links if page else self.loaded).extend(found[n] for n in ("href",) if n in found)
        self.loaded += [found[name] for name in ("src", "srcset", "data") if name in found]


@pytest.fixture(name="site", scope="module")
def _site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, as `make docs` builds it, without a warning."""
    root = tmp_path_factory.mktemp("project")
    stage(root)

    assert "No issues found" in build(root)
    return root / SITE.name


@pytest.fixture(name="built", scope="module")
def _built(site: Path) -> dict[Path, Page]:
    return {path: Page(path.read_text("utf-8")) for path in site.rglob("*.html")}


def test_every_page_is_in_the_navigation_once() -> None:
    """No page is missing, and none is there twice."""
    there = Counter(str(page.relative_to(DOCS)) for page in PAGES)

    assert Counter(pages()) == there


def test_every_page_is_built(site: Path) -> None:
    """What is in the navigation is on the site, and nothing of how it is made."""
    for page in pages():
        name = re.sub(r"(README|index)$", "", page.removesuffix(".md"))
        assert (site / name / "index.html").is_file()
    assert not list(site.rglob("*.pyc"))
    assert not (site / ".theme").exists()


def test_every_link_of_the_site_leads_somewhere(site: Path, built: dict[Path, Page]) -> None:
    """Within the site: to a file that is there, and to a place on its page."""
    lost = []
    for path, page in built.items():
        for link in page.links + page.loaded:
            url = urlsplit(link)
            if url.scheme or path.name == "404.html":
                continue
            target = (path.parent / unquote(url.path)).resolve() if url.path else path
            target = target / "index.html" if target.is_dir() else target
            known = built[target].ids if target in built and url.fragment else [url.fragment]
            if not (target.is_relative_to(site) and target.is_file() and url.fragment in known):
                lost.append((str(path.relative_to(site)), link))

    assert lost == []


def test_tables_say_what_they_say_on_a_code_host(built: dict[Path, Page]) -> None:
    """A bar in code, which has to be escaped there, has no backslash here."""
    cells = re.compile(r"<td>.*?</td>", re.DOTALL)

    found = {cell for path in built for cell in cells.findall(path.read_text("utf-8"))}

    assert any("alias&gt;|&lt;sub" in cell for cell in found)
    assert [cell for cell in found if r"\|" in cell] == []


def test_nothing_is_loaded_from_elsewhere(built: dict[Path, Page]) -> None:
    """No font, no script, no style and no picture; and the browser is told so on each page."""
    elsewhere = {one for page in built.values() for one in page.loaded if not _is_within(one)}

    assert elsewhere == set()
    for path in built:
        text = path.read_text("utf-8")
        assert "Content-Security-Policy\" content=\"default-src 'self';" in text
        assert '<pre class="mermaid"' not in text  # which a script of elsewhere would draw


def _is_within(url: str) -> bool:
    return urlsplit(url).scheme in WITHIN and not urlsplit(url).netloc


def test_styles_load_nothing_from_elsewhere(site: Path) -> None:
    """Neither by `url()` nor by `@import`."""
    for sheet in site.rglob("*.css"):
        style = re.sub(r"""url\((["'])data:.*?\1\)""", "", sheet.read_text("utf-8"))
        assert re.findall(r"url\([^)]*//[^)]*\)|@import[^;]*;", style) == []


def test_a_broken_link_is_an_error(tmp_path: Path) -> None:
    """So `No issues found` means something."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/index.md").write_text("# Here\n\n[There](there.md), [Here](#there).\n")
    (tmp_path / "zensical.toml").write_text('[project]\nsite_name = "x"\n')

    with pytest.raises(NotBuilt, match="2 issues found"):
        build(tmp_path)


def test_schemas_can_be_downloaded(site: Path) -> None:
    """As they are in the repository, and named by the front page."""
    front = Page((site / "index.html").read_text("utf-8"))

    for schema in DOCS.glob("reference/*.json"):
        path = f"reference/{schema.name}"
        assert (site / path).read_bytes() == schema.read_bytes()
        assert f"./{path}" in front.links or path in front.links


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_every_place_is_there_on_a_code_host_too(page: Path) -> None:
    """A link to a heading names it as code hosts do, which is not how the site does."""
    for path, fragment in LINK.findall(FENCED.sub("", page.read_text("utf-8"))):
        target = page.parent / path if path else page
        assert fragment in _places(target.read_text("utf-8")), (path, fragment)


def _places(text: str) -> set[str]:
    """The headings of a page, as a code host names them."""
    headings = re.findall(r"^#+ +(.*?) *$", FENCED.sub("", text), re.MULTILINE)
    plain = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower() for heading in headings)
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("picture", sorted(DOCS.glob("**/*.svg")), ids=lambda path: path.name)
def test_pictures_say_what_they_show(picture: Path) -> None:
    """In words, for whoever does not see them; and they load nothing either."""
    svg = "{http://www.w3.org/2000/svg}"
    root = ET.parse(picture).getroot()  # noqa: S314, it is ours

    assert root.findtext(f"{svg}title")
    assert root.findtext(f"{svg}desc")
    assert not re.search(r"href|@import|url\((?!#)", picture.read_text("utf-8"))
