"""What a failed exchange becomes in HTTP, case by case."""

from typing import Any

import pytest

from delegation.client.challenge import Challenge, challenge, explanation, metadata_url
from delegation.client.errors import (
    ActorTokenRejected,
    ClientRejected,
    ConfigurationInvalid,
    DelegationError,
    InsufficientScope,
    NoSubjectToken,
    NotPermitted,
    Refused,
    SubjectTokenRejected,
    Unavailable,
)

METADATA = "https://mcp.example/.well-known/oauth-protected-resource/mcp"


def too_little(*scopes: str) -> InsufficientScope:
    """A refusal that more scope would have helped."""
    return InsufficientScope("invalid_scope", reason="not_permitted", required_scope=scopes)


def answer(*errors: DelegationError, **known: Any) -> Challenge:
    """The challenge after *errors*, which there must be."""
    found = challenge(errors, metadata=METADATA, **known)
    assert found is not None
    return found


@pytest.mark.standard("MCP-3")
def test_missing_scope() -> None:
    """403, with the scopes of the MCP server that are missing, and where to ask for them."""
    found = answer(too_little("calendar:write"))

    assert found.status == 403
    assert found.headers == {
        "WWW-Authenticate": 'Bearer error="insufficient_scope", scope="calendar:write", '
        f'resource_metadata="{METADATA}"'
    }


@pytest.mark.standard("MCP-3")
def test_all_scopes_in_one_challenge() -> None:
    """What several exchanges of one request missed is named at once, once, with what is held."""
    errors = (too_little("a", "b"), too_little("b", "c"))

    found = answer(*errors, held=["h", "a"])

    assert 'scope="h a b c"' in found.headers["WWW-Authenticate"]
    assert found.text.endswith(": a b c")


@pytest.mark.parametrize("odd", ['a"b', "a\r\nSet-Cookie: x", "a\\", "é", "", "a b", "\x00"])
def test_a_scope_that_cannot_be_quoted_is_left_out(odd: str) -> None:
    """Whatever stands in a token: it ends neither the parameter nor the header."""
    found = answer(too_little("a"), held=[odd])

    assert 'scope="a"' in found.headers["WWW-Authenticate"]


@pytest.mark.standard("MCP-3")
def test_a_dead_subject_token() -> None:
    """401: a new token helps."""
    found = answer(SubjectTokenRejected("invalid_request", reason="subject_token_rejected"))

    assert found.status == 401
    assert found.headers["WWW-Authenticate"].startswith('Bearer error="invalid_token", resource_')


def test_no_subject_token() -> None:
    """401, and no error: nothing was wrong with what was not there (RFC 6750 §3.1)."""
    found = answer(NoSubjectToken())

    assert found.status == 401
    assert found.headers == {"WWW-Authenticate": f'Bearer resource_metadata="{METADATA}"'}


@pytest.mark.parametrize(("asked", "said"), [(None, "5"), (0.2, "1"), (7.0, "7")])
def test_an_outage(asked: float | None, said: str) -> None:
    """503 and when to come again; never 401, for a new token would not help."""
    found = answer(Unavailable("down", retry_after=asked))

    assert (found.status, found.headers) == (503, {"Retry-After": said})


@pytest.mark.standard("MCP-3")
def test_what_is_not_permitted() -> None:
    """403, and no challenge: a client that got one would ask for tokens in circles."""
    found = answer(NotPermitted("invalid_target", reason="not_permitted"))

    assert (found.status, found.headers) == (403, {})


def test_the_last_error_decides() -> None:
    """A tool may have dealt with the others."""
    assert answer(too_little("a"), Unavailable("down")).status == 503
    assert answer(Unavailable("down"), too_little("a")).status == 403


@pytest.mark.parametrize(
    "error",
    [
        Refused("invalid_request", reason="malformed_request"),
        ClientRejected("invalid_client", status=401),
        ActorTokenRejected("invalid_request", reason="actor_token_rejected"),
        ConfigurationInvalid("DELEGATION_ISSUER: is not set"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_only_the_operator_can_mend(error: DelegationError) -> None:
    """No challenge: our own secret, for one, is nothing that an agent could renew."""
    assert challenge([error]) is None
    assert "operator" in explanation(error)


def test_nothing_of_the_service_is_in_a_text() -> None:
    """Decisions and descriptions are for the log."""
    error = NotPermitted("invalid_target", decision="0123", body={"error_description": "secret"})

    assert "0123" not in explanation(error)
    assert explanation(error) == answer(error).text


@pytest.mark.parametrize(
    ("resource", "url"),
    [
        ("https://mcp.example/mcp", METADATA),
        ("https://mcp.example", "https://mcp.example/.well-known/oauth-protected-resource"),
        ("http://127.0.0.1:8/", "http://127.0.0.1:8/.well-known/oauth-protected-resource"),
    ],
)
def test_where_the_metadata_are(resource: str, url: str) -> None:
    """RFC 9728 §3.1: between host and path."""
    assert metadata_url(resource) == url


@pytest.mark.parametrize(
    "resource", ["calendar", "urn:calendar", 'https://a/"b', "https://a/\r\nX: y", "https://a/é"]
)
def test_what_cannot_be_a_resource(resource: str) -> None:
    """It is found when the server starts, and not in an answer."""
    with pytest.raises(ValueError, match="resource identifier"):
        metadata_url(resource)
