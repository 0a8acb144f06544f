"""Who is in the development world: a registry that tells one company's story."""

from collections.abc import Mapping
from typing import Any

from delegation.dev.issuer import DevelopmentIssuer
from delegation.registry.secrets import digest

CALENDAR_MCP = "https://calendar-mcp.example/mcp"
NOTES_MCP = "https://notes-mcp.example/mcp"
CALENDAR_API = "https://calendar.example/api"
ROOMS_API = "https://rooms.example/api"
PAYROLL_API = "https://payroll.example/api"

CLIENTS = ("calendar-mcp", "notes-mcp", "calendar-api")


def story(issuer: DevelopmentIssuer, secrets: Mapping[str, str]) -> dict[str, Any]:
    """People of one company, an MCP server for their calendar, and the APIs behind it.

    *secrets* are those of the `CLIENTS`, by id.
    """
    return {
        "issuers": [
            {
                "issuer": issuer.url,
                "alias": "corp",
                "jwks_uri": issuer.jwks_uri,
                "algorithms": ["ES256"],
                "claims": {"groups": "groups"},
                "private_network": True,
            }
        ],
        "admin_issuers": [
            {
                "issuer": issuer.url,
                "alias": "corp",
                "jwks_uri": issuer.jwks_uri,
                "algorithms": ["ES256"],
                "private_network": True,
            }
        ],
        "clients": [
            _client("calendar-mcp", CALENDAR_MCP, secrets),
            _client("notes-mcp", NOTES_MCP, secrets),
            _client("calendar-api", CALENDAR_API, secrets),
        ],
        "resources": [
            {
                "identifier": CALENDAR_API,
                "names": ["calendar"],
                "scopes": ["events.read", "events.write"],
                "clients": {"calendar-mcp": ["events.read", "events.write"]},
            },
            {
                "identifier": ROOMS_API,
                "names": ["rooms"],
                "scopes": ["rooms.read", "rooms.book"],
                "clients": {"calendar-api": ["rooms.read"]},
            },
            {
                "identifier": PAYROLL_API,
                "names": ["payroll"],
                "scopes": ["salaries.read"],
            },
        ],
        "grants": [
            {
                "id": "calendar-for-staff",
                "client": "calendar-mcp",
                "subjects": [{"issuer": "corp", "claims": {"groups": ["staff"]}}],
                "agents": ["desk-agent"],
                "resource": CALENDAR_API,
                "scopes": {
                    "calendar:read": ["events.read"],
                    "calendar:write": ["events.read", "events.write"],
                },
                "lifetime": 300,
                "expires": "never",
            },
            {
                "id": "rooms-for-calendar",
                "client": "calendar-api",
                "subjects": [{"issuer": "corp", "people": ["alice", "bob"]}],
                "agents": ["calendar-mcp"],
                "resource": ROOMS_API,
                "scopes": {"events.read": ["rooms.read"]},
                "lifetime": 120,
                "expires": "never",
            },
        ],
    }


def _client(id: str, audience: str, secrets: Mapping[str, str]) -> dict[str, Any]:  # noqa: A002
    return {"id": id, "audience": audience, "secrets": [digest(secrets[id])], "exchange": True}
