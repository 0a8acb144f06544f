"""The files change under load: no request fails, and nothing is decided by a mixture."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import jwt
import pytest
from jwt import PyJWKSet

from delegation.audit.packing import unpacked
from delegation.jose.keyring import Keyring, Status, new_key, write_keys
from delegation.jose.rotation import rotate
from tests.attacks.endpoint import Answer, Endpoint
from tests.integration.conftest import endpoint_of
from tests.resilience.load import load, revisions, wait_until
from tests.resilience.states import States
from tests.world import TestWorld


def _events(world: TestWorld) -> dict[str, dict[str, Any]]:
    """The events of all exchanges, by their decisions."""
    events = {}
    for stream in world.books.store.scan_iter("dlg:*:events", count=10_000):
        for _, fields in world.books.store.xrange(stream):
            event = unpacked(fields[b"event"])
            events[event.get("decision")] = event
    return events


@pytest.mark.parametrize(
    "changes",
    [
        5,
        pytest.param(100, marks=[pytest.mark.slow, pytest.mark.timeout(400)]),
    ],
)
def test_the_registry_changes(world: TestWorld, states: States, changes: int) -> None:
    """Every request is granted by one state of it, which the event names; the last one is last."""
    endpoint = endpoint_of(world)
    first = max(states.numbers.values()) + 1
    revision = states.swap(first)
    wait_until(lambda: revisions(world) == {revision})

    with load(lambda: endpoint.exchange(scope=None)) as found:
        for number in range(first + 1, first + 1 + changes):
            change = states.write if number % 2 else states.swap
            revision = change(number)
            wait_until(lambda revision=revision: revisions(world) == {revision})
        found.go_on()

    assert {one.status for one in found.outcomes} == {200}
    events, seen = _events(world), set()
    for answer in found.answers(200):
        number = states.number_of(answer)
        revision = events[answer.header("Delegation-Decision") or ""]["revision"]
        assert states.numbers[revision] == number
        seen.add(number)
    assert len(seen) > changes
    assert states.number_of(endpoint.exchange(scope=None)) == first + changes


def test_the_signing_key_changes(world: TestWorld) -> None:
    """What was signed before is good while its key is there; what others fetch follows."""
    path = world.world.settings.signing_keys
    before = Keyring.load(path)
    following = next(key for key in before.keys if key.status is Status.NEXT)
    endpoint = endpoint_of(world)
    earlier = endpoint.exchange().json["access_token"]

    def twice() -> Answer:
        return _onward(world, endpoint.exchange().json["access_token"]).exchange()

    with load(twice, callers=2) as found:
        found.go_on()
        write_keys(
            path,
            [
                replace(before.active, status=Status.RETIRING),
                replace(following, status=Status.ACTIVE),
                new_key(),
            ],
        )
        wait_until(lambda: revisions(world, "signing_keys") == {following.kid})
        found.go_on()
    later = endpoint.exchange().json["access_token"]
    published = endpoint.send(b"", path="/jwks", method="GET").json["keys"]

    assert {one.status for one in found.outcomes} == {200}
    kids = [jwt.get_unverified_header(token)["kid"] for token in (earlier, later)]
    assert kids == [before.active.kid, following.kid]
    assert _onward(world, earlier).exchange().status == 200
    assert [key["kid"] for key in published] == [key.kid for key in _ordered(path)]
    assert published[0]["kid"] == following.kid


@pytest.mark.standard("JWKS-1")
def test_keys_rotate_under_load(world: TestWorld) -> None:
    """Who fetched the keys before a rotation can verify all that is signed until the next."""
    path = world.world.settings.signing_keys
    endpoint = endpoint_of(world)
    for _ in range(3):
        fetched = PyJWKSet.from_dict(endpoint.send(b"", path="/jwks", method="GET").json)
        with load(endpoint.exchange) as found:
            found.go_on()
            # As if ten minutes had passed since the last rotation: everybody has fetched.
            rotated = rotate(Keyring.load(path), datetime.now(UTC), at_once=True)
            write_keys(path, rotated.keys)
            wait_until(lambda kid=rotated.active.kid: revisions(world, "signing_keys") == {kid})
            found.go_on()
        tokens = [answer.json["access_token"] for answer in found.answers(200)]
        signed_by = {jwt.get_unverified_header(token)["kid"] for token in tokens}

        assert {one.status for one in found.outcomes} == {200}
        assert rotated.active.kid in signed_by
        assert len(signed_by) == 2
        for token in tokens:
            key = fetched[jwt.get_unverified_header(token)["kid"]]
            jwt.decode(token, key, audience=endpoint.resource)


def _ordered(path: Any) -> list[Any]:
    keyring = Keyring.load(path)
    return sorted(keyring.keys, key=lambda key: key is not keyring.active)


def _onward(world: TestWorld, token: str) -> Endpoint:
    """The token endpoint for who was given *token*, at the second hop."""
    return Endpoint(
        url=world.world.url,
        client="calendar-api",
        secret=world.secrets["calendar-api"],
        resource="https://rooms.example/api",
        scope="rooms.read",
        token=lambda: token,
    )
