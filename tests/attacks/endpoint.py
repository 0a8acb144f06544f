"""The token endpoint as a stranger sees it: bytes over a socket, and what comes back."""

import base64
import json
import secrets
import socket
import ssl
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from http.client import HTTPResponse
from typing import Any
from urllib.parse import quote_plus, urlencode, urlsplit

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
JWT = "urn:ietf:params:oauth:token-type:jwt"
FORM = "application/x-www-form-urlencoded"

Fields = list[tuple[str, str]]
Headers = Mapping[str, str | bytes | None]

_TIMEOUT = 10
_TELLING = 8
"""Shorter values are no evidence of an echo: they occur by themselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back. *sent* are the values of the request that must not be found in it."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    sent: tuple[bytes, ...] = field(default=(), repr=False)

    @property
    def json(self) -> dict[str, Any]:
        """The body, which must be a JSON object."""
        document = json.loads(self.body)
        assert isinstance(document, dict)
        return document

    def header(self, name: str) -> str | None:
        """A header that may come once; `None` where it does not come."""
        values = [value for known, value in self.headers if known.lower() == name.lower()]
        assert len(values) <= 1
        return values[0] if values else None

    def echoes(self) -> list[bytes]:
        """What was sent and came back. The type of the answer is ours, whatever that of the
        request was.
        """
        others = [value for name, value in self.headers if name.lower() != "content-type"]
        heads = "\n".join(others).encode("latin-1")
        return [sent for sent in self.sent if sent in heads or sent in self.body]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Sends token requests that are sound in all but what a test alters.

    *url* is the service's base; *token* makes a subject token that *client* may exchange for
    *scope* at *resource*. On loopback each endpoint has an address of its own, so that the brake on
    failed authentications tells them apart.
    """

    url: str
    client: str
    secret: str = field(repr=False)
    resource: str
    scope: str
    token: Callable[[], str]
    source: str = field(default_factory=lambda: f"127.{1 + secrets.randbelow(250)}.0.{_last()}")

    def form(self, **changes: str | None) -> Fields:
        """The parameters of a sound request; `None` takes one out."""
        fields = {
            "grant_type": EXCHANGE,
            "subject_token": changes.get("subject_token") or self.token(),
            "subject_token_type": ACCESS_TOKEN,
            "resource": self.resource,
            "scope": self.scope,
        }
        return [(name, value) for name, value in (fields | changes).items() if value is not None]

    def exchange(
        self,
        *,
        also: Iterable[tuple[str, str]] = (),
        headers: Headers | None = None,
        **changes: Any,
    ) -> Answer:
        """Send a form: a sound one with *changes*, and then the parameters *also*."""
        fields = [*self.form(**changes), *also]
        return self.send(urlencode(fields).encode(), headers=headers, sent=_values(fields))

    def send(
        self,
        body: bytes,
        *,
        headers: Headers | None = None,
        sent: Iterable[bytes] = (),
        method: str = "POST",
        path: str = "/token",
    ) -> Answer:
        """Send any body with the headers of a sound request; `None` takes one out."""
        proper: Headers = {
            "Host": urlsplit(self.url).netloc,
            "Connection": "close",
            "Content-Type": FORM,
            "Content-Length": str(len(body)),
            "Authorization": basic(self.client, self.secret),
        }
        lines = [f"{method} {urlsplit(self.url).path}{path} HTTP/1.1".encode()]
        for name, value in (dict(proper) | dict(headers or {})).items():
            if value is not None:
                lines.append(name.encode() + b": " + _bytes(value))
        altered = [_bytes(value) for value in (headers or {}).values() if value is not None]
        return self.raw(b"\r\n".join([*lines, b"", body]), sent=[*sent, *altered], method=method)

    def raw(self, data: bytes, *, sent: Iterable[bytes] = (), method: str = "POST") -> Answer:
        """Send exactly these bytes, and nothing after them; the first answer to them."""
        with self.connected() as connection:
            with suppress(OSError):  # who is refused early need not be listened to
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
            with closing(HTTPResponse(connection, method=method)) as response:
                response.begin()
                return Answer(
                    status=response.status,
                    headers=tuple(response.getheaders()),
                    body=response.read(),
                    sent=tuple(value for value in sent if len(value) >= _TELLING),
                )

    def connected(self) -> socket.socket:
        """A connection to the service."""
        address = urlsplit(self.url)
        host = str(address.hostname)
        port = address.port or {"http": 80, "https": 443}[address.scheme]
        source = (self.source, 0) if host == "127.0.0.1" else None
        connection = socket.create_connection((host, port), _TIMEOUT, source_address=source)
        if address.scheme != "https":
            return connection
        return ssl.create_default_context().wrap_socket(connection, server_hostname=host)


def basic(client: str, secret: str) -> str:
    """A proper `Authorization` header (RFC 6749 §2.3.1)."""
    return encoded(f"{quote_plus(client)}:{quote_plus(secret)}".encode())


def encoded(pair: bytes, scheme: str = "Basic") -> str:
    """An `Authorization` header around any bytes."""
    return f"{scheme} {base64.b64encode(pair).decode()}"


def _last() -> int:
    return 1 + secrets.randbelow(250)


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode()


def _values(fields: Fields) -> list[bytes]:
    return [value.encode("utf-8", "surrogatepass") for _, value in fields]
