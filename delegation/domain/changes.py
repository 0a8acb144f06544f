"""What was done to the entries of a registry, and what that can do to decisions."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from delegation.domain.differences import Difference
from delegation.domain.grants import Subjects


class Effect(StrEnum):
    """What a change can do to decisions. Where it cannot be told which, it is both."""

    WIDER = "wider"
    NARROWER = "narrower"
    BOTH = "both"
    SAME = "same"

    @classmethod
    def of(cls, differences: Iterable[Difference]) -> "Effect":
        """That of all *differences* together."""
        found = [*differences]
        wider, narrower = any(one.wider for one in found), any(one.narrower for one in found)
        if wider:
            return cls.BOTH if narrower else cls.WIDER
        return cls.NARROWER if narrower else cls.SAME


class Kind(StrEnum):
    """What an entry is."""

    SERVICE = "service"
    ISSUER = "issuer"
    ACTOR_ISSUER = "actor_issuer"
    ADMIN_ISSUER = "admin_issuer"
    CLIENT = "client"
    RESOURCE = "resource"
    TEAM = "team"
    GRANT = "grant"


class Step(StrEnum):
    """What was done to an entry."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Whom:
    """Whom a change concerns: what the grants say on whose paths it lies."""

    grants: tuple[str, ...] = ()
    clients: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One entry that is otherwise than it was, and what that can do to decisions.

    *because* says more of its effect, where there is more to say.
    """

    kind: Kind
    name: str
    step: Step
    effect: Effect
    differences: tuple[Difference, ...] = ()
    whom: Whom = field(default_factory=Whom)
    because: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Team:
    """Clients and subjects under one name, and the *grants* that name it, as the one or other."""

    id: str
    clients: frozenset[str] = frozenset()
    subjects: tuple[Subjects, ...] = ()
    grants: frozenset[str] = field(default=frozenset(), compare=False)
