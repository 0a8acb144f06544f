"""All examples at once, on real parts: Alice's agent, an MCP server in each framework, an API.

`make demo-mcp` runs it. It ends with an error where a step does not behave.
"""

import asyncio
import importlib
import logging
import os
import tempfile
import threading
from contextlib import ExitStack, contextmanager
from pathlib import Path
from socket import create_server

import agent
import uvicorn

from delegation import wiring
from delegation.dev.cast import CALENDAR_MCP
from delegation.dev.world import running_world
from delegation.domain.administration import Stop
from delegation.domain.locks import Target
from delegation.domain.parties import Identity
from delegation.registry.loader import load

SERVERS = {"calendar_mcp": "the MCP SDK", "calendar_fastmcp": "FastMCP"}


@contextmanager
def serving(app):
    """Serve an ASGI app on a free port of this machine; its URL."""
    with create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_config=None))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


class Play:
    """One agent at one MCP server."""

    def __init__(self, world, url):
        self.world, self.url = world, url
        self.allowed = {"calendar:read", "calendar:write"}

    def ask(self, scope):
        """What Alice is asked for, in her browser. She may allow less."""
        given = " ".join(each for each in scope.split() if each in self.allowed)
        print(f"    Alice is asked for {scope}, and allows {given}")
        return self.world.issuer.token(
            user="alice", agent="desk-agent", audience=CALENDAR_MCP, scope=given, groups=["staff"]
        )

    def call(self, tool, expected, **arguments):
        """Call a tool, and see that the answer is what is *expected*."""
        said = asyncio.run(agent.call(f"{self.url}/mcp", tool, arguments, self.ask))
        print(f"  {tool}: {' '.join(said.split())}")
        if expected not in said:
            raise SystemExit(f"{expected!r} was expected")

    def story(self):
        """Read; write, and be asked for more; write, and not be given it."""
        self.call("list_events", "calendar-mcp")
        self.call("add_event", "Lunch", title="Lunch")
        self.allowed.remove("calendar:write")
        self.call("add_event", "more scope: calendar:write", title="Dinner")


def lock(world):
    """Stop everything that is done for Alice."""
    settings = world.settings
    registry = load(settings.registry, issuer=settings.issuer)
    alice = Target.subject(Identity(world.issuer.url, "alice"))
    security = wiring.administration(world.store, lambda: registry)
    security.stop(Stop(target=alice, reason="demo"), author="demo")


def main():
    """Play the story at both servers, and then stop it."""
    logging.disable(logging.CRITICAL)
    with ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="delegation-"))
        world = stack.enter_context(running_world(Path(directory)))
        os.environ |= {
            "DELEGATION_ISSUER": world.url,
            "DELEGATION_CLIENT_ID": "calendar-mcp",
            "DELEGATION_CLIENT_SECRET": world.secrets["calendar-mcp"],
            "CALENDAR_API_SECRET": world.secrets["calendar-api"],
            "LOGIN": world.issuer.url,
        }
        api = importlib.import_module("api_fastapi").app
        os.environ["CALENDAR_API"] = stack.enter_context(serving(api))
        plays = []
        for module, framework in SERVERS.items():
            url = stack.enter_context(serving(importlib.import_module(module).app))
            plays.append(Play(world, url))
            print(f"\nAlice's agent at the calendar's MCP server, on {framework}")
            plays[-1].story()
        print("\nSecurity puts a lock on Alice")
        lock(world)
        for play in plays:
            play.call("list_events", "not permitted")
    print("\nEvery step behaved.")


if __name__ == "__main__":
    main()
