"""Actor tokens at the endpoint: who acts then, what refusals say, and that some are good once."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from delegation.audit.events import Events
from delegation.audit.packing import unpacked
from delegation.domain.errors import ALARMING, Cause
from delegation.domain.locks import milliseconds
from delegation.domain.parties import Identity
from delegation.domain.registry import Registry
from delegation.ledger.evidence import Evidence
from delegation.ledger.ledger import Limits, RedisLedger
from delegation.ledger.server import Server
from delegation.ledger.store import Store
from tests.parties import (
    ALICE,
    CALENDAR_API_CLIENT,
    CALENDAR_MCP,
    LOGIN,
    NOW,
    OUR_ISSUER,
    PLANNER,
    PLATFORM,
    a_verified_token,
    an_actor_issuer,
)
from tests.signing import ABSENT, SigningClient
from tests.valkey import PARTITIONS, Proxy
from tests.web.endpoint import (
    ACCESS_TOKEN,
    ALICES_TOKEN,
    INVALID_CLIENT,
    JWT,
    MALFORMED,
    MCP,
    OTHER,
    WORKLOADS,
    Endpoint,
    Live,
    asserting,
    basic,
    body_of,
    form,
    fresh,
    issued,
    refused,
)

REJECTED = (400, "invalid_request", "actor_token_rejected")
NOT_PERMITTED = (400, "invalid_request", "not_permitted")

STRANGER = SigningClient()


def shown(value: str, type_: str = JWT, **changes: str | None) -> bytes:
    """A proper request's form, with an actor token in it."""
    return form(**({"actor_token": value, "actor_token_type": type_} | changes))


def workload(**claims: Any) -> str:
    """What the platform says of the planner, to us."""
    usual = {"sub": PLANNER.subject, "aud": OUR_ISSUER, "jti": "w-1", "client_id": ABSENT}
    return WORKLOADS.token(header={"typ": "JWT"}, **(usual | claims))


def access_token(**claims: Any) -> str:
    """What the platform issued to *calendar-mcp*, and by which that acts."""
    usual = {"sub": CALENDAR_MCP, "aud": "https://elsewhere.example.com", "jti": "a-1"}
    return WORKLOADS.token(**(usual | {"client_id": CALENDAR_MCP} | claims))


def ask(sts: Endpoint, body: bytes) -> Any:
    """Ask as *calendar-mcp*, by its secret."""
    return sts.ask(body, authorization=basic())


def recorded(sts: Endpoint) -> list[Cause]:
    """The causes of all refusals so far."""
    return [refusal.cause for refusal, _ in sts.ledger.refused]


@pytest.mark.standard("8693-2.1-5", "8693-A-1", "8693-A-2", "8693-4.1-2", "8693-4.3-1")
@pytest.mark.parametrize(
    ("value", "type_", "acting"),
    [
        pytest.param(MCP.assertion(), JWT, Identity(OUR_ISSUER, CALENDAR_MCP), id="itself"),
        pytest.param(
            OTHER.assertion(), JWT, Identity(OUR_ISSUER, CALENDAR_API_CLIENT), id="another-client"
        ),
        pytest.param(workload(), JWT, PLANNER, id="workload"),
        pytest.param(
            access_token(), ACCESS_TOKEN, Identity(PLATFORM, CALENDAR_MCP), id="access-token"
        ),
    ],
)
def test_who_acts(sts: Endpoint, value: str, type_: str, acting: Identity) -> None:
    """Whoever the actor token names; the token is issued to the authenticated client."""
    response = ask(sts, shown(value, type_))

    assert issued(response)
    [(delegation, case)] = sts.ledger.recorded
    assert delegation.actors.actors[0].identity == acting
    assert delegation.client == CALENDAR_MCP
    assert delegation.actor_token is case.actor is not None


@pytest.mark.standard("8693-2.1-5", "6749-3.2-4")
def test_an_empty_pair_is_none(sts: Endpoint) -> None:
    """A parameter without a value is an omitted one: the client itself acts."""
    assert issued(ask(sts, shown("", "")))

    [(delegation, _)] = sts.ledger.recorded
    assert delegation.actor_token is None
    assert delegation.actors.actors[0].identity == Identity(OUR_ISSUER, CALENDAR_MCP)


@pytest.mark.standard("8693-2.1-5")
@pytest.mark.parametrize(
    "type_",
    [
        "urn:ietf:params:oauth:token-type:id_token",
        "urn:ietf:params:oauth:token-type:saml2",
        "urn:ietf:params:oauth:token-type:id-jag",
        "urn:ietf:params:oauth:token-type:refresh_token",
        JWT.upper(),
        "jwt",
    ],
)
def test_other_types(sts: Endpoint, type_: str) -> None:
    """Two types of actor token, compared exactly; and nothing is verified before that."""
    assert refused(ask(sts, shown(workload(), type_))) == MALFORMED
    assert recorded(sts) == [Cause.UNSUPPORTED_TOKEN_TYPE]


@pytest.mark.standard("8693-2.1-16")
@pytest.mark.parametrize("name", ["actor_token", "actor_token_type"])
def test_twice(sts: Endpoint, name: str) -> None:
    """There is one actor token, of one type."""
    value = {"actor_token": workload(), "actor_token_type": JWT}[name]

    assert refused(ask(sts, shown(workload()) + f"&{name}={value}".encode())) == MALFORMED
    assert not sts.outcomes


@pytest.mark.standard("8693-2.2.2-1", "8693-2.2.2-5", "8693-A-1", "8693-A-2", "8693-A-3")
@pytest.mark.parametrize(
    ("value", "type_", "cause"),
    [
        pytest.param("x", JWT, Cause.TOKEN_MALFORMED, id="malformed"),
        pytest.param(STRANGER.assertion(), JWT, Cause.KEY_UNKNOWN, id="stranger"),
        pytest.param(MCP.assertion(sub=ALICE.subject), JWT, Cause.TOKEN_CLAIMS, id="of-alice"),
        pytest.param(MCP.assertion(aud=f"{OUR_ISSUER}/token"), JWT, Cause.AUDIENCE, id="aud"),
        pytest.param(workload(exp=NOW.timestamp()), JWT, Cause.EXPIRED, id="expired"),
        pytest.param(workload(act={"sub": "x"}), JWT, Cause.ACTOR_IS_DELEGATED, id="delegated"),
        pytest.param(workload(iss=LOGIN), JWT, Cause.ISSUER_NOT_TRUSTED, id="issuer-of-subjects"),
        pytest.param(workload(sub="x"), JWT, Cause.ACTOR_NOT_PRESENTABLE, id="not-listed"),
        pytest.param(
            access_token(client_id=CALENDAR_API_CLIENT),
            ACCESS_TOKEN,
            Cause.PRESENTED_BY_ANOTHER_CLIENT,
            id="issued-to-another",
        ),
        pytest.param(access_token(), JWT, Cause.TOKEN_TYPE, id="declared-as-another"),
    ],
)
def test_what_is_refused(sts: Endpoint, value: str, type_: str, cause: Cause) -> None:
    """The answer is the same for all; the event knows the cause; nothing is used up or echoed."""
    response = ask(sts, shown(value, type_))

    assert refused(response) == REJECTED
    assert body_of(response)["error_description"] == "the actor token is not acceptable"
    assert recorded(sts) == [cause]
    assert response.headers["Delegation-Decision"] == "refusal-1"
    assert not sts.ledger.claimed


@pytest.mark.standard("8693-A-4")
def test_the_subject_does_not_act(sts: Endpoint) -> None:
    """One token as both, or two of the same party: there is nobody to delegate to."""
    sts.tokens[ALICES_TOKEN] = a_verified_token(issuer=PLATFORM, subject=PLANNER)

    assert refused(ask(sts, shown(workload()))) == REJECTED
    assert recorded(sts) == [Cause.ACTOR_IS_SUBJECT]


@pytest.mark.standard("8693-4.4-2")
@pytest.mark.parametrize(
    ("may_act", "permitted"),
    [
        ({"iss": PLATFORM, "sub": PLANNER.subject, "client_id": CALENDAR_MCP}, True),
        ({"iss": PLATFORM, "sub": PLANNER.subject}, False),
        ({"sub": CALENDAR_MCP, "client_id": CALENDAR_MCP}, False),
    ],
    ids=["both", "the-actor-alone", "the-client-alone"],
)
def test_may_act(sts: Endpoint, may_act: dict[str, str], *, permitted: bool) -> None:
    """The subject's issuer has to mean both, who acts and who asks; it is policy that says no."""
    sts.tokens[ALICES_TOKEN] = a_verified_token(may_act=may_act)

    response = ask(sts, shown(workload()))

    if permitted:
        assert issued(response)
    else:
        assert refused(response) == NOT_PERMITTED
        assert recorded(sts) == [Cause.MAY_ACT]


@pytest.mark.standard("8693-2.1-14")
def test_the_order(sts: Endpoint) -> None:
    """Subject token, actor token, and only then what is asked for."""
    unknown = {"resource": "https://unknown.example.com"}

    answers = [
        refused(ask(sts, shown("x", subject_token="y", **unknown))),
        refused(ask(sts, shown("x", **unknown))),
        refused(ask(sts, shown(workload(), **unknown))),
    ]

    assert [reason for _, _, reason in answers] == [
        "subject_token_rejected",
        "actor_token_rejected",
        "not_permitted",
    ]


@pytest.mark.standard("8693-A-6")
def test_a_refused_exchange_uses_nothing_up(sts: Endpoint) -> None:
    """What a client signed is good until an exchange is granted for it; then no more."""
    value = OTHER.assertion()

    for changes in ({"scope": "events.share"}, {"resource": "https://x.example.com"}):
        assert refused(ask(sts, shown(value, **changes)))[2] == "not_permitted"
        assert not sts.ledger.claimed
    assert issued(ask(sts, shown(value)))
    assert refused(ask(sts, shown(value))) == REJECTED

    assert recorded(sts)[-1] is Cause.ALREADY_USED
    assert Cause.ALREADY_USED in ALARMING
    now = milliseconds(NOW)
    [(name, (_, *times))] = sts.ledger.claimed.items()
    assert name == (CALENDAR_API_CLIENT, "assertion-1")
    assert times == [now - 1000, now + 60_000]


def test_a_workloads_token_is_good_again(sts: Endpoint) -> None:
    """Its platform says for how long."""
    assert issued(ask(sts, shown(workload())))
    assert issued(ask(sts, shown(workload())))
    assert not sts.ledger.claimed


@pytest.mark.standard("8693-A-5", "8693-A-6")
def test_one_token_for_both_uses(sts: Endpoint) -> None:
    """What authenticates the client may show that it acts, in that request; it is claimed once."""
    value = MCP.assertion()

    assert issued(sts.ask(asserting(value, actor_token=value, actor_token_type=JWT)))
    assert [*sts.ledger.claimed] == [(CALENDAR_MCP, "assertion-1")]

    again = sts.ask(asserting(value, actor_token=value, actor_token_type=JWT))
    assert refused(again) == INVALID_CLIENT
    assert refused(ask(sts, shown(value))) == REJECTED


@pytest.mark.standard("8693-A-5", "8693-A-6")
@pytest.mark.parametrize("first", ["actor", "authentication"])
def test_each_use_is_the_only_one(sts: Endpoint, first: str) -> None:
    """In another request it is not good for the other use either."""
    value = MCP.assertion()

    if first == "actor":
        assert issued(ask(sts, shown(value)))
        assert refused(sts.ask(asserting(value))) == INVALID_CLIENT
    else:
        assert issued(sts.ask(asserting(value)))
        assert refused(ask(sts, shown(value))) == REJECTED


@pytest.mark.standard("8693-A-5")
@pytest.mark.parametrize(
    "claims",
    [{"exp": NOW.timestamp()}, {"aud": f"{OUR_ISSUER}/token"}, {"jti": ABSENT}, {"sub": "x"}],
    ids=str,
)
def test_what_fails_for_both_uses_fails_as_authentication(
    sts: Endpoint, claims: dict[str, Any]
) -> None:
    """Nobody has been authenticated, so there is no decision."""
    value = MCP.assertion(**claims)

    response = sts.ask(asserting(value, actor_token=value, actor_token_type=JWT))

    assert refused(response) == INVALID_CLIENT
    assert not sts.outcomes


@pytest.mark.standard("8693-A-5")
def test_two_tokens_are_two_uses(sts: Endpoint) -> None:
    """Each by its own id."""
    shows = {"actor_token": MCP.assertion(jti="2"), "actor_token_type": JWT}

    assert issued(sts.ask(asserting(MCP.assertion(jti="1"), **shows)))

    assert [*sts.ledger.claimed] == [(CALENDAR_MCP, "1"), (CALENDAR_MCP, "2")]


def test_keys_out_of_reach(sts: Endpoint) -> None:
    """Where an actor issuer's keys cannot be had there is no answer, and no decision."""
    other = "https://other.example.com"
    known = sts.registry()
    assert isinstance(known, Registry)
    sts.registry.make = lambda: replace(known, actor_issuers={other: an_actor_issuer(issuer=other)})

    response = ask(sts, shown(workload(iss=other)))

    assert refused(response) == (503, "temporarily_unavailable", None)
    assert not sts.outcomes


# With the real ledger


@pytest.mark.standard("8693-A-6", "STK-14")
def test_twenty_at_once(live: Live) -> None:
    """Of twenty who show the same assertion together, exactly one gets a token."""
    body = shown(OTHER.assertion(**fresh()))
    start = threading.Barrier(20)

    def use(_: int) -> int:
        start.wait(10)
        return int(ask(live, body).status_code)

    with ThreadPoolExecutor(20) as pool:
        answers = [*pool.map(use, range(20))]

    assert sorted(answers) == [200] + [400] * 19


@pytest.mark.standard("8693-A-5", "8693-A-6")
def test_both_uses_with_the_real_ledger(live: Live) -> None:
    """One claim serves both, and a replay is none."""
    value = MCP.assertion(**fresh())
    both = asserting(value, actor_token=value, actor_token_type=JWT)

    assert issued(live.ask(both))
    assert refused(live.ask(both)) == INVALID_CLIENT


@pytest.mark.parametrize("cuts", [1, 2], ids=["of-one", "of-both"])
def test_a_lost_reply(store: Store, proxy: Proxy, cuts: int) -> None:
    """An actor token whose claim's reply was lost is no replay of itself; twice, no answer."""
    server = Server(proxy.url, timeout=2)
    ledger = RedisLedger(Store(server, store.partitions), events=Events(), limits=Limits())
    assert ledger.problems() == []
    live = Live(ledger)
    proxy.cuts = cuts

    response = ask(live, shown(OTHER.assertion(**fresh())))

    if cuts == 1:
        assert issued(response)
        assert refused(ask(live, shown(OTHER.assertion(**fresh())))) == REJECTED
    else:
        assert refused(response) == (503, "temporarily_unavailable", None)
    assert proxy.cuts == 0
    server.close()


def test_events(live: Live, evidence: Evidence) -> None:
    """A granted exchange and a refusal say which actor token it was; never the token itself."""
    value, late = OTHER.assertion(**fresh()), workload(exp=1)
    assert issued(ask(live, shown(value)))
    assert refused(ask(live, shown(value))) == REJECTED
    assert refused(ask(live, shown(late))) == REJECTED

    [granted] = evidence.read(PARTITIONS.of(ALICE).number, "events", count=9)
    refusals = evidence.read(PARTITIONS.of_client(CALENDAR_MCP).number, "refusals", count=9)

    events = [unpacked(one.event) for one in (granted, *refusals)]
    token = {"iss": "calendar-api", "id": "assertion-1"}
    assert [event.get("actor_token") == token for event in events] == [True, True, False]
    assert not any(
        part in str(event) for event in events for part in (*value.split("."), *late.split("."))
    )
