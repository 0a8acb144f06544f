"""What `who-can` and `what-can` answer, for programs: over the admin API, and from the files."""

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import ConfigDict, Field

from delegation.domain.registry import Registry
from delegation.domain.ways import Way as FoundWay
from delegation.web.admin.forms import Strict

ASSUMED = (
    "IF is what the token must say: claims are not known here, and a token of ours has none.",
    "AFTER are clients that may hand on a token of ours: whether they obtain it, ask of each.",
    "MCP SCOPES are what the token must have. Locks are not looked at.",
)
"""What they cannot know: they list whatever some token could lead to."""

ASSUMED_OF_DENIES = (
    "LESS BY are denies that take something from some of them: what no token leads to is left out."
)
"""Likewise, where there are denies."""


class Way(Strict):
    """One grant, for those whom one entry of its subjects means."""

    model_config = ConfigDict(serialize_by_alias=True)

    client: str
    resource: str
    grant: str
    issuer: str = Field(description="The alias of the trusted issuer whose people they are.")
    people: list[str] | Literal["everyone"]
    claims: dict[str, list[str]] = Field(
        alias="if", description="What the token must say: one of these values of each."
    )
    agents: list[str] | Literal["any"] = Field(description="Through whom a foreign token comes.")
    after: list[str] = Field(description="Clients that may hand on a token of ours.")
    scopes: dict[str, list[str]] = Field(
        description="For each scope of the subject token what it leads to here."
    )
    denies: list[str] = Field(description="Denies that take something of it from some of them.")

    @classmethod
    def of(cls, way: FoundWay, registry: Registry) -> "Way":
        """As the domain has it."""
        claims = {name: sorted(values) for name, values in sorted(way.subjects.claims.items())}
        members: dict[str, Any] = {
            "client": way.client,
            "resource": way.resource,
            "grant": way.grant.id,
            "issuer": registry.issuers[way.subjects.issuer].alias,
            "people": list(way.people) or "everyone",
            "if": claims,
            "agents": "any" if way.any_agent else list(way.agents),
            "after": list(way.before),
            "scopes": {name: sorted(meaning) for name, meaning in way.scopes.items()},
            "denies": list(way.denies),
        }
        return cls.model_construct(**members)


class WayList(Strict):
    """Every way that there is for some token; a real one may fall short of it."""

    ways: list[Way]
    assumed: list[str] = Field(description="What is taken for granted, in sentences.")
    revision: str = Field(description="Of the registry that was asked.")

    @classmethod
    def of(cls, found: Sequence[FoundWay], registry: Registry) -> "WayList":
        """As the domain has it."""
        is_any_denied = any(way.denies for way in found)
        return cls.model_construct(
            ways=[Way.of(one, registry) for one in found],
            assumed=[*ASSUMED, *[ASSUMED_OF_DENIES] * is_any_denied],
            revision=registry.revision,
        )
