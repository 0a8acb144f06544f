"""The calendar's MCP server on the MCP SDK: it calls the calendar API for whoever asks."""

import os

import httpx2
from mcp.server import MCPServer
from mcp.server.auth.provider import AccessToken
from mcp.server.auth.settings import AuthSettings

from delegation.client import DelegatedAuth
from delegation.client.bearer import InvalidToken
from delegation.client.mcp import on_behalf_of
from delegation.client.resource_server import ResourceServer
from delegation.client.stepup import StepUpMiddleware

LOGIN, API = os.environ["LOGIN"], os.environ["CALENDAR_API"]
ME, CALENDAR = "https://calendar-mcp.example/mcp", "https://calendar.example/api"


class Login:
    """The tokens that the login gives out for this server."""

    def __init__(self):
        self.tokens = ResourceServer(issuer=LOGIN, resource=ME, actor_required=False)

    async def verify_token(self, token):
        try:
            found = await self.tokens.verify_async(token)
        except InvalidToken:
            return None
        return AccessToken(
            token=token,
            client_id=found.client_id,
            scopes=sorted(found.scope),
            expires_at=int(found.expires_at.timestamp()),
            resource=ME,
            subject=found.subject.subject,
            claims={"iss": found.subject.issuer},
        )


server = MCPServer(
    "calendar",
    token_verifier=Login(),
    auth=AuthSettings(
        issuer_url=LOGIN,
        resource_server_url=ME,
        required_scopes=["calendar:read"],
        validate_token_resource=True,
    ),
)
reading = DelegatedAuth(CALENDAR, scope="events.read", origins=[API])
calendar = httpx2.AsyncClient(base_url=API, auth=reading)


@server.tool()
async def list_events() -> dict:
    """List the events in the user's calendar."""
    return (await calendar.get("/events")).json()


@server.tool()
@on_behalf_of(CALENDAR, "events.write")
async def add_event(title: str, token: str) -> dict:
    """Add an event to the user's calendar."""
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx2.AsyncClient(base_url=API, headers=headers) as writing:
        return (await writing.post("/events", params={"title": title})).json()


app = StepUpMiddleware(server.streamable_http_app(), resource=ME)
