"""What an API is tried with: tokens as the service writes them, and an issuer that it can ask."""

import json
import time
from typing import Any

from jwt import PyJWK

from delegation.client.verify import Expected
from tests.client.server import Server
from tests.parties import (
    ALICE,
    CALENDAR_API,
    CALENDAR_MCP,
    DESK_AGENT,
    LOGIN,
    NOW,
    OUR_ISSUER,
)
from tests.signing import SigningParty

MCP_SERVER = {"iss": OUR_ISSUER, "sub": CALENDAR_MCP}
AGENT = {"iss": LOGIN, "sub": DESK_AGENT, "sub_profile": "ai_agent"}

EXPECTED = Expected(issuer=OUR_ISSUER, resource=CALENDAR_API)
"""What the calendar API wants of a token."""


class Us(SigningParty):
    """The service, as far as an API can see it: its tokens are Alice's for the calendar API.

    They are good at *now*, in seconds since 1970, or else at the story's moment.
    """

    def __init__(
        self, issuer: str = OUR_ISSUER, *, algorithm: str = "ES256", now: float | None = None
    ) -> None:
        super().__init__(issuer, algorithm=algorithm)
        self.seconds = NOW.timestamp() if now is None else now

    def claims(self, **changes: Any) -> dict[str, Any]:
        """As the signer writes them. `ABSENT` leaves a claim out."""
        ours = {
            "sub": f"corp|{ALICE.subject}",
            "sub_id": {"format": "iss_sub", "iss": ALICE.issuer, "sub": ALICE.subject},
            "aud": CALENDAR_API,
            "client_id": CALENDAR_MCP,
            "scope": "events.read",
            "act": MCP_SERVER | {"iss": self.issuer, "act": AGENT},
            "iat": int(self.seconds) - 1,
            "exp": int(self.seconds) + 299,
            "jti": "12-exchange-1",
            "txn": "12-exchange-1",
        }
        return super().claims(**(ours | changes))

    def verification_key(self) -> PyJWK:
        """Its key, as an API holds it."""
        return PyJWK(self.key.published())


def now_of(server: Server) -> Us:
    """The issuer that *server* is, which publishes its keys there from now on."""
    us = Us(server.url, now=time.time())
    publish(server, us)
    return us


def publish(server: Server, *parties: SigningParty) -> None:
    """Have *server* publish the keys of *parties*, and say where."""
    server.has_metadata(
        jwks_uri=f"{server.url}/jwks", introspection_endpoint=f"{server.url}/introspect"
    )
    keys = [party.key.published() for party in parties]
    server.says("/jwks", json.dumps({"keys": keys}).encode())


def asked(server: Server, path: str) -> int:
    """How often *path* was asked for."""
    return [request.path for request in server.asked].count(path)
