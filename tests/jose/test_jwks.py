"""The keys of trusted issuers: which count, how long they are kept, and when they are fetched."""

import json
import threading

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from delegation.domain.errors import Cause, Unavailable
from delegation.jose.jwks import FRESH_FOR, RETRY_AFTER, USABLE_FOR, ForeignKeys
from delegation.jose.keyring import Status, new_key
from delegation.jose.parser import TokenFault
from tests.parties import an_issuer
from tests.signing import NoCooldown, SigningParty

ISSUER = an_issuer().keys
LOGIN, RSA_LOGIN = SigningParty(), SigningParty(algorithm="RS256")
EC_KEY, RSA_KEY = LOGIN.key.published(), RSA_LOGIN.key.published()


class World:
    """An issuer's endpoint, a cool-down and a clock, all in the hand of the test."""

    def __init__(self):
        self.now = 1000.0
        self.keys = [EC_KEY]
        self.is_up = True
        self.fetches = 0
        self.cooling = False
        self.asked = []

    def fetch(self, _):
        """What the endpoint publishes at the moment."""
        self.fetches += 1
        if not self.is_up:
            raise Unavailable("issuer_keys")
        return {"keys": self.keys}

    def begin(self, name):
        """The cool-down: once, until the test says that it is over."""
        self.asked.append(name)
        began, self.cooling = not self.cooling, True
        return began

    def clock(self):
        """The time."""
        return self.now


@pytest.fixture(name="world")
def _world():
    return World()


@pytest.fixture(name="keys")
def _keys(world):
    return ForeignKeys(world, fetch=world.fetch, clock=world.clock)


def found(jwk, **entry):
    """The key that an issuer with this one JWK has under its name, `None` where it does not
    count.
    """
    keys = ForeignKeys(NoCooldown(), fetch=lambda _: {"keys": [jwk]})
    try:
        return keys.find(an_issuer(**entry).keys, "key")
    except TokenFault as fault:
        assert fault.cause is Cause.KEY_UNKNOWN  # noqa: PT017, a helper has both outcomes
        return None


def is_unknown(keys, kid="unknown"):
    """Whether *kid* is refused as unknown."""
    with pytest.raises(TokenFault) as caught:
        keys.find(ISSUER, kid)
    return caught.value.cause is Cause.KEY_UNKNOWN


# Which keys count


def test_a_published_key_is_found(keys):
    """A key is found by its name, bound to its algorithm, and checks signatures."""
    key = keys.find(ISSUER, LOGIN.kid)

    assert (key.kid, key.algorithm) == (LOGIN.kid, "ES256")
    assert key.verifies(b"message", LOGIN.key.sign(b"message"))
    assert not key.verifies(b"message", b"")


@pytest.mark.standard("8725-3.1-1")
@pytest.mark.parametrize(
    ("jwk", "listed", "algorithm"),
    [
        pytest.param(EC_KEY, {"ES256"}, "ES256", id="p-256"),
        pytest.param(
            ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP384R1()).public_key(), as_dict=True),
            {"ES384"},
            "ES384",
            id="p-384",
        ),
        pytest.param(new_key("EdDSA", Status.NEXT).published(), {"EdDSA"}, "EdDSA", id="ed25519"),
        pytest.param(RSA_KEY, {"RS256"}, "RS256", id="rsa"),
        pytest.param(RSA_KEY, {"PS256", "ES256"}, "PS256", id="rsa-by-the-entry"),
        pytest.param(RSA_KEY, {"PS256", "RS512"}, "RS256", id="rsa-undecided"),
        pytest.param(RSA_KEY, {"ES256"}, "RS256", id="rsa-unlisted"),
    ],
)
def test_a_key_without_alg_gets_the_one_that_fits(jwk, listed, algorithm):
    """Where a key does not name its algorithm, its type does, and for RSA the issuer's entry."""
    bare = {member: value for member, value in jwk.items() if member not in {"alg", "use"}}

    key = found(bare | {"kid": "key"}, algorithms=frozenset(listed))

    assert key is not None
    assert key.algorithm == algorithm


def test_a_named_algorithm_is_the_keys_own():
    """The algorithm that a key names is the one it is good for, whatever the entry lists."""
    key = found(RSA_KEY | {"kid": "key", "alg": "PS512"}, algorithms=frozenset({"RS256"}))

    assert key is not None
    assert key.algorithm == "PS512"


@pytest.mark.standard("8725-3.1-1")
@pytest.mark.parametrize(
    "jwk",
    [
        pytest.param(EC_KEY | {"use": "enc"}, id="for-encryption"),
        pytest.param(EC_KEY | {"use": None}, id="use-null"),
        pytest.param(EC_KEY | {"key_ops": ["sign"]}, id="for-another-operation"),
        pytest.param(EC_KEY | {"key_ops": "verify"}, id="operations-malformed"),
        pytest.param(EC_KEY | {"alg": "HS256"}, id="hmac-over-ec"),
        pytest.param(EC_KEY | {"alg": "RS256"}, id="rsa-over-ec"),
        pytest.param(EC_KEY | {"alg": "ES384"}, id="another-curve"),
        pytest.param(EC_KEY | {"alg": "none"}, id="none"),
        pytest.param(EC_KEY | {"alg": None}, id="alg-null"),
        pytest.param(EC_KEY | {"x": "AAAA"}, id="short"),
        pytest.param(EC_KEY | {"x": 5}, id="number"),
        pytest.param(EC_KEY | {"y": EC_KEY["x"]}, id="not-on-the-curve"),
        pytest.param(EC_KEY | {"crv": ["P-256"], "alg": "ES256"}, id="curve-array"),
        pytest.param(LOGIN.key.kept(), id="private"),
        pytest.param(EC_KEY | {"d": ""}, id="private-member"),
        pytest.param({"kty": "oct", "k": "c2VjcmV0"}, id="symmetric"),
        pytest.param({"kty": "oct", "k": "c2VjcmV0", "alg": "ES256"}, id="symmetric-in-disguise"),
        pytest.param({"kty": "new"}, id="unknown-type"),
        pytest.param({"kty": ["EC"]} | {"crv": "P-256"}, id="type-array"),
        pytest.param({}, id="empty"),
        pytest.param(
            RSAAlgorithm.to_jwk(
                rsa.generate_private_key(65537, 1024).public_key(),  # noqa: S505, to be refused
                as_dict=True,
            ),
            id="weak-rsa",
        ),
        pytest.param(
            OKPAlgorithm.to_jwk(ed448.Ed448PrivateKey.generate().public_key(), as_dict=True)
            | {"alg": "EdDSA"},
            id="ed448",
        ),
    ],
)
def test_what_cannot_check_signatures_does_not_count(jwk):
    """A key that is symmetric, private, weak, malformed or for something else is passed over."""
    assert found({**jwk, "kid": "key"}) is None


@pytest.mark.parametrize("kid", [None, 5, ["key"]], ids=repr)
def test_a_key_without_a_name_does_not_count(kid):
    """A key that a token could not name is passed over."""
    assert found(EC_KEY | {"kid": kid}) is None


def test_two_keys_of_one_name_are_none(world, keys):
    """Where a set has two keys of one name neither is used; the others are."""
    other = SigningParty().key.published()
    world.keys = [EC_KEY, other, RSA_KEY | {"kid": other["kid"]}, "no key", None]

    assert keys.find(ISSUER, LOGIN.kid).algorithm == "ES256"
    assert is_unknown(keys, other["kid"])


@pytest.mark.parametrize("document", [{}, {"keys": None}, {"keys": {}}, {"keys": "none"}])
def test_what_is_no_set_of_keys_is_a_failure(document):
    """A document that is no JWK Set says nothing about keys."""
    keys = ForeignKeys(NoCooldown(), fetch=lambda _: document)

    with pytest.raises(Unavailable, match="issuer_keys"):
        keys.find(ISSUER, LOGIN.kid)


def test_keys_are_read_as_the_entry_stands_now(world, keys):
    """An entry that changes is not answered with what was read for the old one."""
    world.keys = [{name: value for name, value in RSA_KEY.items() if name != "alg"}]
    old = an_issuer(algorithms=frozenset({"RS256"})).keys
    new = an_issuer(algorithms=frozenset({"PS256"})).keys

    assert keys.find(old, RSA_LOGIN.kid).algorithm == "RS256"
    assert keys.find(new, RSA_LOGIN.kid).algorithm == "PS256"


# How long they are kept


@pytest.mark.standard("8725-3.10-2")
def test_keys_are_fetched_once_and_then_kept(world, keys):
    """Known keys are not fetched again until they are no longer fresh."""
    keys.find(ISSUER, LOGIN.kid)
    world.now += FRESH_FOR - 1
    keys.find(ISSUER, LOGIN.kid)
    assert world.fetches == 1

    world.now += 1
    keys.find(ISSUER, LOGIN.kid)

    assert world.fetches == 2
    assert world.asked == []


@pytest.mark.standard("8725-3.10-2")
def test_a_key_that_is_withdrawn_is_forgotten(world, keys):
    """Once the keys are fetched anew, one that is no longer published is unknown."""
    keys.find(ISSUER, LOGIN.kid)
    world.keys = [RSA_KEY]
    world.now += FRESH_FOR

    assert is_unknown(keys, LOGIN.kid)


@pytest.mark.standard("8725-3.10-2")
def test_an_outage_is_bridged_for_an_hour_and_then_nothing_is_believed(world, keys):
    """Where keys cannot be fetched anew the old ones do, up to a limit; then there is no answer."""
    keys.find(ISSUER, LOGIN.kid)
    world.is_up = False

    world.now += USABLE_FOR - 1
    assert keys.find(ISSUER, LOGIN.kid).kid == LOGIN.kid

    world.now += 1
    with pytest.raises(Unavailable, match="issuer_keys"):
        keys.find(ISSUER, LOGIN.kid)


@pytest.mark.standard("8725-3.10-2")
def test_an_outage_does_not_cost_a_fetch_per_request(world, keys):
    """After a failed fetch the worker leaves the issuer alone for a few seconds."""
    keys.find(ISSUER, LOGIN.kid)
    world.is_up = False
    world.now += FRESH_FOR

    for _ in range(10):
        keys.find(ISSUER, LOGIN.kid)
    assert world.fetches == 2

    world.now += RETRY_AFTER
    world.is_up = True
    keys.find(ISSUER, LOGIN.kid)
    assert world.fetches == 3


@pytest.mark.standard("8725-3.10-2")
def test_keys_that_were_never_fetched_are_no_answer(world, keys):
    """Before the first fetch succeeds there is no answer, and no fetch for every request."""
    world.is_up = False
    for _ in range(10):
        with pytest.raises(Unavailable, match="issuer_keys"):
            keys.find(ISSUER, LOGIN.kid)
    assert world.fetches == 1

    world.is_up = True
    world.now += RETRY_AFTER
    assert keys.find(ISSUER, LOGIN.kid).kid == LOGIN.kid


# Unknown names


@pytest.mark.standard("8725-3.10-2")
def test_an_unknown_name_is_worth_one_fetch(world, keys):
    """A hundred unknown names cause one fetch; a hundred more, after the cool-down, one more."""
    keys.find(ISSUER, LOGIN.kid)
    world.now += 1

    for number in range(100):
        assert is_unknown(keys, f"unknown-{number}")
    assert world.fetches == 2

    world.cooling = False
    world.now += 60
    for number in range(100):
        assert is_unknown(keys, f"unknown-{number}")
    assert world.fetches == 3
    assert set(world.asked) == {f"keys:{ISSUER.owner}"}


def test_a_new_key_is_found_when_it_is_used(world, keys):
    """A key that was published after the last fetch is found at its first use."""
    keys.find(ISSUER, LOGIN.kid)
    world.keys = [EC_KEY, RSA_KEY]
    world.now += 1

    assert keys.find(ISSUER, RSA_LOGIN.kid).kid == RSA_LOGIN.kid


def test_what_was_just_fetched_is_not_fetched_again(world, keys):
    """An unknown name in the request that fetched the keys does not fetch them twice."""
    assert is_unknown(keys)

    assert world.fetches == 1
    assert world.asked == []


@pytest.mark.standard("8725-3.10-2")
def test_an_unknown_name_during_an_outage_is_no_answer(world, keys):
    """Where the last fetch failed, nobody can tell whether the issuer has such a key."""
    keys.find(ISSUER, LOGIN.kid)
    world.is_up = False
    world.now += 1

    for _ in range(10):
        with pytest.raises(Unavailable, match="issuer_keys"):
            keys.find(ISSUER, "unknown")
    assert world.fetches == 2
    assert keys.find(ISSUER, LOGIN.kid).kid == LOGIN.kid


def test_a_cool_down_out_of_reach_is_no_answer(world):
    """Where the cool-down cannot be asked, there is no answer about an unknown name."""

    class Broken:
        def begin(self, _):
            raise Unavailable("ledger")

    keys = ForeignKeys(Broken(), fetch=world.fetch, clock=world.clock)
    keys.find(ISSUER, LOGIN.kid)
    world.now += 1

    with pytest.raises(Unavailable, match="ledger"):
        keys.find(ISSUER, "unknown")


def test_a_slow_fetch_holds_nobody_up(world):
    """While one thread fetches anew, the others go on with the keys there are."""
    fetching, go_on = threading.Event(), threading.Event()

    def slow(issuer):
        if world.fetches:
            fetching.set()
            assert go_on.wait(10)
        return world.fetch(issuer)

    keys = ForeignKeys(world, fetch=slow, clock=world.clock)
    keys.find(ISSUER, LOGIN.kid)
    world.now += FRESH_FOR
    thread = threading.Thread(target=keys.find, args=(ISSUER, LOGIN.kid))
    thread.start()
    assert fetching.wait(10)

    assert keys.find(ISSUER, LOGIN.kid).kid == LOGIN.kid

    go_on.set()
    thread.join()
    assert world.fetches == 2


# Over a real connection


@pytest.mark.standard("8725-3.10-2")
def test_keys_come_from_a_real_server(server, world):
    """Keys are fetched from the configured URL, change there, and a flood stays one request."""
    served = [LOGIN.jwks()]
    server.answer = lambda handler: handler.reply(json.dumps(served[-1]).encode())
    issuer = an_issuer(jwks_uri=server.url(), private_network=True).keys
    keys = ForeignKeys(world)

    assert keys.find(issuer, LOGIN.kid).kid == LOGIN.kid
    served.append(RSA_LOGIN.jwks())
    assert keys.find(issuer, RSA_LOGIN.kid).kid == RSA_LOGIN.kid
    for number in range(100):
        with pytest.raises(TokenFault):
            keys.find(issuer, f"unknown-{number}")
    assert len(server.requests) == 2


@pytest.mark.standard("8725-3.10-2")
def test_a_redirecting_server_has_no_keys(server, world):
    """An endpoint that redirects is not followed, and asked once."""
    server.answer = lambda handler: handler.reply(
        json.dumps(LOGIN.jwks()).encode(), status=302, Location="https://evil.example/jwks"
    )
    issuer = an_issuer(jwks_uri=server.url(), private_network=True).keys
    keys = ForeignKeys(world)

    for _ in range(10):
        with pytest.raises(Unavailable):
            keys.find(issuer, LOGIN.kid)
    assert len(server.requests) == 1


def test_each_fetch_is_told(world):
    """Whose keys were asked for, and whether they could be had; what is known is not asked for."""
    told = []
    keys = ForeignKeys(
        world, fetch=world.fetch, fetched=lambda *one: told.append(one), clock=world.clock
    )
    for is_up in (True, True, False):
        world.is_up = is_up
        keys.find(ISSUER, LOGIN.kid)
        world.now += FRESH_FOR / 2

    assert told == [(LOGIN.issuer, True), (LOGIN.issuer, False)]


# When all keys are others


class Told:
    """Remembers whose keys were replaced, and by what."""

    def __init__(self):
        self.heard = []
        self.trouble = None

    def __call__(self, owner, names):
        """Hear of it, or fail."""
        if self.trouble is not None:
            raise self.trouble
        self.heard.append((owner, names))


@pytest.fixture(name="told")
def _told():
    return Told()


@pytest.fixture(name="watched")
def _watched(world, told):
    return ForeignKeys(world, fetch=world.fetch, replaced=told, clock=world.clock)


OTHER_KEY, THIRD_KEY = (new_key("ES256", Status.NEXT).published() for _ in range(2))


def test_keys_that_are_replaced_wholly_are_told(world, watched, told):
    """None of the old ones is left: that is no rotation. It is told once, and they are used."""
    watched.find(ISSUER, LOGIN.kid)
    world.keys, world.now = [OTHER_KEY, THIRD_KEY], world.now + FRESH_FOR

    watched.find(ISSUER, OTHER_KEY["kid"])
    world.now += FRESH_FOR
    watched.find(ISSUER, OTHER_KEY["kid"])

    assert told.heard == [(LOGIN.issuer, tuple(sorted((OTHER_KEY["kid"], THIRD_KEY["kid"]))))]


def test_another_key_under_the_old_name_is_told(world, watched, told):
    """A name can be taken over: it is the key that counts."""
    watched.find(ISSUER, LOGIN.kid)
    world.keys, world.now = [OTHER_KEY | {"kid": LOGIN.kid}], world.now + FRESH_FOR

    watched.find(ISSUER, LOGIN.kid)

    assert told.heard == [(LOGIN.issuer, (LOGIN.kid,))]


def test_no_keys_at_all_are_told(world, watched, told):
    """Who publishes nothing that can be used has replaced them, too."""
    watched.find(ISSUER, LOGIN.kid)
    world.keys, world.now = [], world.now + FRESH_FOR

    assert is_unknown(watched, LOGIN.kid)
    assert told.heard == [(LOGIN.issuer, ())]


@pytest.mark.parametrize(
    "keys",
    [[EC_KEY], [EC_KEY, OTHER_KEY], [OTHER_KEY, EC_KEY, THIRD_KEY]],
    ids=["the same", "one more", "two more"],
)
def test_a_rotation_is_not_told(world, watched, told, keys):
    """Who rotates keeps a key for a while; and the first that are known replace none."""
    watched.find(ISSUER, LOGIN.kid)
    world.keys, world.now = keys, world.now + FRESH_FOR

    watched.find(ISSUER, LOGIN.kid)

    assert told.heard == []


def test_an_outage_is_not_told(world, watched, told):
    """Keys that cannot be fetched are not replaced."""
    watched.find(ISSUER, LOGIN.kid)
    world.is_up, world.now = False, world.now + FRESH_FOR

    watched.find(ISSUER, LOGIN.kid)

    assert told.heard == []


def test_what_cannot_be_told_is_not_believed(world, watched, told):
    """Where the alarm cannot be written the new keys wait; it is not lost."""
    watched.find(ISSUER, LOGIN.kid)
    world.keys, world.now = [OTHER_KEY], world.now + FRESH_FOR
    told.trouble = Unavailable("ledger_unreachable")

    with pytest.raises(Unavailable):
        watched.find(ISSUER, OTHER_KEY["kid"])
    told.trouble, world.now = None, world.now + RETRY_AFTER
    watched.find(ISSUER, OTHER_KEY["kid"])

    assert told.heard == [(LOGIN.issuer, (OTHER_KEY["kid"],))]


def test_nobody_has_to_be_told(world, keys):
    """Without anybody who wants to know, they are replaced in silence."""
    keys.find(ISSUER, LOGIN.kid)
    world.keys, world.now = [OTHER_KEY], world.now + FRESH_FOR

    assert keys.find(ISSUER, OTHER_KEY["kid"]).kid == OTHER_KEY["kid"]
