"""The questions that the admin API answers of the registry: who could do what for whom."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationError, WrapValidator
from pydantic_core.core_schema import ValidatorFunctionWrapHandler

from delegation.domain.administration import Capability
from delegation.domain.parties import is_name
from delegation.domain.questions import Question, Unaskable, can_i
from delegation.domain.tokens import SEPARATOR
from delegation.domain.ways import what_can, who_can
from delegation.web.admin.forms import Name, Strict, Time, Uri, instant
from delegation.web.admin.operations import Answer, Call, Operation
from delegation.web.admin.problems import Asked, Impossible, Kind
from delegation.web.admin.verdict import Verdict
from delegation.web.admin.ways import WayList

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _subject(value: str) -> str:
    if not is_name(value.partition(SEPARATOR)[2]):
        raise ValueError("no subject")
    return value


def _unquoted(value: object, handler: ValidatorFunctionWrapHandler) -> Any:
    """Keys of a mapping are the sender's own: what is wrong below it is not said by them."""
    try:
        return handler(value)
    except ValidationError:
        raise ValueError("not as the schema says") from None


Scope = Annotated[str, Field(pattern=r"^[\x21\x23-\x5B\x5D-\x7E]+$", max_length=2048)]
Scopes = Annotated[list[Scope], Field(min_length=1)]
ClientId = Annotated[str, Field(pattern=r"^[\x21-\x7B\x7D\x7E]{1,255}$")]
Subject = Annotated[
    str,
    Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}\|[^\x00-\x1F\x7F]{1,255}$"),
    AfterValidator(_subject),
]
Claims = Annotated[dict[str, Annotated[list[Name], Field(min_length=1)]], WrapValidator(_unquoted)]


class _When(Strict):
    """What every question has: when it is asked."""

    at: Time | None = Field(None, description="When it is asked. Left out: now.")

    def moment(self, call: Call) -> datetime:
        """When that is. Raises `Impossible`."""
        if self.at is None:
            milliseconds = call.service.administration.now()
        elif (milliseconds := instant(self.at)) < 0:
            raise Impossible("at must not lie before 1970")
        return _EPOCH + timedelta(milliseconds=milliseconds)


class CanI(_When):
    """May the client have a token for this resource? As a test has it that stands in the files."""

    client: ClientId = Field(description="Who asks: its id.")
    hops: list[ClientId] = Field(
        default=[],
        description="Clients that exchange the token before, in order, each for a token for the "
        "next.",
    )
    subject: Subject = Field(description="For whom: `<alias>|<sub>`.")
    agent: Name = Field(description="The MCP client that the subject's token was issued to.")
    mcp_scope: Scopes | None = Field(None, description="The scope of its token. Left out: none.")
    claims: Claims = Field(
        default={},
        description="What its token says, by the names in the issuer's `claims`. What is left out, "
        "it does not say.",
    )
    resource: Uri = Field(description="The URI of the resource, or a name of it.")
    scope: Scopes | None = Field(None, description="What is asked for. Left out: all there is.")

    def question(self, now: datetime) -> Question:
        """For the domain."""
        alias, _, subject = self.subject.partition(SEPARATOR)
        return Question(
            client=self.client,
            resource=self.resource,
            alias=alias,
            subject=subject,
            agent=self.agent,
            now=now,
            token_scope=frozenset(self.mcp_scope or ()),
            claims={name: frozenset(values) for name, values in self.claims.items()},
            scope=None if self.scope is None else frozenset(self.scope),
            before=tuple(self.hops),
        )


class WhoCan(_When):
    """Who can get at this resource?"""

    resource: Uri = Field(description="The URI of the resource, or a name of it.")
    scope: Scope | None = Field(None, description="Only what leads to this scope of it.")


class WhatCan(_When):
    """What can this client do, or be done for this subject? Exactly one of them is named."""

    client: ClientId | None = Field(None, description="What it can do, by its id.")
    subject: Subject | None = Field(None, description="What can be done for it: `<alias>|<sub>`.")

    def name(self) -> str:
        """For the domain. Raises `Impossible`."""
        match [one for one in (self.client, self.subject) if one is not None]:
            case [name]:
                return name
            case _:
                raise Impossible("exactly one of client and subject must be given")


def ask_can_i(call: Call) -> Answer:
    """The decision that the service would make."""
    question: CanI = call.body
    asked = question.question(question.moment(call))
    try:
        return 200, Verdict.of(can_i(asked, call.service.registry()))
    except Unaskable as unaskable:
        raise _nothing(unaskable) from None


def ask_who_can(call: Call) -> Answer:
    """Every way to a resource."""
    query: WhoCan = call.query
    now, registry = query.moment(call), call.service.registry()
    try:
        return 200, WayList.of(who_can(query.resource, query.scope, registry, now), registry)
    except Unaskable as unaskable:
        raise _nothing(unaskable) from None


def ask_what_can(call: Call) -> Answer:
    """Every way of a client, or for a subject."""
    query: WhatCan = call.query
    now, registry = query.moment(call), call.service.registry()
    try:
        return 200, WayList.of(what_can(query.name(), registry, now), registry)
    except Unaskable as unaskable:
        raise _nothing(unaskable) from None


def _nothing(unaskable: Unaskable) -> Asked:
    return Asked(Kind.UNASKABLE, detail=f"there is no such {unaskable.what}")


QUESTIONS = (
    Operation(
        name="askCanI",
        method="POST",
        path="/can-i",
        summary="Would this client be given a token, and what would it say? Nothing is done",
        needs=frozenset({Capability.REGISTRY_READ}),
        handle=ask_can_i,
        body=CanI,
        answers={200: Verdict},
        problems=(413, 415, 422),
    ),
    Operation(
        name="askWhoCan",
        method="GET",
        path="/who-can",
        summary="Who can get at this resource, for whom, through whom, with which scopes?",
        needs=frozenset({Capability.REGISTRY_READ}),
        handle=ask_who_can,
        query=WhoCan,
        answers={200: WayList},
        problems=(422,),
    ),
    Operation(
        name="askWhatCan",
        method="GET",
        path="/what-can",
        summary="What can this client do, or be done for this subject?",
        needs=frozenset({Capability.REGISTRY_READ}),
        handle=ask_what_can,
        query=WhatCan,
        answers={200: WayList},
        problems=(422,),
    ),
)
"""All of them."""
