"""YAML is read as all its readers would read it, or not at all."""

import json

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from delegation.registry import documents
from delegation.registry.documents import read
from delegation.registry.problems import Code
from tests.registry import story

WORDS = st.one_of(
    st.text(st.sampled_from("0123456789abcefinosxyNOTSE_.:+-~=<"), min_size=1, max_size=8),
    st.sampled_from(["yes", "No", "ON", "off", "true", "FALSE", "null", "~", "<<", "="]),
)


def test_every_value_has_its_line() -> None:
    """The line of a key is that of its value; elements have their own."""
    document = read("f", b"a:\n  - b\n  - c:\n      d\n")

    assert document.value == {"a": ["b", {"c": "d"}]}
    assert document.lines == {
        (): 1,
        ("a",): 1,
        ("a", 0): 2,
        ("a", 1): 3,
        ("a", 1, "c"): 3,
    }


def test_the_nearest_line_is_found_for_what_is_not_there() -> None:
    """A place that does not exist is shown by what holds it."""
    document = read("f", b"x: 1\na:\n  - b\n")

    assert document.line(("a", 0, "list", 7)) == 3
    assert document.line(("a", "list", 0)) == 3
    assert document.line(("b",)) == 1


def test_quotes_make_text() -> None:
    """What stands in quotes, or in a block, is text whatever it looks like."""
    document = read("f", b"a: 'yes'\nb: \"1:30\"\nc: ''\nd: |-\n  010\ne: '<<'\n")

    assert document.value == {
        "a": "yes",
        "b": "1:30",
        "c": "",
        "d": "010",
        "e": "<<",
    }


def test_dates_are_text() -> None:
    """Time is read by those who ask for it."""
    assert read("f", b"[2027-01-01, 2027-01-01T00:00:00Z, 10.0.0.1]").value == [
        "2027-01-01",
        "2027-01-01T00:00:00Z",
        "10.0.0.1",
    ]


@example("0o17")
@example("1e3")
@example("190:20:30")
@example("+1")
@example("0b1_0")
@given(WORDS)
def test_no_word_means_one_thing_here_and_another_elsewhere(word: str) -> None:
    """A plain word that YAML 1.1 takes for no text is the same here, or refused."""
    tag = yaml.SafeLoader("").resolve(yaml.ScalarNode, word, (True, False))
    elsewhere = {"tag:yaml.org,2002:str", "tag:yaml.org,2002:timestamp"}

    document = read("f", f"- {word}\n".encode())

    if not document.problems and isinstance(document.value, list):
        [value] = document.value
        if isinstance(value, str):
            assert tag in elsewhere
        elif isinstance(value, bool) or value is None or isinstance(value, int):
            assert yaml.safe_load(word) == value
            assert tag not in elsewhere


@pytest.mark.parametrize("loader", [yaml.SafeLoader, yaml.CSafeLoader], ids=["python", "c"])
def test_both_parsers_read_the_same(
    loader: type[yaml.SafeLoader], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the C library is missing, nothing changes but the speed."""
    texts = [story.STORY, "a: &x [*x]\n", "a: !x b\n", "a: [\n", "a: |\n  b\n", "# \n", "%YAML 9"]
    expected = [read("f", text.encode()) for text in texts]
    monkeypatch.setattr(documents, "_LOADER", loader)

    found = [read("f", text.encode()) for text in texts]

    assert found[0] == expected[0]
    for one, other in zip(found, expected, strict=True):
        assert (one.lines, one.broken, one.whole) == (other.lines, other.broken, other.whole)
        assert [each.code for each in one.problems] == [each.code for each in other.problems]


@pytest.mark.parametrize("ends", ["\r", "\x85", "\u2028", "\u2029"], ids=ascii)
def test_a_comment_ends_where_everybody_sees_it(ends: str) -> None:
    """What one reader takes for the end of a line, and others do not, would hide an entry."""
    document = read("f", f"a: 1\n# harmless{ends}grants: [evil]\n".encode())

    (problem,) = document.problems
    assert document.value is None
    assert (problem.line, problem.code) == (2, Code.UNREADABLE)
    assert "a line break" in problem.message


def test_lines_may_end_as_on_windows() -> None:
    """All readers know that."""
    assert read("f", b"a: 1\r\n# harmless\r\nb: 2\r\n").value == {"a": 1, "b": 2}


@pytest.mark.parametrize("mark", "\u202a\u202e\u2066\u2069", ids=ascii)
def test_what_is_shown_is_what_is_read(mark: str) -> None:
    """Marks that turn text round could have a reviewer approve what is not there."""
    (problem,) = read("f", f"a: 1\nb: '{mark}x'\n".encode()).problems

    assert (problem.line, problem.code) == (2, Code.UNREADABLE)
    assert "another order" in problem.message
    assert read("f", f"a: {json.dumps(mark)}\n".encode()).value == {"a": mark}


def test_an_alias_bomb_is_a_list_of_problems() -> None:
    """No value is ever there twice, so a small file cannot fill the memory."""
    levels = "\n".join(f"k{n + 1}: &a{n + 1} [{', '.join([f'*a{n}'] * 9)}]" for n in range(9))

    document = read("f", f"k0: &a0 [x]\n{levels}\n".encode())

    assert {problem.code for problem in document.problems} == {"alias"}
    assert len(document.problems) == 10 + 81
