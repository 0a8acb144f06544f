"""How a client shows that it is itself."""

import json
import time
from pathlib import Path

import jwt
import pytest

from delegation.client.credentials import ASSERTION_TYPE, PrivateKey, Secret
from delegation.jose.keyring import SUPPORTED, SigningKey, Status, new_key

ISSUER = "https://sts.example"
KEY = new_key(status=Status.ACTIVE)


def _document(key: SigningKey, **changes: object) -> bytes:
    return json.dumps({**key.kept(), **changes}).encode()


def test_a_secret() -> None:
    """It goes into the header, form-urlencoded (RFC 6749 §2.3.1), and is not shown."""
    secret = Secret("s+e c")

    proof = secret.prove("odd id:%", ISSUER)

    assert proof.auth == ("odd+id%3A%25", "s%2Be+c")
    assert not proof.parameters
    assert "s" not in f"{secret!r}{proof!r}".replace("Secret", "").replace("Proof", "")


@pytest.mark.standard("7523-1", "7523-2", "7523bis-1", "7523bis-3")
@pytest.mark.parametrize("algorithm", sorted(SUPPORTED))
def test_an_assertion(algorithm: str) -> None:
    """It is signed with our key, for the issuer alone, for a minute, and is what it says it is."""
    key = new_key(algorithm, status=Status.ACTIVE)
    before = int(time.time())

    proof = PrivateKey.parse(_document(key)).prove("signing-mcp", ISSUER)

    assert proof.auth is None
    assert proof.parameters.keys() == {"client_assertion_type", "client_assertion"}
    assert proof.parameters["client_assertion_type"] == ASSERTION_TYPE
    assertion = proof.parameters["client_assertion"]
    assert jwt.get_unverified_header(assertion) == {
        "alg": algorithm,
        "kid": key.kid,
        "typ": "client-authentication+jwt",
    }
    claims = jwt.decode(assertion, key.public.key, algorithms=[algorithm], audience=ISSUER)
    assert claims["iss"] == claims["sub"] == "signing-mcp"
    assert claims["aud"] == ISSUER
    assert before <= claims["iat"] <= time.time()
    assert claims["exp"] == claims["iat"] + 60
    assert claims.keys() == {"iss", "sub", "aud", "iat", "exp", "jti"}


@pytest.mark.standard("7523-2")
def test_an_assertion_is_good_once() -> None:
    """Each has an id of its own."""
    key = PrivateKey.parse(_document(KEY))

    proofs = [key.prove("signing-mcp", ISSUER) for _ in range(2)]

    ids = {
        jwt.decode(proof.parameters["client_assertion"], options={"verify_signature": False})["jti"]
        for proof in proofs
    }
    assert len(ids) == 2


def test_a_key_is_not_shown() -> None:
    """Its name and algorithm are."""
    key = PrivateKey.parse(_document(KEY))

    shown = f"{key!r} {key.prove('signing-mcp', ISSUER)!r}"

    assert KEY.kid in shown
    assert KEY.kept()["d"] not in shown
    assert "eyJ" not in shown


def test_a_key_in_a_file(tmp_path: Path) -> None:
    """It is read there, or said to be missing."""
    (tmp_path / "key.json").write_bytes(_document(KEY))

    assert PrivateKey.load(tmp_path / "key.json").kid == KEY.kid
    with pytest.raises(OSError, match="missing"):
        PrivateKey.load(tmp_path / "missing")


def test_a_key_set() -> None:
    """Of several keys the active one is used; the same key is equal, and another is not."""
    other = new_key(status=Status.RETIRING)

    key = PrivateKey.parse(json.dumps({"keys": [other.kept(), KEY.kept()]}).encode())

    assert key.kid == KEY.kid
    assert key == PrivateKey.parse(_document(KEY))
    assert key != PrivateKey.parse(_document(other, status="active"))


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (b"", "must be a private JWK"),
        (b"[]", "must be a private JWK"),
        (b'{"keys": {}}', "must be a private JWK"),
        (b'{"keys": [1]}', "must be a private JWK"),
        (b"-----BEGIN PRIVATE KEY-----", "must be a private JWK"),
        (b'{"a":' * 100_000, "must be a private JWK"),
        (b'{"keys": []}', "exactly one active key, and holds 0"),
        (_document(KEY, status="next"), "exactly one active key, and holds 0"),
        (
            json.dumps({"keys": [KEY.kept(), new_key(status=Status.ACTIVE).kept()]}).encode(),
            "exactly one active key, and holds 2",
        ),
        (_document(KEY, kid=""), "no kid"),
        (_document(KEY, kid=5), "no kid"),
        (json.dumps(KEY.published()).encode(), "no private JWK"),
        (_document(KEY, d="AA"), "no private JWK"),
        (_document(KEY, d=5), "no private JWK"),
        (_document(KEY, kty="XYZ"), "no private JWK"),
        (_document(KEY, alg="none"), "no private JWK"),
        (b'{"kty": "oct", "kid": "k", "k": "c2VjcmV0", "alg": "HS256"}', "for none of"),
    ],
)
def test_what_is_no_key(document: bytes, reason: str) -> None:
    """It is found at once, and nothing of it is said."""
    with pytest.raises(ValueError, match=reason) as caught:
        PrivateKey.parse(document)

    assert KEY.kept()["d"] not in str(caught.value)
