"""What a change of the files does: entry by entry, each with its place."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Self

from delegation.domain.changes import Change, Effect, Kind, Step, Team
from delegation.domain.comparison import Side, compare
from delegation.registry.build import build, subjects_of
from delegation.registry.entries import NAMED_BY, Entries, Sited
from delegation.registry.loader import Parser, Snapshot
from delegation.registry.problems import RegistryInvalid
from delegation.registry.published import with_fingerprints
from delegation.registry.schema import Entry, GrantEntry, TeamName

OTHERWISE = "only described otherwise"

_KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "issuers": Kind.ISSUER,
        "actor_issuers": Kind.ACTOR_ISSUER,
        "admin_issuers": Kind.ADMIN_ISSUER,
        "clients": Kind.CLIENT,
        "resources": Kind.RESOURCE,
        "teams": Kind.TEAM,
        "grants": Kind.GRANT,
    }
)
"""What the entries of each section are. Tests decide nothing."""

_Key = tuple[Kind, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One side of a comparison: what the files say, and where they say it.

    With *anonymous* files the places are those of no file that anybody has.
    """

    side: Side
    entries: Mapping[_Key, Sited[Entry]]
    anonymous: bool

    @classmethod
    def of(
        cls,
        files: Snapshot,
        *,
        issuer: str,
        admin_audience: str | None = None,
        revision: str | None = None,
        secrets: bool = True,
        anonymous: bool = False,
    ) -> Self:
        """Read *files*; without *secrets*, by their fingerprints. Raises `RegistryInvalid`.

        *revision* is theirs; `None` for what they are.
        """
        entries, problems = Parser(issuer=issuer, admin_audience=admin_audience).examine(files)
        if problems:
            raise RegistryInvalid(problems)
        if not secrets:
            with_fingerprints(entries)
        return cls(
            side=Side(
                registry=build(
                    entries,
                    issuer=issuer,
                    admin_audience=admin_audience,
                    revision=revision or files.revision,
                ),
                teams=_teams(entries),
            ),
            entries=_by_name(entries),
            anonymous=anonymous,
        )

    @property
    def revision(self) -> str:
        """Of the files."""
        return self.side.registry.revision

    def place(self, kind: Kind, name: str) -> str:
        """Where an entry stands; empty where it does not, or in no file that anybody has."""
        sited = self.entries.get((kind, name))
        return "" if sited is None or self.anonymous else str(sited)


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A change, and where the entry stands: in the files that are new, or else in the old ones."""

    change: Change
    place: str


def plan(before: Reading, after: Reading, now: datetime) -> list[Planned]:
    """All that changes from *before* to *after*, what widens first, as it counts from *now* on."""
    changes = compare(before.side, after.side, now)
    known = {(change.kind, change.name) for change in changes}
    changes += [one for one in _described(before, after) if (one.kind, one.name) not in known]
    return [
        Planned(
            change=one,
            place=after.place(one.kind, one.name) or before.place(one.kind, one.name),
        )
        for one in sorted(changes, key=lambda one: [*Effect].index(one.effect))
    ]


def _described(before: Reading, after: Reading) -> Iterator[Change]:
    """Entries that say something else than they did."""
    for (kind, name), sited in sorted(after.entries.items()):
        other = before.entries.get((kind, name))
        if other is not None and other.entry != sited.entry:
            yield Change(
                kind=kind, name=name, step=Step.CHANGED, effect=Effect.SAME, because=OTHERWISE
            )


def _by_name(entries: Entries) -> dict[_Key, Sited[Entry]]:
    return {
        (kind, getattr(sited.entry, NAMED_BY[section])): sited
        for section, kind in _KINDS.items()
        for sited in getattr(entries, section)
    }


def _teams(entries: Entries) -> dict[str, Team]:
    issuers = {sited.entry.alias: sited.entry.issuer for sited in entries.issuers}
    grants: dict[str, set[str]] = {}
    for sited in entries.grants:
        for name in _named(sited.entry):
            grants.setdefault(name, set()).add(sited.entry.id)
    return {
        team.id: Team(
            id=team.id,
            clients=frozenset(team.clients),
            subjects=tuple(subjects_of(one, issuers) for one in team.subjects),
            grants=frozenset(grants.get(team.id, ())),
        )
        for team in (sited.entry for sited in entries.teams)
    }


def _named(entry: GrantEntry) -> Iterator[str]:
    """The teams that a grant names."""
    for one in (entry.client, *entry.subjects):
        if isinstance(one, TeamName):
            yield one.team


def joined(found: Iterable[Planned]) -> Effect:
    """What all changes together can do."""
    effects = {one.change.effect for one in found} - {Effect.SAME}
    if len(effects) > 1:
        return Effect.BOTH
    return effects.pop() if effects else Effect.SAME
