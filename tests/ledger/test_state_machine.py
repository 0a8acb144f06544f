"""The ledger says what the plain definition says, whatever is exchanged, stopped and let go."""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import redis
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from delegation.audit.acts import Acts
from delegation.audit.events import Events
from delegation.domain.delegations import Delegation
from delegation.domain.errors import ActorTokenRejected, Cause, Refused
from delegation.domain.exchanges import Filter
from delegation.domain.grants import MAX_LIFETIME
from delegation.domain.locks import (
    EVERYTHING,
    BookedLock,
    Link,
    Lock,
    LockOrder,
    State,
    Target,
    dead,
    milliseconds,
)
from delegation.domain.parties import Actor, Identity
from delegation.domain.ports import UnknownLock
from delegation.domain.tokens import Authentication, VerifiedToken
from delegation.domain.trust import LONGEST_LIFE, LONGEST_SESSION
from delegation.ledger.exchanges import RedisExchanges
from delegation.ledger.layout import initialize
from delegation.ledger.ledger import Limits, RedisLedger
from delegation.ledger.locks import RedisLocks
from delegation.ledger.partitions import Partitions
from delegation.ledger.server import Server
from delegation.ledger.store import Store
from tests.parties import (
    ALICE,
    CALENDAR_API,
    CALENDAR_API_CLIENT,
    CALENDAR_MCP,
    DESK_AGENT,
    OUR_ISSUER,
    ROOMS_API,
    a_case,
    a_delegation,
    a_token_of_ours,
    a_verified_token,
    a_workload,
    an_actor,
)
from tests.strategies import BOB
from tests.valkey import short_directory, start_valkey, url_of

STEPS_AT_LENGTH = int(os.environ.get("STEPS", "1000000"))
"""How many steps the long walk takes: a core does about a thousand in a second."""

TWO = Partitions(2)
PEOPLE = (ALICE, BOB)
CLIENTS = (CALENDAR_MCP, CALENDAR_API_CLIENT)
RESOURCES = (CALENDAR_API, ROOMS_API)
GRANTS = ("calendar", "rooms")
ANY = st.integers(0, 99)
"""Picks one of however many there are."""

SECOND, MINUTE, HOUR = 1_000, 60_000, 3_600_000
OUR_LONGEST = int(MAX_LIFETIME.total_seconds()) * 1_000
DAY = 24 * HOUR
SESSION = int(LONGEST_SESSION.total_seconds()) * 1_000
TOLERANCE = 2 * SECOND

TICKS = (0, 1, 2, 5)
SPANS = (*TICKS, TOLERANCE, TOLERANCE + 1, MINUTE, 8 * MINUTE, 15 * MINUTE, 17 * MINUTE)
LEAPS = (HOUR, DAY - 30 * SECOND, DAY, DAY + 2 * MINUTE + 1, SESSION, SESSION + DAY + 3 * MINUTE)

CASE = a_case()
PATTERN = a_delegation()


def moment(at: int) -> datetime:
    """A time in milliseconds as the domain has it."""
    return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A server of its own, and how many steps have been taken on it."""

    server: Server
    raw: "redis.Redis[bytes]"
    steps: list[None]


@pytest.fixture(name="scene", scope="module")
def _scene() -> Iterator[Scene]:
    with short_directory() as directory:
        valkey = start_valkey(Path(directory), appendonly="no", save="")
        server = Server(url_of(valkey), timeout=10)
        with redis.Redis.from_url(url_of(valkey), protocol=2) as raw:
            yield Scene(server=server, raw=raw, steps=[])
        server.close()
        valkey.stop()


@dataclass(frozen=True, slots=True)
class Exchanged:
    """An exchange that was recorded, and all that it grew from."""

    delegation: Delegation
    lineage: tuple[Link, ...]

    def is_live(self, now: int) -> bool:
        """Whether its token has not expired."""
        return milliseconds(self.delegation.expires_at) > now


@dataclass(slots=True)
class Stopped:
    """A lock as the plain definition has it, `None` where it was a mistake; and as the book had."""

    lock: Lock | None
    booked: BookedLock
    state: State | None = None
    ended_at: int = 0

    def state_at(self, now: int) -> State:
        """What the book must say, for as long as it says anything."""
        if self.state is not None:
            return self.state
        return State.ENDED if self.lock and self.lock.has_ended(now) else State.STANDING


class Machine(RuleBasedStateMachine):
    """Exchanges, locks and time, on a real server whose clock goes only as far as it is told."""

    def __init__(self, scene: Scene) -> None:
        super().__init__()
        scene.raw.flushall()
        initialize(scene.server, TWO)
        store = Store(scene.server, TWO)
        self.scene = scene
        self.ledger = RedisLedger(store, events=Events(), limits=Limits())
        self.locks = RedisLocks(store, events=Acts())
        self.exchanges = RedisExchanges(store)
        self.now = (time.time_ns() // 1_000_000_000 + 3_600) * SECOND
        self.pass_on(0)
        self.tokens: list[VerifiedToken] = []
        self.exchanged: list[Exchanged] = []
        self.stopped: list[Stopped] = []

    def pass_on(self, span: int) -> None:
        """Let time pass: the server's clock is behind, and stands where it is told."""
        self.now += span
        with self.scene.raw.pipeline(transaction=False) as pipeline:
            for partition in TWO.all():
                pipeline.hset(partition.layout, "clock", self.now)
            pipeline.execute()

    def standing(self) -> list[Lock]:
        """All locks there ever were, but for mistakes."""
        return [one.lock for one in self.stopped if one.lock is not None]

    # What happens

    @rule(span=st.sampled_from(SPANS), leap=st.sampled_from((0, 0, 0, 0, 0, 0, 0, *LEAPS)))
    def wait(self, span: int, leap: int) -> None:
        """Time passes: a little, or so much that something is forgotten."""
        self.pass_on(span + leap)

    @rule(
        person=st.sampled_from(PEOPLE),
        age=st.sampled_from((*SPANS, HOUR, DAY - MINUTE)),
        session=st.sampled_from((None, 0, 1, HOUR, DAY, SESSION - HOUR, SESSION)),
        agent=st.sampled_from((DESK_AGENT, "planner", None)),
        number=ANY,
    )
    def log_in(
        self, person: Identity, age: int, session: int | None, agent: str | None, number: int
    ) -> None:
        """Somebody brings a token of another issuer, of one age or another."""
        issued_at = moment((self.now - age) // SECOND * SECOND)
        login = None if session is None else issued_at - timedelta(milliseconds=session)
        self.tokens.append(
            a_verified_token(
                id=f"login-{number}",
                subject=person,
                agent=agent,
                issued_at=issued_at,
                expires_at=issued_at + LONGEST_LIFE,
                authentication=Authentication(time=login),
            )
        )

    @rule(
        token=ANY,
        client=st.sampled_from(CLIENTS),
        resource=st.sampled_from(RESOURCES),
        shown=st.sampled_from((None, None, "client", "workload")),
    )
    def exchange(self, token: int, client: str, resource: str, shown: str | None) -> None:
        """A token of another issuer is exchanged."""
        valid = [one for one in self.tokens if milliseconds(one.expires_at) > self.now]
        if valid:
            self.trade(valid[token % len(valid)], client, resource, shown, None)

    @rule(
        parent=ANY,
        client=st.sampled_from(CLIENTS),
        resource=st.sampled_from(RESOURCES),
        shown=st.sampled_from((None, None, None, "client", "workload")),
    )
    def exchange_on(self, parent: int, client: str, resource: str, shown: str | None) -> None:
        """A token of ours is exchanged, dead or alive."""
        known = [one for one in self.exchanged if one.is_live(self.now)]
        if not known:
            return
        origin = known[parent % len(known)]
        if len(origin.delegation.actors) > 4:
            return
        token = a_token_of_ours(
            id=origin.delegation.id,
            subject=origin.delegation.subject,
            agent=origin.delegation.client,
            actors=origin.delegation.actors,
            expires_at=origin.delegation.expires_at,
        )
        self.trade(token, client, resource, shown, origin)

    def trade(
        self,
        token: VerifiedToken,
        client: str,
        resource: str,
        shown: str | None,
        origin: Exchanged | None,
    ) -> None:
        """Record it, or see it refused: for the very reason that the definition gives."""
        now = moment(self.now)
        actor, acting = None, Identity(OUR_ISSUER, client)
        if shown is not None:
            make = {"client": an_actor, "workload": a_workload}[shown]
            actor = make(now=now, id=f"shown-{shown}-{len(self.exchanged) % 5}")
            acting = actor.identity
        delegation = replace(
            PATTERN,
            id=self.ledger.new_id(token.subject),
            parent=token,
            actor_token=actor,
            actors=token.actors.handed_to(Actor(identity=acting)),
            client=client,
            resource=resource,
            grant=GRANTS[RESOURCES.index(resource)],
            decided_at=now,
            issued_at=now,
            expires_at=min(now + MAX_LIFETIME, token.expires_at),
        )
        own = Link(targets=delegation.targets(), issued_at=self.now)
        first = delegation.origin()
        before = origin.lineage if origin is not None else (first,) if first is not None else ()
        link = delegation.actor_origin()
        expected = self.refusal((own, *before), link)
        assert self.refusal_of(delegation) == expected
        if expected is None:
            grown_from = before if link is None else (*before, link)
            self.exchanged.append(Exchanged(delegation, (own, *grown_from)))

    def refusal_of(self, delegation: Delegation) -> tuple[Cause, bool] | None:
        """Record it; why not, and whether because of the actor token."""
        try:
            self.ledger.record(delegation, CASE)
        except Refused as refused:
            return refused.cause, isinstance(refused, ActorTokenRejected)
        return None

    def refusal(self, lineage: tuple[Link, ...], actor: Link | None) -> tuple[Cause, bool] | None:
        """What the definition says of that."""
        locks = self.standing()
        for links, is_of_actor in ((lineage, False), (() if actor is None else (actor,), True)):
            if dead(links, locks, self.now):
                targets = frozenset[Target]().union(*(link.targets for link in links))
                if any(lock.target in targets and lock.stands(self.now) for lock in locks):
                    return Cause.LOCKED, False
                return Cause.LINEAGE_DEAD, is_of_actor
        return None

    @rule(
        exchange=ANY,
        which=ANY,
        length=st.sampled_from((None, None, *SPANS, *(-span for span in (*SPANS, DAY)))),
        parents=st.booleans(),
        since_login=st.sampled_from((False, False, True)),
    )
    def lock(
        self, *, exchange: int, which: int, length: int | None, parents: bool, since_login: bool
    ) -> None:
        """What an exchange involves, or anything, is stopped: for ever, until then, or up to."""
        targets = {EVERYTHING, Target.subject(BOB), Target.client(CALENDAR_MCP)}
        if self.exchanged:
            links = self.exchanged[exchange % len(self.exchanged)].lineage
            targets = set(links[which % len(links)].targets)
        chosen = sorted(targets)[which % len(targets)]
        ends_at = None if length is None else self.now + length
        order = LockOrder(
            id=self.locks.new_id(chosen),
            target=chosen,
            reason="test",
            author="test",
            ends_at=ends_at,
            parents=parents,
            since_login=since_login,
        )
        self.locks.lock(order)
        self.locks.lock(order)
        if ends_at is not None and self.now - TOLERANCE <= ends_at < self.now:
            ends_at = self.now
        lock = Lock(
            id=order.id,
            target=chosen,
            begins_at=self.now,
            ends_at=ends_at,
            parents=parents,
            since_login=since_login,
        )
        booked = self.locks.find(order.id)
        self.stopped.append(Stopped(lock, booked))
        assert (booked.begins_at, booked.ends_at) == (self.now, ends_at)

    @rule(number=ANY, mistaken=st.booleans())
    def lift(self, *, number: int, mistaken: bool) -> None:
        """A lock is lifted, be it standing or not."""
        if not self.stopped:
            return
        stopped = self.stopped[number % len(self.stopped)]
        try:
            self.locks.lift(stopped.booked, reason="test", author="test", mistaken=mistaken)
        except UnknownLock:
            self.must_be_forgotten(stopped)
            return
        if stopped.state_at(self.now) is State.STANDING and stopped.lock is not None:
            stopped.lock = None if mistaken else replace(stopped.lock, ends_at=self.now)
            stopped.state = State.ANNULLED if mistaken else State.LIFTED
            stopped.ended_at = self.now

    @rule(number=ANY)
    def look_up(self, number: int) -> None:
        """The book tells of a lock what has become of it, or has forgotten it, and long since."""
        if not self.stopped:
            return
        stopped = self.stopped[number % len(self.stopped)]
        try:
            booked = self.locks.find(stopped.booked.order.id)
        except UnknownLock:
            self.must_be_forgotten(stopped)
        else:
            assert booked.state is stopped.state_at(self.now)

    def must_be_forgotten(self, stopped: Stopped) -> None:
        """It has ended so long ago that no token that it could stop is alive."""
        ended_at = stopped.ended_at if stopped.lock is None else stopped.lock.ends_at
        assert ended_at is not None
        order = stopped.booked.order
        is_cut_off = stopped.booked.ends_at is not None and ended_at <= stopped.booked.begins_at
        short = is_cut_off and not order.parents and not order.since_login
        assert ended_at + (OUR_LONGEST if short else DAY) < self.now

    @rule(number=ANY)
    def describe(self, number: int) -> None:
        """One exchange is asked about by itself."""
        if self.exchanged:
            exchanged = self.exchanged[number % len(self.exchanged)]
            if exchanged.is_live(self.now):
                described = self.ledger.describe(exchanged.delegation.id)
                assert described.alive is not dead(exchanged.lineage, self.standing(), self.now)

    # What must hold at every step

    @invariant()
    def they_agree(self) -> None:
        """Every exchange that has not expired is listed, and is alive where the definition says."""
        self.scene.steps.append(None)
        locks = self.standing()
        page = self.exchanges.page(Filter(), None, count=10_000, budget=10_000)
        found = {one.id: one.alive for one in page.items if one.expires_at > self.now}
        self.exchanged = [one for one in self.exchanged if one.is_live(self.now)]
        assert found == {
            one.delegation.id: not dead(one.lineage, locks, self.now) for one in self.exchanged
        }


def walk(scene: Scene, steps: int, *, length: int = 50, derandomize: bool = True) -> None:
    """Take so many steps, in walks of so many; some end early."""
    scene.steps.clear()
    walks = steps // length * 11 // 10
    run_state_machine_as_test(
        lambda: Machine(scene),
        settings=settings(
            max_examples=walks,
            stateful_step_count=length,
            derandomize=derandomize,
            database=None,
            deadline=None,
            suppress_health_check=[*HealthCheck],
            phases=[Phase.generate, Phase.shrink],
        ),
    )


@pytest.mark.standard("7009-4", "REV-3")
def test_the_ledger_and_the_definition_agree(scene):
    """Some thousand steps, the same each time."""
    walk(scene, 4_000)

    assert len(scene.steps) >= 4_000


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.standard("7009-4", "REV-3")
def test_the_ledger_and_the_definition_agree_at_length(scene):
    """A million steps, others each time."""
    walk(scene, STEPS_AT_LENGTH, length=100, derandomize=False)

    assert len(scene.steps) >= STEPS_AT_LENGTH
