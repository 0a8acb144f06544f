"""What an event says: enough for a reviewer, nothing that is secret, always one line of JSON."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from delegation.audit.acts import Acts
from delegation.audit.events import Events, schema
from delegation.audit.packing import unpacked
from delegation.domain.administration import Administrator
from delegation.domain.alarms import Alarm
from delegation.domain.case import Claimed, Origin
from delegation.domain.errors import (
    ALARMING,
    ActorTokenRejected,
    Cause,
    InvalidScope,
    InvalidTarget,
    NotPermitted,
    SubjectTokenRejected,
)
from delegation.domain.grants import Agents
from delegation.domain.locks import EVERYTHING, BookedLock, LockOrder, State, Target
from delegation.domain.parties import Identity
from delegation.domain.resources import Targets
from delegation.domain.tokens import Authentication
from tests.parties import (
    ALICE,
    CALENDAR_API,
    CALENDAR_MCP,
    CALENDAR_MCP_AUDIENCE,
    DESK_AGENT,
    LOGIN,
    NOW,
    OUR_ISSUER,
    PLANNER,
    PLATFORM,
    a_case,
    a_client,
    a_delegation,
    a_grant,
    a_presented_token,
    a_registry,
    a_request,
    a_second_delegation,
    a_verified_token,
    a_workload,
)

HEAD = {"id": "0f:7:events:1", "at": "2026-11-20T12:00:00.000Z"}
LINEAGE = {"lineage": {"exchanges": [], "foreign_parent": {"iss": LOGIN, "id": "login-1"}}}
"""What the store adds to an exchange."""
SECRET = "eyJhbGciOiJub25lIn0.c2VjcmV0.c2lnbmF0dXJl"
VALIDATOR = Draft202012Validator(schema())
REFUSAL = NotPermitted(Cause.NO_GRANT, resource=CALENDAR_API)


def a_full_case(**changes):
    """A request of which everything is understood."""
    request = a_request(subject_token=a_presented_token(value=SECRET), scope=frozenset({"x"}))
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    origin = Origin(address="192.0.2.1", traceparent=trace, request_id="7f3c.A-b_9")
    known = {"request": request, "subject": a_verified_token(), "origin": origin}
    return a_case(**(known | changes))


def read(event):
    """The event as it leaves the store, which holds to its schema."""
    line = HEAD | unpacked(event)
    line |= LINEAGE if line["type"] in {"exchange", "not_issued"} else {}
    VALIDATOR.validate(line)
    return line


def an_order(**changes):
    """An order to stop Alice, until it is lifted."""
    fields = {
        "id": f"0-{'A' * 22}",
        "target": Target.subject(ALICE),
        "reason": "stolen laptop",
        "author": "sec@example.com",
    }
    return LockOrder(**(fields | changes))


def test_the_schema_is_one_and_is_published():
    """It is a JSON Schema of 2020-12, and the copy in the documentation is the same."""
    published = Path(__file__).parents[2] / "docs" / "reference" / "event.schema.json"

    Draft202012Validator.check_schema(schema())
    assert json.loads(published.read_text(encoding="utf-8")) == schema()


def test_an_exchange_says_who_for_whom_what_why_and_from_what():
    """All that a reviewer asks, in one object."""
    delegation = a_delegation(scope=frozenset({"events.read"}))

    event = read(Events().granted(delegation, a_full_case()))

    assert event == HEAD | LINEAGE | {
        "version": 1,
        "type": "exchange",
        "decision": "exchange-1",
        "client": CALENDAR_MCP,
        "mcp_server": CALENDAR_MCP_AUDIENCE,
        "authenticated_by": "private_key_jwt",
        "revision": "revision-1",
        "source": "192.0.2.1",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "request_id": "7f3c.A-b_9",
        "subject": {"iss": LOGIN, "sub": "alice"},
        "agent": DESK_AGENT,
        "parent": {"iss": LOGIN, "id": "login-1"},
        "actors": [
            {"iss": OUR_ISSUER, "sub": CALENDAR_MCP},
            {"iss": LOGIN, "sub": DESK_AGENT, "sub_profile": "ai_agent"},
        ],
        "resource": CALENDAR_API,
        "scope": {"requested": ["events.read"], "granted": ["events.read"]},
        "grant": "calendar",
        "limits": {"expiry": "grant"},
        "expires_at": int((NOW + timedelta(minutes=5)).timestamp()),
        "txn": "exchange-1",
    }


SAID = {"mcp_method": "tools/call", "mcp_name": "create_event", "consent": "consent-1"}


def test_what_a_client_says_of_its_call_is_told_as_what_it_says():
    """In a member of its own, of granted and refused alike; what it does not say is absent."""
    said = Claimed(method="tools/call", name="create_event", consent="consent-1")
    case = a_full_case(origin=Origin(address="192.0.2.1", claimed=said))
    less = a_full_case(origin=Origin(address="192.0.2.1", claimed=Claimed(consent="c")))

    assert read(Events().granted(a_delegation(), case))["claimed"] == SAID
    assert read(Events().refused("1-x", REFUSAL, case))["claimed"] == SAID
    assert read(Events().refused("1-x", REFUSAL, less))["claimed"] == {"consent": "c"}
    assert "claimed" not in read(Events().granted(a_delegation(), a_full_case()))


@pytest.mark.parametrize("member", SAID)
@pytest.mark.parametrize("value", ["", " a", "a ", "a\nb", "\u00e9", "x" * 257])
def test_the_schema_knows_what_a_claim_can_be(member, value):
    """The same bounds as where they are read."""
    event = read(Events().refused("1-x", REFUSAL, a_full_case()))

    with pytest.raises(ValidationError):
        VALIDATOR.validate(event | {"claimed": {member: value}})


def test_when_somebody_logged_in_is_said_where_their_token_says_so():
    """An exchange never refreshes it."""
    subject = a_verified_token(authentication=Authentication(time=NOW - timedelta(hours=1)))
    case = a_full_case(subject=subject)

    granted = read(Events().granted(a_delegation(subject=subject), case))

    assert granted["auth_time"] == int(NOW.timestamp()) - 3600
    assert read(Events().refused("1-x", REFUSAL, case))["auth_time"] == granted["auth_time"]


ACTOR = a_workload()
BY_PLANNER = {"actor": ACTOR, "by": a_client(may_present_actors=frozenset({PLANNER}))}


def test_an_exchange_says_which_actor_token_it_grew_from():
    """By its issuer and id, beside the subject token; and who acts by it stands in the chain."""
    delegation = a_delegation(**BY_PLANNER)

    granted = read(Events().granted(delegation, a_full_case(actor=ACTOR)))
    without = read(Events().granted(a_delegation(), a_full_case()))

    assert granted["actor_token"] == {"iss": PLATFORM, "id": "actor-1"}
    assert granted["actors"][0] == {"iss": PLATFORM, "sub": PLANNER.subject}
    assert granted["client"] == CALENDAR_MCP
    assert granted.keys() - without.keys() == {"actor_token"}
    assert read(Events().not_issued(delegation, a_full_case(actor=ACTOR))) == granted | {
        "type": "not_issued"
    }


def test_an_exchange_that_ends_with_its_actor_token_says_so():
    """Who cut the lifetime is among the limits."""
    short = a_workload(expires_at=NOW + timedelta(seconds=60))

    event = read(Events().granted(a_delegation(**BY_PLANNER | {"actor": short}), a_full_case()))

    assert event["limits"] == {"expiry": "actor_token"}


@pytest.mark.parametrize("subject", [None, a_verified_token()], ids=["alone", "with-subject"])
def test_a_refusal_says_which_actor_token_was_shown(subject):
    """As soon as it has been verified: whatever it is refused for."""
    refusal = ActorTokenRejected(Cause.ACTOR_NOT_PRESENTABLE, issuer=PLATFORM, actor="planner")

    event = read(Events().refused("1-x", refusal, a_full_case(subject=subject, actor=ACTOR)))

    assert event["actor_token"] == {"iss": PLATFORM, "id": "actor-1"}
    assert event["detail"] == {"issuer": PLATFORM, "actor": "planner"}
    assert ("parent" in event) is (subject is not None)


def test_a_second_hop_says_what_transaction_it_belongs_to():
    """The first exchange's id goes down the chain."""
    event = read(Events().granted(a_second_delegation(), a_full_case()))

    assert event["txn"] == "exchange-1"
    assert event["parent"] == {"iss": OUR_ISSUER, "id": "exchange-1"}
    assert event["subject"] == {"iss": LOGIN, "sub": "alice"}


def test_what_was_withheld_is_said_with_who_withheld_it():
    """Downscoping leaves a trace."""
    registry = a_registry(grants=[a_grant(downscope=True)])
    asked = frozenset({"events.read", "events.delete"})

    event = read(Events().granted(a_delegation(registry=registry, scope=asked), a_full_case()))

    assert event["scope"] == {
        "requested": ["events.delete", "events.read"],
        "granted": ["events.read"],
        "withheld": ["events.delete"],
    }
    assert event["limits"]["scope:events.delete"] == "grant"


def test_an_exchange_that_was_not_issued_is_an_event_of_its_own():
    """Otherwise it says the same."""
    granted = read(Events().granted(a_delegation(), a_full_case()))

    assert read(Events().not_issued(a_delegation(), a_full_case())) == granted | {
        "type": "not_issued"
    }


@pytest.mark.standard("8693-2.2.2-5")
@pytest.mark.parametrize("cause", Cause)
def test_a_refusal_says_its_cause(cause):
    """Every cause is in the event, and those that look like theft raise an alarm."""
    refusal = NotPermitted(cause, grant="calendar")

    event = read(Events().refused("7-decision", refusal, a_full_case()))

    assert (event["type"], event["decision"]) == ("refusal", "7-decision")
    assert (event["error"], event["cause"]) == ("invalid_request", cause.value)
    assert ("alarm" in event) == (cause in ALARMING)
    assert event["detail"] == {"grant": "calendar"}
    assert event["asked"] == {"targets": [CALENDAR_API], "scope": "x"}
    assert event["parent"] == {"iss": LOGIN, "id": "login-1"}


TOO_MUCH = InvalidScope(
    Cause.SCOPE_EXCEEDED, required=frozenset({"calendar:write", "calendar:read"}), withheld=["x"]
)


@pytest.mark.parametrize(
    ("refusal", "answered"),
    [
        (InvalidTarget(Cause.TARGET_UNKNOWN), ("invalid_target", "not_permitted", None)),
        (
            SubjectTokenRejected(Cause.EXPIRED),
            ("invalid_request", "subject_token_rejected", None),
        ),
        (InvalidScope(Cause.SCOPE_EMPTY), ("invalid_scope", "not_permitted", None)),
        (TOO_MUCH, ("invalid_scope", "not_permitted", ["calendar:read", "calendar:write"])),
    ],
    ids=["target", "token", "scope", "scope that would do"],
)
def test_a_refusal_says_what_was_answered(refusal, answered):
    """The OAuth error code, the public reason, and the scope that would have sufficed."""
    event = read(Events().refused("1-x", refusal, a_full_case()))

    assert (event["error"], event["reason"], event.get("required_scope")) == answered


def test_what_is_not_known_is_absent():
    """A request that was not understood has an event with less in it."""
    event = read(Events().refused("1-x", NotPermitted(Cause.MALFORMED), a_case()))

    assert event["mcp_server"] == CALENDAR_MCP_AUDIENCE
    assert not {"asked", "subject", "agent", "parent", "traceparent", "alarm"} & event.keys()
    assert not {"auth_time", "claimed", "required_scope", "lineage"} & event.keys()


@pytest.mark.parametrize(
    "order",
    [
        an_order(),
        an_order(target=EVERYTHING, ends_at=1, parents=True, since_login=True),
        an_order(target=Target.pair(ALICE, Identity(OUR_ISSUER, CALENDAR_MCP))),
    ],
    ids=["standing", "cut-off", "pair"],
)
@pytest.mark.standard("REV-1")
def test_a_lock_says_what_who_and_why(order):
    """An administrative act has its event, too."""
    event = read(Acts().locked(order))

    assert (event["type"], event["lock"]) == ("lock", order.id)
    assert event["target"] == {"kind": order.target.kind, "names": list(order.target.names)}
    assert event.get("ends_at") == order.ends_at
    assert (event["reason"], event["author"]) == ("stolen laptop", "sec@example.com")
    assert (event["parents"], event["since_login"]) == (order.parents, order.since_login)


@pytest.mark.standard("REV-1")
@pytest.mark.parametrize("mistaken", [True, False], ids=["mistaken", "over"])
def test_a_lift_says_which_lock_who_and_why(mistaken):
    """Who lifts it need not be who put it on, nor for the same reason."""
    lock = BookedLock(order=an_order(), begins_at=1, ends_at=None, state=State.STANDING)

    event = read(Acts().lifted(lock, reason="found it", author="ops", mistaken=mistaken))

    assert (event["type"], event["lock"]) == ("lift", lock.order.id)
    assert event["target"] == {"kind": "subject", "names": [ALICE.issuer, ALICE.subject]}
    assert (event["reason"], event["author"]) == ("found it", "ops")
    assert event["mistaken"] is mistaken


REQUESTED = Origin(
    address="192.0.2.7", traceparent="00-" + "a" * 32 + "-" + "b" * 16 + "-01", request_id="7f3c"
)


@pytest.mark.standard("REV-1")
@pytest.mark.parametrize(
    ("author", "origin", "said"),
    [
        (
            Administrator.of(Identity("https://idp.example.com", "sec|ops"), frozenset()).author,
            REQUESTED,
            {
                "how": "admin_api",
                "administrator": {"iss": "https://idp.example.com", "sub": "sec|ops"},
                "source": "192.0.2.7",
                "traceparent": REQUESTED.traceparent,
                "request_id": "7f3c",
            },
        ),
        (Administrator.local("root").author, Origin(address=""), {"how": "command"}),
        (
            f"client:{CALENDAR_MCP}",
            Origin(address="192.0.2.1"),
            {"how": "revocation", "client": CALENDAR_MCP, "source": "192.0.2.1"},
        ),
        ("sec@example.com", None, {}),
    ],
    ids=["administrator", "command", "client", "nobody known"],
)
def test_an_act_says_who_did_it_how_and_from_where(author, origin, said):
    """The administrator by issuer and subject, the address, the trace: of a lock and of a lift."""
    order = an_order(author=author)
    lock = BookedLock(order=order, begins_at=1, ends_at=None, state=State.STANDING)
    bare = {"author", "how", "administrator", "client", "source", "traceparent", "request_id"}

    locked = read(Acts().locked(order, origin))
    lifted = read(
        Acts().lifted(lock, reason="found it", author=author, mistaken=False, origin=origin)
    )

    for event in (locked, lifted):
        assert {name: event[name] for name in bare & event.keys()} == {"author": author} | said


@pytest.mark.standard("8693-5-3")
def test_no_event_holds_a_token():
    """Whatever happens, the value of a token stays where it was presented."""
    case, delegation = a_full_case(), a_delegation()
    refusal = NotPermitted(Cause.NO_GRANT, request=case.request, token=case.request.subject_token)

    events = [
        Events().granted(delegation, case),
        Events().not_issued(delegation, case),
        Events().refused("1-x", refusal, case),
    ]

    assert not any(SECRET in str(unpacked(event)) for event in events)


HOSTILE = {
    "line breaks": "a\r\nb\u2028c\u0085d",
    "bidi": "\u202egnp.exe\u2066",
    "ANSI": "\x1b[31mred\x1b[0m\x07",
    "quotes": "\"}],'\\",
    "NUL": "a\x00b",
    "URL": "https://agent.example.com/" + "x" * 229,
    "lone surrogate": "\ud800",
}


@pytest.mark.standard("CIMD-2")
@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE)
def test_hostile_names_survive_on_one_line(name):
    """What parties call themselves is text in JSON, whole, in ASCII, on one line; or packed."""
    subject = a_verified_token(agent=name, id=name, subject=Identity(LOGIN, f"user {name}"))
    case = a_full_case(subject=subject, actor=a_workload(issuer=name, id=name))
    registry = a_registry(grants=[a_grant(agents=Agents(any=True))])

    granted = Events().granted(a_delegation(subject=subject, registry=registry), case)
    assert name in texts(read(granted))
    for event in [
        Events().refused(name, NotPermitted(Cause.NO_GRANT, client=name), case),
        Acts().locked(an_order(target=Target.client(name), reason=name, author=name)),
    ]:
        assert event.isascii()
        assert all(byte >= 0x20 for byte in event)
        assert name in texts(read(event))


def texts(value):
    """Every string in a JSON value."""
    if isinstance(value, str):
        return {value}
    if isinstance(value, dict):
        value = list(value.values())
    return set().union(*map(texts, value)) if isinstance(value, list) else set()


def test_detail_from_outside_is_bounded():
    """A member that is too long is left out, the others stay, and the event says so."""
    refusal = NotPermitted(Cause.NO_GRANT, grant="calendar", audience=["x" * 100] * 100)

    event = read(Events().refused("1-x", refusal, a_full_case()))

    assert event["detail"] == {"grant": "calendar", "truncated": True}


def test_what_was_asked_is_bounded():
    """Many targets and much scope do not fill the log."""
    long = f"https://calendar.example.com/{'x' * 1900}"
    many = Targets(resources=(long,) * 50, audiences=("a" * 2000,) * 50)
    scope = frozenset(f"scope-{number}" for number in range(10_000))
    case = a_full_case(request=a_request(targets=many, scope=scope))

    event = Events().refused("1-x", REFUSAL, case)

    assert len(event) < 4096
    assert [len(target) for target in read(event)["asked"]["targets"]] == [512] * 4


def test_scope_that_was_withheld_is_bounded():
    """A grant that downscopes is asked for sixty thousand characters: the event says that there
    was more.
    """
    registry = a_registry(grants=[a_grant(downscope=True)])
    scope = frozenset({"events.read"} | {f"scope-{number:04}" for number in range(6000)})

    granted = Events().granted(a_delegation(registry=registry, scope=scope), a_full_case())

    event = read(granted)
    assert len(granted) < 10_000
    assert event["scope"]["granted"] == ["events.read"]
    assert event["scope"]["requested"][0] == "events.read"
    assert event["scope"]["truncated"] is True
    assert event["limits"]["expiry"] == "grant"


@pytest.mark.parametrize(
    ("alarm", "said"),
    [
        (
            Alarm(cause=Cause.KEYS_REPLACED, about=LOGIN, detail={"keys": ("a", "b")}),
            {"cause": "keys_replaced", "about": LOGIN, "detail": {"keys": ["a", "b"]}},
        ),
        (
            Alarm(cause=Cause.ALREADY_USED, about=CALENDAR_MCP, source="192.0.2.1"),
            {
                "cause": "already_used",
                "about": CALENDAR_MCP,
                "source": "192.0.2.1",
                "detail": {},
            },
        ),
        (
            Alarm(cause=Cause.KEYS_REPLACED, about=LOGIN, detail={"keys": ["k" * 600]}),
            {"cause": "keys_replaced", "about": LOGIN, "detail": {"truncated": True}},
        ),
    ],
    ids=["an issuer", "a client", "too much"],
)
def test_an_alarm_says_whom_it_is_about(alarm, said):
    """And that it is one: where no request was refused, there is nothing else to say."""
    event = read(Events().alarm(alarm))

    assert event == HEAD | {"version": 1, "type": "alarm", "alarm": True} | said


@given(detail=st.dictionaries(st.text(max_size=5), st.text() | st.lists(st.text())))
def test_any_detail_makes_an_event(detail):
    """Whatever a cause has to say, its event is bounded, and holds to the schema."""
    refusal = NotPermitted(Cause.NO_GRANT)
    refusal.detail = detail

    read(Events().refused("1-x", refusal, a_full_case()))


@pytest.mark.parametrize(
    "change",
    [
        {"token": SECRET},
        {"type": "other"},
        {"version": 2},
        {"id": "1:events:1"},
        {"actors": []},
        {"actor_token": SECRET},
        {"actor_token": {"iss": PLATFORM}},
        {"actor_token": {"iss": PLATFORM, "id": "1", "value": SECRET}},
    ],
    ids=[
        "unknown member",
        "unknown type",
        "other version",
        "other id",
        "nobody acts",
        "a token",
        "an actor token without id",
        "an actor token with more",
    ],
)
def test_the_schema_is_strict(change):
    """What it does not know it does not let pass."""
    event = read(Events().granted(a_delegation(), a_full_case()))

    with pytest.raises(ValidationError):
        VALIDATOR.validate(event | change)
