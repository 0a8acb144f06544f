"""Dashboard, alerts and page speak of metrics that there are, in queries that can be read."""

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from delegation.cli import main
from delegation.cli.evidence import seal_events
from delegation.domain.errors import ALARMING
from delegation.metrics.catalogue import CATALOGUE, SEALERS
from delegation.settings import SETTINGS
from delegation.web.admin.metrics import metrics as admin_metrics

ROOT = Path(__file__).parents[2]

DASHBOARD: Mapping[str, Any] = json.loads((ROOT / "deploy/grafana/delegation.json").read_text())
ALERTS: Mapping[str, Any] = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yaml").read_text())
PAGE = (ROOT / "docs/how-to/watch-it.md").read_text("utf-8")

LABELS = {metric.name: metric.labels for metric in (*CATALOGUE, *SEALERS)}
_HISTOGRAMS = tuple(metric.name for metric in CATALOGUE if metric.kind == "histogram")

_SELECTOR = re.compile(r"(?<![\w:])(delegation_\w+|up)(?:\{([^}]*)\})?")
_MATCHER = re.compile(r'(\w+)(?:=~|!~|!=|=)"[^"]*"')
_GROUPING = re.compile(r"\b(?:by|on) \(([\w, ]*)\)")

OF_ALL = {"instance", "job"}
"""Labels that the scrape adds."""


def panels() -> list[Mapping[str, Any]]:
    """Those of the dashboard that show something."""
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def rules() -> list[Mapping[str, Any]]:
    """All alerts."""
    return [rule for group in ALERTS["groups"] for rule in group["rules"]]


def queries() -> Iterator[str]:
    """Every query that there is."""
    for panel in panels():
        yield from (target["expr"] for target in panel["targets"])
    yield from (one["expr"] for one in DASHBOARD["annotations"]["list"])
    yield from (one["definition"] for one in DASHBOARD["templating"]["list"][1:])
    yield from (rule["expr"] for rule in rules())


def labels_of(name: str) -> set[str] | None:
    """The labels of a metric, or of a part of a histogram; `None` where there is none of it."""
    if name == "up":
        return OF_ALL
    for histogram in _HISTOGRAMS:
        if name in {f"{histogram}_{part}" for part in ("bucket", "sum", "count")}:
            return {*LABELS[histogram], *OF_ALL, "le"}
    if name in _HISTOGRAMS or name not in LABELS:
        return None
    return {*LABELS[name], *OF_ALL}


@pytest.mark.parametrize("query", list(queries()))
def test_a_query_asks_for_what_there_is(query: str) -> None:
    """Every metric is in the catalogue, and every label is one of its own."""
    named = _SELECTOR.findall(query)
    has: set[str] = set()

    assert named
    for name, matchers in named:
        labels = labels_of(name)
        assert labels is not None, name
        assert {label for label, _ in _split(matchers)} <= labels
        has |= labels
    for grouping in _GROUPING.findall(query):
        assert set(grouping.split(", ")) <= has
    assert [query.count(one) for one in "([{"] == [query.count(one) for one in ")]}"]


def _split(matchers: str) -> list[tuple[str, str]]:
    parts = [part for part in re.split(r",(?=\w+[=!])", matchers) if part]
    assert all(_MATCHER.fullmatch(part) for part in parts)
    return [(part[: re.search(r"\W", part).start()], part) for part in parts]  # type: ignore[union-attr]


def test_the_dashboard_can_be_shown() -> None:
    """Every panel has a name, a place of its own and a source that is chosen."""
    every = DASHBOARD["panels"]
    ids = [panel["id"] for panel in every]
    cells = [
        (x, y)
        for panel in every
        for place in (panel["gridPos"],)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]

    assert len(set(ids)) == len(ids)
    assert len(set(cells)) == len(cells)
    assert {x for x, _ in cells} == set(range(24))
    for panel in panels():
        assert panel["title"]
        assert panel["description"].endswith(".")
        assert panel["datasource"]["uid"] == "${datasource}"
    assert [one["name"] for one in DASHBOARD["templating"]["list"]] == ["datasource", "instance"]


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_an_alert_says_what_to_do(rule: Mapping[str, Any]) -> None:
    """How bad it is, what is wrong, and the section of the page that helps, which names it."""
    assert rule.keys() <= {"alert", "expr", "for", "labels", "annotations"}
    assert re.fullmatch(r"[0-9]+[mh]", rule.get("for", "1m"))
    assert rule["labels"] in ({"severity": "critical"}, {"severity": "warning"})
    assert rule["annotations"].keys() == {"summary", "runbook"}
    shown = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
    has = {label for name, _ in _SELECTOR.findall(rule["expr"]) for label in labels_of(name) or ()}
    assert shown <= has
    page, _, anchor = rule["annotations"]["runbook"].partition("#")
    assert (ROOT / page).read_text("utf-8") == PAGE
    assert f"`{rule['alert']}`" in _sections()[anchor]


def _sections() -> dict[str, str]:
    """The sections of the page by their anchors."""
    _, *parts = re.split(r"^## (.*)$", PAGE, flags=re.MULTILINE)
    anchors = (re.sub(r"[^a-z -]", "", title.lower()).replace(" ", "-") for title in parts[::2])
    return dict(zip(anchors, parts[1::2], strict=True))


def test_every_alert_has_a_name_of_its_own() -> None:
    """And the page names no other."""
    names = [rule["alert"] for rule in rules()]

    assert sorted(names) == sorted(set(re.findall(r"`(Delegation\w+)`", PAGE)))


def test_the_page_knows_every_alarm() -> None:
    """What to do is said of each cause that alarms."""
    assert set(re.findall(r"^\| `(\w+)` \|", _sections()["an-alarm"], re.MULTILINE)) == set(
        ALARMING
    )


def test_the_admin_api_counts_under_names_of_its_own() -> None:
    """Nobody adds up what is counted twice."""
    names = set(re.findall(r"^(delegation_\w+)", admin_metrics({"expired": 1}, 0), re.MULTILINE))

    assert len(names) == 2
    assert not names & LABELS.keys()


def test_what_the_page_tells_to_run() -> None:
    """The setting is one, the scrape asks where it listens, and the sealer takes what it gets."""
    (setting, sealing), (scrape,) = (
        re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
        for language in ("sh", "yaml")
    )
    name, bind = shlex.split(setting, comments=True)[1].split("=")
    words = shlex.split(sealing)
    (job,) = yaml.safe_load(scrape)["scrape_configs"]

    assert name in {one.variable for one in SETTINGS}
    assert next(one for one in SETTINGS if one.variable == name).read(bind) == bind
    assert bind in job["static_configs"][0]["targets"]
    assert re.fullmatch(r"delegation.*", job["job_name"])
    assert words[:3] == ["delegation", "audit", "seal"]
    # As it is below `delegation`: what a command says of --help is remembered by it.
    seal_events.make_context("seal", words[3:], parent=click.Context(main, **main.context_settings))
