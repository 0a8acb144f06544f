"""Introspection: who may know learns whether a token is good now; nobody else learns anything."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import jwt
import pytest
import redis

from delegation.audit.acts import Acts
from delegation.audit.events import Events
from delegation.domain.delegations import Delegation
from delegation.domain.errors import Unavailable
from delegation.domain.locks import EVERYTHING, LockOrder, Target
from delegation.domain.parties import Identity
from delegation.domain.tokens import SERVICE, Authentication
from delegation.jose.signer import JwtSigner
from delegation.ledger.ledger import Limits, RedisLedger
from delegation.ledger.locks import RedisLocks
from delegation.ledger.server import Server
from delegation.ledger.store import Store
from tests.parties import (
    ALICE,
    CALENDAR_API,
    CALENDAR_API_CLIENT,
    CALENDAR_MCP,
    DESK_AGENT,
    LOGIN,
    NOW,
    OUR_ISSUER,
    ROOMS_API,
    a_delegation,
    a_second_delegation,
    a_verified_token,
)
from tests.signing import SigningParty, a_keyring
from tests.valkey import PARTITIONS, Proxy, decide, decide_next, now_in_milliseconds, snapshot
from tests.web.endpoint import (
    AUDITOR,
    INVALID_CLIENT,
    JWT_BEARER,
    MALFORMED,
    NEXT_SECRET,
    OTHER,
    SECRET,
    WRONG_SECRET,
    Endpoint,
    Live,
    asking,
    body_of,
    fresh,
    refused,
)

INACTIVE = b'{"active": false}'
UNAVAILABLE = (503, "temporarily_unavailable", None)
LOGGED_IN = Authentication(time=NOW - timedelta(minutes=5), acr="1", amr=("pwd", "otp"))


def introspect(sts: Endpoint, token: str | None, **how: Any) -> Any:
    """What the calendar API is told of a token."""
    body = asking(token, CALENDAR_API_CLIENT, NEXT_SECRET)
    return sts.ask(body, path="/introspect", **how)


def active(response: Any) -> dict[str, Any]:
    """The body of an answer that must say that the token is good."""
    body = body_of(response)
    assert response.status_code == 200
    assert body["active"] is True
    return body


def must_be_inactive(response: Any) -> None:
    """Two hundred, and not a byte more than that it is not active (RFC 7662 §2.2)."""
    assert body_of(response) == {"active": False}
    assert (response.status_code, response.data) == (200, INACTIVE)
    assert "Delegation-Decision" not in response.headers


def claims_of(token: str) -> dict[str, Any]:
    """What a token says of itself."""
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims


@pytest.mark.standard("7662-3", "8693-4-1", "8693-4.1-2")
@pytest.mark.parametrize(
    "parent",
    [
        a_verified_token(),
        a_verified_token(authentication=LOGGED_IN),
        a_verified_token(sub_profile=SERVICE),
    ],
    ids=["plain", "logged in", "of a service"],
)
def test_of_an_active_token_all_is_said_that_it_says(sts: Endpoint, parent: Any) -> None:
    """Every claim as the token has it, `act` above all; and that it is a bearer token."""
    token = sts.token(replace(a_delegation(), parent=parent))

    said = active(introspect(sts, token))

    assert said == claims_of(token) | {"active": True, "token_type": "Bearer"}
    assert said["act"]["sub"] == CALENDAR_MCP
    assert said["act"]["act"]["sub"] == DESK_AGENT


@pytest.mark.standard("7662-3", "8693-4.1-2", "8693-4.1-3")
def test_the_whole_chain_is_said(sts: Endpoint) -> None:
    """At the second hop all who act are there, in order; introspection loses none of them."""
    token = sts.token(a_second_delegation())

    said = active(sts.ask(asking(token, AUDITOR, SECRET), path="/introspect"))

    hops, act = [], said["act"]
    while act is not None:
        hops.append(act["sub"])
        act = act.get("act")
    assert hops == [CALENDAR_API_CLIENT, CALENDAR_MCP, DESK_AGENT]
    assert said == claims_of(token) | {"active": True, "token_type": "Bearer"}


@pytest.mark.standard("7662-1")
@pytest.mark.parametrize(
    ("client", "secret", "knows"),
    [
        (CALENDAR_API_CLIENT, NEXT_SECRET, True),
        (AUDITOR, SECRET, True),
        (CALENDAR_MCP, SECRET, False),
        ("idle-mcp", SECRET, False),
    ],
    ids=["audience", "auditor", "whose token it is", "another client"],
)
def test_who_may_know(sts: Endpoint, client: str, secret: str, *, knows: bool) -> None:
    """The API that the token is for, and an auditor; for anybody else there is no such token."""
    token = sts.token(a_delegation())

    answer = sts.ask(asking(token, client, secret), path="/introspect")

    if knows:
        assert active(answer)["aud"] == CALENDAR_API
    else:
        must_be_inactive(answer)


@pytest.mark.standard("7662-1")
def test_an_api_learns_nothing_of_another_apis_tokens(sts: Endpoint) -> None:
    """The rooms API's token is none of the calendar API's business, though that obtained it."""
    token = sts.token(a_second_delegation())

    assert claims_of(token)["aud"] == ROOMS_API
    must_be_inactive(introspect(sts, token))


def _foreign(_: Endpoint) -> str:
    return SigningParty(LOGIN).token(aud=CALENDAR_API)


def _in_our_name(_: Endpoint) -> str:
    return JwtSigner(a_keyring(), OUR_ISSUER).sign(a_delegation()).value


def _never_recorded(sts: Endpoint) -> str:
    return sts.own.sign(a_delegation(id="exchange-9")).value


def _of_somebody_else(sts: Endpoint) -> str:
    """Signed by us, with the id of an exchange for Alice, and another root."""
    done = a_delegation()
    sts.token(done)
    bob = a_verified_token(subject=Identity(LOGIN, "bob"))
    return sts.own.sign(replace(done, parent=bob)).value


def _voided(sts: Endpoint) -> str:
    token, done = sts.token(a_delegation()), sts.ledger.recorded[-1]
    sts.ledger.voided.append(done)
    return token


def _over(sts: Endpoint) -> str:
    token = sts.token(a_delegation())
    sts.clock.pass_(minutes=5)
    return token


def _cut(sts: Endpoint) -> str:
    return sts.token(a_delegation())[:-2]


NOT_ACTIVE: Mapping[str, Callable[[Endpoint], str]] = {
    "foreign": _foreign,
    "in our name": _in_our_name,
    "never recorded": _never_recorded,
    "of somebody else": _of_somebody_else,
    "voided": _voided,
    "over": _over,
    "cut off": _cut,
    "no token": lambda _: "nonsense",
    "control characters": lambda _: "a\r\nb\0",
    "too large": lambda _: "x" * 20_000,
    "not ascii": lambda _: "ü.ü.ü",
}


@pytest.mark.standard("7662-2")
@pytest.mark.parametrize("make", NOT_ACTIVE.values(), ids=NOT_ACTIVE)
@pytest.mark.parametrize("client", [CALENDAR_API_CLIENT, AUDITOR])
def test_why_it_is_not_active_is_not_said(
    sts: Endpoint, make: Callable[[Endpoint], str], client: str
) -> None:
    """Whatever is the matter with it, the answer is the same to the byte; nothing is fetched."""
    secret = {CALENDAR_API_CLIENT: NEXT_SECRET, AUDITOR: SECRET}[client]

    must_be_inactive(sts.ask(asking(make(sts), client, secret), path="/introspect"))


@pytest.mark.standard("7662-2")
@pytest.mark.parametrize("hint", ["access_token", "refresh_token", "nonsense", "", "a\nb"])
def test_a_hint_changes_nothing(sts: Endpoint, hint: str) -> None:
    """It may help a server to search; there is nothing to search here."""
    token = sts.token(a_delegation())
    body = asking(token, CALENDAR_API_CLIENT, NEXT_SECRET, token_type_hint=hint)

    assert active(sts.ask(body, path="/introspect"))


@pytest.mark.standard("7662-1", "6749-5.2-1", "7523-5")
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"client_id": CALENDAR_API_CLIENT},
        {"client_id": CALENDAR_API_CLIENT, "client_secret": WRONG_SECRET},
        {"client_id": CALENDAR_API_CLIENT, "client_secret": SECRET},
        {"client_id": "nobody", "client_secret": SECRET},
        {
            "client_assertion_type": JWT_BEARER,
            "client_assertion": OTHER.assertion(aud=f"{OUR_ISSUER}/introspect"),
        },
        {
            "client_assertion_type": JWT_BEARER,
            "client_assertion": OTHER.assertion(aud=f"{OUR_ISSUER}/token"),
        },
    ],
    ids=["none", "no secret", "wrong", "another's", "unknown", "for the endpoint", "for /token"],
)
def test_strangers(sts: Endpoint, fields: dict[str, str]) -> None:
    """Nobody is told anything before they have shown who they are, by our issuer alone."""
    token = sts.token(a_delegation())

    answer = sts.ask(urlencode(fields | {"token": token}).encode(), path="/introspect")

    assert refused(answer) == INVALID_CLIENT
    assert answer.headers["WWW-Authenticate"] == 'Basic realm="delegation"'


@pytest.mark.standard("7523-1", "7523-3", "7523-5")
def test_by_assertion(sts: Endpoint) -> None:
    """`private_key_jwt`, for our issuer, works here as it does at the token endpoint: once."""
    token = sts.token(a_delegation())
    fields = {
        "client_assertion_type": JWT_BEARER,
        "client_assertion": OTHER.assertion(),
        "token": token,
    }
    body = urlencode(fields).encode()

    assert active(sts.ask(body, path="/introspect"))
    assert refused(sts.ask(body, path="/introspect")) == INVALID_CLIENT


@pytest.mark.standard("6749-2.3-4")
def test_the_brake_is_the_same(sts: Endpoint) -> None:
    """Guesses are counted together, wherever they are made."""
    wrong = asking("x", CALENDAR_API_CLIENT, WRONG_SECRET)

    answers = [sts.ask(wrong, path=path) for path in ("/introspect", "/revoke") * 5]

    assert {answer.status_code for answer in answers} == {401}
    assert sts.ask(wrong, path="/introspect").status_code == 429
    assert active(introspect(sts, sts.token(a_delegation())))


@pytest.mark.standard("7662-1", "6749-3.2-1", "6749-3.2-2", "6749-3.2-3")
@pytest.mark.parametrize("path", ["/introspect", "/revoke"])
@pytest.mark.parametrize(
    ("body", "environ"),
    [
        (asking(None, CALENDAR_API_CLIENT, NEXT_SECRET), {}),
        (asking("", CALENDAR_API_CLIENT, NEXT_SECRET), {}),
        (asking("x", CALENDAR_API_CLIENT, NEXT_SECRET) + b"&token=x", {}),
        (asking("x", CALENDAR_API_CLIENT, NEXT_SECRET), {"QUERY_STRING": "token=x"}),
        (asking("x", CALENDAR_API_CLIENT, NEXT_SECRET), {"CONTENT_TYPE": "application/json"}),
        (asking("x", CALENDAR_API_CLIENT, NEXT_SECRET), {"HTTP_AUTHORIZATION": "Bearer x"}),
    ],
    ids=["no token", "empty", "twice", "query", "json", "two mechanisms"],
)
def test_the_form_is_as_strict(
    sts: Endpoint, path: str, body: bytes, environ: dict[str, str]
) -> None:
    """What is malformed is refused here as it is at the token endpoint."""
    assert refused(sts.ask(body, path=path, **environ)) == MALFORMED


@pytest.mark.standard("7009-6", "7662-1")
@pytest.mark.parametrize("path", ["/introspect", "/revoke"])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS"])
def test_other_methods(sts: Endpoint, path: str, method: str) -> None:
    """A token never stands in an address: there is nothing but POST, and no script tag gets it."""
    environ = {"QUERY_STRING": "token=x&callback=alert"} if method == "GET" else {}

    answer = sts.ask(b"", path=path, method=method, **environ)

    assert refused(answer) == (405, "invalid_request", "malformed_request")
    assert answer.headers["Allow"] == "POST"


@pytest.mark.standard("7662-4", "STK-14")
@pytest.mark.parametrize("client", [CALENDAR_API_CLIENT, AUDITOR])
def test_where_nobody_can_tell_nothing_is_said(sts: Endpoint, client: str) -> None:
    """A ledger out of reach is neither yes nor no: who asks has to ask again."""
    token = sts.token(a_delegation())
    sts.ledger.trouble = Unavailable("ledger_unreachable")
    secret = {CALENDAR_API_CLIENT: NEXT_SECRET, AUDITOR: SECRET}[client]

    answer = sts.ask(asking(token, client, secret), path="/introspect")

    assert refused(answer) == UNAVAILABLE
    assert b"active" not in answer.data
    assert answer.headers["Retry-After"] == "2"


# -- with the real ledger -------------------------------------------------------------------------


@pytest.mark.standard("7662-4", "STK-14")
@pytest.mark.parametrize(
    "reply", [b"-OOM no\r\n", b"-READONLY no\r\n", b"-LOADING no\r\n", b"$-1\r\n", b"*0\r\n"]
)
def test_an_error_of_the_store_is_no_answer(
    live: Live, proxy: Proxy, ledger: RedisLedger, reply: bytes
) -> None:
    """Whatever goes wrong there, it is never read as "not revoked"."""
    delegation = decide(ledger)
    token = live.token(delegation)
    server = Server(proxy.url, timeout=2)
    behind = Store(server, PARTITIONS)
    asked = Live(RedisLedger(behind, events=Events(), limits=Limits()), behind)
    asked_token = asked.own.sign(delegation).value
    assert active(introspect(live, token))
    assert active(introspect(asked, asked_token))

    proxy.reply = reply
    answer = introspect(asked, asked_token)
    server.close()

    assert answer.status_code >= 500
    assert b"active" not in answer.data


def _roundtrips(raw: "redis.Redis[bytes]") -> int:
    """How many scripts clients have asked for, each in a round trip of its own."""
    stats = raw.info("commandstats")
    return sum(
        int(stats.get(f"cmdstat_{name}", {"calls": 0})["calls"]) for name in ("eval", "evalsha")
    )


@pytest.mark.standard("7662-4")
@pytest.mark.parametrize(("by", "expected"), [("secret", 1), ("assertion", 2)])
def test_it_costs_one_round_trip(
    live: Live, ledger: RedisLedger, raw: "redis.Redis[bytes]", by: str, expected: int
) -> None:
    """One question, each time anew; and one more where an assertion has to be used up."""
    token = live.token(decide(ledger))
    bodies = {
        "secret": lambda _: asking(token, CALENDAR_API_CLIENT, NEXT_SECRET),
        "assertion": lambda number: urlencode(
            {
                "token": token,
                "client_assertion_type": JWT_BEARER,
                "client_assertion": OTHER.assertion(**fresh(jti=str(number))),
            }
        ).encode(),
    }
    active(live.ask(bodies[by](0), path="/introspect"))  # the server knows the scripts from here on
    raw.config_resetstat()

    for number in (1, 2, 3):
        active(live.ask(bodies[by](number), path="/introspect"))

    assert _roundtrips(raw) == 3 * expected


def _targets(first: Delegation) -> dict[str, Target]:
    """All that a lock could name of the first hop."""
    return {
        "everything": EVERYTHING,
        "issuer": Target.issuer(LOGIN),
        "subject": Target.subject(ALICE),
        "agent": Target.agent(Identity(LOGIN, DESK_AGENT)),
        "actor": Target.actor(Identity(OUR_ISSUER, CALENDAR_MCP)),
        "client": Target.client(CALENDAR_MCP),
        "resource": Target.resource(CALENDAR_API),
        "grant": Target.grant("calendar"),
        "exchange": Target.exchange(first.id),
        "token": Target.token(LOGIN, first.parent.id),
        "pair": Target.pair(ALICE, Identity(OUR_ISSUER, CALENDAR_MCP)),
    }


@pytest.mark.standard("7662-4", "7009-4")
@pytest.mark.parametrize("kind", _targets(a_delegation()))
@pytest.mark.parametrize("lasting", [True, False], ids=["standing", "cut-off"])
def test_a_stop_anywhere_in_the_lineage_is_seen_at_once(
    live: Live, ledger: RedisLedger, store: Store, kind: str, *, lasting: bool
) -> None:
    """A stop on whatever the first hop involved ends that hop's token and the next one's."""
    first = decide(ledger)
    second = decide_next(ledger, first)
    tokens = [live.token(first), live.token(second)]
    locks = RedisLocks(store, events=Acts())
    target = _targets(first)[kind]
    bodies = [asking(token, AUDITOR, SECRET) for token in tokens]
    for body in bodies:
        active(live.ask(body, path="/introspect"))

    locks.lock(
        LockOrder(
            id=locks.new_id(target),
            target=target,
            reason="test",
            author="test",
            ends_at=None if lasting else now_in_milliseconds(),
            parents=kind in {"subject", "token"},
        )
    )

    for body in bodies:
        must_be_inactive(live.ask(body, path="/introspect"))


def test_a_further_exchange_ends_no_other(live: Live, ledger: RedisLedger) -> None:
    """Who exchanges the same token again, or under another grant, keeps what was issued before."""
    tokens = [live.token(decide(ledger)) for _ in range(3)]

    for token in tokens:
        assert active(introspect(live, token))["jti"] == claims_of(token)["jti"]


@pytest.mark.standard("7662-4")
def test_a_question_leaves_nothing(
    live: Live, ledger: RedisLedger, raw: "redis.Redis[bytes]"
) -> None:
    """Neither an answer that could be given again, nor anything else: all is as it was."""
    token = live.token(decide(ledger))
    before = snapshot(raw)

    active(introspect(live, token))
    must_be_inactive(live.ask(asking(token, CALENDAR_MCP, SECRET), path="/introspect"))

    assert snapshot(raw) == before
