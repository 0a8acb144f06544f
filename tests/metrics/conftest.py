"""What workers have counted, as it would be served; and the fixtures of a real store."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from delegation.metrics.exposition import Counted
from delegation.metrics.meter import Meter
from delegation.metrics.sharing import DIRECTORY
from delegation.metrics.tally import Place, Tally
from tests.valkey import (  # noqa: F401, fixtures
    _server,
    _store,
    _valkey,
    _valkey_process,
)


class Bench:
    """Workers of one service, in one process: what they *count*, and what is *served* of it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._tallies: dict[int, Tally] = {}
        self._places: dict[int, Place] = {}
        self.now = 1_800_000_000.0

    def worker(self, number: int = 0) -> Meter:
        """A new worker, at that place."""
        self._tallies[number] = Tally()
        self._places[number] = Place(number)
        return Meter(self._tallies[number], clock=lambda: self.now)

    def served(self) -> Mapping[str, float]:
        """All samples, each by its name and the values of its labels."""
        for number, tally in self._tallies.items():
            tally.write(self._places[number])
        return {
            " ".join((sample.name, *(value for _, value in sorted(sample.labels.items())))): (
                sample.value
            )
            for family in Counted(str(self.directory), configured=2).collect()
            for sample in family.samples
        }

    def only(self, beginning: str) -> dict[str, float]:
        """Those that begin so, and are not 0; without that beginning."""
        return {
            name.removeprefix(beginning).strip(): value
            for name, value in self.served().items()
            if name.startswith(beginning) and value
        }


@pytest.fixture(name="bench")
def _bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setitem(os.environ, DIRECTORY, str(tmp_path))
    return Bench(tmp_path)
