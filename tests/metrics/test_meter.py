"""What happens in a worker is counted in words of ours, and of the registry."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from delegation.domain.case import Case
from delegation.domain.errors import Cause, NotPermitted, Refused, Unavailable
from delegation.domain.exchange import Stage
from delegation.domain.resources import Targets
from delegation.ledger.ledger import Limits, RedisLedger
from delegation.ledger.server import Server
from delegation.ledger.store import Store
from delegation.metrics import tally
from delegation.metrics.catalogue import CATALOGUE
from delegation.metrics.exposition import Counted
from delegation.metrics.meter import MOST_PAIRS, Meter
from tests.metrics.conftest import Bench
from tests.parties import (
    CALENDAR_API,
    CALENDAR_MCP,
    LOGIN,
    a_case,
    a_client,
    a_registry,
    a_request,
    a_resource,
)

EXCHANGES = "delegation_exchanges_total "


def asking(*resources: str, audiences: tuple[str, ...] = (), **changes: Any) -> Case:
    """A case of *calendar-mcp*, asking for these."""
    targets = Targets(resources=resources, audiences=audiences)
    return a_case(request=a_request(targets=targets), **changes)


def end(meter: Meter, case: Case, error: Exception | None = None) -> None:
    """The exchange of *case* comes to its outcome."""
    with suppress(Refused, Unavailable, RuntimeError), meter.exchange(case):
        if error is not None:
            raise error


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (None, "issued none"),
        (NotPermitted(Cause.NO_GRANT), "refused no_grant"),
        (Unavailable("ledger_unwell"), "unavailable ledger_unwell"),
        (RuntimeError("a bug"), "failed none"),
    ],
)
def test_an_exchange_has_one_outcome(bench: Bench, error: Exception | None, outcome: str) -> None:
    """Issued, refused for a cause, unavailable for a problem, or failed: a bug."""
    end(bench.worker(), asking(CALENDAR_API), error)

    outcome, reason = outcome.split()
    assert bench.only(EXCHANGES) == {f"{CALENDAR_MCP} {outcome} {reason} {CALENDAR_API}": 1}


@pytest.mark.parametrize(
    ("case", "resource"),
    [
        (a_case(), "none"),
        (asking(), "none"),
        (asking(CALENDAR_API), CALENDAR_API),
        (asking(audiences=("alias",)), CALENDAR_API),
        (asking(CALENDAR_API, audiences=("alias",)), CALENDAR_API),
        (asking("https://unheard-of.example"), "other"),
        (asking(CALENDAR_API, "https://unheard-of.example"), "other"),
    ],
    ids=["not understood", "none", "it", "an alias", "both", "unknown", "ambiguous"],
)
def test_a_resource_is_named_by_the_registry(bench: Bench, case: Case, resource: str) -> None:
    """Whatever a request calls it: it has the one name of the registry, or none of its own."""
    case.registry = a_registry(resources=[a_resource(names=frozenset({"alias"}))])

    end(bench.worker(), case)

    assert bench.only(EXCHANGES) == {f"{CALENDAR_MCP} issued none {resource}": 1}


def test_what_is_told_apart_is_bounded(bench: Bench) -> None:
    """A registry that has ever more clients and resources makes no more series than that."""
    meter = bench.worker()
    for number in range(MOST_PAIRS + 3):
        client = a_client(id=f"client-{number}")
        for _ in range(2):
            end(meter, asking(CALENDAR_API, client=client))
        meter.authentication_failed(client.id, None, a_registry(clients=[client]))

    counted = bench.only(EXCHANGES)
    failures = bench.only("delegation_authentication_failures_total ")

    assert len(counted) == len(failures) == MOST_PAIRS + 1
    assert counted["other issued none other"] == 6
    assert failures["credentials other"] == 3


def test_who_failed_to_authenticate(bench: Bench) -> None:
    """A client of the registry has its name; all others have one together."""
    meter, registry = bench.worker(), a_registry()
    for client in (CALENDAR_MCP, CALENDAR_MCP, "a stranger", "another", None):
        meter.authentication_failed(client, None, registry)
    meter.authentication_failed(CALENDAR_MCP, Cause.EXPIRED, registry)

    assert bench.only("delegation_authentication_failures_total ") == {
        f"credentials {CALENDAR_MCP}": 2,
        "credentials other": 2,
        "credentials none": 1,
        f"expired {CALENDAR_MCP}": 1,
    }


def test_whose_keys_were_fetched(bench: Bench) -> None:
    """An issuer by its alias, a client by its id; when, only where they could be had."""
    meter, registry = bench.worker(), a_registry()
    alias = registry.issuers[LOGIN].alias
    for owner, fetched in ((LOGIN, True), (LOGIN, False), (CALENDAR_MCP, True), ("gone", False)):
        meter.keys_fetched(owner, fetched, registry)

    assert bench.only("delegation_key_fetches_total ") == {
        f"fetched {alias}": 1,
        f"failed {alias}": 1,
        f"fetched {CALENDAR_MCP}": 1,
        "failed other": 1,
    }
    assert bench.only("delegation_keys_fetched_timestamp_seconds ") == {
        alias: bench.now,
        CALENDAR_MCP: bench.now,
    }


def test_the_stages_of_an_exchange(bench: Bench) -> None:
    """Each stage that is over has its time, and they follow each other."""
    lap = bench.worker().stopwatch()
    for stage in (Stage.VERIFY, Stage.DECIDE):
        lap(stage)

    counts = bench.only("delegation_exchange_stage_duration_seconds_count ")

    assert counts == {"verify": 1, "decide": 1}


@pytest.mark.parametrize(
    ("act", "name"),
    [
        (Meter.throttled, "delegation_throttled_requests_total"),
        (Meter.event_suppressed, "delegation_suppressed_events_total"),
        (Meter.line_suppressed, "delegation_suppressed_log_lines_total"),
        (lambda meter: meter.alarm(Cause.ALREADY_USED), "delegation_alarms_sounded_total"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_rare_begins_at_0(bench: Bench, act: Callable[[Meter], None], name: str) -> None:
    """The first time is seen: a counter that began with it would not have risen."""
    meter = bench.worker()
    before = {key: value for key, value in bench.served().items() if key.startswith(name)}
    act(meter)

    assert set(before.values()) == {0}
    assert sum(bench.only(name).values()) == 1


def test_what_else_is_counted(bench: Bench) -> None:
    """Each under its own name."""
    meter = bench.worker()
    meter.malformed("not_http")
    meter.ledger_failed("ledger_unwell")
    meter.ledger_answered(0.0004)
    meter.requested("token", 200, 0.004)
    meter.read("registry", True)  # noqa: FBT003, what it is told
    meter.read("registry", False)  # noqa: FBT003, likewise

    served = bench.served()

    for name in (
        "delegation_malformed_requests_total not_http",
        "delegation_ledger_failures_total ledger_unwell",
        "delegation_ledger_round_trip_duration_seconds_bucket 0.0005",
        "delegation_request_duration_seconds_count token 200",
        "delegation_reloads_total loaded registry",
        "delegation_reloads_total failed registry",
    ):
        assert served[name] == 1
    assert served["delegation_ledger_round_trip_duration_seconds_sum"] == 0.0004


def test_how_it_is(bench: Bench) -> None:
    """A worker is ready, or says why not; what is mended is none any more."""
    one, other = bench.worker(0), bench.worker(1)
    one.problems(["ledger_unwell", "registry_invalid"])
    other.problems([])
    first = bench.served()
    one.problems(["registry_invalid"])
    second = bench.served()

    assert (first["delegation_workers"], first["delegation_workers_ready"]) == (2, 1)
    assert first["delegation_problems ledger_unwell"] == 1
    assert second["delegation_problems ledger_unwell"] == 0
    assert second["delegation_problems registry_invalid"] == 1


def test_which_registry_they_run(bench: Bench) -> None:
    """Workers by revision; one that nobody runs any more is not spoken of. When it was read is said
    once.
    """
    one, other = bench.worker(0), bench.worker(1)
    one.revision("first")
    other.revision("first")
    bench.now += 5
    one.revision("second")
    one.revision("second")

    assert bench.only("delegation_registry_info ") == {"first": 1, "second": 1}
    assert bench.only("delegation_registry_loaded_timestamp_seconds") == {"": bench.now - 5}
    other.revision("second")
    assert bench.only("delegation_registry_info ") == {"second": 2}
    assert "delegation_registry_info first" not in bench.served()


def test_our_keys(bench: Bench) -> None:
    """How many there are of each status, and since when; a date that nobody wrote down is as old
    as can be.
    """
    meter = bench.worker()
    meter.signing_keys({"next": [], "active": [1_700_000_000], "retiring": [None, 1_700_000_000]})

    served = bench.served()

    keys, since = "delegation_signing_keys", "delegation_signing_key_since_timestamp_seconds"
    assert [served[f"{keys} {one}"] for one in ("next", "active", "retiring")] == [0, 1, 2]
    assert [served[f"{since} {one}"] for one in ("next", "active", "retiring")] == [
        0,
        1_700_000_000,
        0,
    ]


def test_what_the_ledger_tells(bench: Bench, store: Store) -> None:
    """What waits in the fullest partition, and what a flood of refusals left out."""
    meter = bench.worker()
    limits = Limits(refusals_per_minute=2, undrained_events=50)
    ledger = RedisLedger(store, events=_Events(), limits=limits, meter=meter)
    for _ in range(3):
        ledger.refuse(NotPermitted(Cause.NO_GRANT), a_case())
    ledger.problems()

    served = bench.served()

    assert served["delegation_suppressed_events_total"] == 1
    assert served["delegation_undrained_events refusals"] == 2
    assert served["delegation_undrained_events events"] == 0
    assert served["delegation_undrained_events_limit"] == 50
    assert served["delegation_lock_changes_seen"] == 0
    assert served["delegation_clock_difference_seconds"] < 2


class _Events:
    """Writes every event alike."""

    def __getattr__(self, _: str) -> Callable[..., bytes]:
        return lambda *_: b"{}"


def test_a_store_that_does_not_answer(bench: Bench) -> None:
    """It is counted, and what was known of what waits is left as it was."""
    meter = bench.worker()
    server = Server("redis://127.0.0.1:1", timeout=0.1, meter=meter)

    with pytest.raises(Unavailable):
        server.evicts()

    server.close()
    assert bench.only("delegation_ledger_failures_total ") == {"ledger_unreachable": 1}


def test_nothing_is_only_promised(bench: Bench) -> None:
    """Every metric of the catalogue is there once everything has happened."""
    meter = bench.worker()
    end(meter, asking(CALENDAR_API))
    for stage in Stage:
        meter.stopwatch()(stage)
    meter.requested("token", 200, 0.001)
    meter.authentication_failed(None, None, a_registry())
    meter.malformed("malformed")
    meter.keys_fetched(LOGIN, True, a_registry())  # noqa: FBT003, what it is told
    meter.ledger_answered(0.001)
    meter.ledger_failed("ledger_unwell")
    meter.read("registry", True)  # noqa: FBT003, likewise
    meter.backlog((1, 2), 3, 4, 5)
    meter.problems(["ledger_unwell"])
    meter.revision("first")
    meter.signing_keys({"active": [1]})
    bench.served()

    families = Counted(str(bench.directory), configured=1).collect()

    assert {(family.name, family.type, family.documentation) for family in families} == {
        (metric.family, metric.kind, metric.meaning) for metric in CATALOGUE
    }


def test_what_nobody_writes_does_not_pile_up(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is added up as often as must be, and nothing is lost by that."""
    monkeypatch.setattr(tally, "_NOTED", 3)
    worker = bench.worker()

    for _ in range(10):
        worker.throttled()
        worker.requested("token", 200, 0.25)

    assert bench.served()["delegation_throttled_requests_total"] == 10
    assert bench.only("delegation_request_duration_seconds_count") == {"token 200": 10}
