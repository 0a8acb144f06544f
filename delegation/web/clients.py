"""Who calls: client authentication, by one mechanism per request (RFC 6749 §2.3, RFC 7523 §2.2)."""

from binascii import a2b_base64, b2a_base64
from collections.abc import Collection
from typing import Protocol
from urllib.parse import unquote_plus

from authlib.oauth2.rfc6749 import ClientMixin

from delegation.domain.errors import AssertionRejected, Cause, InvalidRequest
from delegation.domain.locks import milliseconds
from delegation.domain.parties import Client, VerifiedAssertion
from delegation.domain.ports import ClientAssertions, Ledger
from delegation.domain.registry import Registry
from delegation.web.errors import AuthenticationFailed
from delegation.web.form import JWT_BEARER, Form
from delegation.web.limits import shown

SECRET_BASIC = "client_secret_basic"
SECRET_POST = "client_secret_post"
ASSERTION = "private_key_jwt"

AUTH_METHODS = (ASSERTION, SECRET_BASIC, SECRET_POST)
"""What every endpoint takes."""


class Credentials(Protocol):
    """The parts of a request that say who sent it, and the registry that knows them."""

    @property
    def form(self) -> Form:
        """Its parameters."""
        ...

    @property
    def authorization(self) -> str | None:
        """Its `Authorization` header; `None` where there is none."""
        ...

    @property
    def nonce(self) -> str:
        """The request's own."""
        ...

    @property
    def registry(self) -> Registry:
        """The snapshot that everything in this request is decided by."""
        ...


class RegisteredClient(ClientMixin):
    """A client of the registry, as Authlib wants to see it."""

    def __init__(self, party: Client) -> None:
        self.party = party

    def check_endpoint_auth_method(self, _method: str, _endpoint: str) -> bool:
        """A secret may be sent either way, and whoever has a key may use that."""
        return True


def mechanism(request: Credentials, accepted: Collection[str]) -> str:
    """How *request* authenticates its client.

    Raises `InvalidRequest` for more than one mechanism, `AuthenticationFailed` where there is none
    that is *accepted*.
    """
    form = request.form
    used = [
        name
        for name, credential in (
            (SECRET_BASIC, request.authorization),
            (SECRET_POST, form.get("client_secret")),
            (ASSERTION, form.get("client_assertion")),
        )
        if credential is not None
    ]
    if len(used) > 1:
        raise InvalidRequest(Cause.MALFORMED)
    if not used or used[0] not in accepted:
        raise AuthenticationFailed(form.get("client_id"))
    return used[0]


class ByAssertion:
    """`private_key_jwt`: a signed assertion, good for one use (RFC 7523 §2.2)."""

    def __init__(self, assertions: ClientAssertions, ledger: Ledger) -> None:
        self._assertions = assertions
        self._ledger = ledger

    def __call__(self, _query_client: object, request: Credentials) -> RegisteredClient:
        """The client that signed it. A `client_id` in the form must be the same (RFC 7521 §4.2)."""
        form = request.form
        named = form.get("client_id")
        if form.get("client_assertion_type") != JWT_BEARER:
            raise AuthenticationFailed(named)
        try:
            assertion = self._assertions.assertion(
                form.get("client_assertion") or "", request.registry
            )
        except AssertionRejected as rejected:
            claimed = rejected.claimed or named
            raise AuthenticationFailed(claimed, rejected.cause, **rejected.detail) from rejected
        if named not in {None, assertion.client.id}:
            raise InvalidRequest(Cause.MALFORMED)
        self._claim(assertion, request.nonce)
        return RegisteredClient(assertion.client)

    def _claim(self, assertion: VerifiedAssertion, nonce: str) -> None:
        """Use it up, by its own id: copies of it may be written differently."""
        free = self._ledger.claim(
            assertion.client.id,
            assertion.id,
            nonce=nonce,
            issued_at=milliseconds(assertion.issued_at),
            until=milliseconds(assertion.expires_at),
        )
        if not free:
            jti = shown(assertion.id)
            raise AuthenticationFailed(assertion.client.id, Cause.ALREADY_USED, jti=jti)


def by_basic(_query_client: object, request: Credentials) -> RegisteredClient:
    """`client_secret_basic`. A `client_id` in the form must be the same (RFC 7521 §4.2)."""
    client_id, secret = _basic(request.authorization or "")
    if request.form.get("client_id") not in {None, client_id}:
        raise InvalidRequest(Cause.MALFORMED)
    return _authenticated(client_id, secret, request.registry)


def by_post(_query_client: object, request: Credentials) -> RegisteredClient:
    """`client_secret_post`."""
    client_id = request.form.get("client_id") or ""
    return _authenticated(client_id, request.form.get("client_secret") or "", request.registry)


_STRANGER = Client(id="", audience="", may_exchange=False, secrets=(bytes(32),))


def _authenticated(client_id: str, secret: str, registry: Registry) -> RegisteredClient:
    # A stranger's secret is hashed and compared as well: unknown and wrong take the same time.
    client = registry.clients.get(client_id, _STRANGER)
    if not client.holds(secret) or client is _STRANGER:
        raise AuthenticationFailed(client_id or None)
    return RegisteredClient(client)


def _basic(header: str) -> tuple[str, str]:
    """Id and secret, both form-urlencoded before they were put together (RFC 6749 §2.3.1)."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        raise AuthenticationFailed
    try:
        pair = _strictly_decoded(encoded.strip(" ")).decode()
        client_id, secret = pair.split(":", 1)
        if "%" not in pair and "+" not in pair:
            return client_id, secret
        return unquote_plus(client_id, errors="strict"), unquote_plus(secret, errors="strict")
    except ValueError:
        raise AuthenticationFailed from None


def _strictly_decoded(encoded: str) -> bytes:
    """Base64 that could not be written in another way; Python's own strict mode lets a `=` pass."""
    decoded = a2b_base64(encoded, strict_mode=True)
    if b2a_base64(decoded, newline=False).decode() != encoded:
        raise ValueError("not canonical")
    return decoded
