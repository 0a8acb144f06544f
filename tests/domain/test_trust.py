"""How the id of a foreign token is found."""

import hashlib

import pytest

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
