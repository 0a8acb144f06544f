"""What `can-i` answers, for programs: over the admin API, and from the files alone."""

from typing import Any, Literal

from pydantic import Field, RootModel

from delegation.domain.errors import InvalidScope
from delegation.domain.nearest import Missing, Near
from delegation.domain.questions import No, Yes
from delegation.domain.shadow import Shadow
from delegation.domain.tokens import format_scope
from delegation.web.admin.forms import Strict
from delegation.web.admin.targets import IssSub


class Instead(Strict):
    """What would be answered if grants that are in shadow were enforced."""

    grants: list[str] = Field(description="Those in shadow that speak of it.")
    allowed: bool
    cause: str | None = Field(description="Why it would be refused, if it would.")
    grant: str | None = Field(description="What would give it, if something would.")
    scope: list[str] | None
    expires_at: str | None

    @classmethod
    def of(cls, shadow: Shadow) -> "Instead":
        """As the domain has it."""
        ends = shadow.expires_at
        return cls.model_construct(
            grants=list(shadow.grants),
            allowed=ends is not None,
            cause=shadow.cause,
            grant=shadow.grant,
            scope=None if ends is None else sorted(shadow.scope),
            expires_at=None if ends is None else ends.isoformat(),
        )


class Needed(Strict):
    """One thing that the grant is missing."""

    what: Missing
    of: str = Field(
        description="Of what it is missing, or what is in the way: such as the claim, the deny."
    )
    needed: list[str] = Field(
        description="What would do: any one of these subjects, values or agents, or all of these "
        "scopes of the subject token."
    )


class Nearest(Strict):
    """The grant of the client there to which least is missing. With all of it, it would allow."""

    grant: str
    missing: list[Needed]

    @classmethod
    def of(cls, near: Near) -> "Nearest":
        """As the domain has it."""
        return cls.model_construct(
            grant=near.grant.id,
            missing=[
                Needed.model_construct(what=lack.missing, of=lack.of, needed=list(lack.needed))
                for lack in near.lacks
            ],
        )


class Allowed(Strict):
    """A token would be issued, and this is what it would say. Current actors come first."""

    allowed: Literal[True]
    client: str
    subject: IssSub
    resource: str
    grant: str
    scope: list[str]
    expires_in: int
    actors: list[IssSub]
    single_use: bool
    limits: dict[str, str] = Field(description="What was cut short, and by what.")
    shadow: list[Instead]
    revision: str = Field(description="Of the registry that was asked.")

    @classmethod
    def of(cls, answer: Yes) -> "Allowed":
        """As the domain has it."""
        delegation = answer.delegation
        lifetime = delegation.expires_at - delegation.issued_at
        return cls.model_construct(
            allowed=True,
            client=delegation.client,
            subject=IssSub.of(delegation.subject),
            resource=delegation.resource,
            grant=delegation.grant,
            scope=sorted(delegation.scope),
            expires_in=int(lifetime.total_seconds()),
            actors=[IssSub.of(actor.identity) for actor in delegation.actors],
            single_use=delegation.single_use,
            limits=dict(delegation.limits),
            shadow=[Instead.of(one) for one in answer.shadows],
            revision=delegation.revision,
        )


class NotAllowed(Strict):
    """A client would be refused, in these words; what it is not told comes after them."""

    allowed: Literal[False]
    client: str = Field(description="The one that asks, or one before it.")
    resource: str
    error: str
    error_description: str
    reason: str
    required_scope: str | None = Field(
        description="What would have sufficed in the subject token, where the client is told that."
    )
    cause: str
    nearest: Nearest | None = Field(description="Null where no grant of the client would help.")
    shadow: list[Instead]
    revision: str = Field(description="Of the registry that was asked.")

    @classmethod
    def of(cls, answer: No) -> "NotAllowed":
        """As the domain has it."""
        refused = answer.refused
        required = refused.required if isinstance(refused, InvalidScope) else frozenset()
        return cls.model_construct(
            allowed=False,
            client=answer.client,
            resource=answer.resource,
            error=refused.error,
            error_description=refused.description,
            reason=refused.reason.value,
            required_scope=format_scope(required) or None,
            cause=refused.cause.value,
            nearest=None if answer.nearest is None else Nearest.of(answer.nearest),
            shadow=[Instead.of(one) for one in answer.shadows],
            revision=answer.revision,
        )


class Verdict(RootModel[Allowed | NotAllowed]):
    """Whether a token would be issued, and what it would say; or why not."""

    @classmethod
    def of(cls, answer: Yes | No) -> "Verdict":
        """As the domain has it."""
        if isinstance(answer, Yes):
            return cls.model_construct(Allowed.of(answer))
        return cls.model_construct(NotAllowed.of(answer))


def decided(answer: Yes | No) -> dict[str, Any]:
    """The same, as JSON has it."""
    members: dict[str, Any] = Verdict.of(answer).model_dump(mode="json")
    return members
