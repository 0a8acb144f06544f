"""Attacks by way of keys: fetched from where the attacker says, or used for another issuer."""

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from secrets import token_urlsafe

import pytest

from delegation.audit.acts import Acts
from delegation.domain.locks import Target
from delegation.domain.parties import Identity
from delegation.ledger.locks import RedisLocks
from tests.attacks.attack import (
    NOT_PERMITTED,
    SUBJECT_TOKEN,
    UNAVAILABLE,
    Attack,
    Service,
    claims_of,
    must_be_proper,
)
from tests.attacks.endpoint import Answer
from tests.valkey import put
from tests.world import Login, TestWorld


@pytest.mark.attack(12)
@pytest.mark.standard("8725-3.10-1")
@pytest.mark.parametrize("member", ["jku", "x5u"])
@pytest.mark.parametrize("signed_by", ["attacker", "issuer"])
def test_keys_from_where_the_token_says(
    attack: Attack, own: TestWorld, member: str, signed_by: str
) -> None:
    """A token that names a place for its key is refused, and nobody looks there."""
    mine = Login(attack.login.issuer, usual={})
    path = f"/{token_urlsafe()}"
    own.keys.documents[path] = mine.jwks()
    signer = {"attacker": mine, "issuer": attack.login}[signed_by]
    header = {member: own.keys.url + path, "kid": signer.kid}

    attack.exchange(
        SUBJECT_TOKEN, subject_token=signer.token(header=header, **attack.login.claims())
    )

    assert own.keys.requests[path] == 0


@pytest.mark.attack(12)
@pytest.mark.standard("8725-3.10-1")
@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/jwks",
        "http://169.254.169.254/latest/meta-data",
        "file:///etc/passwd",
        "gopher://127.0.0.1:6379/_SET",
        7,
    ],
)
def test_keys_from_anywhere(attack: Attack, url: object) -> None:
    """Whatever the place is, the answer is the same, and it is quick."""
    began = time.monotonic()

    attack.exchange(SUBJECT_TOKEN, subject_token=attack.login.token(header={"jku": url}))

    assert time.monotonic() - began < 2


@pytest.mark.attack(12)
@pytest.mark.standard("8725-3.8-1")
def test_an_issuer_that_nobody_trusts(attack: Attack, own: TestWorld) -> None:
    """The name of an issuer is looked up, and is never an address to go to."""
    path = f"/{token_urlsafe()}"
    stranger = Login(own.keys.url + path, usual=attack.login.claims())
    for place in (path, f"{path}/jwks", f"/.well-known/openid-configuration{path}"):
        own.keys.documents[place] = stranger.jwks()

    attack.exchange(SUBJECT_TOKEN, subject_token=stranger.token(iss=stranger.issuer))

    assert not [place for place in own.keys.requests if path in place]


@pytest.mark.attack(12)
@pytest.mark.standard("8725-3.10-2")
def test_a_redirect_is_not_followed(attack: Attack, own: TestWorld) -> None:
    """An issuer's keys are at their one address: where it redirects, there are none."""
    issuer = Login(f"{own.keys.url}/redirecting", usual=attack.login.claims())
    path = f"/{token_urlsafe()}"
    own.keys.documents["/redirecting/jwks"] = own.keys.url + path
    own.keys.documents[path] = issuer.jwks()

    answer = attack.exchange(UNAVAILABLE, subject_token=issuer.token(iss=issuer.issuer))

    assert int(answer.header("Retry-After") or 0) > 0
    assert own.keys.requests["/redirecting/jwks"] > 0
    assert own.keys.requests[path] == 0


@pytest.mark.attack(12)
@pytest.mark.standard("8725-3.10-2")
def test_a_flood_of_unknown_keys(attack: Attack, own: TestWorld) -> None:
    """A hundred made-up key ids cost the issuer one request besides each worker's first."""
    issuer = Login(f"{own.keys.url}/counted", usual=attack.login.claims())
    own.keys.documents["/counted/jwks"] = issuer.jwks()
    tokens = [
        issuer.token(header={"kid": f"made-up-{number}"}, iss=issuer.issuer)
        for number in range(100)
    ]

    def send(token: str) -> Answer:
        return attack.endpoint.exchange(subject_token=token)

    with attack.nothing_happens(), ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(send, tokens))

    for answer in answers:
        must_be_proper(answer, SUBJECT_TOKEN)
    workers = own.world.settings.workers
    assert 1 <= own.keys.requests["/counted/jwks"] <= workers + 1


@pytest.mark.attack(18)
@pytest.mark.standard("8725-3.8-1")
def test_the_same_subject_of_two_issuers(attack: Attack, own: TestWorld) -> None:
    """Two issuers may call two people alike, and their keys alike: they stay two people."""
    ours = claims_of(attack.succeeds(subject_token=own.login.token()))
    theirs = claims_of(attack.succeeds(subject_token=own.partner.token()))

    assert own.login.claims()["sub"] == own.partner.claims()["sub"]
    assert ours["sub"] == "corp|alice"
    assert theirs["sub"] == "partner|alice"
    assert theirs["sub_id"]["iss"] == own.partner.issuer
    assert ours["sub_id"] != theirs["sub_id"]


@pytest.mark.attack(18)
def test_a_lock_on_one_is_none_on_the_other(attack: Attack, own: TestWorld) -> None:
    """Who is stopped is a person of one issuer, and nobody else of that name."""
    name = token_urlsafe()
    locks = RedisLocks(own.world.store, events=Acts())
    put(locks, Target.subject(Identity(own.login.issuer, name)), parents=True)

    attack.exchange(NOT_PERMITTED, subject_token=own.login.token(sub=name))

    attack.succeeds(subject_token=own.partner.token(sub=name))


@pytest.mark.attack(18)
@pytest.mark.standard("8725-3.8-1")
def test_the_key_of_one_in_the_name_of_the_other(attack: Attack, own: TestWorld) -> None:
    """A key is good for its own issuer, even where both name it alike."""
    kid = {"kid": own.login.kid}
    as_ours = own.partner.token(header=kid, **own.login.claims())
    as_theirs = own.login.token(header=kid, **own.partner.claims())

    attack.exchange(SUBJECT_TOKEN, subject_token=as_ours)
    attack.exchange(SUBJECT_TOKEN, subject_token=as_theirs)


@pytest.mark.attack(18)
@pytest.mark.parametrize("tenant", ["south", "NORTH", "", "north south", ["south"], None, 7])
def test_another_tenant(attack: Attack, own: TestWorld, tenant: object) -> None:
    """What a grant asks of a claim is compared exactly, and never missing (CVE-2026-9094)."""
    attack.exchange(NOT_PERMITTED, subject_token=own.partner.token(tid=tenant))


@pytest.mark.attack(18)
@pytest.mark.standard("8725-3.8-1")
@pytest.mark.parametrize(
    "write",
    [
        lambda issuer: f"{issuer}/",
        lambda issuer: issuer.upper(),
        lambda issuer: f"{issuer}#",
        lambda issuer: f" {issuer}",
        lambda issuer: f"{issuer}\0",
        lambda issuer: [issuer],
        lambda issuer: {"iss": issuer},
        lambda _: "",
        lambda _: None,
        lambda _: "corp",
    ],
    ids=["slash", "case", "fragment", "space", "nul", "array", "object", "empty", "null", "alias"],
)
def test_an_issuer_spelled_otherwise(attack: Attack, write: Callable[[str], object]) -> None:
    """An issuer is found by exactly the name that is configured."""
    token = attack.login.token(iss=write(attack.login.issuer))

    attack.exchange(SUBJECT_TOKEN, subject_token=token)


@pytest.mark.attack(18)
def test_a_token_in_our_own_name(attack: Attack, service: Service) -> None:
    """Nobody else's key makes a token of ours, whatever it says."""
    claims = attack.login.claims(iss=service.url, sub="corp|alice", txn="1-abc")
    claims["act"] = {"iss": service.url, "sub": service.client}
    token = attack.login.sign_bytes(
        json.dumps(attack.login.header()).encode(), json.dumps(claims).encode()
    )

    attack.exchange(SUBJECT_TOKEN, subject_token=token)
