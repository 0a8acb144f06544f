"""Tokens for the requests of httpx2: each carries one for its user, its API and its scopes."""

from collections.abc import AsyncGenerator, Callable, Generator, Iterable, MutableMapping
from contextvars import ContextVar
from typing import TypeAlias

import httpx2

from delegation.client.current import CallContext, current_context, current_subject_token
from delegation.client.errors import ConfigurationInvalid, NoActorToken, NoSubjectToken, WrongOrigin
from delegation.client.exchanger import Exchanger, shared
from delegation.client.noted import noted
from delegation.client.rfc8693 import IssuedToken
from delegation.client.service import Service
from delegation.client.trace import HEADER, current_trace
from delegation.client.wanted import Wanted, in_order
from delegation.client.wire import Unusable, must_be_safe

Source: TypeAlias = Callable[[], str | None] | ContextVar[str] | ContextVar[str | None]
"""Where a token is found, for the code that runs at the moment."""


class Delegated:
    """What `DelegatedAuth` is, whatever sends the requests: whose token goes where.

    It belongs to one API and to no user: everything about the user is looked up for each request.
    """

    def __init__(
        self,
        resource: str,
        *,
        scope: str | Iterable[str] = (),
        subject_token: Source = current_subject_token,
        actor_token: Source | None = None,
        actor_token_type: str = "",
        context: Callable[[], CallContext] = current_context,
        origins: Iterable[str] = (),
        service: Service | None = None,
        exchanger: Exchanger | None = None,
    ) -> None:
        if service is not None and exchanger is not None:
            raise TypeError("give service or exchanger, not both")
        self.resource = resource
        self.scope = in_order(scope)
        if isinstance(origins, str):
            raise ConfigurationInvalid(f"origins: write [{origins!r}], which is a list")
        self.origins = frozenset(map(_origin, origins or (resource,)))
        self._subject_token = _source(subject_token)
        self._actor_token = _source(actor_token) if actor_token is not None else None
        self._actor_token_type = actor_token_type
        self._context = context
        self.exchanger = exchanger or shared(service)

    def __repr__(self) -> str:
        """Without anybody's token."""
        return f"{type(self).__name__}({self.resource!r}, scope={self.scope!r})"

    def wanted(self, url: httpx2.URL) -> Wanted:
        """The token for a request to *url*, now. Raises `WrongOrigin`, `NoSubjectToken`,
        `NoActorToken`.
        """
        if origin(url) not in self.origins:
            raise WrongOrigin(
                f"a token for {self.resource} is not sent to another origin; "
                "where the API is elsewhere, name that in `origins`"
            )
        subject_token = self._subject_token()
        if not subject_token:
            raise noted(NoSubjectToken())
        return Wanted(
            subject_token=subject_token,
            resource=self.resource,
            scope=self.scope,
            actor_token=self._actor(),
            actor_token_type=self._actor_token_type,
            context=self._context(),
        )

    def _actor(self) -> str:
        if self._actor_token is None:
            return ""
        actor_token = self._actor_token()
        if not actor_token:
            raise noted(NoActorToken())
        return actor_token


class DelegatedAuth(Delegated, httpx2.Auth):
    """Authenticates each request of an httpx2 client, sync or async, for the user it is made for.

    The token of the current user (*subject_token*, by default what the MCP SDK has authenticated)
    is exchanged for one that is for *resource* and *scope* alone, and that one is sent. One
    client can serve all users at once. The user's own token is never sent to the API, whatever
    fails: then a `DelegationError` is raised, and the request is not sent at all.

    Requests go to the origin of *resource* only, or to *origins*, where the API is found
    elsewhere: others raise `WrongOrigin`, and a redirect elsewhere is followed without the token.
    When the API answers 401, the token is exchanged anew and the request repeated, once, if its
    body can be sent again.

    *subject_token* is a function or a `ContextVar`, which is asked for each request; so is
    *actor_token*, where another than this client acts. *context* says what the request is for.
    The service is that of the environment (`Service.from_environment`), or *service*, or that of
    *exchanger*. Raises `ConfigurationInvalid` at once where it cannot be used.
    """

    def sync_auth_flow(
        self, request: httpx2.Request
    ) -> Generator[httpx2.Request, httpx2.Response, None]:
        """One request, and perhaps once more."""
        wanted = self.wanted(request.url)
        token = self.exchanger.exchange_sync(wanted)
        response = yield _bearing(request, token)
        if self._is_worth_another(wanted, token, request, response):
            yield _bearing(request, self.exchanger.exchange_sync(wanted))

    async def async_auth_flow(
        self, request: httpx2.Request
    ) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        """One request, and perhaps once more."""
        wanted = self.wanted(request.url)
        token = await self.exchanger.exchange(wanted)
        response = yield _bearing(request, token)
        if self._is_worth_another(wanted, token, request, response):
            yield _bearing(request, await self.exchanger.exchange(wanted))

    def _is_worth_another(
        self,
        wanted: Wanted,
        token: IssuedToken,
        request: httpx2.Request,
        response: httpx2.Response,
    ) -> bool:
        answered = response.request
        if response.status_code != httpx2.codes.UNAUTHORIZED:
            return False
        if answered.headers.get("Authorization") != header(token):
            # Redirected to where the token did not go: this says nothing about it.
            return False
        is_new = self.exchanger.reject(wanted, token)
        # Not where a redirect came first, which may mean that the request was heard; nor with a
        # body that came from a generator or a file, and is gone.
        return is_new and answered is request and isinstance(request.stream, httpx2.ByteStream)


def origin(url: httpx2.URL) -> tuple[str, str, int | None]:
    """Scheme, host and port, where that is not the scheme's own."""
    return url.scheme, url.host, url.port


def _bearing(request: httpx2.Request, token: IssuedToken) -> httpx2.Request:
    bear(request.headers, token)
    return request


def bear(headers: MutableMapping[str, str], token: IssuedToken) -> None:
    """Put *token* into the *headers* of a request, and the current trace, if they name none."""
    # Whatever stood there, such as the user's own token, is not meant for this API.
    headers["Authorization"] = header(token)
    trace = current_trace()
    if trace is not None:
        headers.setdefault(HEADER, trace)


def header(token: IssuedToken) -> str:
    """What stands in `Authorization`."""
    return f"Bearer {token.access_token}"


def _origin(text: str) -> tuple[str, str, int | None]:
    try:
        must_be_safe(text)
    except Unusable as error:
        raise ConfigurationInvalid(f"no token is sent there: {error}") from error
    return origin(httpx2.URL(text))


def _source(source: Source) -> Callable[[], str | None]:
    if isinstance(source, ContextVar):
        return lambda: source.get(None)
    if not callable(source):
        # A token given here would be sent for every user.
        raise TypeError("subject_token must be a function or a ContextVar, not a token")
    return source
