"""Who can lead to what: every way that some token could take through the grants."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import product

from delegation.domain.grants import Deny, Grant, Subjects
from delegation.domain.parties import NOBODY, Actor, Client, Identity
from delegation.domain.questions import Unaskable, Yes, decide, latest_end
from delegation.domain.registry import Registry
from delegation.domain.resources import Targets
from delegation.domain.tokens import SEPARATOR, Scope, VerifiedActor, VerifiedToken

_SOMEBODY, _SOME_AGENT = "\0somebody", "\0agent"
"""Names that nobody has: `is_name` refuses them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One grant, for those that one entry of its subjects means: some of them would be allowed.

    *people* are the named subjects that would; empty where it is whoever has the claims that
    *subjects* ask for. *agents*, or *any_agent*, are those through whom they would come with a
    token of their issuer, *before* the clients through whom they would come with one of ours.
    *scopes* maps each scope of their token to the scopes that it would lead to here. Of that,
    *denies* take something from some of them; what they take from all of them is not listed.
    """

    client: str
    resource: str
    grant: Grant
    subjects: Subjects
    people: tuple[str, ...]
    agents: tuple[str, ...]
    any_agent: bool
    before: tuple[str, ...]
    scopes: Mapping[str, Scope]
    denies: tuple[str, ...] = ()


def who_can(resource: str, scope: str | None, registry: Registry, now: datetime) -> list[Way]:
    """Every way to *resource*, a URI or a name; with *scope*, only what leads to that.

    In order of client, then grant. No token has been seen: each is taken to say all that the grant
    asks for, and to be as new as can be. Raises `Unaskable` for what is not in the registry.
    """
    entry = registry.resources.get(resource)
    if entry is None:
        raise Unaskable(f"there is no resource {resource}", what="resource")
    if scope is not None and scope not in entry.scopes:
        raise Unaskable(f"the resource {entry.identifier} has no scope {scope}", what="scope")
    found = _ways(registry, now, lambda grant: grant.resource == entry.identifier, scope=scope)
    return [_leading_to(scope, way) for way in found]


def what_can(name: str, registry: Registry, now: datetime) -> list[Way]:
    """Every way that a client can go, or a subject, `<alias>|<sub>`, can be taken.

    As `who_can` otherwise: of the subject nothing is known but its name.
    """
    alias, is_subject, subject = name.partition(SEPARATOR)
    if not is_subject:
        if name not in registry.clients:
            raise Unaskable(f"there is no client {name}", what="client")
        return list(_ways(registry, now, lambda grant: grant.client == name))
    if alias not in registry.aliases:
        raise Unaskable(f"there is no trusted issuer {alias}", what="trusted issuer")
    whom = Identity(registry.aliases[alias].issuer, subject)
    return list(_ways(registry, now, lambda _: True, whom=whom))


def _leading_to(scope: str | None, way: Way) -> Way:
    if scope is None:
        return way
    scopes = {name: meaning for name, meaning in way.scopes.items() if scope in meaning}
    return replace(way, scopes=scopes)


def _ways(
    registry: Registry,
    now: datetime,
    wanted: Callable[[Grant], bool],
    *,
    whom: Identity | None = None,
    scope: str | None = None,
) -> Iterator[Way]:
    holders: dict[str, list[str]] = {}
    for name, resource in sorted(registry.grants):
        holders.setdefault(resource, []).append(name)
    for (name, resource), grants in sorted(registry.grants.items()):
        client = registry.clients[name]
        # Who has a grant for what this client is itself may hand on to it.
        handing_on = holders.get(client.audience, [])
        for grant in filter(wanted, grants):
            before = tuple(filter(grant.agents.admit, handing_on))
            for subjects in grant.subjects:
                one = replace(grant, subjects=(subjects,))
                trial = _Trial(
                    client=client,
                    grant=grant,
                    subjects=subjects,
                    alone=replace(registry, grants={(name, resource): (one,)}, shadows={}),
                    denies=registry.denies.get((name, resource), ()),
                    scope=scope,
                    before=before,
                    now=now,
                )
                way = trial.way(whom)
                if way is not None:
                    yield way


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trial:
    """Tries one grant for some of its *subjects*, *alone*, with the best tokens there could be.

    What *denies* forbid them counts; where there is a *scope*, so does only what leads to that.
    """

    client: Client
    grant: Grant
    subjects: Subjects
    alone: Registry
    denies: tuple[Deny, ...]
    scope: str | None
    before: tuple[str, ...]
    now: datetime

    def way(self, whom: Identity | None) -> Way | None:
        """The way of those that are meant, or of *whom* alone among them."""
        agents = [*sorted(self.grant.agents.registered), *[_SOME_AGENT] * self.grant.agents.any]
        people: list[str] = []
        through: set[str] = set()
        after: set[str] = set()
        given: set[str] = set()
        for person in self._candidates(whom):
            first = {one: got for one in agents if (got := self._first_gives(person, one))}
            second = {one: got for one in self.before if (got := self._second_gives(person, one))}
            through |= first.keys()
            after |= second.keys()
            given.update(*first.values(), *second.values())
            people += [person] * bool(first or second)
            if people == [_SOMEBODY]:
                break
        if not people:
            return None
        return Way(
            client=self.client.id,
            resource=self.grant.resource,
            grant=self.grant,
            subjects=self.subjects,
            people=tuple(one for one in people if one != _SOMEBODY),
            agents=tuple(sorted(through - {_SOME_AGENT})),
            any_agent=_SOME_AGENT in through,
            before=tuple(sorted(after)),
            scopes=self._scopes(given),
            denies=tuple(deny.id for deny in self.denies if self._may_meet(deny, whom)),
        )

    def _candidates(self, whom: Identity | None) -> list[str]:
        if whom is not None:
            return [whom.subject] * (whom.issuer == self.subjects.issuer)
        # A machine that is its own agent has a shorter chain than somebody.
        return sorted(self.subjects.people) or [_SOMEBODY, *sorted(self.grant.agents.registered)]

    def _most(self) -> Scope:
        resource = self.alone.resources[self.grant.resource]
        return resource.clients[self.client.id] & resource.scopes

    def _scopes(self, given: set[str]) -> dict[str, Scope]:
        scopes = {name: meaning & given for name, meaning in sorted(self.grant.scopes.items())}
        return {name: meaning for name, meaning in scopes.items() if meaning}

    def _may_meet(self, deny: Deny, whom: Identity | None) -> bool:
        """Whether *deny* may take something from one of those that are meant, or from *whom*."""
        wanted = self.grant.ceiling & self._most()
        if self.scope is not None:
            wanted &= {self.scope}
        ours, theirs = self.grant.agents, deny.agents
        # Of a token of ours nobody knows beforehand through whom it came.
        is_through = theirs.any or ours.any or self.before or ours.registered & theirs.registered
        people = self.subjects.people if whom is None else {whom.subject}
        is_whom = any(
            subjects.issuer == self.subjects.issuer
            and not (subjects.people and people and subjects.people.isdisjoint(people))
            for subjects in deny.subjects
        )
        is_in_force = deny.expires_at is None or self.now < deny.expires_at
        return bool(is_in_force and is_through and is_whom and deny.taken_from(wanted))

    def _first_gives(self, person: str, agent: str) -> Scope:
        """What they may have through this agent; or by it, if the client may show that it acts.

        Whoever else an actor token names takes the place of the client, and nothing follows.
        """
        itself = Identity(self.subjects.issuer, agent)
        is_known = itself.issuer in self.alone.actor_issuers
        may_act = is_known and itself in self.client.may_present_actors
        given: set[str] = set()
        for claims in self._claims():
            subject = self._first(person, agent, claims)
            given |= self._gives(subject) or (
                self._gives(subject, self._actor(itself)) if may_act else frozenset()
            )
        return frozenset(given)

    def _second_gives(self, person: str, client: str) -> Scope:
        return self._gives(self._second(person, client))

    def _gives(self, subject: VerifiedToken, actor: VerifiedActor | None = None) -> Scope:
        answer = decide(
            subject,
            actor,
            by=self.client,
            at=Targets(audiences=(self.grant.resource,)),
            scope=None,
            registry=self.alone,
            now=self.now,
        )
        scope = answer.delegation.scope if isinstance(answer, Yes) else frozenset()
        return scope if self.scope is None or self.scope in scope else frozenset()

    def _claims(self) -> Iterator[Mapping[str, frozenset[str]]]:
        """What a token may say to be meant: all that is asked for; of what denies look at, one."""
        denied: dict[str, set[str]] = {}
        for subjects in (one for deny in self.denies for one in deny.subjects):
            for name, values in subjects.claims.items():
                denied.setdefault(name, set()).update(values)
        choices = []
        for name, values in self.subjects.claims.items():
            looked_at = values & denied.get(name, set())
            # No deny tells the others apart: together they are one choice.
            others = values - looked_at
            choices.append(
                [frozenset({one}) for one in sorted(looked_at)] + [others] * bool(others)
            )
        for chosen in product(*choices):
            yield dict(zip(self.subjects.claims, chosen, strict=True))

    def _actor(self, identity: Identity) -> VerifiedActor:
        return VerifiedActor(
            issuer=identity.issuer,
            id="question",
            identity=identity,
            issued_at=self.now,
            expires_at=latest_end(self.now),
        )

    def _first(
        self, person: str, agent: str, claims: Mapping[str, frozenset[str]]
    ) -> VerifiedToken:
        """A token of the issuer."""
        return VerifiedToken(
            issuer=self.subjects.issuer,
            id="question",
            subject=Identity(self.subjects.issuer, person),
            alias="",
            audience=(self.client.audience,),
            scope=frozenset(self.grant.scopes),
            issued_at=self.now,
            expires_at=latest_end(self.now),
            agent=agent,
            claims=claims,
        )

    def _second(self, person: str, client: str) -> VerifiedToken:
        """A token of ours, which has no claims."""
        us = self.alone.issuer
        return replace(
            self._first(person, client, {}),
            issuer=us,
            actors=NOBODY.handed_to(Actor(identity=Identity(us, client))),
            is_ours=True,
        )
