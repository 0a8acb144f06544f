"""Rate limits of a running service: over all of its processes, and of each client by itself."""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.attacks.attack import RATE_LIMITED, UNAVAILABLE, must_be_proper
from tests.attacks.endpoint import Answer, Endpoint
from tests.integration.conftest import endpoint_of
from tests.world import SIGNED_API, SIGNING, SIGNING_MCP, TestWorld, a_test_world

LIMITS = {
    "DELEGATION_LIMIT_PER_CLIENT_AND_SUBJECT": "3/hour",
    "DELEGATION_LIMIT_PER_CLIENT": "100/second; 100000/day",
}


@pytest.fixture(name="limited", scope="module")
def _limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestWorld]:
    """A service of two processes, with limits."""
    with a_test_world(tmp_path_factory.mktemp("limited"), **LIMITS) as world:
        yield world


def asked_for(world: TestWorld, person: str, times: int, **changes: Any) -> list[Answer]:
    """What *calendar-mcp* is answered that asks so often for a person, all at once."""
    endpoint = endpoint_of(world)
    tokens = [world.login.token(sub=person, **changes) for _ in range(times)]
    with ThreadPoolExecutor(times) as pool:
        return [*pool.map(lambda token: endpoint.exchange(subject_token=token), tokens)]


def test_processes_count_together(limited: TestWorld) -> None:
    """Of ten at once three are granted; the others are told when to come back, each by an event."""
    answers = asked_for(limited, "busy", 10)

    refused = [answer for answer in answers if answer.status != 200]
    assert len(refused) == 7
    for answer in refused:
        must_be_proper(answer, RATE_LIMITED)
        assert 3420 <= int(answer.header("Retry-After") or 0) <= 3780
        event = limited.books.refusal(answer.header("Delegation-Decision") or "")
        assert event["cause"] == "limit_per_client_and_subject"


def test_one_client_cannot_use_up_what_others_have(limited: TestWorld) -> None:
    """Neither for the same person; and nobody is held up for another one."""
    assert asked_for(limited, "wanted", 4)[-1].status in {200, 429}
    assert asked_for(limited, "wanted", 1)[0].status == 429

    assert asked_for(limited, "somebody", 1)[0].status == 200
    assert by_another(limited, "wanted").status == 200


def by_another(world: TestWorld, person: str) -> Answer:
    """What *signing-mcp* is answered, which asks for the same person with a token of its own."""
    form = {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token": world.login.token(sub=person, aud=SIGNING_MCP),
        "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "resource": SIGNED_API,
        "client_assertion": world.signer.assertion(),
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
    }
    endpoint: Endpoint = replace(endpoint_of(world), client=SIGNING)
    return endpoint.send(urlencode(form).encode(), headers={"Authorization": None})


def test_without_its_store_nothing_is_issued(limited: TestWorld) -> None:
    """What cannot be counted is not made; and afterwards it is as if it had been asked once."""
    pid = int(limited.books.store.info("server")["process_id"])
    os.kill(pid, signal.SIGSTOP)
    try:
        answer = endpoint_of(limited).exchange(subject_token=limited.login.token(sub="patient"))
    finally:
        os.kill(pid, signal.SIGCONT)

    must_be_proper(answer, UNAVAILABLE)
    # The store may have been asked, and answered nobody: then it has counted that once.
    answers = asked_for(limited, "patient", 4)
    assert [answer.status for answer in answers].count(200) in {2, 3}
