"""The page on events is true: its examples run on events that a real store wrote."""

from delegation.audit.packing import unpacked
from delegation.ledger.evidence import Evidence
from delegation.ledger.ledger import RedisLedger
from delegation.web.limits import SampledLog
from tests.docs.pages import ROOT, run
from tests.parties import ALICE, a_case
from tests.valkey import (  # noqa: F401, fixtures
    PARTITIONS,
    _evidence,
    _ledger,
    _server,
    _store,
    _valkey,
    _valkey_process,
    decide,
    decide_next,
)

PAGE = ROOT / "docs/reference/events.md"


def test_the_examples_run(ledger: RedisLedger, evidence: Evidence) -> None:
    """On an exchange, one that grew from it, and one that did not."""
    first, other = decide(ledger), decide(ledger)
    ledger.record(first, a_case())
    ledger.record(other, a_case())
    second = decide_next(ledger, first)
    ledger.record(second, a_case())
    found = evidence.read(PARTITIONS.of(ALICE).number, "events", count=10)

    names = {"events": [unpacked(one.event) for one in found]}
    run(PAGE, names | {"first": first.id, "second": second.id})


def test_the_numbers_are_those_of_the_code() -> None:
    """How many lines of strangers a worker writes in a minute."""
    lines = SampledLog.__init__.__kwdefaults__["lines"]

    assert f"at most {lines} lines" in PAGE.read_text("utf-8")
