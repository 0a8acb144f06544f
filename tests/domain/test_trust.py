"""How a foreign token's id is found, whether it is a machine's, and where its issuer's keys are."""

import hashlib
from dataclasses import replace

import pytest

from delegation.domain.parties import PublishedKeys
from delegation.domain.trust import ForeignIssuer
from tests.parties import an_actor_issuer, an_issuer

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


@pytest.mark.parametrize("issuer", [an_issuer(), an_actor_issuer()], ids=["subjects", "actors"])
def test_the_keys_of_an_issuer_are_where_its_entry_says(issuer: ForeignIssuer) -> None:
    """Under the issuer's own name, so that no two share a cool-down."""
    issuer = replace(issuer, private_network=True)

    assert issuer.keys == PublishedKeys(
        owner=issuer.issuer,
        jwks_uri=issuer.jwks_uri,
        algorithms=issuer.algorithms,
        private_network=True,
    )


def _id(claims: dict[str, object]) -> str | None:
    """A name for claims; none for marks, which are sets: their order differs between processes."""
    is_marks = any(isinstance(value, frozenset) for value in claims.values())
    return None if is_marks else str(claims)


KEYCLOAK = {"preferred_username": frozenset({"service-account-{client}"})}
AUTH0 = {"sub": frozenset({"{client}@clients"}), "gty": frozenset({"client-credentials"})}


@pytest.mark.standard("9700-4.15")
@pytest.mark.parametrize(
    ("service_claims", "claims"),
    [
        (KEYCLOAK, {"preferred_username": "service-account-ingest"}),
        (KEYCLOAK, {"preferred_username": "Service-Account-INGEST"}),
        (KEYCLOAK, {"preferred_username": ["x", 5, "service-account-ingest"]}),
        (AUTH0, {"sub": "ingest@clients"}),
        (AUTH0, {"sub": "auth0|1", "gty": "client-credentials"}),
        (AUTH0, {"sub": "auth0|1", "gty": ["x", "client-credentials"]}),
        ({"x": frozenset({"{client}:{client}"})}, {"x": "ingest:ingest"}),
        ({"x": frozenset({"a", "b"})}, {"x": "b"}),
    ],
    ids=_id,
)
def test_a_machine_is_told_by_a_claim(
    service_claims: dict[str, frozenset[str]], claims: dict[str, object]
) -> None:
    """Any of the claims will do; a client's name counts in any case, for some lower it."""
    issuer = an_issuer(service_claims=service_claims)

    for client in ("ingest", "Ingest"):
        assert issuer.is_of_a_service(claims, client)
        assert not an_issuer().is_of_a_service(claims, client)


@pytest.mark.standard("9700-4.15")
@pytest.mark.parametrize(
    ("service_claims", "claims"),
    [
        (KEYCLOAK, {}),
        (KEYCLOAK, {"preferred_username": "alice"}),
        (KEYCLOAK, {"preferred_username": "service-account-other"}),
        (KEYCLOAK, {"preferred_username": "service-account-"}),
        (KEYCLOAK, {"preferred_username": "service-account-{client}"}),
        (KEYCLOAK, {"preferred_username": {"service-account-ingest": True}}),
        (KEYCLOAK, {"preferred_username": None}),
        (KEYCLOAK, {"name": "service-account-ingest"}),
        (AUTH0, {"sub": "auth0|1", "gty": "password"}),
        (AUTH0, {"sub": "auth0|1", "gty": "Client-Credentials"}),
        (AUTH0, {"sub": "auth0|1", "gty": True}),
        (AUTH0, {"sub": "auth0|1", "gty": [["client-credentials"], {}]}),
    ],
    ids=_id,
)
def test_a_person_is_not_taken_for_a_machine(
    service_claims: dict[str, frozenset[str]], claims: dict[str, object]
) -> None:
    """What says something else, or nothing that can be compared, says nothing of a machine."""
    assert not an_issuer(service_claims=service_claims).is_of_a_service(claims, "ingest")


@pytest.mark.standard("9700-4.15")
@pytest.mark.parametrize(
    "name", ["service-account-", "service-account-None", "service-account-{client}"]
)
def test_without_a_client_there_is_nothing_for_its_name_to_mean(name: str) -> None:
    """Absent is not empty; a value without the client's name still counts."""
    issuer = an_issuer(service_claims=KEYCLOAK | AUTH0)

    assert not issuer.is_of_a_service({"preferred_username": name, "sub": "@clients"}, None)
    assert issuer.is_of_a_service({"gty": "client-credentials"}, None)
