"""Everything that the platform has configured, at one revision: what one request is decided by."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self, TypeVar

from delegation.domain.errors import Cause, InvalidTarget
from delegation.domain.grants import Deny, Grant, Mode
from delegation.domain.parties import Client
from delegation.domain.resources import Resource, Targets
from delegation.domain.trust import ActorIssuer, AdminIssuer, TrustedIssuer


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """A snapshot, indexed for all that a request needs. Never changed, only replaced.

    *issuer* is our own identifier, *admin_audience* what administrators' tokens are for; *revision*
    is the digest of what this was read from. By client and resource, *grants* and *denies* are
    those that count, and *shadows* those that do not, of both kinds.
    """

    issuer: str
    admin_audience: str
    revision: str
    issuers: Mapping[str, TrustedIssuer]
    actor_issuers: Mapping[str, ActorIssuer]
    admin_issuers: Mapping[str, AdminIssuer]
    aliases: Mapping[str, TrustedIssuer]
    clients: Mapping[str, Client]
    resources: Mapping[str, Resource]
    grants: Mapping[tuple[str, str], tuple[Grant, ...]]
    denies: Mapping[tuple[str, str], tuple[Deny, ...]]
    shadows: Mapping[tuple[str, str], tuple[Grant | Deny, ...]]

    @classmethod
    def of(
        cls,
        *,
        issuer: str,
        revision: str,
        admin_audience: str | None = None,
        issuers: Iterable[TrustedIssuer] = (),
        actor_issuers: Iterable[ActorIssuer] = (),
        admin_issuers: Iterable[AdminIssuer] = (),
        clients: Iterable[Client] = (),
        resources: Iterable[Resource] = (),
        grants: Iterable[Grant | Deny] = (),
    ) -> Self:
        """Index the given entries. The loader has seen to it that they do not contradict."""
        trusted = tuple(issuers)
        named = {
            name: resource
            for resource in resources
            for name in (resource.identifier, *resource.names)
        }
        ordered = sorted(grants, key=lambda grant: grant.id)
        counting = [grant for grant in ordered if grant.mode is Mode.ENFORCE]
        return cls(
            issuer=issuer,
            admin_audience=admin_audience or usual_admin_audience(issuer),
            revision=revision,
            issuers={entry.issuer: entry for entry in trusted},
            actor_issuers={entry.issuer: entry for entry in actor_issuers},
            admin_issuers={entry.issuer: entry for entry in admin_issuers},
            aliases={entry.alias: entry for entry in trusted},
            clients={client.id: client for client in clients},
            resources=named,
            grants=_by_place(one for one in counting if isinstance(one, Grant)),
            denies=_by_place(one for one in counting if isinstance(one, Deny)),
            shadows=_by_place(one for one in ordered if one.mode is Mode.SHADOW),
        )

    def resource(self, targets: Targets, *, by: Client) -> Resource:
        """The one resource that *targets* name, for the client *by*. Raises `InvalidTarget`.

        Several values are fine where all name the same resource (RFC 8693 §2.1). Our own
        issuer, the admin audience and the presenting client are never resources, whatever is
        configured: that would be self-minting.
        """
        named = {*targets.resources, *targets.audiences}
        if not named:
            raise InvalidTarget(Cause.TARGET_MISSING)
        known = self.resources
        identifiers = {known[name].identifier for name in named if name in known}
        never = {self.issuer, self.admin_audience, by.audience, by.id}
        if not named <= known.keys() or (named | identifiers) & never:
            raise InvalidTarget(Cause.TARGET_UNKNOWN)
        if len(identifiers) > 1:
            raise InvalidTarget(Cause.TARGET_AMBIGUOUS)
        return known[identifiers.pop()]


G = TypeVar("G", Grant, Deny, Grant | Deny)


def _by_place(grants: Iterable[G]) -> dict[tuple[str, str], tuple[G, ...]]:
    """By client and resource, in the order given."""
    found: dict[tuple[str, str], list[G]] = {}
    for grant in grants:
        found.setdefault((grant.client, grant.resource), []).append(grant)
    return {place: tuple(some) for place, some in found.items()}


def usual_admin_audience(issuer: str) -> str:
    """What administrators' tokens are for, unless it is configured."""
    return f"{issuer.rstrip('/')}/admin"
