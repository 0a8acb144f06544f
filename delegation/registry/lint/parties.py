"""What issuers, clients, resources and teams show: what cannot work, and what nothing needs."""

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit

from pydantic import BaseModel

from delegation.domain.resources import is_loopback
from delegation.registry.entries import Entries, Sited
from delegation.registry.lint.catalogue import LintCode
from delegation.registry.lint.findings import Finding, found
from delegation.registry.lint.known import Known
from delegation.registry.schema import (
    SECTIONS,
    ActorIssuerEntry,
    AdminIssuerEntry,
    ClientEntry,
    Entry,
    IssuerEntry,
    TeamName,
)

Publishing = (
    Sited[IssuerEntry] | Sited[ActorIssuerEntry] | Sited[AdminIssuerEntry] | Sited[ClientEntry]
)
"""Whoever has keys at an address."""


def look_at_parties(known: Known) -> Iterator[Finding]:
    """Whatever these entries show, alone and by who refers to them."""
    yield from _keys(known)
    for client in known.clients.values():
        if (client.entry.exchange or client.entry.auditor) and not _can_say_who(client.entry):
            message = f"`{client.entry.id}` has neither secrets nor keys: it cannot authenticate"
            yield found(LintCode.NO_CREDENTIALS, client, message)
    yield from _repetitions(known)
    if known.all_right:
        yield from _introspection(known)
        yield from _unused(known)


def _can_say_who(client: ClientEntry) -> bool:
    return bool(client.secrets or client.keys or client.jwks_uri)


def _keys(known: Known) -> Iterator[Finding]:
    """Keys are fetched from public addresses, unless it is said that they are elsewhere."""
    for one in _publishing(known.entries):
        host = urlsplit(one.entry.jwks_uri).hostname or ""
        if host and not one.entry.private_network and _is_private(host):
            message = f"no keys are fetched from `{host}`, which is a private address"
            yield found(LintCode.KEYS_OUT_OF_REACH, one, message, "jwks_uri")


def _publishing(entries: Entries) -> Iterator[Publishing]:
    yield from entries.issuers
    yield from entries.actor_issuers
    yield from entries.admin_issuers
    yield from entries.clients


def _is_private(host: str) -> bool:
    if is_loopback(host):
        return True
    try:
        return not ip_address(host).is_global
    except ValueError:
        return False  # only its addresses would tell


def _introspection(known: Known) -> Iterator[Finding]:
    """Whoever is to ask about each token can."""
    able: dict[str, list[Sited[ClientEntry]]] = {}
    auditors = []
    for client in known.clients.values():
        able.setdefault(client.entry.audience, []).append(client)
        auditors += [client] * client.entry.auditor
    for resource in known.resources.values():
        asking = [*able.get(resource.entry.identifier, ()), *auditors]
        if resource.entry.introspects and not any(_can_say_who(one.entry) for one in asking):
            which = " and ".join(f"`{one.entry.id}` ({one})" for one in asking)
            message = f"nobody can introspect for this: {which} cannot authenticate"
            yield found(LintCode.NOBODY_CAN_ASK, resource, message, "introspects")


def _unused(known: Known) -> Iterator[Finding]:
    """What no grant is about."""
    grants = [grant for one in known.grants for grant in one.each]
    issuers = {subjects.issuer for one in known.grants for subjects in one.subjects}
    yield from (
        found(LintCode.UNUSED_ISSUER, one, f"no grant is for anybody of `{one.entry.alias}`")
        for one in known.issuers.values()
        if one.entry.issuer not in issuers
    )
    needed = {grant.client for grant in grants} | _needed_otherwise(known)
    yield from (
        found(LintCode.UNUSED_CLIENT, one, f"no grant is for `{one.entry.id}`, which may exchange")
        for one in known.clients.values()
        if one.entry.exchange and one.entry.id not in needed
    )
    resources = {grant.resource for grant in grants}
    yield from (
        found(LintCode.UNUSED_RESOURCE, one, "no grant is for this resource")
        for one in known.resources.values()
        if one.entry.identifier not in resources
    )
    teams = {
        one.team
        for grant in known.entries.grants
        for one in (grant.entry.client, *grant.entry.subjects)
        if isinstance(one, TeamName)
    }
    yield from (
        found(LintCode.UNUSED_TEAM, one, f"no grant names `{one.entry.id}`")
        for one in known.entries.teams
        if one.entry.id not in teams
    )


def _needed_otherwise(known: Known) -> set[str]:
    """Clients that introspect, or that others show as actors."""
    identifiers = known.resources.keys()
    return {
        one.entry.id
        for one in known.clients.values()
        if one.entry.auditor or one.entry.audience in identifiers
    } | {id_ for one in known.clients.values() for id_ in one.entry.may_present_actors.clients}


def _repetitions(known: Known) -> Iterator[Finding]:
    """Lists that have a value twice."""
    for section in SECTIONS:
        sited: Iterable[Sited[Entry]] = getattr(known.entries, section)
        for one in sited:
            for path, index, value in _repeated(one.entry, ()):
                key = next(part for part in reversed(path) if isinstance(part, str))
                what = "an entry" if key == "secrets" else f"`{value}`"
                message = f"{what} stands twice in `{key}`"
                yield found(LintCode.REPEATED_VALUE, one, message, *path, index)


Path = tuple[str | int, ...]


def _repeated(value: object, path: Path) -> Iterator[tuple[Path, int, str]]:
    """Each list within *value* that repeats a text, with where it does."""
    if isinstance(value, str):
        return
    if isinstance(value, list):
        seen: set[str] = set()
        for index, one in enumerate(value):
            if isinstance(one, str):
                if one in seen:
                    yield path, index, one
                seen.add(one)
            else:
                yield from _repeated(one, (*path, index))
    elif isinstance(value, Mapping):
        for key, one in value.items():
            yield from _repeated(one, (*path, key))
    elif isinstance(value, BaseModel):
        for key in value.model_fields_set:
            yield from _repeated(getattr(value, key), (*path, key))
