"""The page on deploying is true: what can be done here is done, and what it names is there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from delegation.jose.keyring import Keyring
from delegation.registry.loader import load
from tests.deploy.composed import SERVICES
from tests.deploy.places import DEPLOY, ROOT
from tests.deploy.test_kubernetes import MANIFESTS, PODS
from tests.docs.pages import blocks

PAGE = ROOT / "docs/how-to/deploy.md"
TEXT = PAGE.read_text("utf-8")
SHELL = "\n".join(text for language, text in blocks(PAGE) if language == "sh")


@pytest.mark.slow
def test_what_you_make_first(tmp_path: Path) -> None:
    """Every command of that kind is run, in order; then what the table lists is there."""
    (tmp_path / "deploy").symlink_to(DEPLOY)
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    for language, text in blocks(PAGE):
        if language == "console":
            subprocess.run(  # noqa: S603, they are our own
                ["bash", "-e", "-c", text],  # noqa: S607
                cwd=tmp_path,
                env=environment,
                check=True,
                capture_output=True,
            )

    named = {name for name in re.findall(r"`(secrets/[\w./]+)`", TEXT) if "/tls/" not in name}
    assert len(named) == 6
    assert all((tmp_path / name).is_file() for name in named)
    assert len(Keyring.load(tmp_path / "secrets/keys/keys.json").keys) == 2
    assert load(tmp_path / "registry", issuer="https://sts.example.com").clients


def test_what_it_names_is_there() -> None:
    """Files of the project, services of the compose file, secrets and names of the cluster."""
    for path in re.findall(r"\b(deploy/[\w./-]*\w)", TEXT):
        assert (ROOT / path).exists(), path
    for service in re.findall(r"docker compose (?:run|exec)(?: --\w+)* (\w+)", TEXT):
        assert service in SERVICES
    assert set(re.findall(r"--from=cronjob/(\S+)", SHELL)) == {"delegation-ledger-init"}
    assert "CronJob/delegation-ledger-init" in MANIFESTS
    units = re.findall(r"enable --now (.*)", SHELL)[0].split()
    assert {f"{unit}.service" for unit in units} == {
        path.name for path in (DEPLOY / "systemd").glob("*.service")
    }


def test_every_secret_of_the_cluster_is_made() -> None:
    """Each that a pod mounts, with the name that the settings look for."""
    mounted = {
        volume["secret"]["secretName"]
        for pod in PODS.values()
        for volume in pod["spec"]["volumes"]
        if "secret" in volume
    }
    made = dict(re.findall(r"secret generic (\S+) --from-file=([\w.]+)=secrets/", SHELL))

    assert made.keys() == mounted
    assert {made[name] for name in mounted if "store" in name} == {"url"}
    assert (made["delegation-keys"], made["delegation-audit-key"]) == ("keys.json", "audit.key")


def test_every_user_of_the_store_is_explained() -> None:
    """The table has them all."""
    rules = (DEPLOY / "valkey/users.acl").read_text()
    users = set(re.findall(r"^user (\S+)", rules, re.MULTILINE)) - {"default"}

    assert users == set(re.findall(r"^\| `([\w-]+)` \| ", TEXT, re.MULTILINE))
