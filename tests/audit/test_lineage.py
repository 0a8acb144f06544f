"""What the store adds to an exchange's event: all that it came from, which nobody else knows."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from jsonschema import Draft202012Validator

from delegation.audit.events import schema
from delegation.audit.packing import unpacked
from tests.parties import ALICE, LOGIN, a_case, a_verified_token
from tests.valkey import PARTITIONS, decide, decide_next

VALIDATOR = Draft202012Validator(schema())
FOREIGN = {"iss": LOGIN, "id": "login-1"}


def events(evidence):
    """What stands in the stream of Alice's exchanges, as it will leave the store."""
    found = evidence.read(PARTITIONS.of(ALICE).number, "events", count=100)
    for one in found:
        VALIDATOR.validate(
            {"id": f"{one.epoch}:0:events:{one.number}", "at": "2026-11-20T12:00:00.000Z"}
            | unpacked(one.event)
        )
    return [unpacked(one.event) for one in found]


def test_each_hop_says_what_it_came_from(ledger, evidence):
    """The exchanges before it, nearest first, and the foreign token at the start of all."""
    first = decide(ledger)
    ledger.record(first, a_case())
    second = decide_next(ledger, first)
    ledger.record(second, a_case())
    last = decide_next(ledger, second)
    ledger.record(last, a_case())

    found = events(evidence)

    assert [event["decision"] for event in found] == [first.id, second.id, last.id]
    assert [event["lineage"] for event in found] == [
        {"exchanges": [], "foreign_parent": FOREIGN},
        {"exchanges": [first.id], "foreign_parent": FOREIGN},
        {"exchanges": [second.id, first.id], "foreign_parent": FOREIGN},
    ]
    assert [event["parent"]["id"] for event in found] == ["login-1", first.id, second.id]


def test_what_was_not_issued_says_the_same(ledger, evidence):
    """At any hop."""
    first = decide(ledger)
    ledger.record(first, a_case())
    second = decide_next(ledger, first)
    ledger.record(second, a_case())

    ledger.void(second, a_case())
    ledger.void(first, a_case())

    issued, next_, *void = events(evidence)
    assert [event["lineage"] for event in void] == [next_["lineage"], issued["lineage"]]
    assert {event["type"] for event in void} == {"not_issued"}


def test_a_token_may_be_of_another_issuer_than_its_subject(ledger, evidence):
    """The lineage says whose it was, at every hop."""
    elsewhere = "https://federation.example"
    usual = decide(ledger)
    first = replace(usual, parent=replace(usual.parent, issuer=elsewhere))
    ledger.record(first, a_case())
    ledger.record(decide_next(ledger, first), a_case())

    foreign = {"iss": elsewhere, "id": "login-1"}
    assert [event["lineage"]["foreign_parent"] for event in events(evidence)] == [foreign] * 2


HOSTILE = {
    "quotes": "a\"b\\c'",
    "line breaks": "a\r\nb\u2028",
    "bidi": "\u202eb",
    "NUL": "\x00",
    "brackets": '"}],"',
    "long": "x" * 2000,
}


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE)
def test_names_of_any_kind_come_through(ledger, evidence, name):
    """What a foreign token calls itself is text, at every hop, and cannot end the event."""
    first = decide(ledger, subject=a_verified_token(now=datetime.now(UTC), id=name))
    ledger.record(first, a_case())
    ledger.record(decide_next(ledger, first), a_case())

    assert [event["lineage"]["foreign_parent"]["id"] for event in events(evidence)] == [name] * 2
