"""Actor tokens in the ledger: each is part of a lineage, and what stops it reaches all of that."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from delegation.audit.events import Events
from delegation.domain.errors import ActorTokenRejected, Cause, NotPermitted, SubjectTokenRejected
from delegation.domain.locks import EVERYTHING, Target
from delegation.domain.parties import Identity
from delegation.ledger.ledger import Limits, RedisLedger
from delegation.ledger.server import Server
from delegation.ledger.store import Store
from tests.parties import (
    ALICE,
    LOGIN,
    OUR_ISSUER,
    PLANNER,
    PLATFORM,
    a_case,
    a_client,
    a_grant,
    a_registry,
    a_verified_token,
    a_workload,
    an_actor,
    the_next_client,
)
from tests.valkey import PARTITIONS, decide, decide_next, now_in_milliseconds, put, snapshot

MAIL_MCP = Identity(OUR_ISSUER, "mail-mcp")
LISTED = frozenset({PLANNER, MAIL_MCP})


def planner(**changes):
    """The planner's token, of this moment."""
    return a_workload(now=datetime.now(UTC), **changes)


def mail_mcp(**changes):
    """What another client signed of itself, of this moment."""
    return an_actor(now=datetime.now(UTC), issuer="mail-mcp", identity=MAIL_MCP, **changes)


def decide_with(ledger, actor, **changes):
    """A decision of this moment in which *actor* acts."""
    return decide(ledger, actor=actor, by=a_client(may_present_actors=LISTED), **changes)


def record(ledger, delegation):
    """Record it; it is alive."""
    ledger.record(delegation, a_case())
    assert ledger.describe(delegation.id).alive
    return delegation


def alive(ledger, *delegations):
    """Which of them are."""
    return [ledger.describe(one.id).alive for one in delegations]


def cut_off(locks, target, **changes):
    """Put a lock on *target* that ends when it begins, a moment after what was before it."""
    time.sleep(0.01)
    put(locks, target, ends_at=now_in_milliseconds(), **changes)
    time.sleep(0.01)


def refused_by(ledger, delegation):
    """The type and the cause of its refusal."""
    with pytest.raises((NotPermitted, SubjectTokenRejected, ActorTokenRejected)) as refused:
        ledger.record(delegation, a_case())
    return type(refused.value), refused.value.cause


WORKLOAD = {
    "token": Target.token(PLATFORM, "actor-1"),
    "issuer": Target.issuer(PLATFORM),
    "actor": Target.actor(PLANNER),
    "pair": Target.pair(ALICE, PLANNER),
}
CLIENT = {
    "its-token": Target.token("mail-mcp", "actor-1"),
    "client": Target.client("mail-mcp"),
    "its-actor": Target.actor(MAIL_MCP),
    "its-pair": Target.pair(ALICE, MAIL_MCP),
}
each_target = pytest.mark.parametrize(
    ("actor", "target"),
    [(planner, target) for target in WORKLOAD.values()]
    + [(mail_mcp, target) for target in CLIENT.values()],
    ids=[*WORKLOAD, *CLIENT],
)


@pytest.mark.standard("REV-3", "7662-4")
@each_target
def test_a_lock_before_the_exchange_stops_it(ledger, locks, raw, actor, target):
    """While it stands nothing grows from the actor token, and nothing is written."""
    put(locks, target)
    before = snapshot(raw)

    assert refused_by(ledger, decide_with(ledger, actor())) == (NotPermitted, Cause.LOCKED)
    assert snapshot(raw) == before


@pytest.mark.standard("7009-4", "REV-3", "7662-4")
@each_target
def test_a_lock_after_the_exchange_reaches_all_that_grew_from_it(ledger, locks, actor, target):
    """At the second and at the third hop, too; and nothing that grew from elsewhere."""
    without = record(ledger, decide(ledger))
    first = record(ledger, decide_with(ledger, actor()))
    second = record(ledger, decide_next(ledger, first))
    third = record(ledger, decide_next(ledger, second))

    put(locks, target)

    assert alive(ledger, first, second, third) == [False] * 3
    assert alive(ledger, without) == [True]
    assert refused_by(ledger, decide_next(ledger, third)) == (NotPermitted, Cause.LOCKED)
    assert refused_by(ledger, decide_with(ledger, actor())) == (NotPermitted, Cause.LOCKED)


@pytest.mark.standard("7009-4")
def test_what_came_in_later_is_reached_from_there_on(locks, ledger):
    """An actor token that is shown at the second hop is no part of the first."""
    first = record(ledger, decide(ledger))
    client = the_next_client(may_present_actors=LISTED)
    second = record(ledger, decide_next(ledger, first, actor=planner(), by=client))
    third = record(ledger, decide_next(ledger, second))

    put(locks, Target.token(PLATFORM, "actor-1"))

    assert alive(ledger, first, second, third) == [True, False, False]


@pytest.mark.standard("REV-3", "8693-2.2.2-1")
@pytest.mark.parametrize("target", [EVERYTHING, *WORKLOAD.values()], ids=["everything", *WORKLOAD])
def test_what_was_issued_before_a_cut_off_stays_dead(ledger, locks, target):
    """Whether it reaches parents or not; at the second hop, too."""
    first = record(ledger, decide_with(ledger, planner()))
    second = record(ledger, decide_next(ledger, first))

    cut_off(locks, target, parents=target == WORKLOAD["token"])

    assert alive(ledger, first, second) == [False, False]
    dead = (SubjectTokenRejected, Cause.LINEAGE_DEAD)
    assert refused_by(ledger, decide_next(ledger, second)) == dead


@pytest.mark.standard("REV-3", "8693-2.2.2-1", "8693-A-1")
@pytest.mark.parametrize("name", ["token", "issuer", "actor"])
def test_an_actor_token_from_before_a_cut_off_is_dead(ledger, locks, raw, name):
    """Where the cut-off reaches parents: then a new one helps, and the subject token is as good."""
    cut_off(locks, WORKLOAD[name], parents=True)
    before = snapshot(raw)

    dead = decide_with(ledger, planner())
    # As new as it has to be even by the clock that is furthest ahead.
    new = decide_with(ledger, planner(issued_at=datetime.now(UTC) + timedelta(seconds=31)))

    assert refused_by(ledger, dead) == (ActorTokenRejected, Cause.LINEAGE_DEAD)
    assert snapshot(raw) == before
    record(ledger, new)


@pytest.mark.standard("REV-3")
def test_a_cut_off_spares_parents_unless_it_says_so(locks, ledger):
    """A minute of stop does not end every token that a platform wrote."""
    cut_off(locks, WORKLOAD["issuer"])

    record(ledger, decide_with(ledger, planner()))


def test_a_clients_clock_counts_as_a_minute_ahead(locks, ledger):
    """What it signed may have been signed before the cut-off where a workload's token was not."""
    cut_off(locks, EVERYTHING, parents=True)
    now = datetime.now(UTC)
    soon = {"issued_at": now + timedelta(seconds=45)}
    subject = a_verified_token(now=now, **soon)

    signed = decide_with(ledger, mail_mcp(**soon), subject=subject)
    written = decide_with(ledger, planner(**soon), subject=subject)

    assert refused_by(ledger, signed) == (ActorTokenRejected, Cause.LINEAGE_DEAD)
    record(ledger, written)


@pytest.mark.parametrize(
    ("target", "refusal"),
    [
        (WORKLOAD["token"], (ActorTokenRejected, Cause.LINEAGE_DEAD)),
        (Target.token(LOGIN, "login-1"), (SubjectTokenRejected, Cause.LINEAGE_DEAD)),
        (EVERYTHING, (SubjectTokenRejected, Cause.LINEAGE_DEAD)),
    ],
    ids=["actor-token", "subject-token", "both"],
)
def test_the_subject_token_is_looked_at_before_the_actor_token(ledger, locks, target, refusal):
    """Where both are dead it is the one that is named; and a repetition says the same."""
    known = decide_with(ledger, planner())
    record(ledger, known)

    cut_off(locks, target, parents=True)

    assert refused_by(ledger, decide_with(ledger, planner())) == refusal
    assert refused_by(ledger, known) == refusal


@pytest.mark.parametrize("target", WORKLOAD.values(), ids=WORKLOAD)
def test_a_repetition_of_what_was_stopped_meanwhile_is_refused(ledger, locks, raw, target):
    """A record whose reply was lost lets no token out once a lock stands on its actor token."""
    delegation = record(ledger, decide_with(ledger, planner()))
    put(locks, target)
    before = snapshot(raw)

    assert refused_by(ledger, delegation) == (NotPermitted, Cause.LOCKED)
    assert snapshot(raw) == before


def test_a_reply_that_was_lost_is_given_again(store, proxy, raw):
    """One record with an actor token, one event, although it was sent twice."""
    server = Server(proxy.url, timeout=2)
    ledger = RedisLedger(Store(server, store.partitions), events=Events(), limits=Limits())
    ledger.problems()
    delegation = decide_with(ledger, planner())
    proxy.cuts = 1

    ledger.record(delegation, a_case())

    assert proxy.cuts == 0
    assert ledger.describe(delegation.id).alive
    assert raw.xlen(PARTITIONS.of(ALICE).events) == 1
    before = snapshot(raw)
    ledger.record(delegation, a_case())
    assert snapshot(raw) == before
    server.close()


def test_one_use_is_that_of_the_subject_token(ledger, raw):
    """An actor token from before the store is good, and its next exchange is not its second use."""
    now = datetime.now(UTC)
    born = now_in_milliseconds() - 300_000
    raw.hset(PARTITIONS.of(ALICE).layout, "born", born)
    registry = a_registry(grants=[a_grant(single_use=True)])
    old = planner(issued_at=now - timedelta(minutes=10))

    first = decide_with(ledger, old, registry=registry)
    again = decide_with(ledger, planner(id="actor-2"), registry=registry)
    another = decide_with(
        ledger, old, registry=registry, subject=a_verified_token(now=now, id="login-2")
    )

    record(ledger, first)
    assert refused_by(ledger, again) == (SubjectTokenRejected, Cause.ALREADY_USED)
    record(ledger, another)
