"""Whether whoever, and whatever, one grant means is meant by another one, too."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain

from delegation.domain.grants import Agents, Deny, Grant, Subjects
from delegation.domain.rates import lets_more
from delegation.domain.tokens import Scope


def are_within(subjects: Iterable[Subjects], others: Iterable[Subjects]) -> bool:
    """Whether each of *subjects* is within one of *others*."""
    return all(any(is_within(one, other) for other in others) for one in subjects)


def is_within(one: Subjects, other: Subjects) -> bool:
    """Whether every token that *one* admits is admitted by *other*: what it asks for is asked."""
    if one.issuer != other.issuer:
        return False
    if other.people and not (one.people and one.people <= other.people):
        return False
    return all(
        name in one.claims and one.claims[name] <= values for name, values in other.claims.items()
    ) and bool(other.people or other.claims or other.everyone)


def may_meet(one: Subjects, other: Subjects) -> bool:
    """Whether somebody may be meant by both. A token can have any claims."""
    if one.issuer != other.issuer:
        return False
    return not (one.people and other.people) or not one.people.isdisjoint(other.people)


def gives_no_more(one: Grant, other: Grant) -> bool:
    """Whether *other* gives whatever *one* does, to the same chain and for as long, or longer."""
    return (
        (one.client, one.resource) == (other.client, other.resource)
        and _are_the_same_agents(one.agents, other.agents)
        and all(meaning <= other.scopes.get(name, set()) for name, meaning in one.scopes.items())
        and _ends_no_later(one.expires_at, other.expires_at)
        and one.lifetime <= other.lifetime
        and one.chain_limit <= other.chain_limit
        and one.services <= other.services
        and one.cycles <= other.cycles
        and one.downscope <= other.downscope
        and other.single_use <= one.single_use
        and not lets_more(one.rates, other.rates)
        and are_within(one.subjects, other.subjects)
    )


def takes(deny: Deny, grant: Grant) -> Scope | None:
    """What *deny* takes of all that *grant* gives, whoever it is for; `None` for everything."""
    if (
        (deny.client, deny.resource) == (grant.client, grant.resource)
        and (deny.agents.any or _are_among(grant.agents, deny.agents))
        and _ends_no_later(grant.expires_at, deny.expires_at)
        and are_within(grant.subjects, deny.subjects)
    ):
        return deny.scopes
    return frozenset()


def _are_the_same_agents(one: Agents, other: Agents) -> bool:
    """Whoever is named enters the chain, and any do not: the one is not part of the other."""
    return one == other if one.any or other.any else _are_among(one, other)


def _are_among(one: Agents, other: Agents) -> bool:
    return not one.any and one.registered <= other.registered


def _ends_no_later(one: datetime | None, other: datetime | None) -> bool:
    return other is None or (one is not None and one <= other)


Trait = tuple[object, ...]


@dataclass(slots=True)
class Shelf:
    """Grants or denies by what they have in common with whatever is within them.

    So that each is compared with few others, however many there are.
    """

    _by_trait: dict[Trait, list[int]] = field(default_factory=dict)

    def put(self, number: int, one: Grant | Deny) -> None:
        """Have *one*, under a number that it is told by."""
        traits = {trait for each in one.subjects for trait in _traits(each)}
        traits |= {("agent", agent) for agent in one.agents.registered or {_ANY}}
        if isinstance(one, Grant):
            traits |= {("scope", name) for name in one.scopes}
        for trait in traits:
            self._by_trait.setdefault((one.client, one.resource, *trait), []).append(number)

    def around(self, one: Grant, *, takes: bool = False) -> Iterator[int]:
        """The numbers of all that *one* may be within, and of some others.

        They are those of grants; or of denies, where what is here *takes*.
        """
        agents = {_ANY, min(one.agents.registered, default=_ANY)}
        choices: list[list[Trait]]
        choices = [[*_wider(one.subjects[0])], [("agent", agent) for agent in agents]]
        if not takes:
            choices += [[("scope", name)] for name in one.scopes]
        return self._fewest(one, choices)

    def meeting(self, one: Deny, *, through_any: bool) -> Iterator[int]:
        """The numbers of all that mean somebody whom *one* may mean, and of some others.

        *through_any* says that agents are of no account.
        """
        choices: list[list[Trait]]
        choices = [[trait for each in one.subjects for trait in _touching(each)]]
        if not (through_any or one.agents.any):
            choices.append([("agent", agent) for agent in (_ANY, *one.agents.registered)])
        return self._fewest(one, choices)

    def _fewest(self, one: Grant | Deny, choices: Iterable[Iterable[Trait]]) -> Iterator[int]:
        """The numbers at one of *choices*: that with the fewest. Some come more than once."""
        place = one.client, one.resource
        found: list[list[list[int]]]
        found = [
            [self._by_trait.get((*place, *trait), []) for trait in choice] for choice in choices
        ]
        fewest = min(found, key=_size)
        return chain.from_iterable(fewest)


def _size(lists: list[list[int]]) -> int:
    return sum(map(len, lists))


_ANY = "\0any"
"""Stands for agents that are not named: nobody is called so."""


def _traits(one: Subjects) -> Iterator[Trait]:
    """By what it is found: its people; else the values of one claim; else that it is everyone."""
    if one.people:
        yield one.issuer, "some people"
        for person in one.people:
            yield one.issuer, "person", person
        return
    yield one.issuer, "no people"
    if not one.claims:
        yield one.issuer, "everyone"
        return
    name, values = min(one.claims.items())
    for value in values:
        yield one.issuer, "claim", name, value


def _wider(one: Subjects) -> Iterator[Trait]:
    """Traits of which everything has one that *one* is within."""
    if one.people:
        yield one.issuer, "person", min(one.people)
    for name, values in one.claims.items():
        yield one.issuer, "claim", name, min(values)
    yield one.issuer, "everyone"


def _touching(one: Subjects) -> Iterator[Trait]:
    """Traits of which everything has one that may mean somebody whom *one* means."""
    yield one.issuer, "no people"
    if not one.people:
        yield one.issuer, "some people"
    for person in one.people:
        yield one.issuer, "person", person
