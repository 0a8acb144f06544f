"""The entries of a registry as the rules of lint look at them: by name, and as domain values."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Generic, TypeVar

from delegation.domain.grants import Deny, Grant, Mode, Subjects
from delegation.domain.tokens import Scope
from delegation.registry.build import build, members
from delegation.registry.entries import E, Entries, Sited
from delegation.registry.schema import (
    ClientEntry,
    GrantEntry,
    IssuerEntry,
    ResourceEntry,
    TeamEntry,
    TeamName,
)

G = TypeVar("G", Grant, Deny)


@dataclass(frozen=True, slots=True, kw_only=True)
class Written(Generic[G]):
    """A grant or a deny as it is written, and what it means: one for *each* of its clients.

    *places* says for each of the subjects at which of the entry's `subjects` it stands.
    """

    sited: Sited[GrantEntry]
    each: tuple[G, ...]
    places: tuple[int, ...]

    @property
    def any(self) -> G:
        """One of them: they differ in the client alone."""
        return self.each[0]

    @property
    def subjects(self) -> tuple[Subjects, ...]:
        """Whom they mean."""
        return self.any.subjects

    def counts(self, now: datetime) -> bool:
        """Whether it gives or takes anything at *now*."""
        return self.any.mode is Mode.ENFORCE and not self.has_ended(now)

    def has_ended(self, now: datetime) -> bool:
        """Whether its time is over at *now*."""
        return self.any.expires_at is not None and self.any.expires_at <= now


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known, at the moment *now*. Of two entries with one name, the first counts.

    *all_right* says whether nothing is refused: else nothing can be said to be missing. *grants*
    and *denies* are those that refer to nothing unknown. *giving* are the grants that count, by
    client and resource; *before*, for a client and an issuer of people, the clients whose tokens it
    may present: those with a grant for what it is itself. *alike* are the resources by their names,
    read carelessly; *aliases* are those of the issuers.
    """

    entries: Entries
    all_right: bool
    now: datetime
    issuers: Mapping[str, Sited[IssuerEntry]]
    clients: Mapping[str, Sited[ClientEntry]]
    resources: Mapping[str, Sited[ResourceEntry]]
    grants: tuple[Written[Grant], ...]
    denies: tuple[Written[Deny], ...]
    giving: Mapping[tuple[str, str], tuple[Grant, ...]]
    before: Mapping[tuple[str, str], frozenset[str]]
    alike: Mapping[str, tuple[Sited[ResourceEntry], ...]]
    aliases: Mapping[str, str]

    @classmethod
    def of(cls, entries: Entries, *, all_right: bool, us: str, now: datetime) -> "Known":
        """Sort *entries*, for a service that is itself the issuer *us*."""
        names = _Names.of(entries)
        whole = build(names.resolved(), issuer=us, revision="")
        meant: dict[str, list[Grant | Deny]] = {}
        every: list[Iterable[Grant | Deny]]
        every = [*whole.grants.values(), *whole.denies.values(), *whole.shadows.values()]
        for one in chain.from_iterable(every):
            meant.setdefault(one.id, []).append(one)
        grants, denies = _written(meant, names, Grant), _written(meant, names, Deny)
        giving: dict[tuple[str, str], list[Grant]] = {}
        for grant in grants:
            if grant.counts(now):
                for one in grant.each:
                    giving.setdefault((one.client, one.resource), []).append(one)
        return cls(
            entries=entries,
            all_right=all_right,
            now=now,
            issuers=names.issuers,
            clients=names.clients,
            resources=names.resources,
            grants=grants,
            denies=denies,
            giving={place: tuple(some) for place, some in giving.items()},
            before=_before(giving, names.clients.values()),
            alike=_alike(names.resources.values()),
            aliases={one.entry.issuer: alias for alias, one in names.issuers.items()},
        )

    def nearly(self, audience: str) -> list[Sited[ResourceEntry]]:
        """The resources that have a name like *audience*, and another identifier."""
        return [
            one for one in self.alike.get(_plain(audience), ()) if one.entry.identifier != audience
        ]

    def admission(self, client: str, resource: str) -> Scope:
        """What *resource* admits *client* to."""
        entry = self.resources[resource].entry
        return frozenset(entry.clients.get(client, ())) & frozenset(entry.scopes)


def _before(
    giving: Mapping[tuple[str, str], list[Grant]], clients: Iterable[Sited[ClientEntry]]
) -> dict[tuple[str, str], frozenset[str]]:
    is_itself = {one.entry.audience: one.entry.id for one in clients}
    found: dict[tuple[str, str], set[str]] = {}
    for (client, resource), some in giving.items():
        for issuer in {one.issuer for grant in some for one in grant.subjects}:
            if resource in is_itself:
                found.setdefault((is_itself[resource], issuer), set()).add(client)
    return {pair: frozenset(names) for pair, names in found.items()}


def _alike(
    resources: Iterable[Sited[ResourceEntry]],
) -> dict[str, tuple[Sited[ResourceEntry], ...]]:
    found: dict[str, list[Sited[ResourceEntry]]] = {}
    for one in resources:
        for name in {_plain(name) for name in (one.entry.identifier, *one.entry.names)}:
            found.setdefault(name, []).append(one)
    return {name: tuple(some) for name, some in found.items()}


def _plain(name: str) -> str:
    """*name* without what is overlooked most."""
    return name.casefold().rstrip("/")


def _written(
    meant: Mapping[str, list[Grant | Deny]], names: "_Names", kind: type[G]
) -> tuple[Written[G], ...]:
    """In the order in which they are written."""
    return tuple(
        Written(
            sited=sited,
            each=tuple(one for one in meant[id_] if isinstance(one, kind)),
            places=names.places(sited.entry),
        )
        for id_, sited in names.grants.items()
        if id_ in meant and isinstance(meant[id_][0], kind)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Names:
    """Entries by the name that others call them."""

    issuers: Mapping[str, Sited[IssuerEntry]]
    clients: Mapping[str, Sited[ClientEntry]]
    resources: Mapping[str, Sited[ResourceEntry]]
    teams: Mapping[str, Sited[TeamEntry]]
    grants: Mapping[str, Sited[GrantEntry]]
    members: Mapping[str, TeamEntry]

    @classmethod
    def of(cls, entries: Entries) -> "_Names":
        teams = _by_name(entries.teams, "id")
        return cls(
            issuers=_by_name(entries.issuers, "alias"),
            clients=_by_name(entries.clients, "id"),
            resources=_by_name(entries.resources, "identifier"),
            teams=teams,
            grants=_by_name(entries.grants, "id"),
            members={id_: one.entry for id_, one in teams.items()},
        )

    def resolved(self) -> Entries:
        """The grants that refer to nothing unknown, and what they refer to."""
        return Entries(
            issuers=[*self.issuers.values()],
            teams=[*self.teams.values()],
            grants=[one for one in self.grants.values() if self._is_resolved(one.entry)],
        )

    def places(self, entry: GrantEntry) -> tuple[int, ...]:
        """For each of the subjects that *entry* means, its place in the list."""
        return tuple(
            index
            for index, one in enumerate(entry.subjects)
            for _ in (self.members[one.team].subjects if isinstance(one, TeamName) else [one])
        )

    def _is_resolved(self, entry: GrantEntry) -> bool:
        named = [one.team for one in (entry.client, *entry.subjects) if isinstance(one, TeamName)]
        says_what = isinstance(entry.scopes, dict) == (entry.effect == "allow")
        if not (says_what and self.members.keys() >= {*named}):
            return False
        clients, subjects = members(entry, self.members)
        return (
            bool(clients and subjects)
            and self.clients.keys() >= {*clients}
            and self.issuers.keys() >= {one.issuer for one in subjects}
            and entry.resource in self.resources
        )


def _by_name(sited: Iterable[Sited[E]], key: str) -> dict[str, Sited[E]]:
    named: dict[str, Sited[E]] = {}
    for one in sited:
        named.setdefault(getattr(one.entry, key), one)
    return named
