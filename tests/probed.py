"""A token service in little, for those who try one: sound, but for the faults that a test gives it.

It shares no code with the service, so that both must be what the standards say.
"""

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from secrets import token_urlsafe
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import jwt

from delegation.jose.keyring import SigningKey, Status, new_key

LOGIN = "https://login.example"
API, NEXT, FORBIDDEN = (f"https://{name}.example/api" for name in ("api", "next", "forbidden"))
AUDIENCES = {"mcp": "https://mcp.example/mcp", "other": "https://other.example/mcp", "api": API}
"""Of each client; its secret is its name."""

ENDLESS = 2**33
"""A time that nobody lives to see."""

_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
_ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
_GRANTED = {"mcp": (API, "read", "write"), "api": (NEXT, "read", "read")}
"""Where each may act, with which scope, and with which besides that its subjects do not have."""


class Refused(Exception):
    """The answer is this error."""

    def __init__(self, error: str, status: int = 400, **headers: str) -> None:
        super().__init__(error)
        self.answer = status, {"error": error, "error_description": "it is refused"}, headers


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request as it arrived."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    content: str

    @property
    def form(self) -> dict[str, str]:
        """Its parameters; of a repeated one, the last."""
        return dict(parse_qsl(self.content))


@dataclass(slots=True, kw_only=True)
class StandIn:
    """The service at *url*. *faults* are what is wrong with it.

    *instead* are members of what it says by path; *claims*, of the tokens that it issues: `None`
    leaves one out. *down* are paths with the status that is answered there, and no object.
    """

    url: str
    login: SigningKey = field(default_factory=lambda: new_key(status=Status.ACTIVE))
    key: SigningKey = field(default_factory=lambda: new_key(status=Status.ACTIVE))
    faults: set[str] = field(default_factory=set)
    instead: dict[str, dict[str, Any]] = field(default_factory=dict)
    claims: dict[str, Any] = field(default_factory=dict)
    down: dict[str, int] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    """Instead of those of a sound answer of the token endpoint."""
    alive: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The claims of every token that was issued, and has not ended."""
    asked: list[Asked] = field(default_factory=list)
    when_revoked: Callable[[], object] = lambda: None

    def mend(self) -> None:
        """Nothing is wrong any more, and nothing was ever issued."""
        for everything in (self.instead, self.claims, self.down, self.headers, self.alive):
            everything.clear()
        self.faults.clear()
        self.asked.clear()
        self.when_revoked = lambda: None

    def subject_token(self, **changes: Any) -> str:
        """A sound token of the login, for *mcp*."""
        now = int(time.time())
        claims = {
            "iss": LOGIN,
            "sub": "probe",
            "aud": AUDIENCES["mcp"],
            "client_id": "agent",
            "scope": "read",
            "iat": now,
            "exp": now + 600,
            "jti": token_urlsafe(8),
            "act": {"sub": "before"},
        }
        return _signed(claims | changes, self.login)

    def answer(self, asked: Asked) -> tuple[int, dict[str, Any] | None, Mapping[str, str]]:
        """Status, body and headers."""
        self.asked.append(asked)
        if asked.path in self.down:
            return self.down[asked.path], None, {}
        try:
            status, body, headers = self._answers()[asked.path](asked)
        except Refused as refused:
            status, body, headers = refused.answer
            if "repeats" in self.faults:
                body["error_description"] = f"it is {asked.form.get('resource')}"
        headers = {"Cache-Control": "no-store"} | headers | self.headers
        body = body | self.instead.get(asked.path, {}) if status == 200 else body
        return status, {name: value for name, value in body.items() if value is not None}, headers

    def _answers(self) -> Mapping[str, Callable[[Asked], Any]]:
        return {
            "/.well-known/oauth-authorization-server": self._metadata,
            "/jwks": lambda _: (200, {"keys": [self.key.published()]}, {}),
            "/token": self._token,
            "/introspect": self._introspect,
            "/revoke": self._revoke,
        }

    def _metadata(self, _: Asked) -> Any:
        endpoints = {
            "token_endpoint": "/token",
            "introspection_endpoint": "/introspect",
            "revocation_endpoint": "/revoke",
            "jwks_uri": "/jwks",
        }
        found = {name: self.url + path for name, path in endpoints.items()}
        return 200, found | {"issuer": self.url, "grant_types_supported": [_EXCHANGE]}, {}

    def _introspect(self, asked: Asked) -> Any:
        by, token = self._client(asked), _claims(asked.form["token"])
        if "tells everybody" not in self.faults and by != "api":
            return 200, {"active": False}, {}
        if "forgets ends" in self.faults or token.get("jti") in self.alive:
            return 200, {"active": True} | token, {}
        return 200, {"active": False}, {}

    def _revoke(self, asked: Asked) -> Any:
        by, token = self._client(asked), _claims(asked.form["token"])
        self.when_revoked()
        if "anybody revokes" in self.faults or token.get("client_id") == by:
            self.alive.pop(str(token.get("jti")), None)
            if "forgets children" not in self.faults:
                for child, claims in list(self.alive.items()):
                    if claims["txn"] == token.get("txn"):
                        del self.alive[child]
        return 200, {}, {}

    def _token(self, asked: Asked) -> Any:
        form = asked.form
        if asked.method != "POST":
            self._refuse("takes GET", "invalid_request", 405, Allow="POST")
        if asked.headers["Content-Type"] != "application/x-www-form-urlencoded":
            self._refuse("takes any type", "invalid_request")
        if asked.query:
            self._refuse("ignores the query", "invalid_request")
        if len(form) != len(parse_qsl(asked.content)):
            self._refuse("takes the last", "invalid_request")
        if form["grant_type"] != _EXCHANGE:
            self._refuse("grants to clients", "unsupported_grant_type")
        by = self._client(asked)
        if form["subject_token_type"] != _ACCESS_TOKEN:
            self._refuse("takes any kind", "invalid_request")
        subject = self._verified(form["subject_token"], by)
        if by == "api":
            self._refuse_if("grants nothing onward", "invalid_target")
        target, scope = form["resource"], form.get("scope", "read")
        granted, has, _ = _GRANTED.get(by, (API, "read", ""))
        if target != granted:
            known = target in {API, NEXT, FORBIDDEN}
            self._refuse("grants every API" if known else "grants any API", "invalid_target")
        if scope != has:
            known = set(scope.split()) <= {"read", "write"}
            self._refuse("grants every scope" if known else "grants any scope", "invalid_scope")
        return self._issued(subject, by, target, scope, form["subject_token"])

    def _issued(self, subject: Mapping[str, Any], by: str, aud: str, scope: str, shown: str) -> Any:
        now = int(time.time())
        claims: dict[str, Any] = {
            "iss": self.url,
            "sub": "corp|probe",
            "sub_id": {"format": "iss_sub", "iss": LOGIN, "sub": "probe"},
            "aud": aud,
            "client_id": by,
            "scope": scope,
            "iat": now,
            "exp": min(now + 300, int(subject.get("exp", ENDLESS))),
            "jti": token_urlsafe(8),
            "txn": subject.get("txn") or token_urlsafe(8),
            "act": {"iss": self.url, "sub": by, "act": {"iss": LOGIN} | subject.get("act", {})},
        } | self.claims
        claims = {name: value for name, value in claims.items() if value is not None}
        token = _signed(claims, self.login if "signs wrongly" in self.faults else self.key)
        self.alive[claims["jti"]] = claims
        body = {
            "access_token": shown if "passes through" in self.faults else token,
            "issued_token_type": _ACCESS_TOKEN,
            "token_type": "Bearer",
            "expires_in": claims["exp"] - claims["iat"] if "exp" in claims else 300,
            "scope": scope,
        }
        return 200, body, {}

    def _client(self, asked: Asked) -> str:
        assertion = asked.form.get("client_assertion")
        if assertion is not None:
            return str(_claims(assertion)["iss"])  # which tests of the service look at closely
        shown = asked.headers.get("Authorization", "")
        challenge = {"WWW-Authenticate": "Basic"} if "no challenge" not in self.faults else {}
        if not shown:
            self._refuse("asks nobody", "invalid_client", 401, **challenge)
            return "mcp"
        client, _, secret = base64.b64decode(shown.removeprefix("Basic ")).decode().partition(":")
        if secret != client:
            self._refuse("takes any secret", "invalid_client", 401, **challenge)
        return client

    def _verified(self, token: str, by: str) -> Mapping[str, Any]:
        claims = _claims(token)
        if jwt.get_unverified_header(token)["alg"] == "none":
            self._refuse("takes none", "invalid_request")
        else:
            try:
                public = (
                    self.key if claims["iss"] == self.url else self.login
                ).private.public_key()
                jwt.decode(token, public, ["ES256"], options=_SIGNATURE_ONLY)
            except jwt.InvalidSignatureError:
                self._refuse("checks no signature", "invalid_request")
        if claims.get("exp", ENDLESS) < time.time():
            self._refuse("takes what has expired", "invalid_request")
        if claims["aud"] != AUDIENCES[by]:
            is_ours = claims["iss"] == self.url
            self._refuse("takes its own" if is_ours else "takes stolen", "invalid_request")
        if claims["iss"] == self.url and claims["jti"] not in self.alive:
            self._refuse("forgets ends of parents", "invalid_request")
        return claims

    def _refuse_if(self, fault: str, error: str) -> None:
        if fault in self.faults:
            raise Refused(error)

    def _refuse(self, unless: str, error: str, status: int = 400, **headers: str) -> None:
        if unless in self.faults:
            return
        if f"not {unless}" in self.faults:
            raise Refused("access_denied", status, **headers)
        raise Refused(error, status, **headers)


_SIGNATURE_ONLY: Any = {"verify_aud": False, "verify_exp": False, "verify_iat": False}


def _claims(token: str) -> dict[str, Any]:
    """What it says; nothing is verified."""
    _, _, rest = token.partition(".")
    payload = rest.partition(".")[0]
    text = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
    return dict(json.loads(text or b"{}"))


def _signed(claims: Mapping[str, Any], key: SigningKey) -> str:
    header = {"typ": "at+jwt", "kid": key.kid}
    return jwt.encode(dict(claims), key.private, key.algorithm, headers=header)


@contextmanager
def a_stand_in() -> Iterator[StandIn]:
    """Serve it on a free loopback port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one go, for whoever waits for both

        def do_GET(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            address = urlsplit(self.path)
            status, body, headers = stand_in.answer(
                Asked(
                    method=self.command,
                    path=address.path,
                    query=address.query,
                    headers=dict(self.headers),
                    content=content,
                )
            )
            text = json.dumps(body).encode()
            self.send_response(status)
            for name, value in {"Content-Length": str(len(text)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text)

        do_POST = do_GET  # noqa: N815, the base class asks for it

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    stand_in = StandIn(url=f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield stand_in
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
