"""Puts what happens in a worker into the words of the catalogue, with bounded labels."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from time import perf_counter
from types import TracebackType
from typing import Self

from delegation.domain.case import Case
from delegation.domain.errors import ALARMING, Cause, Refused, Unavailable
from delegation.domain.exchange import Lap, Stage
from delegation.domain.registry import Registry
from delegation.metrics import catalogue
from delegation.metrics.catalogue import NONE, OTHER
from delegation.metrics.tally import Tally

MOST_PAIRS = 1000
"""How many pairs of client and resource, and how many clients or owners of keys, a worker tells
apart. Who would have more sees all others as one: a registry that changes often is no leak."""

_STREAMS = ("events", "refusals")

Outcome = Callable[[Case, str, str], None]
"""Told what came of a case, and why, in the words of the metrics."""


class Meter:
    """Measures one worker. Nothing here waits, or raises.

    Every label is a word of ours, or an id that the registry names: a stranger cannot make one up.
    """

    def __init__(self, tally: Tally, *, clock: Callable[[], float] = time.time) -> None:
        self._tally = tally
        self._clock = clock
        self._pairs: set[tuple[str, str]] = set()
        self._known: set[str] = set()
        self._problems: set[str] = set()
        self._revision: str | None = None
        self._told: tuple[Outcome, ...] = ()
        # What begins at 0 can be seen to rise: what begins at 1 was always so.
        for cause in ALARMING:
            tally.add(catalogue.ALARMS, (cause,), 0)
        for metric in (
            catalogue.THROTTLED,
            catalogue.SUPPRESSED_EVENTS,
            catalogue.SUPPRESSED_LINES,
        ):
            tally.add(metric, (), 0)
        tally.set(catalogue.WORKERS, (), 1)
        tally.set(catalogue.READY, (), 0)

    def tell(self, outcome: Outcome) -> None:
        """Tell this one, too, of every outcome of an exchange."""
        self._told += (outcome,)

    def exchange(self, case: Case) -> "Measured":
        """A context in which the exchange of *case* is asked for, and comes to its outcome."""
        return Measured(self, case)

    def exchanged(self, case: Case, outcome: str, reason: str) -> None:
        """An exchange came to this *outcome*."""
        for told in self._told:
            told(case, outcome, reason)
        pair = case.client.id, resource_of(case)
        if pair not in self._pairs:
            if len(self._pairs) >= MOST_PAIRS:
                pair = OTHER, OTHER
            self._pairs.add(pair)
        self._tally.add(catalogue.EXCHANGES, (outcome, reason, *pair))

    def stopwatch(self) -> Lap:
        """Takes the time of one exchange, from now on, stage by stage."""
        last = perf_counter()

        def lap(stage: Stage) -> None:
            nonlocal last
            now = perf_counter()
            self._tally.observe(catalogue.STAGES, (stage,), now - last)
            last = now

        return lap

    def requested(self, endpoint: str, status: int, seconds: float) -> None:
        """A request was answered."""
        self._tally.observe(catalogue.REQUESTS, (endpoint, str(status)), seconds)

    def authentication_failed(
        self, client: str | None, cause: Cause | None, registry: Registry
    ) -> None:
        """Somebody was not who they claimed to be: *client*, if they said so."""
        name = NONE if client is None else self._named(client, registry.clients)
        labels = name, "credentials" if cause is None else cause.value
        self._tally.add(catalogue.AUTHENTICATION_FAILURES, labels)

    def throttled(self) -> None:
        """A request was answered 429."""
        self._tally.add(catalogue.THROTTLED)

    def malformed(self, cause: str) -> None:
        """A request was refused before anybody was known."""
        self._tally.add(catalogue.MALFORMED, (cause,))

    def alarm(self, cause: Cause) -> None:
        """An alarm was sounded."""
        self._tally.add(catalogue.ALARMS, (cause.value,))

    def event_suppressed(self) -> None:
        """A refusal was not written, but counted."""
        self._tally.add(catalogue.SUPPRESSED_EVENTS)

    def line_suppressed(self) -> None:
        """A line of the log was not written, but counted."""
        self._tally.add(catalogue.SUPPRESSED_LINES)

    def keys_fetched(self, owner: str, fetched: bool, registry: Registry) -> None:  # noqa: FBT001
        """The keys of *owner*, an issuer or a client, were asked for."""
        lists = registry.issuers, registry.actor_issuers, registry.admin_issuers
        aliases = [issuers[owner].alias for issuers in lists if owner in issuers]
        name = aliases[0] if aliases else self._named(owner, registry.clients)
        self._tally.add(catalogue.KEY_FETCHES, (name, "fetched" if fetched else "failed"))
        if fetched:
            self._tally.set(catalogue.KEYS_FETCHED, (name,), self._clock())

    def ledger_answered(self, seconds: float) -> None:
        """The store has answered one script."""
        self._tally.observe(catalogue.ROUND_TRIPS, (), seconds)

    def ledger_failed(self, problem: str) -> None:
        """The store did not answer, or with an error."""
        self._tally.add(catalogue.LEDGER_FAILURES, (problem,))

    def read(self, what: str, succeeded: bool) -> None:  # noqa: FBT001
        """What is kept in files was read anew."""
        self._tally.add(catalogue.RELOADS, (what, "loaded" if succeeded else "failed"))

    def backlog(self, lengths: Sequence[int], limit: int, difference: int, changes: int) -> None:
        """What waits in the fullest partition, by stream, and the *limit* of each; how far the
        clocks are apart, in milliseconds; and how many changes of locks there have been.
        """
        for stream, length in zip(_STREAMS, lengths, strict=True):
            self._tally.set(catalogue.UNDRAINED, (stream,), length)
        self._tally.set(catalogue.UNDRAINED_LIMIT, (), limit)
        self._tally.set(catalogue.CLOCK, (), difference / 1000)
        self._tally.set(catalogue.LOCK_CHANGES, (), changes)

    def problems(self, found: Sequence[str]) -> None:
        """Why this worker is not ready; it is where there is nothing."""
        self._tally.set(catalogue.READY, (), int(not found))
        self._problems.update(found)
        for problem in self._problems:
            self._tally.set(catalogue.PROBLEMS, (problem,), int(problem in found))

    def revision(self, revision: str) -> None:
        """The registry in force has this revision."""
        if revision == self._revision:
            return
        if self._revision is not None:
            self._tally.set(catalogue.REGISTRY, (self._revision,), 0)
        self._revision = revision
        self._tally.set(catalogue.REGISTRY, (revision,), 1)
        self._tally.set(catalogue.REGISTRY_LOADED, (), self._clock())

    def signing_keys(self, since: Mapping[str, Iterable[int | None]]) -> None:
        """Our keys: since when each has its status, by all the statuses there are."""
        for status, moments in since.items():
            known = [moment or 0 for moment in moments]
            self._tally.set(catalogue.SIGNING_KEYS, (status,), len(known))
            self._tally.set(catalogue.SIGNING_KEY_SINCE, (status,), min(known, default=0))

    def _named(self, name: str, registered: Mapping[str, object]) -> str:
        if name in self._known:
            return name
        if name not in registered or len(self._known) >= MOST_PAIRS:
            return OTHER
        self._known.add(name)
        return name


class Measured:
    """One exchange: what comes out of it, comes out of here."""

    __slots__ = ("_case", "_meter")

    def __init__(self, meter: Meter, case: Case) -> None:
        self._meter = meter
        self._case = case

    def __enter__(self) -> Self:
        """It begins."""
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """It has come to an outcome."""
        match error:
            case None:
                outcome, reason = "issued", NONE
            case Refused():
                outcome, reason = "refused", error.cause.value
            case Unavailable():
                outcome, reason = "unavailable", error.problem
            case _:
                outcome, reason = "failed", NONE
        self._meter.exchanged(self._case, outcome, reason)


def resource_of(case: Case) -> str:
    """The one resource that was asked for, as the registry calls it."""
    if case.request is None:
        return NONE
    named = {*case.request.targets.resources, *case.request.targets.audiences}
    if not named:
        return NONE
    known = case.registry.resources
    found = {known[name].identifier if name in known else OTHER for name in named}
    return found.pop() if len(found) == 1 else OTHER
