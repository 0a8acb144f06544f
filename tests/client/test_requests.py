"""The same for `requests`: on the wire, each request carries a token for its user."""

from collections.abc import Iterator

import pytest
import requests

from delegation.client import (
    DelegationError,
    Exchanger,
    NoSubjectToken,
    SubjectTokenRejected,
    WrongOrigin,
    acting_for,
)
from delegation.client.requests import DelegatedAuth
from tests.client.issuing import REFUSALS, exchanges, is_down, issues_each, refuses
from tests.client.server import Handler, Server, authorization_server

API = "/api"


@pytest.fixture(name="server")
def _server(server: Server) -> Server:
    """It exchanges, and has an API, which takes anything."""
    issues_each(server)
    server.says(API, b"{}")
    return server


@pytest.fixture(name="session")
def _session(server: Server, exchanger: Exchanger) -> Iterator[requests.Session]:
    """For that API."""
    with requests.Session() as session:
        session.trust_env = False
        session.auth = DelegatedAuth(server.url + API, scope="events.read", exchanger=exchanger)
        yield session


def _at(server: Server, path: str = API) -> list[str | None]:
    return [asked.headers.get("Authorization") for asked in server.asked if asked.path == path]


@pytest.mark.standard("MCP-2")
def test_calls(server: Server, session: requests.Session) -> None:
    """One session serves all; each call carries its user's token, whatever was set before."""
    for user in ("alices", "bobs", "alices"):
        with acting_for(f"{user}-token"):
            bare = {"Authorization": f"Bearer {user}-token"}
            assert session.get(server.url + API, headers=bare).status_code == 200

    assert _at(server) == ["Bearer for-alices-1", "Bearer for-bobs-1", "Bearer for-alices-1"]
    assert exchanges(server) == 2


@pytest.mark.standard("MCP-2")
def test_whatever_fails(server: Server, session: requests.Session) -> None:
    """Then nothing is sent."""
    with pytest.raises(NoSubjectToken):
        session.get(server.url + API)
    with acting_for("alices-token"):
        with pytest.raises(WrongOrigin):
            session.get("http://localhost:1/api")
        is_down(server)
        with pytest.raises(DelegationError):
            session.get(server.url + API, headers={"Authorization": "Bearer alices-token"})

    assert _at(server) == []


def test_a_redirect_elsewhere(server: Server, session: requests.Session) -> None:
    """It is followed without the token; what it is answered there says nothing about the token."""
    with authorization_server() as elsewhere, acting_for("alices-token"):
        elsewhere.says(API, b"", 401)
        server.says(API, b"", 307, Location=elsewhere.url + API)

        for _ in range(2):
            assert session.post(server.url + API).status_code == 401

    assert _at(elsewhere) == [None, None]
    assert exchanges(server) == 1


def _rejects(server: Server, token: str) -> None:
    def answer(handler: Handler) -> None:
        is_it = handler.headers["Authorization"] == f"Bearer {token}"
        handler.reply(b"{}", 401 if is_it else 200)

    server.answers[API] = answer


def test_a_401(server: Server, session: requests.Session) -> None:
    """The token is exchanged anew and the request repeated, as it was, once."""
    _rejects(server, "for-alices-1")
    with acting_for("alices-token"):
        answer = session.post(server.url + API, json={"title": "Lunch"})

    assert answer.status_code == 200
    assert [earlier.status_code for earlier in answer.history] == [401]
    assert _at(server) == ["Bearer for-alices-1", "Bearer for-alices-2"]
    bodies = [asked.content for asked in server.asked if asked.path == API]
    assert bodies == ['{"title": "Lunch"}'] * 2


def test_a_401_again(server: Server, session: requests.Session) -> None:
    """An API that takes nothing does not make every call an exchange."""
    server.says(API, b"", 401)
    with acting_for("alices-token"):
        for _ in range(3):
            assert session.get(server.url + API).status_code == 401

    assert exchanges(server) == 2
    assert len(_at(server)) == 4


def test_a_body_that_is_gone(server: Server, session: requests.Session) -> None:
    """What cannot be sent again is not."""
    _rejects(server, "for-alices-1")
    with acting_for("alices-token"):
        gone = session.post(server.url + API, data=iter([b"part"]), headers={"Content-Length": "4"})
        assert gone.status_code == 401
        assert session.get(server.url + API).status_code == 200


def test_a_401_after_a_redirect(server: Server, session: requests.Session) -> None:
    """What is repeated is what was answered so, and not what was heard before."""
    server.says(API, b"", 303, Location="/done")
    server.says("/done", b"", 401)
    with acting_for("alices-token"):
        assert session.post(server.url + API).status_code == 401

    assert _at(server) == ["Bearer for-alices-1"]
    assert _at(server, "/done") == ["Bearer for-alices-1", "Bearer for-alices-2"]


def test_a_401_and_a_refusal(server: Server, session: requests.Session) -> None:
    """Where the service says why, that is what the caller hears."""

    def answer(handler: Handler) -> None:
        refuses(server, **REFUSALS["rejected"])
        handler.reply(b"{}", 401)

    server.answers[API] = answer

    with acting_for("alices-token"), pytest.raises(SubjectTokenRejected):
        session.get(server.url + API)
