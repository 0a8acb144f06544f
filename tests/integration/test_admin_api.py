"""The admin API as a process of its own, beside the service that it administers."""

import json
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest

from delegation import wiring
from delegation.dev.cast import CALENDAR_API, CALENDAR_MCP
from delegation.dev.world import World, running_world
from delegation.domain.administration import Capability
from delegation.domain.registry import usual_admin_audience
from delegation.domain.tokens import format_scope
from delegation.settings import Settings
from tests.cli.command import run

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"


@pytest.fixture(name="world", scope="module")
def _world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Both processes, and all they need."""
    directory = tmp_path_factory.mktemp("world")
    directory.chmod(0o700)
    with running_world(directory, admin=True) as world:
        yield world


def admin_token(world: World, scope: str = format_scope(Capability)) -> str:
    """One of *carol*, an administrator."""
    return world.issuer.token(
        user="carol", agent="console", audience=usual_admin_audience(world.url), scope=scope
    )


def ask(world: World, method: str, path: str, *, token: str = "", **options: Any) -> Any:
    """Ask as *carol*."""
    headers = {"Authorization": f"Bearer {token or admin_token(world)}"}
    with httpx2.Client(trust_env=False, timeout=10) as http:
        return http.request(method, f"{world.admin_url}/admin/v1{path}", headers=headers, **options)


def login(world: World, user: str) -> str:
    """A token for the calendar's MCP server."""
    return world.issuer.token(
        user=user,
        agent="desk-agent",
        audience=CALENDAR_MCP,
        scope="calendar:read",
        groups=["staff"],
    )


def exchange(world: World, token: str, **changes: str) -> httpx2.Response:
    """Trade it, for the calendar API."""
    form: Mapping[str, str] = {
        "grant_type": EXCHANGE,
        "subject_token": token,
        "subject_token_type": ACCESS_TOKEN,
        "resource": CALENDAR_API,
    }
    secret = world.secrets["calendar-mcp"]
    with httpx2.Client(trust_env=False, timeout=10) as http:
        return http.post(
            f"{world.url}/token", data={**form, **changes}, auth=("calendar-mcp", secret)
        )


@pytest.mark.standard("REV-1", "REV-3")
def test_stopping_somebody(world: World) -> None:
    """Seen in one process, stopped there, refused at the other at once; and let go again."""
    token = login(world, "alice")
    issued = exchange(world, token)
    subject = {"format": "iss_sub", "iss": world.issuer.url, "sub": "alice"}
    query = {"subject_issuer": world.issuer.url, "subject": "alice", "state": "alive"}
    seen = ask(world, "GET", "/exchanges", params=query).json()["items"]

    stop = {"target": {"kind": "subject", "subject": subject}, "reason": "stolen laptop"}
    made = ask(world, "POST", "/locks", json=stop)
    refused = exchange(world, token)
    left = ask(world, "GET", "/exchanges", params=query).json()["items"]
    lock = made.json()["lock"]["id"]
    lifted = ask(world, "POST", f"/locks/{lock}/lift", json={"reason": "found", "mistaken": True})

    assert issued.status_code == 200
    assert issued.headers["Delegation-Decision"] in {one["id"] for one in seen}
    assert made.status_code == 201
    assert (refused.status_code, refused.json()["reason"]) == (400, "not_permitted")
    assert left == []
    assert lifted.status_code == 200
    assert exchange(world, token).status_code == 200


def test_our_own_delegated_token_presented_to_the_admin_api_refuses(world: World) -> None:
    """What the service issues opens nothing here; nor is anything issued for the admin API."""
    issued = exchange(world, login(world, "bob")).json()["access_token"]
    for_admin = exchange(world, login(world, "bob"), resource=usual_admin_audience(world.url))

    answer = ask(world, "GET", "/exchanges", token=issued)

    assert answer.status_code == 401
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
    assert (for_admin.status_code, for_admin.json()["error"]) == (400, "invalid_target")


def test_workers_report(world: World) -> None:
    """Each worker of the service says which registry it runs, and that it is ready."""
    deadline = time.monotonic() + 20
    while len(workers := ask(world, "GET", "/workers").json()["items"]) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.1)

    assert {worker["status"] for worker in workers} == {"ready"}
    assert len({worker["revision"] for worker in workers}) == 1
    assert len({worker["id"] for worker in workers}) == 2


def test_its_keys_are_those_of_the_service(world: World) -> None:
    """The same that APIs find."""
    with httpx2.Client(trust_env=False) as http:
        published = http.get(f"{world.url}/jwks").json()["keys"]

    keys = ask(world, "GET", "/keys").json()["items"]

    assert [key["jwk"] for key in keys] == published


def test_the_metadata_leads_here(world: World) -> None:
    """RFC 9728: where the challenge points, behind whatever stands before both processes."""
    challenge = ask(world, "GET", "/locks", token="x").headers["WWW-Authenticate"]
    where = challenge.partition('resource_metadata="')[2].partition('"')[0]

    with httpx2.Client(trust_env=False) as http:
        found = http.get(where.replace(world.url, str(world.admin_url))).json()

    assert found["resource"] == usual_admin_audience(world.url)
    assert found["authorization_servers"] == [world.issuer.url]


@pytest.mark.standard("REV-1")
def test_commands_from_afar_and_on_the_spot(world: World, tmp_path: Path) -> None:
    """What the one stops, the other sees: there is one truth."""
    token = login(world, "dora")
    issued = exchange(world, token).headers["Delegation-Decision"]
    file = tmp_path / "token"
    file.write_text(admin_token(world))
    api = ("--api", str(world.admin_url), "--token-file", str(file), "--output", "json")
    here = world.environment

    stopped = run("revoke", issued, "--reason", "a test", *api)
    seen = run("tree", issued, "--output", "json", environment=here)
    on = run("kill-switch", "on", "--reason", "a test", environment=here)
    nothing = exchange(world, token)
    off = run("kill-switch", "off", "--reason", "a test", "--mistaken", *api)

    assert [ran.status for ran in (stopped, seen, on, off)] == [0, 0, 0, 0], (stopped, on, off)
    assert json.loads(seen.out)["state"] == "dead"
    assert nothing.status_code == 400
    assert exchange(world, login(world, "dora")).status_code == 200


def test_a_plan_against_what_is_in_force(world: World, tmp_path: Path) -> None:
    """The files as they are change nothing; one that is changed tells of that alone."""
    files = tmp_path / "registry"
    shutil.copytree(world.settings.registry, files)
    environment = {
        "DELEGATION_ADMIN_API": str(world.admin_url),
        "DELEGATION_ADMIN_TOKEN": admin_token(world, "registry.read"),
    }
    same = run("registry", "plan", str(files), environment=environment)
    file = files / "world.yaml"
    file.write_text(file.read_text().replace("lifetime: 300", "lifetime: 600", 1))

    wider = run("registry", "plan", str(files), "--detailed-exitcode", environment=environment)

    assert (same.status, same.out) == (0, "Nothing changes.\n")
    assert wider.status == 2
    assert "wider     lifetime: + 600 s  - 300 s\n" in wider.out
    assert "Changes: 1 wider, 0 narrower, 0 both, 0 same.\n" in wider.out


def test_on_the_spot_the_files_are_what_is_in_force(world: World, tmp_path: Path) -> None:
    """As the running admin API has them; where they cannot be read, nothing is."""
    (tmp_path / "broken.yaml").write_text("grants: none")
    settings = replace(world.settings, registry=tmp_path)

    def here(settings: Settings) -> Any:
        app = wiring.local_admin_application(settings, world.store, user="ann")
        return app.test_client().get("/admin/v1/registry")

    assert here(world.settings).json == ask(world, "GET", "/registry").json()
    assert here(settings).status_code == 503


def test_nothing_of_a_token_is_logged(world: World) -> None:
    """Neither what was accepted nor what was not."""
    token = admin_token(world, "locks.read")
    ask(world, "GET", "/locks", token=token)
    ask(world, "GET", "/exchanges", token=token + "x")

    log = (world.directory / "admin.log").read_text()

    assert "administrator_rejected" in log
    for part in token.split("."):
        assert part not in log
