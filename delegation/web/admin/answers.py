"""What the admin API answers: a model for each, made from the values of the domain."""

import json
from typing import Any, Literal

from pydantic import Field

from delegation.domain.administration import Reach, Stopped, Tree
from delegation.domain.evidence import Explained
from delegation.domain.exchanges import BlastRadius, RecordedExchange
from delegation.domain.locks import BookedLock, Durability
from delegation.domain.ports import EventPage as FoundEvents
from delegation.domain.ports import StoredEvent, WorkerReport
from delegation.web.admin.forms import Strict, timestamp
from delegation.web.admin.service import LoadedRegistry, PublicKey
from delegation.web.admin.targets import AnyTarget, IssSub, target_model


class Exchange(Strict):
    """An exchange whose token has not expired. Those who act are listed current first."""

    id: str = Field(description="The `jti` of its token.")
    state: Literal["alive", "dead"]
    recorded_at: str
    expires_at: str
    subject: IssSub
    actors: list[IssSub]
    client: str
    agent: str | None
    resource: str
    grant: str
    scope: list[str]
    parent: str | None = Field(
        description="The exchange that it grew from; null where that was a foreign token."
    )

    @classmethod
    def of(cls, recorded: RecordedExchange) -> "Exchange":
        """As the domain has it."""
        return cls.model_construct(**_exchange(recorded))


def _exchange(recorded: RecordedExchange) -> dict[str, Any]:
    return {
        "id": recorded.id,
        "state": "alive" if recorded.alive else "dead",
        "recorded_at": timestamp(recorded.recorded_at),
        "expires_at": timestamp(recorded.expires_at),
        "subject": IssSub.of(recorded.subject),
        "actors": [IssSub.of(actor) for actor in recorded.actors],
        "client": recorded.client,
        "agent": recorded.agent,
        "resource": recorded.resource,
        "grant": recorded.grant,
        "scope": sorted(recorded.scope),
        "parent": recorded.parent,
    }


class ExchangePage(Strict):
    """Some exchanges. There may be more while there is a cursor, even where none are here."""

    items: list[Exchange]
    cursor: str | None
    looked_at: int = Field(description="How many were looked at for these.")


class Relatives(Strict):
    """What an exchange grew from, nearest first, and what grew from it, oldest first."""

    ancestors: list[Exchange]
    descendants: list[Exchange]


class ExchangeWithTree(Exchange):
    """An exchange among its relatives."""

    tree: Relatives

    @classmethod
    def of_tree(cls, tree: Tree) -> "ExchangeWithTree":
        """As the domain has it."""
        relatives = Relatives.model_construct(
            ancestors=[Exchange.of(one) for one in tree.ancestors],
            descendants=[Exchange.of(one) for one in tree.descendants],
        )
        return cls.model_construct(**_exchange(tree.exchange), tree=relatives)


class Lock(Strict):
    """A stop: what was ordered, when it began, and what has become of it."""

    id: str
    target: AnyTarget
    reason: str
    author: str
    begins_at: str
    ends_at: str | None
    state: Literal["standing", "ended", "lifted", "annulled"]
    parents: bool
    since_login: bool

    @classmethod
    def of(cls, lock: BookedLock) -> "Lock":
        """As the domain has it."""
        order = lock.order
        return cls.model_construct(
            id=order.id,
            target=target_model(order.target),
            reason=order.reason,
            author=order.author,
            begins_at=timestamp(lock.begins_at),
            ends_at=None if lock.ends_at is None else timestamp(lock.ends_at),
            state=lock.state.value,
            parents=order.parents,
            since_login=order.since_login,
        )


class LockPage(Strict):
    """Some locks. There may be more while there is a cursor, even where none are here."""

    items: list[Lock]
    cursor: str | None


class Kept(Strict):
    """How safely it is kept: on the server's disk or not, and by how many replicas."""

    on_disk: bool
    replicas: int

    @classmethod
    def of(cls, durability: Durability) -> "Kept":
        """As the domain has it."""
        return cls.model_construct(on_disk=durability.on_disk, replicas=durability.replicas)


class ReachedResource(Strict):
    """A resource that is reached, and until when it would take tokens by itself."""

    resource: str
    latest_expiry: str
    introspects: bool = Field(description="Whether it asks each time, and so stops at once.")


class Radius(Strict):
    """What a stop reaches of what is alive. Where it is not complete, each number is the least."""

    exchanges: int
    subjects: int
    actors: int
    deepest_chain: int
    resources: list[ReachedResource]
    looked_at: int = Field(description="How many exchanges were looked at for this.")
    complete: bool
    cursor: str | None = Field(description="Where to go on with `GET /admin/v1/blast-radius`.")

    @classmethod
    def of(cls, radius: BlastRadius, reach: Reach) -> "Radius":
        """As the domain has it."""
        return cls.model_construct(
            exchanges=radius.exchanges,
            subjects=len(radius.subjects),
            actors=len(radius.actors),
            deepest_chain=radius.deepest_chain,
            resources=[
                ReachedResource.model_construct(
                    resource=name,
                    latest_expiry=timestamp(at),
                    introspects=name in reach.introspecting,
                )
                for name, at in sorted(radius.latest_expiry.items())
            ],
            looked_at=radius.looked_at,
            complete=radius.cursor is None,
            cursor=radius.cursor,
        )


class WouldStop(Strict):
    """What a stop would reach now, and by when it would be complete."""

    blast_radius: Radius | None
    fully_effective_at: str = Field(
        description="By then no API takes anything of it any more: those that introspect now, the "
        "others when the last token expires. Where not everything was counted: at the latest."
    )

    @classmethod
    def of(cls, reach: Reach) -> "WouldStop":
        """As the domain has it."""
        return cls.model_construct(**_reach(reach))


def _reach(reach: Reach) -> dict[str, Any]:
    radius = reach.radius
    return {
        "blast_radius": None if radius is None else Radius.of(radius, reach),
        "fully_effective_at": timestamp(reach.fully_effective_at),
    }


class HasStopped(WouldStop):
    """A lock that stands everywhere, how safely it is kept, and what it reached."""

    lock: Lock
    durability: Kept

    @classmethod
    def of_stop(cls, stopped: Stopped) -> "HasStopped":
        """As the domain has it."""
        return cls.model_construct(
            lock=Lock.of(stopped.lock),
            durability=Kept.of(stopped.durability),
            **_reach(stopped.reach),
        )


class HasLifted(Strict):
    """What has become of a lock, and how safely that is kept."""

    lock: Lock
    durability: Kept


class Worker(Strict):
    """A worker of the token service, as it described itself last."""

    id: str
    revision: str = Field(description="Of the registry that it runs.")
    status: Literal["ready", "not ready"]
    problems: list[str]
    started_at: str
    seen_at: str

    @classmethod
    def of(cls, report: WorkerReport) -> "Worker":
        """As the domain has it."""
        return cls.model_construct(
            id=report.id,
            revision=report.revision,
            status="not ready" if report.problems else "ready",
            problems=list(report.problems),
            started_at=timestamp(report.started_at),
            seen_at=timestamp(report.seen_at),
        )


class WorkerList(Strict):
    """Every worker that was there lately."""

    items: list[Worker]


class Key(Strict):
    """A key of ours: how it is used, and what of it is published (RFC 7517)."""

    kid: str
    algorithm: str
    status: Literal["active", "next", "retiring"]
    jwk: dict[str, str]

    @classmethod
    def of(cls, key: PublicKey) -> "Key":
        """As the service has it."""
        return cls.model_construct(
            kid=key.kid, algorithm=key.algorithm, status=key.status, jwk=dict(key.jwk)
        )


class KeyList(Strict):
    """All keys that are published."""

    items: list[Key]


class RegistryFile(Strict):
    """What one file says."""

    name: str
    content: dict[str, Any] = Field(
        description="As the schema of a registry file describes it. For the digest of each secret "
        "there is another one, which only tells whether it is the same."
    )


class Loaded(Strict):
    """The registry that is in force: what its files say, and what else its meaning depends on."""

    revision: str = Field(description="Of the files themselves.")
    issuer: str
    admin_audience: str
    files: list[RegistryFile]

    @classmethod
    def of(cls, loaded: LoadedRegistry) -> "Loaded":
        """As the service has it."""
        return cls.model_construct(
            revision=loaded.revision,
            issuer=loaded.issuer,
            admin_audience=loaded.admin_audience,
            files=[
                RegistryFile.model_construct(name=name, content=dict(content))
                for name, content in loaded.files.items()
            ],
        )


class Alarm(Strict):
    """An event that somebody should look at now."""

    at: str
    event: dict[str, Any] = Field(description="As the schema of events describes it.")

    @classmethod
    def of(cls, stored: StoredEvent) -> "Alarm":
        """As the store has it."""
        return cls.model_construct(at=timestamp(stored.at), event=json.loads(stored.event))


class AlarmPage(Strict):
    """The latest alarms, newest first, and how many of each cause there have ever been."""

    items: list[Alarm]
    cursor: str | None
    counts: dict[str, int]


class EventList(Strict):
    """Events in order of time, and what was read for them: with neither left out, these are all."""

    items: list[dict[str, Any]] = Field(
        description="Each as the schema of events describes it.",
    )
    is_sealed_read: bool = Field(description="Whether the sealed segments were read.")
    is_store_read: bool = Field(description="Whether the store was, which has what is not sealed.")
    is_torn: bool = Field(
        description="Whether what the store has does not go on from what is sealed here."
    )
    missing: int = Field(
        description="How many events were gone before they were sealed, as the segments say."
    )

    @classmethod
    def of(cls, found: FoundEvents) -> "EventList":
        """As the domain has it."""
        return cls.model_construct(**_events(found))


class EventPage(EventList):
    """Some events. There may be more while there is a cursor, even where none are here."""

    cursor: str | None
    looked_at: int = Field(description="How many were looked at for these, about.")

    @classmethod
    def of(cls, found: FoundEvents) -> "EventPage":
        """As the domain has it."""
        return cls.model_construct(**_events(found), cursor=found.cursor, looked_at=found.looked_at)


def _events(found: FoundEvents) -> dict[str, Any]:
    return {
        "items": [dict(event) for event in found.items],
        "is_sealed_read": found.is_sealed_read,
        "is_store_read": found.is_store_read,
        "is_torn": found.is_torn,
        "missing": found.missing,
    }


class Fact(Strict):
    """What it is, and what it was this time."""

    label: str
    text: str


class Decision(Strict):
    """Why a request was answered as it was."""

    event: dict[str, Any] | None = Field(
        description="As the schema of events describes it; null where there is none."
    )
    outcome: str = Field(description="In a sentence; without an event, what that may mean.")
    facts: list[Fact]
    needed: list[str] = Field(description="What would have been needed, in sentences.")

    @classmethod
    def of(cls, explained: Explained) -> "Decision":
        """As the domain has it."""
        return cls.model_construct(
            event=None if explained.event is None else dict(explained.event),
            outcome=explained.outcome,
            facts=[Fact.model_construct(label=label, text=text) for label, text in explained.facts],
            needed=list(explained.needed),
        )
