"""The chain: one form for each record, and a rule for numbers that leaves nothing out."""

import hashlib
import json
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delegation.audit.chain import (
    START,
    EpochBegun,
    EventId,
    Gap,
    Heads,
    canonical,
    seal,
    sealed_line,
    split,
    understood,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(JSON)
def test_there_is_one_form_for_each_value(value):
    """What is read back has the same form, and no terminal acts upon it."""
    form = canonical(value)

    assert understood(form) == value
    assert canonical(understood(json.dumps(value, indent=2).encode())) == form
    assert form.isascii()
    assert form.decode().isprintable()


def test_the_form():
    """Members in order, compact, with every character escaped that is not printable ASCII."""
    value = {"b": [1, True, None], "a": 'é\n"\\\x1f\x7f\N{GRINNING FACE}', "": -5}

    assert canonical(value) == (
        b'{"":-5,"a":"\\u00e9\\n\\"\\\\\\u001f\\u007f\\ud83d\\ude00","b":[1,true,null]}'
    )


@pytest.mark.parametrize(
    "text",
    [
        b"1.0",
        b"1e3",
        b"NaN",
        b"Infinity",
        b"9007199254740992",
        b"-9007199254740992",
        b"",
        b"{",
        b'"\xff"',
        b"\xef\xbb\xbf1",
        '"\\ud800"'.encode("utf-16"),
        b"[" * 101 + b"]" * 101,
        b"[" * 100_000,
        b'"{{{{{"' + b"[" * 101,
    ],
)
def test_what_has_no_form(text):
    """Numbers that two readers take differently, what is no UTF-8, what is too deep, no JSON."""
    with pytest.raises(ValueError, match=r".") as caught:
        canonical(understood(text))

    assert not isinstance(caught.value, RecursionError)


def test_text_that_is_none():
    """Half a character is none, though it can be escaped."""
    with pytest.raises(ValueError, match="surrogates"):
        canonical(understood(b'"\\ud800"'))


def test_brackets_in_texts_do_not_count():
    """It is levels that are counted, where there are many brackets."""
    text = canonical(["[" * 200, '\\"[[', [1] * 200, [[]] * 150])

    assert canonical(understood(text)) == text


def test_a_seal_is_over_the_one_before_and_the_record():
    """Anybody can compute it: SHA-256 over 32 bytes, and the line without its last member."""
    body = b'{"at":"x"}'
    first = seal(START, body)
    second = seal(first, body)

    assert first == hashlib.sha256(bytes(32) + body).digest()
    assert second == hashlib.sha256(first + body).digest()
    line = sealed_line(body, second)
    assert json.loads(line) == {"at": "x", "seal": b64encode(second).decode()}
    assert split(line) == (body, b64encode(second))


@pytest.mark.parametrize(
    "line",
    [b"", b"\n", b"{}\n", b'{"at":"x"}\n', sealed_line(b'{"at":"x"}', START)[:-1], b"x" * 57],
)
def test_a_line_without_a_seal(line):
    """It is no record."""
    with pytest.raises(ValueError, match="no seal"):
        split(line)


@pytest.mark.parametrize("text", ["0f:7:events:12", "0f.3:0:refusals:1"])
def test_ids_are_read_as_they_are_written(text):
    """Epoch, partition, stream and number."""
    assert str(EventId.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    ["", "0f:7:events:0", "0f:07:events:1", "0F:7:events:1", "0f.0:7:events:1", "0f:7:events:1:"],
)
def test_what_is_no_id(text):
    """There is one way to write an id."""
    with pytest.raises(ValueError, match="form"):
        EventId.parse(text)


def event(number, epoch="0f"):
    """An event of a stream."""
    return EventId(epoch, 7, "events", number)


def gap(first, last, epoch="0f"):
    """A gap in it."""
    return Gap(epoch=epoch, partition=7, stream="events", first=first, last=last)


def begun(epoch, first):
    """An epoch of it."""
    return EpochBegun(epoch=epoch, partition=7, stream="events", first=first)


def move(heads, step):
    """Move them by one."""
    {EventId: heads.event, Gap: heads.gap, EpochBegun: heads.epoch}[type(step)](step)


def moved(*steps):
    """The heads after these."""
    heads = Heads()
    for step in steps:
        move(heads, step)
    return heads


@pytest.mark.parametrize(
    ("steps", "written"),
    [
        ([], {}),
        ([event(1), event(2)], {"0f": 2}),
        ([gap(1, 4), event(5)], {"0f": 5}),
        ([event(1), gap(2, 2), event(3)], {"0f": 3}),
        ([event(1), begun("1a", 1), event(1, "1a")], {"0f": 1, "1a": 1}),
        ([event(1), begun("1a", 2), event(2, "1a")], {"0f": 1, "1a": 2}),
        ([gap(1, 5), begun("0f.1", 3), event(3, "0f.1"), event(6)], {"0f": 6, "0f.1": 3}),
    ],
    ids=str,
)
def test_what_may_follow(steps, written):
    """Each number after the one before it, or the trail says why not."""
    heads = moved(*steps)

    flat = {epoch: streams["events"]["7"] for epoch, streams in heads.written().items()}
    assert flat == written
    assert Heads(heads.written()).written() == heads.written()


@pytest.mark.parametrize(
    "steps",
    [
        [event(2)],
        [event(1), event(1)],
        [event(1), event(3)],
        [event(1), event(2, "1a")],
        [event(1), event(1, "1a")],
        [event(1), gap(1, 3, "1a")],
        [event(1), gap(1, 2)],
        [event(1), gap(3, 4)],
        [event(1), gap(2, 1)],
        [event(1), gap(2, 3, "1a")],
        [begun("0f", 1)],
        [event(1), begun("0f", 1)],
        [event(1), begun("1a", 3)],
        [event(1), begun("1a", 0)],
    ],
    ids=str,
)
def test_what_may_not(steps):
    """Nothing is left out, nothing comes twice, and no epoch begins by itself."""
    heads = moved(*steps[:-1])
    before = heads.written()

    with pytest.raises(ValueError, match=r"number|gap|epoch"):
        move(heads, steps[-1])

    assert heads.written() == before
