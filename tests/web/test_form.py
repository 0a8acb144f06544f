"""Reading forms: the inverse of writing them, and nothing else."""

from urllib.parse import urlencode

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from delegation.domain.errors import InvalidRequest
from delegation.domain.tokens import TokenType
from delegation.web.form import _PRINTABLE, Form, exchange_request
from tests.parties import CALENDAR_API
from tests.web.endpoint import form

TEXT = st.text(st.characters(codec="utf-8"), max_size=40)
FIELDS = st.dictionaries(TEXT, TEXT, max_size=60)
SEVERAL = st.lists(TEXT, max_size=4)


@given(fields=FIELDS, resources=SEVERAL, audiences=SEVERAL)
def test_parsing_is_the_inverse_of_writing(
    fields: dict[str, str], resources: list[str], audiences: list[str]
) -> None:
    """What was written is read, whatever is in it; the order of targets is kept."""
    # Hypothesis tries names that stand in our own source, and some of them allow less.
    assume(not fields.keys() & {"resource", "audience", *_PRINTABLE})
    pairs = [*fields.items()]
    pairs += [("resource", value) for value in resources]
    pairs += [("audience", value) for value in audiences]
    assume(len(pairs) <= 64)

    read = Form.parse(urlencode(pairs).encode())

    assert {name: read.get(name) for name in fields} == {
        name: value or None for name, value in fields.items()
    }
    assert read.resources == tuple(filter(None, resources))
    assert read.audiences == tuple(filter(None, audiences))


@given(fields=FIELDS)
def test_raw_text_is_read_as_well(fields: dict[str, str]) -> None:
    """What a form need not escape may come as it is."""
    assume(all(not set(name + value) & set("&=+%") for name, value in fields.items()))
    assume(not fields.keys() & {"", "resource", "audience", *_PRINTABLE})

    read = Form.parse("&".join(f"{name}={value}" for name, value in fields.items()).encode())

    assert all(read.get(name) == (value or None) for name, value in fields.items())


@given(fields=FIELDS.filter(bool), data=st.data())
def test_no_field_comes_twice(fields: dict[str, str], data: st.DataObject) -> None:
    """Any field but a target makes a form malformed when it comes again."""
    name = data.draw(st.sampled_from(sorted(fields)))
    assume(name not in {"resource", "audience"})
    again = urlencode([*fields.items(), (name, data.draw(TEXT))])

    with pytest.raises(InvalidRequest):
        Form.parse(again.encode())


@pytest.mark.parametrize(
    ("body", "value"),
    [(b"", None), (b"&&", None), (b"a", None), (b"a=", None), (b"&a=b&", "b"), (b"a=b=c", "b=c")],
    ids=repr,
)
def test_loose_ends(body: bytes, value: str | None) -> None:
    """Separators too many mean nothing; a name alone is an empty value."""
    assert Form.parse(body).get("a") == value


def test_exchange_request() -> None:
    """A proper form in the domain's words."""
    request = exchange_request(Form.parse(form(audience="calendar")))

    assert request.subject_token.type is TokenType.ACCESS_TOKEN
    assert request.targets.resources == (CALENDAR_API,)
    assert request.targets.audiences == ("calendar",)
    assert request.scope == {"events.read"}


@pytest.mark.standard("8693-2.1-11", "8693-2.1-17")
@pytest.mark.parametrize("scope", [None, ""], ids=["absent", "empty"])
def test_no_scope(scope: str | None) -> None:
    """No scope is none named, which is not the same as an empty one."""
    assert exchange_request(Form.parse(form(scope=scope))).scope is None


def test_token_is_not_shown() -> None:
    """A careless repr of a request does not give the token away."""
    request = exchange_request(Form.parse(form(subject_token="alices-token")))

    assert "alices-token" not in repr(request)
