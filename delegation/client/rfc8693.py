"""One token exchange, as a client of any RFC 8693 server."""

import base64
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import urlencode

import httpx2

from delegation.client.credentials import Proof
from delegation.client.current import NO_CONTEXT, VISIBLE, CallContext
from delegation.client.errors import Unavailable, decision_of, refused_or_unavailable
from delegation.client.wire import Unusable, ask

GRANT_TYPE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
_LONGEST_LIFE = 24 * 3600

_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*", re.ASCII)
"""What may stand in a header (RFC 6750 §2.1)."""


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
    context: CallContext = NO_CONTEXT

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


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenResponse:
    """A token response: *body* has an access_token. *decision* names the decision behind it."""

    body: Mapping[str, Any] = field(repr=False)
    decision: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedToken:
    """A token that was issued in exchange. It is good at one API, for one user.

    *scope* is what it allows, space-delimited, if the server says so. *expires_in* counts from the
    answer; 0 where the server does not say. *decision* names the decision in the audit trail.
    """

    access_token: str = field(repr=False)
    scope: str = ""
    expires_in: float = 0
    decision: str | None = None

    @classmethod
    def read(cls, answer: TokenResponse, request: Request) -> Self:
        """From a token response (RFC 8693 §2.2.1). Raises `Unavailable`, where it cannot be used.

        It must be a bearer token: any other is no use to whoever only has the token.
        """
        body = answer.body
        token, kind, scope = body["access_token"], body.get("token_type"), body.get("scope")
        if not _TOKEN.fullmatch(token):
            raise Unavailable("the service answers with an access_token that no header can hold")
        if not isinstance(kind, str) or kind.lower() != "bearer":
            raise Unavailable("the service answers with another token_type than Bearer")
        if token in {request.subject_token, request.actor_token}:
            # Whoever sent it on would pass through what was never meant for the API.
            raise Unavailable("the service answers with the very token that it was shown")
        return cls(
            access_token=token,
            scope=scope if isinstance(scope, str) else "",
            expires_in=_lifetime(body.get("expires_in")),
            decision=answer.decision,
        )


def trade(
    token_endpoint: str, request: Request, *, proof: Proof, http: httpx2.Client
) -> TokenResponse:
    """The token response (RFC 8693 §2.2.1). Raises `Refused` or `Unavailable`.

    *proof* and *request* are sent to *token_endpoint* alone, over https or on this machine: a
    redirect is not followed.
    """
    form = [*request.parameters(), *proof.parameters.items()]
    headers = dict(_headers(request.context))
    headers["Content-Type"] = "application/x-www-form-urlencoded"
    try:
        answer = ask(
            http,
            "POST",
            token_endpoint,
            content=urlencode(form),
            headers=headers,
            auth=proof.auth,
        )
    except Unusable as error:
        raise Unavailable(str(error)) from error
    if answer.body is None:
        raise Unavailable(
            f"{token_endpoint} answered {answer.status}, and no JSON object", status=answer.status
        )
    if answer.status != httpx2.codes.OK or "error" in answer.body:
        raise refused_or_unavailable(answer.status, answer.headers, answer.body)
    if not isinstance(answer.body.get("access_token"), str):
        raise Unavailable(
            f"{token_endpoint} answered {answer.status}, and no access_token", status=answer.status
        )
    return TokenResponse(body=answer.body, decision=decision_of(answer.headers))


def _headers(context: CallContext) -> Iterator[tuple[str, str]]:
    """What a header cannot hold is written as MCP 2026-07-28 does, or left out: it is but said."""
    named = {
        "Mcp-Method": _encoded(context.mcp_method or ""),
        "Mcp-Name": _encoded(context.mcp_name or ""),
        "Delegation-Consent": context.consent or "",
        "traceparent": context.traceparent or "",
    }
    return ((name, value) for name, value in named.items() if VISIBLE.fullmatch(value))


def _encoded(value: str) -> str:
    if not value or VISIBLE.fullmatch(value):
        return value
    return f"=?base64?{base64.b64encode(value.encode('utf-8', 'replace')).decode()}?="


def _lifetime(value: Any) -> float:
    """What is no number is no promise."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0
    # In this order: what is NaN is more than nothing of all.
    return min(max(0, value), _LONGEST_LIFE)
