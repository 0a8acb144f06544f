"""What a grant shows when its agents are held against who can come there."""

from collections.abc import Iterator

from delegation.domain.grants import Grant
from delegation.registry.lint.catalogue import LintCode
from delegation.registry.lint.findings import Finding, found
from delegation.registry.lint.known import Known, Written


def look_at_hops(grant: Written[Grant], known: Known) -> Iterator[Finding]:
    """What a grant expects of the clients before it, and of machines, and cannot have."""
    one = grant.any
    agents = one.agents.registered
    before: set[str] = set()
    for to in grant.each:
        for issuer in {each.issuer for each in one.subjects}:
            before |= known.before.get((to.client, issuer), frozenset())
    yield from _lost_claims(grant, sorted(agents & before))
    yield from _other_audiences(grant, known, sorted(agents - before))
    alone = len(agents) == 1 and all(each.people == agents for each in grant.subjects)
    if alone and not one.services and agents.isdisjoint(before):
        (name,) = agents
        message = (
            f"`{name}` is meant only through `{name}`: that is a machine's own token, which is "
            "not taken without `services: true`"
        )
        yield found(LintCode.ONLY_ITSELF, grant.sited, message, "agents")


def _lost_claims(grant: Written[Grant], agents: list[str]) -> Iterator[Finding]:
    """Tokens that are issued here carry no claims of the issuer."""
    if not agents or any(not one.claims for one in grant.subjects):
        return
    place = grant.places[0]
    names = sorted({f"`{name}`" for one in grant.subjects for name in one.claims})
    for agent in agents:
        message = (
            f"nobody is meant who comes with a token that is issued here to `{agent}`: it says "
            f"nothing of {' and '.join(names)}"
        )
        yield found(
            LintCode.CLAIMS_DO_NOT_TRAVEL, grant.sited, message, "subjects", place, "claims"
        )


def _other_audiences(grant: Written[Grant], known: Known, agents: list[str]) -> Iterator[Finding]:
    """A client can only present what is for its very audience."""
    for agent in agents:
        for to in grant.each:
            audience = known.clients[to.client].entry.audience
            for resource in known.nearly(audience):
                if agent in resource.entry.clients:
                    message = (
                        f"`{to.client}` cannot present what `{agent}` is given for the resource at "
                        f"{resource}: that says `{resource.entry.identifier}` in `aud`, and the "
                        f"client's `audience` is `{audience}`"
                    )
                    yield found(LintCode.AUDIENCE_DIFFERS, grant.sited, message, "agents")
