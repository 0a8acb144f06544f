"""An agent of Alice's: it calls one tool of an MCP server, and asks her where that takes more.

For example: `python docs/examples/agent.py http://127.0.0.1:8003/mcp list_events`
"""

import asyncio
import re
import subprocess
import sys

import httpx2
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

INSUFFICIENT = re.compile(r'error="insufficient_scope", scope="([^"]*)"')


class Consent(httpx2.Auth):
    """Shows a token, and gets another where a challenge says that more scope is needed."""

    def __init__(self, ask):
        self.ask, self.token = ask, ask("calendar:read")

    def auth_flow(self, request):
        request.headers["Authorization"] = f"Bearer {self.token}"
        answer = yield request
        more = INSUFFICIENT.search(answer.headers.get("WWW-Authenticate", ""))
        if answer.status_code == httpx2.codes.FORBIDDEN and more:
            self.token = self.ask(more[1])
            request.headers["Authorization"] = f"Bearer {self.token}"
            yield request


def ask(scope):
    """What a login does in a browser, the development world does by a command."""
    print("Alice is asked for:", scope)
    command = ["delegation", "dev", "token", "--user", "alice", "--scope", scope]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


async def call(url, tool, arguments, ask=ask):
    """What the tool says, or why it says nothing."""
    async with (
        httpx2.AsyncClient(auth=Consent(ask)) as http,
        Client(streamable_http_client(url, http_client=http)) as client,
    ):
        try:
            return (await client.call_tool(tool, arguments)).content[0].text
        except MCPError as error:
            return f"Refused: {error}"


if __name__ == "__main__":
    url, tool, *arguments = sys.argv[1:]
    print(asyncio.run(call(url, tool, dict(each.split("=") for each in arguments))))
