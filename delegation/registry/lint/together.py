"""What grants and denies show when they are held against each other."""

from collections.abc import Iterator

from delegation.domain.grants import Deny, Grant
from delegation.registry.lint.catalogue import LintCode
from delegation.registry.lint.findings import Finding, found
from delegation.registry.lint.inclusion import Shelf, gives_no_more, may_meet, takes
from delegation.registry.lint.known import Known, Written


def look_at_all(known: Known) -> Iterator[Finding]:
    """Whatever counts and has no effect, or another effect than it says."""
    grants = [one for one in known.grants if one.counts(known.now)]
    denies = [one for one in known.denies if one.counts(known.now)]
    yield from _included(grants)
    yield from _denied(grants, denies, known)
    if known.all_right:
        yield from _idle(denies, known)
    for deny in denies:
        yield from _too_much(deny, known)


def _included(grants: list[Written[Grant]]) -> Iterator[Finding]:
    """Grants that others make idle, for each of their clients."""
    numbered = [(number, one) for number, grant in enumerate(grants) for one in grant.each]
    shelf = Shelf()
    for place, (_, one) in enumerate(numbered):
        shelf.put(place, one)
    for number, grant in enumerate(grants):
        wider = [
            next(
                (
                    numbered[place]
                    for place in shelf.around(one)
                    if _makes_idle(*numbered[place], one, number)
                ),
                None,
            )
            for one in grant.each
        ]
        first = wider[0]
        if first is None or None in wider:
            continue
        other = grants[first[0]]
        what = f"`{other.any.id}` at {other.sited}"
        if gives_no_more(first[1], grant.each[0]):
            message = f"this is the same as {what}, but for its name"
            yield found(LintCode.DUPLICATE_GRANT, grant.sited, message)
        else:
            message = f"whatever this gives, {what} gives, too: its own limits have no effect"
            yield found(LintCode.INCLUDED_GRANT, grant.sited, message)


def _makes_idle(other: int, wider: Grant, one: Grant, number: int) -> bool:
    """Whether *wider* gives all that *one* does. Of two that are the same, the later is idle."""
    if other == number or not gives_no_more(one, wider):
        return False
    return other < number or not gives_no_more(wider, one)


def _denied(
    grants: list[Written[Grant]], denies: list[Written[Deny]], known: Known
) -> Iterator[Finding]:
    """Grants of which denies leave nothing, for each of their clients."""
    numbered = [(deny, one) for deny in denies for one in deny.each]
    shelf = Shelf()
    for place, (_, one) in enumerate(numbered):
        shelf.put(place, one)
    for grant in grants:
        taking = [_taking(one, shelf, numbered, known) for one in grant.each]
        if all(taking):
            some = dict.fromkeys(
                f"`{deny.any.id}` ({deny.sited})" for denies in taking for deny in denies
            )
            message = f"all that this gives is denied by {' and '.join(some)}: nobody can use it"
            yield found(LintCode.ALL_DENIED, grant.sited, message)


def _taking(
    one: Grant, shelf: Shelf, numbered: list[tuple[Written[Deny], Deny]], known: Known
) -> list[Written[Deny]]:
    """The denies that leave nothing of what *one* would give; empty where something is left."""
    left = one.ceiling & known.admission(one.client, one.resource)
    taking: list[Written[Deny]] = []
    for deny, each in (numbered[place] for place in shelf.around(one, takes=True)):
        taken = left if (scopes := takes(each, one)) is None else left & scopes
        if taken:
            taking.append(deny)
            left -= taken
    return [] if left else taking


def _idle(denies: list[Written[Deny]], known: Known) -> Iterator[Finding]:
    """Denies of what no grant gives. What is in shadow may count one day."""
    grants = [one for grant in known.grants if not grant.has_ended(known.now) for one in grant.each]
    shelf = Shelf()
    for place, grant in enumerate(grants):
        shelf.put(place, grant)
    for deny in denies:
        met = (_meet(one, grants, shelf, known) for one in deny.each)
        if not any(met):
            message = "no grant gives any of what this takes"
            yield found(LintCode.DENIES_NOTHING, deny.sited, message)


def _meet(deny: Deny, grants: list[Grant], shelf: Shelf, known: Known) -> bool:
    """Whether *deny* may take something that one of *grants* gives somebody."""
    over_hops = _comes_over_hops(deny, known)
    return any(
        bool(deny.taken_from(grant.ceiling))
        and (over_hops or _agents_meet(deny, grant))
        and any(may_meet(one, other) for one in deny.subjects for other in grant.subjects)
        for grant in (grants[place] for place in shelf.meeting(deny, through_any=over_hops))
    )


def _comes_over_hops(deny: Deny, known: Known) -> bool:
    """Whether others than the token's agent can be meant: those before it, or who acts here."""
    issuers = {one.issuer for one in deny.subjects}
    if deny.agents.registered & _shown_by(deny.client, known):
        return True
    return any((deny.client, issuer) in known.before for issuer in issuers) or any(
        one.entry.asserts_actors for one in known.issuers.values() if one.entry.issuer in issuers
    )


def _shown_by(client: str, known: Known) -> frozenset[str]:
    """Who can act by an actor token that *client* shows."""
    shown = known.clients[client].entry.may_present_actors
    return frozenset(shown.clients).union(*shown.workloads.values())


def _agents_meet(deny: Deny, grant: Grant) -> bool:
    either_any = deny.agents.any or grant.agents.any
    return either_any or not deny.agents.registered.isdisjoint(grant.agents.registered)


def _too_much(deny: Written[Deny], known: Known) -> Iterator[Finding]:
    """Denies by claims, where tokens arrive that have none: not knowing, they take from all."""
    for place, subjects in zip(deny.places, deny.subjects, strict=True):
        if not subjects.claims:
            continue
        names = " and ".join(f"`{name}`" for name in sorted(subjects.claims))
        who = "whoever of these people" if subjects.people else "whoever"
        for agent in sorted(_arriving(deny, subjects.issuer, known)):
            message = (
                f"{who} comes with a token that is issued here to `{agent}` is denied, whatever "
                f"their {names}: it does not say"
            )
            yield found(LintCode.DENIES_MORE, deny.sited, message, "subjects", place, "claims")


def _arriving(deny: Written[Deny], issuer: str, known: Known) -> set[str]:
    """The clients whose tokens would get something here for people of *issuer*, but for *deny*."""
    return {
        agent
        for one in deny.each
        for agent in known.before.get((one.client, issuer), ())
        if one.agents.any or agent in one.agents.registered
        if any(
            grant.agents.admit(agent)
            and any(each.issuer == issuer and not each.claims for each in grant.subjects)
            and one.taken_from(grant.ceiling)
            for grant in known.giving.get((one.client, one.resource), ())
        )
    }
