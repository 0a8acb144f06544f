"""Which tokens a client may use, and use together; who acts then; and what `may_act` binds."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from delegation.domain.bindings import bind
from delegation.domain.errors import (
    ALARMING,
    ActorTokenRejected,
    Cause,
    NotPermitted,
    Refused,
    SubjectTokenRejected,
)
from delegation.domain.parties import Client, Identity
from delegation.domain.tokens import VerifiedActor, VerifiedToken
from tests.parties import (
    ALICE,
    CALENDAR_API,
    CALENDAR_API_CLIENT,
    CALENDAR_MCP,
    CALENDAR_MCP_AUDIENCE,
    DESK_AGENT,
    LOGIN,
    NOW,
    OUR_ISSUER,
    PLANNER,
    PLATFORM,
    a_client,
    a_delegation,
    a_token_of_ours,
    a_verified_token,
    a_workload,
    an_actor,
)

US = Identity(OUR_ISSUER, CALENDAR_MCP)
API = Identity(OUR_ISSUER, CALENDAR_API_CLIENT)

THE_API = an_actor(issuer=CALENDAR_API_CLIENT, identity=API)
"""What *calendar-api* signed of itself."""

LISTING = a_client(may_present_actors=frozenset({API, PLANNER}))
"""*calendar-mcp*, which may show the tokens of another client and of a workload."""


def an_access_token(name: str = CALENDAR_MCP, **changes: Any) -> VerifiedActor:
    """An actor's access token that was issued to *calendar-mcp*, by default its very own."""
    return a_workload(identity=Identity(PLATFORM, name), **({"issued_to": CALENDAR_MCP} | changes))


def bound(actor: VerifiedActor | None = None, *, by: Client = LISTING, **subject: Any) -> Identity:
    """Who acts, where Alice's token is changed by *subject*."""
    return bind(a_verified_token(**subject), actor, by=by, our_issuer=OUR_ISSUER, now=NOW)


def refusal(actor: VerifiedActor | None = None, *, by: Client = LISTING, **subject: Any) -> Refused:
    """The refusal that the same is answered with."""
    with pytest.raises(Refused) as caught:
        bound(actor, by=by, **subject)
    return caught.value


# The subject token


@pytest.mark.standard("8725-3.9-1", "8693-5-2", "MCP-1")
@pytest.mark.parametrize(
    "audience",
    [
        pytest.param((), id="none"),
        pytest.param((CALENDAR_API,), id="the-api"),
        pytest.param((OUR_ISSUER,), id="ourselves"),
        pytest.param((CALENDAR_MCP,), id="the-client's-id"),
        pytest.param((CALENDAR_MCP_AUDIENCE + "/",), id="slash"),
        pytest.param((CALENDAR_MCP_AUDIENCE.upper(),), id="upper-case"),
        pytest.param((CALENDAR_MCP_AUDIENCE + ".evil.example",), id="longer"),
    ],
)
@pytest.mark.parametrize("actor", [None, an_actor(), THE_API, a_workload()], ids=range(4))
def test_a_token_for_somebody_else_is_refused_and_alarms(
    actor: VerifiedActor | None, audience: tuple[str, ...]
) -> None:
    """Only the client that a token is addressed to may present it, whoever is to act."""
    refused = refusal(actor, audience=audience)

    assert type(refused) is SubjectTokenRejected
    assert refused.cause is Cause.PRESENTED_BY_ANOTHER_CLIENT
    assert refused.cause in ALARMING
    assert refused.detail == {"audience": list(audience)}


def test_a_second_audience_does_no_harm() -> None:
    """Whether an issuer may name several is its profile's matter; ours has to be among them."""
    assert bound(audience=("https://other.example.com", CALENDAR_MCP_AUDIENCE)) == US


@pytest.mark.standard("8725-3.9-1", "9700-4.8/4.9")
def test_a_stolen_token_of_ours_is_refused_too() -> None:
    """What we issued for one API is of no use to another client."""
    with pytest.raises(SubjectTokenRejected) as caught:
        bind(a_token_of_ours(), None, by=LISTING, our_issuer=OUR_ISSUER, now=NOW)

    assert caught.value.cause is Cause.PRESENTED_BY_ANOTHER_CLIENT


@pytest.mark.parametrize("late", [0, 1, 3600], ids=["now", "a-second-ago", "an-hour-ago"])
def test_an_expired_token_is_refused_without_leeway(late: int) -> None:
    """Leeway is for clocks that run ahead, never for `exp`."""
    expires_at = NOW - timedelta(seconds=late)

    subject, actor = refusal(expires_at=expires_at), refusal(an_actor(expires_at=expires_at))

    assert (type(subject), subject.cause) == (SubjectTokenRejected, Cause.EXPIRED)
    assert (type(actor), actor.cause) == (ActorTokenRejected, Cause.EXPIRED)


# Who acts


@pytest.mark.standard("8693-4.1-2", "8693-4.1-8", "8693-A-2")
@pytest.mark.parametrize(
    ("actor", "acting"),
    [
        pytest.param(None, US, id="the-client"),
        pytest.param(an_actor(), US, id="the-client-by-what-it-signed"),
        pytest.param(
            an_access_token(), Identity(PLATFORM, CALENDAR_MCP), id="the-client-by-its-access-token"
        ),
    ],
)
def test_a_client_may_always_act_itself(actor: VerifiedActor | None, acting: Identity) -> None:
    """Nobody has to list it; it is who its token says, by the issuer of that token."""
    assert bound(actor, by=a_client()) == acting


@pytest.mark.standard("8693-A-2")
@pytest.mark.parametrize(
    ("actor", "acting"),
    [
        pytest.param(THE_API, API, id="another-client"),
        pytest.param(a_workload(), PLANNER, id="a-workload"),
        pytest.param(an_access_token(PLANNER.subject), PLANNER, id="by-an-access-token"),
    ],
)
def test_others_act_where_the_client_lists_them(actor: VerifiedActor, acting: Identity) -> None:
    """And who is taken off the list acts no more."""
    unlisted = a_client(may_present_actors=LISTING.may_present_actors - {acting})

    assert bound(actor) == acting
    assert type(refusal(actor, by=unlisted)) is ActorTokenRejected


@pytest.mark.standard("8693-A-1", "8693-A-2", "8693-4.1-8")
@pytest.mark.parametrize(
    ("actor", "cause"),
    [
        pytest.param(
            an_actor(issuer="mail-mcp", identity=Identity(OUR_ISSUER, "mail-mcp")),
            Cause.PRESENTED_BY_ANOTHER_CLIENT,
            id="another-client's",
        ),
        pytest.param(
            an_access_token(PLANNER.subject, issued_to=CALENDAR_API_CLIENT),
            Cause.PRESENTED_BY_ANOTHER_CLIENT,
            id="listed-but-issued-to-another",
        ),
        pytest.param(
            an_access_token(CALENDAR_API_CLIENT, issued_to=CALENDAR_API_CLIENT),
            Cause.PRESENTED_BY_ANOTHER_CLIENT,
            id="another-client's-very-own",
        ),
        pytest.param(
            an_access_token(issued_to=CALENDAR_API_CLIENT),
            Cause.PRESENTED_BY_ANOTHER_CLIENT,
            id="of-our-name-but-issued-to-another",
        ),
        pytest.param(
            an_access_token("alice"),
            Cause.PRESENTED_BY_ANOTHER_CLIENT,
            id="a-user's-though-issued-to-us",
        ),
        pytest.param(
            a_workload(identity=Identity(PLATFORM, "spiffe://example.com/other")),
            Cause.ACTOR_NOT_PRESENTABLE,
            id="another-workload",
        ),
        pytest.param(
            a_workload(identity=Identity(LOGIN, PLANNER.subject)),
            Cause.ACTOR_NOT_PRESENTABLE,
            id="of-that-name-at-another-issuer",
        ),
        pytest.param(
            a_workload(identity=Identity(PLATFORM, CALENDAR_API_CLIENT)),
            Cause.ACTOR_NOT_PRESENTABLE,
            id="a-workload-of-a-listed-client's-name",
        ),
        pytest.param(
            a_workload(identity=Identity(PLATFORM, CALENDAR_MCP)),
            Cause.ACTOR_NOT_PRESENTABLE,
            id="a-workload-of-our-own-name",
        ),
    ],
)
def test_nobody_pairs_anothers_actor_token_with_a_subject_token(
    actor: VerifiedActor, cause: Cause
) -> None:
    """An actor is the pair of issuer and subject; what is another client's raises an alarm."""
    refused = refusal(actor)

    assert (type(refused), refused.cause) == (ActorTokenRejected, cause)
    assert refused.detail == {"issuer": actor.issuer, "actor": actor.identity.subject}
    assert (cause in ALARMING) is (cause is Cause.PRESENTED_BY_ANOTHER_CLIENT)


@pytest.mark.standard("8693-A-4")
@pytest.mark.parametrize("issued_to", [None, CALENDAR_MCP], ids=["workload", "access-token"])
def test_nobody_acts_for_themselves_by_a_token(issued_to: str | None) -> None:
    """An actor that is the subject, listed or not, is no delegation."""
    actor = a_workload(issuer=LOGIN, identity=ALICE, issued_to=issued_to)

    refused = refusal(actor, by=a_client(may_present_actors=frozenset({ALICE})))

    assert (type(refused), refused.cause) == (ActorTokenRejected, Cause.ACTOR_IS_SUBJECT)


@pytest.mark.standard("8693-A-4")
def test_a_service_does_not_act_for_itself() -> None:
    """Its own access token is of no use as both."""
    itself = Identity(LOGIN, CALENDAR_MCP)
    actor = a_workload(issuer=LOGIN, identity=itself, issued_to=CALENDAR_MCP)

    refused = refusal(actor, subject=itself, agent=CALENDAR_MCP)

    assert (type(refused), refused.cause) == (ActorTokenRejected, Cause.ACTOR_IS_SUBJECT)


@pytest.mark.standard("8693-A-4")
def test_the_subject_is_the_root_at_every_hop() -> None:
    """Alice does not act for Alice by way of a token of ours."""
    alice = a_workload(issuer=LOGIN, identity=ALICE)
    client = a_client(audience=CALENDAR_API, may_present_actors=frozenset({ALICE}))

    with pytest.raises(ActorTokenRejected) as caught:
        bind(a_token_of_ours(), alice, by=client, our_issuer=OUR_ISSUER, now=NOW)

    assert caught.value.cause is Cause.ACTOR_IS_SUBJECT


# may_act

MEMBERS = {"iss": OUR_ISSUER, "sub": CALENDAR_MCP, "client_id": CALENDAR_MCP}
PLANNERS = {"iss": PLATFORM, "sub": PLANNER.subject, "client_id": CALENDAR_MCP}


@pytest.mark.standard("8693-4.4-1", "8693-4.4-2", "8693-4.4-3")
@pytest.mark.parametrize("actor", [None, an_actor()], ids=["by-itself", "by-what-it-signed"])
@pytest.mark.parametrize(
    "members",
    [
        pytest.param(("sub",), id="sub"),
        pytest.param(("iss", "sub"), id="pair"),
        pytest.param(("client_id",), id="client-id"),
        pytest.param(("iss", "sub", "client_id"), id="all-three"),
    ],
)
def test_may_act_is_met_where_every_member_matches(
    members: tuple[str, ...], actor: VerifiedActor | None
) -> None:
    """A client that acts itself is who acts and who asks: naming either names both."""
    assert bound(actor, may_act={name: MEMBERS[name] for name in members}) == US


@pytest.mark.standard("8693-4.4-2", "8693-4.4-3")
def test_may_act_changes_nothing_where_it_is_met() -> None:
    """The decision is the one that would have been made without it."""
    delegation = a_delegation(subject=a_verified_token(may_act=MEMBERS))

    assert replace(delegation, parent=a_verified_token()) == a_delegation()


@pytest.mark.standard("8693-4.4-1", "8693-4.4-2", "8693-4.1-8")
@pytest.mark.parametrize("actor", [None, an_actor()], ids=["by-itself", "by-what-it-signed"])
@pytest.mark.parametrize(
    "may_act",
    [
        pytest.param({}, id="empty"),
        pytest.param({"sub": "other-mcp"}, id="other-sub"),
        pytest.param({"iss": LOGIN, "sub": CALENDAR_MCP}, id="right-sub-wrong-iss"),
        pytest.param({"sub": CALENDAR_MCP, "client_id": "other-mcp"}, id="other-client-id"),
        pytest.param({"sub": CALENDAR_MCP, "email": "bot@example.com"}, id="unknown-member"),
        pytest.param({"sub": CALENDAR_MCP.upper()}, id="other-case"),
        pytest.param({"sub": DESK_AGENT}, id="the-agent"),
        pytest.param({"unknown": None}, id="unknown-and-null"),
        pytest.param(PLANNERS, id="another-who-may-act-through-us"),
    ],
)
def test_may_act_refuses_where_any_member_does_not_match(
    may_act: Any, actor: VerifiedActor | None
) -> None:
    """A member that we cannot compare does not match; an empty object names nobody."""
    refused = refusal(actor, may_act=may_act)

    assert (type(refused), refused.cause) == (NotPermitted, Cause.MAY_ACT)


@pytest.mark.standard("8693-4.4-2")
@pytest.mark.parametrize(
    "actor",
    [
        pytest.param(a_workload(), id="workload"),
        pytest.param(an_access_token(PLANNER.subject), id="access-token"),
    ],
)
@pytest.mark.parametrize(
    ("members", "met"),
    [
        pytest.param(("iss", "sub", "client_id"), True, id="both"),
        pytest.param(("sub", "client_id"), True, id="both-without-iss"),
        pytest.param(("iss", "sub"), False, id="the-actor-alone"),
        pytest.param(("sub",), False, id="its-sub-alone"),
        pytest.param(("client_id",), False, id="the-client-alone"),
        pytest.param(("iss", "client_id"), False, id="anybody-of-that-issuer"),
    ],
)
def test_may_act_has_to_name_who_acts_and_who_asks(
    members: tuple[str, ...], actor: VerifiedActor, *, met: bool
) -> None:
    """Where these are two, naming one of them is not enough."""
    may_act = {name: PLANNERS[name] for name in members}

    if met:
        assert bound(actor, may_act=may_act) == PLANNER
    else:
        refused = refusal(actor, may_act=may_act)

        assert (type(refused), refused.cause) == (NotPermitted, Cause.MAY_ACT)


@pytest.mark.standard("8693-4.4-2")
@pytest.mark.parametrize(
    "change",
    [
        {"iss": LOGIN},
        {"sub": "spiffe://example.com/other"},
        {"sub": CALENDAR_MCP},
        {"client_id": CALENDAR_API_CLIENT},
        {"client_id": PLANNER.subject},
        {"sub_profile": "service"},
    ],
    ids=str,
)
def test_may_act_of_two_refuses_where_any_member_does_not_match(change: dict[str, str]) -> None:
    """`iss` and `sub` are the actor's, `client_id` is that of the authenticated client."""
    refused = refusal(a_workload(), may_act=PLANNERS | change)

    assert (type(refused), refused.cause) == (NotPermitted, Cause.MAY_ACT)


@pytest.mark.standard("8693-4.4-2", "8693-A-2")
def test_may_act_never_stands_in_for_the_clients_list() -> None:
    """An issuer that names an actor does not make it presentable."""
    refused = refusal(a_workload(), by=a_client(), may_act=PLANNERS)

    assert (type(refused), refused.cause) == (ActorTokenRejected, Cause.ACTOR_NOT_PRESENTABLE)


# The order

WRONG_SUBJECT: dict[str, Any] = {"audience": (CALENDAR_API,)}
WRONG_MAY_ACT: dict[str, Any] = {"may_act": {"sub": "other-mcp"}}


@pytest.mark.parametrize(
    ("subject", "actor", "cause"),
    [
        (WRONG_SUBJECT | {"expires_at": NOW}, {"expires_at": NOW}, Cause.EXPIRED),
        (WRONG_SUBJECT, {"expires_at": NOW}, Cause.PRESENTED_BY_ANOTHER_CLIENT),
        (WRONG_MAY_ACT, {"identity": ALICE, "expires_at": NOW}, Cause.EXPIRED),
        (WRONG_MAY_ACT, {"identity": ALICE}, Cause.ACTOR_NOT_PRESENTABLE),
    ],
    ids=["subject-expired", "subject-of-another", "actor-expired", "actor-of-another"],
)
def test_the_subject_token_is_looked_at_first(
    subject: dict[str, Any], actor: dict[str, Any], cause: Cause
) -> None:
    """Then the actor token, then `may_act`."""
    assert refusal(a_workload(**actor), **subject).cause is cause


def test_a_token_is_bound_as_it_was_verified() -> None:
    """Binding changes neither of the tokens: the decision holds both, whole."""
    subject: VerifiedToken = a_verified_token()
    actor = a_workload()

    delegation = a_delegation(subject=subject, actor=actor, by=LISTING)

    assert delegation.parent is subject
    assert delegation.actor_token is actor
