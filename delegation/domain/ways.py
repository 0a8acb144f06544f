"""Who can lead to what: every way that some token could take through the grants."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from delegation.domain.grants import Grant, Subjects
from delegation.domain.parties import NOBODY, Actor, Client, Identity
from delegation.domain.questions import Unaskable, Yes, decide
from delegation.domain.registry import Registry
from delegation.domain.resources import Targets
from delegation.domain.tokens import SEPARATOR, Scope, VerifiedActor, VerifiedToken
from delegation.domain.trust import LONGEST_LIFE

_SOMEBODY, _SOME_AGENT = "\0somebody", "\0agent"
"""Names that nobody has: `is_name` refuses them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One grant, for those that one entry of its subjects means: some of them would be allowed.

    *people* are the named subjects that would; empty where it is whoever has the claims that
    *subjects* ask for. *agents*, or *any_agent*, are those through whom they would come with a
    token of their issuer, *before* the clients through whom they would come with one of ours.
    *scopes* maps each scope of their token to the scopes that it would lead to here.
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


def who_can(resource: str, scope: str | None, registry: Registry, now: datetime) -> list[Way]:
    """Every way to *resource*, a URI or a name; with *scope*, only what leads to that.

    In order of client, then grant. No token has been seen: each is taken to say all that the grant
    asks for, and to be as new as can be. Raises `Unaskable` for what is not in the registry.
    """
    entry = registry.resources.get(resource)
    if entry is None:
        raise Unaskable(f"there is no resource {resource}")
    if scope is not None and scope not in entry.scopes:
        raise Unaskable(f"the resource {entry.identifier} has no scope {scope}")
    found = _ways(registry, now, lambda grant: grant.resource == entry.identifier)
    return [way for one in found if (way := _leading_to(scope, one)) is not None]


def what_can(name: str, registry: Registry, now: datetime) -> list[Way]:
    """Every way that a client can go, or a subject, `<alias>|<sub>`, can be taken.

    As `who_can` otherwise: of the subject nothing is known but its name.
    """
    alias, is_subject, subject = name.partition(SEPARATOR)
    if not is_subject:
        if name not in registry.clients:
            raise Unaskable(f"there is no client {name}")
        return list(_ways(registry, now, lambda grant: grant.client == name))
    if alias not in registry.aliases:
        raise Unaskable(f"there is no trusted issuer {alias}")
    whom = Identity(registry.aliases[alias].issuer, subject)
    return list(_ways(registry, now, lambda _: True, whom))


def _leading_to(scope: str | None, way: Way) -> Way | None:
    if scope is None:
        return way
    scopes = {name: meaning for name, meaning in way.scopes.items() if scope in meaning}
    return replace(way, scopes=scopes) if scopes else None


def _ways(
    registry: Registry,
    now: datetime,
    wanted: Callable[[Grant], bool],
    whom: Identity | None = None,
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
                    alone=replace(registry, grants={(name, resource): (one,)}),
                    before=before,
                    now=now,
                )
                way = trial.way(whom)
                if way is not None:
                    yield way


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trial:
    """Tries one grant for some of its *subjects*, *alone*, with the best tokens there could be."""

    client: Client
    grant: Grant
    subjects: Subjects
    alone: Registry
    before: tuple[str, ...]
    now: datetime

    def way(self, whom: Identity | None) -> Way | None:
        """The way of those that are meant, or of *whom* alone among them."""
        agents = [*sorted(self.grant.agents.registered), *[_SOME_AGENT] * self.grant.agents.any]
        people: list[str] = []
        through: set[str] = set()
        after: set[str] = set()
        for person in self._candidates(whom):
            first = {one for one in agents if self._is_first(person, one)}
            second = {one for one in self.before if self._allows(self._second(person, one))}
            through |= first
            after |= second
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
            scopes=self._scopes(),
        )

    def _candidates(self, whom: Identity | None) -> list[str]:
        if whom is not None:
            return [whom.subject] * (whom.issuer == self.subjects.issuer)
        # A machine that is its own agent has a shorter chain than somebody.
        return sorted(self.subjects.people) or [_SOMEBODY, *sorted(self.grant.agents.registered)]

    def _scopes(self) -> dict[str, Scope]:
        resource = self.alone.resources[self.grant.resource]
        most = resource.clients[self.client.id] & resource.scopes
        scopes = {name: meaning & most for name, meaning in sorted(self.grant.scopes.items())}
        return {name: meaning for name, meaning in scopes.items() if meaning}

    def _is_first(self, person: str, agent: str) -> bool:
        """Whether it may be, through this agent; or by it, if the client may show that it acts.

        Whoever else an actor token names takes the place of the client, and nothing follows.
        """
        subject, itself = self._first(person, agent), Identity(self.subjects.issuer, agent)
        if self._allows(subject):
            return True
        is_known = itself.issuer in self.alone.actor_issuers
        if not is_known or itself not in self.client.may_present_actors:
            return False
        actor = VerifiedActor(
            issuer=itself.issuer,
            id="question",
            identity=itself,
            issued_at=self.now,
            expires_at=subject.expires_at,
        )
        return self._allows(subject, actor)

    def _allows(self, subject: VerifiedToken, actor: VerifiedActor | None = None) -> bool:
        answer = decide(
            subject,
            actor,
            by=self.client,
            at=Targets(audiences=(self.grant.resource,)),
            scope=None,
            registry=self.alone,
            now=self.now,
        )
        return isinstance(answer, Yes)

    def _first(self, person: str, agent: str) -> VerifiedToken:
        """A token of the issuer, with every claim that is asked for."""
        return VerifiedToken(
            issuer=self.subjects.issuer,
            id="question",
            subject=Identity(self.subjects.issuer, person),
            alias="",
            audience=(self.client.audience,),
            scope=frozenset(self.grant.scopes),
            issued_at=self.now,
            expires_at=self.now + LONGEST_LIFE,
            agent=agent,
            claims=self.subjects.claims,
        )

    def _second(self, person: str, client: str) -> VerifiedToken:
        """A token of ours, which has no claims."""
        us = self.alone.issuer
        return replace(
            self._first(person, client),
            issuer=us,
            actors=NOBODY.handed_to(Actor(identity=Identity(us, client))),
            claims={},
            is_ours=True,
        )
