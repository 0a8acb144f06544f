"""A protected Flask app, asked as its clients ask: with the issuer's keys over real HTTP."""

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from flask import Flask, g, request
from flask.testing import FlaskClient
from flask.typing import ResponseReturnValue

from delegation.client.flask import needs, protect
from delegation.client.resource_server import ResourceServer
from tests.client.api import Us, now_of
from tests.client.server import Server
from tests.parties import CALENDAR_API

METADATA = "/.well-known/oauth-protected-resource/api"
CHALLENGE = f'resource_metadata="https://calendar.example.com{METADATA}"'


def an_app(api: ResourceServer) -> Flask:
    """An app with a view for every kind of caller."""
    app = Flask("calendar", static_folder=None)
    protect(app, api, public=["/health"])

    @app.get("/health")
    def health() -> ResponseReturnValue:
        return {"token": "token" in g}

    @app.route("/events", methods=["GET", "POST"])
    @needs("events.read")
    def events() -> ResponseReturnValue:
        """Events."""
        return {
            "for": g.token.subject.subject,
            "by": g.token.current_actor.subject,
            "form": request.form,
        }

    @app.delete("/events")
    @needs("events.read", "events.write")
    def delete() -> ResponseReturnValue:
        return {}

    @app.get("/anything")
    def anything() -> ResponseReturnValue:
        return {}

    return app


@pytest.fixture(name="us")
def _us(server: Server) -> Us:
    """The issuer."""
    return now_of(server)


@pytest.fixture(name="client")
def _client(us: Us, http: httpx2.Client) -> Iterator[FlaskClient]:
    """Somebody who calls the app."""
    api = ResourceServer(issuer=us.issuer, resource=CALENDAR_API, http=http)
    with an_app(api).test_client() as client:
        yield client


def bearer(token: str) -> dict[str, str]:
    """The header that brings it."""
    return {"Authorization": f"Bearer {token}"}


def test_who_is_served(client: FlaskClient, us: Us) -> None:
    """Whoever brings a token for the API; the view knows for whom it works."""
    answer = client.get("/events", headers=bearer(us.token()))

    assert answer.status_code == 200
    assert answer.get_json() == {"for": "alice", "by": "calendar-mcp", "form": {}}


@pytest.mark.standard("6750-1")
@pytest.mark.parametrize("path", ["/events", "/anything", "/nowhere", "/Health", "/health/"])
def test_nothing_is_served_without_a_token(client: FlaskClient, path: str) -> None:
    """Not even that there is nothing; a token in the query counts for nothing."""
    answer = client.get(path, query_string={"access_token": "x"})

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == f"Bearer {CHALLENGE}"
    assert answer.get_json() == {}


def test_nothing_is_left_of_who_asked_before(client: FlaskClient, us: Us) -> None:
    """Where requests share an app context, as they do while somebody else has pushed one."""
    with client.application.app_context():
        served = client.get("/events", headers=bearer(us.token()))
        assert served.status_code == 200

        assert client.get("/health").get_json() == {"token": False}


@pytest.mark.standard("6750-1", "9728-2")
def test_the_answers_in_order(client: FlaskClient, us: Us) -> None:
    """What is malformed, what is no good, and what is not enough."""
    token = us.token()

    def answer(header: str, path: str = "/events", **more: Any) -> tuple[int, str | None, Any]:
        got = client.open(path, headers={"Authorization": header}, **more)
        return got.status_code, got.headers.get("WWW-Authenticate"), got.get_json()

    malformed = (
        400,
        f'Bearer error="invalid_request", {CHALLENGE}',
        {"error": "invalid_request"},
    )
    assert answer("Bearer") == malformed
    assert answer(f"Bearer {token}", "/events?access_token=x") == malformed
    assert answer(f"Bearer {token}", method="POST", data={"access_token": "x"}) == malformed
    assert answer(f"Bearer {token}", method="POST", data={"a": "b"})[2]["form"] == {"a": "b"}
    assert answer(f"Bearer {token}x") == (
        401,
        f'Bearer error="invalid_token", {CHALLENGE}',
        {"error": "invalid_token"},
    )
    assert answer(f"Bearer {token}", method="DELETE") == (
        403,
        f'Bearer error="insufficient_scope", scope="events.read events.write", {CHALLENGE}',
        {"error": "insufficient_scope"},
    )
    wider = us.token(scope="events.write events.read")
    assert answer(f"Bearer {wider}", method="DELETE") == (200, None, {})


def test_keys_out_of_reach(client: FlaskClient, us: Us, server: Server) -> None:
    """Try again, with the same token."""
    server.says("/jwks", b"", status=500)

    answer = client.get("/events", headers=bearer(us.token()))

    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "5"
    assert "WWW-Authenticate" not in answer.headers


@pytest.mark.standard("9728-1")
def test_what_is_public(client: FlaskClient) -> None:
    """The metadata, and what the app says is public: there nobody asks."""
    assert client.get("/health").get_json() == {"token": False}
    assert client.get(METADATA).get_json()["resource"] == CALENDAR_API
    assert client.post(METADATA).status_code == 405


def test_a_path_is_no_list_of_paths(us: Us, http: httpx2.Client) -> None:
    """Else its slash would open the root."""
    api = ResourceServer(issuer=us.issuer, resource=CALENDAR_API, http=http)

    with pytest.raises(ValueError, match=r"public: write \['/health'\]"):
        protect(Flask("calendar"), api, public="/health")


def test_what_is_public_by_mistake(us: Us, http: httpx2.Client) -> None:
    """A view that needs a token is not served where nobody has looked for one."""
    api = ResourceServer(issuer=us.issuer, resource=CALENDAR_API, http=http)
    app = Flask("calendar", static_folder=None)
    protect(app, api, public=["/events"])

    @app.get("/events")
    @needs()
    def events() -> ResponseReturnValue:
        raise AssertionError("it is not served")  # pragma: no cover

    assert app.test_client().get("/events").status_code == 500


def test_a_view_keeps_its_name(client: FlaskClient) -> None:
    """Endpoints and documentation are those of the view."""
    assert client.application.view_functions["events"].__doc__ == "Events."
