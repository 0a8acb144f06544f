"""The metadata document: at the right place, truthful, and understood by who did not write it."""

import pytest
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata, get_well_known_url

from delegation.web.grant import TokenExchangeGrant
from delegation.web.metadata import metadata
from tests.web.endpoint import Endpoint

ISSUERS = ["https://sts.example.com", "https://sts.example.com/tenant1"]


def document(issuer: str) -> dict[str, object]:
    """What a client of *issuer* finds, where RFC 8414 tells it to look."""
    location = get_well_known_url(issuer, external=True).removeprefix("https://sts.example.com")
    answer = Endpoint(issuer=issuer).ask(path=location, method="GET")
    assert answer.status_code == 200
    assert answer.content_type == "application/json"
    assert answer.headers["Cache-Control"] == "public, max-age=300"
    found: dict[str, object] = answer.json
    return found


@pytest.mark.standard("8414-1", "7523bis-2")
@pytest.mark.parametrize("issuer", ISSUERS)
def test_it_is_where_it_is_looked_for(issuer: str) -> None:
    """Between host and path, and it names exactly the issuer that the place was made of."""
    assert document(issuer)["issuer"] == issuer


@pytest.mark.standard("8414-1")
def test_it_is_nowhere_else() -> None:
    """Appended to a path it would be another issuer's."""
    sts = Endpoint(issuer="https://sts.example.com/tenant1")

    for path in (
        "/.well-known/oauth-authorization-server",
        "/tenant1/.well-known/oauth-authorization-server",
    ):
        assert sts.ask(path=path, method="GET").status_code == 404


@pytest.mark.standard("6749-3.2-2")
@pytest.mark.parametrize(
    "environ",
    [
        {"HTTP_HOST": "evil.example"},
        {"HTTP_X_FORWARDED_HOST": "evil.example", "HTTP_X_FORWARDED_PROTO": "http"},
        {"HTTP_FORWARDED": "host=evil.example;proto=http"},
        {"SERVER_NAME": "evil.example", "SERVER_PORT": "8080"},
        {"wsgi.url_scheme": "http"},
    ],
    ids=lambda environ: next(iter(environ)),
)
def test_a_request_has_no_say_in_it(environ: dict[str, str]) -> None:
    """Whatever address it was sent to, the document is the same."""
    path = "/.well-known/oauth-authorization-server"

    found = Endpoint().ask(path=path, method="GET", **environ)

    assert found.json == document(ISSUERS[0])


@pytest.mark.standard("8414-2", "8414-3", "9700-2.6")
@pytest.mark.parametrize("issuer", ISSUERS)
def test_a_stranger_understands_it(issuer: str) -> None:
    """Authlib's own validator finds nothing to object to."""
    AuthorizationServerMetadata(document(issuer)).validate()


@pytest.mark.standard("8414-2")
@pytest.mark.parametrize("issuer", ISSUERS)
def test_it_tells_the_truth(issuer: str) -> None:
    """Every address answers, and what is not supported is not claimed."""
    found = document(issuer)
    sts = Endpoint(issuer=issuer)

    path = str(found["token_endpoint"]).removeprefix("https://sts.example.com")
    keys = str(found["jwks_uri"]).removeprefix("https://sts.example.com")

    assert sts.ask(b"", path=path).status_code == 400
    for name in ("introspection_endpoint", "revocation_endpoint"):
        answer = sts.ask(b"token=x", path=str(found[name]).removeprefix("https://sts.example.com"))
        assert answer.status_code == 401
    assert sts.ask(path=keys, method="GET").status_code == 200
    assert found["grant_types_supported"] == [TokenExchangeGrant.GRANT_TYPE]
    for endpoint in ("token", "introspection", "revocation"):
        assert found[f"{endpoint}_endpoint_auth_methods_supported"] == [
            "private_key_jwt",
            "client_secret_basic",
            "client_secret_post",
        ]
        assert found[f"{endpoint}_endpoint_auth_signing_alg_values_supported"] == ["ES256"]
    assert not any(name.startswith(("dpop", "tls", "authorization_")) for name in found)


@pytest.mark.standard("8414-3")
def test_there_is_no_response_type_and_the_document_says_so() -> None:
    """RFC 8414 §2 requires the member, §3.2 forbids it to be empty."""
    assert document(ISSUERS[0])["response_types_supported"] == ["none"]


@pytest.mark.standard("8414-6")
def test_it_cannot_be_taken_for_a_login() -> None:
    """No authorization endpoint, and no PKCE: an MCP client that looks for a login finds none."""
    found = document(ISSUERS[0])

    assert not {"authorization_endpoint", "code_challenge_methods_supported"} & found.keys()


def test_an_empty_array_is_left_out() -> None:
    """RFC 8414 §3.2: claims with no value are omitted."""
    found = metadata(ISSUERS[0], assertion_algorithms=frozenset({"ES256"}), scopes=frozenset())

    assert "scopes_supported" not in found
