"""What clients can find out by themselves: the authorization server's metadata (RFC 8414)."""

from urllib.parse import urlsplit

from delegation.web.clients import AUTH_METHODS
from delegation.web.grant import TokenExchangeGrant
from delegation.web.service import Service

WELL_KNOWN = "/.well-known/oauth-authorization-server"


def metadata_path(issuer: str) -> str:
    """Where the document is: the well-known path goes between host and path (RFC 8414 §3.1)."""
    return WELL_KNOWN + urlsplit(issuer).path.rstrip("/")


def metadata_of(service: Service) -> dict[str, object]:
    """The document of *service*: what it supports, and nothing else."""
    resources = service.registry().resources.values()
    return metadata(
        service.issuer,
        assertion_algorithms=service.assertion_algorithms,
        scopes=frozenset().union(*(resource.scopes for resource in resources)),
    )


def metadata(
    issuer: str, *, assertion_algorithms: frozenset[str], scopes: frozenset[str]
) -> dict[str, object]:
    """The document of *issuer*, which it names exactly as it is configured (RFC 8414 §3.3).

    `grant_types_supported` is never left to its default, which would be a lie. There is no
    authorization endpoint, and so no response type: the member is required (§2), an empty array is
    forbidden (§3.2), and "none" is what remains.
    """
    base = issuer.rstrip("/")
    document: dict[str, object] = {
        "issuer": issuer,
        "token_endpoint": f"{base}/token",
        "revocation_endpoint": f"{base}/revoke",
        "introspection_endpoint": f"{base}/introspect",
        "jwks_uri": f"{base}/jwks",
        "grant_types_supported": [TokenExchangeGrant.GRANT_TYPE],
        "response_types_supported": ["none"],
    }
    for endpoint in ("token", "revocation", "introspection"):
        # What is left out has a default (RFC 8414 §2), which would be a lie.
        document |= {
            f"{endpoint}_endpoint_auth_methods_supported": list(AUTH_METHODS),
            f"{endpoint}_endpoint_auth_signing_alg_values_supported": sorted(assertion_algorithms),
        }
    if scopes:
        document["scopes_supported"] = sorted(scopes)
    return document
