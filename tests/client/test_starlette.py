"""A protected FastAPI app, asked over ASGI: with the issuer's keys over real HTTP."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any

import httpx2
import pytest
from fastapi import Depends, FastAPI, Request, WebSocket
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from delegation.client.resource_server import ResourceServer
from delegation.client.starlette import FORM_LIMIT, Protect, needs
from delegation.client.verify import AccessToken
from tests.client.api import Us, now_of
from tests.client.server import Server
from tests.parties import CALENDAR_API

METADATA = "/.well-known/oauth-protected-resource/api"
CHALLENGE = f'resource_metadata="https://calendar.example.com{METADATA}"'
FORM = "application/x-www-form-urlencoded"

Reader = Annotated[AccessToken, Depends(needs("events.read"))]
Writer = Annotated[AccessToken, Depends(needs("events.read", "events.write"))]
Call = Callable[..., httpx2.Response]


def an_app(api: ResourceServer) -> FastAPI:
    """An app with a route for every kind of caller."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, str]]:
        """What the app keeps while it runs."""
        yield {"started": "yes"}

    app = FastAPI(lifespan=lifespan)
    app.add_middleware(Protect, api=api, public=["/health"])

    @app.get("/health")
    async def health(request: Request) -> dict[str, bool]:
        """For everybody."""
        return {"token": hasattr(request.state, "token")}

    @app.get("/events")
    async def events(token: Reader) -> dict[str, str]:
        """For who may read."""
        return {"for": token.subject.subject, "by": token.current_actor.subject}

    @app.post("/events")
    async def create(request: Request, _: Reader) -> dict[str, int]:
        """Reads its body."""
        return {"bytes": len(await request.body())}

    @app.delete("/events")
    def delete(_: Writer) -> dict[str, str]:
        return {}

    @app.websocket("/live")
    async def live(websocket: WebSocket) -> None:
        """Says for whom it works."""
        await websocket.accept()
        await websocket.send_text(websocket.state.token.subject.subject)
        await websocket.close()

    return app


@pytest.fixture(name="us")
def _us(server: Server) -> Us:
    """The issuer."""
    return now_of(server)


@pytest.fixture(name="app")
def _app(us: Us, http: httpx2.Client) -> FastAPI:
    """The calendar API, in FastAPI."""
    return an_app(ResourceServer(issuer=us.issuer, resource=CALENDAR_API, http=http))


@pytest.fixture(name="call")
def _call(app: FastAPI) -> Call:
    """Calls the app once, in a loop of its own."""

    async def call(method: str, path: str, token: str | None, **more: Any) -> httpx2.Response:
        headers = [("Authorization", f"Bearer {token}")] if token is not None else []
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://api") as client:
            more["headers"] = [*headers, *more.get("headers", [])]
            return await client.request(method, path, **more)

    return lambda *args, **more: asyncio.run(call(*args, **more))


def test_who_is_served(call: Call, us: Us) -> None:
    """Whoever brings a token for the API; the route knows for whom it works."""
    answer = call("GET", "/events", us.token())

    assert (answer.status_code, answer.json()) == (200, {"for": "alice", "by": "calendar-mcp"})


@pytest.mark.standard("6750-1")
@pytest.mark.parametrize("path", ["/events", "/docs", "/openapi.json", "/nowhere", "/health/"])
def test_nothing_is_served_without_a_token(call: Call, path: str) -> None:
    """Not even that there is nothing; a token in the query counts for nothing."""
    answer = call("GET", f"{path}?access_token=x", None)

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == f"Bearer {CHALLENGE}"
    assert answer.json() == {}


@pytest.mark.standard("6750-1", "9728-2")
def test_the_answers_in_order(call: Call, us: Us) -> None:
    """What is malformed, what is no good, and what is not enough."""
    token = us.token()

    def refused(*args: Any, **more: Any) -> tuple[int, str]:
        answer = call(*args, **more)
        return answer.status_code, answer.headers["WWW-Authenticate"]

    malformed = (400, f'Bearer error="invalid_request", {CHALLENGE}')
    assert refused("GET", "/events", "") == malformed
    assert refused("GET", "/events?access_token=x", token) == malformed
    assert refused("GET", "/events", token, headers=[("Authorization", "Basic x")]) == malformed
    assert refused("POST", "/events", token, data={"access_token": "x"}) == malformed
    assert refused("GET", "/events", f"{token}x") == (
        401,
        f'Bearer error="invalid_token", {CHALLENGE}',
    )
    assert refused("DELETE", "/events", token) == (
        403,
        f'Bearer error="insufficient_scope", scope="events.read events.write", {CHALLENGE}',
    )
    wider = us.token(scope="events.write events.read")
    assert call("DELETE", "/events", wider).status_code == 200


@pytest.mark.parametrize("size", [0, 10, FORM_LIMIT - 1, FORM_LIMIT * 3])
def test_a_form_arrives_whole(call: Call, us: Us, size: int) -> None:
    """It is looked into, at its beginning, and passed on as it came."""

    async def body() -> AsyncIterator[bytes]:
        """In pieces."""
        for start in range(0, size, 1000):
            yield b"x" * min(1000, size - start)

    for kind in (FORM, f"{FORM.upper()}; charset=utf-8", "application/json"):
        answer = call(
            "POST", "/events", us.token(), headers=[("Content-Type", kind)], content=body()
        )
        assert answer.json() == {"bytes": size}


def test_keys_out_of_reach(call: Call, us: Us, server: Server) -> None:
    """Try again, with the same token."""
    server.says("/jwks", b"", status=500)

    answer = call("GET", "/events", us.token())

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert "WWW-Authenticate" not in answer.headers


@pytest.mark.standard("9728-1")
def test_what_is_public(call: Call) -> None:
    """The metadata, and what the app says is public: there nobody asks."""
    assert call("GET", "/health", None).json() == {"token": False}
    assert call("GET", METADATA, None).json()["resource"] == CALENDAR_API
    assert call("HEAD", METADATA, None).status_code == 200
    assert call("POST", METADATA, None).status_code == 401


def test_a_path_is_no_list_of_paths(us: Us, http: httpx2.Client) -> None:
    """Else its slash would open the root."""
    api = ResourceServer(issuer=us.issuer, resource=CALENDAR_API, http=http)

    with pytest.raises(ValueError, match=r"public: write \['/health'\]"):
        Protect(FastAPI(), api=api, public="/health")


def _websocket(app: FastAPI, headers: list[tuple[bytes, bytes]]) -> list[dict[str, Any]]:
    """What the app sends to who opens a WebSocket."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "websocket",
        "path": "/live",
        "query_string": b"",
        "headers": headers,
        "subprotocols": [],
    }
    asyncio.run(app(scope, receive, send))
    return sent


def test_websockets(app: FastAPI, us: Us) -> None:
    """They are let in by the same rule, and closed before they are open otherwise."""
    header = (b"authorization", f"Bearer {us.token()}".encode())
    form = (b"content-type", FORM.encode())

    assert _websocket(app, [header, form])[1]["text"] == "alice"
    assert _websocket(app, []) == [{"type": "websocket.close", "code": 1008}]


def test_the_app_starts_and_stops(app: FastAPI) -> None:
    """Its lifespan is its own, and what it keeps there is still there."""
    sent: list[str] = []
    messages = iter(["lifespan.startup", "lifespan.shutdown"])

    async def receive() -> dict[str, str]:
        """Start, then stop."""
        return {"type": next(messages)}

    async def send(message: Any) -> None:
        """Take note."""
        sent.append(message["type"])

    state: dict[str, Any] = {}
    asyncio.run(app({"type": "lifespan", "state": state}, receive, send))

    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert state == {"started": "yes"}


def test_starlette_alone(us: Us, http: httpx2.Client) -> None:
    """A route says what it needs in its first line."""

    async def events(request: Any) -> Response:
        """For who may read."""
        token = await needs("events.read")(request)
        return JSONResponse({"for": token.subject.subject})

    async def write(request: Any) -> Response:
        """For who may write."""
        await needs("events.write")(request)
        return PlainTextResponse("never")  # pragma: no cover

    app = Starlette(routes=[Route("/events", events), Route("/write", write)])
    api = ResourceServer(issuer=us.issuer, resource=CALENDAR_API, http=http)
    app.add_middleware(Protect, api=api)

    async def both() -> tuple[httpx2.Response, httpx2.Response]:
        """Call one, then the other."""
        transport = httpx2.ASGITransport(app=app)
        headers = {"Authorization": f"Bearer {us.token()}"}
        async with httpx2.AsyncClient(
            transport=transport, base_url="http://api", headers=headers
        ) as client:
            return await client.get("/events"), await client.get("/write")

    served, refused = asyncio.run(both())

    assert served.json() == {"for": "alice"}
    assert refused.status_code == 403
    assert 'scope="events.write"' in refused.headers["WWW-Authenticate"]


def test_a_dependency_without_the_middleware() -> None:
    """Nobody has looked at a token: nobody is served."""
    app = FastAPI()

    @app.get("/events", dependencies=[Depends(needs())])
    async def events() -> None:
        """Never called."""
        raise AssertionError("it is not served")  # pragma: no cover

    async def call() -> None:
        """Call it."""
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://api") as client:
            await client.get("/events")

    with pytest.raises(AttributeError):
        asyncio.run(call())
