"""A chain of three hops that grew from one foreign token, and ways to stop any part of it.

family = Family.of(own, attack)
stop(own, Target.client("calendar-mcp"))
family.first.must_be_dead()
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from secrets import token_urlsafe
from urllib.parse import urlencode

from delegation.audit.acts import Acts
from delegation.domain.locks import REACHES_PARENTS, LockOrder, Target
from delegation.domain.parties import Identity
from delegation.ledger.locks import RedisLocks
from tests.attacks.attack import Attack, said_by
from tests.attacks.endpoint import Answer, basic
from tests.valkey import now_in_milliseconds
from tests.world import (
    AUDITOR,
    DOORS_API,
    TEAM,
    TEAM_API,
    TEAM_API_CLIENT,
    TEAM_MCP,
    TestWorld,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Tokens of one person: a *foreign* one, and what each hop made of the one before.

    *by_first*, *by_second* and *by_third* send the requests of who takes each hop.
    """

    person: Identity
    foreign: str = field(repr=False)
    first: str = field(repr=False)
    second: str = field(repr=False)
    third: str = field(repr=False)
    by_first: Attack
    by_second: Attack
    by_third: Attack

    @classmethod
    def of(cls, own: TestWorld, attack: Attack) -> "Family":
        """All three hops, for a person whom nobody else knows."""
        name = token_urlsafe(8)
        foreign = own.login.token(sub=name)
        by_first = attack.as_client(
            "calendar-mcp",
            own.secrets["calendar-mcp"],
            resource=TEAM_MCP,
            scope="calendar:read",
            token=lambda: foreign,
        )
        first = str(by_first.succeeds().json["access_token"])
        by_second = attack.as_client(
            TEAM, own.secrets[TEAM], resource=TEAM_API, token=lambda: first
        )
        second = str(by_second.succeeds().json["access_token"])
        by_third = attack.as_client(
            TEAM_API_CLIENT, own.secrets[TEAM_API_CLIENT], resource=DOORS_API, token=lambda: second
        )
        return cls(
            person=Identity(own.login.issuer, name),
            foreign=foreign,
            first=first,
            second=second,
            third=str(by_third.succeeds().json["access_token"]),
            by_first=by_first,
            by_second=by_second,
            by_third=by_third,
        )

    @property
    def issued(self) -> tuple[str, str, str]:
        """The tokens of ours, oldest first."""
        return self.first, self.second, self.third


def ask(attack: Attack, path: str, token: str, client: str, secret: str) -> Answer:
    """What *client* is answered at another endpoint, about a token."""
    body = urlencode({"token": token}).encode()
    headers = {"Authorization": basic(client, secret)}
    return attack.endpoint.send(body, headers=headers, path=path)


def is_active(attack: Attack, own: TestWorld, token: str) -> bool:
    """What the auditor is told; of what is not active, nothing else is said."""
    answer = ask(attack, "/introspect", token, AUDITOR, own.secrets[AUDITOR])
    assert answer.status == 200, answer
    assert answer.header("Cache-Control") == "no-store"
    if answer.body == b'{"active": false}':
        return False
    assert answer.json == said_by(token) | {"active": True, "token_type": "Bearer"}
    return True


def cut_off(own: TestWorld, target: Target) -> None:
    """Stop what was issued up to now, and nothing that comes."""
    _locks(own).lock(_order(own, target, ends_at=now_in_milliseconds()))


@contextmanager
def stopped(own: TestWorld, target: Target) -> Iterator[None]:
    """A stop that stands meanwhile; afterwards it never was."""
    locks, order = _locks(own), _order(own, target)
    locks.lock(order)
    try:
        yield
    finally:
        locks.lift(locks.find(order.id), reason="test", author="test", mistaken=True)


def _locks(own: TestWorld) -> RedisLocks:
    return RedisLocks(own.world.store, events=Acts())


def _order(own: TestWorld, target: Target, ends_at: int | None = None) -> LockOrder:
    return LockOrder(
        id=_locks(own).new_id(target),
        target=target,
        reason="test",
        author="test",
        ends_at=ends_at,
        parents=target.kind in REACHES_PARENTS,
    )
