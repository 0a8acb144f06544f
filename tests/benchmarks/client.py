"""What a kept token costs a call: httpx2 with `DelegatedAuth`, and without, on no network at all.

python -m tests.benchmarks.client
"""

import asyncio
import json
import time
from statistics import median

import httpx2

from delegation.client import DelegatedAuth, Exchanger, Service, acting_for
from tests.signing import SigningParty

API = "https://calendar.example/api"
CALLS = 2000
ROUNDS = 9


def main() -> None:
    """Print microseconds of CPU per call, the median of some rounds, and what the token adds."""
    lives = int(time.time()) + 3600
    token = SigningParty("https://login.example").token(scope="calendar:read", exp=lives)
    auth = DelegatedAuth(API, scope="events.read", exchanger=_exchanger())
    with acting_for(token):
        for name, measured in (("sync", _sync), ("async", _asynchronous)):
            # In turn, so that whatever else the machine does strikes both alike.
            bare, with_token = zip(
                *((measured(None), measured(auth)) for _ in range(ROUNDS)), strict=True
            )
            _show(name, median(bare), median(with_token))


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


def _show(name: str, bare: float, with_token: float) -> None:
    added = with_token - bare
    print(f"{name:<6} {bare:6.1f} µs bare, {with_token:6.1f} µs with a token: ", end="")
    print(f"{added:.1f} µs more ({with_token / bare:.2f} times)")


if __name__ == "__main__":
    main()
