"""What can be asked of the admin API: a model for each query and each body."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from delegation.domain.administration import Stop
from delegation.domain.errors import Cause
from delegation.domain.evidence import EventFilter, Outcome
from delegation.domain.exchanges import Filter
from delegation.domain.locks import Kind, Target
from delegation.web.admin.forms import (
    Cursor,
    Flag,
    Id,
    Limit,
    Name,
    Seconds,
    Strict,
    Text,
    Time,
    Uri,
    instant,
    timestamp,
)
from delegation.web.admin.problems import Impossible
from delegation.web.admin.targets import AnyTarget, KindName, flat_names

OutcomeName = Literal["granted", "not_issued", "refused", "suppressed", "locked", "lifted", "alarm"]

CauseName = Annotated[
    str,
    Field(json_schema_extra={"enum": [cause.value for cause in Cause]}),
    AfterValidator(lambda value: Cause(value).value),
]


class NoQuery(Strict):
    """No parameters."""


class Page(Strict):
    """Where to go on, and how far."""

    cursor: Cursor | None = None
    limit: Limit = 100


class _Names(Strict):
    """Parties and things, each by its name; identities by issuer and subject together."""

    subject_issuer: Name | None = Field(None, description="The issuer of `subject`.")
    subject: Name | None = Field(None, description="On whose behalf: the root identity.")
    actor_issuer: Name | None = Field(None, description="The issuer of `actor`.")
    actor: Name | None = Field(None, description="Who acts, anywhere in the chain.")
    agent_issuer: Name | None = Field(None, description="The issuer of `agent`.")
    agent: Name | None = Field(None, description="Through which agent.")
    client: Name | None = Field(None, description="Which client asked.")
    resource: Uri | None = Field(None, description="For which resource, by its identifier.")
    grant: Name | None = Field(None, description="Under which grant.")

    def targets(self) -> list[Target]:
        """What is named, for the domain. Raises `Impossible`."""
        targets = []
        for kind in (Kind.SUBJECT, Kind.ACTOR, Kind.AGENT, Kind.CLIENT, Kind.RESOURCE, Kind.GRANT):
            names = tuple(getattr(self, name) for name in flat_names(kind))
            if set(names) == {None}:
                continue
            if None in names:
                raise Impossible("an identity is named by issuer and subject together")
            targets.append(Target(kind, names))
        return targets


class ExchangeQuery(_Names, Page):
    """Which exchanges: those that fit all that is named."""

    state: Literal["alive", "dead"] | None = None

    def filter(self) -> Filter:
        """For the domain. Raises `Impossible`."""
        return Filter(tuple(self.targets()))


class EventQuery(_Names, Page):
    """Which events: those that are about all that is named."""

    outcome: OutcomeName | None = Field(None, description="What became of it.")
    cause: CauseName | None = Field(None, description="Why it was refused, or what alarmed.")
    since: Time | None = Field(None, description="Recorded then or later.")
    until: Time | None = Field(None, description="Recorded before then.")

    def filter(self) -> EventFilter:
        """For the domain. Raises `Impossible`."""
        return EventFilter(
            targets=frozenset(self.targets()),
            outcome=None if self.outcome is None else Outcome(self.outcome),
            cause=None if self.cause is None else Cause(self.cause),
            since=None if self.since is None else _moment(self.since),
            until=None if self.until is None else _moment(self.until),
        )


class TargetQuery(_Names):
    """One target: its kind, and exactly the names that it takes."""

    kind: KindName
    exchange: Id | None = None
    issuer: Name | None = None
    token: Name | None = None
    cursor: Cursor | None = None

    def target(self) -> Target:
        """For the domain. Raises `Impossible` where there are other names than it takes."""
        kind = Kind(self.kind)
        takes = flat_names(kind)
        if self.model_fields_set - {"kind", "cursor"} != set(takes):
            raise Impossible("a target has exactly the names that its kind takes")
        return Target(kind, tuple(getattr(self, name) for name in takes))


class LockQuery(Page):
    """Which locks."""

    state: Literal["standing", "ended", "lifted", "annulled"] | None = None
    kind: KindName | None = None


class DryRun(Strict):
    """Whether to do it, or only to say what it would do."""

    dry_run: Flag = Field(default=False, description="Nothing is written; the answer is 200.")


class LockBody(Strict):
    """A stop: of what, why, and until when. Without an end it stands until it is lifted."""

    target: AnyTarget
    reason: Text = Field(description="Why; it stands in the event.")
    ttl: Seconds | None = Field(None, description="Seconds after which it ends by itself.")
    ends_at: Time | None = Field(None, description="Instead: when it ends by itself.")
    cut_off: Literal["now"] | Time | None = Field(
        None,
        description="Instead: stop what was issued up to then, and nothing that comes.",
    )
    parents: bool | None = Field(
        None,
        description="Whether it also ends what grows from foreign tokens that were issued up to "
        "its end. Left out: yes for a subject or a foreign token, no for the others.",
    )
    since_login: bool = Field(
        default=False,
        description="Whether it also ends what grows from foreign tokens of a login up to its end.",
    )

    def stop(self, now: int) -> Stop:
        """For the domain. Raises `Impossible`."""
        if sum(one is not None for one in (self.ttl, self.ends_at, self.cut_off)) > 1:
            raise Impossible("at most one of ttl, ends_at and cut_off can be given")
        return Stop(
            target=self.target.target(),
            reason=self.reason,
            ends_at=self._end(now),
            parents=self.parents,
            since_login=self.since_login,
        )

    def _end(self, now: int) -> int | None:
        if self.ttl is not None:
            return now + self.ttl * 1000
        if self.ends_at is not None:
            end = instant(self.ends_at)
            if end <= now:
                raise Impossible("ends_at must lie in the future; a cut_off does not")
            return end
        if self.cut_off is None or self.cut_off == "now":
            return None if self.cut_off is None else now
        if (end := instant(self.cut_off)) > now:
            raise Impossible("cut_off must not lie in the future; ends_at does")
        return max(end, 0)


class LiftBody(Strict):
    """The end of a lock, and why."""

    reason: Text = Field(description="Why; it stands in the event.")
    mistaken: bool = Field(
        default=False,
        description="Whether it was put on by mistake: then it is as if it had never been, and "
        "what it stopped is alive again. Otherwise what was issued up to now stays dead.",
    )


def _moment(time: str) -> str:
    """As events have it; none is older than the epoch."""
    return timestamp(max(instant(time), 0))
