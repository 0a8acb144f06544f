"""What happens when a part fails: no token, a clear word to the operator, and a way back."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from urllib.parse import urlencode

import pytest
import redis

from delegation.dev.servers import valkey
from delegation.ledger.layout import initialize
from delegation.ledger.store import LAYOUT_VERSION
from tests.attacks.attack import (
    CLIENT,
    SUBJECT_TOKEN,
    UNAVAILABLE,
    must_be_harmless,
    must_be_proper,
)
from tests.attacks.endpoint import Answer, Endpoint, basic
from tests.integration.conftest import endpoint_of
from tests.world import AUDITOR, FAILING, Login, TestWorld, a_test_world

QUICKLY = 3
"""Seconds within which everybody has an answer: two for the service, one for a busy machine."""


Outage = Callable[[TestWorld, ExitStack], AbstractContextManager[None]]
"""A part of a world is out of order for a while. What is put in its place stays until *later*."""


@contextmanager
def _stopped(world: TestWorld, later: ExitStack) -> Iterator[None]:
    with suppress(redis.ConnectionError):
        world.books.store.shutdown(nosave=True)
    yield
    socket = Path(world.world.settings.redis_url.removeprefix("unix://"))
    later.enter_context(valkey(socket.parent))


@contextmanager
def _frozen(world: TestWorld, _later: ExitStack) -> Iterator[None]:
    pid = int(world.books.store.info("server")["process_id"])
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextmanager
def _full(world: TestWorld, _later: ExitStack) -> Iterator[None]:
    world.books.store.config_set("maxmemory", "1mb")
    yield
    world.books.store.config_set("maxmemory", "0")


@contextmanager
def _read_only(world: TestWorld, _later: ExitStack) -> Iterator[None]:
    world.books.store.replicaof("127.0.0.1", "1")
    yield
    world.books.store.replicaof("NO", "ONE")


@contextmanager
def _flushed(world: TestWorld, _later: ExitStack) -> Iterator[None]:
    world.books.store.flushall()
    yield
    initialize(world.world.store.server, world.world.store.partitions)


@contextmanager
def _laid_out_otherwise(world: TestWorld, _later: ExitStack) -> Iterator[None]:
    _set_version(world, LAYOUT_VERSION + 1)
    yield
    _set_version(world, LAYOUT_VERSION)


def _set_version(world: TestWorld, version: int) -> None:
    for partition in world.world.store.partitions.all():
        world.books.store.hset(partition.layout, "version", version)


OUTAGES: dict[str, tuple[Outage, str]] = {
    "stopped": (_stopped, "ledger_unreachable"),
    "frozen": (_frozen, "ledger_unreachable"),
    "full": (_full, "ledger_unwell"),
    "read-only": (_read_only, "ledger_unwell"),
    "flushed": (_flushed, "no_layout"),
    "laid out otherwise": (_laid_out_otherwise, "other_layout_version"),
}


def _timed(send: Callable[[], Answer]) -> Answer:
    began = time.monotonic()
    answer = send()
    assert time.monotonic() - began < QUICKLY
    return answer


def _must_be_unavailable(answer: Answer) -> None:
    must_be_proper(answer, UNAVAILABLE)
    assert int(answer.header("Retry-After") or 0) > 0
    assert answer.header("Delegation-Decision") is None


def _about(endpoint: Endpoint, token: str, path: str, authorization: str | None = None) -> Answer:
    headers = {} if authorization is None else {"Authorization": authorization}
    return endpoint.send(urlencode({"token": token}).encode(), headers=headers, path=path)


def _get(endpoint: Endpoint, path: str) -> Answer:
    answer = _timed(lambda: endpoint.send(b"", path=path, method="GET"))
    must_be_harmless(answer)
    return answer


def _must_come_back(endpoint: Endpoint, token: str) -> None:
    deadline = time.monotonic() + 10
    while endpoint.exchange(subject_token=token).status != 200:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert _get(endpoint, "/readyz").status == 200


@pytest.mark.attack(25)
@pytest.mark.standard("7662-4")
@pytest.mark.parametrize(("outage", "problem"), OUTAGES.values(), ids=OUTAGES)
def test_the_store_fails(alone: TestWorld, outage: Outage, problem: str) -> None:
    """Without its store the service issues nothing, and says so quickly; with it, it goes on.

    Nor does it say then that a token is active, or that it is not, or that it was revoked.
    """
    endpoint = endpoint_of(alone)
    issued = endpoint.exchange().json["access_token"]
    auditor = basic(AUDITOR, alone.secrets[AUDITOR])

    with ExitStack() as later:
        with outage(alone, later):
            _must_be_unavailable(_timed(endpoint.exchange))
            # A refusal that cannot be recorded is not given either.
            _must_be_unavailable(_timed(lambda: endpoint.exchange(scope="admin")))
            revoked = _timed(lambda: _about(endpoint, issued, "/revoke"))
            _must_be_unavailable(_timed(lambda: _about(endpoint, issued, "/introspect", auditor)))
            ready, alive = _get(endpoint, "/readyz"), _get(endpoint, "/livez")
            stranger = endpoint.exchange(headers={"Authorization": basic("nobody", "guess")})
        _must_come_back(endpoint, alone.login.token())

    if outage is _full:
        assert revoked.status == 200  # what is full can still be stopped
    else:
        _must_be_unavailable(revoked)
    assert (ready.status, ready.json["problems"]) == (503, [problem])
    assert alive.status == 200
    must_be_proper(stranger, CLIENT)
    assert problem in alone.log


@pytest.mark.attack(25)
def test_what_was_flushed_is_dead(alone: TestWorld) -> None:
    """A store that has been laid out anew knows of no exchange: what was issued before is dead."""
    endpoint = endpoint_of(alone)
    issued = endpoint.exchange().json["access_token"]
    onward = Endpoint(
        url=endpoint.url,
        client="calendar-api",
        secret=alone.secrets["calendar-api"],
        resource="https://rooms.example/api",
        scope="rooms.read",
        token=lambda: issued,
    )
    assert onward.exchange().status == 200

    with ExitStack() as later, _flushed(alone, later):
        _must_be_unavailable(onward.exchange())

    must_be_proper(onward.exchange(), SUBJECT_TOKEN)


@pytest.mark.attack(25)
def test_too_many_undrained_events(tmp_path: Path) -> None:
    """Rather than lose evidence the service stops: until somebody seals."""
    with a_test_world(tmp_path, workers=1, DELEGATION_MAX_UNDRAINED_EVENTS="3") as world:
        endpoint = endpoint_of(world)

        answers = [endpoint.exchange() for _ in range(4)]
        ready = _get(endpoint, "/readyz")

    assert [answer.status for answer in answers] == [200, 200, 200, 503]
    _must_be_unavailable(answers[3])
    assert (ready.status, ready.json["problems"]) == (503, ["too_many_undrained_events"])


@pytest.mark.attack(25)
@pytest.mark.standard("8725-3.10-2")
@pytest.mark.parametrize("alias", FAILING)
def test_an_issuers_keys_at_first_use(shared: TestWorld, endpoint: Endpoint, alias: str) -> None:
    """Where an issuer's keys cannot be had, nothing that it signed is believed, or refused."""
    issuer = Login(f"{shared.keys.url}/{alias}", usual=shared.login.claims())

    answer = _timed(lambda: endpoint.exchange(subject_token=issuer.token(iss=issuer.issuer)))

    _must_be_unavailable(answer)
    assert shared.keys.requests[f"/{alias}/jwks"] > 0
    assert _get(endpoint, "/readyz").status == 200


@pytest.mark.attack(25)
@pytest.mark.standard("8725-3.10-2")
def test_an_unknown_key_while_keys_are_out_of_reach(alone: TestWorld) -> None:
    """Keys that are known are still good; of an unknown one nobody can tell whether it is."""
    endpoint = endpoint_of(alone)
    assert endpoint.exchange(subject_token=alone.partner.token()).status == 200
    alone.keys.down.add("/partner/jwks")

    unknown = endpoint.exchange(subject_token=alone.partner.token(header={"kid": "new-key"}))
    known = endpoint.exchange(subject_token=alone.partner.token())

    _must_be_unavailable(unknown)
    assert known.status == 200


@pytest.mark.slow
@pytest.mark.attack(25)
def test_keys_come_back(alone: TestWorld) -> None:
    """When an issuer's keys can be had again, its tokens are good again, by themselves."""
    endpoint = endpoint_of(alone)
    alone.keys.down.add("/partner/jwks")
    _must_be_unavailable(endpoint.exchange(subject_token=alone.partner.token()))

    alone.keys.down.remove("/partner/jwks")

    _must_come_back(endpoint, alone.partner.token())
