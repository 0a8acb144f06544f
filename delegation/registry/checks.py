"""What no entry can show by itself: contradictions within it, between entries, and with us."""

from collections.abc import Callable, Iterable, Iterator

from delegation.domain.registry import usual_admin_audience
from delegation.registry.entries import E, Entries, Sited
from delegation.registry.grants import grant_problems
from delegation.registry.keys import key_problems
from delegation.registry.problems import Code, Problem
from delegation.registry.references import outside, unknown
from delegation.registry.schema import (
    ActorIssuerEntry,
    AdminIssuerEntry,
    ClientEntry,
    IssuerEntry,
    ResourceEntry,
)

RESERVED_CLAIMS = frozenset(
    {
        "act",
        "aud",
        "authorization_details",
        "client_id",
        "cnf",
        "exp",
        "iat",
        "iss",
        "jti",
        "may_act",
        "nbf",
        "scope",
        "sub",
        "sub_id",
    }
)
"""Claims with a meaning of their own, which no configuration may give them another."""


def check(entries: Entries, *, issuer: str, admin_audience: str | None = None) -> Iterator[Problem]:
    """Everything that is wrong with *entries* together, for a service that is itself *issuer*."""
    yield from _ids(entries)
    for trusted in entries.issuers:
        yield from _claims(trusted)
        yield from _actors(trusted)
    yield from _actor_issuers(entries)
    for administering in entries.admin_issuers:
        yield from _scope_claim(administering)
    yield from _ourselves(entries, issuer)
    yield from _administration(entries, admin_audience or usual_admin_audience(issuer))
    yield from _audiences_and_secrets(entries.clients)
    yield from key_problems(entries.clients)
    yield from _names(entries.resources)
    # Of two with one name, the first counts here: the other one is reported for that already.
    clients = {client.entry.id: client for client in reversed(entries.clients)}
    for client in entries.clients:
        yield from _presentable(client, entries)
    for resource in entries.resources:
        yield from _admissions(resource, clients, entries)
        yield from _introspection(resource, entries)
    yield from grant_problems(entries)


def _ids(entries: Entries) -> Iterator[Problem]:
    """An id, an alias, an issuer or an identifier stands for one thing, in all files together."""
    yield from _repeated(entries.issuers, "alias", lambda entry: entry.alias)
    yield from _repeated(entries.issuers, "issuer", lambda entry: entry.issuer)
    yield from _repeated(entries.actor_issuers, "alias", lambda entry: entry.alias)
    yield from _repeated(entries.actor_issuers, "issuer", lambda entry: entry.issuer)
    yield from _repeated(entries.admin_issuers, "alias", lambda entry: entry.alias)
    yield from _repeated(entries.admin_issuers, "issuer", lambda entry: entry.issuer)
    yield from _repeated(entries.clients, "id", lambda entry: entry.id)
    yield from _repeated(entries.resources, "identifier", lambda entry: entry.identifier)
    yield from _repeated(entries.teams, "id", lambda entry: entry.id)
    yield from _repeated(entries.grants, "id", lambda entry: entry.id)
    yield from _repeated(entries.tests, "name", lambda entry: entry.name)


def _repeated(sited: Iterable[Sited[E]], key: str, name: Callable[[E], str]) -> Iterator[Problem]:
    first: dict[str, Sited[E]] = {}
    for one in sited:
        other = first.setdefault(name(one.entry), one)
        if other is not one:
            message = f"`{key}` is used already at {other}: remove or rename one of the two"
            yield one.problem(Code.DUPLICATE_ID, message, key)


def _claims(trusted: Sited[IssuerEntry]) -> Iterator[Problem]:
    """One claim has one meaning (RFC 8693 §4)."""
    entry = trusted.entry
    used = {
        "id_claim": (entry.id_claim, "jti"),
        "scope_claim": (entry.scope_claim, "scope"),
        "client_claim": (entry.client_claim, "client_id"),
    }
    for key, (claim, usual) in used.items():
        if claim in RESERVED_CLAIMS - {usual}:
            message = f"`{key}` is a claim that means something else; as a rule it is `{usual}`"
            yield trusted.problem(Code.RESERVED_CLAIM, message, key)
    named = {claim for claim, _ in used.values()}
    if len(named) < len(used):
        message = "`id_claim`, `scope_claim` and `client_claim` must be three different claims"
        yield trusted.problem(Code.CONTRADICTION, message)
    for name, claim in entry.claims.items():
        if RESERVED_CLAIMS & {name, claim} or claim in named:
            message = f"`{name}` is taken from a claim with a meaning of its own: take it out"
            yield trusted.problem(Code.RESERVED_CLAIM, message, "claims", name)


def _actors(trusted: Sited[IssuerEntry]) -> Iterator[Problem]:
    if trusted.entry.actor_issuer and not trusted.entry.asserts_actors:
        message = "`actor_issuer` needs `asserts_actors: true`: add that, or remove this"
        yield trusted.problem(Code.CONTRADICTION, message, "actor_issuer")


def _actor_issuers(entries: Entries) -> Iterator[Problem]:
    """Nobody's claims mean two things, and no client's assertion is taken for an issuer's token."""
    clients = {client.entry.id: client for client in reversed(entries.clients)}
    for trusted in entries.actor_issuers:
        entry = trusted.entry
        for key, claim, usual in (
            ("id_claim", entry.id_claim, "jti"),
            ("client_claim", entry.client_claim, "client_id"),
        ):
            if claim in RESERVED_CLAIMS - {usual}:
                message = f"`{key}` is a claim that means something else; as a rule it is `{usual}`"
                yield trusted.problem(Code.RESERVED_CLAIM, message, key)
        if entry.id_claim == entry.client_claim:
            message = "`id_claim` and `client_claim` must be two different claims"
            yield trusted.problem(Code.CONTRADICTION, message)
        if entry.issuer in clients:
            message = f"the client at {clients[entry.issuer]} has this for its id: rename that"
            yield trusted.problem(Code.CONTRADICTION, message, "issuer")


def _presentable(client: Sited[ClientEntry], entries: Entries) -> Iterator[Problem]:
    """Known clients other than itself, and known actor issuers."""
    shown, at = client.entry.may_present_actors, "may_present_actors"
    for index, id_ in enumerate(shown.clients):
        yield from unknown(client, "clients", id_, (at, "clients", index), entries=entries)
        if id_ == client.entry.id:
            message = "a client may always act itself: take it out"
            yield client.problem(Code.CONTRADICTION, message, at, "clients", index)
    for alias in shown.workloads:
        place = (at, "workloads", alias)
        yield from unknown(client, "actor_issuers", alias, place, entries=entries)


def _ourselves(entries: Entries, issuer: str) -> Iterator[Problem]:
    """Nobody else speaks in our name, and no token is ever issued for ourselves.

    A slash or a capital letter makes no other name here: who reads it would be misled.
    """
    us = _alike(issuer)
    trusting: list[Sited[IssuerEntry] | Sited[ActorIssuerEntry] | Sited[AdminIssuerEntry]]
    trusting = [*entries.issuers, *entries.actor_issuers, *entries.admin_issuers]
    for trusted in trusting:
        for key in ("issuer", "actor_issuer"):
            if _alike(getattr(trusted.entry, key, "")) == us:
                message = f"`{key}` is this service itself, which is never configured: remove it"
                yield trusted.problem(Code.OWN_ISSUER, message, key)
    for client in entries.clients:
        for key in ("id", "audience"):
            if _alike(getattr(client.entry, key)) == us:
                message = f"`{key}` is this service itself: a client has a name of its own"
                yield client.problem(Code.OWN_ISSUER, message, key)
    for resource in entries.resources:
        for at, name in _all_names(resource.entry):
            if _alike(name) == us:
                message = "this service itself is never a resource: remove it"
                yield resource.problem(Code.OWN_ISSUER, message, *at)


def _scope_claim(administering: Sited[AdminIssuerEntry]) -> Iterator[Problem]:
    """One claim has one meaning, here too."""
    if administering.entry.scope_claim in RESERVED_CLAIMS - {"scope"}:
        message = "`scope_claim` is a claim that means something else; as a rule it is `scope`"
        yield administering.problem(Code.RESERVED_CLAIM, message, "scope_claim")


def _administration(entries: Entries, audience: str) -> Iterator[Problem]:
    """No token that is issued here, or presented here, opens the admin API."""
    for client in entries.clients:
        if _alike(client.entry.audience) == _alike(audience):
            message = "`audience` is that of the admin API: a client has one of its own"
            yield client.problem(Code.ADMIN_AUDIENCE, message, "audience")
    for resource in entries.resources:
        for at, name in _all_names(resource.entry):
            if _alike(name) == _alike(audience):
                message = "the admin API is never a resource: remove it"
                yield resource.problem(Code.ADMIN_AUDIENCE, message, *at)


def _alike(name: str) -> str:
    return name.casefold().rstrip("/")


def _all_names(resource: ResourceEntry) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Every name of a resource, and its place within the entry."""
    yield ("identifier",), resource.identifier
    for index, name in enumerate(resource.names):
        yield ("names", index), name


def _audiences_and_secrets(clients: Iterable[Sited[ClientEntry]]) -> Iterator[Problem]:
    """One client cannot present what was sent to another, nor pass for it."""
    audiences: dict[str, Sited[ClientEntry]] = {}
    secrets: dict[str, Sited[ClientEntry]] = {}
    for client in clients:
        other = audiences.setdefault(client.entry.audience, client)
        if other is not client:
            message = f"`audience` is that of the client at {other}: each has its own"
            yield client.problem(Code.SHARED_AUDIENCE, message, "audience")
        for index, secret in enumerate(client.entry.secrets):
            other = secrets.setdefault(secret, client)
            if other is not client:
                message = f"the client at {other} has this secret too: make a new one for each"
                yield client.problem(Code.SHARED_SECRET, message, "secrets", index)


def _names(resources: Iterable[Sited[ResourceEntry]]) -> Iterator[Problem]:
    """A name leads to one resource (RFC 8693 §2.1: unique within the authorization server)."""
    first: dict[str, Sited[ResourceEntry]] = {}
    for resource in resources:
        for at, name in _all_names(resource.entry):
            other = first.setdefault(name, resource)
            if other is not resource and other.entry.identifier != resource.entry.identifier:
                message = f"the resource at {other} has this name already: it can have only one"
                yield resource.problem(Code.SHARED_NAME, message, *at)


def _admissions(
    resource: Sited[ResourceEntry], clients: dict[str, Sited[ClientEntry]], entries: Entries
) -> Iterator[Problem]:
    """Known clients, with known scopes, and not the resource itself as its own client."""
    for id_, scopes in resource.entry.clients.items():
        yield from unknown(resource, "clients", id_, ("clients", id_), entries=entries)
        yield from outside(resource, scopes, resource.entry, ("clients", id_))
        if id_ not in clients:
            continue
        own = {_alike(clients[id_].entry.audience), _alike(id_)}
        for at, name in _all_names(resource.entry):
            if _alike(name) in own:
                message = f"`{id_}` is this resource itself: it cannot be admitted to itself"
                yield resource.problem(Code.SELF_TARGET, message, *at)


def _introspection(resource: Sited[ResourceEntry], entries: Entries) -> Iterator[Problem]:
    """What is said to ask about each token can: else a stop would count as complete too early."""
    able = (
        client.entry.auditor or client.entry.audience == resource.entry.identifier
        for client in entries.clients
    )
    all_read = entries.whole and len(entries.clients) >= len(entries.named["clients"])
    if resource.entry.introspects and all_read and not any(able):
        message = "`introspects`, but no client has this for its `audience`: nobody could ask"
        yield resource.problem(Code.CONTRADICTION, message, "introspects")
