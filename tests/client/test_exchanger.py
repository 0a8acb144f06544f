"""Exchanges for a whole process: each is made once, whoever asks, and kept while it holds."""

import asyncio
import json
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import jwt
import pytest

from delegation.client import (
    CallContext,
    ConfigurationInvalid,
    Exchanger,
    InsufficientScope,
    IssuedToken,
    NotPermitted,
    PrivateKey,
    Refused,
    Service,
    SubjectTokenRejected,
    Unavailable,
    Wanted,
    shared,
)
from delegation.client import exchanger as module
from delegation.client.cache import AGAIN_AFTER, REFRESH_AT, REFUSED_FOR, SKEW
from delegation.client.exchanger import METADATA_HOLDS
from delegation.client.wire import a_client
from tests.client.clock import HeldClock
from tests.client.issuing import (
    NO_TLS,
    REFUSALS,
    exchanges,
    held,
    is_down,
    issues_each,
    lookups,
    refuses,
)
from tests.client.server import METADATA, TOKEN, Server
from tests.world import SIGNED_API, SIGNING_MCP, TestWorld

API = "https://calendar.example/api"
WANTED = Wanted(subject_token="alices-token", resource=API, scope="events.read")
OTHERS = [
    Wanted(subject_token="bobs-token", resource=API, scope="events.read"),
    Wanted(subject_token="alices-token", resource="https://rooms.example/api", scope="events.read"),
    Wanted(subject_token="alices-token", resource=API, scope="events.write"),
    Wanted(subject_token="alices-token", resource=API),
    Wanted(
        subject_token="alices-token",
        resource=API,
        scope="events.read",
        actor_token="planners-token",
    ),
    Wanted(
        subject_token="alices-token",
        resource=API,
        scope="events.read",
        actor_token="planners-token",
        actor_token_type="urn:ietf:params:oauth:token-type:jwt",
    ),
    Wanted(
        subject_token="alices-token",
        resource=API,
        scope="events.read",
        context=CallContext(consent="c-1"),
    ),
]


def _until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def test_a_token_is_kept(server: Server, exchanger: Exchanger) -> None:
    """The second call asks nobody; of async and sync calls alike."""
    issues_each(server)

    first = exchanger.exchange_sync(WANTED)

    assert first.access_token == "for-alices-1"
    assert asyncio.run(exchanger.exchange(WANTED)) is first
    assert (lookups(server), exchanges(server)) == (1, 1)


@pytest.mark.parametrize("other", OTHERS, ids=range(len(OTHERS)))
def test_for_nothing_else(server: Server, exchanger: Exchanger, other: Wanted) -> None:
    """Another user, API, scope, actor or consent is another token."""
    issues_each(server)

    one, two = exchanger.exchange_sync(WANTED), exchanger.exchange_sync(other)

    assert one.access_token != two.access_token
    assert exchanger.exchange_sync(WANTED) is one
    assert exchanger.exchange_sync(other) is two
    assert exchanges(server) == 2


def test_what_it_is_for_makes_no_difference(server: Server, exchanger: Exchanger) -> None:
    """Two tools that want the same share it: the first one's name is what the service hears."""
    contexts = (CallContext(mcp_name="find"), CallContext(mcp_name="list", traceparent="00-..."))

    tokens = [
        exchanger.exchange_sync(Wanted(subject_token="alices-token", resource=API, context=context))
        for context in contexts
    ]

    assert tokens[0] is tokens[1]
    assert exchanges(server) == 1
    assert server.asked[-1].headers["Mcp-Name"] == "find"


@pytest.mark.parametrize("ends", [300 - SKEW, 100 - SKEW])
def test_not_past_its_end(
    server: Server, exchanger: Exchanger, clock: HeldClock, ends: float
) -> None:
    """Neither its own, nor that of the subject token."""
    issues_each(server, expires_in=ends + SKEW)
    first = exchanger.exchange_sync(WANTED)

    clock.pass_by(ends - 0.001)
    assert exchanger.exchange_sync(WANTED) is first
    clock.pass_by(0.001)
    # What was due meanwhile may be there already.
    assert exchanger.exchange_sync(WANTED).access_token == "for-alices-2"


def test_two_hundred_tasks(world: TestWorld) -> None:
    """However many tools want it at once, the service is asked once; and all get that one."""
    exchanger = Exchanger(_of(world))
    wanted = Wanted(subject_token=world.login.token(), resource=API, scope="events.read")
    before = world.books.exchanges()

    async def run() -> list[IssuedToken]:
        """All at once."""
        return await asyncio.gather(*(exchanger.exchange(wanted) for _ in range(200)))

    tokens = asyncio.run(run())

    assert len({id(token) for token in tokens}) == 1
    assert len(world.books.exchanges() - before) == 1
    exchanger.close()


def test_fifty_threads(world: TestWorld) -> None:
    """Threads likewise, also those that run a loop each."""
    exchanger = Exchanger(_of(world))
    wanted = Wanted(subject_token=world.login.token(), resource=API, scope="events.read")
    before, start = world.books.exchanges(), threading.Barrier(50)

    def ask(number: int) -> IssuedToken:
        start.wait(20)
        if number % 2:
            return exchanger.exchange_sync(wanted)
        return asyncio.run(exchanger.exchange(wanted))

    with ThreadPoolExecutor(50) as threads:
        tokens = list(threads.map(ask, range(50)))

    assert len({id(token) for token in tokens}) == 1
    assert len(world.books.exchanges() - before) == 1
    exchanger.close()


@pytest.mark.standard("MCP-5")
def test_many_users_at_once(world: TestWorld) -> None:
    """Each gets a token of their own, and nobody that of another."""
    exchanger = Exchanger(_of(world))
    subjects = {world.login.token(sub=f"user-{number}"): number for number in range(20)}

    async def run() -> list[IssuedToken]:
        """All users, five times each, at once."""
        calls = (Wanted(subject_token=token, resource=API) for token in [*subjects] * 5)
        return await asyncio.gather(*map(exchanger.exchange, calls))

    tokens = asyncio.run(run())

    for token, number in zip(tokens, [*subjects.values()] * 5, strict=True):
        assert _claims(token)["sub_id"]["sub"] == f"user-{number}"
    assert len({token.access_token for token in tokens}) == 20
    exchanger.close()


def test_whoever_is_first_may_go(server: Server, exchanger: Exchanger) -> None:
    """The exchange belongs to nobody: those who wait for it get it, and it is kept."""

    async def run() -> IssuedToken:
        """The first gives up while the second waits."""
        with held(server) as gate:
            first = asyncio.create_task(exchanger.exchange(WANTED))
            second = asyncio.create_task(exchanger.exchange(WANTED))
            await asyncio.to_thread(gate.reached.wait, 20)
            first.cancel()
            await asyncio.wait([first])
            assert first.cancelled()
            gate.open()
            return await second

    token = asyncio.run(run())

    assert exchanger.exchange_sync(WANTED) is token
    assert exchanges(server) == 1


def test_all_may_go(server: Server, exchanger: Exchanger, caplog: pytest.LogCaptureFixture) -> None:
    """Also with their loop; the next one finds what came meanwhile, and nothing complains."""

    async def give_up(gate_reached: threading.Event) -> None:
        """The only one gives up."""
        waiting = asyncio.create_task(exchanger.exchange(WANTED))
        await asyncio.to_thread(gate_reached.wait, 20)
        waiting.cancel()

    with held(server) as gate, caplog.at_level(logging.WARNING):
        asyncio.run(give_up(gate.reached))
        gate.open()
        exchanger.exchange_sync(WANTED)

    assert exchanges(server) == 1
    assert not caplog.records


def test_patience(server: Server, exchanger: Exchanger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for ever; the exchange goes on, and is found by the next."""
    monkeypatch.setattr(module, "PATIENCE", 0.01)

    with held(server):
        with pytest.raises(Unavailable, match="has not answered within"):
            exchanger.exchange_sync(WANTED)
        with pytest.raises(Unavailable, match="has not answered within"):
            asyncio.run(exchanger.exchange(WANTED))

    monkeypatch.undo()
    exchanger.exchange_sync(WANTED)
    assert exchanges(server) == 1


@pytest.mark.parametrize("refusal", ["not permitted", "too little scope"])
def test_what_is_not_permitted(
    server: Server, exchanger: Exchanger, clock: HeldClock, refusal: str
) -> None:
    """It is not asked for again for a while; every caller gets an error of its own."""
    refuses(server, **REFUSALS[refusal])
    errors = []

    for _ in range(3):
        with pytest.raises(NotPermitted) as caught:
            exchanger.exchange_sync(WANTED)
        errors.append(caught.value)
    with pytest.raises(NotPermitted) as caught:
        asyncio.run(exchanger.exchange(WANTED))
    errors.append(caught.value)

    assert exchanges(server) == 1
    assert {error.decision for error in errors} == {"d-1"}
    assert len({id(error) for error in errors}) == 4
    assert all(
        isinstance(error, InsufficientScope) is (refusal != "not permitted") for error in errors
    )

    issues_each(server)
    clock.pass_by(REFUSED_FOR)
    assert exchanger.exchange_sync(WANTED).access_token == "for-alices-1"


def test_a_refusal_is_of_one(server: Server, exchanger: Exchanger) -> None:
    """What one may not says nothing of another."""
    refuses(server, **REFUSALS["not permitted"])
    with pytest.raises(NotPermitted):
        exchanger.exchange_sync(WANTED)

    issues_each(server)

    for number, other in enumerate(OTHERS, start=2):
        exchanger.exchange_sync(other)
        assert exchanges(server) == number


def test_a_rejected_subject_token(server: Server, exchanger: Exchanger) -> None:
    """It is not remembered: what is not accepted yet, may be."""
    refuses(server, **REFUSALS["rejected"])
    for _ in range(2):
        with pytest.raises(SubjectTokenRejected):
            exchanger.exchange_sync(WANTED)

    assert exchanges(server) == 2


def test_an_outage(server: Server, exchanger: Exchanger) -> None:
    """It is never remembered: the next call tries again."""
    is_down(server, Retry_After="7")
    with pytest.raises(Unavailable) as caught:
        exchanger.exchange_sync(WANTED)
    assert caught.value.retry_after == 7

    issues_each(server)

    assert exchanger.exchange_sync(WANTED).access_token == "for-alices-1"


def test_a_service_that_is_not_there() -> None:
    """So is one that cannot be reached."""
    exchanger = Exchanger(Service(issuer="http://127.0.0.1:1", client_id="c", client_secret="s"))

    for _ in range(2):
        with pytest.raises(Unavailable, match="cannot be reached"):
            exchanger.exchange_sync(WANTED)
    exchanger.close()


def test_replaced_ahead(server: Server, exchanger: Exchanger, clock: HeldClock) -> None:
    """Late in its life the token is still used, and another is fetched: nobody waits for it."""
    issues_each(server)
    first = exchanger.exchange_sync(WANTED)
    clock.pass_by(REFRESH_AT * (300 - SKEW) - 0.001)
    assert exchanger.exchange_sync(WANTED) is first

    with held(server) as gate:
        clock.pass_by(0.001)
        # However many ask meanwhile, none of them waits, and it is fetched once.
        assert {id(exchanger.exchange_sync(WANTED)) for _ in range(5)} == {id(first)}
        assert gate.reached.wait(20)
        assert exchanger.exchange_sync(WANTED) is first

    _until(lambda: exchanger.exchange_sync(WANTED).access_token == "for-alices-2")
    assert exchanges(server) == 2


def test_not_replaced_for_an_outage(server: Server, exchanger: Exchanger, clock: HeldClock) -> None:
    """It is used up to its end, and the service asked now and then; after that there is none."""
    first = exchanger.exchange_sync(WANTED)
    is_down(server)
    clock.pass_by(REFRESH_AT * (300 - SKEW))

    for number in (2, 3):
        assert exchanger.exchange_sync(WANTED) is first
        _until(lambda number=number: exchanges(server) == number and not exchanger.under_way)
        assert exchanger.exchange_sync(WANTED) is first
        assert exchanges(server) == number
        clock.pass_by(AGAIN_AFTER)

    clock.pass_by(300)
    with pytest.raises(Unavailable):
        exchanger.exchange_sync(WANTED)


@pytest.mark.parametrize(
    ("refusal", "kind"), [("not permitted", NotPermitted), ("rejected", SubjectTokenRejected)]
)
def test_not_replaced_for_a_refusal(
    server: Server, exchanger: Exchanger, clock: HeldClock, refusal: str, kind: type[Refused]
) -> None:
    """What the service would not issue any more is not used any more."""
    first = exchanger.exchange_sync(WANTED)
    refuses(server, **REFUSALS[refusal])
    clock.pass_by(REFRESH_AT * (300 - SKEW))

    assert exchanger.exchange_sync(WANTED) is first

    _until(lambda: exchanges(server) == 2 and not exchanger.under_way)
    with pytest.raises(kind):
        exchanger.exchange_sync(WANTED)


def test_a_rejected_token(server: Server, exchanger: Exchanger) -> None:
    """An API that does not take it any more makes room for another."""
    issues_each(server)
    first = exchanger.exchange_sync(WANTED)

    assert exchanger.reject(WANTED, first)

    second = exchanger.exchange_sync(WANTED)
    assert second.access_token == "for-alices-2"
    assert not exchanger.reject(WANTED, second)
    assert exchanger.exchange_sync(WANTED) is second


def test_forgetting(server: Server, exchanger: Exchanger) -> None:
    """Everything, also what is on its way: whoever waits for that gets it, and nobody after."""
    issues_each(server)
    exchanger.exchange_sync(OTHERS[0])

    with held(server) as gate, ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(exchanger.exchange_sync, WANTED)
        assert gate.reached.wait(20)
        exchanger.forget()
        gate.open()
        assert waiting.result().access_token == "for-alices-1"

    assert exchanger.exchange_sync(WANTED).access_token == "for-alices-2"
    assert exchanger.exchange_sync(OTHERS[0]).access_token == "for-bobs-2"


def test_a_closed_one(server: Server, exchanger: Exchanger) -> None:
    """It asks nobody any more, and says so."""
    first = exchanger.exchange_sync(WANTED)

    exchanger.close()

    assert exchanger.exchange_sync(WANTED) is first
    for _ in range(2):
        with pytest.raises(Unavailable, match="closed"):
            exchanger.exchange_sync(OTHERS[0])
    assert exchanges(server) == 1


def test_closing_what_was_never_used(exchanger: Exchanger) -> None:
    """There is nothing to close."""
    exchanger.close()


def test_the_metadata_holds_for_an_hour(
    server: Server, exchanger: Exchanger, clock: HeldClock
) -> None:
    """The endpoint is looked up once in so long; an endpoint that moved is found then."""
    exchanger.exchange_sync(WANTED)
    clock.pass_by(METADATA_HOLDS - 1)
    exchanger.exchange_sync(WANTED)
    assert lookups(server) == 1

    server.answers["/moved"] = server.answers[TOKEN]
    server.has_metadata(token_endpoint=f"{server.url}/moved")
    clock.pass_by(1)
    exchanger.exchange_sync(OTHERS[0])
    assert lookups(server) == 2
    assert server.asked[-1].path == "/moved"


def test_metadata_of_somebody_else(server: Server, exchanger: Exchanger) -> None:
    """No secret and no token is sent where it says; and it is looked up again."""
    server.has_metadata(issuer="https://evil.example")
    with pytest.raises(Unavailable, match="names another issuer"):
        exchanger.exchange_sync(WANTED)
    assert exchanges(server) == 0

    server.has_metadata()
    exchanger.exchange_sync(WANTED)


def test_a_named_endpoint(server: Server, clock: HeldClock) -> None:
    """Then nothing is looked up."""
    service = Service(
        issuer="https://sts.example",
        client_id="calendar-mcp",
        client_secret="the-clients-secret",
        token_endpoint=server.endpoint,
    )
    exchanger = Exchanger(service, clock=clock)

    exchanger.exchange_sync(WANTED)

    assert (lookups(server), exchanges(server)) == (0, 1)
    exchanger.close()


def test_a_fault(server: Server, clock: HeldClock) -> None:
    """What nobody foresaw is raised to all who wait, and is gone with the next call."""
    clients: list[httpx2.Client | Exception] = [OSError("no such bundle"), httpx2.Client()]

    def make() -> httpx2.Client:
        made = clients.pop(0)
        if isinstance(made, Exception):
            raise made
        return made

    service = Service(issuer=server.url, client_id="c", client_secret="s")
    exchanger = Exchanger(service, clock=clock, http=make)

    with pytest.raises(OSError, match="no such bundle"):
        exchanger.exchange_sync(WANTED)
    exchanger.exchange_sync(WANTED)
    exchanger.close()


def test_no_cookies(server: Server, exchanger: Exchanger) -> None:
    """What the service sets for one user's exchange is not sent with another's."""
    server.says(METADATA, b"{}", 404, Set_Cookie="who=alice; Path=/")
    with pytest.raises(Unavailable):
        exchanger.exchange_sync(WANTED)
    server.has_metadata()

    exchanger.exchange_sync(OTHERS[0])

    assert all("Cookie" not in asked.headers for asked in server.asked)


def test_the_shared_one(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """One for each service, and that of the environment by default, which is read once."""
    monkeypatch.setattr(module, "_shared", {})
    with pytest.raises(ConfigurationInvalid):
        shared()
    monkeypatch.setenv("DELEGATION_ISSUER", server.url)
    monkeypatch.setenv("DELEGATION_CLIENT_ID", "calendar-mcp")
    monkeypatch.setenv("DELEGATION_CLIENT_SECRET", "the-clients-secret")

    one = shared()
    monkeypatch.setenv("DELEGATION_CLIENT_ID", "another")

    assert shared() is one
    assert one.service.client_id == "calendar-mcp"
    other = Service(issuer=server.url, client_id="b", client_secret="s")
    assert shared(other) is shared(Service(issuer=server.url, client_id="b", client_secret="s"))
    assert shared(other) is not one


def test_what_is_shown(exchanger: Exchanger) -> None:
    """Who asks whom, and nothing that must not be known."""
    assert "calendar-mcp" in repr(exchanger)
    assert "the-clients-secret" not in repr(exchanger)


def test_what_nobody_waits_for_any_more(
    server: Server, clock: HeldClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What could not begin for so long that all have gone is not asked for at all."""
    monkeypatch.setattr(module, "_AT_ONCE", 1)
    issues_each(server)
    service = Service(issuer=server.url, client_id="calendar-mcp", client_secret="s")
    exchanger = Exchanger(service, clock=clock, http=lambda: a_client(verify=NO_TLS))

    with held(server) as gate, ThreadPoolExecutor(2) as callers:
        first = callers.submit(exchanger.exchange_sync, WANTED)
        assert gate.reached.wait(20)
        second = callers.submit(exchanger.exchange_sync, OTHERS[0])
        _until(lambda: exchanger.under_way == 2)
        clock.pass_by(module.PATIENCE)
        gate.open()
        assert first.result().access_token == "for-alices-1"
        with pytest.raises(Unavailable, match="has not answered within 30 seconds"):
            second.result()

    assert exchanges(server) == 1
    assert exchanger.exchange_sync(OTHERS[0]).access_token == "for-bobs-1"
    exchanger.close()


def test_after_a_fork(server: Server) -> None:
    """The child begins anew: whatever the parent held, locked or was waiting for stays with it."""
    ran = subprocess.run(  # noqa: S603, our own interpreter
        # Later Pythons warn of just what is tested here: a fork beside threads.
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORK, server.url],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (ran.returncode, ran.stderr) == (0, "")
    assert exchanges(server) == 2


FORK = """
import os, sys
from delegation.client import Exchanger, Service, Wanted, shared

service = Service(issuer=sys.argv[1], client_id="c", client_secret="s")
exchanger = shared(service)
wanted = Wanted(subject_token="alices-token", resource="https://calendar.example/api")
first = exchanger.exchange_sync(wanted)
with exchanger._lock:
    child = os.fork()
if child == 0:
    assert shared(service) is exchanger
    assert exchanger.exchange_sync(wanted) is not first
else:
    _, status = os.waitpid(child, 0)
    assert status == 0
    assert exchanger.exchange_sync(wanted) is first
"""


@pytest.mark.standard("7523-1", "7523-2", "7523bis-1", "7523bis-3", "7523-3")
def test_the_service_knows_our_assertions(world: TestWorld) -> None:
    """A key serves as well as a secret: with an assertion for each exchange."""
    key = PrivateKey.parse(_jwk(world))
    exchanger = Exchanger(Service(issuer=world.world.url, client_id="signing-mcp", client_key=key))
    before = world.books.claims().keys()

    for name in ("alice", "bob"):
        wanted = Wanted(
            subject_token=world.login.token(sub=name, aud=SIGNING_MCP), resource=SIGNED_API
        )
        assert _claims(exchanger.exchange_sync(wanted))["client_id"] == "signing-mcp"

    assert len(world.books.claims().keys() - before) == 2
    exchanger.close()


@pytest.mark.standard("MCP-3")
def test_what_the_service_says(world: TestWorld) -> None:
    """Its own answers are what the errors are made for; the decision is found in the ledger."""
    exchanger = Exchanger(_of(world))

    def refused(
        kind: type[Refused], scope: str = "", resource: str = API, **claims: object
    ) -> Refused:
        token = world.login.token(**claims)
        with pytest.raises(kind) as caught:
            exchanger.exchange_sync(Wanted(subject_token=token, resource=resource, scope=scope))
        assert type(caught.value) is kind
        assert caught.value.decision is not None
        assert world.books.refusal(caught.value.decision)
        return caught.value

    assert refused(SubjectTokenRejected, aud="https://notes-mcp.example/mcp").status == 400
    assert refused(NotPermitted, resource="https://payroll.example/api").error == "invalid_target"
    lacking = refused(InsufficientScope, scope="events.write")
    assert lacking.required_scope == ("calendar:write",)
    exchanger.close()


@pytest.mark.parametrize(
    ("refusal", "level"),
    [("not permitted", "WARNING"), ("too little scope", "INFO"), ("rejected", "INFO")],
)
def test_what_no_token_would_mend_is_a_warning(
    server: Server, exchanger: Exchanger, caplog: pytest.LogCaptureFixture, refusal: str, level: str
) -> None:
    """Logs that nobody has set up show warnings: a wrong identifier or a missing grant is seen."""
    refuses(server, **REFUSALS[refusal])

    with caplog.at_level(logging.INFO, "delegation.client"), pytest.raises(Refused):
        exchanger.exchange_sync(WANTED)

    (record,) = caplog.records
    assert record.levelname == level
    assert "(decision d-1)" in record.getMessage()


def test_nothing_secret_is_logged(
    world: TestWorld, server: Server, exchanger: Exchanger, caplog: pytest.LogCaptureFixture
) -> None:
    """No token, no secret and no assertion, however much is logged and whatever happens."""
    subject = world.login.token()
    by_secret, by_key = (
        Exchanger(_of(world)),
        Exchanger(
            Service(
                issuer=world.world.url,
                client_id="signing-mcp",
                client_key=PrivateKey.parse(_jwk(world)),
            )
        ),
    )
    with caplog.at_level(logging.DEBUG):
        issued = by_secret.exchange_sync(Wanted(subject_token=subject, resource=API))
        for exchanger_, wanted in (
            (by_secret, Wanted(subject_token=subject, resource=API, scope="none")),
            (by_key, Wanted(subject_token=subject, resource=API)),
        ):
            with pytest.raises(Refused):
                exchanger_.exchange_sync(wanted)
        for answer in (b"<html>" + subject.encode(), f'{{"error": "{subject}"}}'.encode()):
            server.says(TOKEN, answer, 400)
            with pytest.raises((Refused, Unavailable)):
                exchanger.exchange_sync(Wanted(subject_token=subject, resource=API))

    assert "no token for https://calendar.example/api: invalid_scope" in caplog.text
    shown = caplog.text + repr([vars(record) for record in caplog.records])
    for secret in (
        subject,
        issued.access_token,
        world.secrets["calendar-mcp"],
        "the-clients-secret",
        "client_assertion",
        "Basic ",
        "eyJ",
    ):
        assert secret not in shown
    by_secret.close()
    by_key.close()


def _of(world: TestWorld) -> Service:
    return Service(
        issuer=world.world.url,
        client_id="calendar-mcp",
        client_secret=world.secrets["calendar-mcp"],
    )


def _jwk(world: TestWorld) -> bytes:
    return json.dumps(world.signer.key.kept()).encode()


def _claims(token: IssuedToken) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(token.access_token, options={"verify_signature": False})
    return claims
