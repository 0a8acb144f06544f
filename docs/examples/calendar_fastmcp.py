"""The calendar's MCP server on FastMCP: it calls the calendar API for whoever asks."""

import os

import httpx2
from fastmcp import FastMCP
from fastmcp.server.auth import RemoteAuthProvider
from fastmcp.server.auth.providers.jwt import JWTVerifier

from delegation.client import DelegatedAuth
from delegation.client.fastmcp import DelegatedToken
from delegation.client.stepup import StepUpMiddleware

LOGIN, API = os.environ["LOGIN"], os.environ["CALENDAR_API"]
ME, CALENDAR = "https://calendar-mcp.example/mcp", "https://calendar.example/api"

login = JWTVerifier(
    jwks_uri=f"{LOGIN}/jwks",
    issuer=LOGIN,
    audience=ME,
    algorithm="ES256",
    required_scopes=["calendar:read"],
)
auth = RemoteAuthProvider(login, [LOGIN], base_url=ME.removesuffix("/mcp"))
server = FastMCP("calendar", auth=auth)
reading = DelegatedAuth(CALENDAR, scope="events.read", origins=[API])
calendar = httpx2.AsyncClient(base_url=API, auth=reading)


@server.tool
async def list_events() -> dict:
    """List the events in the user's calendar."""
    return (await calendar.get("/events")).json()


@server.tool
async def add_event(title: str, token: str = DelegatedToken(CALENDAR, "events.write")) -> dict:
    """Add an event to the user's calendar."""
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx2.AsyncClient(base_url=API, headers=headers) as writing:
        return (await writing.post("/events", params={"title": title})).json()


app = StepUpMiddleware(server.http_app(), resource=ME)
