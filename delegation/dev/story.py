"""The demo: one user, two hops, five refusals and a lock, on real parts, each step checked."""

import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import jwt
from rich.console import Console
from rich.markup import escape

from delegation import wiring
from delegation.dev.api import sample_api
from delegation.dev.cast import CALENDAR_API, CALENDAR_MCP, PAYROLL_API, ROOMS_API
from delegation.dev.servers import serving
from delegation.dev.world import World, running_world
from delegation.domain.administration import Stop
from delegation.domain.locks import Target
from delegation.domain.parties import Identity
from delegation.domain.registry import Registry
from delegation.domain.tokens import TokenType
from delegation.registry.loader import load

TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"


def play(console: Console) -> bool:
    """Play the story on *console*; whether every step behaved."""
    began = time.monotonic()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="delegation-")))
        world = stack.enter_context(running_world(directory))
        calendar = stack.enter_context(_api(world, CALENDAR_API, "events.read"))
        rooms = stack.enter_context(_api(world, ROOMS_API, "rooms.read"))
        http = stack.enter_context(httpx2.Client(trust_env=False, timeout=10))
        console.print(
            "Started: Valkey, an issuer, the service with two workers, two APIs "
            f"([dim]{time.monotonic() - began:.1f} s[/dim])"
        )
        story = _Story(console=console, world=world, http=http)
        story.tell(calendar=calendar, rooms=rooms)
    return story.behaved


@contextmanager
def _api(world: World, audience: str, scope: str) -> Iterator[str]:
    jwks_uri = f"{world.url}/jwks"
    app = sample_api(issuer=world.url, jwks_uri=jwks_uri, audience=audience, scope=scope)
    with serving(app) as url:
        yield url


@dataclass(slots=True, kw_only=True)
class _Story:
    console: Console
    world: World
    http: httpx2.Client
    behaved: bool = field(default=True, init=False)

    def tell(self, *, calendar: str, rooms: str) -> None:
        """All of it, in order."""
        alice = self._login()
        first = self._first_hop(alice, calendar)
        self._refusals(alice)
        second = self._second_hop(first, rooms)
        self._lock(alice, second)

    def _login(self) -> str:
        self._chapter("Alice lets her agent use the calendar's MCP server")
        token = self.world.issuer.token(
            user="alice",
            agent="desk-agent",
            audience=CALENDAR_MCP,
            scope="calendar:read",
            groups=["staff"],
        )
        self._show(token)
        return token

    def _first_hop(self, alice: str, calendar: str) -> str:
        self._chapter("The MCP server trades that token for one that is good at the calendar API")
        answer = self._exchange("calendar-mcp", alice, CALENDAR_API, scope="events.read")
        self._expect(answer.status_code == httpx2.codes.OK, "exchanged", answer)
        issued = str(answer.json().get("access_token"))
        self._show(issued)
        called = self._call(calendar, issued)
        self._expect(called.status_code == httpx2.codes.OK, "the calendar API takes it", called)
        passed = self._call(calendar, alice)
        self._expect(
            passed.status_code == httpx2.codes.UNAUTHORIZED,
            "the calendar API refuses Alice's own token: no passthrough",
            passed,
        )
        return issued

    def _refusals(self, alice: str) -> None:
        self._chapter("What the service refuses")
        self._refused(
            "a scope that Alice's token does not have",
            self._exchange("calendar-mcp", alice, CALENDAR_API, scope="events.write"),
            error="invalid_scope",
            reason="not_permitted",
        )
        self._refused(
            "an API that no grant names",
            self._exchange("calendar-mcp", alice, PAYROLL_API),
            error="invalid_target",
            reason="not_permitted",
        )
        self._refused(
            "the same token from another client",
            self._exchange("notes-mcp", alice, CALENDAR_API),
            error="invalid_request",
            reason="subject_token_rejected",
        )

    def _second_hop(self, first: str, rooms: str) -> str:
        self._chapter("The calendar API, a client itself, trades onward for the rooms API")
        answer = self._exchange("calendar-api", first, ROOMS_API)
        self._expect(answer.status_code == httpx2.codes.OK, "exchanged", answer)
        issued = str(answer.json().get("access_token"))
        self._show(issued)
        self._expect(
            _claims(issued)["exp"] <= _claims(first)["exp"],
            "it ends no later than the token it came from",
        )
        called = self._call(rooms, issued)
        self._expect(called.status_code == httpx2.codes.OK, "the rooms API takes it", called)
        return issued

    def _lock(self, alice: str, second: str) -> None:
        self._chapter("Security puts a lock on Alice")
        administration = wiring.administration(self.world.store, self._registry)
        exchange = _claims(second)["jti"]
        self._expect(self._is_alive(exchange), "until now the last exchange is alive")
        everything_of_alice = Target.subject(Identity(self.world.issuer.url, "alice"))
        stopped = administration.stop(
            Stop(target=everything_of_alice, reason="demo"), author="demo"
        )
        reached = stopped.reach.radius
        self._expect(reached is not None and reached.exchanges > 1, "it reaches both exchanges")
        self._expect(not self._is_alive(exchange), "now it is dead, two hops down")
        self._refused(
            "the next exchange",
            self._exchange("calendar-mcp", alice, CALENDAR_API),
            error="invalid_request",
            reason="not_permitted",
        )

    def _registry(self) -> Registry:
        settings = self.world.settings
        return load(settings.registry, issuer=settings.issuer)

    def _is_alive(self, exchange: str) -> bool:
        found = wiring.administration(self.world.store, self._registry).exchanges.find(exchange)
        return found is not None and found.alive

    def _exchange(
        self, client: str, token: str, resource: str, *, scope: str | None = None
    ) -> httpx2.Response:
        form = {
            "grant_type": TOKEN_EXCHANGE,
            "subject_token": token,
            "subject_token_type": TokenType.ACCESS_TOKEN.value,
            "resource": resource,
        }
        return self.http.post(
            f"{self.world.url}/token",
            data=form if scope is None else form | {"scope": scope},
            auth=(client, self.world.secrets[client]),
        )

    def _call(self, url: str, token: str) -> httpx2.Response:
        return self.http.get(url, headers={"Authorization": f"Bearer {token}"})

    def _chapter(self, title: str) -> None:
        self.console.print(f"\n[bold]{escape(title)}[/bold]")

    def _show(self, token: str) -> None:
        """What a token says, as people read it."""
        claims = _claims(token)
        lines = {
            "good at": claims["aud"],
            "scope": claims["scope"],
            "lives": f"{claims['exp'] - claims['iat']} s",
            "who": " ← ".join(_who(claims)),
        }
        for name, value in lines.items():
            self.console.print(f"    [dim]{name:<8}[/dim] {escape(value)}")

    def _refused(self, what: str, answer: httpx2.Response, *, error: str, reason: str) -> None:
        body = answer.json()
        as_told = (answer.status_code, body.get("error"), body.get("reason"))
        self._expect(as_told == (400, error, reason), what, answer)
        more = f", needs {body['required_scope']}" if "required_scope" in body else ""
        decision = answer.headers.get("Delegation-Decision", "none")
        self.console.print(
            f"      {escape(str(body.get('error')))} ({escape(str(body.get('reason')))}"
            f"{escape(more)})  [dim]decision {escape(decision)}[/dim]"
        )

    def _expect(self, holds: bool, what: str, answer: httpx2.Response | None = None) -> None:  # noqa: FBT001
        mark = "[green]✓[/green]" if holds else "[red]✗[/red]"
        status = "" if answer is None else f" [dim]{answer.status_code}[/dim]"
        self.console.print(f"  {mark} {escape(what)}{status}")
        self.behaved = self.behaved and holds


def _claims(token: str) -> dict[str, Any]:
    """What a token says. Unverified: the story shows it, the APIs judge it."""
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims


def _who(claims: Mapping[str, Any]) -> list[str]:
    """The subject, and who acts for it: the least recent actor stands next to the subject."""
    chain = []
    actor = claims.get("act")
    while actor is not None:
        chain.append(str(actor["sub"]))
        actor = actor.get("act")
    if not chain:
        chain = [str(claims["client_id"])]
    return [str(claims["sub"]), *reversed(chain)]
