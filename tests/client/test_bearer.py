"""How a token comes, and what is answered: the rules of RFC 6750, without a server."""

import pytest

from delegation.client.bearer import (
    CannotVerify,
    InvalidToken,
    LacksScope,
    MalformedRequest,
    NoToken,
    NotServed,
    challenge,
    presented,
)

METADATA = "https://calendar.example/.well-known/oauth-protected-resource/api"


@pytest.mark.standard("6750-1")
@pytest.mark.parametrize("header", ["Bearer a.b-c_d~e+f/g==", "bearer  a.b-c_d~e+f/g=="])
def test_a_token_in_the_header(header: str) -> None:
    """RFC 6750 §2.1: the scheme in any case (RFC 9110 §11.1), then one token."""
    assert presented([header], query="page=2") == "a.b-c_d~e+f/g=="


@pytest.mark.standard("6750-1", "9449-5")
@pytest.mark.parametrize(
    "headers",
    [[], [""], ["Basic YTpi"], ["DPoP token"], ["token"], ["Bearertoken"], ["Basic a, Bearer b"]],
    ids=repr,
)
@pytest.mark.parametrize("query", ["", "access_token=token"])
def test_no_token(headers: list[str], query: str) -> None:
    """Nothing but the header counts, and nothing but its one scheme."""
    with pytest.raises(NoToken):
        presented(headers, query=query)


@pytest.mark.standard("6750-1")
@pytest.mark.parametrize(
    ("headers", "query"),
    [
        (["Bearer"], ""),
        (["Bearer "], ""),
        (["Bearer a b"], ""),
        (["Bearer a,Bearer b"], ""),
        (["Bearer a", "Bearer a"], ""),
        (["Basic YTpi", "Bearer a"], ""),
        (["Bearer \u00e9t\u00e9"], ""),
        (["Bearer a\tb"], ""),
        (["Bearer a"], "access_token=b"),
        (["Bearer a"], "x=1&access_token"),
        (["Bearer a"], "%61ccess_token=b"),
        (["Bearer a"], "&".join(["a=b"] * 10) + "&access_token="),
    ],
    ids=repr,
)
def test_what_can_be_no_token(headers: list[str], query: str) -> None:
    """A token that is none, and one too many (RFC 6750 §3.1)."""
    with pytest.raises(MalformedRequest):
        presented(headers, query=query)


@pytest.mark.standard("6750-1", "9728-2", "MCP-3")
@pytest.mark.parametrize(
    ("refused", "status", "expected"),
    [
        (NoToken("x"), 401, f'Bearer resource_metadata="{METADATA}"'),
        (
            MalformedRequest("x"),
            400,
            f'Bearer error="invalid_request", resource_metadata="{METADATA}"',
        ),
        (InvalidToken("x"), 401, f'Bearer error="invalid_token", resource_metadata="{METADATA}"'),
        (
            LacksScope("x", scope=["b", "a"]),
            403,
            f'Bearer error="insufficient_scope", scope="a b", resource_metadata="{METADATA}"',
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_the_challenges(refused: NotServed, status: int, expected: str) -> None:
    """Who brought nothing is told no error; nothing of a reason is told to anybody."""
    assert refused.status == status
    assert challenge(refused, resource_metadata=METADATA) == expected


def test_what_is_no_verdict() -> None:
    """An API that cannot ask does not say that the token is bad."""
    assert CannotVerify("x").status == 503
