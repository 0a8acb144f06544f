"""Which workers of the token service there are: each says so itself, every few seconds."""

import json

from delegation.domain.ports import WorkerReport
from delegation.ledger import scripts
from delegation.ledger.partitions import Partition
from delegation.ledger.store import Store, must_be_ok

PATIENCE = 60_000
"""Milliseconds after which a worker that says nothing is taken for gone."""

_PLACE = Partition(0)


class RedisPresence:
    """What the workers said last. Every verb raises `Unavailable`."""

    def __init__(self, store: Store, *, patience: int = PATIENCE) -> None:
        self._store = store
        self._patience = patience

    def report(self, worker: WorkerReport) -> None:
        """Say that *worker* is there; who has not said so for long is forgotten."""
        said = {
            "revision": worker.revision,
            "problems": worker.problems,
            "started_at": worker.started_at,
        }
        self._ask(worker.id, json.dumps(said))

    def workers(self) -> list[WorkerReport]:
        """All that said so lately, by id."""
        return sorted(self._ask("", ""), key=lambda worker: worker.id)

    def _ask(self, id_: str, report: str) -> list[WorkerReport]:
        arguments = (self._patience, id_, report)
        status, *rest = self._store.ask(scripts.PRESENCE, _PLACE, [_PLACE.workers], arguments)
        must_be_ok(status)
        return [_read(*entry) for entry in rest[0]]


def _read(id_: bytes, seen_at: int, report: bytes) -> WorkerReport:
    said = json.loads(report)
    return WorkerReport(
        id=id_.decode(),
        revision=said["revision"],
        problems=tuple(said["problems"]),
        started_at=said["started_at"],
        seen_at=seen_at,
    )
