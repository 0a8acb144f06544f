"""An attack, and what must be true after it: nothing issued, nothing written but its evidence."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Self

import jwt

from delegation.dev.cast import CALENDAR_API
from tests.attacks.endpoint import Answer, Endpoint
from tests.world import Login, TestWorld


class Refusal(NamedTuple):
    """What a client is told. *reason* is not part of every answer."""

    status: int
    error: str
    reason: str | None = None


MALFORMED = Refusal(400, "invalid_request", "malformed_request")
TOO_LARGE = Refusal(413, "invalid_request", "malformed_request")
NOT_ALLOWED = Refusal(405, "invalid_request", "malformed_request")
SUBJECT_TOKEN = Refusal(400, "invalid_request", "subject_token_rejected")
ACTOR_TOKEN = Refusal(400, "invalid_request", "actor_token_rejected")
NOT_PERMITTED = Refusal(400, "invalid_request", "not_permitted")
TARGET = Refusal(400, "invalid_target", "not_permitted")
SCOPE = Refusal(400, "invalid_scope", "not_permitted")
NOT_ENABLED = Refusal(400, "unauthorized_client", "not_permitted")
GRANT_TYPE = Refusal(400, "unsupported_grant_type")
CLIENT = Refusal(401, "invalid_client")
RATE_LIMITED = Refusal(429, "temporarily_unavailable", "rate_limited")
BRAKE = Refusal(429, "temporarily_unavailable")
UNAVAILABLE = Refusal(503, "temporarily_unavailable")

_DESCRIPTIONS = {
    MALFORMED: "a parameter is missing, repeated, malformed or not supported",
    TOO_LARGE: "the request is too large",
    NOT_ALLOWED: "the method is not allowed",
    SUBJECT_TOKEN: "the subject token is not acceptable",
    ACTOR_TOKEN: "the actor token is not acceptable",
    NOT_PERMITTED: "the exchange is not permitted",
    TARGET: "no token is issued for the requested target",
    SCOPE: "the requested scope is malformed or exceeds what can be delegated",
    NOT_ENABLED: "the client may not use token exchange",
    GRANT_TYPE: "the grant type is not supported",
    CLIENT: "client authentication failed",
    RATE_LIMITED: "too many exchanges; try again later",
    BRAKE: "try again later",
    UNAVAILABLE: "try again later",
}
"""The whole of what can be said: an answer that is one of these holds nothing of its request."""

_OUR_WORDS = repr(
    [
        *({"error": known.error, "reason": known.reason} for known in _DESCRIPTIONS),
        *({"error_description": text, "required_scope": ""} for text in _DESCRIPTIONS.values()),
        {"Cache-Control": "no-store", "Pragma": "no-cache", "X-Content-Type-Options": "nosniff"},
        {"Connection": "close", "Server": "gunicorn", "WWW-Authenticate": "Basic realm"},
        {"error": "server_error not_found", "status": "alive not ready", "problems": "ledger_"},
    ]
).encode()
"""A value that occurs here by itself is no evidence of an echo."""

_SECRET_LENGTH = 40
"""What is longer may be a token or a secret, and is never to be found in the log."""

_JWT = re.compile(r"eyJ[A-Za-z0-9_-]+\.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A running service, and what it takes to ask it. *own* is our world, if it is ours.

    *other* is the id and the secret of a client to which none of *login*'s tokens are addressed.
    """

    url: str
    client: str
    secret: str = field(repr=False)
    other: tuple[str, str] = field(repr=False)
    resource: str
    scope: str
    login: Login
    own: TestWorld | None = None

    @classmethod
    def of(cls, world: TestWorld) -> Self:
        """The service of a world of ours."""
        return cls(
            url=world.world.url,
            client="calendar-mcp",
            secret=world.secrets["calendar-mcp"],
            other=("notes-mcp", world.secrets["notes-mcp"]),
            resource=CALENDAR_API,
            scope="events.read",
            login=world.login,
            own=world,
        )

    def endpoint(self) -> Endpoint:
        """Its token endpoint, for a caller with an address of its own."""
        return Endpoint(
            url=self.url,
            client=self.client,
            secret=self.secret,
            resource=self.resource,
            scope=self.scope,
            token=self.login.token,
        )


class Attack:
    """Sends what must be refused, and sees to it that it was: in the answer, ledger and log."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.login = service.login
        self.endpoint = service.endpoint()

    def exchange(self, expected: Refusal, **altered: Any) -> Answer:
        """An exchange that is sound in all but what is *altered*."""
        return self.fails(expected, lambda: self.endpoint.exchange(**altered))

    def as_client(self, client: str, secret: str, **sound: Any) -> "Attack":
        """The same attacker, with the credentials of another client, and what is *sound* for it."""
        attack = Attack(self.service)
        attack.endpoint = replace(self.endpoint, client=client, secret=secret, **sound)
        return attack

    def succeeds(self, **altered: Any) -> Answer:
        """What differs so little that it must be granted."""
        answer = self.endpoint.exchange(**altered)
        assert answer.status == 200, answer
        assert answer.json["access_token"]
        return answer

    def fails(self, expected: Refusal, send: Callable[[], Answer]) -> Answer:
        """Any request at all, which must be refused as *expected*."""
        with self.nothing_happens():
            answer = send()
        if self.service.own is None and answer.status == BRAKE.status:  # pragma: no cover
            # Elsewhere all our failures come from one address, and the brake counts them together.
            expected = BRAKE
        must_be_proper(answer, expected)
        self._must_be_recorded(answer)
        self._must_not_be_logged(answer)
        return answer

    @contextmanager
    def nothing_happens(self) -> Iterator[None]:
        """Nothing is written to the ledger meanwhile but the evidence of refusals."""
        if self.service.own is None:  # pragma: no cover, not in our own runs
            yield
            return
        before = self.service.own.books.state()
        yield
        # What was there may have expired meanwhile; nothing may have come.
        assert self.service.own.books.state().items() <= before.items()

    def _must_be_recorded(self, answer: Answer) -> None:
        decision = answer.header("Delegation-Decision")
        if decision is not None and self.service.own is not None:
            assert self.service.own.books.refusal(decision)["error"] == answer.json["error"]

    def _must_not_be_logged(self, answer: Answer) -> None:
        if self.service.own is not None:
            log = self.service.own.log
            assert not _JWT.search(log)
            assert "dlg_" not in log
            long = [sent for sent in answer.sent if len(sent) >= _SECRET_LENGTH]
            assert not [sent for sent in long if sent.decode("latin-1") in log]


def said_by(token: str) -> dict[str, Any]:
    """The claims of a JWT; that it is signed is not looked at."""
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims


def claims_of(answer: Answer) -> dict[str, Any]:
    """What the issued token of a granted exchange says."""
    assert answer.status == 200, answer
    return said_by(answer.json["access_token"])


def chain_of(answer: Answer) -> list[dict[str, Any]]:
    """Who acts by the issued token, each without what is nested in it, the current actor first."""
    hops, act = [], claims_of(answer)["act"]
    while act is not None:
        hops.append({name: value for name, value in act.items() if name != "act"})
        act = act.get("act")
    return hops


def must_be_proper(answer: Answer, expected: Refusal) -> None:
    """The exact answer, in JSON that no cache keeps, with nothing of the request in it."""
    body = answer.json
    required = body.pop("required_scope", None)
    assert Refusal(answer.status, body.get("error", ""), body.get("reason")) == expected, answer
    assert body == {
        "error": expected.error,
        "error_description": _DESCRIPTIONS[expected],
    } | ({} if expected.reason is None else {"reason": expected.reason})
    assert required is None or expected is SCOPE
    must_be_harmless(answer)


def must_be_harmless(answer: Answer) -> None:
    """What is true of every answer, whatever was sent: JSON, not kept, no echo, no failure."""
    assert answer.status != 500
    assert answer.header("Content-Type") == "application/json"
    assert answer.header("Cache-Control") == "no-store"
    assert answer.header("X-Content-Type-Options") == "nosniff"
    assert "access_token" not in answer.json
    assert not [echo for echo in answer.echoes() if echo not in _OUR_WORDS], answer
