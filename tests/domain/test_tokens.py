"""The grammar of scopes, and what a token says of itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delegation.domain.parties import Identity
from delegation.domain.tokens import format_scope, parse_scope
from tests.parties import LOGIN, a_presented_token, a_token_of_ours, a_verified_token

SCOPE_TOKEN_CHARACTERS = "".join(
    chr(code) for code in (0x21, *range(0x23, 0x5C), *range(0x5D, 0x7F))
)
SCOPE_TOKENS = st.text(SCOPE_TOKEN_CHARACTERS, min_size=1, max_size=12)


@pytest.mark.standard("6749-3.3-1", "8693-4.2-1")
@given(scope=st.frozensets(SCOPE_TOKENS, min_size=1))
def test_a_scope_is_read_as_it_was_written(scope: frozenset[str]) -> None:
    """Every character that RFC 6749 §3.3 allows, in any combination."""
    assert parse_scope(format_scope(scope)) == scope


@pytest.mark.standard("6749-3.3-1")
@given(text=st.text(st.sampled_from('ab "\\\t\u00a0\u2003\x1f'), max_size=8) | st.text(max_size=8))
def test_what_is_read_is_made_of_scope_tokens_and_nothing_else(text: str) -> None:
    """Either the text is exactly the tokens with one space between, or it is no scope."""
    try:
        scope = parse_scope(text)
    except ValueError:
        return

    assert all(set(token) <= set(SCOPE_TOKEN_CHARACTERS) and token for token in scope)
    assert {*text.split(" ")} == scope


@pytest.mark.standard("6749-3.3-1")
@pytest.mark.parametrize(
    ("text", "scope"),
    [
        pytest.param("read", {"read"}, id="one"),
        pytest.param("write read", {"read", "write"}, id="order-is-irrelevant"),
        pytest.param("read read", {"read"}, id="twice-is-once"),
        pytest.param("READ read", {"READ", "read"}, id="case-sensitive"),
        pytest.param("read:*", {"read:*"}, id="star-is-a-character"),
        pytest.param("read%20admin", {"read%20admin"}, id="percent-is-a-character"),
        pytest.param("read,write", {"read,write"}, id="comma-is-a-character"),
        pytest.param(" ".join(map(str, range(10_000))), set(map(str, range(10_000))), id="many"),
    ],
)
def test_the_grammar_has_one_separator_and_no_patterns(text: str, scope: set[str]) -> None:
    """Exactly one space between; anything else that is allowed is part of a name."""
    assert parse_scope(text) == scope


@pytest.mark.standard("6749-3.3-1")
@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param(" ", id="space"),
        pytest.param(" read", id="leading-space"),
        pytest.param("read ", id="trailing-space"),
        pytest.param("read  admin", id="double-space"),
        pytest.param("read\tadmin", id="tab"),
        pytest.param("read\nadmin", id="line-break"),
        pytest.param("read\n", id="trailing-line-break"),
        pytest.param("read\u00a0admin", id="no-break-space"),
        pytest.param("read\u3000admin", id="ideographic-space"),
        pytest.param("read\x1fadmin", id="unit-separator"),
        pytest.param("read\x00", id="nul"),
        pytest.param('read"', id="quote"),
        pytest.param("read\\admin", id="backslash"),
        pytest.param("read\x7f", id="delete"),
        pytest.param("r\u00e9ad", id="not-ascii"),
        pytest.param("read\U0001f600", id="emoji"),
        pytest.param("\ud800", id="lone-surrogate"),
    ],
)
def test_whatever_another_parser_might_split_is_refused(text: str) -> None:
    """So that no two components see two different scopes."""
    with pytest.raises(ValueError, match="not a scope"):
        parse_scope(text)


def test_a_scope_is_written_in_a_stable_order() -> None:
    """So that events and responses can be compared; nothing is written for nothing."""
    assert format_scope(["write", "admin", "read"]) == "admin read write"
    assert format_scope([]) == ""


@pytest.mark.standard("8693-5-3")
def test_a_presented_token_cannot_be_printed_by_mistake() -> None:
    """Its representation says the type, never the value."""
    assert "presented" not in repr(a_presented_token(value="presented"))


@pytest.mark.standard("9700-4.15")
@pytest.mark.parametrize(
    ("subject", "agent", "is_of_a_service"),
    [
        pytest.param(Identity(LOGIN, "desk-agent"), "desk-agent", True, id="its-own-client"),
        pytest.param(Identity(LOGIN, "alice"), "desk-agent", False, id="a-person"),
        pytest.param(Identity(LOGIN, "Desk-Agent"), "desk-agent", False, id="other-case"),
        pytest.param(Identity(LOGIN, "desk-agent"), None, False, id="no-client-named"),
    ],
)
def test_a_service_is_a_subject_that_is_its_own_client(
    subject: Identity, agent: str | None, *, is_of_a_service: bool
) -> None:
    """Where no client is named nobody can tell; the grant refuses those by itself."""
    assert a_verified_token(subject=subject, agent=agent).is_of_a_service is is_of_a_service


def test_a_user_named_like_one_of_our_clients_is_no_service() -> None:
    """In a token of ours the root identity has its own issuer, and the client has us."""
    token = a_token_of_ours(subject=Identity(LOGIN, "calendar-mcp"))

    assert not token.is_of_a_service


@pytest.mark.standard("9700-4.15")
def test_what_began_as_a_service_stays_one() -> None:
    """A token of ours says so: from its subject and its client nobody could tell."""
    assert a_token_of_ours(sub_profile="service").is_of_a_service
    assert not a_token_of_ours().is_of_a_service
