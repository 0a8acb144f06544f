"""Every refusal says the right thing to the client, and no more."""

import re
from collections.abc import Iterator

import pytest

from delegation.domain import errors
from delegation.domain.errors import (
    ALARMING,
    AssertionRejected,
    Cause,
    InvalidScope,
    Reason,
    Refused,
    Unavailable,
)


def all_refusals() -> list[type[Refused]]:
    """Every class of refusal that a client can meet, as the module has them."""
    return list(descendants(Refused))


def descendants(parent: type[Refused]) -> Iterator[type[Refused]]:
    """The classes below *parent*, in the order in which they were defined."""
    for child in parent.__subclasses__():
        yield child
        yield from descendants(child)


REFUSALS = all_refusals()


def drawn_tree() -> list[tuple[int, list[str]]]:
    """How deep each class stands in the tree that the module's docstring draws, and its words."""
    assert errors.__doc__ is not None
    _, tree, *_ = errors.__doc__.split("\n\n")
    lines = [re.sub("[│├└─]", " ", line) for line in tree.splitlines()]
    return [((len(line) - len(line.lstrip())) // 4, line.split()) for line in lines]


@pytest.mark.standard("8693-2.2.2-1", "8693-2.2.2-2", "8693-2.2.2-3")
def test_the_tree_in_the_docstring_is_true() -> None:
    """Every class, where it belongs, with its OAuth error code and its reason."""
    (root, first), *drawn, (stranger, unknown), (other, last) = drawn_tree()

    assert (root, first[0]) == (0, Refused.__name__)
    assert drawn == [
        (
            len(each.__mro__) - len(Refused.__mro__),
            [each.__name__, each.error, each.reason.value],
        )
        for each in REFUSALS
    ]
    assert (stranger, unknown[0]) == (0, AssertionRejected.__name__)
    assert (other, last[0]) == (0, Unavailable.__name__)
    assert not any(issubclass(each, Refused) for each in (AssertionRejected, Unavailable))


@pytest.mark.standard("8693-2.2.2-4", "8693-2.2.2-5")
@pytest.mark.parametrize("refusal", REFUSALS)
def test_descriptions_keep_to_the_characters_of_rfc_6749(refusal: type[Refused]) -> None:
    """No quote, no backslash, nothing but ASCII (§5.2); and the error code likewise."""
    for text in (refusal.description, refusal.error, refusal.reason.value):
        assert re.fullmatch(r"[\x20-\x21\x23-\x5B\x5D-\x7E]+", text)


@pytest.mark.standard("8693-2.2.2-4", "8693-2.2.2-5")
@pytest.mark.parametrize("refusal", REFUSALS)
def test_the_detail_never_reaches_the_description(refusal: type[Refused]) -> None:
    """What was sent goes into the event alone."""
    refused = refusal(Cause.MALFORMED, sent='"><script>')

    assert refused.detail == {"sent": '"><script>'}
    assert "script" not in refused.description + str(refused)
    assert refused.decision is None


@pytest.mark.standard("8693-2.2.2-5")
def test_one_text_per_class() -> None:
    """Nobody can tell one cause from another, and no two classes share a text."""
    assert len({refusal.description for refusal in REFUSALS}) == len(REFUSALS)


def test_a_client_is_told_nothing_but_what_to_do() -> None:
    """The public reasons are few, and each is used."""
    assert {refusal.reason for refusal in REFUSALS} == set(Reason)


def test_what_would_have_sufficed_is_nothing_by_default() -> None:
    """Only a grant can know."""
    refused = InvalidScope(Cause.SCOPE_MALFORMED)

    assert refused.required == frozenset()


def test_a_stolen_token_alarms() -> None:
    """As does one that is used again, or after its end, and an issuer that is another suddenly;
    not every refusal does.
    """
    assert {
        Cause.PRESENTED_BY_ANOTHER_CLIENT,
        Cause.LINEAGE_DEAD,
        Cause.ALREADY_USED,
        Cause.KEYS_REPLACED,
    } == ALARMING


def test_where_there_is_no_answer_the_client_is_told_when_to_come_back() -> None:
    """Soon, unless somebody knows better."""
    assert Unavailable("ledger").retry_after == 2
    assert Unavailable("keys", retry_after=30).retry_after == 30
    assert Unavailable("ledger").problem == "ledger"
