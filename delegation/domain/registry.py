"""Everything that the platform has configured, at one revision: what one request is decided by."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

from delegation.domain.errors import Cause, InvalidTarget
from delegation.domain.grants import Grant
from delegation.domain.parties import Client
from delegation.domain.resources import Resource, Targets
from delegation.domain.trust import ActorIssuer, AdminIssuer, TrustedIssuer


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """A snapshot, indexed for all that a request needs. Never changed, only replaced.

    *issuer* is our own identifier, *admin_audience* what administrators' tokens are for; *revision*
    is the digest of what this was read from.
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
        grants: Iterable[Grant] = (),
    ) -> Self:
        """Index the given entries. The loader has seen to it that they do not contradict."""
        trusted = tuple(issuers)
        named = {
            name: resource
            for resource in resources
            for name in (resource.identifier, *resource.names)
        }
        indexed: dict[tuple[str, str], tuple[Grant, ...]] = {}
        for grant in sorted(grants, key=lambda grant: grant.id):
            pair = (grant.client, grant.resource)
            indexed[pair] = (*indexed.get(pair, ()), grant)
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
            grants=indexed,
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
        found = {name: self.resources.get(name) for name in named}
        identifiers = {resource.identifier for resource in found.values() if resource is not None}
        never = {self.issuer, self.admin_audience, by.audience, by.id}
        if None in found.values() or (named | identifiers) & never:
            raise InvalidTarget(Cause.TARGET_UNKNOWN)
        if len(identifiers) > 1:
            raise InvalidTarget(Cause.TARGET_AMBIGUOUS)
        return self.resources[identifiers.pop()]


def usual_admin_audience(issuer: str) -> str:
    """What administrators' tokens are for, unless it is configured."""
    return f"{issuer.rstrip('/')}/admin"
