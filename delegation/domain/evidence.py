"""What an event is about, for whoever looks for it: parties and things, and how it came out."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from delegation.domain.errors import Cause
from delegation.domain.locks import EVERYTHING, Kind, Target
from delegation.domain.parties import Identity

Event = Mapping[str, Any]
"""An event by the published schema; one that a later release wrote may have any members."""


class Outcome(StrEnum):
    """What became of it."""

    GRANTED = "granted"
    NOT_ISSUED = "not_issued"
    REFUSED = "refused"
    SUPPRESSED = "suppressed"
    LOCKED = "locked"
    LIFTED = "lifted"
    ALARM = "alarm"


TYPES: Mapping[Outcome, str] = {
    Outcome.GRANTED: "exchange",
    Outcome.NOT_ISSUED: "not_issued",
    Outcome.REFUSED: "refusal",
    Outcome.SUPPRESSED: "refusals_suppressed",
    Outcome.LOCKED: "lock",
    Outcome.LIFTED: "lift",
    Outcome.ALARM: "alarm",
}
"""The type of the events of each outcome."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFilter:
    """Which events are meant: those recorded from *since* on and before *until* that fit all else.

    Of *targets* it is about every one. *txn* names the transaction of an exchange. Times are as
    events have them, and compare as text.
    """

    targets: frozenset[Target] = frozenset()
    outcome: Outcome | None = None
    cause: Cause | None = None
    txn: str | None = None
    since: str | None = None
    until: str | None = None

    def covers(self, at: str) -> bool:
        """Whether what was recorded then is meant."""
        return (self.since is None or self.since <= at) and (self.until is None or at < self.until)

    def matches(self, event: Event) -> bool:
        """Whether *event* is meant, whenever it was recorded."""
        return (
            (self.outcome is None or event.get("type") == TYPES[self.outcome])
            and (self.cause is None or event.get("cause") == self.cause)
            and (self.txn is None or event.get("txn") == self.txn)
            and (not self.targets or self.targets <= about(event))
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """The event of a decision in words: an *outcome*, the *facts*, each with a label, and what is
    *needed* now. Without an *event* it says what that may mean.
    """

    event: Event | None
    outcome: str
    facts: tuple[tuple[str, str], ...] = ()
    needed: tuple[str, ...] = ()


def about(event: Event) -> frozenset[Target]:
    """All that an event is about, as locks name it.

    Of an exchange that is what could stop it by itself; of a refusal also what was asked for; of a
    lock or lift what it names. What a later release wrote is about what is understood of it.
    """
    found: set[Target] = set()
    for named in _NAMED:
        try:
            found.update(named(event))
        except (KeyError, TypeError, AttributeError, ValueError):
            continue
    return frozenset(found)


def _client(event: Event) -> Iterator[Target]:
    yield from _all_text(Target.client, event["client"])


def _subject(event: Event) -> Iterator[Target]:
    root = _identity(event["subject"])
    yield from (EVERYTHING, Target.subject(root), Target.issuer(root.issuer))


def _agent(event: Event) -> Iterator[Target]:
    yield Target.agent(_identity({"iss": event["parent"]["iss"], "sub": event["agent"]}))


def _actors(event: Event) -> Iterator[Target]:
    for actor in map(_identity, event["actors"]):
        yield Target.actor(actor)
        yield Target.pair(_identity(event["subject"]), actor)


def _exchange(event: Event) -> Iterator[Target]:
    if event["type"] in {"exchange", "not_issued"}:
        yield from _all_text(Target.exchange, event["decision"])
        yield from _all_text(Target.grant, event["grant"])
        yield from _all_text(Target.resource, event["resource"])


def _tokens(event: Event) -> Iterator[Target]:
    foreign = event["lineage"]["foreign_parent"] if "lineage" in event else event["parent"]
    yield Target.token(*_words(foreign["iss"], foreign["id"]))


def _actor_token(event: Event) -> Iterator[Target]:
    issuer, token = _words(event["actor_token"]["iss"], event["actor_token"]["id"])
    # What is good for one use, a client signed of itself.
    yield from (Target.token(issuer, token), Target.issuer(issuer), Target.client(issuer))


def _asked(event: Event) -> Iterator[Target]:
    yield from _all_text(Target.resource, *event["asked"]["targets"])


def _detail(event: Event) -> Iterator[Target]:
    """What a refusal came to before it was one."""
    for name, kind in (("grant", Target.grant), ("resource", Target.resource)):
        if name in event["detail"]:
            yield from _all_text(kind, event["detail"][name])


def _alarm(event: Event) -> Iterator[Target]:
    yield from _all_text(Target.client, event["about"])


def _act(event: Event) -> Iterator[Target]:
    target = target_of(event)
    yield target
    if target.kind is Kind.PAIR:
        issuer, subject, *actor = target.names
        yield Target.subject(Identity(issuer, subject))
        yield Target.actor(Identity(*actor))


_NAMED = (
    _client,
    _subject,
    _agent,
    _actors,
    _exchange,
    _tokens,
    _actor_token,
    _asked,
    _detail,
    _alarm,
    _act,
)


def target_of(event: Event) -> Target:
    """What a lock or lift names. Raises `KeyError`, `TypeError`, `ValueError` for other events."""
    return Target(Kind(event["target"]["kind"]), _words(*event["target"]["names"]))


def _identity(named: Mapping[str, Any]) -> Identity:
    return Identity(*_words(named["iss"], named["sub"]))


def _all_text(kind: Any, *names: object) -> Iterator[Target]:
    return (kind(name) for name in names if isinstance(name, str))


def _words(*names: object) -> tuple[str, ...]:
    if not all(isinstance(name, str) for name in names):
        raise TypeError("a name is text")
    return tuple(map(str, names))
