"""`delegation dev`: a development world that stands until it is told to stop."""

import os
import shlex
from collections.abc import Callable
from pathlib import Path
from threading import Event

from delegation.dev.cast import CALENDAR_API, CALENDAR_MCP
from delegation.dev.issuer import DevelopmentIssuer
from delegation.dev.kept import Damaged, Directory, Facts, Occupied, write_private
from delegation.dev.service import DidNotStart
from delegation.dev.signals import until_told
from delegation.dev.world import World, running_world
from delegation.domain.administration import Capability
from delegation.domain.registry import usual_admin_audience
from delegation.domain.tokens import format_scope

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


def admin_token(env_file: Path, *, user: str, lifetime: int) -> str:
    """A token of the same issuer that opens the admin API, for everything. Raises `NoWorld`."""
    issuer, facts = _issuer(env_file)
    return issuer.token(
        user=user,
        agent="delegation",
        audience=usual_admin_audience(f"http://127.0.0.1:{facts.port}"),
        scope=format_scope(Capability),
        lifetime=lifetime,
    )


def subject_token(
    env_file: Path, *, user: str, agent: str, scope: str, audience: str | None, lifetime: int
) -> str:
    """A token of the development issuer whose world is kept beside *env_file*. Raises `NoWorld`."""
    issuer, _ = _issuer(env_file)
    return issuer.token(
        user=user,
        agent=agent,
        scope=scope,
        audience=audience or CALENDAR_MCP,
        lifetime=lifetime,
        groups=["staff"],
    )


def _issuer(env_file: Path) -> tuple[DevelopmentIssuer, Facts]:
    """The issuer of the world that is kept beside *env_file*, and its facts. Raises `NoWorld`."""
    kept = Directory.beside(env_file)
    if not kept.facts.exists() or not kept.issuer_key.exists():
        raise NoWorld(f"there is no world beside {env_file}: start one with `delegation dev`")
    try:
        facts = kept.read_facts()
        url = f"http://127.0.0.1:{facts.issuer_port}"
        return DevelopmentIssuer(url, kept.read_issuer_key()), facts
    except Damaged as error:
        raise NoWorld(str(error)) from error


def _stand(
    kept: Directory, env_file: Path, *, port: int, say: Callable[[str], None], told: Event
) -> None:
    with running_world(kept.path, port=port, told=told, admin=True) as world:
        write_private(env_file, _environment(world))
        try:
            say(_greeting(world, env_file))
            while not told.wait(_LOOK):
                if world.process.poll() is not None:
                    raise DidNotStart(f"the service has stopped: see {kept.log}")
                if world.admin_process is not None and world.admin_process.poll() is not None:
                    raise DidNotStart(f"the admin API has stopped: see {kept.admin_log}")
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
        "DELEGATION_ADMIN_API": str(world.admin_url),
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
Its admin API  {world.admin_url}
Its registry   {world.settings.registry}  (edit it; it is read anew)
An issuer      {world.issuer.url}
For a client   {env_file}

Try:
  set -a; . {sourced}; set +a
  delegation dev token --user alice --env-file {file} | delegation exchange --subject-token -
  export DELEGATION_ADMIN_TOKEN=$(delegation dev token --user security --admin --env-file {file})
  delegation exchanges

Ctrl-C stops it."""
