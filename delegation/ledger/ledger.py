"""The verbs of the ledger: each one round trip, each all or nothing."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson

from delegation.domain.alarms import Alarm
from delegation.domain.case import Case
from delegation.domain.delegations import Delegation
from delegation.domain.errors import (
    ALARMING,
    ActorTokenRejected,
    Cause,
    NotPermitted,
    Refused,
    SubjectTokenRejected,
    Unavailable,
)
from delegation.domain.locks import Target, milliseconds
from delegation.domain.parties import Identity
from delegation.domain.ports import EventWriter
from delegation.domain.tokens import VerifiedToken
from delegation.ledger import detail, scripts
from delegation.ledger.partitions import Partition, entry, fingerprint
from delegation.ledger.store import Store, must_be_ok


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What bounds the evidence that the store holds until it is sealed."""

    undrained_events: int = 10_000
    refusals_per_minute: int = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What the ledger knows of an exchange. *recorded_at* is in milliseconds; dead says no more."""

    alive: bool
    recorded_at: int | None = None
    detail: dict[str, Any] = field(default_factory=dict)


class Meter(Protocol):
    """Told what the store is short of."""

    def event_suppressed(self) -> None:
        """A refusal was not written, but counted."""
        ...

    def backlog(self, lengths: Sequence[int], limit: int, difference: int, changes: int) -> None:
        """How many events and refusals wait in the fullest partition, and the limit of each; how
        many milliseconds the clocks are apart; how many changes of locks there have been.
        """
        ...


class RedisLedger:
    """Remembers exchanges, and what has been stopped. Raises `Unavailable` when not sure.

    *meter* is told what is seen on the way.
    """

    def __init__(
        self, store: Store, *, events: EventWriter, limits: Limits, meter: Meter | None = None
    ) -> None:
        self._store = store
        self._meter = meter
        self._partitions = store.partitions
        self._events = events
        self._limits = limits

    def new_id(self, root: Identity) -> str:
        """An unguessable id for an exchange on behalf of *root*. It begins with its partition."""
        return self._partitions.new_id(self._partitions.of(root))

    def record(self, delegation: Delegation, case: Case) -> None:
        """Record the exchange and its event, and list it, unless its lineage or a lock forbids."""
        self._begin_record(delegation, case)()

    def recording(self, delegation: Delegation, case: Case) -> "Recording":
        """Record it while something is made; that may leave where this ends, and not before."""
        confirm = self._begin_record(delegation, case)
        return Recording(confirm, lambda: self.void(delegation, case))

    def _begin_record(self, delegation: Delegation, case: Case) -> Callable[[], None]:
        """Send what is to be recorded; what is returned waits, and raises where it was refused."""
        parent, origin, actor = delegation.parent, delegation.origin(), delegation.actor_origin()
        partition = self._partitions.of(delegation.subject)
        keys = [
            partition.locks,
            partition.record(delegation.id),
            partition.live,
            partition.events,
            # Asked about, and therefore named, only where the grant says so.
            partition.once(delegation.grant, parent.issuer, parent.id)
            if delegation.single_use
            else partition.locks,
        ]
        if origin is None:
            if self._partitions.of_exchange(parent.id) != partition:
                raise SubjectTokenRejected(Cause.LINEAGE_DEAD)
            keys.append(partition.record(parent.id))
        answer = self._store.begin(
            scripts.RECORD,
            partition,
            keys,
            (
                delegation.id,
                milliseconds(delegation.decided_at),
                milliseconds(delegation.expires_at),
                _fingerprints(delegation.targets()),
                detail.written(delegation),
                self._events.granted(delegation, case),
                int(delegation.single_use),
                self._limits.undrained_events,
                b"" if origin is None else _fingerprints(origin.targets),
                b"" if origin is None else origin.issued_at,
                b"" if origin is None else origin.logged_in_at,
                milliseconds(parent.expires_at),
                b"" if actor is None else _fingerprints(actor.targets),
                b"" if actor is None else actor.issued_at,
                b"" if actor is None else actor.logged_in_at,
                entry(delegation.subject, delegation.id),
                b"" if origin is None else _named(parent),
                parent.id if origin is None else b"",
            ),
        )

        def confirm() -> None:
            status = answer()[0]
            if status in _REFUSALS:
                raise _REFUSALS[status](grant=delegation.grant, resource=delegation.resource)
            must_be_ok(status)

        return confirm

    def void(self, delegation: Delegation, case: Case) -> None:
        """Kill the record of an exchange whose token could not be signed, with an event."""
        partition = self._partitions.of(delegation.subject)
        keys = [
            partition.record(delegation.id),
            partition.live,
            partition.events,
        ]
        event = self._events.not_issued(delegation, case)
        arguments = (entry(delegation.subject, delegation.id), event)
        must_be_ok(self._store.ask(scripts.VOID, partition, keys, arguments)[0])

    def refuse(self, refused: Refused, case: Case) -> str:
        """Write the event of a refusal, within its client's cap; the decision's id.

        Where a reply was lost, the event may stand twice: with the same decision's id.
        """
        partition = self._partitions.of_client(case.client.id)
        decision = self._partitions.new_id(partition)
        event = self._events.refused(decision, refused, case)
        self._refused(partition, case.client.id, event, refused.cause)
        return decision

    def sound(self, alarm: Alarm) -> None:
        """Write the event of an alarm that is no refusal, within the cap of whom it is about."""
        partition = self._partitions.of_client(alarm.about)
        self._refused(partition, alarm.about, self._events.alarm(alarm), alarm.cause)

    def is_alive(self, exchange: str, root: Identity) -> bool:
        """Whether an exchange on behalf of *root* is recorded, and nothing has stopped it."""
        known = self.describe(exchange)
        return known.alive and known.detail["subject"] == [root.issuer, root.subject]

    def describe(self, exchange: str) -> Description:
        """What is known of an exchange. Unknown, expired and stopped are all not alive."""
        partition = self._partitions.of_exchange(exchange)
        if partition is None:
            return Description(alive=False)
        keys = [partition.locks, partition.record(exchange)]
        status, *rest = self._store.ask(scripts.DESCRIBE, partition, keys, ())
        if status == b"unknown":
            return Description(alive=False)
        if status not in _REFUSALS:
            must_be_ok(status)
        recorded_at, written = rest
        return Description(
            alive=status == b"ok", recorded_at=int(recorded_at), detail=detail.read(written)
        )

    def claim(self, owner: str, artefact: str, *, nonce: str, issued_at: int, until: int) -> bool:
        """Take the one-time id *artefact* of *owner*, once; whether it was free.

        It stays taken *until* then, which must not be before the artefact expires; what is over is
        not free. *nonce* is this attempt's own: the same nonce gets the same answer again. Times
        are in milliseconds.
        """
        partition = self._partitions.of_artefact(owner, artefact)
        keys = [partition.claim(owner, artefact)]
        arguments = (nonce, issued_at, until, _now())
        status = self._store.ask(scripts.CLAIM, partition, keys, arguments)[0]
        if status == b"already_used":
            return False
        must_be_ok(status)
        return True

    def _refused(self, partition: Partition, about: str, event: bytes, cause: Cause) -> None:
        alarming = cause.value if cause in ALARMING else b""
        limits = (self._limits.refusals_per_minute, self._limits.undrained_events)
        keys = [partition.refusals, partition.caps, partition.alarms, partition.alarm_counts]
        arguments = (about, event, *limits, alarming)
        status, *written = self._store.ask(scripts.REFUSE, partition, keys, arguments)
        must_be_ok(status)
        if self._meter is not None and written == [0]:
            self._meter.event_suppressed()

    def problems(self) -> list[str]:
        """Why an exchange could not be recorded now; empty where it could, in every partition."""
        questions = [(one, [one.events, one.refusals]) for one in self._partitions.all()]
        arguments = (self._limits.undrained_events, _now())
        try:
            answers = self._store.ask_all(scripts.PROBE, questions, arguments)
            evicts = self._store.server.evicts()
        except Unavailable as unavailable:
            return [unavailable.problem]
        self._measure([found for _, *found in answers if found])
        statuses = {status.decode() for status, *_ in answers}
        return sorted(statuses - {"ok"} | ({"ledger_evicts"} if evicts else set()))

    def _measure(self, found: Sequence[Sequence[int]]) -> None:
        """Partitions that are not to be believed have *found* nothing."""
        if self._meter is None or not found:
            return
        events, refusals, ahead = zip(*found, strict=True)
        self._meter.backlog(
            (max(events), max(refusals)),
            self._limits.undrained_events,
            max(map(abs, ahead)),
            self._store.lock_changes(),
        )


class Recording:
    """A context in which an exchange is on its way to be recorded; it ends when that is known."""

    __slots__ = ("_confirm", "_void")

    def __init__(self, confirm: Callable[[], None], void: Callable[[], None]) -> None:
        self._confirm = confirm
        self._void = void

    def __enter__(self) -> None:
        """It is on its way."""

    def __exit__(self, _type: object, error: BaseException | None, _traceback: object) -> None:
        """Wait for it, and raise where it was refused; void it where the context has failed."""
        if error is None:
            self._confirm()
        elif isinstance(error, Exception):
            self._confirm()
            self._void()


def _now() -> int:
    return time.time_ns() // 1_000_000


def _locked(**detail: object) -> Refused:
    return NotPermitted(Cause.LOCKED, **detail)


def _lineage_dead(**detail: object) -> Refused:
    return SubjectTokenRejected(Cause.LINEAGE_DEAD, **detail)


def _actor_dead(**detail: object) -> Refused:
    return ActorTokenRejected(Cause.LINEAGE_DEAD, **detail)


def _already_used(**detail: object) -> Refused:
    return SubjectTokenRejected(Cause.ALREADY_USED, **detail)


_REFUSALS: dict[bytes, Callable[..., Refused]] = {
    b"locked": _locked,
    b"lineage_dead": _lineage_dead,
    b"actor_dead": _actor_dead,
    b"already_used": _already_used,
}


def _fingerprints(targets: frozenset[Target]) -> bytes:
    return b"".join(map(fingerprint, targets))


def _named(parent: VerifiedToken) -> bytes:
    """A foreign token as lineages name it: its id, and its issuer where it is not the subject's."""
    is_usual = parent.issuer == parent.subject.issuer
    return orjson.dumps([parent.id] if is_usual else [parent.id, parent.issuer])
