"""The service as tests speak to it: a real application and a real exchange, in a world of fakes."""

import base64
import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote_plus, urlencode

from werkzeug.test import EnvironBuilder, TestResponse, run_wsgi_app
from werkzeug.wrappers import Request

from delegation.audit.acts import Acts
from delegation.domain.delegations import Delegation
from delegation.domain.exchange import Exchange
from delegation.domain.introspection import Introspection
from delegation.domain.parties import Identity
from delegation.domain.ports import Clock, Ledger, Quota
from delegation.domain.revocation import Revocation
from delegation.domain.tokens import VerifiedToken
from delegation.jose.signer import JwtSigner
from delegation.jose.verifier import JwtVerifier
from delegation.ledger.exchanges import RedisExchanges
from delegation.ledger.ledger import RedisLedger
from delegation.ledger.locks import RedisLocks
from delegation.ledger.store import Store
from delegation.metrics.meter import Meter
from delegation.metrics.tally import Tally
from delegation.web.app import create_app
from delegation.web.service import Service
from tests.fakes import (
    Counter,
    HeldClock,
    ListLedger,
    ListLocks,
    ListQuota,
    PlainSigner,
    TableVerifier,
)
from tests.parties import (
    CALENDAR_API,
    CALENDAR_API_CLIENT,
    CALENDAR_MCP,
    OUR_ISSUER,
    PLANNER,
    PLATFORM,
    a_case,
    a_client,
    a_registry,
    a_verified_token,
    the_next_client,
)
from tests.signing import SigningClient, SigningParty, a_keyring, inline, keys_of

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
JWT = "urn:ietf:params:oauth:token-type:jwt"
FORM = "application/x-www-form-urlencoded"
JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

SECRET = "dlg_" + "S" * 43
NEXT_SECRET = "dlg_" + "N" * 43
WRONG_SECRET = "dlg_" + "W" * 43

IDLE = "idle-mcp"
"""A client that may not exchange."""
AUDITOR = "auditor"
"""A client that may not exchange, and may introspect everything."""
KEYLESS = "keyless-mcp"
"""A client without a secret and without keys."""

MCP, NEXT_MCP, OTHER = SigningClient(), SigningClient(), SigningClient(CALENDAR_API_CLIENT)
"""*calendar-mcp* with either of its keys, and *calendar-api* with its own."""

WORKLOADS = SigningParty(PLATFORM)
"""The platform that names workloads."""

ALICES_TOKEN = "alices-token"

REQUEST: Mapping[str, str] = {
    "grant_type": EXCHANGE,
    "subject_token": ALICES_TOKEN,
    "subject_token_type": ACCESS_TOKEN,
    "resource": CALENDAR_API,
    "scope": "events.read",
}


def digest(secret: str) -> bytes:
    """What the registry keeps of a secret."""
    return hashlib.sha256(secret.encode()).digest()


def basic(client_id: str = CALENDAR_MCP, secret: str = SECRET) -> str:
    """A proper `Authorization` header (RFC 6749 §2.3.1)."""
    return encoded(f"{quote_plus(client_id)}:{quote_plus(secret)}".encode())


def encoded(pair: bytes, scheme: str = "Basic") -> str:
    """An `Authorization` header around any bytes."""
    return f"{scheme} {base64.b64encode(pair).decode()}"


def form(**changes: str | None) -> bytes:
    """A proper request's form; `None` takes a parameter out."""
    fields = {name: value for name, value in (REQUEST | changes).items() if value is not None}
    return urlencode(fields).encode()


def post(**changes: str | None) -> bytes:
    """The same, with the client's secret in it."""
    return form(**({"client_id": CALENDAR_MCP, "client_secret": SECRET} | changes))


def asserting(assertion: str, **changes: str | None) -> bytes:
    """The same, with a client assertion in it."""
    proof = {"client_assertion": assertion, "client_assertion_type": JWT_BEARER}
    return form(**(proof | changes))


def asking(token: str | None, client: str, secret: str, **more: str) -> bytes:
    """A form that asks about a token, or for its end, in the name of a client with its secret."""
    fields = {"client_id": client, "client_secret": secret, "token": token, **more}
    return urlencode({name: value for name, value in fields.items() if value is not None}).encode()


class Endpoint:
    """The service at *issuer*, with everything around it at hand."""

    def __init__(
        self,
        issuer: str = OUR_ISSUER,
        *,
        ledger: Ledger | None = None,
        store: Store | None = None,
        clock: Clock | None = None,
        quota: Quota | None = None,
    ) -> None:
        self.tokens: dict[str, VerifiedToken | Exception] = {ALICES_TOKEN: a_verified_token()}
        self.ledger = ListLedger()
        self.signer = PlainSigner()
        self.clock = HeldClock()
        self.registry = Counter(lambda: _REGISTRY)
        self.keys: Mapping[str, object] = {"keys": []}
        self.problems: Sequence[str] = []
        self.tally = Tally()
        used_ledger, used_clock = ledger or self.ledger, clock or self.clock
        self._used_ledger = used_ledger
        self.locks = ListLocks() if store is None else RedisLocks(store, events=Acts())
        exchanges = self.ledger if store is None else RedisExchanges(store)
        keyring = a_keyring()
        self.own = JwtSigner(keyring, OUR_ISSUER)
        verifier = JwtVerifier(keyring=keyring, keys=keys_of(WORKLOADS), clock=used_clock)
        exchange = Exchange(
            verifier=TableVerifier(self.tokens, actors=verifier),
            ledger=used_ledger,
            signer=self.signer,
            clock=used_clock,
            quota=quota or ListQuota(),
        )
        service = Service(
            issuer=issuer,
            registry=self.registry,
            exchange=exchange,
            introspect=Introspection(tokens=verifier, exchanges=used_ledger),
            revoke=Revocation(tokens=verifier, exchanges=exchanges, locks=self.locks),
            assertions=verifier,
            assertion_algorithms=frozenset({"ES256"}),
            ledger=used_ledger,
            bell=used_ledger,
            jwks=lambda: self.keys,
            problems=lambda: self.problems,
            meter=Meter(self.tally),
        )
        self.app = create_app(service, seconds=self.clock.seconds)

    def ask(
        self,
        body: bytes | None = None,
        *,
        authorization: str | None = None,
        path: str = "/token",
        method: str = "POST",
        **environ: Any,
    ) -> TestResponse:
        """Send a form; by default a proper request of *calendar-mcp*.

        Where *body* is given, so is all authentication. What is in capitals goes into the WSGI
        environment as it is; `None` takes it out.
        """
        if body is None:
            body, authorization = form(), authorization or basic()
        base = {
            "REMOTE_ADDR": "192.0.2.1",
            "CONTENT_TYPE": FORM,
            "HTTP_AUTHORIZATION": authorization,
        }
        request = EnvironBuilder(path=path, method=method, data=body).get_environ() | base | environ
        request = {name: value for name, value in request.items() if value is not None}
        answer = run_wsgi_app(self.app, request)
        return TestResponse(*answer, request=Request(request))

    def token(self, delegation: Delegation) -> str:
        """A token of ours, as it was issued: recorded, and signed."""
        self._used_ledger.record(delegation, a_case())
        return self.own.sign(delegation).value

    @property
    def outcomes(self) -> int:
        """How many decisions the ledger knows."""
        return len(self.ledger.recorded) + len(self.ledger.refused)


@dataclass
class RunningClock:
    """The real time, or one that is ahead of it."""

    ahead: timedelta = timedelta(0)

    def __call__(self) -> datetime:
        """The time that it shows."""
        return datetime.now(UTC) + self.ahead


class Live(Endpoint):
    """The service with a real ledger, in real time."""

    def __init__(
        self, ledger: RedisLedger, store: Store | None = None, quota: Quota | None = None
    ) -> None:
        self.running = RunningClock()
        super().__init__(ledger=ledger, store=store, clock=self.running, quota=quota)
        self.tokens[ALICES_TOKEN] = a_verified_token(now=datetime.now(UTC))


def fresh(**changes: Any) -> dict[str, Any]:
    """The claims of an assertion that is made now: not before the store, to the millisecond."""
    now = time.time()
    return {"iat": now, "exp": now + 60, "jti": "assertion-1"} | changes


_REGISTRY = a_registry(
    clients=[
        a_client(
            secrets=(digest(SECRET), digest(NEXT_SECRET)),
            keys=inline(MCP, NEXT_MCP),
            may_present_actors=frozenset({PLANNER, Identity(OUR_ISSUER, CALENDAR_API_CLIENT)}),
        ),
        the_next_client(secrets=(digest(NEXT_SECRET),), keys=inline(OTHER)),
        a_client(
            id=IDLE,
            audience="https://idle.example.com",
            may_exchange=False,
            secrets=(digest(SECRET),),
        ),
        a_client(
            id=AUDITOR,
            audience="urn:auditor",
            may_exchange=False,
            secrets=(digest(SECRET),),
            is_auditor=True,
        ),
        a_client(id=KEYLESS, audience="https://keyless.example.com"),
    ]
)


def body_of(response: TestResponse) -> dict[str, Any]:
    """The JSON of an answer, which is as every answer is."""
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["Pragma"] == "no-cache"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    body: dict[str, Any] = json.loads(response.data)
    return body


def issued(response: TestResponse) -> dict[str, Any]:
    """The body of an answer that must be a token."""
    body = body_of(response)
    assert response.status_code == 200, body
    return body


def refused(response: TestResponse) -> tuple[int, str, str | None]:
    """Status, error and reason of an answer that must be a refusal, and a proper one."""
    body = body_of(response)
    assert "access_token" not in body
    assert set(body) <= {"error", "error_description", "reason", "required_scope"}
    for text in (body["error"], body["error_description"]):
        # RFC 6749 §5.2
        assert all(" " <= char <= "~" and char not in '"\\' for char in text)
    return response.status_code, body["error"], body.get("reason")


MALFORMED = (400, "invalid_request", "malformed_request")
INVALID_CLIENT = (401, "invalid_client", None)
