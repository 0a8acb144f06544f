"""Who takes part: what can be a name, and how a chain is read, written and extended."""

import hashlib
from typing import Any

import pytest
from hypothesis import given

from delegation.domain.parties import (
    CHAIN_HARD_CAP,
    NAME_LIMIT,
    NOBODY,
    Actor,
    ActorChain,
    Identity,
    is_name,
)
from tests.parties import LOGIN, OUR_ISSUER, a_chain, a_client
from tests.strategies import ACTORS, NAMES, chains

HOP = {"iss": LOGIN, "sub": "desk-agent"}


@given(name=NAMES)
def test_anything_printable_can_be_a_name(name: str) -> None:
    """Also what a person would not choose."""
    assert is_name(name)


@pytest.mark.standard("7519-2")
@pytest.mark.parametrize(
    "value",
    [
        pytest.param("", id="empty"),
        pytest.param("x" * (NAME_LIMIT + 1), id="too-long"),
        pytest.param("a\nb", id="line-break"),
        pytest.param("a\x00b", id="nul"),
        pytest.param("a\x1b[31mb", id="escape"),
        pytest.param("a\u200bb", id="zero-width"),
        pytest.param("a\u202eb", id="right-to-left-override"),
        pytest.param("a\u00a0b", id="no-break-space"),
        pytest.param("\ud800", id="lone-surrogate"),
        pytest.param(None, id="none"),
        pytest.param(7, id="number"),
        pytest.param(True, id="true"),
        pytest.param(b"alice", id="bytes"),
        pytest.param(["alice"], id="list"),
    ],
)
def test_what_cannot_be_a_name(value: object) -> None:
    """Empty, unbounded, unprintable, or no string."""
    assert not is_name(value)


@pytest.mark.standard("7519-2", "8693-4.1-8")
def test_names_are_compared_code_point_by_code_point() -> None:
    """Nothing is folded, trimmed or normalised: two names that look alike are two people."""
    composed, decomposed = Identity(LOGIN, "zo\u00eb"), Identity(LOGIN, "zoe\u0308")

    assert (
        len({composed, decomposed, Identity(LOGIN, "Zo\u00eb"), Identity(LOGIN, "zo\u00eb ")}) == 4
    )
    assert Identity(LOGIN, "alice") != Identity(OUR_ISSUER, "alice")


@pytest.mark.standard("8693-4.1-1", "8693-4.1-2", "8693-4.1-5", "8693-4.1-6")
@given(chain=chains(min_size=1))
def test_a_chain_is_read_as_it_was_written(chain: ActorChain) -> None:
    """Every hop, in order, with all the members that identify it."""
    assert ActorChain.from_claim(chain.as_claim()) == chain


@pytest.mark.standard("8693-4.1-2")
@given(chain=chains(max_size=CHAIN_HARD_CAP - 1), actor=ACTORS)
def test_a_chain_grows_at_its_head(chain: ActorChain, actor: Actor) -> None:
    """Handing over puts the new actor outermost, and the old claim inside it as it was."""
    longer = chain.handed_to(actor)
    claim = longer.as_claim()

    assert list(longer) == [actor, *chain]
    assert len(longer) == len(chain) + 1
    assert actor.identity in longer
    assert claim is not None
    assert claim.get("act") == chain.as_claim()
    assert ActorChain.from_claim(claim) == longer


def test_the_current_actor_is_outermost() -> None:
    """As in the example of RFC 8693 §4.1."""
    chain = a_chain("https://service16.example.com", "https://service77.example.com")

    assert chain.as_claim() == {
        "iss": OUR_ISSUER,
        "sub": "https://service16.example.com",
        "act": {"iss": OUR_ISSUER, "sub": "https://service77.example.com"},
    }


def test_nobody_has_no_claim() -> None:
    """A chain without actors is the absence of `act`, not an empty one."""
    assert NOBODY.as_claim() is None
    assert not NOBODY
    assert Identity(LOGIN, "desk-agent") not in NOBODY


@pytest.mark.standard("8693-4.1-4", "8693-4.1-6")
def test_of_a_hop_the_identity_is_kept_and_the_rest_left_out() -> None:
    """Members that have no meaning inside `act` are neither honoured nor passed on."""
    identity = HOP | {"client_id": "desk", "sub_profile": "ai_agent"}
    meaningless = {"exp": 1, "nbf": 4_000_000_000, "aud": "x", "scope": "all", "cnf": {"jkt": "y"}}

    chain = ActorChain.from_claim(meaningless | identity | {"act": HOP | meaningless})

    assert chain.as_claim() == identity | {"act": HOP}


@pytest.mark.standard("8693-4.1-1", "8693-4.1-5")
@pytest.mark.parametrize("depth", [0, 1, 3], ids=["outermost", "nested", "deep"])
@pytest.mark.parametrize(
    "hop",
    [
        pytest.param(None, id="null"),
        pytest.param("desk-agent", id="string"),
        pytest.param([HOP], id="array"),
        pytest.param(7, id="number"),
        pytest.param(True, id="true"),
        pytest.param({}, id="empty"),
        pytest.param({"iss": LOGIN}, id="no-sub"),
        pytest.param({"sub": "desk-agent"}, id="no-iss"),
        pytest.param(HOP | {"sub": ""}, id="empty-sub"),
        pytest.param(HOP | {"sub": 7}, id="sub-is-a-number"),
        pytest.param(HOP | {"sub": None}, id="sub-is-null"),
        pytest.param(HOP | {"iss": None}, id="iss-is-null"),
        pytest.param(HOP | {"iss": [LOGIN]}, id="iss-is-an-array"),
        pytest.param(HOP | {"sub": "desk\nagent"}, id="sub-is-unprintable"),
        pytest.param(HOP | {"client_id": None}, id="client-id-is-null"),
        pytest.param(HOP | {"client_id": ""}, id="client-id-is-empty"),
        pytest.param(HOP | {"sub_profile": ["ai_agent"]}, id="sub-profile-is-an-array"),
        pytest.param(HOP | {"act": None}, id="act-is-null"),
        pytest.param(HOP | {"act": False}, id="act-is-false"),
    ],
)
def test_a_malformed_hop_spoils_the_chain(hop: object, depth: int) -> None:
    """At any depth; nothing is skipped."""
    claim = hop
    for _ in range(depth):
        claim = HOP | {"act": claim}

    with pytest.raises(ValueError, match="a hop"):
        ActorChain.from_claim(claim)


def test_a_hop_without_issuer_takes_the_default() -> None:
    """Where the trusted issuer's entry supplies one; a stated issuer stays."""
    claim = {"sub": "desk-agent", "act": {"iss": OUR_ISSUER, "sub": "planner"}}

    chain = ActorChain.from_claim(claim, default_issuer=LOGIN)

    assert [actor.identity for actor in chain] == [
        Identity(LOGIN, "desk-agent"),
        Identity(OUR_ISSUER, "planner"),
    ]


def test_the_default_does_not_mend_an_issuer_that_is_no_name() -> None:
    """Null is not absent."""
    with pytest.raises(ValueError, match="does not name its actor"):
        ActorChain.from_claim({"iss": None, "sub": "desk-agent"}, default_issuer=LOGIN)


@pytest.mark.standard("8693-4.1-7")
@pytest.mark.parametrize("hops", [CHAIN_HARD_CAP + 1, 100_000], ids=["one-more", "a-bomb"])
def test_a_chain_beyond_the_hard_cap_is_refused_not_cut(hops: int) -> None:
    """However deep, at no more cost than the cap."""
    claim: dict[str, Any] = dict(HOP)
    for _ in range(hops - 1):
        claim = HOP | {"act": claim}

    with pytest.raises(ValueError, match="hard cap"):
        ActorChain.from_claim(claim)


SECRET, OTHER = f"dlg_{'a' * 43}", f"dlg_{'B' * 42}_"


@pytest.mark.standard("6749-2.3-4")
@pytest.mark.parametrize(
    ("secrets", "presented", "holds"),
    [
        pytest.param([SECRET], SECRET, True, id="its-own"),
        pytest.param([OTHER, SECRET], SECRET, True, id="one-of-two"),
        pytest.param([OTHER], SECRET, False, id="another"),
        pytest.param([], SECRET, False, id="none"),
        pytest.param([""], "", False, id="empty"),
        pytest.param(["password"], "password", False, id="of-another-form"),
        pytest.param([SECRET + "\n"], SECRET + "\n", False, id="with-a-line-break"),
        pytest.param([SECRET + "a"], SECRET + "a", False, id="too-long"),
        pytest.param(["\ud800"], "\ud800", False, id="that-cannot-be-encoded"),
    ],
)
def test_a_client_holds_only_secrets_that_we_made(
    secrets: list[str], presented: str, *, holds: bool
) -> None:
    """What has another form never matches, even if somebody stored its digest."""
    digests = tuple(
        hashlib.sha256(secret.encode(errors="surrogatepass")).digest() for secret in secrets
    )

    client = a_client(secrets=digests)

    assert client.holds(presented) is holds
    assert "secrets" not in repr(client)
