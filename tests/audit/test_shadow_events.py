"""What the event of a decision says of grants in shadow, and of denies."""

from datetime import timedelta
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError

from delegation.audit.events import Events, schema
from delegation.audit.packing import unpacked
from delegation.domain.errors import Cause, NotPermitted, Refused
from delegation.domain.grants import Mode
from delegation.domain.shadow import Shadow
from tests.parties import (
    NOW,
    a_case,
    a_delegation,
    a_deny,
    a_grant,
    a_registry,
    a_verified_token,
)

VALIDATOR = Draft202012Validator(schema())

HEAD = {"id": "ab:0:refusals:1", "at": "2026-11-20T12:00:00.000Z"}
LINEAGE = {"lineage": {"exchanges": [], "foreign_parent": {"iss": "x", "id": "y"}}}

GRANTED = Shadow(
    grants=("a", "b"),
    grant="a",
    scope=frozenset({"events.write", "events.read"}),
    expires_at=NOW + timedelta(minutes=5),
)


def read(event: bytes) -> dict[str, Any]:
    """The event as it leaves the store, which holds to its schema."""
    line: dict[str, Any] = HEAD | unpacked(event)
    line |= LINEAGE if line["type"] == "exchange" else {}
    VALIDATOR.validate(line)
    return line


def refused(shadow: Shadow | None = None, **detail: object) -> dict[str, Any]:
    """The event of a refusal with this beside it."""
    refusal = NotPermitted(Cause.NO_GRANT, **detail)
    refusal.shadow = shadow
    return read(Events().refused("1-x", refusal, a_case(subject=a_verified_token())))


def test_an_exchange_says_what_a_shadow_would_have_refused() -> None:
    """Beside what was decided, which is not changed by it."""
    shadow = a_deny(scopes=None, mode=Mode.SHADOW)
    beside = a_delegation(registry=a_registry(grants=[a_grant(), shadow]))

    event = read(Events().granted(beside, a_case()))
    without = read(Events().granted(a_delegation(), a_case()))

    assert event.pop("shadow") == {
        "grants": ["no-writing"],
        "outcome": "refused",
        "cause": "denied",
    }
    assert event == without


def test_a_refusal_says_what_a_shadow_would_have_given() -> None:
    """All that would have differed."""
    assert refused(GRANTED)["shadow"] == {
        "grants": ["a", "b"],
        "outcome": "granted",
        "grant": "a",
        "scope": ["events.read", "events.write"],
        "expires_at": int(NOW.timestamp()) + 300,
    }
    assert "shadow" not in refused()


def test_however_many_speak_the_event_stays_short() -> None:
    """The first of them are named."""
    many = Shadow(grants=tuple(f"{number:0128}" for number in range(100)), cause="denied")

    assert refused(many)["shadow"]["grants"] == list(many.grants[:16])


@pytest.mark.parametrize(
    "shadow",
    [
        {"outcome": "refused", "cause": "denied"},
        {"grants": [], "outcome": "refused", "cause": "denied"},
        {"grants": ["a"], "outcome": "refused"},
        {"grants": ["a"], "outcome": "refused", "cause": "denied", "grant": "a"},
        {"grants": ["a"], "outcome": "granted", "grant": "a", "scope": []},
        {"grants": ["a"], "outcome": "neither"},
    ],
)
def test_the_schema_knows_what_a_shadow_can_say(shadow: dict[str, Any]) -> None:
    """Which grants, and one outcome or the other, with all that belongs to it."""
    event = refused()

    with pytest.raises(ValidationError):
        VALIDATOR.validate(event | {"shadow": shadow})


def test_the_event_of_what_is_denied_names_the_deny() -> None:
    """Which the client is not told."""
    with pytest.raises(Refused) as caught:
        a_delegation(registry=a_registry(grants=[a_grant(), a_deny(scopes=None)]))

    event = read(Events().refused("1-x", caught.value, a_case()))

    assert (event["cause"], event["detail"]["denied_by"]) == ("denied", ["no-writing"])
    assert "no-writing" not in caught.value.description
