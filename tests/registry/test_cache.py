"""A registry that is read again and again: only what changed is parsed, and nothing differs."""

from collections.abc import Mapping

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from delegation.domain.registry import Registry
from delegation.registry import loader
from delegation.registry.documents import Document, read
from delegation.registry.loader import Parser, Snapshot, parse
from delegation.registry.problems import Problem, RegistryInvalid
from tests.registry import story

Files = Mapping[str, str]
"""The contents of files, by their names."""

Edit = Mapping[str, str | None]
"""What becomes of some files at once; `None`: they go."""

_HEAD, _GRANTS = story.STORY.split("grants:\n")
_ISSUERS, _REST = _HEAD.split("clients:\n", 1)
_CLIENTS, _RESOURCES = _REST.split("resources:\n")

STORY: Files = {
    "clients.yaml": "clients:\n" + _CLIENTS,
    "issuers.yaml": _ISSUERS,
    "resources.yaml": "resources:\n" + _RESOURCES,
    "team/grants.yaml": "grants:\n" + _GRANTS,
}
"""The story, in a file for each section."""

MORE: Files = {
    "clients.yaml": STORY["clients.yaml"].replace("calendar-api", "rooms-api"),
    "issuers.yaml": STORY["issuers.yaml"].replace("corp", "staff"),
    "resources.yaml": "\n\n" + STORY["resources.yaml"].replace("rooms.read", "rooms.write"),
    "team/grants.yaml": "# Ours.\n" + STORY["team/grants.yaml"].replace("300", "600"),
}
"""The same files, changed: some contradict the others."""

BROKEN = ("grants: none\n", "grants: [\n", "\0", "clients:\n  - id: \n", "key: &a [*a]\n")

TEXTS = (*STORY.values(), *MORE.values(), *BROKEN, "", story.STORY)

EDITS = st.dictionaries(
    st.sampled_from([*STORY, "another.yaml"]),
    st.none() | st.sampled_from(TEXTS),
    min_size=1,
    max_size=2,
)

_BREAK: Edit = {"clients.yaml": BROKEN[0]}
_MEND: Edit = {"clients.yaml": STORY["clients.yaml"]}
_RENAME: Edit = {"clients.yaml": None, "another.yaml": STORY["clients.yaml"]}
_REMOVE: Edit = {"clients.yaml": None}


def packed(files: Files) -> Snapshot:
    """*files* as they would be read."""
    return Snapshot(tuple(sorted((name, text.encode()) for name, text in files.items())))


def edited(files: Files, edit: Edit) -> Files:
    """*files* after *edit*."""
    return {name: text for name, text in {**files, **edit}.items() if text is not None}


def found(parser: Parser, files: Files) -> Registry | tuple[Problem, ...]:
    """What *parser* makes of *files*: a registry, or all that is wrong."""
    try:
        return parser.parse(packed(files))
    except RegistryInvalid as invalid:
        return invalid.problems


def a_parser() -> Parser:
    """One that has parsed nothing yet."""
    return Parser(issuer=story.OUR_ISSUER)


@pytest.fixture(name="parsed")
def _parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that are parsed, as it happens."""
    names: list[str] = []

    def counted(name: str, content: bytes) -> Document:
        names.append(name)
        return read(name, content)

    monkeypatch.setattr(loader, "read", counted)
    return names


def test_only_the_file_that_changed_is_parsed_again(parsed: list[str]) -> None:
    """What comes of the others is there already, and what is read is what is written."""
    parser = a_parser()
    before = parser.parse(packed(STORY))
    assert parsed == [*STORY]
    parsed.clear()

    after = parser.parse(packed({**STORY, "team/grants.yaml": MORE["team/grants.yaml"]}))

    assert parsed == ["team/grants.yaml"]
    [[old]], [[new]] = before.grants.values(), after.grants.values()
    assert (old.lifetime.seconds, new.lifetime.seconds) == (300, 600)
    assert before.revision != after.revision


def test_a_file_that_goes_is_forgotten(parsed: list[str]) -> None:
    """Nothing is kept but the latest files: what comes back is parsed anew, what stayed is not."""
    parser = a_parser()
    for files in (STORY, edited(STORY, _REMOVE), edited(STORY, _RENAME), STORY):
        found(parser, files)

    assert parsed == [*STORY, "another.yaml", "clients.yaml"]


def test_a_broken_file_costs_the_others_nothing(parsed: list[str]) -> None:
    """Neither when it breaks, nor while it is tried again, nor when it is mended."""
    parser = a_parser()
    whole = found(parser, STORY)
    parsed.clear()

    broken = [found(parser, edited(STORY, _BREAK)) for _ in range(3)]
    mended = found(parser, STORY)

    assert parsed == ["clients.yaml"] * 2
    assert broken[0] == broken[1] == broken[2] != whole == mended


def test_positions_are_right_in_files_that_are_not_read_again(parsed: list[str]) -> None:
    """A change in one file is a problem at the lines of another: those that it has by now."""
    parser = a_parser()
    found(parser, STORY)
    lower = edited(STORY, {"team/grants.yaml": "\n\n# Ours.\n" + STORY["team/grants.yaml"]})
    found(parser, lower)
    parsed.clear()

    problems = found(parser, edited(lower, {"issuers.yaml": MORE["issuers.yaml"]}))

    assert parsed == ["issuers.yaml"]
    assert [str(problem) for problem in problems] == [
        "team/grants.yaml:10: there is no `corp` among the issuers [unknown_reference]"
    ]


@example([_BREAK, _MEND])
@example([_RENAME, _MEND])
@example([_REMOVE, _MEND, {"team/grants.yaml": MORE["team/grants.yaml"]}])
@example([{"another.yaml": STORY["clients.yaml"]}, {"another.yaml": None}])
@given(st.lists(EDITS, min_size=1, max_size=6))
def test_a_parser_that_has_parsed_before_is_as_good_as_new(edits: list[Edit]) -> None:
    """After any edits: the same registry, or the same problems at the same lines."""
    parser, files = a_parser(), STORY
    assert found(parser, files) == found(a_parser(), files)

    for edit in edits:
        files = edited(files, edit)

        assert found(parser, files) == found(a_parser(), files)


def test_what_is_kept_is_not_touched_by_what_follows() -> None:
    """A registry stays what it was, whatever its parser reads later."""
    parser = a_parser()
    first = parser.parse(packed(STORY))
    found(parser, edited(STORY, _BREAK))
    found(parser, MORE)

    assert first == parse(packed(STORY), issuer=story.OUR_ISSUER)
