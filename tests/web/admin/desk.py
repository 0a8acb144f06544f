"""The admin API as tests speak to it: a real application, real tokens, and a real store."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import redis
from werkzeug.test import TestResponse

from delegation.audit.acts import Acts
from delegation.audit.inquiry import Inquiry
from delegation.audit.reading import Reader
from delegation.audit.segments import Segments
from delegation.domain.administration import Administration, Capability
from delegation.domain.delegations import Delegation
from delegation.domain.rates import Rates
from delegation.domain.registry import Registry
from delegation.domain.tokens import format_scope
from delegation.domain.trust import AdminIssuer
from delegation.jose.verifier import JwtVerifier
from delegation.ledger.alarms import RedisAlarms
from delegation.ledger.evidence import Evidence
from delegation.ledger.exchanges import RedisExchanges
from delegation.ledger.ledger import RedisLedger
from delegation.ledger.locks import RedisLocks
from delegation.ledger.presence import RedisPresence
from delegation.ledger.quota import RedisQuota
from delegation.ledger.store import Store
from delegation.web.admin.app import create_admin_app
from delegation.web.admin.service import AdminService, LoadedRegistry, PublicKey
from tests.parties import OUR_ISSUER, a_case, a_registry
from tests.signing import SigningParty, a_keyring, keys_of
from tests.valkey import decide, decide_next

AUDIENCE = f"{OUR_ISSUER}/admin"

STAFF = "https://staff.example.com"
"""Whoever logs administrators in."""

ALL = format_scope(Capability)

PROBLEM = "application/problem+json"


def an_admin_issuer(**changes: Any) -> AdminIssuer:
    """Whoever logs administrators in, as the registry knows them."""
    entry = {
        "issuer": STAFF,
        "alias": "staff",
        "jwks_uri": f"{STAFF}/jwks",
        "algorithms": frozenset({"ES256"}),
    }
    return AdminIssuer(**(entry | changes))


class Staff(SigningParty):
    """Signs tokens of *carol*, an administrator, for our admin API."""

    def __init__(self, issuer: str = STAFF) -> None:
        super().__init__(issuer, now=datetime.now(UTC))

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Those of a sound token that allows everything."""
        usual = {"sub": "carol", "aud": AUDIENCE, "scope": ALL, "client_id": "console"}
        return super().claims(**(usual | changes))


@contextmanager
def prompt(url: str) -> Iterator[None]:
    """The store at *url* writes to its disk at once, so that no lock has to wait for that."""
    with redis.Redis.from_url(url) as client:
        client.config_set("appendfsync", "always")
        yield
        client.config_set("appendfsync", "everysec")


class Desk:
    """The admin API over *store*, with everything around it at hand."""

    def __init__(
        self,
        store: Store,
        ledger: RedisLedger,
        *,
        segments: Segments | None = None,
        rates: Rates | None = None,
        **registry: Any,
    ) -> None:
        self.staff = Staff()
        self.ledger = ledger
        self.registry: Registry = a_registry(**({"admin_issuers": [an_admin_issuer()]} | registry))
        self.loaded = LoadedRegistry(
            issuer=OUR_ISSUER, admin_audience=AUDIENCE, revision="revision-1", files={}
        )
        self.seconds = 0.0
        self.problems: Sequence[str] = []
        self.locks = RedisLocks(store, events=Acts())
        self.exchanges = RedisExchanges(store)
        self.presence = RedisPresence(store)
        self.administration = Administration(
            locks=self.locks,
            exchanges=self.exchanges,
            registry=lambda: self.registry,
            clock=lambda: datetime.now(UTC),
        )
        verifier = JwtVerifier(
            keyring=a_keyring(), keys=keys_of(self.staff), clock=lambda: datetime.now(UTC)
        )
        self.service = AdminService(
            audience=AUDIENCE,
            registry=lambda: self.registry,
            loaded=lambda: self.loaded,
            authenticate=lambda token: verifier.administrator(token, self.registry),
            administration=self.administration,
            presence=self.presence,
            alarms=RedisAlarms(store),
            quota=RedisQuota(store, rates or {}),
            trail=Inquiry(Reader(Evidence(store), segments)),
            public_keys=lambda: [
                PublicKey(
                    kid=key.kid,
                    algorithm=key.algorithm,
                    status=key.status.value,
                    jwk=key.published(),
                )
                for key in a_keyring().keys
            ],
            problems=lambda: self.problems,
        )
        self.app = create_admin_app(self.service, seconds=lambda: self.seconds)

    def ask(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        bearer: str | None = None,
        scope: str = ALL,
        headers: dict[str, str] | None = None,
        **query: Any,
    ) -> TestResponse:
        """Ask as *carol*, whose token has *scope*."""
        authorization = {"Authorization": f"Bearer {bearer or self.staff.token(scope=scope)}"}
        return self.app.test_client().open(
            path if path.startswith("/.") or path.endswith("z") else f"/admin/v1{path}",
            method=method,
            json=body,
            query_string=query,
            headers=authorization | (headers or {}),
        )

    def get(self, path: str, **options: Any) -> Any:
        """The body of what must be a sound answer."""
        answer = self.ask("GET", path, **options)
        assert answer.status_code == 200, answer.data
        return answer.json

    def lock(self, target: dict[str, Any], **members: Any) -> TestResponse:
        """Order a lock on *target*."""
        headers, query = members.pop("headers", {}), members.pop("query", {})
        scope = members.pop("scope", ALL)
        body = {"target": target, "reason": "a test"} | members
        return self.ask("POST", "/locks", body=body, headers=headers, scope=scope, **query)

    def exchanged(self, **changes: Any) -> Delegation:
        """An exchange of Alice's token that is recorded."""
        delegation = decide(self.ledger, **changes)
        self.ledger.record(delegation, a_case())
        return delegation

    def exchanged_next(self, parent: Delegation, **changes: Any) -> Delegation:
        """An exchange of the token that *parent* led to."""
        delegation = decide_next(self.ledger, parent, **changes)
        self.ledger.record(delegation, a_case())
        return delegation

    def is_alive(self, delegation: Delegation) -> bool:
        """Whether nothing has stopped it."""
        found = self.exchanges.find(delegation.id)
        return found is not None and found.alive


def iss_sub(issuer: str, subject: str) -> dict[str, str]:
    """An identity as the API names it."""
    return {"format": "iss_sub", "iss": issuer, "sub": subject}


def problem(answer: TestResponse) -> tuple[int, str]:
    """The status and the name of a problem, which is as every problem is."""
    assert answer.headers["Content-Type"] == PROBLEM, answer.data
    assert answer.headers["Cache-Control"] == "no-store"
    body = json.loads(answer.data)
    assert set(body) <= {"type", "title", "status", "detail", "faults", "missing"}
    assert body["status"] == answer.status_code
    prefix, _, name = body["type"].rpartition("/")
    assert prefix == "/admin/v1/problems"
    return answer.status_code, name
