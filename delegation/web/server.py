"""Authlib's server, held to RFC 6749: it dispatches, and reads nothing of a request by itself."""

import logging
from collections.abc import Collection, Iterable, Mapping
from hashlib import sha256
from os import urandom
from typing import Any, NoReturn

import flask
from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import BaseGrant, OAuth2Error, OAuth2Payload, OAuth2Request
from authlib.oauth2.rfc6749.errors import InsecureTransportError

from delegation.domain.alarms import Alarm
from delegation.domain.case import Case
from delegation.domain.errors import ALARMING, Cause, InvalidRequest, Refused
from delegation.domain.exchange import RefusalsRecorded
from delegation.domain.registry import Registry
from delegation.web import answers
from delegation.web.clients import (
    ASSERTION,
    SECRET_BASIC,
    SECRET_POST,
    ByAssertion,
    RegisteredClient,
    by_basic,
    by_post,
    mechanism,
)
from delegation.web.errors import AuthenticationFailed, TooManyFailures
from delegation.web.form import Form, read_form
from delegation.web.grant import TokenExchangeGrant, serving
from delegation.web.introspection import IntrospectionEndpoint
from delegation.web.limits import Brake, SampledLog, Seconds
from delegation.web.origin import origin_of
from delegation.web.revocation import RevocationEndpoint
from delegation.web.service import Service


class TokenRequest(OAuth2Request):
    """A request, read once: parameters from its form alone, its address from our configuration.

    Authlib's own would merge the query string in, and believe the `Host` header.
    """

    def __init__(self, uri: str, *, form: Form, registry: Registry, http: flask.Request) -> None:
        # Authlib's own `__init__` is left out: it takes the address apart, to find out whether that
        # is secure, for as long as it takes to authenticate the client. The server has found out.
        self.method = http.method
        self.uri = uri
        self.client: Any = None
        self.auth_method: Any = None
        self.user = None
        self._form = form
        self.payload = _Payload(form)
        self.registry = registry
        self.authorization: str | None = http.environ.get("HTTP_AUTHORIZATION")
        self.origin = origin_of(http.environ)
        self.nonce = urandom(16).hex()  # this request's own: what it uses twice is used once

    @property
    def form(self) -> Form:
        """What was asked for."""
        return self._form

    def case(self) -> Case:
        """A case of its own, once its client has been authenticated."""
        return Case(
            client=self.client.party,
            authenticated_by=self.auth_method,
            registry=self.registry,
            origin=self.origin,
            nonce=self.nonce,
        )


class _Payload(OAuth2Payload):
    """The form under the name that Authlib gives it."""

    def __init__(self, form: Form) -> None:
        self._form = form

    @property
    def data(self) -> Form:
        return self._form


class Server(AuthorizationServer):
    """Finds what is asked for, authenticates the client, leaves every error to the one boundary.

    *uri* is our address; where it is neither https nor loopback, there is no server.
    """

    def __init__(self, service: Service, *, uri: str, seconds: Seconds) -> None:
        super().__init__()
        # Authlib would say so at every request: better now.
        InsecureTransportError.check(uri)
        self._service = service
        self._uri = uri
        self._brake = Brake(seconds)
        suppressed = service.meter.line_suppressed
        self._log = SampledLog(seconds, level=logging.WARNING, suppressed=suppressed)
        # Nobody can drown an alarm by knocking.
        self._alarm = SampledLog(seconds, level=logging.ERROR, suppressed=suppressed)
        self.register_grant(TokenExchangeGrant, [serving(service)])
        self.register_endpoint(IntrospectionEndpoint(service))
        self.register_endpoint(RevocationEndpoint(service))
        self.register_client_auth_method(SECRET_BASIC, by_basic)
        self.register_client_auth_method(SECRET_POST, by_post)
        by_assertion = ByAssertion(service.assertions, service.ledger)
        self.register_client_auth_method(ASSERTION, by_assertion)

    def send_signal(self, *_args: object, **_named: object) -> None:
        """Nobody listens."""

    def create_oauth2_request(self, http: flask.Request) -> TokenRequest:
        """A request, which must be a form; with the registry's snapshot, taken once."""
        form = read_form(http)
        return TokenRequest(self._uri, form=form, registry=self._service.registry(), http=http)

    def get_token_grant(self, request: TokenRequest) -> BaseGrant:
        """The grant for `grant_type`: where it is missing, that is an invalid request."""
        if request.form.get("grant_type") is None:
            raise InvalidRequest(Cause.MALFORMED)
        return super().get_token_grant(request)

    def authenticate_client(
        self, request: TokenRequest, methods: Collection[str], endpoint: str = "token"
    ) -> RegisteredClient:
        """The client, by the one mechanism that the request uses: no other is tried after it."""
        try:
            used = mechanism(request, methods)
            client: RegisteredClient = super().authenticate_client(request, [used], endpoint)
        except AuthenticationFailed as failure:
            self._note(failure, request.origin.address)
            raise
        return client

    def refusals_recorded(self, case: Case) -> RefusalsRecorded:
        """A context whose refusals have their events; those that alarm are in the log as well."""
        return RefusalsRecorded(self._service.ledger, case, told=self._refused)

    def _refused(self, refused: Refused, case: Case) -> None:
        if refused.cause in ALARMING:
            self._service.meter.alarm(refused.cause)
            decision = refused.decision
            self._alarm("alarm", cause=refused.cause, client=case.client.id, decision=decision)

    def handle_response(
        self,
        status: int,
        body: Mapping[str, object] | bytes | None,
        headers: Iterable[tuple[str, str]],
    ) -> flask.Response:
        """An answer, as all of ours are; `None` says nothing, and bytes are JSON already."""
        return answers.done() if body is None else answers.private(status, body, headers)

    def handle_error_response(self, _request: object, error: OAuth2Error) -> NoReturn:
        """Authlib's texts repeat what the client sent; the boundary's do not."""
        raise error

    def _name(self, claimed: str) -> str:
        """A client as the log names it.

        What nobody is called may be a secret in the wrong place, or a token: its digest still tells
        whether it was always the same.
        """
        if claimed in self._service.registry().clients:
            return claimed
        return f"unknown, sha256 {sha256(claimed.encode()).hexdigest()[:12]}"

    def _note(self, failure: AuthenticationFailed, address: str) -> None:
        """Log it and count it. Raises `TooManyFailures` when it is one too many."""
        claimed, cause, meter = failure.claimed, failure.cause, self._service.meter
        meter.authentication_failed(claimed, cause, self._service.registry())
        fields = {
            "client": None if claimed is None else self._name(claimed),
            "address": address,
            "cause": None if cause is None else cause.value,
            "detail": failure.detail,
        }
        if cause in ALARMING and claimed is not None:
            # It was signed by that client, whoever sent it: that much is known.
            alarm = Alarm(cause=cause, about=claimed, source=address, detail=failure.detail)
            self._service.bell.sound(alarm)
            meter.alarm(cause)
            self._alarm("alarm", **fields)
        else:
            self._log("authentication_failed", **fields)
        if claimed is None:
            return
        wait = self._brake.failed(address, claimed)
        if wait:
            meter.throttled()
            raise TooManyFailures(wait)
