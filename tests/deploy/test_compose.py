"""The compose file: it is one, nothing in it may do more than it must, and what it starts works."""

import json
import re
import subprocess
from contextlib import ExitStack
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from check_jsonschema.builtin_schemas import get_builtin_schema
from jsonschema import Draft7Validator

from delegation.audit.note import VerifierKey
from delegation.audit.segments import Directory
from delegation.audit.verify import verify
from tests.deploy.composed import DELEGATION, FILE, FOUND, SERVICES, Composed
from tests.deploy.instances import status
from tests.deploy.nginx import nginx
from tests.deploy.places import ROOT, prepare
from tests.integration.conftest import endpoint_of
from tests.resilience.load import wait_until
from tests.world import a_test_world

OURS = ("delegation", "admin", "sealer")

PREPARED = {"users.acl", "service.url", "admin.url", "sealer.url"}
"""What `prepare.py` makes; the page on deploying makes the others."""

WRITABLE = {("sealer", "/var/lib/delegation/audit"), ("valkey", "/data")}
"""Who may write where, but for what is gone with the container."""


def test_it_is_a_compose_file() -> None:
    """By the specification's own schema."""
    Draft7Validator(get_builtin_schema("vendor.compose-spec")).validate(FOUND)


@pytest.mark.parametrize("name", SERVICES)
def test_none_of_them_may_do_more_than_it_must(name: str) -> None:
    """Not root, no capability, nothing that can be written but what is named."""
    service = SERVICES[name]

    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["user"].partition(":")[0] not in {"root", "0"}
    assert not {"privileged", "cap_add", "pid", "ipc", "devices"} & service.keys()
    assert "healthcheck" in service or name in {"delegation", "demo", "world"}
    for volume in service.get("volumes", []):
        assert volume.endswith(":ro") or (name, volume.rpartition(":")[2]) in WRITABLE


def test_who_reaches_whom() -> None:
    """Strangers reach nginx, and nginx the service alone; the store is on its own."""
    joined = {name: set(service.get("networks", ())) for name, service in SERVICES.items()}
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}

    assert published == {
        "nginx": ["443:8443"],
        "admin": ["127.0.0.1:8081:8081"],
        "delegation": ["127.0.0.1:9090:9090"],
    }
    assert {name for name, networks in joined.items() if "front" in networks} == {
        "nginx",
        "delegation",
    }
    assert joined["nginx"] == {"front"}
    assert joined["valkey"] == joined["sealer"] == {"store"}
    assert FOUND["networks"]["store"] == {"internal": True}
    proxy = SERVICES["nginx"]["networks"]["front"]["ipv4_address"]
    settings = SERVICES["delegation"]["environment"]
    assert settings["DELEGATION_TRUSTED_PROXIES"] == f"{proxy}/32"
    [network] = FOUND["networks"]["front"]["ipam"]["config"]
    assert ip_address(proxy) in ip_network(network["subnet"])


def test_each_has_its_own_user_of_the_store() -> None:
    """And nobody has another's; the key that seals is the sealer's alone."""
    secrets = {
        name: {secret["source"]: secret["target"] for secret in SERVICES[name]["secrets"]}
        for name in OURS
    }
    with_keys = {
        name for name in SERVICES if "/etc/delegation/keys" in str(SERVICES[name].get("volumes"))
    }

    assert secrets == {
        "delegation": {"service_url": "store.url"},
        "admin": {"admin_url": "store.url"},
        "sealer": {"sealer_url": "store.url", "audit_key": "audit.key"},
    }
    assert with_keys == {"delegation", "admin"}


def test_no_secret_is_in_it(tmp_path: Path) -> None:
    """Its secrets are files; those that our own script makes have the names that it looks for."""
    prepare(tmp_path, store="redis://{user}@valkey:6379/0")
    named = {Path(secret["file"]).name for secret in FOUND["secrets"].values()}

    assert {path.name for path in tmp_path.iterdir()} == PREPARED
    assert named == (PREPARED - {"users.acl"}) | {"audit.key"}
    assert {oct(path.stat().st_mode & 0o777) for path in tmp_path.glob("*.url")} == {"0o600"}
    assert not re.search(r"(?i)password|dlg_|private", FILE.read_text())


def test_what_is_prepared_is_not_made_anew(tmp_path: Path) -> None:
    """Whoever runs it twice keeps what the store knows."""
    prepare(tmp_path, store="redis://{user}@valkey:6379/0")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}

    with pytest.raises(subprocess.CalledProcessError):
        prepare(tmp_path, store="redis://{user}@valkey:6379/0")

    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_what_is_mounted_from_here_is_here() -> None:
    """Every file of the project that it names."""
    named = re.findall(r"- \./(\S+?):", FILE.read_text())

    assert len(named) == 3
    assert all((ROOT / path).is_file() for path in named)


def test_the_services_stop_in_peace() -> None:
    """They are killed only after gunicorn's own patience."""
    text = (ROOT / "delegation/gunicorn.py").read_text()
    [patience] = re.findall(r"^graceful_timeout = (\d+)$", text, re.MULTILINE)

    for name in OURS:
        assert int(SERVICES[name]["stop_grace_period"].removesuffix("s")) > int(patience)


def test_the_demo_is_for_whoever_asks_for_it() -> None:
    """It does not start by itself, and reaches nobody."""
    for name in ("demo", "world"):
        assert SERVICES[name]["profiles"] == ["demo"]
        assert SERVICES[name]["network_mode"] == "none"
    script = SERVICES["demo"]["command"][1].replace("examples/", "docs/examples/")
    assert (ROOT / script).is_file()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_what_it_starts_works_together(tmp_path: Path) -> None:
    """Its commands and settings, on this machine: an exchange through nginx is sealed.

    The people, the clients and the keys are those of a world of tests.
    """
    (tmp_path / "world").mkdir()
    (tmp_path / "all").mkdir()
    with a_test_world(tmp_path / "world", workers=1) as world, ExitStack() as stack:
        settings = {
            "DELEGATION_ISSUER": world.world.url,
            "DELEGATION_REGISTRY": str(world.world.settings.registry),
            "DELEGATION_SIGNING_KEYS": str(world.world.settings.signing_keys),
            "DELEGATION_TRUSTED_PROXIES": "127.0.0.1/32",
            "DELEGATION_WORKERS": "1",
        }
        machine = Composed(directory=tmp_path / "all", settings=settings)
        verifier = _new_audit_key(machine.directory / "audit.key")
        stack.enter_context(machine.valkey())
        wait_until(lambda: machine.run("admin", "ledger", "init"))
        for name in OURS:
            stack.enter_context(machine.service(name))
        for setting, port in machine.ports.items():
            path = "/metrics" if "METRICS" in setting else "/readyz"
            wait_until(lambda port=port, path=path: status(port, path) == 200)
        front = stack.enter_context(nginx(tmp_path / "n", machine.ports["DELEGATION_BIND"]))

        answer = front.exchange(endpoint_of(world))

        segments = Directory(machine.directory / "audit")
        wait_until(lambda: bool(segments.numbers()))
    [record] = [json.loads(line) for line in segments.lines(1) if b'"client"' in line]
    assert answer.status == 200
    assert record["event"]["decision"] == answer.header("Delegation-Decision")
    assert verify(segments, [verifier]).gaps == 0


def _new_audit_key(path: Path) -> VerifierKey:
    command = [DELEGATION, "audit", "new-key", path, "--name", "sts.example.com/audit"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603
    return VerifierKey.parse(said.rpartition(": ")[2].strip())
