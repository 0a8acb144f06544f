"""The open paths of a registry: the grants that something can come of, and how much."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from delegation.domain.grants import Deny, Grant, Mode, Subjects
from delegation.domain.registry import Registry
from delegation.domain.tokens import Scope


class Closed(StrEnum):
    """Why nothing comes of a grant: it neither gives nor takes."""

    SHADOW = "in shadow"
    EXPIRED = "it has expired"
    CLIENT = "its client may not exchange"
    ADMISSION = "its resource does not admit its client"
    NOBODY = "it means nobody of a trusted issuer, or no agent"
    SCOPE = "its resource gives its client none of these scopes"
    NOTHING_DENIED = "no grant gives what it denies"


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """A *grant* that something can come of: *subjects* and *scopes* are what is left of its own."""

    grant: Grant
    subjects: tuple[Subjects, ...]
    scopes: Mapping[str, Scope]

    @property
    def pair(self) -> tuple[str, str]:
        """The client and the resource that it connects."""
        return self.grant.client, self.grant.resource

    @property
    def course(self) -> tuple[str, str, frozenset[tuple[str, Scope]]]:
        """By which grant it leads whom, and from which scopes to which."""
        return self.grant.id, self.grant.client, frozenset(self.scopes.items())

    @property
    def gives(self) -> Scope:
        """All scopes that can come of it."""
        return frozenset().union(*self.scopes.values())


class Paths:
    """All grants of a *registry*, those that are open from *now* on, and the denies in force."""

    def __init__(self, registry: Registry, now: datetime) -> None:
        self.registry = registry
        self.grants: dict[str, list[Grant | Deny]] = {}
        self.closed: dict[str, Closed] = {}
        self.denies: dict[str, list[Deny]] = {}
        self._open: dict[str, list[Path]] = {}
        self._by_pair: dict[tuple[str, str], list[Path]] = {}
        self._by_client: dict[str, list[Path]] = {}
        self._by_resource: dict[str, list[Path]] = {}
        self._by_issuer: dict[str, list[Path]] = {}
        for grant in sorted(_all(registry), key=lambda grant: (grant.id, grant.client)):
            self.grants.setdefault(grant.id, []).append(grant)
            found = follow(grant, registry, now)
            if isinstance(found, Path):
                self._add(found)
            elif isinstance(found, Deny):
                self.denies.setdefault(grant.id, []).append(found)
            else:
                self.closed[grant.id] = found

    def every(self) -> list[Path]:
        """All of them."""
        return [path for paths in self._open.values() for path in paths]

    def of_grant(self, id: str) -> list[Path]:  # noqa: A002, the field's own word
        """Those of one grant: one for each of its clients."""
        return self._open.get(id, [])

    def of_pair(self, pair: tuple[str, str]) -> list[Path]:
        """Those of a client to a resource."""
        return self._by_pair.get(pair, [])

    def of_client(self, id: str) -> list[Path]:  # noqa: A002
        """Those by which a client gets at anything."""
        return self._by_client.get(id, [])

    def of_resource(self, identifier: str) -> list[Path]:
        """Those that lead to a resource."""
        return self._by_resource.get(identifier, [])

    def of_issuer(self, issuer: str) -> list[Path]:
        """Those for subjects of a trusted issuer."""
        return self._by_issuer.get(issuer, [])

    def struck_by(self, denies: Iterable[Deny]) -> list[Path]:
        """Those that one of *denies* may take something from."""
        return [
            path
            for deny in denies
            for path in self.of_pair((deny.client, deny.resource))
            if deny.taken_from(path.gives) and _meet(deny.subjects, path.subjects)
        ]

    def _add(self, path: Path) -> None:
        self._open.setdefault(path.grant.id, []).append(path)
        self._by_pair.setdefault(path.pair, []).append(path)
        self._by_client.setdefault(path.grant.client, []).append(path)
        self._by_resource.setdefault(path.grant.resource, []).append(path)
        for issuer in {subjects.issuer for subjects in path.subjects}:
            self._by_issuer.setdefault(issuer, []).append(path)


def follow(grant: Grant | Deny, registry: Registry, now: datetime) -> Path | Deny | Closed:
    """What can come of *grant* from *now* on; a deny that is in force; or why there is nothing."""
    if grant.mode is Mode.SHADOW:
        return Closed.SHADOW
    if grant.expires_at is not None and now >= grant.expires_at:
        return Closed.EXPIRED
    return grant if isinstance(grant, Deny) else _path(grant, registry)


def _path(grant: Grant, registry: Registry) -> Path | Closed:
    client = registry.clients.get(grant.client)
    if client is None or not client.may_exchange:
        return Closed.CLIENT
    resource = registry.resources.get(grant.resource)
    if resource is None or grant.client not in resource.clients:
        return Closed.ADMISSION
    subjects = tuple(
        one for one in grant.subjects if one.issuer in registry.issuers and _means_somebody(one)
    )
    if not subjects or not (grant.agents.any or grant.agents.registered):
        return Closed.NOBODY
    most = resource.clients[grant.client] & resource.scopes
    scopes = {name: meaning & most for name, meaning in grant.scopes.items()}
    if not any(scopes.values()):
        return Closed.SCOPE
    return Path(grant=grant, subjects=subjects, scopes=scopes)


def _all(registry: Registry) -> Iterator[Grant | Deny]:
    for kind in (registry.grants, registry.denies, registry.shadows):
        for grants in kind.values():
            yield from grants


def _means_somebody(subjects: Subjects) -> bool:
    stated = bool(subjects.people or subjects.claims)
    return all(subjects.claims.values()) and (stated or subjects.everyone)


def _meet(some: Iterable[Subjects], others: Iterable[Subjects]) -> bool:
    """Whether somebody may be meant by both, for all that can be told without a token."""
    others = [*others]
    return any(
        one.issuer == other.issuer
        and not (one.people and other.people and one.people.isdisjoint(other.people))
        for one in some
        for other in others
    )
