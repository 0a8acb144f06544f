"""Attacks with tokens in our own name: what would get through if even our key had signed them."""

from typing import Any

import pytest

from delegation.dev.cast import ROOMS_API
from delegation.domain.parties import Identity
from delegation.jose.keyring import Keyring
from delegation.ledger.partitions import Partitions
from tests.attacks.attack import ACTOR_TOKEN, SUBJECT_TOKEN, Attack, claims_of
from tests.attacks.endpoint import JWT, Answer
from tests.signing import ABSENT
from tests.world import Login, TestWorld


@pytest.fixture(name="onward")
def _onward(attack: Attack, own: TestWorld) -> Attack:
    """An attacker who is *calendar-api*, the client of the second hop."""
    return attack.as_client(
        "calendar-api",
        own.world.secrets["calendar-api"],
        resource=ROOMS_API,
        scope="rooms.read",
        token=lambda: attack.succeeds().json["access_token"],
    )


@pytest.fixture(name="us")
def _us(own: TestWorld) -> Login:
    """Somebody with our signing key: what nobody else ever is."""
    key = Keyring.load(own.world.settings.signing_keys).active
    return Login(own.world.url, usual={}, key=key)


def _resigned(us: Login, issued: Answer, **changes: object) -> str:
    """A token like one that was *issued*, but for the *changes*."""
    claims = {
        name: value for name, value in (claims_of(issued) | changes).items() if value is not ABSENT
    }
    return us.sign(us.header(), claims)


def _cause(own: TestWorld, answer: Answer) -> object:
    return own.books.refusal(answer.header("Delegation-Decision") or "")["cause"]


@pytest.mark.standard("8693-2.1-14")
def test_a_copy_in_our_own_hand(attack: Attack, onward: Attack, us: Login) -> None:
    """What the others here differ from in one thing: whoever has our key can be anyone."""
    onward.succeeds(subject_token=_resigned(us, attack.succeeds()))


@pytest.mark.standard("8693-2.1-14", "9068-2.2-3")
def test_an_id_of_another_partition(
    attack: Attack, onward: Attack, own: TestWorld, us: Login
) -> None:
    """An exchange is looked for where those of its root identity are, and nowhere else: neither its
    own number elsewhere, nor a live one of somebody who lives there.
    """
    partitions = Partitions(own.world.settings.partitions)
    home = partitions.of(Identity(own.login.issuer, "alice"))
    stranger = next(
        name
        for name in (f"stranger-{number}" for number in range(100))
        if partitions.of(Identity(own.login.issuer, name)) != home
    )
    issued = attack.succeeds()
    number, _, rest = claims_of(issued)["jti"].partition("-")
    assert int(number) == home.number
    theirs = claims_of(attack.succeeds(subject_token=own.login.token(sub=stranger)))["jti"]

    for jti in (f"{(home.number + 1) % partitions.count}-{rest}", theirs):
        answer = onward.exchange(SUBJECT_TOKEN, subject_token=_resigned(us, issued, jti=jti))
        assert _cause(own, answer) == "lineage_dead"


IDS = {
    "unknown": "{number}-AAAAAAAAAAAAAAAAAAAAAA",
    "no-such-partition": "64-{rest}",
    "huge-partition": "999999999-{rest}",
    "negative": "-1-{rest}",
    "leading-zero": "0{number}-{rest}",
    "plus": "+{number}-{rest}",
    "other-digits": "\u0661-{rest}",
    "no-partition": "{rest}",
    "empty-rest": "{number}-",
    "longer": "{number}-{rest}A",
    "another-key": "{number}-{rest}:x",
    "another-tag": "{number}}}:x:{rest}",
    "pattern": "{number}-*",
    "space": "{number}-{rest} ",
}


@pytest.mark.standard("8693-2.1-14", "STK-10")
@pytest.mark.parametrize("written", IDS.values(), ids=IDS)
def test_an_id_that_is_none(
    attack: Attack, onward: Attack, own: TestWorld, us: Login, written: str
) -> None:
    """An id of ours has one form; nothing else is ever part of a key."""
    issued = attack.succeeds()
    number, _, rest = claims_of(issued)["jti"].partition("-")
    token = _resigned(us, issued, jti=written.format(number=number, rest=rest))

    answer = onward.exchange(SUBJECT_TOKEN, subject_token=token)

    assert _cause(own, answer) == "lineage_dead"


CLAIMS: dict[str, dict[str, Any]] = {
    "nobody-acts": {"act": ABSENT},
    "act-null": {"act": None},
    "act-without-iss": {"act": {"sub": "calendar-mcp"}},
    "no-client": {"client_id": ABSENT},
    "no-jti": {"jti": ABSENT},
    "no-txn": {"txn": ABSENT},
    "sub-without-alias": {"sub": "alice"},
    "sub-of-nobody": {"sub": "corp|"},
    "unknown-alias": {"sub": "nowhere|alice"},
    "alias-in-capitals": {"sub": "CORP|alice"},
    "alias-of-an-actor-issuer": {"sub": "platform|alice"},
    "two-audiences": {"aud": ["https://calendar.example/api", "https://rooms.example/api"]},
    "no-audience": {"aud": ABSENT},
    "longer-than-ours": {"exp": 4102444800},
}


@pytest.mark.attack(8)
@pytest.mark.standard("8693-4.4-4", "8693-2.1-14", "8693-4.1-6")
@pytest.mark.parametrize("changes", CLAIMS.values(), ids=CLAIMS)
@pytest.mark.parametrize("shown", [False, True], ids=["alone", "with-an-actor"])
def test_what_we_never_write(  # noqa: PLR0917, what it takes to forge
    attack: Attack,
    onward: Attack,
    own: TestWorld,
    us: Login,
    changes: dict[str, Any],
    shown: bool,  # noqa: FBT001
) -> None:
    """A token of ours has a chain, an id, a client and a root: without one of them it is none,
    on no way through the service.
    """
    token = _resigned(us, attack.succeeds(), **changes)
    actor = {"actor_token": own.planner.assertion(), "actor_token_type": JWT} if shown else {}

    onward.exchange(SUBJECT_TOKEN, subject_token=token, **actor)


@pytest.mark.attack(10)
@pytest.mark.standard("8693-A-2", "8693-A-3")
def test_an_actor_on_the_second_hop(attack: Attack, onward: Attack, own: TestWorld) -> None:
    """Nor does an API show actors that it may not present, or its own subject token as one."""
    issued = attack.succeeds().json["access_token"]

    for token in (own.planner.assertion(), own.platform.workload(), issued):
        onward.exchange(ACTOR_TOKEN, subject_token=issued, actor_token=token, actor_token_type=JWT)
