"""Teams, grants and tests: whether each says what it can mean, of parties that there are."""

from collections.abc import Iterable, Iterator

from delegation.domain.tokens import SEPARATOR
from delegation.registry.entries import E, Entries, Sited, closest
from delegation.registry.problems import Code, Problem
from delegation.registry.references import outside, unknown
from delegation.registry.schema import (
    ONLY_TO_ALLOW,
    ExpectationEntry,
    GrantEntry,
    IssuerEntry,
    ResourceEntry,
    SubjectsEntry,
    TeamEntry,
    TeamName,
)


def grant_problems(entries: Entries) -> Iterator[Problem]:
    """What is wrong with the teams, the grants and the tests among *entries*."""
    # Of two with one name, the first counts here: the other one is reported for that already.
    issuers = {trusted.entry.alias: trusted for trusted in reversed(entries.issuers)}
    yield from _teams(entries, issuers)
    yield from _grants(entries, issuers)
    for expectation in entries.tests:
        yield from _question(expectation, issuers, entries)


def _teams(entries: Entries, issuers: dict[str, Sited[IssuerEntry]]) -> Iterator[Problem]:
    for team in entries.teams:
        yield from _members(team, entries)
        for index, subjects in enumerate(team.entry.subjects):
            yield from _people(team, index, subjects, issuers=issuers, entries=entries)


def _grants(entries: Entries, issuers: dict[str, Sited[IssuerEntry]]) -> Iterator[Problem]:
    resources = {one.entry.identifier: one for one in reversed(entries.resources)}
    teams = {team.entry.id: team for team in reversed(entries.teams)}
    for grant in entries.grants:
        yield from _effect(grant)
        yield from _target(grant, resources, teams, entries)
        for index, subjects in enumerate(grant.entry.subjects):
            if isinstance(subjects, TeamName):
                at = ("subjects", index, "team")
                yield from _of_team(grant, subjects, "subjects", at, teams=teams, entries=entries)
            else:
                yield from _people(grant, index, subjects, issuers=issuers, entries=entries)


def _members(team: Sited[TeamEntry], entries: Entries) -> Iterator[Problem]:
    """A team is somebody, and its clients are known."""
    if not (team.entry.clients or team.entry.subjects):
        message = "a team of nobody: add `clients` or `subjects`, or remove it"
        yield team.problem(Code.EMPTY_TEAM, message)
    for index, id_ in enumerate(team.entry.clients):
        yield from unknown(team, "clients", id_, ("clients", index), entries=entries)


def _of_team(
    grant: Sited[GrantEntry],
    named: TeamName,
    having: str,
    at: tuple[str | int, ...],
    *,
    teams: dict[str, Sited[TeamEntry]],
    entries: Entries,
) -> Iterator[Problem]:
    """A known team, *having* what it is named for."""
    yield from unknown(grant, "teams", named.team, at, entries=entries)
    if named.team in teams and not getattr(teams[named.team].entry, having):
        message = f"the team at {teams[named.team]} has no `{having}`: add them there"
        yield grant.problem(Code.EMPTY_TEAM, message, *at)


def _effect(grant: Sited[GrantEntry]) -> Iterator[Problem]:
    """What gives says what for what, and how; what takes says only what."""
    entry, maps = grant.entry, isinstance(grant.entry.scopes, dict)
    if entry.effect == "allow":
        if not maps:
            message = (
                "`scopes` must be a mapping: each scope of the subject token, with the scopes of "
                "the resource that it stands for; only a grant with `effect: deny` has a list, or "
                "`any`"
            )
            yield grant.problem(Code.WRONG_TYPE, message, "scopes")
        return
    if maps:
        message = (
            "`scopes` of a deny must be a list of scopes of the resource, or `any`: what stands "
            "for them is of no account"
        )
        yield grant.problem(Code.WRONG_TYPE, message, "scopes")
    for key in ONLY_TO_ALLOW:
        if key in entry.model_fields_set:
            message = f"`{key}` is not for a deny, which gives nothing: remove it"
            yield grant.problem(Code.CONTRADICTION, message, key)


def _target(
    grant: Sited[GrantEntry],
    resources: dict[str, Sited[ResourceEntry]],
    teams: dict[str, Sited[TeamEntry]],
    entries: Entries,
) -> Iterator[Problem]:
    """Known clients that a known resource admits, and scopes that it knows.

    What is denied need not be admitted; but its scopes must be right, or it would deny nothing.
    """
    entry = grant.entry
    if isinstance(entry.client, TeamName):
        at = ("client", "team")
        yield from _of_team(grant, entry.client, "clients", at, teams=teams, entries=entries)
        team = teams.get(entry.client.team)
        clients = list(dict.fromkeys(team.entry.clients)) if team else []
    else:
        yield from unknown(grant, "clients", entry.client, ("client",), entries=entries)
        clients = [entry.client]
    if entry.resource not in resources:
        yield from unknown(grant, "resources", entry.resource, ("resource",), entries=entries)
        return
    resource = resources[entry.resource]
    if entry.effect == "allow":
        for id_ in clients:
            if id_ in entries.named["clients"] - resource.entry.clients.keys():
                message = f"the resource at {resource} does not admit `{id_}`: add it there"
                yield grant.problem(Code.NOT_ADMITTED, message, "resource")
    if isinstance(entry.scopes, dict):
        for name, scopes in entry.scopes.items():
            yield from outside(grant, scopes, resource.entry, ("scopes", name))
    elif isinstance(entry.scopes, list):
        yield from outside(grant, entry.scopes, resource.entry, ("scopes",))


def _people(
    sited: Sited[E],
    index: int,
    subjects: SubjectsEntry,
    *,
    issuers: dict[str, Sited[IssuerEntry]],
    entries: Entries,
) -> Iterator[Problem]:
    """Somebody, by a condition that not everybody meets, of a known issuer, by known claims."""
    at = ("subjects", index)
    conditions = bool(subjects.people or subjects.claims)
    if subjects.everyone and conditions:
        message = "`everyone` together with `people` or `claims`: remove the one or the other"
        yield sited.problem(Code.CONTRADICTION, message, *at, "everyone")
    if not (subjects.everyone or conditions):
        message = "nobody is meant: add `people`, `claims`, or `everyone: true`"
        yield sited.problem(Code.NO_SUBJECTS, message, *at)
    yield from unknown(sited, "issuers", subjects.issuer, (*at, "issuer"), entries=entries)
    known = issuers.get(subjects.issuer)
    yield from _unnamed(sited, subjects.claims, known, (*at, "claims"))


def _unnamed(
    sited: Sited[E],
    claims: Iterable[str],
    issuer: Sited[IssuerEntry] | None,
    at: tuple[str | int, ...],
) -> Iterator[Problem]:
    """Claims that the entry of the issuer does not name, if that can be said."""
    if issuer is None:
        return
    known = issuer.entry.claims
    for name in claims:
        if name not in known:
            message = f"`{name}` is not among the `claims` of the issuer{closest(name, known)}"
            yield sited.problem(Code.UNKNOWN_CLAIM, message, *at, name)


def _question(
    expectation: Sited[ExpectationEntry],
    issuers: dict[str, Sited[IssuerEntry]],
    entries: Entries,
) -> Iterator[Problem]:
    """One that has an answer: of known clients, a known issuer, and claims that its entry names."""
    entry = expectation.entry
    yield from unknown(expectation, "clients", entry.client, ("client",), entries=entries)
    for index, id_ in enumerate(entry.hops):
        yield from unknown(expectation, "clients", id_, ("hops", index), entries=entries)
    alias = entry.subject.partition(SEPARATOR)[0]
    yield from unknown(expectation, "issuers", alias, ("subject",), entries=entries)
    yield from _unnamed(expectation, entry.claims, issuers.get(alias), ("claims",))
