"""Probes of the real service: the page on probing is true, and all is as it should be."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from delegation.dev.world import World, running_world
from delegation.probe.catalogue import PROBES
from delegation.registry.secrets import digest, new_secret
from tests.cli.command import Ran, run
from tests.docs.pages import ROOT, alike, blocks, table

PAGE = ROOT / "docs/how-to/probe-a-running-service.md"


def _blocks(language: str) -> list[str]:
    return [text for kind, text in blocks(PAGE) if kind == language]


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """A world with the registry of the page, and the environment that the page sets."""

    world: World
    environment: Mapping[str, str] = field(repr=False)

    def probe(self, *arguments: str) -> Ran:
        """Run it as the page has it."""
        return run("probe", *arguments, environment=self.environment)


@pytest.fixture(name="probed", scope="module")
def _probed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Probed]:
    directory, place = tmp_path_factory.mktemp("world"), tmp_path_factory.mktemp("probe")
    directory.chmod(0o700)
    entries: dict[str, Any] = yaml.safe_load(_blocks("yaml")[0])
    secrets = {client["id"]: new_secret() for client in entries["clients"]}
    for client in entries["clients"]:
        client["secrets"] = [digest(secrets[client["id"]])]
    with running_world(directory, workers=2, entries=entries) as world:
        held = {name.removeprefix("probe-"): secret for name, secret in secrets.items()}
        for name, lifetime in (("subject-token", 3600), ("expired-token", -60)):
            held[name] = world.issuer.token(
                user="probe",
                agent="probe-login",
                audience="https://probe.example.com/mcp",
                scope="probe",
                lifetime=lifetime,
            )
        for name, content in held.items():
            (place / name).write_text(content)
        yield Probed(world=world, environment=_environment(place, world))


def _environment(place: Path, world: World) -> dict[str, str]:
    """What the page exports, with files and a service that are there."""
    exported = dict(re.findall(r"^export (\w+)=(.*)$", _blocks("console")[1], re.MULTILINE))
    here = {
        name: str(place / Path(value).name)
        for name, value in exported.items()
        if name.endswith("_FILE")
    }
    return exported | here | {"DELEGATION_ISSUER": world.url}


def test_the_registry_of_the_page(tmp_path: Path) -> None:
    """Beside a trusted issuer, it is laid out as it should be, and nothing is odd about it."""
    (tmp_path / "probe.yaml").write_text(_blocks("yaml")[0])
    (tmp_path / "corp.yaml").write_text("""\
issuers:
  - issuer: https://login.example.com
    alias: corp
    jwks_uri: https://login.example.com/jwks
    algorithms: [ES256]
""")

    linted = run("registry", "lint", str(tmp_path), "--issuer", "https://sts.example.com")

    assert (linted.status, linted.out) == (0, "2 ignored in 2 files.\n")
    assert run("registry", "fmt", "--check", str(tmp_path)).status == 0


def test_all_is_as_it_should_be(probed: Probed) -> None:
    """Everything is tried that can be without https, and nothing is found."""
    ran = probed.probe("--with-alarms", "--output", "json")

    assert (ran.status, ran.err) == (0, "")
    verdicts = {one["probe"]: one["verdict"] for one in json.loads(ran.out)["probes"]}
    assert verdicts.pop("plain_http") == "skipped"
    assert {name for name, verdict in verdicts.items() if verdict != "ok"} == set()


def test_what_it_leaves_behind(probed: Probed) -> None:
    """What rings is what the page says, and no token that was issued is alive."""
    log = probed.world.directory / "service.log"
    before = len(log.read_text())

    assert probed.probe("--with-alarms").status == 0

    lines = [json.loads(line) for line in log.read_text()[before:].splitlines() if line[:1] == "{"]
    alarms = [line["cause"] for line in lines if line["event"] == "alarm"]
    assert sorted(alarms) == ["lineage_dead", *["presented_by_another_client"] * 3]
    held = run("exchanges", "--output", "json", environment=probed.world.environment)
    assert {one["state"] for one in json.loads(held.out)["items"]} == {"dead"}


def test_nothing_rings_unasked(probed: Probed) -> None:
    """The page counts what is skipped every minute, besides what takes https."""
    log = probed.world.directory / "service.log"
    before = len(log.read_text())

    ran = probed.probe()

    assert ran.status == 0
    assert '"alarm"' not in log.read_text()[before:]
    skipped = [line.split()[1] for line in ran.out.splitlines() if line.startswith("skipped")]
    skipped.remove("plain_http")
    assert len(skipped) == 4


def test_development(probed: Probed) -> None:
    """The settings of a client of the development world are enough, and show what the page does."""
    world = probed.world
    token = world.issuer.token(
        user="probe",
        agent="desk-agent",
        audience="https://calendar-mcp.example/mcp",
        scope="calendar:read",
        groups=["staff"],
    )
    ran = run(
        "probe",
        *("--subject-token-command", f"echo {token}"),
        environment={
            "DELEGATION_ISSUER": world.url,
            "DELEGATION_TOKEN_ENDPOINT": f"{world.url}/token",
            "DELEGATION_CLIENT_ID": "calendar-mcp",
            "DELEGATION_CLIENT_SECRET": world.secrets["calendar-mcp"],
            "DELEGATION_OTHER_CLIENT_ID": "notes-mcp",
            "DELEGATION_OTHER_CLIENT_SECRET": world.secrets["notes-mcp"],
            "DELEGATION_RESOURCE": "https://calendar.example/api",
            "DELEGATION_SCOPE": "events.read",
        },
    )

    assert (ran.status, ran.err) == (0, "")
    assert alike(
        "\n".join(line.rstrip() for line in ran.out.strip().split("\n")), _blocks("text")[0].strip()
    )


def test_the_page_names_everything(probed: Probed, tmp_path: Path) -> None:
    """Every probe and every metric, and no others; its alerts are of metrics that there are."""
    page = PAGE.read_text("utf-8")
    listed = {
        name for row in table(page, "probe", "it takes") for name in re.findall("`(.+?)`", row[0])
    }
    file = tmp_path / "probe.prom"
    assert probed.probe("--metrics-file", str(file)).status == 0
    written = set(re.findall(r"^# TYPE (\w+)", file.read_text(), re.MULTILINE))
    (rules,) = yaml.safe_load(_blocks("yaml")[1])["groups"]

    assert listed == {probe.name for probe in PROBES}
    assert {row[0].strip("`") for row in table(page, "metric", "says")} == written
    for rule in rules["rules"]:
        assert set(re.findall(r"delegation_\w+", rule["expr"])) <= written
