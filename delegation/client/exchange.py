"""One token exchange, as a client of any RFC 8693 server."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote_plus, urlencode

import httpx2

from delegation.client.wire import Unusable, ask

GRANT_TYPE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"


class ExchangeRefused(Exception):
    """The server said no. *error* is its OAuth error code, *body* all that it said.

    *decision* names the decision in the server's audit trail, where the server is one of ours.
    """

    def __init__(self, status: int, body: Mapping[str, Any], decision: str | None) -> None:
        self.status = status
        self.error = str(body.get("error", "unknown"))
        self.body = body
        self.decision = decision
        super().__init__(f"{self.error} ({status})")


class NoAnswer(Exception):
    """The server may not or cannot be asked, or what it answers is no token response."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is asked for (RFC 8693 §2.1). Scope is space-delimited; empty members are not sent."""

    subject_token: str = field(repr=False)
    subject_token_type: str = ACCESS_TOKEN
    resources: tuple[str, ...] = ()
    audiences: tuple[str, ...] = ()
    scope: str = ""
    requested_token_type: str = ""
    actor_token: str = field(default="", repr=False)
    actor_token_type: str = ""

    def parameters(self) -> Iterator[tuple[str, str]]:
        """The form, in order; `resource` and `audience` may repeat."""
        yield "grant_type", GRANT_TYPE
        yield "subject_token", self.subject_token
        yield "subject_token_type", self.subject_token_type
        yield from (("resource", resource) for resource in self.resources)
        yield from (("audience", audience) for audience in self.audiences)
        optional = {
            "scope": self.scope,
            "requested_token_type": self.requested_token_type,
            "actor_token": self.actor_token,
            "actor_token_type": self.actor_token_type,
        }
        yield from ((name, value) for name, value in optional.items() if value)


def exchange(
    token_endpoint: str,
    request: Request,
    *,
    client_id: str,
    client_secret: str,
    http: httpx2.Client,
) -> Mapping[str, Any]:
    """The token response (RFC 8693 §2.2.1). Raises `ExchangeRefused` or `NoAnswer`.

    The client authenticates by `client_secret_basic`; id and secret are form-urlencoded first, as
    RFC 6749 §2.3.1 wants it. They are sent to *token_endpoint* alone, over https or on this
    machine: a redirect is not followed.
    """
    try:
        answer = ask(
            http,
            "POST",
            token_endpoint,
            content=urlencode(list(request.parameters())),
            headers={"Content-Type": "application/x-www-form-urlencoded"},
            auth=(quote_plus(client_id), quote_plus(client_secret)),
        )
    except Unusable as error:
        raise NoAnswer(str(error)) from error
    if answer.body is None:
        raise NoAnswer(f"{token_endpoint} answered {answer.status}, and no JSON object")
    if answer.status != httpx2.codes.OK or "error" in answer.body:
        decision = answer.headers.get("Delegation-Decision")
        raise ExchangeRefused(answer.status, answer.body, decision)
    if not isinstance(answer.body.get("access_token"), str):
        raise NoAnswer(f"{token_endpoint} answered {answer.status}, and no access_token")
    return answer.body
