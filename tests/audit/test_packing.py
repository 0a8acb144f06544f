"""How an exchange's event stands in the store: short, and read as if it stood there as JSON."""

import hashlib
import json
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delegation.audit import packing
from delegation.audit.chain import canonical
from delegation.audit.events import Events
from delegation.audit.packing import packed, unpacked
from delegation.domain.case import Origin
from tests.audit.events import events, exchanges
from tests.parties import LOGIN, a_case, a_delegation, a_registry, a_verified_token

FIRST = {"type": "exchange", "subject": {"iss": LOGIN}, "parent": {"iss": LOGIN, "id": "login-1"}}


def stored(event, beyond=b""):
    """As the store has it."""
    return packed(json.dumps(event).encode()) + beyond


@given(exchanges)
def test_what_was_packed_is_read(event):
    """Member by member, in their order; the parent of the first exchange is all of its lineage."""
    read = unpacked(stored(event))

    lineage = {"exchanges": [], "foreign_parent": event["parent"]}
    assert list(read.items()) == list((event | {"lineage": lineage}).items())


@given(events)
def test_what_was_not_packed_is_read_as_it_is(event):
    """Every other event is JSON in the store, too."""
    assert canonical(unpacked(canonical(event))) == canonical(event)


BEYOND = {
    "of the subject's issuer": (b'[["t-1"],"7-b","7-a"]', LOGIN),
    "of another": (b'[["t-1","https://other.example"],"7-b","7-a"]', "https://other.example"),
}


@pytest.mark.parametrize(("beyond", "issuer"), BEYOND.values(), ids=BEYOND)
def test_what_the_store_adds_is_the_lineage(beyond, issuer):
    """The exchanges before it, nearest first, and the foreign token of the first of them."""
    assert unpacked(stored(FIRST, beyond))["lineage"] == {
        "exchanges": ["7-b", "7-a"],
        "foreign_parent": {"iss": issuer, "id": "t-1"},
    }


WRONG = {
    "nothing": b"",
    "nothing but how it begins": b"\x01",
    "of another form": b"\x02" + stored(FIRST)[1:],
    "cut off": stored(FIRST)[:-1],
    "nothing packed": b"\x01" + b"\xff" * 40,
    "no object": stored(["exchange"]),
    "no parent": stored({"type": "exchange"}),
    "a subject without issuer": stored(FIRST | {"subject": None}, b'[["t-1"]]'),
    "more than a lineage": stored(FIRST, b'[["t-1"]]]'),
    "a lineage that is none": stored(FIRST, b'{"foreign_parent":{}}'),
    "a foreign token that is none": stored(FIRST, b'["t-1"]'),
    "larger than any": stored(FIRST | {"x": "x" * (1 << 20)}),
}


@pytest.mark.parametrize("data", WRONG.values(), ids=WRONG)
def test_what_is_no_event_is_none(data):
    """It is kept as it is, since reading it fails."""
    with pytest.raises(ValueError):  # noqa: PT011, whatever it says
        unpacked(data)


@given(st.binary())
def test_nothing_else_is_ever_raised(data):
    """Whoever writes to the store cannot stop the sealer."""
    raw = zlib.compressobj(1, zlib.DEFLATED, -11)
    for some in (data, b"\x01" + data, b"\x01" + raw.compress(data) + raw.flush() + data):
        try:
            assert isinstance(unpacked(some), dict)
        except ValueError:
            continue


def test_what_was_once_packed_can_always_be_read():
    """What an event is likely to say is part of the form, and never changes."""
    words = "ee2c8e27ed1780887fd22117a41f140888472c85f45caef967cd979e1f8ab860"
    kept = "0123210518e83a620584e309c9a3f0704bccc9040608d065b8a20912c5a85ac1f10696d03554aaad0500"

    assert hashlib.sha256(packing._WORDS).hexdigest() == words  # noqa: SLF001
    assert unpacked(bytes.fromhex(kept)) == FIRST | {
        "version": 1,
        "decision": "0-" + "A" * 22,
        "subject": {"iss": LOGIN, "sub": "alice"},
        "lineage": {"exchanges": [], "foreign_parent": {"iss": LOGIN, "id": "login-1"}},
    }


def test_a_typical_event_is_short():
    """The store holds one for each exchange until it is sealed."""
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    registry = a_registry(revision=hashlib.sha256(b"any").hexdigest())
    delegation = a_delegation(
        id="42-vXBTvcJy3HSlY7ewfJHvqw",
        registry=registry,
        subject=a_verified_token(id="8SnQf48J3riXckcAXUE-3A"),
    )
    case = a_case(registry=registry, origin=Origin(address="192.0.2.1", traceparent=trace))

    event = Events().granted(delegation, case)

    assert len(event) <= 300
    assert len(canonical(unpacked(event))) >= 900
