"""Two releases at one store: each understands the other as decision 32 has it, or refuses by name.

The one to come is this one, whose scripts and events say more: whatever may be added while the
layout keeps its version stands somewhere in what it writes.
"""

import json
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha1
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
import redis

from delegation.audit.acts import Acts
from delegation.audit.events import Events
from delegation.audit.packing import packed, unpacked
from delegation.audit.reading import Notes, Reader
from delegation.audit.segments import Directory, Trail
from delegation.audit.verify import verify
from delegation.domain.case import Case
from delegation.domain.delegations import Delegation
from delegation.domain.errors import Cause, NotPermitted, SubjectTokenRejected, TooManyExchanges
from delegation.domain.evidence import EventFilter
from delegation.domain.locks import Target
from delegation.domain.ports import WorkerReport
from delegation.domain.rates import Per, Rate
from delegation.ledger import scripts
from delegation.ledger.alarms import RedisAlarms
from delegation.ledger.evidence import Evidence
from delegation.ledger.exchanges import RedisExchanges
from delegation.ledger.ledger import Limits, RedisLedger
from delegation.ledger.locks import RedisLocks
from delegation.ledger.partitions import Partitions
from delegation.ledger.presence import RedisPresence
from delegation.ledger.quota import RedisQuota
from delegation.ledger.scripts import Script
from delegation.ledger.server import Server
from delegation.ledger.store import LAYOUT_VERSION, Store
from tests.audit.trails import KEY, a_sealer
from tests.cli.command import run
from tests.cli.conftest import _begun, _sound, _unlaid  # noqa: F401, fixtures
from tests.parties import ALICE, a_case, a_grant, a_registry, the_next_client
from tests.valkey import (  # noqa: F401, fixtures
    PARTITIONS,
    _raw,
    _server,
    _store,
    _valkey,
    _valkey_process,
    decide,
    decide_next,
    let_a_moment_pass,
    now_in_milliseconds,
    put,
    snapshot,
)

ADDED = {
    # Behind what stands in a record, in what it says in words, and in a link of its lineage.
    "links, detail, before, foreign})": "links, detail, before, foreign, {more = 1}})",
    "pack_record(lineage, ARGV[9],": """pack_record(lineage, ARGV[9]:sub(1, -2) .. ',"more"]',""",
    "issued_at, logged_in_at}": "issued_at, logged_in_at, 'more'}",
    # By name: in a lock, in what the book says of it, in an entry of a stream, in a report.
    "l = ARGV[9] == '1'}": "l = ARGV[9] == '1', more = 1}",
    "d = ARGV[10]}": """d = (ARGV[10]:gsub('}$', ',"more":1}')), more = 1}""",
    "'event', event)": "'event', event, 'more', '1')",
    "'event', ARGV[6])": "'event', ARGV[6], 'more', '1')",
    "now, ARGV[7]))": """now, (ARGV[7]:gsub('}$', ',"more":1}'))))""",
}
"""What the scripts of the release to come say in place of what ours say."""


def _to_come(script: Script) -> Script:
    text = script.source
    for ours, theirs in ADDED.items():
        text = text.replace(ours, theirs)
    return Script(text, sha1(text.encode(), usedforsecurity=False).hexdigest())


TO_COME = {one: _to_come(one) for one in vars(scripts).values() if isinstance(one, Script)}


class StoreToCome(Store):
    """Asks with the scripts of the release to come."""

    def begin(self, script: Script, *rest: Any) -> Any:
        """As they are there."""
        return super().begin(TO_COME[script], *rest)

    def ask_all(self, script: Script, *rest: Any) -> Any:
        """As they are there."""
        return super().ask_all(TO_COME[script], *rest)

    def ask_durably(self, script: Script, *rest: Any) -> Any:
        """As they are there."""
        return super().ask_durably(TO_COME[script], *rest)


class EventsToCome(Events):
    """Events with a member that the schema of this release does not have."""

    def granted(self, delegation: Delegation, case: Case) -> bytes:
        """That of an exchange."""
        event = unpacked(super().granted(delegation, case))
        del event["lineage"]
        return packed(json.dumps(event | {"more": {"of": "this"}}).encode())


@dataclass(frozen=True)
class Release:
    """A worker of a release, an administrator and a sealer."""

    store: Store
    events: Events

    @property
    def ledger(self) -> RedisLedger:
        """What its worker records and claims with."""
        return RedisLedger(self.store, events=self.events, limits=Limits())

    @property
    def locks(self) -> RedisLocks:
        """What its administrator stops with."""
        return RedisLocks(self.store, events=Acts())

    @property
    def exchanges(self) -> RedisExchanges:
        """What its administrator looks at."""
        return RedisExchanges(self.store)


@pytest.fixture(name="releases", params=["ours first", "ours second"])
def _releases(
    request: pytest.FixtureRequest, store: Store, server: Server, raw: "redis.Redis"
) -> tuple[Release, Release]:
    """Ours, and the one to come."""
    for partition in PARTITIONS.all():
        raw.hset(partition.layout, mapping={"more": 1, "born": 0})
    ours = Release(store, Events())
    theirs = Release(StoreToCome(server, PARTITIONS), EventsToCome())
    return (ours, theirs) if request.param == "ours first" else (theirs, ours)


def test_the_release_to_come_adds_everything() -> None:
    """Each thing that is added is in some script: or it would be tested by nothing."""
    found = Counter(ours for script in TO_COME for ours in ADDED if ours in script.source)

    assert found.keys() == ADDED.keys()


def test_what_one_records_the_other_knows(releases: tuple[Release, Release]) -> None:
    """Alive for both, of the same people, with the same family; and the other goes on from it."""
    one, other = releases
    first = decide(one.ledger)
    one.ledger.record(first, a_case())
    second = decide_next(other.ledger, first)
    other.ledger.record(second, a_case(client=the_next_client()))

    for id_ in (first.id, second.id):
        assert all(release.ledger.is_alive(id_, ALICE) for release in releases)
        assert one.exchanges.find(id_) == other.exchanges.find(id_)
    found = one.exchanges.find(second.id)
    assert found is not None
    assert (found.subject, found.parent, found.alive) == (ALICE, first.id, True)
    assert one.exchanges.relatives(found) == other.exchanges.relatives(found)
    assert len(one.exchanges.relatives(found)) == 2


def test_what_one_stops_is_stopped_for_the_other(releases: tuple[Release, Release]) -> None:
    """At every hop; when it is lifted, by whomever, what there was stays dead for both."""
    one, other = releases
    first = decide(one.ledger)
    one.ledger.record(first, a_case())
    second = decide_next(other.ledger, first)
    other.ledger.record(second, a_case(client=the_next_client()))

    lock = put(other.locks, Target.exchange(first.id))
    everything = put(one.locks, Target.subject(ALICE))

    for release in releases:
        assert not release.ledger.is_alive(first.id, ALICE)
        assert not release.ledger.is_alive(second.id, ALICE)
        with pytest.raises(NotPermitted) as refused:
            release.ledger.record(decide(release.ledger), a_case())
        assert refused.value.cause is Cause.LOCKED
        assert {booked.order.id for booked in release.locks.page(None, count=9).items} == {
            lock.order.id,
            everything.order.id,
        }

    other.locks.lift(other.locks.find(everything.order.id), reason="x", author="y", mistaken=False)
    let_a_moment_pass()

    for release in releases:
        assert not release.ledger.is_alive(second.id, ALICE)
        assert release.locks.find(everything.order.id).state == "lifted"
    assert one.locks.find(lock.order.id) == other.locks.find(lock.order.id)


def test_what_one_uses_up_is_used_up_for_the_other(releases: tuple[Release, Release]) -> None:
    """A one-time id, a token that may be used once, and a rate."""
    one, other = releases
    now, owner = now_in_milliseconds(), "calendar-mcp"
    once = a_registry(grants=[a_grant(single_use=True)])
    rates = {Per.CLIENT: [Rate(1, 3600)]}

    def claimed(release: Release) -> bool:
        return release.ledger.claim(
            owner, "assertion-1", nonce=token_hex(8), issued_at=now, until=now + 60_000
        )

    assert claimed(one)
    one.ledger.record(decide(one.ledger, registry=once), a_case())
    RedisQuota(one.store, rates).take(decide(one.ledger), a_case(nonce=token_hex(8)))

    assert not claimed(other)
    with pytest.raises(SubjectTokenRejected) as refused:
        other.ledger.record(decide(other.ledger, registry=once), a_case())
    assert refused.value.cause is Cause.ALREADY_USED
    with pytest.raises(TooManyExchanges):
        RedisQuota(other.store, rates).take(decide(other.ledger), a_case(nonce=token_hex(8)))


def test_what_one_voids_is_gone_for_the_other(releases: tuple[Release, Release]) -> None:
    """A record whose token could not be signed."""
    one, other = releases
    first = decide(one.ledger)
    one.ledger.record(first, a_case())

    other.ledger.void(first, a_case())

    assert [release.exchanges.find(first.id) for release in releases] == [None, None]


def test_what_one_says_the_other_hears(releases: tuple[Release, Release]) -> None:
    """A worker says that it is there, and an alarm is sounded."""
    one, other = releases
    report = WorkerReport(id="w", revision="r", problems=(), started_at=1)
    refused = SubjectTokenRejected(Cause.PRESENTED_BY_ANOTHER_CLIENT)

    RedisPresence(one.store).report(report)
    decision = one.ledger.refuse(refused, a_case())

    [heard] = RedisPresence(other.store).workers()
    [alarm] = RedisAlarms(other.store).page(None, count=9).items
    assert (heard.id, heard.revision) == ("w", "r")
    assert unpacked(alarm.event)["decision"] == decision


def test_what_one_writes_the_other_seals(releases: tuple[Release, Release], tmp_path: Path) -> None:
    """Members that it does not know stay in the evidence, and are shown; nothing is unreadable."""
    one, other = releases
    first = decide(one.ledger)
    one.ledger.record(first, a_case())
    second = decide_next(other.ledger, first)
    other.ledger.record(second, a_case(client=the_next_client()))
    put(one.locks, Target.subject(ALICE))
    put(other.locks, Target.exchange(first.id))

    segments, notes = Directory(tmp_path), Notes()
    list(a_sealer(Evidence(other.store), tmp_path, clock=lambda: datetime.now(UTC))())  # type: ignore[arg-type]

    verified = verify(segments, [KEY.verifier], since=Trail(segments).begins())
    read = [entry.event for entry in Reader(None, segments).events(EventFilter(), notes=notes)]
    events = [event for event in read if event is not None]
    assert (verified.events, notes) == (4, Notes())
    assert [event["type"] for event in events] == ["exchange", "exchange", "lock", "lock"]
    assert [event["more"] for event in events if "more" in event] == [{"of": "this"}]
    assert events[1]["lineage"]["exchanges"] == [first.id]


REMEDY = (
    "the store was laid out by a release with another layout: run that release; or seal what is "
    "left with it, empty the store, and run `delegation ledger replay-locks`"
)


@pytest.mark.parametrize("version", [LAYOUT_VERSION - 1, LAYOUT_VERSION + 1])
def test_another_layout_is_refused_with_what_to_do(
    sound: dict[str, str], raw: "redis.Redis", tmp_path: Path, version: int
) -> None:
    """Before a service starts, and by whatever would write: nothing is changed."""
    for partition in Partitions(64).all():
        raw.hset(partition.layout, "version", version)
    key, trail = tmp_path / "audit.key", tmp_path / "audit"
    key.write_text(f"{KEY.kept()}\n")
    key.chmod(0o600)
    environment, before = sound | {"DELEGATION_AUDIT_KEY": str(key)}, snapshot(raw)

    checked, served, sealed, listed, laid_out = (
        run(*command.split(), environment=environment)
        for command in ("check", "serve", f"audit seal {trail} --once", "locks", "ledger init")
    )

    assert {ran.status for ran in (checked, served, sealed, listed, laid_out)} == {1}
    assert {ran.err.strip() for ran in (checked, served, sealed)} == {f"ledger: {REMEDY}"}
    assert listed.err.endswith("`delegation check` says what is wrong with it.\n")
    assert f"layout version {version} with 64 partitions" in laid_out.err
    assert snapshot(raw) == before
