"""One round of probes: what it has found out so far, and how it asks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self
from urllib.parse import urlencode

import httpx2

from delegation.client.bearer import FORM
from delegation.client.credentials import Proof
from delegation.client.errors import Refused, decision_of, refused_or_unavailable
from delegation.client.rfc8693 import Request
from delegation.client.service import Service
from delegation.client.wire import Answer, Unusable, ask
from delegation.probe.findings import NoAnswer, NotTried, Wrong
from delegation.probe.target import Target

_LATER = frozenset({429, 502, 503, 504})


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A token request of the client *by*, as it goes over the wire.

    *proof* is what it shows instead of its credential.
    """

    by: Service
    form: tuple[tuple[str, str], ...] = field(repr=False)
    proof: Proof | None = None
    method: str = "POST"
    query: str = ""
    content_type: str = FORM

    def but(self, **values: str) -> Self:
        """The same with other *values* of parameters that it has."""
        form = tuple((name, values.get(name, value)) for name, value in self.form)
        return replace(self, form=form)


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A token that the service issued, and the answer in which it came."""

    value: str = field(repr=False)
    answer: Answer = field(repr=False)
    claims: Mapping[str, Any] = field(repr=False)
    """What it says; nothing is verified."""


@dataclass(slots=True, kw_only=True)
class Round:
    """What has been found out of *target* so far: probes that come first fill it for the others."""

    target: Target
    http: httpx2.Client
    metadata: Mapping[str, Any] | None = None
    subject_token: str | None = field(default=None, repr=False)
    issued: Issued | None = None
    child: Issued | None = None
    """What was issued for the token that was issued first."""
    child_seen: bool = False
    """Whether it was seen alive."""
    given: list[tuple[Service, str]] = field(default_factory=list, repr=False)
    """All tokens that were issued so far, rightly or not, each with its client."""

    def endpoint(self, name: str) -> str:
        """Where *name* is. Raises `NotTried` where that is not known."""
        known = self.target.service.token_endpoint if name == "token_endpoint" else None
        found = known or (self.metadata or {}).get(name)
        if not isinstance(found, str):
            raise NotTried(f"it is not known where the {name} is")
        return found

    def the_subject_token(self) -> str:
        """The one that the exchange was tried with. Raises `NotTried` where there was none."""
        if self.subject_token is None:
            raise NotTried("there is no subject token")
        return self.subject_token

    def the_issued(self) -> Issued:
        """What was issued. Raises `NotTried` where nothing was."""
        if self.issued is None:
            raise NotTried("nothing was issued that could be looked at")
        return self.issued

    def the_other(self) -> Service:
        """Any other client. Raises `NotTried` where none is known."""
        if self.target.other is None:
            raise NotTried("it takes another client: DELEGATION_OTHER_CLIENT_ID, ..._SECRET")
        return self.target.other

    def the_api(self) -> Service:
        """The API as a client. Raises `NotTried` where it is not known."""
        if self.target.api is None:
            raise NotTried("it takes the API as a client: DELEGATION_API_CLIENT_ID, ..._SECRET")
        return self.target.api

    def sound(self) -> Attempt:
        """The request that works."""
        return self.attempt(self.target.service, self.the_subject_token(), self.target.resource)

    def onward(self) -> Attempt:
        """What the API asks for, with what was issued for it."""
        api, resource = self.the_api(), self.target.next_resource
        if resource is None:
            raise NotTried("it takes an API behind the API: --next-resource")
        return self.attempt(api, self.the_issued().value, resource, scope="")

    def attempt(
        self, by: Service, subject_token: str, resource: str, *, scope: str | None = None
    ) -> Attempt:
        """A request of *by* with any token, and the usual scope."""
        request = Request(
            subject_token=subject_token,
            resources=(resource,),
            scope=self.target.scope if scope is None else scope,
        )
        return Attempt(by=by, form=tuple(request.parameters()))

    def trade(self, attempt: Attempt) -> Answer:
        """What the token endpoint answers. Raises `NoAnswer`."""
        url = self.endpoint("token_endpoint") + attempt.query
        answer = self._post(
            url,
            attempt.by,
            attempt.form,
            proof=attempt.proof,
            method=attempt.method,
            content_type=attempt.content_type,
        )
        token = (answer.body or {}).get("access_token")
        if isinstance(token, str) and token != self.subject_token:
            self.given.append((attempt.by, token))
        return answer

    def introspect(self, by: Service, token: str) -> Mapping[str, Any]:
        """What *by* is told of *token* (RFC 7662 §2.2). Raises `NoAnswer`, `Wrong`."""
        answer = self._post(self.endpoint("introspection_endpoint"), by, (("token", token),))
        if answer.status != httpx2.codes.OK or answer.body is None:
            raise Wrong(f"introspection was answered {said_in(answer)}")
        if not isinstance(answer.body.get("active"), bool):
            raise Wrong("introspection does not say whether the token is active")
        return answer.body

    def revoke(self, by: Service, token: str) -> None:
        """Let *by* revoke *token* (RFC 7009 §2.2). Raises `NoAnswer`, `Wrong`."""
        answer = self._post(self.endpoint("revocation_endpoint"), by, (("token", token),))
        if answer.status != httpx2.codes.OK:
            raise Wrong(f"revocation was answered {said_in(answer)}")

    def get(self, url: str) -> Answer:
        """What stands at *url*. Raises `NoAnswer`."""
        return _answered(lambda: ask(self.http, "GET", url, auth=None))

    def _post(
        self,
        url: str,
        by: Service,
        form: tuple[tuple[str, str], ...],
        *,
        proof: Proof | None = None,
        method: str = "POST",
        content_type: str = FORM,
    ) -> Answer:
        shown = proof or by.credential.prove(by.client_id, by.issuer)
        return _answered(
            lambda: ask(
                self.http,
                method,
                url,
                content=urlencode([*form, *shown.parameters.items()]),
                headers={"Content-Type": content_type},
                auth=shown.auth,
            )
        )


@dataclass(frozen=True, slots=True)
class Probe:
    """Something to try. *promise* is what a sound service does; *alarming*, whether it rings there.

    *tried* raises a `NotOk` where the service does something else.
    """

    name: str
    promise: str
    tried: Callable[[Round], None]
    alarming: bool = False


def said_in(answer: Answer) -> str:
    """Status and error code of *answer*, and its decision; nothing else that came with it."""
    said = [str(answer.status)]
    if answer.body is None:
        said.append("and no JSON object")
    elif "error" in answer.body:
        found = refused_or_unavailable(answer.status, answer.headers, answer.body)
        said.extend([found.error] if isinstance(found, Refused) else [])
    elif "access_token" in answer.body:
        said.append("with a token")
    decision = decision_of(answer.headers)
    return " ".join(said) + (f" (decision {decision})" if decision else "")


def must_not_be_kept(answer: Answer) -> None:
    """RFC 6749 §5.1: no cache keeps an answer of the token endpoint."""
    if "no-store" not in answer.headers.get("Cache-Control", ""):
        raise Wrong("the answer may be kept by a cache: it has no Cache-Control: no-store")


def _answered(asked: Callable[[], Answer]) -> Answer:
    try:
        answer = asked()
    except Unusable as error:
        raise NoAnswer(str(error)) from error
    if answer.status in _LATER:
        raise NoAnswer(f"the service answered {answer.status}")
    return answer
