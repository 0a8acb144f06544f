"""`can-i` says what the token endpoint says, to the word."""

from dataclasses import replace
from urllib.parse import urlencode

from hypothesis import given
from hypothesis import strategies as st

from delegation.domain.parties import Client
from delegation.domain.questions import No, Yes, decide
from delegation.domain.registry import Registry
from delegation.domain.tokens import format_scope
from delegation.web.admin.verdict import decided
from tests.parties import a_registry
from tests.strategies import World, worlds
from tests.web.endpoint import (
    ACCESS_TOKEN,
    ALICES_TOKEN,
    EXCHANGE,
    SECRET,
    Endpoint,
    basic,
    body_of,
    digest,
)

TOLD = ("error", "error_description", "reason", "required_scope")
"""What a refusal tells the client."""


@given(worlds(), st.sampled_from([True, True, True, False]))
def test_can_i_never_disagrees_with_the_endpoint(world: World, may_exchange: bool) -> None:  # noqa: FBT001
    """A form that is sent is answered as the question is: with the same error, or the same token.

    Nobody else acts: an actor token is no part of a question.
    """
    client = replace(world.client, may_exchange=may_exchange, secrets=(digest(SECRET),))
    grants = [*world.grants, *world.denies, *world.shadows]
    registry = a_registry(clients=[client], resources=world.resources, grants=grants)
    sts = serving(world, registry)

    answer = asked(world, client, registry)
    response = sts.ask(form(world), authorization=basic())

    told, said = body_of(response), decided(answer)
    if isinstance(answer, Yes):
        ((recorded, _),) = sts.ledger.recorded
        assert response.status_code == 200, told
        assert told["scope"] == format_scope(said["scope"])
        assert told["expires_in"] == said["expires_in"]
        assert (recorded.grant, recorded.resource) == (said["grant"], said["resource"])
        assert recorded.actors == answer.delegation.actors
        assert recorded.shadow == answer.delegation.shadow
    else:
        ((refused, _),) = sts.ledger.refused
        assert told == {name: said[name] for name in TOLD if said[name] is not None}
        assert refused.cause.value == said["cause"]
        assert refused.shadow == answer.refused.shadow


def serving(world: World, registry: Registry) -> Endpoint:
    """The service in this world, at its time."""
    sts = Endpoint()
    sts.registry.make = lambda: registry
    sts.tokens[ALICES_TOKEN] = world.subject
    sts.clock.now = world.now
    return sts


def asked(world: World, client: Client, registry: Registry) -> Yes | No:
    """What `can-i` says."""
    return decide(
        world.subject,
        by=client,
        at=world.targets,
        scope=world.scope,
        registry=registry,
        now=world.now,
    )


def form(world: World) -> bytes:
    """The request of this world, as it is sent."""
    fields = {
        "grant_type": EXCHANGE,
        "subject_token": ALICES_TOKEN,
        "subject_token_type": ACCESS_TOKEN,
        "resource": world.targets.resources,
        "audience": world.targets.audiences,
        "scope": () if world.scope is None else (format_scope(world.scope),),
    }
    return urlencode(fields, doseq=True).encode()
