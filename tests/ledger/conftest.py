"""The fixtures of a real store."""

from tests.valkey import (  # noqa: F401, fixtures
    _evidence,
    _exchanges,
    _ledger,
    _locks,
    _proxy,
    _raw,
    _server,
    _store,
    _valkey,
    _valkey_process,
)
