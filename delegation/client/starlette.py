"""Protects a Starlette or FastAPI app: every request brings a token of the service, or is not
served.
"""

from collections.abc import Awaitable, Callable, Collection

from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from delegation.client.bearer import FORM, NotServed, must_not_hold_a_token
from delegation.client.resource_server import ResourceServer, several
from delegation.client.verify import AccessToken

FORM_LIMIT = 64 * 1024
"""Bytes of a form in which a second token is looked for."""

_POLICY_VIOLATION = 1008


class Protect:
    """Middleware: every request to *app* brings a token that *api* accepts, `request.state.token`.

    The *public* paths, exact ones, are served to everybody, and so are the metadata of the API
    (RFC 9728). What comes with a token is not yet allowed: `needs` says which scope a route takes.
    """

    def __init__(self, app: ASGIApp, *, api: ResourceServer, public: Collection[str] = ()) -> None:
        self._app = app
        self._api = api
        self._public = frozenset(several("public", public))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection."""
        if scope["type"] == "lifespan" or scope["path"] in self._public:
            await self._app(scope, receive, send)
        elif scope["path"] == self._api.metadata_path and scope.get("method") in ("GET", "HEAD"):
            await JSONResponse(self._api.metadata)(scope, receive, send)
        else:
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        connection = HTTPConnection(scope)
        try:
            token = await self._api.authenticate_async(
                connection.headers.getlist("Authorization"),
                query=scope["query_string"].decode("latin-1"),
            )
            # Last, so that nobody's body is read before it is known who asks.
            if _is_form(connection):
                receive = await _without_a_token(receive)
        except NotServed as refused:
            await self._refuse(refused, scope, receive, send)
            return
        state = {**scope.get("state", {}), "token": token, "api": self._api}
        await self._app({**scope, "state": state}, receive, send)

    async def _refuse(self, refused: NotServed, scope: Scope, receive: Receive, send: Send) -> None:
        answer = self._api.answer(refused)
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
            return
        response = JSONResponse(answer.body, answer.status, headers=answer.headers)
        await response(scope, receive, send)


def needs(*scope: str) -> Callable[[Request], Awaitable[AccessToken]]:
    """A dependency of FastAPI: the token of a request to a protected app, if it has *scope*.

    In Starlette, the first line of a route: `token = await needs("events.read")(request)`.
    """

    async def token(request: Request) -> AccessToken:
        """The token of *request*."""
        api: ResourceServer = request.state.api
        found: AccessToken = request.state.token
        try:
            api.must_allow(found, scope)
        except NotServed as refused:
            answer = api.answer(refused)
            raise HTTPException(answer.status, refused.error, headers=answer.headers) from refused
        return found

    return token


def _is_form(connection: HTTPConnection) -> bool:
    return connection.headers.get("Content-Type", "").partition(";")[0].strip().lower() == FORM


async def _without_a_token(receive: Receive) -> Receive:
    """The same body once more, after a look at it. Raises `MalformedRequest`."""
    read: list[Message] = []
    body = b""
    while not read or (read[-1].get("more_body") and len(body) < FORM_LIMIT):
        read.append(await receive())
        body += read[-1].get("body", b"")
    must_not_hold_a_token(body.decode("latin-1"))

    async def again() -> Message:
        return read.pop(0) if read else await receive()

    return again
