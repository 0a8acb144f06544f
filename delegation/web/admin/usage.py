"""What the admin API tells of rate limits: how much of each a client uses. Nothing is counted."""

from typing import Literal

from pydantic import Field

from delegation.domain.administration import Capability
from delegation.domain.parties import Identity
from delegation.domain.rates import Rate, Usage
from delegation.domain.registry import Registry
from delegation.web.admin.forms import Name, Strict, timestamp
from delegation.web.admin.operations import Answer, Call, Operation
from delegation.web.admin.problems import Impossible


class UsageQuery(Strict):
    """Whose use: a client's, and of it what is for one subject, and under one grant."""

    client: Name = Field(description="Which client.")
    subject_issuer: Name | None = Field(None, description="The issuer of `subject`.")
    subject: Name | None = Field(None, description="Also what it uses for this root identity.")
    grant: Name | None = Field(None, description="Also what it uses under this grant.")

    def identity(self) -> Identity | None:
        """For the domain. Raises `Impossible`."""
        match self.subject_issuer, self.subject:
            case None, None:
                return None
            case str(issuer), str(subject):
                return Identity(issuer, subject)
            case _:
                raise Impossible("an identity is named by issuer and subject together")


class RateUsage(Strict):
    """What is used of one rate limit."""

    per: Literal["client", "client_and_subject", "grant"] = Field(
        description="What is counted: all exchanges of the client, those for the subject, or those "
        "under the grant."
    )
    limit: int = Field(description="How many there may be in the window.")
    window: int = Field(description="Its length in seconds.")
    used: int = Field(description="More than the limit where that has been lowered since.")
    remaining: int
    resets_at: str | None = Field(
        description="When nothing counts any more of what is used; null where nothing is."
    )

    @classmethod
    def of(cls, usage: Usage) -> "RateUsage":
        """As the domain has it."""
        return cls.model_construct(
            per=usage.per.value,
            limit=usage.rate.amount,
            window=usage.rate.seconds,
            used=usage.used,
            remaining=usage.remaining,
            resets_at=None if usage.resets_at is None else timestamp(usage.resets_at),
        )


class UsageList(Strict):
    """The limits in force that count what is named; none where nothing limits that."""

    items: list[RateUsage]


def read_usage(call: Call) -> Answer:
    """By the limits that this process was started with, and those of the grant in its registry."""
    query: UsageQuery = call.query
    subject, client, grant = query.identity(), query.client, query.grant
    rates = [] if grant is None else _own_rates(call.service.registry(), client, grant)
    found = call.service.quota.usage(client, subject=subject, grant=grant, rates=rates)
    return 200, UsageList(items=[RateUsage.of(one) for one in found])


def _own_rates(registry: Registry, client: str, grant: str) -> list[Rate]:
    """Those of the grant of this id, as it is for this client."""
    return [
        rate
        for (name, _), grants in registry.grants.items()
        if name == client
        for one in grants
        if one.id == grant
        for rate in one.rates
    ]


USAGE = Operation(
    name="readUsage",
    method="GET",
    path="/usage",
    summary="How much of each rate limit a client uses",
    needs=frozenset({Capability.EXCHANGES_READ}),
    handle=read_usage,
    query=UsageQuery,
    answers={200: UsageList},
    problems=(422,),
)
