"""`delegation dev`: a development world that stands until it is told to stop."""

import os
import shlex
from collections.abc import Callable
from pathlib import Path
from threading import Event

from delegation.dev.cast import CALENDAR_API, CALENDAR_MCP
from delegation.dev.issuer import DevelopmentIssuer
from delegation.dev.kept import Damaged, Directory, Occupied, write_private
from delegation.dev.service import DidNotStart
from delegation.dev.signals import until_told
from delegation.dev.world import World, running_world

_LOOK = 0.5
"""Seconds between two looks at whether the service still runs."""


class NoWorld(Exception):
    """There is no development world where one was looked for; the message says what to do."""


def stand(env_file: Path, *, port: int, say: Callable[[str], None]) -> None:
    """Run a world, kept beside *env_file*, until it is told to stop. Raises `DidNotStart`.

    *env_file* is for a client of the service: it is there while the world stands.
    """
    kept = Directory.beside(env_file)
    with until_told() as told:
        try:
            with kept.alone():
                env_file.unlink(missing_ok=True)
                _stand(kept, env_file, port=port, say=say, told=told)
        except Occupied:
            raise DidNotStart(
                f"a world stands at {kept.path} already: "
                "stop it, or choose another place with --env-file"
            ) from None
        except Damaged as error:
            raise DidNotStart(str(error)) from error
        except DidNotStart:
            if not told.is_set():
                raise
    say("Stopped.")


def subject_token(
    env_file: Path, *, user: str, agent: str, scope: str, audience: str | None, lifetime: int
) -> str:
    """A token of the development issuer whose world is kept beside *env_file*. Raises `NoWorld`."""
    kept = Directory.beside(env_file)
    if not kept.facts.exists() or not kept.issuer_key.exists():
        raise NoWorld(f"there is no world beside {env_file}: start one with `delegation dev`")
    try:
        port = kept.read_facts().issuer_port
        issuer = DevelopmentIssuer(f"http://127.0.0.1:{port}", kept.read_issuer_key())
    except Damaged as error:
        raise NoWorld(str(error)) from error
    return issuer.token(
        user=user,
        agent=agent,
        scope=scope,
        audience=audience or CALENDAR_MCP,
        lifetime=lifetime,
        groups=["staff"],
    )


def _stand(
    kept: Directory, env_file: Path, *, port: int, say: Callable[[str], None], told: Event
) -> None:
    with running_world(kept.path, port=port, told=told) as world:
        write_private(env_file, _environment(world))
        try:
            say(_greeting(world, env_file))
            while not told.wait(_LOOK):
                if world.process.poll() is not None:
                    raise DidNotStart(f"the service has stopped: see {kept.log}")
        finally:
            env_file.unlink(missing_ok=True)


def _environment(world: World) -> str:
    """What a client needs for an exchange that works, as lines that a shell can read."""
    values = {
        "DELEGATION_ISSUER": world.url,
        "DELEGATION_TOKEN_ENDPOINT": f"{world.url}/token",
        "DELEGATION_JWKS_URI": f"{world.url}/jwks",
        "DELEGATION_CLIENT_ID": "calendar-mcp",
        "DELEGATION_CLIENT_SECRET": world.secrets["calendar-mcp"],
        "DELEGATION_OTHER_CLIENT_ID": "notes-mcp",
        "DELEGATION_OTHER_CLIENT_SECRET": world.secrets["notes-mcp"],
        "DELEGATION_RESOURCE": CALENDAR_API,
        "DELEGATION_SCOPE": "events.read",
        "DELEGATION_REGISTRY": str(world.settings.registry.resolve()),
    }
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in values.items())


def _greeting(world: World, env_file: Path) -> str:
    file = shlex.quote(str(env_file))
    # With a slash in any case: `.` looks along PATH for a bare name.
    sourced = shlex.quote(os.path.join(".", env_file))  # noqa: PTH118, pathlib drops the dot
    return f"""\
NOT FOR PRODUCTION: keys and secrets of this world lie in {world.directory}, and anyone on this
machine who can read them can be anyone.

The service    {world.url}
Its registry   {world.settings.registry}  (edit it; it is read anew)
An issuer      {world.issuer.url}
For a client   {env_file}

Try:
  set -a; . {sourced}; set +a
  delegation dev token --user alice --env-file {file} | delegation exchange --subject-token -

Ctrl-C stops it."""
