"""What can be stopped: a model for each kind of target, each naming its own by fields."""

from typing import Annotated, Any, Literal, get_args

from pydantic import Field

from delegation.domain.locks import Kind, Target
from delegation.domain.parties import Identity
from delegation.web.admin.forms import Id, Name, Strict, Uri


class IssSub(Strict):
    """Somebody or something, by issuer and subject together (RFC 9493 §3.2.3)."""

    format: Literal["iss_sub"]
    iss: Name
    sub: Name

    @classmethod
    def of(cls, identity: Identity) -> "IssSub":
        """As the domain has it."""
        return cls.model_construct(format="iss_sub", iss=identity.issuer, sub=identity.subject)


class OneTarget(Strict):
    """What every kind has in common: its fields, in order, are the names of the target."""

    def target(self) -> Target:
        """For the domain."""
        kind, *values = (getattr(self, field) for field in type(self).model_fields)
        names: list[str] = []
        for value in values:
            names += [value.iss, value.sub] if isinstance(value, IssSub) else [value]
        return Target(Kind(kind), tuple(names))


class Everything(OneTarget):
    """The kill switch."""

    kind: Literal["everything"]


class OneIssuer(OneTarget):
    """All that grew from a token of this issuer."""

    kind: Literal["issuer"]
    issuer: Name


class OneSubject(OneTarget):
    """All that is done for this root identity."""

    kind: Literal["subject"]
    subject: IssSub


class OneAgent(OneTarget):
    """All that came through this agent, of this issuer."""

    kind: Literal["agent"]
    agent: IssSub


class OneActor(OneTarget):
    """All in which this identity acts, anywhere in the chain."""

    kind: Literal["actor"]
    actor: IssSub


class OneClient(OneTarget):
    """All that this client obtained, or acts in by what it signed of itself."""

    kind: Literal["client"]
    client: Name


class OneResource(OneTarget):
    """All that was issued for this resource, by its identifier."""

    kind: Literal["resource"]
    resource: Uri


class OneGrant(OneTarget):
    """All that was issued under this grant."""

    kind: Literal["grant"]
    grant: Name


class OneExchange(OneTarget):
    """One exchange, with all that came from it; its id is the `jti` of its token."""

    kind: Literal["exchange"]
    exchange: Id


class OneToken(OneTarget):
    """One foreign token, with all that came from it."""

    kind: Literal["token"]
    issuer: Name
    token: Name


class OnePair(OneTarget):
    """All that this actor does for this root identity."""

    kind: Literal["pair"]
    subject: IssSub
    actor: IssSub


KindName = Literal[
    "everything",
    "issuer",
    "subject",
    "agent",
    "actor",
    "client",
    "resource",
    "grant",
    "exchange",
    "token",
    "pair",
]

AnyTarget = Annotated[
    Everything
    | OneIssuer
    | OneSubject
    | OneAgent
    | OneActor
    | OneClient
    | OneResource
    | OneGrant
    | OneExchange
    | OneToken
    | OnePair,
    Field(discriminator="kind"),
]

MODELS: dict[str, type[OneTarget]] = {
    get_args(model.model_fields["kind"].annotation)[0]: model
    for model in get_args(get_args(AnyTarget)[0])
}
"""The model of each kind."""


def target_model(target: Target) -> OneTarget:
    """The model of *target*."""
    model, names = MODELS[target.kind], iter(target.names)
    fields: dict[str, Any] = {"kind": target.kind.value}
    for name, info in [*model.model_fields.items()][1:]:
        if info.annotation is IssSub:
            fields[name] = IssSub.of(Identity(next(names), next(names)))
        else:
            fields[name] = next(names)
    return model.model_construct(**fields)


def flat_names(kind: Kind) -> list[str]:
    """The names that a target of *kind* takes, in order, as a query has them."""
    names: list[str] = []
    for name, info in [*MODELS[kind].model_fields.items()][1:]:
        names += [f"{name}_issuer", name] if info.annotation is IssSub else [name]
    return names
