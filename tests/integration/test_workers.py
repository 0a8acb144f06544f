"""Two workers, one state: whatever one has decided, the other knows at once."""

import os
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from secrets import token_urlsafe
from urllib.parse import urlencode

import pytest

from delegation.audit.acts import Acts
from delegation.domain.locks import Target
from delegation.domain.parties import Identity
from delegation.ledger.locks import RedisLocks
from tests.attacks.attack import NOT_PERMITTED, SUBJECT_TOKEN, must_be_proper
from tests.attacks.endpoint import FORM, Answer, Endpoint, basic
from tests.integration.conftest import endpoint_of
from tests.valkey import put
from tests.world import ONCE_API, TestWorld, a_test_world


@pytest.fixture(name="pair", scope="module")
def _pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestWorld]:
    """A world whose workers are stopped and continued."""
    with a_test_world(tmp_path_factory.mktemp("world")) as world:
        # It is ready when one of them is.
        while len(_workers(world)) < world.world.settings.workers:
            time.sleep(0.02)
        yield world


def _workers(world: TestWorld) -> list[int]:
    pid = world.world.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in children.split()]


@contextmanager
def _only(world: TestWorld, worker: int) -> Iterator[Endpoint]:
    """An endpoint at which nobody but *worker* answers: the others sleep meanwhile."""
    others = [pid for pid in _workers(world) if pid != worker]
    for pid in others:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield endpoint_of(world)
    finally:
        for pid in others:
            os.kill(pid, signal.SIGCONT)


def _usable_once(world: TestWorld) -> str:
    """A token that surely was issued after the store began: `iat` may be ahead by the skew."""
    time.sleep(1.1)
    return world.login.token(iat=int(time.time()) + 30)


def test_both_workers_answer(pair: TestWorld) -> None:
    """Each of the two serves by itself."""
    workers = _workers(pair)

    for worker in workers:
        with _only(pair, worker) as endpoint:
            assert endpoint.exchange().status == 200

    assert len(workers) == pair.world.settings.workers == 2


def test_a_token_used_at_one_is_used_at_the_other(pair: TestWorld) -> None:
    """A one-time use is one time for all workers."""
    token = _usable_once(pair)
    first, second = _workers(pair)

    with _only(pair, first) as endpoint:
        won = endpoint.exchange(subject_token=token, resource=ONCE_API)
    with _only(pair, second) as endpoint:
        lost = endpoint.exchange(subject_token=token, resource=ONCE_API)

    assert won.status == 200
    must_be_proper(lost, SUBJECT_TOKEN)


@pytest.mark.standard("7009-4", "REV-3", "STK-15")
def test_a_lock_stops_both(pair: TestWorld) -> None:
    """A lock holds from the moment that it stands, for every worker."""
    name = token_urlsafe()
    before = [endpoint_of(pair).exchange(subject_token=pair.login.token(sub=name)) for _ in "ab"]
    locks = RedisLocks(pair.world.store, events=Acts())

    put(locks, Target.subject(Identity(pair.login.issuer, name)), parents=True)

    assert [answer.status for answer in before] == [200, 200]
    for worker in _workers(pair):
        with _only(pair, worker) as endpoint:
            answer = endpoint.exchange(subject_token=pair.login.token(sub=name))
            must_be_proper(answer, NOT_PERMITTED)


def test_one_of_twenty_wins(shared: TestWorld, endpoint: Endpoint) -> None:
    """Of twenty who use a one-time token at the same moment, one gets a token; it is an alarm."""
    token = _usable_once(shared)

    def use(_: int) -> Answer:
        return endpoint.exchange(subject_token=token, resource=ONCE_API)

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(use, range(20)))

    lost = [answer for answer in answers if answer.status != 200]
    assert len(lost) == 19
    for answer in lost:
        must_be_proper(answer, SUBJECT_TOKEN)
    event = shared.books.refusal(lost[0].header("Delegation-Decision") or "")
    assert event["cause"] == "already_used"
    assert event["alarm"] is True


def test_forty_at_once(shared: TestWorld, endpoint: Endpoint) -> None:
    """Forty exchanges at once are forty tokens, and forty records."""
    before = shared.books.exchanges()

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: endpoint.exchange(), range(40)))

    assert {answer.status for answer in answers} == {200}
    assert len({answer.json["access_token"] for answer in answers}) == 40
    recorded = {key.rpartition(b":")[2].decode() for key in shared.books.exchanges() - before}
    assert {answer.header("Delegation-Decision") for answer in answers} <= recorded


@pytest.mark.attack(25)
def test_an_answer_that_was_lost(shared: TestWorld, endpoint: Endpoint) -> None:
    """Who did not hear the answer asks again, and is answered: the first token is recorded."""
    token = shared.login.token()
    before = shared.books.exchanges()
    body = urlencode(endpoint.form(subject_token=token)).encode()
    head = (
        f"POST /token HTTP/1.1\r\nContent-Type: {FORM}\r\nContent-Length: {len(body)}\r\n"
        f"Authorization: {basic(endpoint.client, endpoint.secret)}\r\n\r\n"
    )

    with endpoint.connected() as connection:
        connection.sendall(head.encode() + body)
        connection.shutdown(socket.SHUT_RDWR)
    deadline = time.monotonic() + 5
    while shared.books.exchanges() <= before and time.monotonic() < deadline:
        time.sleep(0.02)
    again = endpoint.exchange(subject_token=token)

    assert again.status == 200
    assert len(shared.books.exchanges() - before) >= 2
