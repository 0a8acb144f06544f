"""One layout for all files of a registry: the same again, the same values, and every comment."""

import re
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delegation.registry.documents import read
from delegation.registry.fmt import SCHEMA, Unformattable, WouldDiffer, formatted, schema_for
from delegation.registry.problems import Code
from delegation.registry.skeleton import write_skeleton
from tests.docs.pages import ROOT, blocks
from tests.registry import story
from tests.registry.lint import drawn


def laid_out(text: str, schema: str | None = None) -> str:
    """*text* in the one layout."""
    return formatted("a.yaml", text.encode(), schema=schema).decode()


UNTIDY = """\

# Of all teams.
issuers:
# Ours.
-   issuer: https://login.example.com~~~
    alias: corp
    # What it signs with.
    algorithms:
    - ES256
    - RS256 # for a while
        # deep within


    jwks_uri: https://login.example.com/jwks

clients:

  - {id: a, audience: a, exchange: true}
  - {id: b, audience: b, exchange: true}
  # Two lines.
  - id: c
    description: |
      Keep~~

        this.

  # Behind c.
  # - id: d
resources:
      - identifier: https://api.example.com
        scopes: [read,
          # and
          write
        ]
        description: 'of
          two lines'


# The end.
""".replace("~", " ")

TIDY = """\
# Of all teams.
issuers:
  # Ours.
  - issuer: https://login.example.com
    alias: corp
    # What it signs with.
    algorithms:
      - ES256
      - RS256 # for a while
          # deep within

    jwks_uri: https://login.example.com/jwks

clients:
  - {id: a, audience: a, exchange: true}
  - {id: b, audience: b, exchange: true}

  # Two lines.
  - id: c
    description: |
      Keep~~

        this.

  # Behind c.
  # - id: d

resources:
  - identifier: https://api.example.com
    scopes: [read,
      # and
      write
    ]
    description: 'of
      two lines'

# The end.
""".replace("~", " ")


def test_a_file_is_laid_out() -> None:
    """Columns, blank lines, ends of lines; comments stand with what they are about."""
    assert laid_out(UNTIDY) == TIDY


def test_what_is_laid_out_stays() -> None:
    """So that `--check` is content with what was written."""
    assert laid_out(TIDY) == TIDY


def test_other_ends_of_lines_and_a_mark_go() -> None:
    """Windows writes both."""
    assert laid_out("\ufeff" + TIDY.replace("\n", "\r\n")) == TIDY
    assert laid_out(TIDY.rstrip("\n")) == TIDY


@pytest.mark.parametrize(
    "text",
    [
        "a:\n  - b: |+\n      x\n\n  - c: 1\n    d: 2\n",
        "a: |+\n  x\n\n\n",
        "a: >-\n  x\n  y\n",
        "---\na:\n  - 1\n...\n",
        "{a: [1, 2]}\n",
        "a:\n  -\n    b: 1\n    c: 2\n",
        "a:\n  - - 1\n    - 2\n",
        "? a\n: - b\n  - c\n",
        "# nothing\n",
        "a: [b, 'c\n  d', {e: f,\n  g: h}]\n",
        "",
        "a: 'x\n\n  y'\n",
        "a:\n  - x\n\n  - |\n    y\n\n  - z\n",
    ],
)
def test_texts_of_several_lines_and_rarities_stay(text: str) -> None:
    """What is in the one layout already, however rare it is."""
    assert laid_out(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  a:\n    - b: |+\n        x\n\n", "a:\n  - b: |+\n      x\n\n"),
        ("a:\n- b:\n    - 1\n    # c\n- b: 2\n", "a:\n  - b:\n      - 1\n      # c\n\n  - b: 2\n"),
        ("a:\n    -   b: 'x\n          y'\n        c: 1\n", "a:\n  - b: 'x\n      y'\n    c: 1\n"),
        ("a:\n-  - 1\n   - 2\n", "a:\n  - - 1\n    - 2\n"),
        ("---\na:\n- 1\n...\n", "---\na:\n  - 1\n...\n"),
        ("a: 1\n\n\n\nb: 2\nc: 3", "a: 1\n\nb: 2\nc: 3\n"),
    ],
)
def test_what_is_held_stands_two_columns_further_in(text: str, expected: str) -> None:
    """Lists, too; and texts of several lines move as a whole."""
    assert laid_out(text) == expected
    assert laid_out(expected) == expected


def test_the_line_for_editors_comes_first() -> None:
    """It is moved there, or written where there is a schema; one that is there is kept."""
    own = "# yaml-language-server: $schema=../own.json\n"

    assert laid_out(f"# A.\n{own}a: 1\n", SCHEMA) == f"{own}# A.\na: 1\n"
    assert laid_out("a: 1\n", SCHEMA) == f"# yaml-language-server: $schema={SCHEMA}\na: 1\n"
    assert laid_out("a: 1\n") == "a: 1\n"
    assert laid_out(f"# A.\n\n{own}\na: 1\n") == f"{own}# A.\n\na: 1\n"
    text = f"a: |\n  {own}"
    assert laid_out(text) == text


def test_the_nearest_schema_is_found(tmp_path: Path) -> None:
    """Beside the file, or above it."""
    write_skeleton(tmp_path / "registry", secret="sha256:" + 64 * "1")

    assert schema_for(tmp_path / "registry" / "a.yaml") == SCHEMA
    assert schema_for(tmp_path / "registry" / "team" / "a.yaml") == f"../{SCHEMA}"
    assert schema_for(tmp_path / "a.yaml") is None


@pytest.mark.parametrize("text", ["a: &x 1\n", "a: [\n", "a: 1\na: 2\n", "a: no\n"])
def test_what_readers_take_differently_is_left(text: str) -> None:
    """It says why, as the loader would."""
    with pytest.raises(Unformattable) as caught:
        laid_out(text)

    assert caught.value.problems == read("a.yaml", text.encode()).problems
    assert {one.code for one in caught.value.problems} <= {*Code}


def test_what_would_say_something_else_is_left() -> None:
    """A block of text at the end of the file, without its last line break: that is part of it."""
    with pytest.raises(WouldDiffer):
        laid_out("a: |\n  x")


def test_our_own_files_are_laid_out_so(tmp_path: Path) -> None:
    """The first registry, and examples of the documentation."""
    written = write_skeleton(tmp_path / "registry", secret="sha256:" + 64 * "1").read_text()
    page = ROOT / "docs" / "how-to" / "chains-over-several-services.md"
    shown = [text for language, text in blocks(page) if language == "yaml"]

    assert shown
    for text in (written, *shown):
        assert laid_out(text) == text


@st.composite
def untidied(draw: st.DrawFn) -> str:
    """A registry with other columns, with comments, and with blank lines."""
    step = draw(st.integers(2, 5))
    chance = Random(draw(st.integers()))  # noqa: S311, it is no secret
    lines: list[str] = []
    for line in story.as_yaml(draw(drawn.contents())).splitlines():
        bare = line.lstrip()
        column = (len(line) - len(bare)) // 2 * step
        if chance.random() < 0.5:
            lines.append(" " * chance.randrange(9) + chance.choice(COMMENTS))
        bare = re.sub("^- ", "-" + (step - 1) * " ", bare)
        lines.append(" " * column + bare + chance.choice(["", "  ", " # why"]))
    return "\n".join(lines) + chance.choice(["", "\n", "\n\n\n"])


COMMENTS = ("", "", "# a comment", "# another: [x", "#", "# yaml-language-server: $schema=x")


@settings(max_examples=25)  # each is large
@given(untidied())
def test_a_layout_changes_nothing_that_is_said(text: str) -> None:
    """The values are those before, in their order; every comment is there; again is the same."""
    after = laid_out(text)

    assert repr(read("f", after.encode()).value) == repr(read("f", text.encode()).value)
    assert sorted(after.split()) == sorted(text.split())
    assert laid_out(after) == after
    assert not any(line != line.rstrip() for line in after.splitlines())
    assert "\n\n\n" not in after


@given(st.text(st.sampled_from("ab:-#'|>+ \n[]{}\"?"), max_size=60))
def test_any_text_is_laid_out_or_left(text: str) -> None:
    """Whatever stands in a file: what comes of it says the same, and stays."""
    try:
        after = laid_out(text)
    except (Unformattable, WouldDiffer):
        return

    assert repr(read("f", after.encode()).value) == repr(read("f", text.encode()).value)
    assert laid_out(after) == after
