"""What gunicorn's master keeps of the metrics: a directory, who counts where, and who serves it."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from prometheus_client.multiprocess import mark_process_dead

from delegation.metrics.meter import Meter
from delegation.metrics.tally import Place, Tally, Writer

DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"
"""The variable by which the library finds the files."""

_OURS = "DELEGATION_"

_IN_MEMORY = Path("/dev/shm")  # noqa: S108, a directory of our own is made in it

_place: int | None = None
"""The place of this worker, from the fork on; `None` where nobody serves what it counts."""


class Sharing:
    """Lends each worker a place, which is another's once it has gone, and serves what stands there.

    Places are few and counters go on in them, so nothing is lost with a worker, and nothing piles
    up. The exposition is a process of its own: it holds no key and no setting of ours, and workers
    hold nothing of its. It ends, and the directory with it, once master and workers have.
    """

    def __init__(self, bind: str, *, workers: int) -> None:
        where = _IN_MEMORY if os.access(_IN_MEMORY, os.W_OK | os.X_OK) else None
        self.directory = Path(tempfile.mkdtemp(prefix="delegation-metrics-", dir=where))
        os.environ[DIRECTORY] = str(self.directory)
        self._taken: dict[object, int] = {}
        module = "delegation.metrics.exposition"
        self._command = [sys.executable, "-m", module, str(self.directory), bind, str(workers)]
        self._exposition = self._started()

    def take(self, worker: object) -> None:
        """Lend a place to *worker*, which is forked next."""
        global _place  # noqa: PLW0603, that is how a fork hands it down
        taken = frozenset(self._taken.values())
        _place = next(number for number in range(len(taken) + 1) if number not in taken)
        self._taken[worker] = _place
        if self._exposition.poll() is not None:
            self.close()
            self._exposition = self._started()

    def leave(self, worker: object) -> None:
        """*worker* has gone: what it was no longer is, what it counted stays."""
        mark_process_dead(self._taken.pop(worker), str(self.directory))  # type: ignore[no-untyped-call]

    def close(self) -> None:
        """Wait until the exposition has ended: nobody else holds what it waits for."""
        self._exposition.communicate()

    def _started(self) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(  # noqa: S603, our own interpreter and arguments
            self._command,
            stdin=subprocess.PIPE,  # it ends when nobody holds the other end
            env=_foreign(os.environ),
            start_new_session=True,  # it hears no Ctrl-C: it serves until the last worker has gone
        )


@cache
def meter() -> Meter:
    """The one of this worker, which writes to its place, if it has one, until the process ends."""
    tally = Tally()
    if _place is not None:
        Writer(tally, Place(_place)).start()
    return Meter(tally)


def _foreign(environment: Mapping[str, str]) -> dict[str, str]:
    """What is none of our settings, some of which are secret."""
    return {name: value for name, value in environment.items() if not name.startswith(_OURS)}
