"""Client secrets are ours, unguessable, and kept as digests."""

import re

import pytest

from delegation.domain.parties import Client
from delegation.registry.secrets import digest, new_secret
from tests.registry import story


def _client_with(*secrets: str) -> Client:
    listed = ", ".join(f'"{digest(secret)}"' for secret in secrets)
    text = (
        f"clients: [{{id: a, audience: https://a.test/mcp, exchange: true, secrets: [{listed}]}}]"
    )
    return story.of(text).clients["a"]


def test_a_new_secret_has_our_form() -> None:
    """A secret can be known for one of ours, and none is made twice."""
    secrets = {new_secret() for _ in range(100)}

    assert len(secrets) == 100
    assert all(re.fullmatch(r"dlg_[A-Za-z0-9_-]{43}", secret) for secret in secrets)


def test_both_secrets_hold_while_they_are_rotated() -> None:
    """What `new_secret` makes and `digest` writes, the client holds; nothing else."""
    old, new, other = new_secret(), new_secret(), new_secret()

    client = _client_with(old, new)

    assert client.holds(old)
    assert client.holds(new)
    assert not client.holds(other)


@pytest.mark.standard("6749-2.3-4")
@pytest.mark.parametrize(
    "secret", ["", "password", "dlg_" + 42 * "a", "dlg_" + 44 * "a", "dlg_" + 43 * "ä", "DLG_a"]
)
def test_what_has_another_form_never_matches(secret: str) -> None:
    """Not even where its digest is registered: a weak secret cannot be brought along."""
    assert not _client_with(secret).holds(secret)


def test_no_secret_matches_where_none_is_registered() -> None:
    """Absence never widens."""
    assert not Client(id="a", audience="b", may_exchange=True).holds(new_secret())
