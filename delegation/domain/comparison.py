"""What a change of the registry widens and narrows, entry by entry, and for whom.

A change widens where what it adds lies on a path that is open afterwards, and narrows where what it
takes lay on a path that was open before: whatever can be had that could not be had leads over a
path of which some entry gives more than it did.
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Generic, TypeVar

from delegation.domain.changes import Change, Effect, Kind, Step, Team, Whom
from delegation.domain.differences import Difference, Differences, other, said_agents, said_subjects
from delegation.domain.directions import (
    Both,
    of_actor_issuer,
    of_admin_issuer,
    of_client,
    of_grants,
    of_issuer,
    of_resource,
    of_team,
    said_scopes,
)
from delegation.domain.grants import Deny, Grant
from delegation.domain.parties import Client, Identity
from delegation.domain.paths import Closed, Path, Paths
from delegation.domain.registry import Registry
from delegation.domain.resources import Resource
from delegation.domain.trust import ActorIssuer, AdminIssuer, TrustedIssuer

T = TypeVar("T")

NOT_NEEDED = "no open grant needs it"

SHIFTS = "another grant may decide, and not all of them let a subject token be exchanged only once"


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """A registry, and the teams that its files are written with."""

    registry: Registry
    teams: Mapping[str, Team] = field(default_factory=dict)


def compare(before: Side, after: Side, now: datetime) -> list[Change]:
    """Every entry that is otherwise in *after*, as both count from *now* on."""
    both = Both.of(Paths(before.registry, now), Paths(after.registry, now))
    old, new = before.registry, after.registry
    return [
        *_service(old, new),
        *_Issuers(both).changes(old.issuers, new.issuers),
        *_ActorIssuers(both).changes(old.actor_issuers, new.actor_issuers),
        *_AdminIssuers(both).changes(old.admin_issuers, new.admin_issuers),
        *_Clients(both).changes(old.clients, new.clients),
        *_Resources(both).changes(_by_identifier(old), _by_identifier(new)),
        *_Teams(both).changes(before.teams, after.teams),
        *_Grants(both).changes(both.before.grants, both.after.grants),
    ]


def _service(old: Registry, new: Registry) -> list[Change]:
    """The service itself: registries of two services are not to be compared."""
    differences = (
        *other("issuer", old.issuer, new.issuer),
        *other("admin_audience", old.admin_audience, new.admin_audience),
    )
    if not differences:
        return []
    return [
        Change(
            kind=Kind.SERVICE,
            name=new.issuer,
            step=Step.CHANGED,
            effect=Effect.of(differences),
            differences=differences,
        )
    ]


def _by_identifier(registry: Registry) -> dict[str, Resource]:
    return {one.identifier: one for one in registry.resources.values()}


class _Entries(ABC, Generic[T]):
    """The entries of a kind, and how they are compared."""

    kind: Kind

    chooses = True
    """Whether a change can be to one grant and not to another, so that another decides."""

    def __init__(self, both: Both) -> None:
        self.both = both

    def changes(self, before: Mapping[str, T], after: Mapping[str, T]) -> list[Change]:
        """Of each entry that is otherwise, in the order of their names."""
        found = [
            *(self._added(after[key]) for key in after.keys() - before.keys()),
            *(self._removed(before[key]) for key in before.keys() - after.keys()),
            *(
                self._changed(before[key], after[key])
                for key in before.keys() & after.keys()
                if before[key] != after[key]
            ),
        ]
        return sorted(found, key=lambda change: change.name)

    @abstractmethod
    def name(self, one: T) -> str:
        """What the entry is called."""

    @abstractmethod
    def differ(self, old: T, new: T) -> Differences:
        """In what two of them differ."""

    def paths(self, one: T, here: Paths, there: Paths) -> list[Path]:  # noqa: ARG002
        """The paths *here* that lead over it; for what takes, those *there* that it takes from."""
        return []

    def gives(self, one: T, here: Paths) -> bool:
        """Whether something is allowed by its being *here*."""
        return bool(self.paths(one, here, here))

    def takes(self, one: T, here: Paths, there: Paths) -> bool:  # noqa: ARG002
        """Whether by its being *here* something is not allowed that is allowed *there*."""
        return False

    def whom(self, touched: Sequence[Path], *entries: T) -> Whom:  # noqa: ARG002
        """Whom a change of it concerns."""
        return whom([path.grant for path in touched], self.both)

    def because(self, one: T, here: Paths, touched: Sequence[Path]) -> str:  # noqa: ARG002
        """Why it does nothing, where that can be told."""
        return "" if touched else NOT_NEEDED

    def _added(self, one: T) -> Change:
        before, after = self.both.before, self.both.after
        gives, takes = self.gives(one, after), self.takes(one, after, before)
        there = Difference(of="", wider=gives, narrower=takes)
        return self._change(Step.ADDED, [there], self.paths(one, after, before), one)

    def _removed(self, one: T) -> Change:
        before, after = self.both.before, self.both.after
        gives, takes = self.gives(one, before), self.takes(one, before, after)
        gone = Difference(of="", wider=takes, narrower=gives)
        return self._change(Step.REMOVED, [gone], self.paths(one, before, after), one)

    def _changed(self, old: T, new: T) -> Change:
        before, after = self.both.before, self.both.after
        touched = [*self.paths(old, before, after), *self.paths(new, after, before)]
        return self._change(Step.CHANGED, [*self.differ(old, new)], touched, old, new)

    def _change(
        self, step: Step, differences: list[Difference], touched: Sequence[Path], *entries: T
    ) -> Change:
        one = entries[-1]
        effect = Effect.of(differences)
        here = self.both.before if step is Step.REMOVED else self.both.after
        because = self.because(one, here, touched) if effect is Effect.SAME else ""
        if self.chooses and effect is not Effect.SAME and self.both.shifts(touched):
            effect, because = Effect.BOTH, SHIFTS
        return Change(
            kind=self.kind,
            name=self.name(one),
            step=step,
            effect=effect,
            differences=tuple(found for found in differences if found.of),
            whom=self.whom(touched, *entries),
            because=because,
        )


class _Issuers(_Entries[TrustedIssuer]):
    kind = Kind.ISSUER

    def name(self, one: TrustedIssuer) -> str:
        return one.alias

    def differ(self, old: TrustedIssuer, new: TrustedIssuer) -> Differences:
        opened = bool(self.both.after.of_issuer(new.issuer))
        was_open = bool(self.both.before.of_issuer(old.issuer))
        for difference in of_issuer(old, new, self.both):
            yield difference.where(wider=opened, narrower=was_open)

    def paths(self, one: TrustedIssuer, here: Paths, there: Paths) -> list[Path]:  # noqa: ARG002
        return here.of_issuer(one.issuer)


class _ActorIssuers(_Entries[ActorIssuer]):
    kind = Kind.ACTOR_ISSUER

    def name(self, one: ActorIssuer) -> str:
        return one.alias

    def differ(self, old: ActorIssuer, new: ActorIssuer) -> Differences:
        open_now, open_then = bool(self.both.after.every()), bool(self.both.before.every())
        for difference in of_actor_issuer(old, new):
            yield difference.where(wider=open_now, narrower=open_then)

    def gives(self, one: ActorIssuer, here: Paths) -> bool:  # noqa: ARG002
        """Any client may present a token that says that it acts itself."""
        return bool(here.every())

    def because(self, one: ActorIssuer, here: Paths, touched: Sequence[Path]) -> str:  # noqa: ARG002
        return "" if here.every() else NOT_NEEDED


class _AdminIssuers(_Entries[AdminIssuer]):
    kind = Kind.ADMIN_ISSUER

    def name(self, one: AdminIssuer) -> str:
        return one.alias

    def differ(self, old: AdminIssuer, new: AdminIssuer) -> Differences:
        return of_admin_issuer(old, new)

    def gives(self, one: AdminIssuer, here: Paths) -> bool:  # noqa: ARG002
        """It decides nothing, but lets people stop and see everything."""
        return True

    def because(self, one: AdminIssuer, here: Paths, touched: Sequence[Path]) -> str:  # noqa: ARG002
        return ""


class _Clients(_Entries[Client]):
    kind = Kind.CLIENT
    chooses = False

    def name(self, one: Client) -> str:
        return one.id

    def differ(self, old: Client, new: Client) -> Differences:
        return of_client(old, new, self.both)

    def paths(self, one: Client, here: Paths, there: Paths) -> list[Path]:  # noqa: ARG002
        return here.of_client(one.id)

    def gives(self, one: Client, here: Paths) -> bool:
        """It gets at something, or acts for another client, or may introspect."""
        itself = Identity(here.registry.issuer, one.id)
        acts = any(
            itself in other.may_present_actors and here.of_client(other.id)
            for other in here.registry.clients.values()
        )
        introspects = one.is_auditor or bool(here.of_resource(one.audience))
        return bool(here.of_client(one.id)) or acts or introspects


class _Resources(_Entries[Resource]):
    kind = Kind.RESOURCE

    def name(self, one: Resource) -> str:
        return one.identifier

    def differ(self, old: Resource, new: Resource) -> Differences:
        return of_resource(old, new, self.both)

    def paths(self, one: Resource, here: Paths, there: Paths) -> list[Path]:  # noqa: ARG002
        return here.of_resource(one.identifier)

    def whom(self, touched: Sequence[Path], *entries: Resource) -> Whom:
        """Those for whom something else can come of their grants; of another name, all."""
        if len({one.names for one in entries}) > 1:
            return super().whom(touched)
        courses = Counter(path.course for path in touched)
        return super().whom([path for path in touched if courses[path.course] == 1])


class _Teams(_Entries[Team]):
    kind = Kind.TEAM

    def name(self, one: Team) -> str:
        return one.id

    def differ(self, old: Team, new: Team) -> Differences:
        return of_team(old, new, self.both)

    def paths(self, one: Team, here: Paths, there: Paths) -> list[Path]:
        return [path for id in sorted(one.grants) for path in _paths_of(id, here, there)]  # noqa: A001

    def _added(self, one: Team) -> Change:
        return replace(self._changed(Team(id=one.id), one), step=Step.ADDED)

    def _removed(self, one: Team) -> Change:
        return replace(self._changed(one, Team(id=one.id)), step=Step.REMOVED)


class _Grants(_Entries[list[Grant | Deny]]):
    """Each with those of the same id: one for each client of a team."""

    kind = Kind.GRANT

    def name(self, one: list[Grant | Deny]) -> str:
        return one[0].id

    def differ(self, old: list[Grant | Deny], new: list[Grant | Deny]) -> Differences:
        return of_grants(old, new, self.both)

    def paths(self, one: list[Grant | Deny], here: Paths, there: Paths) -> list[Path]:
        return _paths_of(one[0].id, here, there)

    def gives(self, one: list[Grant | Deny], here: Paths) -> bool:
        return bool(here.of_grant(one[0].id))

    def takes(self, one: list[Grant | Deny], here: Paths, there: Paths) -> bool:
        return bool(there.struck_by(here.denies.get(one[0].id, ())))

    def whom(self, touched: Sequence[Path], *entries: list[Grant | Deny]) -> Whom:  # noqa: ARG002
        return whom([grant for one in entries for grant in one], self.both)

    def because(self, one: list[Grant | Deny], here: Paths, touched: Sequence[Path]) -> str:
        if touched:
            return ""
        return here.closed.get(one[0].id, Closed.NOTHING_DENIED).value


def _paths_of(id: str, here: Paths, there: Paths) -> list[Path]:  # noqa: A002
    """Those of a grant *here*, or those *there* that it takes from as a deny."""
    return [*here.of_grant(id), *there.struck_by(here.denies.get(id, ()))]


def whom(grants: Iterable[Grant | Deny], both: Both) -> Whom:
    """All that *grants* name."""
    found = [*grants]
    meant = said_subjects((one for grant in found for one in grant.subjects), both.aliases)
    agents = {name for grant in found for name in said_agents(grant.agents)}
    return Whom(
        grants=tuple(sorted({grant.id for grant in found})),
        clients=tuple(sorted({grant.client for grant in found})),
        resources=tuple(sorted({grant.resource for grant in found})),
        subjects=tuple(sorted(meant)),
        agents=tuple(sorted(agents)),
        scopes=tuple(sorted({name for grant in found for name in said_scopes(grant)})),
    )
