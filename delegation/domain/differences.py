"""In what two entries differ, and whether that gives more or takes something away."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from math import prod
from typing import Any, TypeVar

from delegation.domain.grants import Agents, Subjects
from delegation.domain.rates import Rate, lets_more
from delegation.domain.tokens import SEPARATOR

T = TypeVar("T")

MOST_PARTS = 10_000
"""Combinations of people and values that are compared one by one: nobody reviews more of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One respect in which two entries differ: what is there now and was not, and what is gone.

    *of* is the key in the files. It is *wider* where something may be allowed by it that was not,
    and *narrower* where something may be no more.
    """

    of: str
    gained: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    wider: bool
    narrower: bool

    def turned(self) -> "Difference":
        """The same of what takes: the more there is of it, the less is allowed."""
        return replace(self, wider=self.narrower, narrower=self.wider)

    def where(self, *, wider: bool, narrower: bool) -> "Difference":
        """The same, where it matters only if something is open: afterwards, and before."""
        return replace(self, wider=self.wider and wider, narrower=self.narrower and narrower)


Differences = Iterator[Difference]


def said(value: object) -> str:
    """A plain value as the files have it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def other(of: str, before: object, after: object, say: Callable[[Any], str] = said) -> Differences:
    """What is neither more nor less, only something else: so it may be both."""
    if before != after:
        gained, lost = (say(after),), (say(before),)
        yield Difference(of=of, gained=gained, lost=lost, wider=True, narrower=True)


def limit(of: str, before: Any, after: Any, say: Callable[[Any], str] = said) -> Differences:
    """The higher it is, the more is allowed; true is higher than false."""
    if before != after:
        gained, lost = (say(after),), (say(before),)
        yield Difference(
            of=of, gained=gained, lost=lost, wider=after > before, narrower=after < before
        )


def of_rates(before: Iterable[Rate], after: Iterable[Rate]) -> Differences:
    """How often something is given: what is there limits, and what is gone did."""
    old, new = tuple(before), tuple(after)
    if old != new:
        yield Difference(
            of="rate_limit",
            gained=tuple(str(rate) for rate in new if rate not in old),
            lost=tuple(str(rate) for rate in old if rate not in new),
            wider=lets_more(new, old),
            narrower=lets_more(old, new),
        )


def members(
    of: str,
    before: Iterable[T],
    after: Iterable[T],
    *,
    say: Callable[[T], str] = said,
    opens: Callable[[T], bool] = lambda _: True,
    closes: Callable[[T], bool] = lambda _: True,
) -> Differences:
    """Each of them allows something: of those gained what *opens*, of those lost what *closes*."""
    old, new = frozenset(before), frozenset(after)
    gained, lost = new - old, old - new
    if gained or lost:
        yield Difference(
            of=of,
            gained=tuple(sorted(map(say, gained))),
            lost=tuple(sorted(map(say, lost))),
            wider=any(map(opens, gained)),
            narrower=any(map(closes, lost)),
        )


def of_agents(before: Agents, after: Agents) -> Differences:
    """Through whom. One that is registered stands in the chain, and makes it longer."""
    for difference in _agents(before, after):
        yield replace(
            difference,
            wider=difference.wider or _leaves_out(after, before),
            narrower=difference.narrower or _leaves_out(before, after),
        )


def of_denied_agents(before: Agents, after: Agents) -> Differences:
    """Through whom it is denied: it is one whether an agent is registered or any is meant."""
    return _agents(before, after)


def _agents(before: Agents, after: Agents) -> Differences:
    for difference in members("agents", said_agents(before), said_agents(after)):
        yield replace(
            difference,
            wider=not before.any and difference.wider,
            narrower=not after.any and difference.narrower,
        )


def said_agents(agents: Agents) -> frozenset[str]:
    """As the files have them."""
    return agents.registered | ({"any"} if agents.any else frozenset())


def _leaves_out(agents: Agents, than: Agents) -> bool:
    """Whether one may still come who stands in the chain no more."""
    return agents.any and not than.registered <= agents.registered


def of_subjects(
    before: Iterable[Subjects], after: Iterable[Subjects], aliases: Mapping[str, str]
) -> Differences:
    """For whom: person by person and value by value, and whether another entry means them, too.

    *aliases* are those of trusted issuers. Of too many to compare, any change may be both.
    """
    before, after = tuple(before), tuple(after)
    if max(_number(before), _number(after)) > MOST_PARTS:
        return other("subjects", before, after, say=lambda some: _combinations(_number(some)))
    return members(
        "subjects",
        parts(before),
        parts(after),
        say=lambda part: part.said(aliases),
        opens=lambda part: not part.is_within(before),
        closes=lambda part: not part.is_within(after),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The least that subjects can be: one person or everyone, and one value of each claim.

    *person* is `None` for everyone, a value where there is none that would do.
    """

    issuer: str
    person: str | None
    claims: tuple[tuple[str, str | None], ...]

    def is_within(self, subjects: Iterable[Subjects]) -> bool:
        """Whether all who are meant are meant by one of *subjects*.

        It is exact: whoever says more is meant wherever somebody is who says this alone.
        """
        return any(map(self._is_within, subjects))

    def said(self, aliases: Mapping[str, str]) -> str:
        """In the words of answers: `corp|alice`, or `everyone of corp if groups has staff`."""
        alias = aliases.get(self.issuer, self.issuer)
        who = f"everyone of {alias}" if self.person is None else f"{alias}{SEPARATOR}{self.person}"
        conditions = " and ".join(f"{name} has {value}" for name, value in self.claims)
        return f"{who} if {conditions}" if conditions else who

    def _is_within(self, entry: Subjects) -> bool:
        if entry.issuer != self.issuer or (entry.people and self.person not in entry.people):
            return False
        if not (entry.people or entry.claims):
            return entry.everyone
        values = dict(self.claims)
        return all(
            name in values and values[name] in (wanted or {None})
            for name, wanted in entry.claims.items()
        )


def said_subjects(subjects: Iterable[Subjects], aliases: Mapping[str, str]) -> frozenset[str]:
    """All who are meant, part by part; of entries that mean too many, how many."""
    said = set()
    for entry in subjects:
        number = _number([entry])
        if number > MOST_PARTS:
            said.add(f"{_combinations(number)} of {aliases.get(entry.issuer, entry.issuer)}")
        else:
            said.update(part.said(aliases) for part in parts([entry]))
    return frozenset(said)


def _number(subjects: Iterable[Subjects]) -> int:
    """Of the parts, without making them."""
    return sum(
        max(len(entry.people), 1) * prod(max(len(values), 1) for values in entry.claims.values())
        for entry in subjects
    )


def _combinations(number: int) -> str:
    return f"{number} combinations of people and claims"


def parts(subjects: Iterable[Subjects]) -> frozenset[Part]:
    """All of them; none of an entry that means nobody."""
    found = set()
    for entry in subjects:
        somebody: frozenset[str | None] = frozenset({None})
        people = entry.people or (somebody if entry.claims or entry.everyone else frozenset())
        claims = [
            [(name, value) for value in values or {None}]
            for name, values in sorted(entry.claims.items())
        ]
        for person, values in product(people, product(*claims)):
            found.add(Part(issuer=entry.issuer, person=person, claims=values))
    return frozenset(found)
