"""An explanation says what the event says, in words, and what it would take."""

import json
import re
import string
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delegation.audit.acts import Acts
from delegation.audit.events import Events
from delegation.audit.explain import Explanation, explain, explain_absence
from delegation.audit.packing import unpacked
from delegation.audit.remedies import REMEDIES, TOKENS
from delegation.domain.alarms import Alarm
from delegation.domain.case import Claimed, Origin
from delegation.domain.errors import (
    ALARMING,
    ActorTokenRejected,
    Cause,
    InvalidScope,
    NotPermitted,
    Reason,
    Refused,
    SubjectTokenRejected,
)
from delegation.domain.locks import EVERYTHING, BookedLock, LockOrder, State, Target
from delegation.domain.parties import Identity
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
    a_case,
    a_client,
    a_delegation,
    a_grant,
    a_registry,
    a_request,
    a_resource,
    a_second_delegation,
    a_verified_token,
    a_workload,
    the_next_client,
)

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
SAID = Claimed(method="tools/call", name="create_event", consent="consent-1")


def stored(event, *exchanges):
    """The event as it leaves the store."""
    is_json = event[:1] in {"{", b"{"}  # with numbers that no trail would take, too
    told = {"id": "0f:7:events:1", "at": "2026-11-20T12:00:00.000Z"}
    told |= json.loads(event) if is_json else unpacked(event)
    lineage = {"exchanges": list(exchanges), "foreign_parent": {"iss": LOGIN, "id": "login-1"}}
    return told | ({"lineage": lineage} if "actors" in told else {})


def a_whole_case(**changes):
    """A request of which everything is understood, and whose client says everything."""
    known = {
        "request": a_request(scope=frozenset({"x"})),
        "subject": a_verified_token(),
        "origin": Origin(address="192.0.2.1", traceparent=TRACE, claimed=SAID, request_id="7f3c"),
    }
    return a_case(**(known | changes))


def refusal(refused, **changes):
    """The explanation of one."""
    return explain(stored(Events().refused("7-x", refused, a_whole_case(**changes))))


def facts(explanation):
    """By label; what comes more than once, joined."""
    found = {}
    for label, text in explanation.facts:
        found[label] = f"{found[label]} | {text}" if label in found else text
    return found


def test_an_exchange_is_explained():
    """Who, for whom, through whom, what, how much of it, until when, under what, from what."""
    subject = a_verified_token(authentication=Authentication(time=NOW - timedelta(hours=1)))
    case = a_whole_case(subject=subject)

    explanation = explain(stored(Events().granted(a_delegation(subject=subject), case)))

    assert explanation.outcome == (
        f"Granted: calendar-mcp may act for alice of {LOGIN} at {CALENDAR_API}."
    )
    assert facts(explanation) == {
        "decision": "exchange-1",
        "when": "2026-11-20T12:00:00.000Z",
        "for": f"alice of {LOGIN}",
        "logged in": "2026-11-20T11:00:00Z",
        "acting": f"calendar-mcp of {OUR_ISSUER}, called by desk-agent of {LOGIN} (ai_agent)",
        "through the agent": DESK_AGENT,
        "asked by": "calendar-mcp, by private_key_jwt",
        "MCP server": CALENDAR_MCP_AUDIENCE,
        "from": "192.0.2.1",
        "trace": TRACE,
        "request": "7f3c",
        "for the call": "tools/call create_event (as the client says)",
        "with consent": "consent-1 (as the client says)",
        "asked for": "all that may be given",
        "given": "events.read events.write",
        "until": "2026-11-20T12:05:00Z: as the grant has it",
        "under the grant": "calendar",
        "by the registry": "revision-1",
        "began with": f"login-1 of {LOGIN}",
        "transaction": "exchange-1",
    }
    assert explanation.needed == ()


SHORT = NOW + timedelta(seconds=60)
BY_PLANNER = {
    "actor": a_workload(expires_at=SHORT),
    "by": a_client(may_present_actors=frozenset({PLANNER})),
}


@pytest.mark.parametrize(
    ("delegation", "until"),
    [
        ({}, "2026-11-20T12:05:00Z: as the grant has it"),
        (
            {"subject": a_verified_token(expires_at=SHORT)},
            "2026-11-20T12:01:00Z: the subject token ends then",
        ),
        (BY_PLANNER, "2026-11-20T12:01:00Z: the actor token ends then"),
    ],
    ids=["grant", "subject token", "actor token"],
)
def test_who_cut_the_lifetime(delegation, until):
    """Each of those who can."""
    explanation = explain(stored(Events().granted(a_delegation(**delegation), a_whole_case())))

    assert facts(explanation)["until"] == until


def test_who_withheld_each_scope():
    """The grant, the resource or the subject token, one by one."""
    both = frozenset({"events.read", "events.write"})
    registry = a_registry(
        resources=[a_resource(clients={CALENDAR_MCP: both - {"events.write"}}, scopes=both)],
        grants=[
            a_grant(
                downscope=True,
                scopes={
                    "calendar:read": frozenset({"events.read"}),
                    "calendar:write": frozenset({"events.write"}),
                },
            )
        ],
        clients=[a_client()],
    )
    asked = both | {"events.delete"}

    event = stored(Events().granted(a_delegation(registry=registry, scope=asked), a_whole_case()))
    told = facts(explain(event))
    by_the_token = event | {"limits": {"scope:events.write": "subject_token", "expiry": "grant"}}
    denied = event | {"limits": {"scope:events.write": "deny:no-writing", "expiry": "grant"}}
    by_another = event | {"limits": {"scope:events.write": "next", "expiry": "next"}}
    too_much = event | {"scope": event["scope"] | {"truncated": True}}

    assert told["asked for"] == "events.delete events.read events.write"
    assert told["given"] == "events.read"
    assert told["withheld"] == (
        "events.delete: the grant does not give it | "
        "events.write: the resource does not admit the client with it"
    )
    assert "the subject token does not stand for it" in facts(explain(by_the_token))["withheld"]
    assert "events.write: no-writing denies it" in facts(explain(denied))["withheld"]
    assert facts(explain(by_another))["until"].endswith("cut by next")
    assert facts(explain(by_another))["withheld"].endswith("cut by next")
    assert facts(explain(too_much))["and more"]


@pytest.mark.parametrize(
    ("shadow", "said"),
    [
        (
            {"outcome": "refused", "cause": "denied"},
            "with a, b in force it would have been refused: denied",
        ),
        (
            {"outcome": "granted", "grant": "a", "scope": ["x", "y"], "expires_at": 1_795_176_300},
            "with a, b in force, a would have given x y until 2026-11-20T12:05:00Z",
        ),
    ],
    ids=["refused", "granted"],
)
def test_what_grants_in_shadow_would_have_done(shadow, said):
    """Of an exchange and of a refusal."""
    told = {"shadow": {"grants": ["a", "b"]} | shadow}
    granted = stored(Events().granted(a_delegation(), a_whole_case()))
    refused = stored(Events().refused("7-x", NotPermitted(Cause.NO_GRANT), a_whole_case()))

    for event in (granted, refused):
        assert "in shadow" not in facts(explain(event))
        assert facts(explain(event | told))["in shadow"] == said


def test_where_a_second_hop_came_from():
    """The exchanges before it, nearest first, and the foreign token."""
    event = Events().granted(a_second_delegation(), a_whole_case(client=the_next_client()))

    told = facts(explain(stored(event, "7-b", "7-a")))

    assert told["came from"] == "7-b, which came from 7-a"
    assert told["began with"] == f"login-1 of {LOGIN}"
    assert told["transaction"] == "exchange-1"


def test_an_actor_token_is_told():
    """Of an exchange and of a refusal."""
    actor = a_workload()
    delegation = a_delegation(**BY_PLANNER | {"actor": actor})

    granted = explain(stored(Events().granted(delegation, a_whole_case(actor=actor))))
    refused = refusal(ActorTokenRejected(Cause.EXPIRED), actor=actor)

    for explanation in (granted, refused):
        assert facts(explanation)["actor token"] == f"actor-1 of {actor.issuer}"


def test_what_was_not_issued():
    """It was granted, nobody has it, and the keys are to be looked at."""
    explanation = explain(stored(Events().not_issued(a_delegation(), a_whole_case())))

    assert explanation.outcome.startswith("Granted, but not issued: calendar-mcp was to act for")
    assert "`delegation check`" in explanation.needed[-1]


@pytest.mark.parametrize("cause", Cause)
def test_every_cause_has_words(cause):
    """Why, and what would have been needed: whole sentences, about the right token."""
    remedy = REMEDIES[cause]
    placeholders = {
        name for text in remedy for _, name, *_ in string.Formatter().parse(text) if name
    }

    assert placeholders <= {"token"}
    assert not remedy.why.endswith(".")
    assert remedy.needed.endswith(".")
    assert re.match(r"[A-Z{]", remedy.needed)
    for refused, token in (
        (SubjectTokenRejected(cause), "subject token"),
        (ActorTokenRejected(cause), "actor token"),
        (NotPermitted(cause), "token"),
    ):
        explanation = refusal(refused)
        assert explanation.outcome == f"Refused: {remedy.why.format(token=token)}."
        assert explanation.needed[0] == remedy.needed.format(token=token)
        assert facts(explanation)["cause"] == cause.value
        assert (len(explanation.needed) == 2) is (cause in ALARMING)


def test_the_tables_are_closed():
    """They speak of nothing that is not, and of each reason that is about a token."""
    assert set(REMEDIES) == set(Cause)
    assert set(TOKENS) == {Reason.SUBJECT_TOKEN_REJECTED, Reason.ACTOR_TOKEN_REJECTED}


def test_a_refusal_is_explained():
    """What was asked, by whom for whom, what was answered, and what the cause is about."""
    explanation = refusal(NotPermitted(Cause.NO_GRANT, resource=CALENDAR_API, few=["a", "b"]))

    assert facts(explanation) == {
        "decision": "7-x",
        "when": "2026-11-20T12:00:00.000Z",
        "for": f"alice of {LOGIN}",
        "through the agent": DESK_AGENT,
        "asked by": "calendar-mcp, by private_key_jwt",
        "MCP server": CALENDAR_MCP_AUDIENCE,
        "from": "192.0.2.1",
        "trace": TRACE,
        "request": "7f3c",
        "for the call": "tools/call create_event (as the client says)",
        "with consent": "consent-1 (as the client says)",
        "asked for": "x",
        "at the target": CALENDAR_API,
        "cause": "no_grant",
        "resource": CALENDAR_API,
        "few": "a, b",
        "the client was told": "invalid_request, not_permitted",
        "by the registry": "revision-1",
        "subject token": f"login-1 of {LOGIN}",
    }


def test_scope_that_would_have_sufficed():
    """In the words of the MCP server."""
    required = frozenset({"calendar:write", "calendar:read"})

    explanation = refusal(InvalidScope(Cause.SCOPE_EXCEEDED, required=required, withheld=["x"]))

    assert explanation.needed[-1] == ("A subject token with calendar:read calendar:write would do.")
    assert facts(explanation)["withheld"] == "x"


def test_what_was_not_understood_is_not_told():
    """A request that is malformed has an explanation with less in it."""
    bare = Events().refused("7-x", NotPermitted(Cause.MALFORMED, much="x" * 600), a_case())

    told = facts(explain(stored(bare)))

    assert told["and more"] == "a part of this was too long, and is not kept"
    assert not {"for", "asked for", "at the target", "subject token", "for the call"} & told.keys()


def an_order(**changes):
    """An order to stop Alice."""
    fields = {"id": "0-x", "target": Target.subject(ALICE), "reason": "stolen"}
    return LockOrder(**({"author": "local:root"} | fields | changes))


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (EVERYTHING, "everything"),
        (Target.subject(ALICE), f"subject alice of {LOGIN}"),
        (Target.client("calendar-mcp"), "client calendar-mcp"),
        (
            Target.pair(ALICE, Identity(OUR_ISSUER, CALENDAR_MCP)),
            f"pair alice of {LOGIN} and calendar-mcp of {OUR_ISSUER}",
        ),
    ],
    ids=["everything", "subject", "client", "pair"],
)
def test_a_lock_and_its_end_are_explained(target, said):
    """What, by whom, how, from where, why, and until when."""
    order = an_order(target=target, ends_at=1_795_176_300_000, parents=True, since_login=True)
    lock = BookedLock(order=order, begins_at=1, ends_at=None, state=State.STANDING)
    origin = Origin(address="192.0.2.9", traceparent=TRACE)

    locked = explain(stored(Acts().locked(order, origin)))
    standing = explain(stored(Acts().locked(an_order(target=target))))
    lifted, annulled = (
        explain(stored(Acts().lifted(lock, reason="over", author="x", mistaken=mistaken)))
        for mistaken in (False, True)
    )

    assert locked.outcome == f"Stopped: {said}."
    assert facts(locked) == {
        "when": "2026-11-20T12:00:00.000Z",
        "lock": "0-x",
        "by": "local:root",
        "through": "a command where the settings are",
        "from": "192.0.2.9",
        "trace": TRACE,
        "because": "stolen",
        "until": "2026-11-20T12:05:00Z",
        "stays dead": "what grows from foreign tokens issued up to its end, and what grows from "
        "foreign tokens of a login up to its end",
    }
    assert facts(standing)["until"] == "it is lifted"
    assert "stays dead" not in facts(standing)
    assert lifted.outcome == f"Lifted: the lock on {said} is over."
    assert annulled.outcome.endswith("was a mistake, and is as if it had never been.")


def test_an_alarm_is_explained():
    """What it is about, and what to do."""
    alarm = Alarm(cause=Cause.KEYS_REPLACED, about=LOGIN, detail={"keys": ("a", "b")})

    explanation = explain(stored(Events().alarm(alarm)))

    assert explanation.outcome == "Alarm: a party publishes none of the keys that it had."
    assert facts(explanation)["keys"] == "a, b"
    assert explanation.needed


def test_what_was_suppressed_is_explained():
    """How many, of whom, when."""
    event = {"version": 1, "type": "refusals_suppressed", "client": CALENDAR_MCP, "count": 5}

    explanation = explain(stored(json.dumps(event | {"since": 1_795_176_300_000})))

    assert explanation.outcome.startswith("5 refusals of calendar-mcp were counted and not written")
    assert facts(explanation)["in the minute from"] == "2026-11-20T12:05:00Z"


def test_no_event_of_a_decision():
    """It may have been suppressed; otherwise there are other places to look at."""
    suppressed = {"client": CALENDAR_MCP, "count": 5, "since": 1_795_176_300_000}

    counted = explain_absence("7-x", [suppressed])
    unknown = explain_absence("7-x")

    assert "only counted" in counted.outcome
    assert facts(counted)["perhaps"] == "one of 5 of calendar-mcp, from 2026-11-20T12:05:00Z"
    assert unknown.outcome == "There is no event of 7-x here."
    assert unknown.facts == ()
    assert all(one.needed for one in (counted, unknown))


@pytest.mark.parametrize(
    "change",
    [{"version": 2}, {"type": "next"}, {"cause": "next"}],
    ids=["version", "type", "cause"],
)
def test_what_a_later_release_wrote(change):
    """It is said that it is not known, and nothing fails."""
    event = stored(Events().refused("7-x", NotPermitted(Cause.NO_GRANT), a_whole_case()))

    explanation = explain(event | change)

    assert "this release does not know" in explanation.outcome
    assert facts(explanation)["decision"] == "7-x"


def test_an_explanation_is_text():
    """An outcome, facts in two columns, and what to do."""
    explanation = Explanation(
        outcome="Refused: no.", facts=(("a", "b"), ("long", "c")), needed=("Do it.",)
    )

    assert [*explanation.lines()] == [
        "Refused: no.",
        "  a     b",
        "  long  c",
        "What to do:",
        "  Do it.",
    ]
    assert [*Explanation(outcome="Granted.").lines()] == ["Granted."]


@given(
    detail=st.dictionaries(st.text(max_size=5), st.text() | st.lists(st.integers()) | st.none()),
    cause=st.sampled_from(Cause),
    kind=st.sampled_from([NotPermitted, SubjectTokenRejected, InvalidScope]),
)
def test_any_refusal_has_an_explanation(detail, cause, kind):
    """Whatever a cause has to say."""
    refused: Refused = kind(cause)
    refused.detail = detail

    assert "\n".join(refusal(refused).lines())
