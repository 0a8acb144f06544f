"""One wanted token: what tells it from all others."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delegation.client import CallContext, Wanted
from delegation.client.rfc8693 import ACCESS_TOKEN, Request
from delegation.client.wanted import in_order

JWT = "urn:ietf:params:oauth:token-type:jwt"
SCOPES = st.lists(st.sampled_from(["events.read", "events.write", "rooms"]))
WANTED = st.builds(
    Wanted,
    subject_token=st.sampled_from(["alices", "bobs"]),
    resource=st.sampled_from(["https://a.example", "https://b.example"]),
    scope=SCOPES.map(in_order),
    actor_token=st.sampled_from(["", "planners", "alices"]),
    context=st.builds(CallContext, consent=st.none() | st.sampled_from(["c-1", "c-2"])),
)


@given(WANTED, WANTED)
def test_what_tells_one_from_another(one: Wanted, other: Wanted) -> None:
    """Whoever, by whomever, where, what, and with whose consent: all of it, and nothing else."""
    is_same = (
        one.subject_token == other.subject_token
        and one.actor_token == other.actor_token
        and one.resource == other.resource
        and set(one.scope.split()) == set(other.scope.split())
        and one.context.consent == other.context.consent
    )

    assert (one.key == other.key) is is_same


def test_no_token_stands_in_a_key() -> None:
    """Whoever sees what is kept for whom sees nothing to use."""
    wanted = Wanted(
        subject_token="the-users", resource="https://a.example", actor_token="the-agents"
    )

    assert "the-" not in f"{wanted!r}{wanted.key!r}"


def test_text_that_is_none() -> None:
    """A token of any characters has a key: the service can say that it is none."""
    one, other = (Wanted(subject_token=text, resource="https://a.example") for text in "\udc80é")

    assert one.key != other.key


@pytest.mark.parametrize(("subject", "resource"), [("", "https://a.example"), ("alices", "")])
def test_nobody_and_nothing(subject: str, resource: str) -> None:
    """Neither stands for anybody, nor for any API."""
    with pytest.raises(ValueError, match="needs"):
        Wanted(subject_token=subject, resource=resource)


@pytest.mark.parametrize(
    ("actor", "type_", "sent"),
    [("", "", ""), ("", JWT, ""), ("agents", "", ACCESS_TOKEN), ("agents", JWT, JWT)],
)
def test_how_it_is_asked_for(actor: str, type_: str, sent: str) -> None:
    """With the type of an actor token where there is one, and only there (RFC 8693 §2.1)."""
    context = CallContext(mcp_name="find_events")
    wanted = Wanted(
        subject_token="alices",
        resource="https://a.example",
        scope="events.read",
        actor_token=actor,
        actor_token_type=type_,
        context=context,
    )

    assert wanted.request() == Request(
        subject_token="alices",
        resources=("https://a.example",),
        scope="events.read",
        actor_token=actor,
        actor_token_type=sent,
        context=context,
    )


@pytest.mark.parametrize(
    ("scope", "text"),
    [("", ""), ("b a", "a b"), (" a  a ", "a"), (["b", "a", "b"], "a b"), ((), ""), ([""], "")],
)
def test_order(scope: str | list[str], text: str) -> None:
    """The same scopes are the same text."""
    assert in_order(scope) == text
