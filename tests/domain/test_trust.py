"""How the id of a foreign token is found, and where its issuer's keys are."""

import hashlib

import pytest

from delegation.domain.parties import PublishedKeys
from tests.parties import an_issuer

CLAIMS = {"jti": "one", "uti": "two"}


@pytest.mark.parametrize(("claim", "id"), [("jti", "one"), ("uti", "two"), ("oti", None)])
def test_an_issuer_has_an_id_claim_of_its_own(claim: str, id: str | None) -> None:  # noqa: A002
    """A token that lacks it has no id; nothing stands in."""
    assert an_issuer(id_claim=claim).identify(CLAIMS, b"header.payload") == id


@pytest.mark.standard("7519-1")
def test_without_an_id_claim_the_id_is_the_digest_of_what_was_signed() -> None:
    """Of the signing input, for the signature itself can be written in more than one way."""
    digest = hashlib.sha256(b"header.payload").hexdigest()

    assert an_issuer(id_claim=None).identify(CLAIMS, b"header.payload") == digest


def test_the_keys_of_an_issuer_are_where_its_entry_says() -> None:
    """Under the issuer's own name, so that no two share a cool-down."""
    issuer = an_issuer(private_network=True)

    assert issuer.keys == PublishedKeys(
        owner=issuer.issuer,
        jwks_uri=issuer.jwks_uri,
        algorithms=issuer.algorithms,
        private_network=True,
    )
