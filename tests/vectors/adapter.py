"""What an adapter is: it makes the world of the vectors true on a server, and asks that server."""

import base64
import json
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol
from urllib.parse import quote_plus, urlencode

import httpx2
import jwt

from .world import SignedToken, World


class NotSupported(Exception):
    """The server cannot do this, and does not say it can: the case is skipped, for *feature*."""

    def __init__(self, feature: str) -> None:
        super().__init__(feature)
        self.feature = feature


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is to be sent to the token endpoint.

    *parameters* are sent in this order, in the body as *encoding* says; *query* goes into the URL.
    *authentication* is that of *client*: `usual`, as the adapter arranged it; `none` at all; or the
    usual one with a `wrong` credential.
    """

    client: str
    parameters: tuple[tuple[str, str], ...]
    authentication: Literal["usual", "none", "wrong"] = "usual"
    method: str = "POST"
    query: tuple[tuple[str, str], ...] = ()
    encoding: Literal["form", "json"] = "form"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back. *headers* have names in lower case; *body* is `None` where it is no JSON
    object.
    """

    status: int
    headers: Mapping[str, str]
    body: Mapping[str, Any] | None


class Server(Protocol):
    """A server on which the world of the vectors has been made true."""

    @property
    def name(self) -> str:
        """What the report calls it."""
        ...

    @property
    def identifier(self) -> str:
        """Its issuer identifier (RFC 8414 §2)."""
        ...

    @property
    def features(self) -> Collection[str]:
        """Those of `world.json` that it has."""
        ...

    def client_id(self, client: str) -> str:
        """The id that it knows a client of the world by."""
        ...

    def subject(self, issuer: str, subject: str) -> str:
        """What it writes into `sub` of an issued token for *subject*, of an issuer of the world."""
        ...

    def presented(self, token: SignedToken) -> str:
        """The token to present: as a rule `token.value`, signed by a party of the world.

        A server that knows only tokens of its own makes one that says the same. Raises
        `NotSupported` where it cannot.
        """
        ...

    def exchange(self, request: Request) -> Answer:
        """Send *request*. Raises `NotSupported`."""
        ...

    def claims(self, issued: str) -> Mapping[str, Any]:
        """What an issued token says, verified. Raises `ValueError` where it does not verify."""
        ...


Adapter = Callable[[World], AbstractContextManager[Server]]
"""Starts a server, or finds one, and makes the world true on it, until the context ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpServer:
    """A server with a token endpoint and a key set; most adapters need nothing else.

    *secrets* are the clients' by client id, sent by HTTP Basic (RFC 6749 §2.3.1).
    """

    name: str
    identifier: str
    features: frozenset[str]
    http: httpx2.Client = field(repr=False)
    token_endpoint: str
    jwks_uri: str
    secrets: Mapping[str, str] = field(repr=False)

    def client_id(self, client: str) -> str:
        """As the world calls it."""
        return client

    def subject(self, issuer: str, subject: str) -> str:  # noqa: ARG002, the Protocol's
        """As its issuer calls it."""
        return subject

    def presented(self, token: SignedToken) -> str:
        """As it was signed."""
        return token.value

    def exchange(self, request: Request) -> Answer:
        """Send *request* over HTTP."""
        fields = list(request.parameters)
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        content = urlencode(fields)
        if request.encoding == "json":
            headers = {"Content-Type": "application/json"}
            content = json.dumps(dict(fields))
        if request.authentication != "none":
            headers["Authorization"] = self._basic(request)
        answer = self.http.request(
            request.method,
            self.token_endpoint,
            params=list(request.query),
            headers=headers,
            content=content if request.method == "POST" else None,
        )
        return Answer(
            status=answer.status_code,
            headers={name.lower(): value for name, value in answer.headers.items()},
            body=_json_object(answer),
        )

    def claims(self, issued: str) -> Mapping[str, Any]:
        """Of a JWT that was signed with a key of the server's key set."""
        try:
            keys = jwt.PyJWKSet.from_dict(self.http.get(self.jwks_uri).json())
            key = keys[jwt.get_unverified_header(issued)["kid"]]
            return jwt.decode(
                issued,
                key,
                algorithms=[key.algorithm_name],
                issuer=self.identifier,
                options={"verify_aud": False, "require": ["exp"]},
            )
        except (jwt.PyJWTError, KeyError) as error:
            raise ValueError(str(error)) from error

    def _basic(self, request: Request) -> str:
        id_ = self.client_id(request.client)
        secret = self.secrets[id_] if request.authentication == "usual" else "wrong"
        # RFC 6749 §2.3.1: both are form-urlencoded before they are put together.
        pair = f"{quote_plus(id_)}:{quote_plus(secret)}"
        return f"Basic {base64.b64encode(pair.encode()).decode()}"


def _json_object(answer: httpx2.Response) -> Mapping[str, Any] | None:
    try:
        body = answer.json()
    except ValueError:
        return None
    return body if isinstance(body, dict) else None
