"""The page on traces names what there is: the variables, the stages, and what is on a span."""

import re

import pytest
from opentelemetry.sdk import environment_variables
from opentelemetry.sdk.trace import TracerProvider

from delegation.domain.exchange import Stage
from delegation.settings import SETTINGS
from delegation.tracing import traced
from tests.docs.pages import ROOT, blocks, table

PAGE = ROOT / "docs" / "how-to" / "trace-requests.md"
TEXT = PAGE.read_text("utf-8")


def _exported() -> dict[str, str]:
    code = "\n".join(code for language, code in blocks(PAGE) if language == "sh")
    return dict(re.findall(r"^export (\w+)=(\S+)$", code, re.MULTILINE))


def _named(*head: str) -> list[str]:
    """All that stands in the first column of the table with this head."""
    return re.findall("`(.*?)`", " ".join(row[0] for row in table(TEXT, *head)))


def test_it_is_switched_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what stands there, the service traces, and five in a hundred requests."""
    exported = _exported()
    (switch,) = (one for one in SETTINGS if one.variable == "DELEGATION_TRACES")

    assert switch.read(exported.pop(switch.variable)) is True
    for variable, value in exported.items():
        monkeypatch.setenv(variable, value)
    sampler = TracerProvider(shutdown_on_exit=False).sampler
    assert sampler.get_description().startswith("ParentBased{root:TraceIdRatioBased{0.05}")


def test_the_variables() -> None:
    """Each is one that the library reads."""
    named = {*_exported(), *_named("variable", "what it is for", "by itself")}
    named.remove("DELEGATION_TRACES")

    assert [name for name in named if not hasattr(environment_variables, name)] == []


def test_what_is_on_a_span() -> None:
    """Each attribute of ours, and no other."""
    ours = {
        value
        for name, value in vars(traced).items()
        if name.isupper() and str(value).startswith("delegation.")
    }

    assert set(_named("attribute", "what it says")) == ours


def test_the_stages() -> None:
    """All of them, in their order."""
    assert ", ".join(f"`{stage.value}`" for stage in Stage) in TEXT
