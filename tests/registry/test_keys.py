"""The keys of clients: what may stand in the registry, and what becomes of it."""

import json
from typing import Any

import pytest
import yaml

from delegation.domain.parties import InlineKeys, PublishedKeys
from delegation.jose.jwks import ForeignKeys
from delegation.registry.problems import Code, Problem, RegistryInvalid
from tests.registry import client_keys, story
from tests.signing import NoCooldown

KEY, RSA_KEY = client_keys.of("ES256"), client_keys.of("RS256")
NEXT_KEY = client_keys.of("ES256", "next")
JWKS_URI = "https://calendar-mcp.example.com/jwks"


def a_file(second: dict[str, Any] | None = None, **entry: Any) -> str:
    """A registry of one client or two, each with what is said of its keys."""
    clients = [{"id": "mcp-a", "audience": "urn:a", "exchange": True} | entry]
    if second is not None:
        clients.append({"id": "mcp-b", "audience": "urn:b", "exchange": True} | second)
    return story.as_yaml({"clients": clients})


def problems_of(text: str) -> tuple[Problem, ...]:
    """All that is wrong with a file."""
    with pytest.raises(RegistryInvalid) as caught:
        story.of(text)
    return caught.value.problems


def code_of(text: str, message: str) -> Code:
    """The code of the one thing that is wrong, whose message says *message*."""
    [problem] = problems_of(text)
    assert message in problem.message
    return problem.code


@pytest.mark.standard("7523-4", "8725-3.1-1")
@pytest.mark.parametrize("algorithm", client_keys.KINDS)
def test_every_kind_of_key(algorithm: str) -> None:
    """A whole public key may be written, and what becomes of it is a key that can verify."""
    jwk = client_keys.of(algorithm)
    text = a_file(keys=[jwk | {"use": "sig"}], algorithms=[algorithm])

    source = story.of(text).clients["mcp-a"].keys

    assert source == InlineKeys(jwks=(client_keys.as_text(jwk),), algorithms=frozenset({algorithm}))
    found = ForeignKeys(NoCooldown()).find(source, jwk["kid"])
    assert (found.kid, found.algorithm) == (jwk["kid"], algorithm)


@pytest.mark.standard("7523-4")
@pytest.mark.parametrize("algorithm", ["ES256", "ES384", "ES512", "EdDSA"])
def test_a_curve_leaves_no_choice(algorithm: str) -> None:
    """Where a key does not say what it is for, its curve does."""
    bare = {name: value for name, value in client_keys.of(algorithm).items() if name != "alg"}

    source = story.of(a_file(keys=[bare], algorithms=[algorithm])).clients["mcp-a"].keys

    assert isinstance(source, InlineKeys)
    assert json.loads(source.jwks[0])["alg"] == algorithm


@pytest.mark.standard("7523-4")
def test_several_keys_at_once() -> None:
    """Keys are rotated by writing the next one beside the present one; ES256 need not be said."""
    source = story.of(a_file(keys=[KEY, NEXT_KEY])).clients["mcp-a"].keys

    assert source == InlineKeys(
        jwks=(client_keys.as_text(KEY), client_keys.as_text(NEXT_KEY)),
        algorithms=frozenset({"ES256"}),
    )


def test_secrets_and_keys_together() -> None:
    """A client may change from the one to the other."""
    client = story.of(a_file(keys=[KEY], secrets=["sha256:" + 64 * "2"])).clients["mcp-a"]

    assert client.keys
    assert client.secrets == (bytes.fromhex(64 * "2"),)


def test_neither_secrets_nor_keys() -> None:
    """A client may be there before it can authenticate."""
    client = story.of(a_file()).clients["mcp-a"]

    assert client.keys is None
    assert client.secrets == ()


@pytest.mark.parametrize(
    ("uri", "private"),
    [(JWKS_URI, False), (JWKS_URI, True), ("http://localhost:8000/jwks", True)],
    ids=["public", "inside", "loopback"],
)
def test_published_keys(uri: str, private: bool) -> None:  # noqa: FBT001
    """A client may publish its keys; where from, and what they are for, is written."""
    text = a_file(jwks_uri=uri, private_network=private, algorithms=["RS256", "EdDSA"])

    assert story.of(text).clients["mcp-a"].keys == PublishedKeys(
        owner="mcp-a",
        jwks_uri=uri,
        algorithms=frozenset({"RS256", "EdDSA"}),
        private_network=private,
    )


@pytest.mark.standard("7523-4")
@pytest.mark.parametrize("member", ["d", "p", "q", "dp", "dq", "qi", "oth", "k"])
def test_a_private_key_is_refused_and_not_repeated(member: str) -> None:
    """A registry holds what everybody may see; what was shown must be replaced."""
    text = a_file(keys=[KEY | {member: "c2VjcmV0"}])

    assert code_of(text, f"`{member}` belongs to a private key") is Code.PRIVATE_KEY
    assert "c2VjcmV0" not in str(problems_of(text))


@pytest.mark.standard("7523-4", "8725-3.1-1")
def test_there_are_no_symmetric_keys() -> None:
    """Neither as a key nor as an algorithm, of a key or of the client."""
    symmetric = {"kty": "oct", "kid": "a", "k": "c2VjcmV0"}

    assert {one.code for one in problems_of(a_file(keys=[symmetric]))} == {
        Code.WRONG_VALUE,
        Code.PRIVATE_KEY,
    }
    hmac_key = a_file(keys=[KEY | {"alg": "HS256"}])
    assert code_of(hmac_key, "`alg` must be an asymmetric algorithm") is Code.WRONG_VALUE
    hmac_client = a_file(keys=[KEY], algorithms=["ES256", "HS256"])
    assert code_of(hmac_client, "Only asymmetric ones.") is Code.WRONG_VALUE
    unsigned = a_file(jwks_uri=JWKS_URI, algorithms=["none"])
    assert code_of(unsigned, "Only asymmetric ones.") is Code.WRONG_VALUE


def without(jwk: dict[str, Any], *members: str) -> dict[str, Any]:
    """The key that lacks some of its members."""
    return {name: value for name, value in jwk.items() if name not in members}


@pytest.mark.standard("7523-4")
@pytest.mark.parametrize(
    ("jwk", "code", "message"),
    [
        (without(KEY, "kid"), Code.MISSING_KEY, "`kid` is missing. Its name"),
        (without(KEY, "kty"), Code.MISSING_KEY, "`kty` is missing. The type of key"),
        (KEY | {"kid": "a b"}, Code.WRONG_VALUE, "`kid` must be 1 to 128 of letters"),
        (KEY | {"kid": "a" * 129}, Code.WRONG_VALUE, "1 to 128 of letters, digits"),
        (KEY | {"kid": 5}, Code.WRONG_TYPE, "`kid` must be text"),
        (KEY | {"use": "enc"}, Code.WRONG_VALUE, "`use` must be 'sig'"),
        (KEY | {"crv": "secp256k1"}, Code.WRONG_VALUE, "`crv` must be P-256, P-384"),
        (KEY | {"x": KEY["x"] + "="}, Code.WRONG_VALUE, "`x` must be base64url"),
        (KEY | {"x5u": "https://x.test"}, Code.UNKNOWN_KEY, "`x5u` is no key here"),
        ("key", Code.WRONG_TYPE, "an entry of `keys` must be a mapping"),
        (without(KEY, "crv"), Code.WRONG_KEY, "`crv` of `kty: EC` must be P-256 or P-384"),
        (KEY | {"crv": "Ed25519"}, Code.WRONG_KEY, "must be P-256 or P-384 or P-521"),
        (RSA_KEY | {"crv": "P-256"}, Code.WRONG_KEY, "`crv` of `kty: RSA` must be none"),
        (without(KEY, "y"), Code.WRONG_KEY, "`y` must have 43 characters, and has 0"),
        (KEY | {"x": KEY["x"][:-1]}, Code.WRONG_KEY, "`x` must have 43 characters, and has 42"),
        (KEY | {"n": "AQAB"}, Code.WRONG_KEY, "`n` is no member of such a key"),
        (KEY | {"alg": "ES384"}, Code.WRONG_KEY, "`alg` of such a key must be ES256"),
        (KEY | {"alg": "RS256"}, Code.WRONG_KEY, "such a key must be ES256"),
        (RSA_KEY, Code.WRONG_KEY, "`RS256` is not among the `algorithms` of the client"),
        (without(RSA_KEY, "alg"), Code.WRONG_KEY, "`alg` of such a key must be RS256 or RS384"),
        (without(RSA_KEY, "e") | {"alg": "ES256"}, Code.WRONG_KEY, "`e` must have 2 to 8"),
        (RSA_KEY | {"n": RSA_KEY["n"][:200]}, Code.WRONG_KEY, "`n` must have 342 to 2048"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_key_that_is_none(jwk: object, code: Code, message: str) -> None:
    """What could not verify anything is found when the registry is read, and said."""
    found = [one for one in problems_of(a_file(keys=[jwk])) if message in one.message]

    assert [one.code for one in found] == [code]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"keys": [KEY], "jwks_uri": JWKS_URI}, "`jwks_uri` together with `keys`"),
        ({"algorithms": ["ES256"]}, "`algorithms` needs `keys` or `jwks_uri`"),
        ({"private_network": True}, "`private_network` needs `jwks_uri`"),
        ({"keys": [KEY], "private_network": True}, "needs `jwks_uri`: add that"),
        ({"jwks_uri": "http://127.0.0.1/jwks"}, "that needs `private_network: true`"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_contradictions(entry: dict[str, Any], message: str) -> None:
    """Keys are in one place, and what is said of keys is said where there are some."""
    assert code_of(a_file(**entry), message) is Code.CONTRADICTION


def test_published_keys_come_over_tls() -> None:
    """Plain http is for loopback alone."""
    text = a_file(jwks_uri="http://keys.example.com/jwks", private_network=True)

    assert code_of(text, "`jwks_uri` must be an https URI") is Code.WRONG_VALUE


def test_no_two_keys_of_a_client_share_a_name() -> None:
    """The name in an assertion leads to one key; elsewhere it may lead to another."""
    twice = a_file(keys=[KEY, NEXT_KEY | {"kid": KEY["kid"]}])
    elsewhere = a_file(keys=[KEY], second={"keys": [NEXT_KEY | {"kid": KEY["kid"]}]})

    assert code_of(twice, "`kid` is that of another key of this client") is Code.DUPLICATE_ID
    assert len(story.of(elsewhere).clients) == 2


@pytest.mark.standard("7523-4")
@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"keys": [KEY]}, {"keys": [NEXT_KEY, KEY | {"kid": "other"}]}),
        ({"jwks_uri": JWKS_URI}, {"jwks_uri": JWKS_URI, "algorithms": ["RS256"]}),
    ],
    ids=["inline", "published"],
)
def test_no_two_clients_share_a_key(first: dict[str, Any], second: dict[str, Any]) -> None:
    """Whoever holds the key of one would be the other."""
    text = a_file(second, **first)

    assert code_of(text, "has this key too: make a new one for each") is Code.SHARED_KEY


def test_json_may_be_pasted() -> None:
    """A JWK stands in a file as its owner sends it, or as tools write it: with bare `y` and `n`."""
    file = "clients:\n- {id: a, audience: 'urn:a', exchange: true, keys: [%s]}\n"
    block = f"{{kty: EC, crv: P-256, kid: a, x: {KEY['x']}, y: {KEY['y']}}}"

    assert story.of(file % json.dumps(KEY, indent=2)).clients["a"].keys
    assert story.of(file % block).clients["a"].keys
    assert story.of(file % block.replace(" y:", ' "y":')).clients["a"].keys
    assert code_of(file % block.replace("kid: a", "kid: n"), "`n` is not the same") is (
        Code.AMBIGUOUS_VALUE
    )
    assert Code.TAG in {one.code for one in problems_of(file % block.replace(" y:", " !!str y:"))}
    dumped = yaml.safe_dump(
        {
            "clients": [
                {"id": "a", "audience": "urn:a", "exchange": True}
                | {"keys": [RSA_KEY], "algorithms": ["RS256"]}
            ]
        }
    )
    assert story.of(dumped).clients["a"].keys
