"""What is remembered of a subject token is that it was signed, and nothing that can change."""

from datetime import timedelta

import pytest

from delegation.domain.errors import Cause, SubjectTokenRejected, Unavailable
from delegation.jose import remembered
from delegation.jose.jwks import FRESH_FOR, USABLE_FOR, ForeignKeys
from delegation.jose.keys import VerificationKey
from delegation.jose.verifier import JwtVerifier
from tests.fakes import HeldClock
from tests.parties import LOGIN, a_registry, an_issuer
from tests.signing import NoCooldown, SigningParty, a_keyring, presented

CAPACITY = 3


class Scene:
    """A verifier, the clock, the keys that the issuer publishes, and how often one is checked."""

    def __init__(self, monkeypatch):
        self.login = SigningParty()
        self.clock = HeldClock()
        self.published = self.login.jwks()
        self.checked = 0
        self.registry = a_registry(issuers=[an_issuer()])
        self.verifier = JwtVerifier(
            keyring=a_keyring(),
            keys=ForeignKeys(NoCooldown(), fetch=self.fetch, clock=self.clock.seconds),
            clock=self.clock,
        )
        really = VerificationKey.verifies

        def verifies(key, signing_input, signature):
            self.checked += 1
            return really(key, signing_input, signature)

        monkeypatch.setattr(VerificationKey, "verifies", verifies)

    def fetch(self, _source):
        """What the issuer publishes now; `None` is out of reach."""
        if self.published is None:
            raise Unavailable("issuer_keys")
        return self.published

    def verified(self, token):
        """What it means now."""
        return self.verifier.subject(presented(token), self.registry)

    def cause(self, token):
        """Why it is refused now."""
        with pytest.raises(SubjectTokenRejected) as caught:
            self.verified(token)
        assert caught.value.detail["issuer"] == LOGIN
        return caught.value.cause


@pytest.fixture(name="scene")
def _scene(monkeypatch):
    return Scene(monkeypatch)


def test_a_signature_is_checked_once(scene):
    """And the token means the same, as often as it is shown."""
    token = scene.login.token()

    meanings = {scene.verified(token).id for _ in range(3)}

    assert len(meanings) == 1
    assert scene.checked == 1


def test_another_token_is_checked_by_itself(scene):
    """Be it of the same claims, or with a signature that was made anew."""
    first, second = scene.login.token(), scene.login.token()
    assert first.split(".")[:2] == second.split(".")[:2]

    scene.verified(first)
    scene.verified(second)

    assert scene.checked == 2


@pytest.mark.standard("8725-3.3-1")
@pytest.mark.parametrize("place", [0, 1, 2])
def test_one_character_makes_another_token(scene, place):
    """What is remembered is remembered of the exact bytes."""
    token = scene.login.token()
    scene.verified(token)
    parts = token.split(".")
    middle = len(parts[place]) // 2
    other = "A" if parts[place][middle] != "A" else "B"
    parts[place] = parts[place][:middle] + other + parts[place][middle + 1 :]

    with pytest.raises(SubjectTokenRejected):
        scene.verified(".".join(parts))


@pytest.mark.standard("7519-1")
def test_an_end_is_looked_at_each_time(scene):
    """To the second, whenever it was first shown."""
    life = timedelta(minutes=5)
    token = scene.login.token(exp=int((scene.clock() + life).timestamp()))
    scene.verified(token)

    scene.clock.now += life - timedelta(seconds=1)
    scene.verified(token)
    scene.clock.pass_(seconds=1)

    assert scene.cause(token) is Cause.EXPIRED


def test_a_key_that_is_gone(scene):
    """As soon as the keys are fetched anew, and nobody has to be told."""
    token = scene.login.token(exp=int((scene.clock() + timedelta(minutes=50)).timestamp()))
    scene.verified(token)
    scene.published = SigningParty().jwks()

    scene.clock.pass_(seconds=FRESH_FOR - 1)
    scene.verified(token)
    scene.clock.pass_(seconds=1)

    assert scene.cause(token) is Cause.KEY_UNKNOWN


def test_another_key_of_the_same_name(scene):
    """The name does not make it the key that was checked with."""
    token = scene.login.token(exp=int((scene.clock() + timedelta(minutes=50)).timestamp()))
    scene.verified(token)
    (other,) = SigningParty().jwks()["keys"]
    scene.published = {"keys": [other | {"kid": scene.login.kid}]}

    scene.clock.pass_(seconds=FRESH_FOR)

    assert scene.cause(token) is Cause.SIGNATURE


def test_a_key_that_stays_is_not_checked_with_again(scene):
    """Fetched anew it is another object, and the same key."""
    token = scene.login.token(exp=int((scene.clock() + timedelta(minutes=50)).timestamp()))
    scene.verified(token)
    scene.clock.pass_(seconds=FRESH_FOR)

    scene.verified(token)

    assert scene.checked == 1


def test_keys_that_are_too_old_are_believed_for_nothing(scene):
    """Neither for a token that is seen for the first time, nor for any other."""
    token = scene.login.token(exp=int((scene.clock() + timedelta(minutes=90)).timestamp()))
    scene.verified(token)
    scene.published = None

    scene.clock.pass_(seconds=USABLE_FOR)

    with pytest.raises(Unavailable):
        scene.verified(token)


def test_another_registry_forgets_all(scene):
    """An issuer that is not trusted any more is not, and what a claim means may have changed."""
    token = scene.login.token(scope="calendar:read")
    assert scene.verified(token).scope

    scene.registry = a_registry(issuers=[an_issuer(scope_claim="scp")])
    assert not scene.verified(token).scope
    scene.registry = a_registry(issuers=[])

    with pytest.raises(SubjectTokenRejected) as caught:
        scene.verified(token)
    assert caught.value.cause is Cause.ISSUER_NOT_TRUSTED


def test_what_was_refused_is_not_remembered(scene):
    """A token that is not valid yet is, when its time has come."""
    begins = int((scene.clock() + timedelta(minutes=10)).timestamp())
    token = scene.login.token(nbf=begins)
    assert scene.cause(token) is Cause.NOT_YET_VALID

    scene.clock.pass_(minutes=10)
    scene.verified(token)

    assert scene.checked == 2


def test_who_was_asked_for_least_lately_is_forgotten(scene, monkeypatch):
    """There is room for so many, and no more."""
    monkeypatch.setattr(scene.verifier, "_memory", remembered.Memory(CAPACITY))
    tokens = [scene.login.token() for _ in range(CAPACITY + 1)]
    for token in (*tokens[:CAPACITY], tokens[0], tokens[CAPACITY]):
        scene.verified(token)
    assert scene.checked == CAPACITY + 1

    scene.verified(tokens[0])
    assert scene.checked == CAPACITY + 1
    scene.verified(tokens[1])
    assert scene.checked == CAPACITY + 2


def test_of_a_token_only_a_digest_is_kept(scene):
    """A memory that is read by others holds nothing that could be shown again."""
    token = scene.login.token()
    scene.verified(token)

    (digest,) = scene.verifier._memory._known  # noqa: SLF001, whether it is there is the question

    assert digest == remembered.digest_of(token)
    kept = scene.verifier._memory._known[digest]  # noqa: SLF001
    assert not hasattr(kept, "value")
