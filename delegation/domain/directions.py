"""Which way each field of each entry goes: whether it is more, or less, or something else."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Self

from delegation.domain.changes import Team
from delegation.domain.differences import (
    Differences,
    limit,
    members,
    of_agents,
    of_denied_agents,
    of_rates,
    of_subjects,
    other,
)
from delegation.domain.grants import Deny, Grant, Mode
from delegation.domain.parties import Client, Identity, InlineKeys, KeySource, PublishedKeys
from delegation.domain.paths import Path, Paths
from delegation.domain.resources import Resource
from delegation.domain.tokens import Scope
from delegation.domain.trust import ActorIssuer, AdminIssuer, ForeignIssuer, TrustedIssuer

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Both:
    """The registry as it is, and as it would be. *aliases* are what trusted issuers are called."""

    before: Paths
    after: Paths
    aliases: Mapping[str, str]

    @classmethod
    def of(cls, before: Paths, after: Paths) -> Self:
        """The two of them."""
        known = {**before.registry.issuers, **after.registry.issuers}
        aliases = {name: trusted.alias for name, trusted in known.items()}
        return cls(before=before, after=after, aliases=aliases)

    def shifts(self, paths: Iterable[Path]) -> bool:
        """Whether beside *paths* there are others that differ in how often they may be gone.

        Of several grants one decides, and that is not always the one that lets a subject token be
        exchanged only once: what is taken from the one may leave it to another.
        """
        return any(self._is_mixed(pair) for pair in {path.pair for path in paths})

    def _is_mixed(self, pair: Pair) -> bool:
        beside = [path.grant for path in (*self.before.of_pair(pair), *self.after.of_pair(pair))]
        once, often = ({one.id for one in beside if one.single_use is use} for use in (True, False))
        return bool(once and often) and len(once | often) > 1


def of_issuer(before: TrustedIssuer, after: TrustedIssuer, both: Both) -> Differences:
    """Whose tokens are believed, and what is read from them."""
    yield from other("alias", before.alias, after.alias)
    yield from _foreign(before, after)
    yield from other("scope_claim", before.scope_claim, after.scope_claim)
    yield from other("scope_format", before.scope_is_array, after.scope_is_array, _said_format)
    yield from limit("several_audiences", before.several_audiences, after.several_audiences)
    yield from limit("asserts_actors", before.asserts_actors, after.asserts_actors)
    yield from members("actor_issuer", _if_any(before.actor_issuer), _if_any(after.actor_issuer))
    denied = _asked(both.before, before, denied=True) | _asked(both.after, after, denied=True)
    asked, now_asked = _asked(both.before, before), _asked(both.after, after)
    for difference in members(
        "claims",
        before.claims.items(),
        after.claims.items(),
        say=_stands_for,
        opens=lambda pair: pair[0] in now_asked,
        closes=lambda pair: pair[0] in asked,
    ):
        # Whoever has a claim is denied what they are given without it.
        is_denied = any(before.claims.get(name) != after.claims.get(name) for name in denied)
        yield replace(
            difference,
            wider=difference.wider or is_denied,
            narrower=difference.narrower or is_denied,
        )
    for difference in members(
        "service_claims",
        _pairs(before.service_claims),
        _pairs(after.service_claims),
        say=lambda pair: f"{pair[0]}: {pair[1]}",
    ):
        yield difference.turned()


def of_actor_issuer(before: ActorIssuer, after: ActorIssuer) -> Differences:
    """Whose word is believed about who acts."""
    yield from _only_a_name(before, after)
    yield from _foreign(before, after)
    yield from members("assertion_types", before.assertion_types, after.assertion_types)


def of_admin_issuer(before: AdminIssuer, after: AdminIssuer) -> Differences:
    """Whose tokens open the admin API."""
    yield from _only_a_name(before, after)
    yield from _foreign(before, after)
    yield from other("scope_claim", before.scope_claim, after.scope_claim)
    yield from other("scope_format", before.scope_is_array, after.scope_is_array, _said_format)


def of_client(before: Client, after: Client, both: Both) -> Differences:
    """Who can pass for it, what it may present, and what it may do."""
    yield from other("audience", before.audience, after.audience)
    yield from _credentials(before, after)
    yield from limit("auditor", before.is_auditor, after.is_auditor)
    opened, was_open = both.after.of_client(after.id), both.before.of_client(before.id)
    for difference in (
        *members(
            "may_present_actors", before.may_present_actors, after.may_present_actors, say=_who
        ),
        *limit("exchange", before.may_exchange, after.may_exchange),
    ):
        yield difference.where(wider=bool(opened), narrower=bool(was_open))


def of_resource(before: Resource, after: Resource, both: Both) -> Differences:
    """By which names it is asked for, what there is at all, and whom it admits with what."""
    opened = both.after.of_resource(after.identifier)
    was_open = both.before.of_resource(before.identifier)
    for difference in members("names", before.names, after.names):
        yield difference.where(wider=bool(opened), narrower=bool(was_open))
    given, was_given = _given(opened), _given(was_open)
    yield from members(
        "scopes",
        before.scopes,
        after.scopes,
        opens=lambda scope: any(scope == one for _, one in given),
        closes=lambda scope: any(scope == one for _, one in was_given),
    )
    yield from members(
        "clients",
        _pairs(before.clients),
        _pairs(after.clients),
        say=lambda pair: f"{pair[0]}: {pair[1]}",
        opens=given.__contains__,
        closes=was_given.__contains__,
    )
    # It decides nothing: it says by when a stop is complete.
    for difference in limit("introspects", before.introspects, after.introspects):
        yield difference.where(wider=False, narrower=False)


def of_grants(
    before: Sequence[Grant | Deny], after: Sequence[Grant | Deny], both: Both
) -> Differences:
    """Of grants with one id, which differ from each other in nothing but their clients."""
    old, new = before[0], after[0]
    reach = Reach.of({old.id}, {new.id}, both)
    yield from _clients(
        "client", (one.client for one in before), (one.client for one in after), reach
    )
    if isinstance(old, Grant) and isinstance(new, Grant):
        for difference in _of_allowing(old, new, reach, both):
            yield difference.where(wider=bool(reach.opened), narrower=bool(reach.was_open))
    elif isinstance(old, Deny) and isinstance(new, Deny):
        for difference in _of_denying(old, new, reach, both):
            turned = difference.turned()
            yield turned.where(wider=bool(reach.freed), narrower=bool(reach.struck))
    else:
        wider = bool(reach.opened or reach.freed)
        narrower = bool(reach.was_open or reach.struck)
        for difference in other("effect", _effect(old), _effect(new)):
            yield difference.where(wider=wider, narrower=narrower)


def of_team(before: Team, after: Team, both: Both) -> Differences:
    """Who is in it, as far as grants name it."""
    reach = Reach.of(before.grants, after.grants, both)
    yield from _clients("clients", before.clients, after.clients, reach)
    for difference in of_subjects(before.subjects, after.subjects, both.aliases):
        gives = difference.where(wider=bool(reach.opened), narrower=bool(reach.was_open))
        takes = difference.turned().where(wider=bool(reach.freed), narrower=bool(reach.struck))
        yield replace(
            difference,
            wider=gives.wider or takes.wider,
            narrower=gives.narrower or takes.narrower,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """The paths that are *opened* by some grants afterwards, and that *was_open* by them before.

    *struck* are those that were open before and that they deny afterwards, *freed* those that they
    denied before and that are open afterwards.
    """

    opened: Sequence[Path]
    was_open: Sequence[Path]
    struck: Sequence[Path]
    freed: Sequence[Path]

    @classmethod
    def of(cls, before: Iterable[str], after: Iterable[str], both: Both) -> Self:
        """That of the grants with these ids."""
        old, new = sorted(before), sorted(after)
        denied = [deny for id in old for deny in both.before.denies.get(id, ())]  # noqa: A001
        denies = [deny for id in new for deny in both.after.denies.get(id, ())]  # noqa: A001
        return cls(
            opened=[path for id in new for path in both.after.of_grant(id)],  # noqa: A001
            was_open=[path for id in old for path in both.before.of_grant(id)],  # noqa: A001
            struck=both.before.struck_by(denies),
            freed=both.after.struck_by(denied),
        )


def _clients(of: str, before: Iterable[str], after: Iterable[str], reach: Reach) -> Differences:
    """Who is given it, or denied."""
    for difference in members(of, before, after):
        gained, lost = {*difference.gained}, {*difference.lost}
        yield replace(
            difference,
            wider=bool(gained & _of_whom(reach.opened) or lost & _of_whom(reach.freed)),
            narrower=bool(lost & _of_whom(reach.was_open) or gained & _of_whom(reach.struck)),
        )


def _of_whom(paths: Iterable[Path]) -> set[str]:
    return {path.grant.client for path in paths}


def _of_allowing(before: Grant, after: Grant, reach: Reach, both: Both) -> Differences:
    """For whom and through whom it gives, what, for how long, and how often."""
    yield from _mode(before, after)
    yield from other("resource", before.resource, after.resource)
    yield from of_subjects(before.subjects, after.subjects, both.aliases)
    yield from of_agents(before.agents, after.agents)
    yield from members(
        "scopes",
        _pairs(before.scopes),
        _pairs(after.scopes),
        say=_stands_for,
        opens=_led_to(reach.opened).__contains__,
        closes=_led_to(reach.was_open).__contains__,
    )
    yield from limit("lifetime", before.lifetime, after.lifetime, _seconds)
    yield from limit("chain_limit", before.chain_limit, after.chain_limit)
    yield from limit("expires", _end(before), _end(after), _said_end)
    yield from limit("services", before.services, after.services)
    yield from limit("cycles", before.cycles, after.cycles)
    yield from limit("downscope", before.downscope, after.downscope)
    for difference in limit("single_use", before.single_use, after.single_use):
        yield difference.turned()
    yield from of_rates(before.rates, after.rates)


def _of_denying(before: Deny, after: Deny, reach: Reach, both: Both) -> Differences:
    """For whom and through whom it takes, what, and for how long: here more is what it takes."""
    yield from _mode(before, after)
    yield from other("resource", before.resource, after.resource)
    yield from of_subjects(before.subjects, after.subjects, both.aliases)
    yield from of_denied_agents(before.agents, after.agents)
    for difference in members("scopes", said_scopes(before), said_scopes(after)):
        yield replace(
            difference,
            wider=any(_takes_more(after, before, path) for path in reach.struck),
            narrower=any(_takes_more(before, after, path) for path in reach.freed),
        )
    yield from limit("expires", _end(before), _end(after), _said_end)


def _takes_more(deny: Deny, than: Deny, path: Path) -> bool:
    return not deny.taken_from(path.gives) <= than.taken_from(path.gives)


def _foreign(before: ForeignIssuer, after: ForeignIssuer) -> Differences:
    """Which of its tokens are believed, and whose they are taken to be."""
    yield from other("jwks_uri", before.jwks_uri, after.jwks_uri)
    yield from members("algorithms", before.algorithms, after.algorithms)
    yield from members("types", before.types, after.types)
    yield from limit("legacy_types", before.legacy_types, after.legacy_types)
    yield from limit("private_network", before.private_network, after.private_network)
    yield from other("id_claim", before.id_claim, after.id_claim)
    yield from other("client_claim", before.client_claim, after.client_claim)


def _only_a_name(before: ForeignIssuer, after: ForeignIssuer) -> Differences:
    """An alias that only the files use."""
    for difference in other("alias", before.alias, after.alias):
        yield difference.where(wider=False, narrower=False)


def _asked(paths: Paths, issuer: TrustedIssuer, *, denied: bool = False) -> frozenset[str]:
    """The names of claims that grants ask for in this issuer's tokens; or denies."""
    found = (
        (one for denies in paths.denies.values() for deny in denies for one in deny.subjects)
        if denied
        else (one for path in paths.of_issuer(issuer.issuer) for one in path.subjects)
    )
    return frozenset(name for one in found if one.issuer == issuer.issuer for name in one.claims)


def _credentials(before: Client, after: Client) -> Differences:
    """Digests are nobody's business, and a key is told by its name."""
    yield from members("secrets", before.secrets, after.secrets, say=lambda _: "a secret")
    old, new = before.keys, after.keys
    if isinstance(old, PublishedKeys) and isinstance(new, PublishedKeys):
        yield from other("jwks_uri", old.jwks_uri, new.jwks_uri)
        yield from limit("private_network", old.private_network, new.private_network)
    else:
        yield from members("keys", _keys(old), _keys(new), say=_key_name)
    if old is not None and new is not None:
        yield from members("algorithms", old.algorithms, new.algorithms)


def _keys(source: KeySource | None) -> tuple[str, ...]:
    if source is None:
        return ()
    return source.jwks if isinstance(source, InlineKeys) else (source.jwks_uri,)


def _key_name(key: str) -> str:
    return str(json.loads(key)["kid"]) if key.startswith("{") else key


def _given(paths: Iterable[Path]) -> frozenset[Pair]:
    """The scopes that come of *paths*, each with its client."""
    return frozenset((path.grant.client, scope) for path in paths for scope in path.gives)


def _led_to(paths: Iterable[Path]) -> frozenset[Pair]:
    """The scopes that come of *paths*, each with the scope of the subject token."""
    return frozenset(pair for path in paths for pair in _pairs(path.scopes))


def _mode(before: Grant | Deny, after: Grant | Deny) -> Differences:
    return limit("mode", before.mode is Mode.ENFORCE, after.mode is Mode.ENFORCE, _said_mode)


def _effect(grant: Grant | Deny) -> str:
    return "deny" if isinstance(grant, Deny) else "allow"


def said_scopes(grant: Grant | Deny) -> Scope:
    """The scopes of the resource that it gives or takes, as the files have them."""
    if isinstance(grant, Grant):
        return grant.ceiling
    return frozenset({"any"}) if grant.scopes is None else grant.scopes


def _pairs(mapping: Mapping[str, Iterable[str]]) -> list[Pair]:
    return [(name, one) for name, several in mapping.items() for one in several]


def _stands_for(pair: Pair) -> str:
    return " > ".join(pair)


def _who(identity: Identity) -> str:
    return f"{identity.subject} of {identity.issuer}"


def _if_any(value: str | None) -> tuple[str, ...]:
    return () if value is None else (value,)


_NEVER = datetime.max.replace(tzinfo=UTC)


def _end(grant: Grant | Deny) -> datetime:
    return _NEVER if grant.expires_at is None else grant.expires_at


def _said_end(end: datetime) -> str:
    return "never" if end == _NEVER else end.isoformat()


def _seconds(lifetime: timedelta) -> str:
    return f"{int(lifetime.total_seconds())} s"


def _said_mode(is_enforced: bool) -> str:  # noqa: FBT001, it is the value
    return Mode.ENFORCE if is_enforced else Mode.SHADOW


def _said_format(is_array: bool) -> str:  # noqa: FBT001, it is the value
    return "array" if is_array else "string"
