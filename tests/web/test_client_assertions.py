"""`private_key_jwt`: who signs its requests is let in, once per signature."""

import pytest
from structlog.testing import capture_logs

from delegation.domain.alarms import Alarm
from delegation.domain.errors import Cause, Unavailable
from delegation.domain.locks import milliseconds
from tests.parties import CALENDAR_API_CLIENT, CALENDAR_MCP, NOW, OUR_ISSUER
from tests.signing import SigningClient
from tests.web.endpoint import (
    INVALID_CLIENT,
    KEYLESS,
    MALFORMED,
    MCP,
    NEXT_MCP,
    OTHER,
    SECRET,
    Endpoint,
    asserting,
    basic,
    form,
    issued,
    post,
    refused,
)

STRANGER, NOBODY = SigningClient(), SigningClient("nobody-mcp")


@pytest.mark.standard("7523-1", "7523-2", "9700-2.5")
@pytest.mark.parametrize("client_id", [None, CALENDAR_MCP], ids=["unnamed", "named"])
def test_an_assertion(sts: Endpoint, client_id: str | None) -> None:
    """A client that signs is let in; its id beside the assertion changes nothing."""
    response = sts.ask(asserting(MCP.assertion(), client_id=client_id))

    assert issued(response)
    [(delegation, case)] = sts.ledger.recorded
    assert case.authenticated_by == "private_key_jwt"
    assert (case.client.id, delegation.client) == (CALENDAR_MCP, CALENDAR_MCP)


@pytest.mark.standard("7523-3")
def test_an_assertion_is_claimed_for_as_long_as_it_lives(sts: Endpoint) -> None:
    """Under the client's id and its own, until it expires; each attempt is one of its own."""
    for jti in ("1", "2"):
        sts.ask(asserting(MCP.assertion(jti=jti)))

    (first, issued_at, until), (second, *_) = sts.ledger.claimed.values()
    assert [*sts.ledger.claimed] == [(CALENDAR_MCP, "1"), (CALENDAR_MCP, "2")]
    assert (issued_at, until) == (milliseconds(NOW) - 1000, milliseconds(NOW) + 60_000)
    assert first != second


@pytest.mark.standard("7523-4")
def test_both_keys_and_the_secret_are_good_at_once(sts: Endpoint) -> None:
    """Keys are rotated, and secrets given up for them, without a gap."""
    bodies = [asserting(MCP.assertion(jti="1")), asserting(NEXT_MCP.assertion(jti="2")), post()]

    for body in bodies:
        assert issued(sts.ask(body))
    assert issued(sts.ask())

    ways = [case.authenticated_by for _, case in sts.ledger.recorded]
    assert ways == ["private_key_jwt"] * 2 + ["client_secret_post", "client_secret_basic"]


@pytest.mark.standard("7523-1", "7523-2", "7523-4", "7523-5", "7523bis-1", "6749-5.2-1", "STK-7")
@pytest.mark.attack(14, 23)
@pytest.mark.parametrize(
    "body",
    [
        asserting(MCP.assertion(), client_assertion_type=None),
        asserting(MCP.assertion(), client_assertion_type="urn:ietf:params:oauth:jwt-bearer"),
        asserting(
            MCP.assertion(),
            client_assertion_type="urn:ietf:params:oauth:client-assertion-type:JWT-bearer",
        ),
        asserting(
            MCP.assertion(),
            client_assertion_type="urn:ietf:params:oauth:client-assertion-type:saml2-bearer",
        ),
        asserting(f"{MCP.assertion()} {MCP.assertion()}"),
        asserting(f"{MCP.assertion()}="),
        asserting("x.y.z"),
        asserting("x"),
        asserting(STRANGER.assertion()),
        asserting(STRANGER.assertion(header={"kid": MCP.kid})),
        asserting(NOBODY.assertion()),
        asserting(SigningClient(KEYLESS).assertion()),
        asserting(OTHER.assertion(iss=CALENDAR_MCP, sub=CALENDAR_MCP)),
        asserting(MCP.assertion(iss=CALENDAR_API_CLIENT)),
        asserting(MCP.assertion(aud=f"{OUR_ISSUER}/token")),
        asserting(MCP.assertion(aud=[OUR_ISSUER, "https://evil.example"])),
        asserting(MCP.assertion(exp=NOW.timestamp())),
        asserting(MCP.assertion(exp=NOW.timestamp() + 3600)),
        asserting(MCP.assertion(jti="")),
        asserting(MCP.assertion(header={"typ": "at+jwt"})),
        asserting(MCP.assertion(header={"alg": "HS256"})),
        asserting(STRANGER.assertion(), client_id=CALENDAR_API_CLIENT),
        asserting(STRANGER.assertion(header={"jwk": STRANGER.key.published()})),
        form(client_assertion_type="urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
    ],
    ids=range(24),
)
def test_strangers(sts: Endpoint, body: bytes) -> None:
    """Whatever is wrong, a stranger gets the one answer; nothing is recorded or claimed."""
    plain = sts.ask(form())

    response = sts.ask(body)

    assert refused(response) == INVALID_CLIENT
    assert response.headers["WWW-Authenticate"] == 'Basic realm="delegation"'
    assert (response.data, list(response.headers)) == (plain.data, list(plain.headers))
    assert not sts.outcomes
    assert not sts.ledger.claimed


@pytest.mark.standard("7523-1", "6749-2.3-1", "6749-3.2-3", "STK-6")
@pytest.mark.attack(13, 23)
@pytest.mark.parametrize(
    ("authorization", "body"),
    [
        (basic(), asserting(MCP.assertion())),
        ("Bearer x", asserting(MCP.assertion())),
        ("", asserting(MCP.assertion())),
        (None, asserting(MCP.assertion(), client_secret=SECRET)),
        (None, asserting(MCP.assertion(), client_id=CALENDAR_MCP, client_secret=SECRET)),
        (None, asserting(MCP.assertion()) + b"&client_assertion=x"),
        (None, asserting(MCP.assertion()) + b"&client_assertion="),
        (None, asserting(MCP.assertion()) + b"&client_assertion_type=x"),
    ],
    ids=range(8),
)
def test_one_mechanism_and_one_assertion(
    sts: Endpoint, authorization: str | None, body: bytes
) -> None:
    """What is more than one is no better for being right, and costs no claim."""
    response = sts.ask(body, authorization=authorization)

    assert refused(response) == MALFORMED
    assert not sts.outcomes
    assert not sts.ledger.claimed


@pytest.mark.standard("6749-2.3-5")
@pytest.mark.attack(6)
@pytest.mark.parametrize("client_id", [CALENDAR_API_CLIENT, "nobody", CALENDAR_MCP.upper()])
def test_client_id_beside_an_assertion(sts: Endpoint, client_id: str) -> None:
    """It must name the client that signed; what contradicts itself uses nothing up."""
    response = sts.ask(asserting(MCP.assertion(), client_id=client_id))

    assert refused(response) == MALFORMED
    assert not sts.outcomes
    assert issued(sts.ask(asserting(MCP.assertion())))


@pytest.mark.standard("7523-3")
@pytest.mark.attack(14)
def test_a_replay_alarms(sts: Endpoint) -> None:
    """The second use is nobody's, like any stranger's; but somebody is told to look."""
    value = MCP.assertion(jti="once")
    assert issued(sts.ask(asserting(value)))

    with capture_logs() as logs:
        replay = sts.ask(asserting(value), REMOTE_ADDR="192.0.2.66")

    assert refused(replay) == INVALID_CLIENT
    assert replay.data == sts.ask(form()).data
    [line] = logs
    assert line == {
        "event": "alarm",
        "log_level": "error",
        "client": CALENDAR_MCP,
        "address": "192.0.2.66",
        "cause": "already_used",
        "detail": {"jti": "once"},
        "suppressed": 0,
    }
    assert sts.outcomes == 1
    assert sts.ledger.alarms == [
        Alarm(
            cause=Cause.ALREADY_USED,
            about=CALENDAR_MCP,
            source="192.0.2.66",
            detail={"jti": "once"},
        )
    ]


@pytest.mark.standard("7523-3")
def test_an_alarm_is_not_drowned(sts: Endpoint) -> None:
    """Whoever fills the log with failures does not silence it."""
    value = MCP.assertion()
    sts.ask(asserting(value))

    with capture_logs() as logs:
        for _ in range(40):
            sts.ask(form())
        sts.ask(asserting(value))

    assert len(logs) == 31
    assert logs[-1]["event"] == "alarm"


def test_the_log_says_why(sts: Endpoint) -> None:
    """Whoever sets a client up finds the cause, and who was named; never what was sent."""
    value = MCP.assertion(aud=f"{OUR_ISSUER}/token")

    with capture_logs() as logs:
        sts.ask(asserting(value))
        sts.ask(asserting("x.y.z", client_id=CALENDAR_MCP))
        sts.ask(form())

    assert [(line["client"], line["cause"]) for line in logs] == [
        (CALENDAR_MCP, "audience"),
        (CALENDAR_MCP, "token_malformed"),
        (None, None),
    ]
    assert logs[0]["detail"] == {"claim": "aud"}
    assert value not in str(logs)


@pytest.mark.standard("6749-2.3-4")
@pytest.mark.parametrize(
    "value",
    [MCP.assertion(), STRANGER.assertion(), NOBODY.assertion()],
    ids=["replay", "wrong key", "unknown client"],
)
def test_brake(sts: Endpoint, value: str) -> None:
    """Replays and forgeries are counted; who signs anew is never told to wait."""
    sts.ask(asserting(MCP.assertion()))

    answers = [sts.ask(asserting(value)) for _ in range(11)]

    assert {refused(answer) for answer in answers[:10]} == {INVALID_CLIENT}
    assert refused(answers[10]) == (429, "temporarily_unavailable", None)
    assert issued(sts.ask(asserting(MCP.assertion(jti="another"))))


@pytest.mark.standard("STK-14")
@pytest.mark.attack(25)
def test_ledger_out_of_reach(sts: Endpoint) -> None:
    """Where nobody can tell whether it was used, there is no answer, and nothing is counted."""
    sts.ledger.trouble = Unavailable("ledger")

    answers = [sts.ask(asserting(MCP.assertion())) for _ in range(12)]

    assert {refused(answer) for answer in answers} == {(503, "temporarily_unavailable", None)}
    assert {answer.headers["Retry-After"] for answer in answers} == {"2"}


@pytest.mark.standard("6749-5.2-2")
def test_a_refusal_uses_the_assertion_up(sts: Endpoint) -> None:
    """It is good for one request, however that ends."""
    value = MCP.assertion()

    first = sts.ask(asserting(value, resource="https://unknown.example"))
    second = sts.ask(asserting(value))

    assert refused(first) == (400, "invalid_target", "not_permitted")
    assert refused(second) == INVALID_CLIENT
