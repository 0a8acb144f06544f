"""The issuer's keys, fetched over real HTTP: when they are, when not, and what is done without."""

import json
import threading
from collections.abc import Callable
from threading import Event, Thread
from typing import Any

import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from jwt import PyJWK
from jwt.algorithms import ECAlgorithm

from delegation.client import jwks
from delegation.client.bearer import CannotVerify, InvalidToken
from delegation.client.jwks import COOLDOWN, FRESH_FOR, RETRY_AFTER, USABLE_FOR, IssuerKeys
from tests.client.api import asked, publish
from tests.client.server import METADATA, Handler, Server
from tests.signing import SigningParty

JWKS = "/jwks"
ONE, OTHER = SigningParty(), SigningParty()


class Held:
    """Monotonic seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """The seconds so far."""
        return self.now


@pytest.fixture(name="clock")
def _clock() -> Held:
    """A clock that stands still."""
    return Held()


@pytest.fixture(name="keys")
def _keys(server: Server, http: httpx2.Client, clock: Held) -> IssuerKeys:
    """The keys of an issuer that has published the key of `ONE`."""
    publish(server, ONE)
    return IssuerKeys(server.url, jwks_uri=None, http=http, clock=clock)


def out_of_reach(server: Server) -> None:
    """The issuer answers, and has no keys to give."""
    server.says(JWKS, b"{}", status=503)


@pytest.mark.standard("8725-3.10-2", "8414-1", "JWKS-1")
def test_found_by_the_name_of_the_issuer_alone(server: Server, keys: IssuerKeys) -> None:
    """By its metadata, once, at the first token; then they are at hand."""
    assert not server.asked
    assert keys.at_hand(ONE.kid) is None

    key = keys.find(ONE.kid)

    assert isinstance(key, PyJWK)
    assert (key.key_id, key.algorithm_name) == (ONE.kid, "ES256")
    assert keys.find(ONE.kid) is key is keys.at_hand(ONE.kid)
    assert [request.path for request in server.asked] == [METADATA, JWKS]


def test_where_they_are_can_be_said(server: Server, http: httpx2.Client) -> None:
    """An API that cannot reach the metadata is told where the keys are."""
    publish(server, ONE)
    keys = IssuerKeys("https://sts.example.com", jwks_uri=f"{server.url}{JWKS}", http=http)

    assert keys.find(ONE.kid)
    assert [request.path for request in server.asked] == [JWKS]


def test_kept_for_a_while(server: Server, keys: IssuerKeys, clock: Held) -> None:
    """A key that the issuer has withdrawn is good for five minutes at most."""
    keys.find(ONE.kid)
    publish(server, OTHER)
    clock.now += FRESH_FOR - 1
    assert keys.find(ONE.kid)

    clock.now += 1

    assert keys.at_hand(ONE.kid) is None
    with pytest.raises(InvalidToken):
        keys.find(ONE.kid)
    assert keys.find(OTHER.kid)


@pytest.mark.standard("8725-3.10-2")
def test_an_unknown_key_is_asked_for_once_in_a_while(
    server: Server, keys: IssuerKeys, clock: Held
) -> None:
    """Anybody can make up a name: a hundred of them are one request, and the first may be new."""
    keys.find(ONE.kid)
    publish(server, ONE, OTHER)

    assert keys.find(OTHER.kid)
    for number in range(100):
        with pytest.raises(InvalidToken):
            keys.find(f"made-up-{number}")
    clock.now += COOLDOWN - 1
    with pytest.raises(InvalidToken):
        keys.find("made-up")
    assert asked(server, JWKS) == 2

    clock.now += 1
    with pytest.raises(InvalidToken):
        keys.find("made-up")

    assert asked(server, JWKS) == 3


def test_what_has_just_been_fetched_is_not_fetched_again(server: Server, keys: IssuerKeys) -> None:
    """The first token may name an unknown key, too."""
    with pytest.raises(InvalidToken):
        keys.find("made-up")

    assert asked(server, JWKS) == 1


@pytest.mark.standard("8725-3.10-2")
def test_old_keys_outlive_a_short_outage(server: Server, keys: IssuerKeys, clock: Held) -> None:
    """And not a long one: what was fetched an hour ago is believed no more."""
    keys.find(ONE.kid)
    out_of_reach(server)
    clock.now += FRESH_FOR

    assert keys.find(ONE.kid)
    assert keys.at_hand(ONE.kid)
    assert keys.find(ONE.kid)
    assert asked(server, JWKS) == 2
    with pytest.raises(CannotVerify):
        keys.find(OTHER.kid)
    clock.now += RETRY_AFTER
    assert keys.find(ONE.kid)
    assert asked(server, JWKS) == 3

    clock.now += USABLE_FOR
    with pytest.raises(CannotVerify):
        keys.find(ONE.kid)
    assert keys.at_hand(ONE.kid) is None
    publish(server, ONE)
    clock.now += RETRY_AFTER
    assert keys.find(ONE.kid)


def test_an_issuer_that_is_not_there(
    server: Server, keys: IssuerKeys, clock: Held, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody can tell: that is no verdict on the token. The log says what to look at, once."""
    out_of_reach(server)

    for _ in "abc":
        with pytest.raises(CannotVerify) as caught:
            keys.find(ONE.kid)

    assert (caught.value.status, caught.value.error) == (503, "temporarily_unavailable")
    assert asked(server, JWKS) == 1
    (line,) = caplog.messages
    assert line.startswith(f"the keys of {server.url} cannot be fetched: {server.url}/jwks ")
    publish(server, ONE)
    clock.now += RETRY_AFTER
    assert keys.find(ONE.kid)


@pytest.mark.standard("8725-3.10-2", "8414-1")
@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda server: server.has_metadata(), id="no jwks_uri"),
        pytest.param(lambda server: server.has_metadata(jwks_uri=5), id="no text"),
        pytest.param(
            lambda server: server.has_metadata(jwks_uri="http://keys.example/jwks"), id="in clear"
        ),
        pytest.param(
            lambda server: server.has_metadata(issuer="https://other.example"), id="another issuer"
        ),
        pytest.param(lambda server: server.says(JWKS, b"keys"), id="no JSON"),
        pytest.param(lambda server: server.says(JWKS, b'{"keys": {}}'), id="no set"),
        pytest.param(lambda server: server.says(JWKS, b"[]"), id="no object"),
        pytest.param(
            lambda server: server.says(JWKS, b"", status=302, Location=f"{server.url}/elsewhere"),
            id="a redirect",
        ),
    ],
)
def test_what_is_no_key_set(
    server: Server, keys: IssuerKeys, spoil: Callable[[Server], None]
) -> None:
    """It is not followed, not guessed at, and not taken for an empty one."""
    server.says("/elsewhere", json.dumps(ONE.jwks()).encode())
    spoil(server)

    with pytest.raises(CannotVerify):
        keys.find(ONE.kid)
    assert asked(server, "/elsewhere") == 0


RSA = SigningParty(algorithm="RS256")
SOUND = ONE.key.published()
P384 = ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP384R1()).public_key(), as_dict=True)


@pytest.mark.standard("8725-3.1-1", "8725-3.8-1")
@pytest.mark.parametrize(
    "jwk",
    [
        pytest.param(SOUND | {"use": "enc"}, id="for encryption"),
        pytest.param(SOUND | {"alg": "ES384"}, id="another algorithm"),
        pytest.param(P384 | {"kid": ONE.kid, "alg": "ES256"}, id="another curve"),
        pytest.param(SOUND | {"alg": "RS256"}, id="another type"),
        pytest.param(SOUND | {"alg": "none"}, id="none"),
        pytest.param(SOUND | {"alg": ["ES256"]}, id="several algorithms"),
        pytest.param({name: SOUND[name] for name in SOUND.keys() - {"alg"}}, id="any algorithm"),
        pytest.param(SOUND | {"kid": 5}, id="no name"),
        pytest.param(SOUND | {"x": 4}, id="no point"),
        pytest.param(SOUND | {"crv": {}}, id="no curve"),
        pytest.param(ONE.key.kept(), id="private"),
        pytest.param(
            {"kty": "oct", "alg": "HS256", "kid": ONE.kid, "k": "c2VjcmV0" * 8}, id="secret"
        ),
        pytest.param({}, id="empty"),
        pytest.param("key", id="no object"),
        pytest.param(
            {
                "kty": "RSA",
                "alg": "RS256",
                "kid": ONE.kid,
                "e": "AQAB",
                "n": "0vx7agoebGcQSuuPiLJXZg",
            },
            id="weak",
        ),
    ],
)
def test_a_key_that_cannot_be_used_is_passed_over(
    server: Server, keys: IssuerKeys, jwk: object
) -> None:
    """And spoils no other (RFC 7517 §5); whatever it is, it is not used in another way."""
    listed = [jwk, RSA.key.published()]
    server.says(JWKS, json.dumps({"keys": listed}).encode())

    assert keys.find(RSA.kid).algorithm_name == "RS256"
    with pytest.raises(InvalidToken):
        keys.find(ONE.kid)


def test_two_keys_of_one_name(server: Server, keys: IssuerKeys) -> None:
    """Whichever we took, the issuer may have meant the other."""
    second = OTHER.key.published() | {"kid": ONE.kid}
    server.says(JWKS, json.dumps({"keys": [SOUND, second]}).encode())

    with pytest.raises(InvalidToken):
        keys.find(ONE.kid)


class Gate:
    """An answer that waits until it is let go, and says when it has been asked for."""

    def __init__(self, body: Any) -> None:
        self.reached, self.open = Event(), Event()
        self._body = json.dumps(body).encode()

    def __call__(self, handler: Handler) -> None:
        """Hold the answer back."""
        self.reached.set()
        assert self.open.wait(10)
        handler.reply(self._body)


def finding(keys: IssuerKeys, kid: str, found: list[Any]) -> Thread:
    """A thread that looks for a key."""

    def find() -> None:
        try:
            found.append(keys.find(kid))
        except InvalidToken as invalid:
            found.append(type(invalid))

    thread = threading.Thread(target=find)
    thread.start()
    return thread


def test_one_fetch_at_a_time(server: Server, keys: IssuerKeys) -> None:
    """Whoever needs a key while it is being fetched waits for that, and asks nobody."""
    gate = Gate(ONE.jwks())
    server.answers[JWKS] = gate
    found: list[Any] = []
    threads = [finding(keys, ONE.kid, found) for _ in range(4)]
    threads.append(finding(keys, "made-up", found))
    assert gate.reached.wait(10)

    gate.open.set()
    for thread in threads:
        thread.join()

    assert asked(server, JWKS) == 1
    assert len(found) == 5
    assert found.count(InvalidToken) == 1


def test_nobody_waits_for_ever(
    server: Server, keys: IssuerKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a fetch does not come to its end, nobody can tell; once it has, all is well."""
    monkeypatch.setattr(jwks, "PATIENCE", 0.01)
    gate = Gate(ONE.jwks())
    server.answers[JWKS] = gate
    found: list[Any] = []
    thread = finding(keys, ONE.kid, found)
    assert gate.reached.wait(10)

    with pytest.raises(CannotVerify):
        keys.find(ONE.kid)

    gate.open.set()
    thread.join()
    assert found == [keys.find(ONE.kid)]


def test_who_has_a_key_waits_for_nobody(server: Server, keys: IssuerKeys, clock: Held) -> None:
    """While one thread fetches keys anew, the others go on with those that there are."""
    old = keys.find(ONE.kid)
    clock.now += FRESH_FOR
    gate = Gate(OTHER.jwks())
    server.answers[JWKS] = gate
    found: list[Any] = []
    thread = finding(keys, OTHER.kid, found)
    assert gate.reached.wait(10)

    assert keys.find(ONE.kid) is old
    assert keys.at_hand(ONE.kid) is old

    gate.open.set()
    thread.join()
    assert found == [keys.at_hand(OTHER.kid)]
    assert keys.at_hand(ONE.kid) is None
