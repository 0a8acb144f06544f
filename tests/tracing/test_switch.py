"""Whether requests are traced: one setting, which is nothing without what was installed for it."""

import sys

import pytest

from delegation.settings import Settings, SettingsInvalid

SOUND = {
    "DELEGATION_ISSUER": "https://sts.example",
    "DELEGATION_REDIS_URL": "redis://localhost",
    "DELEGATION_REGISTRY": "registry",
    "DELEGATION_SIGNING_KEYS": "keys.json",
}
_EXPORTER = "opentelemetry.exporter.otlp.proto"


def _problem(text: str) -> str:
    with pytest.raises(SettingsInvalid) as caught:
        Settings.from_environment(SOUND | {"DELEGATION_TRACES": text})
    (problem,) = caught.value.problems
    return str(problem)


@pytest.mark.parametrize(("text", "on"), [("", False), ("none", False), ("otlp", True)])
def test_the_setting(text: str, on: bool) -> None:  # noqa: FBT001
    """By itself nothing is traced."""
    given = {"DELEGATION_TRACES": text} if text else {}

    assert Settings.from_environment(SOUND | given).traces is on


@pytest.mark.parametrize("text", ["on", "OTLP", "true", "http://collector:4318"])
def test_what_it_may_not_be(text: str) -> None:
    """Where the collector is, the standard variables say."""
    assert _problem(text) == "DELEGATION_TRACES: must be otlp or none"


@pytest.mark.parametrize("missing", [_EXPORTER, f"{_EXPORTER}.http"])
def test_without_the_extra(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what to install, at the start, and among all other problems."""
    monkeypatch.delitem(sys.modules, f"{_EXPORTER}.http", raising=False)
    monkeypatch.setitem(sys.modules, missing, None)

    assert _problem("otlp") == (
        "DELEGATION_TRACES: is otlp, which is not installed: "
        "pip install 'mcp-delegation[tracing]', or none"
    )
    assert Settings.from_environment(SOUND | {"DELEGATION_TRACES": "none"}).traces is False
