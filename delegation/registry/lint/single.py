"""What one grant, or one deny, shows when it is held against what it names."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from delegation.domain.allowance import MIN_LIFETIME
from delegation.domain.grants import Grant, Mode, Subjects
from delegation.domain.tokens import Scope
from delegation.registry.lint.catalogue import LintCode
from delegation.registry.lint.findings import Finding, found
from delegation.registry.lint.hops import look_at_hops
from delegation.registry.lint.inclusion import are_within
from delegation.registry.lint.known import G, Known, Written

SOON = timedelta(days=30)
"""How long before its end somebody is told."""


def look_at_each(known: Known) -> Iterator[Finding]:
    """Whatever each grant and each deny shows by itself. Of what has ended, no more than that."""
    for grant in known.grants:
        if grant.has_ended(known.now):
            yield _ended(grant, LintCode.EXPIRED, "it gives nothing any more")
            continue
        yield from _ends_soon(grant, known.now, "it gives nothing")
        yield from _limits(grant, known)
        yield from _clients(grant, known)
        yield from _scopes(grant, known)
        yield from _breadth(grant, known)
        yield from look_at_hops(grant, known)
        yield from _for_reviewers(grant)
    for deny in known.denies:
        if deny.has_ended(known.now):
            yield _ended(deny, LintCode.DENY_EXPIRED, "what it took, grants give again")
            continue
        yield from _ends_soon(deny, known.now, "what it takes, grants give again")
        yield from _for_reviewers(deny)


def _ended(one: Written[G], code: LintCode, effect: str) -> Finding:
    return found(code, one.sited, f"this ended on {_date(one)}: {effect}", "expires")


def _ends_soon(one: Written[G], now: datetime, effect: str) -> Iterator[Finding]:
    ends = one.any.expires_at
    if ends is None or ends - now >= SOON:
        return
    days = (ends - now).days + 1
    within = "a day" if days == 1 else f"{days} days"
    message = f"this ends within {within}, on {_date(one)}: from then on {effect}"
    yield found(LintCode.EXPIRES_SOON, one.sited, message, "expires")


def _date(one: Written[G]) -> str:
    return one.sited.entry.expires.partition("T")[0]


def _limits(grant: Written[Grant], known: Known) -> Iterator[Finding]:
    """Limits that nothing can keep to."""
    one, sited = grant.any, grant.sited
    if one.lifetime < MIN_LIFETIME:
        message = (
            f"`lifetime` is {one.lifetime.seconds} seconds, and no token is issued with less than "
            f"{MIN_LIFETIME.seconds} to live: this gives none"
        )
        yield found(LintCode.LIFETIME_TOO_SHORT, sited, message, "lifetime")
    if one.chain_limit == 1 and one.agents.registered and not _may_be_alone(grant, known):
        message = (
            "an agent that is named acts, too: with the client that makes two, and `chain_limit` "
            "allows one"
        )
        yield found(LintCode.CHAIN_TOO_SHORT, sited, message, "chain_limit")


def _may_be_alone(grant: Written[Grant], known: Known) -> bool:
    """Whether a named agent may be left out of the chain, as subject or as who acts."""
    issuers = {one.issuer for one in grant.subjects}
    platforms = {platform.entry.issuer for platform in known.entries.actor_issuers}
    return _may_be_subjects(grant.any) or not issuers.isdisjoint(platforms)


def _may_be_subjects(grant: Grant) -> bool:
    """Whether a named agent may itself be whom the grant is for: nobody acts for themselves."""
    agents = grant.agents.registered
    return grant.services and any(
        not subjects.people or subjects.people & agents for subjects in grant.subjects
    )


def _clients(grant: Written[Grant], known: Known) -> Iterator[Finding]:
    """Nobody can use a grant whose clients may not exchange."""
    clients = [known.clients[one.client] for one in grant.each]
    if any(client.entry.exchange for client in clients):
        return
    which = " and ".join(f"`{one.entry.id}` ({one})" for one in clients)
    message = f"{which} may not exchange (`exchange: false`): nobody can use this grant"
    yield found(LintCode.CLIENT_SWITCHED_OFF, grant.sited, message, "client")


def _scopes(grant: Written[Grant], known: Known) -> Iterator[Finding]:
    """What the resource does not let any of the clients have."""
    resource = known.resources[grant.any.resource]
    if any(one.client not in resource.entry.clients for one in grant.each):
        return  # that is refused already
    admitted: Scope = frozenset().union(
        *(known.admission(one.client, one.resource) for one in grant.each)
    )
    if not grant.any.ceiling <= frozenset(resource.entry.scopes):
        return  # and that
    who = " and ".join(f"`{one.client}`" for one in grant.each)
    if grant.any.ceiling.isdisjoint(admitted):
        message = f"the resource at {resource} admits {who} to none of these scopes"
        yield found(LintCode.GIVES_NOTHING, grant.sited, message, "scopes")
        return
    for name, meaning in _mapping(grant).items():
        for index, scope in enumerate(meaning):
            if scope not in admitted:
                message = (
                    f"the resource at {resource} does not admit {who} to `{scope}`: it is never "
                    "given"
                )
                yield found(LintCode.NEVER_GIVEN, grant.sited, message, "scopes", name, index)


def _mapping(grant: Written[Grant]) -> dict[str, list[str]]:
    scopes = grant.sited.entry.scopes
    return scopes if isinstance(scopes, dict) else {}


def _breadth(grant: Written[Grant], known: Known) -> Iterator[Finding]:
    """Everyone, through any agent."""
    if not grant.any.agents.any:
        return
    for place, one in zip(grant.places, grant.subjects, strict=True):
        if one.everyone:
            alias = known.aliases[one.issuer]
            message = f"everyone of `{alias}` is meant, through any agent; none enters the chain"
            yield found(
                LintCode.EVERYONE_ANY_AGENT, grant.sited, message, "subjects", place, "everyone"
            )


def _for_reviewers(one: Written[G]) -> Iterator[Finding]:
    """What is in the way of whoever comes to review it."""
    entry = one.sited.entry
    if not entry.owner.strip():
        message = "there is no `owner`: nobody answers for this"
        if one.any.mode is Mode.SHADOW:
            message += ", or decides when it leaves `shadow`"
        yield found(LintCode.NO_OWNER, one.sited, message)
    if not entry.description.strip():
        yield found(LintCode.NO_DESCRIPTION, one.sited, _UNDESCRIBED)
    yield from _meant_already(one)


_UNDESCRIBED = "there is no `description`: it is not said what this is for"


def _meant_already(one: Written[G]) -> Iterator[Finding]:
    """Subjects that are meant by another entry of the same list."""
    listed: dict[int, list[Subjects]] = {}
    for place, subjects in zip(one.places, one.subjects, strict=True):
        listed.setdefault(place, []).append(subjects)
    for place, own in listed.items():
        for other, others in listed.items():
            comes_first = other < place or not are_within(others, own)
            if other != place and comes_first and are_within(own, others):
                message = f"whoever is meant here is meant by `subjects` number {other + 1}, too"
                yield found(LintCode.MEANT_ALREADY, one.sited, message, "subjects", place)
                break
