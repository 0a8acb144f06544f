"""Our keys: what a key file has to be, and what is published of it."""

import json
import stat
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from delegation.jose.keyring import Keyring, SigningKey, Status, new_key, write_keys
from delegation.jose.keys import PRIVATE_MEMBERS, public_members, thumbprint

ACTIVE = new_key(status=Status.ACTIVE)
OTHER = new_key(status=Status.NEXT)
RSA = new_key("RS256", Status.ACTIVE)
BREAKABLE = rsa.generate_private_key(65537, 1024)  # noqa: S505, it has to be refused
WEAK = RSAAlgorithm.to_jwk(BREAKABLE, as_dict=True)
P384 = ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP384R1()), as_dict=True)
ED448 = OKPAlgorithm.to_jwk(ed448.Ed448PrivateKey.generate(), as_dict=True)


@pytest.fixture(name="path")
def _path(tmp_path):
    return tmp_path / "keys.json"


def write(path, document):
    """Put *document* at *path*, as a careful operator would."""
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    path.chmod(0o600)


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA", "RS256", "PS256"])
def test_keys_that_were_written_load_again(path, algorithm):
    """A key of each supported algorithm survives its file, and its two halves match."""
    key = new_key(algorithm, Status.ACTIVE)

    write_keys(path, [key, OTHER])
    keyring = Keyring.load(path)

    signature = keyring.active.sign(b"message")
    assert keyring.active.kid == key.kid
    assert key.public.verifies(b"message", signature)
    assert not key.public.verifies(b"another", signature)


def test_a_key_file_is_for_its_owner_alone(path):
    """What is written can be read by the owner only, and leaves nothing else behind."""
    write_keys(path, [ACTIVE])

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_a_key_file_is_replaced_wholly_or_not_at_all(path):
    """Where the new keys cannot be written, the old ones are still there and nothing else is."""
    write_keys(path, [ACTIVE])

    with pytest.raises(ValueError, match="exactly one"):
        write_keys(path, [OTHER])
    assert Keyring.load(path).active.kid == ACTIVE.kid
    assert list(path.parent.iterdir()) == [path]


def test_what_was_begun_is_removed(tmp_path):
    """Where the file cannot be put into its place, no copy of the keys is left lying about."""
    place = tmp_path / "keys.json"
    place.mkdir()

    with pytest.raises(OSError, match=r"keys\.json"):
        write_keys(place, [ACTIVE])
    assert list(tmp_path.iterdir()) == [place]


@pytest.mark.standard("JWKS-1")
@pytest.mark.parametrize(
    "key", [ACTIVE, RSA, new_key("EdDSA", Status.ACTIVE)], ids=["EC", "RSA", "OKP"]
)
def test_only_what_is_public_is_published(key):
    """The published set has every key with kid, alg and use, and no private member or status."""
    retiring = new_key(status=Status.RETIRING)

    published = Keyring((OTHER, retiring, key)).public_keys()["keys"]

    assert [jwk["kid"] for jwk in published] == [key.kid, OTHER.kid, retiring.kid]
    for jwk in published:
        assert not PRIVATE_MEMBERS & jwk.keys()
        assert set(jwk) <= {"kty", "crv", "x", "y", "n", "e", "kid", "alg", "use"}
        assert jwk["use"] == "sig"


def test_every_published_key_is_found():
    """A key is found by its name whatever its status; an unknown name finds nothing."""
    retiring = new_key(status=Status.RETIRING)
    keyring = Keyring((ACTIVE, retiring))

    assert keyring.find(retiring.kid) is retiring.public
    assert keyring.find(ACTIVE.kid) is ACTIVE.public
    assert keyring.find(OTHER.kid) is None


@pytest.mark.standard("JWKS-1")
def test_a_kid_is_the_thumbprint_of_the_standard():
    """The name of a key is the one that RFC 7638 §3.1 computes in its example."""
    modulus = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECP"
        "ebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY"
        "368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0f"
        "M4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
    )
    key = RSAAlgorithm.from_jwk({"kty": "RSA", "n": modulus, "e": "AQAB"})

    name = thumbprint(public_members(key, "RS256"))

    assert name == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


def test_a_key_does_not_show_itself():
    """No representation of a key shows its private half."""
    assert "private" not in repr(ACTIVE)
    assert ACTIVE.kept()["d"] not in repr(Keyring((ACTIVE,)))


@pytest.mark.parametrize("mode", [0o660, 0o604, 0o620, 0o610, 0o601, 0o644])
def test_others_have_no_access_to_a_key_file(path, mode):
    """A file that others can read, or its group can write, is refused, with the remedy."""
    write_keys(path, [ACTIVE])
    path.chmod(mode)

    with pytest.raises(ValueError, match="chmod 600"):
        Keyring.load(path)


@pytest.mark.parametrize("mode", [0o440, 0o640, 0o400])
def test_a_group_may_read_a_key_file(path, mode):
    """So does an orchestrator mount a secret for a process that is not root."""
    write_keys(path, [ACTIVE])
    path.chmod(mode)

    assert Keyring.load(path).active.kid == ACTIVE.kid


@pytest.mark.parametrize(
    ("jwk", "advice"),
    [
        pytest.param({"kty": "oct", "k": "AAAA", "alg": "HS256"}, "set alg", id="symmetric"),
        pytest.param(
            {"alg": "ES256", "kty": "oct", "k": "AAAA", "d": "AAAA"}, "no ES256", id="oct"
        ),
        pytest.param({"alg": "RS256"}, "no RS256 key", id="another-type"),
        pytest.param({"alg": "ES384"}, "set alg", id="unsupported"),
        pytest.param({"alg": None}, "set alg", id="no-alg"),
        pytest.param({"alg": ["ES256"]}, "set alg", id="alg-array"),
        pytest.param(P384 | {"alg": "ES256"}, "no ES256 key", id="another-curve"),
        pytest.param(ED448 | {"alg": "EdDSA"}, "curve is not supported", id="ed448"),
        pytest.param(WEAK | {"alg": "RS256"}, "2048", id="weak-rsa"),
        pytest.param({"use": "enc"}, "set use", id="for-encryption"),
        pytest.param({"use": None}, "set use", id="no-use"),
        pytest.param({"status": "spare"}, "set status", id="unknown-status"),
        pytest.param({"status": None}, "set status", id="no-status"),
        pytest.param({"status": ["active"]}, "set status", id="status-array"),
        pytest.param({"since": "now"}, "set since", id="since-text"),
        pytest.param({"since": True}, "set since", id="since-truth"),
        pytest.param({"since": -1}, "set since", id="since-before-time"),
        pytest.param({"since": 1 << 33}, "set since", id="since-never"),
        pytest.param({"kid": "mine"}, f"thumbprint, {ACTIVE.kid}", id="another-kid"),
        pytest.param({"kid": None}, f"thumbprint, {ACTIVE.kid}", id="no-kid"),
        pytest.param({"d": OTHER.kept()["d"]}, "no ES256 key", id="halves-that-do-not-match"),
        pytest.param({"d": 5}, "no ES256 key", id="no-text"),
    ],
)
def test_a_key_that_is_not_sound_is_refused(path, jwk, advice):
    """A key we could not sign with, or should not, is refused with what to do about it."""
    write(path, {"keys": [ACTIVE.kept() | jwk]})

    with pytest.raises(ValueError, match=advice):
        Keyring.load(path)


def test_a_public_key_signs_nothing(path):
    """A key without its private half is refused."""
    write(path, {"keys": [ACTIVE.published() | {"status": "active"}]})

    with pytest.raises(ValueError, match="private"):
        Keyring.load(path)


@pytest.mark.parametrize(
    ("keys", "advice"),
    [
        pytest.param([], "0 keys are active", id="none"),
        pytest.param([OTHER], "0 keys are active", id="none-active"),
        pytest.param([ACTIVE, RSA], "2 keys are active", id="two-active"),
        pytest.param(
            [ACTIVE, replace(ACTIVE, status=Status.NEXT)], "there twice", id="one-key-twice"
        ),
    ],
)
def test_one_key_signs(path, keys, advice):
    """A file must leave no doubt about which key signs, and which key a name means."""
    write(path, {"keys": [key.kept() for key in keys]})

    with pytest.raises(ValueError, match=advice):
        Keyring.load(path)


@pytest.mark.parametrize(
    "document",
    [
        pytest.param("", id="empty"),
        pytest.param("{", id="unfinished"),
        pytest.param("[]", id="array"),
        pytest.param("{}", id="no-keys"),
        pytest.param({"keys": {}}, id="keys-object"),
        pytest.param({"keys": ["key"]}, id="keys-of-strings"),
        pytest.param('{"keys":[],"keys":[]}', id="keys-twice"),
    ],
)
def test_a_key_file_is_a_jwk_set(path, document):
    """What is no JWK Set is refused, and the message says which file."""
    write(path, document)

    with pytest.raises(ValueError, match=str(path)):
        Keyring.load(path)


def test_a_missing_key_file_is_no_keyring(path):
    """Without the file there are no keys, rather than new ones."""
    with pytest.raises(FileNotFoundError):
        Keyring.load(path)


@pytest.mark.parametrize("algorithm", ["HS256", "none", "ES512", ""])
def test_keys_are_made_for_what_we_sign_with(algorithm):
    """A key can be made for the supported algorithms only."""
    with pytest.raises(ValueError, match="ES256"):
        new_key(algorithm)


def test_a_status_changes_and_the_key_stays():
    """Rotation gives the same key another status."""
    retired = replace(ACTIVE, status=Status.RETIRING)

    keyring = Keyring((retired, replace(OTHER, status=Status.ACTIVE)))

    assert keyring.active.kid == OTHER.kid
    assert isinstance(keyring.find(ACTIVE.kid), type(ACTIVE.public))
    assert SigningKey.of(ACTIVE.private, "ES256", status=Status.RETIRING) == retired
