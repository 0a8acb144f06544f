"""The manifests: each is what its kind says, may do no more than it must, and fits the others."""

import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from delegation.registry.loader import load
from tests.deploy.dockerfile import stages
from tests.deploy.places import DEPLOY, ROOT, documents

BASE = DEPLOY / "kubernetes/base"
MONITORING = DEPLOY / "kubernetes/monitoring"
VERSIONS = ("1.30", "1.37")
"""From the oldest that lets a pod sleep before it is stopped, to the newest."""

Manifest = dict[str, Any]


def listed(directory: Path) -> Iterator[Path]:
    """The files that a kustomization puts together."""
    [kustomization] = documents(directory / "kustomization.yaml")
    for name in kustomization["resources"]:
        yield directory / name


@cache
def manifests() -> dict[str, Manifest]:
    """All of them, by kind and name."""
    files = [*listed(BASE), *listed(MONITORING)]
    found = [one for file in files for one in documents(file)]
    return {f"{one['kind']}/{one['metadata']['name']}": one for one in found}


def pods() -> dict[str, Manifest]:
    """The templates of pods, by what makes them."""
    found = {}
    for name, one in manifests().items():
        spec = one["spec"].get("jobTemplate", one) if "spec" in one else {}
        if "template" in spec.get("spec", {}):
            found[name] = spec["spec"]["template"]
    return found


MANIFESTS = manifests()
PODS = pods()
SERVING = ("Deployment/delegation", "Deployment/delegation-admin")


def container(name: str) -> Manifest:
    """The one container of a pod."""
    [found] = PODS[name]["spec"]["containers"]
    return dict(found)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", [name for name in MANIFESTS if "Monitor" not in name])
def test_each_is_what_its_kind_says(name: str, version: str) -> None:
    """By the API's own schema, without a member that it does not know."""
    kubernetes_validate.validate(MANIFESTS[name], version, strict=True)


def test_a_manifest_that_is_none_is_noticed() -> None:
    """The schema is strict: a misspelt member is no member."""
    wrong = MANIFESTS["Service/delegation"] | {"spce": {}}

    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSIONS[0], strict=True)


def test_every_file_is_listed() -> None:
    """None is there that nobody applies."""
    for directory in (BASE, MONITORING):
        there = {path for path in directory.glob("*.yaml") if path.name != "kustomization.yaml"}
        assert there == set(listed(directory))


@pytest.mark.parametrize("name", PODS)
def test_none_may_do_more_than_it_must(name: str) -> None:
    """As the pod security standard *restricted* has it, and with nothing that can be written."""
    spec, one = PODS[name]["spec"], container(name)

    assert spec["securityContext"]["runAsNonRoot"]
    user = f"{spec['securityContext']['runAsUser']}:{spec['securityContext']['runAsGroup']}"
    assert stages()[""].values("USER") == [user]
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert one["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not spec["automountServiceAccountToken"]
    assert not {"hostNetwork", "hostPID", "hostIPC", "hostAliases"} & spec.keys()
    assert {"requests", "limits"} == one["resources"].keys()
    assert "memory" in one["resources"]["limits"]
    writable = {
        mount["mountPath"] for mount in one.get("volumeMounts", []) if not mount.get("readOnly")
    }
    assert writable <= {"/tmp", "/var/lib/delegation"}  # noqa: S108, a tmpfs of its own


@pytest.mark.parametrize("name", PODS)
def test_the_cluster_sets_nothing(name: str) -> None:
    """A service that is called `delegation` would otherwise set variables that nobody knows."""
    assert PODS[name]["spec"]["enableServiceLinks"] is False


@pytest.mark.parametrize("name", PODS)
def test_what_is_mounted_is_a_volume(name: str) -> None:
    """And the other way round; secrets can be read by the group alone, and are never made here."""
    volumes = {volume["name"]: volume for volume in PODS[name]["spec"]["volumes"]}

    assert {mount["name"] for mount in container(name)["volumeMounts"]} == volumes.keys()
    for volume in volumes.values():
        if "secret" in volume:
            assert volume["secret"]["defaultMode"] == 0o440
            assert f"Secret/{volume['secret']['secretName']}" not in MANIFESTS
    assert "Secret" not in {one["kind"] for one in MANIFESTS.values()}


def test_each_has_its_own_user_of_the_store() -> None:
    """The keys that sign tokens and the one that seals are apart."""
    secrets = {
        name: {
            volume["secret"]["secretName"]
            for volume in pod["spec"]["volumes"]
            if "secret" in volume
        }
        for name, pod in PODS.items()
    }

    assert secrets == {
        "Deployment/delegation": {"delegation-keys", "delegation-store-service"},
        "Deployment/delegation-admin": {"delegation-keys", "delegation-store-admin"},
        "Deployment/delegation-sealer": {"delegation-audit-key", "delegation-store-sealer"},
        "CronJob/delegation-ledger-init": {"delegation-store-admin"},
    }


@pytest.mark.parametrize("name", SERVING)
def test_it_is_probed_and_stops_in_peace(name: str) -> None:
    """It lives as long as it answers, is sent to while it can issue, and has time to finish."""
    one, spec = container(name), PODS[name]["spec"]

    assert one["livenessProbe"]["httpGet"] == {"path": "/livez", "port": "http"}
    assert one["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}
    sleep = one["lifecycle"]["preStop"]["sleep"]["seconds"]
    probe = one["readinessProbe"]
    assert sleep >= probe["periodSeconds"] * probe["failureThreshold"]
    assert "graceful_timeout = 30\n" in (ROOT / "delegation/gunicorn.py").read_text()
    assert spec["terminationGracePeriodSeconds"] >= sleep + 30 + 5
    assert MANIFESTS[name]["spec"]["replicas"] >= 2
    assert MANIFESTS[name]["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0


def test_ports_are_those_of_the_image() -> None:
    """What the image listens at is what is probed, served and let through."""
    image = stages()[""].environment()
    ports = {
        name: {port["name"]: port["containerPort"] for port in container(name).get("ports", [])}
        for name in SERVING
    }

    assert image["DELEGATION_BIND"] == "0.0.0.0:8080"
    assert image["DELEGATION_ADMIN_BIND"] == "0.0.0.0:8081"
    assert ports[SERVING[0]] == {"http": 8080, "metrics": 9090}
    assert ports[SERVING[1]] == {"http": 8081}
    [metrics] = container(SERVING[0])["env"]
    assert metrics["value"].endswith(":9090")


def _selects(selector: Manifest, labels: Manifest) -> bool:
    expressions = selector.get("matchExpressions", [])
    return selector.get("matchLabels", {}).items() <= labels.items() and all(
        labels.get(one["key"]) in one["values"] for one in expressions
    )


@pytest.mark.parametrize(
    ("name", "selected"),
    [
        ("Service/delegation", {"Deployment/delegation"}),
        ("Service/delegation-admin", {"Deployment/delegation-admin"}),
        ("Service/delegation-metrics", {"Deployment/delegation"}),
        ("PodDisruptionBudget/delegation", {"Deployment/delegation"}),
        ("NetworkPolicy/delegation-nobody", set(PODS)),
        ("NetworkPolicy/delegation-store", set(PODS)),
        ("NetworkPolicy/delegation-service", {"Deployment/delegation"}),
        ("NetworkPolicy/delegation-admin", {"Deployment/delegation-admin"}),
        ("NetworkPolicy/delegation-issuers", set(SERVING)),
    ],
)
def test_what_is_selected(name: str, selected: set[str]) -> None:
    """Each finds the pods that it is about, and no others."""
    spec = MANIFESTS[name]["spec"]
    selector = spec.get("podSelector") or spec["selector"]
    if "matchLabels" not in selector:
        selector = {"matchLabels": selector}

    found = {one for one, pod in PODS.items() if _selects(selector, pod["metadata"]["labels"])}

    assert found == selected


def test_what_makes_pods_finds_its_own() -> None:
    """A selector that finds others' pods takes them for its own."""
    for name, one in MANIFESTS.items():
        if one["kind"] == "Deployment":
            found = {
                other
                for other, pod in PODS.items()
                if _selects(one["spec"]["selector"], pod["metadata"]["labels"])
            }
            assert found == {name}


def test_nobody_is_let_in_but_by_name() -> None:
    """Not one rule is for everybody, and none of those that go out is for the inside of a cloud."""
    policies = {name: one["spec"] for name, one in MANIFESTS.items() if name.startswith("Network")}

    assert policies.pop("NetworkPolicy/delegation-nobody")["policyTypes"] == ["Ingress", "Egress"]
    for spec in policies.values():
        for rule in spec.get("ingress", []):
            assert rule["from"]
            assert all(peer for peer in rule["from"])
            assert rule["ports"]
        for rule in spec.get("egress", []):
            assert rule["to"]
            assert rule["ports"]
            for peer in rule["to"]:
                if "ipBlock" in peer:
                    assert {"169.254.0.0/16", "fe80::/10"} & {*peer["ipBlock"]["except"]}


def test_laying_out_is_never_done_by_itself() -> None:
    """A store that was emptied is not a new one."""
    assert MANIFESTS["CronJob/delegation-ledger-init"]["spec"]["suspend"] is True


def test_who_watches_finds_the_metrics() -> None:
    """The monitor finds the service of the metrics, by its port, and no other."""
    monitor = MANIFESTS["ServiceMonitor/delegation"]["spec"]
    found = [
        one
        for one in MANIFESTS.values()
        if one["kind"] == "Service" and _selects(monitor["selector"], one["metadata"]["labels"])
    ]

    assert [one["metadata"]["name"] for one in found] == ["delegation-metrics"]
    assert monitor["endpoints"][0]["port"] in {port["name"] for port in found[0]["spec"]["ports"]}


def test_the_registry_it_begins_with() -> None:
    """It can be read, and grants nothing."""
    registry = load(BASE / "registry", issuer="https://sts.example.com")

    assert not registry.grants


def test_a_registry_as_it_is_mounted(tmp_path: Path) -> None:
    """A cluster mounts links to a directory that it swaps: each file is read once."""
    (tmp_path / "..2026").mkdir()
    shutil.copy(BASE / "registry/registry.yaml", tmp_path / "..2026")
    (tmp_path / "..data").symlink_to("..2026")
    (tmp_path / "registry.yaml").symlink_to("..data/registry.yaml")

    mounted = load(tmp_path, issuer="https://sts.example.com")

    assert mounted.revision == load(BASE / "registry", issuer="https://sts.example.com").revision


def test_what_is_put_together() -> None:
    """The example is complete: every name in it is one that is there, or a secret."""
    kustomize = shutil.which("kustomize")
    kubectl = shutil.which("kubectl")
    if kustomize is None and kubectl is None:
        pytest.skip("neither kustomize nor kubectl is on the path")
    command = [kustomize, "build"] if kustomize else [str(kubectl), "kustomize"]
    done = subprocess.run(  # noqa: S603, our own command
        [*command, DEPLOY / "kubernetes/example"], capture_output=True, text=True, check=True
    )
    found = [*yaml.safe_load_all(done.stdout)]
    names = {(one["kind"], one["metadata"]["name"]) for one in found}
    settings = [name for kind, name in names if kind == "ConfigMap" and "settings" in name]

    for one in found:
        if one["kind"] != "ServiceMonitor":
            kubernetes_validate.validate(one, VERSIONS[-1], strict=True)
        assert one["metadata"]["namespace"] == "delegation"
    assert len(settings) == 1
    assert settings[0] != "delegation-settings"
    assert done.stdout.count(f"name: {settings[0]}") == 1 + len(PODS)
    assert ("ConfigMap", "delegation-registry") in names
    assert done.stdout.count("image: delegation:0.1.0") == len(PODS)
