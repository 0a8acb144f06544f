"""What a kept token costs a call: httpx2 with `DelegatedAuth`, and bare, on no network at all."""

import asyncio
import json
import time
from collections.abc import Iterator

import httpx2

from delegation.client import DelegatedAuth, Exchanger, Service, acting_for
from tests.benchmarks.figures import Figure
from tests.benchmarks.rounds import Rounds
from tests.signing import SigningParty

API = "https://calendar.example/api"
CALLS = 2000
ROUNDS = 9


def figures(_rounds: Rounds) -> Iterator[Figure]:
    """Of CPU per call, and what the token adds; in rounds of its own."""
    group = "a call with a kept token, of the client half"
    lives = int(time.time()) + 3600
    token = SigningParty("https://login.example").token(scope="calendar:read", exp=lives)
    auth = DelegatedAuth(API, scope="events.read", exchanger=_exchanger())
    with acting_for(token):
        for name, measured in (("sync", _sync), ("async", _asynchronous)):
            # In turn, so that whatever else the machine does strikes both alike.
            pairs = [(measured(None), measured(auth)) for _ in range(ROUNDS)]
            yield Figure.of(group, f"{name}, bare", "us", (bare for bare, _ in pairs))
            added = (with_token - bare for bare, with_token in pairs)
            yield Figure.of(group, f"{name}, added by the token", "us", added)
            ratios = (with_token / bare for bare, with_token in pairs)
            yield Figure.of(group, f"{name}, over the bare call", "", ratios)


def _exchanger() -> Exchanger:
    issued = {"access_token": "t" * 900, "token_type": "Bearer", "expires_in": 900}
    service = Service(
        issuer="https://sts.example",
        client_id="calendar-mcp",
        client_secret="secret",
        token_endpoint="https://sts.example/token",
    )
    body = json.dumps(issued).encode()
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, stream=httpx2.ByteStream(body)))
    return Exchanger(service, http=lambda: httpx2.Client(transport=transport))


def _sync(auth: DelegatedAuth | None) -> float:
    with httpx2.Client(transport=httpx2.MockTransport(_answer), auth=auth) as http:
        http.get(API)
        began = time.process_time()
        for _ in range(CALLS):
            http.get(API)
        return (time.process_time() - began) / CALLS * 1e6


def _asynchronous(auth: DelegatedAuth | None) -> float:
    async def run() -> float:
        transport = httpx2.MockTransport(_answer)
        async with httpx2.AsyncClient(transport=transport, auth=auth) as http:
            await http.get(API)
            began = time.process_time()
            for _ in range(CALLS):
                await http.get(API)
            return (time.process_time() - began) / CALLS * 1e6

    return asyncio.run(run())


def _answer(_: httpx2.Request) -> httpx2.Response:
    return httpx2.Response(200)
