"""One event in words: what was asked, by whom for whom, what was decided, and what it would take.

For whoever runs an MCP server and asks why; it needs the event and nothing else.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from delegation.audit.events import VERSION
from delegation.audit.facts import (
    Event,
    Fact,
    act_facts,
    detail_facts,
    exchange_facts,
    instant,
    optional,
    refusal_facts,
    stored_facts,
    target,
    who,
)
from delegation.audit.remedies import REMEDIES, TOKENS
from delegation.domain.errors import Cause


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """An *outcome* in a sentence, the *facts* of it, and what is *needed* now, in sentences.

    What came from outside stands in it as it is: whoever shows it to a terminal escapes it.
    """

    outcome: str
    facts: tuple[Fact, ...] = ()
    needed: tuple[str, ...] = ()

    def lines(self) -> Iterator[str]:
        """The same as text."""
        yield self.outcome
        width = max((len(label) for label, _ in self.facts), default=0)
        yield from (f"  {label:{width}}  {text}" for label, text in self.facts)
        if self.needed:
            yield "What to do:"
        yield from (f"  {sentence}" for sentence in self.needed)


def explain(event: Event) -> Explanation:
    """What *event* says. One that a later release wrote is told as far as it is understood."""
    kind = event["type"]
    if event["version"] > VERSION or kind not in _KINDS:
        return Explanation(
            outcome=f"This event is of a kind that this release does not know: {kind}.",
            facts=tuple(stored_facts(event)),
            needed=("Ask with the release that wrote it.",),
        )
    return _KINDS[kind](event)


def explain_absence(decision: str, suppressed: Iterable[Event] = ()) -> Explanation:
    """What it may mean that there is no event of *decision*.

    *suppressed* are the events of its partition which say how many refusals were not written.
    """
    counts = tuple(
        ("perhaps", f"one of {one['count']} of {one['client']}, from {instant(one['since'])}")
        for one in suppressed
    )
    if counts:
        return Explanation(
            outcome=f"There is no event of {decision}. Some refusals there were only counted.",
            facts=counts,
            needed=_WHERE_COUNTED,
        )
    return Explanation(outcome=f"There is no event of {decision} here.", needed=_WHERE_UNKNOWN)


def _granted(event: Event) -> Explanation:
    return Explanation(
        outcome=f"Granted: {_actor(event)} may act for {who(event['subject'])} at "
        f"{event['resource']}.",
        facts=tuple(exchange_facts(event)),
    )


def _not_issued(event: Event) -> Explanation:
    return Explanation(
        outcome=f"Granted, but not issued: {_actor(event)} was to act for "
        f"{who(event['subject'])} at {event['resource']}, and the token could not be signed.",
        facts=tuple(exchange_facts(event)),
        needed=(
            "Nothing was handed out, and the record is void: the client asks again.",
            "See to the signing keys: `delegation check` says what is wrong with them.",
        ),
    )


def _refused(event: Event) -> Explanation:
    why, needed = _remedy(event)
    if "required_scope" in event:
        needed.append(f"A subject token with {' '.join(event['required_scope'])} would do.")
    if "alarm" in event:
        needed.append("Look at this now: `delegation alarms` says what it may be.")
    return Explanation(
        outcome=f"Refused: {why}.", facts=tuple(refusal_facts(event)), needed=tuple(needed)
    )


def _suppressed(event: Event) -> Explanation:
    return Explanation(
        outcome=f"{event['count']} refusals of {event['client']} were counted and not written: "
        "there were more of them in a minute than are kept.",
        facts=(*stored_facts(event), ("in the minute from", instant(event["since"]))),
        needed=("See why the client is refused: its refusals before these are written.",),
    )


def _locked(event: Event) -> Explanation:
    end = instant(event["ends_at"]) if "ends_at" in event else "it is lifted"
    reaches = [
        text
        for member, text in (
            ("parents", "what grows from foreign tokens issued up to its end"),
            ("since_login", "what grows from foreign tokens of a login up to its end"),
        )
        if event[member]
    ]
    return Explanation(
        outcome=f"Stopped: {target(event)}.",
        facts=(
            *act_facts(event),
            ("until", end),
            *([("stays dead", ", and ".join(reaches))] if reaches else []),
        ),
    )


def _lifted(event: Event) -> Explanation:
    what = "was a mistake, and is as if it had never been" if event["mistaken"] else "is over"
    return Explanation(
        outcome=f"Lifted: the lock on {target(event)} {what}.", facts=tuple(act_facts(event))
    )


def _alarm(event: Event) -> Explanation:
    why, needed = _remedy(event)
    return Explanation(
        outcome=f"Alarm: {why}.",
        facts=(
            *stored_facts(event),
            ("about", event["about"]),
            ("cause", event["cause"]),
            *optional(event, "source", "from"),
            *detail_facts(event),
        ),
        needed=tuple(needed),
    )


def _remedy(event: Event) -> tuple[str, list[str]]:
    """Why, and what would have been needed, if the cause is one that this release knows."""
    if event["cause"] not in set(Cause):
        return "this release does not know the cause", []
    remedy = REMEDIES[Cause(event["cause"])]
    token = TOKENS.get(event.get("reason", ""), "token")
    return remedy.why.format(token=token), [remedy.needed.format(token=token)]


def _actor(event: Event) -> str:
    return str(event["actors"][0]["sub"])


_KINDS: Mapping[str, Callable[[Event], Explanation]] = {
    "exchange": _granted,
    "not_issued": _not_issued,
    "refusal": _refused,
    "refusals_suppressed": _suppressed,
    "lock": _locked,
    "lift": _lifted,
    "alarm": _alarm,
}

_WHERE_COUNTED = (
    "Let the client send it again: the first refusals of each minute are written.",
    "See why the client is refused so often. DELEGATION_REFUSALS_PER_MINUTE is the cap.",
)

_WHERE_UNKNOWN = (
    "See that the id is whole: the answer's header Delegation-Decision has it, and a token's jti.",
    "See that it is an id of this service: another store has other events.",
    "See where the sealed events are kept: what was sealed is no longer in the store.",
)
