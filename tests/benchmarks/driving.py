"""Drives a server with load for a while, and says what that cost it: one sample of a round."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.benchmarks.machine import OTHER_CORES, spent

CONNECTIONS = 8

_WRK = shutil.which("wrk")
_SCRIPT = Path(__file__).parent / "wrk.lua"

GENERATOR = "wrk" if _WRK else "bundled (tests/benchmarks/load.py)"
"""Who sends the load at full speed. At half of that it is the bundled one: wrk cannot be paced."""

_FEW = 100
"""Requests by which it is found out how fast a server is."""


class NotGranted(Exception):
    """The server has refused what it was to grant: nothing was measured."""


@dataclass(slots=True, kw_only=True)
class Target:
    """A server, by its process *pid*, and what is asked of it: so many *bodies*, all granted.

    *rate* is what it does in a second, *kept* whether it keeps connections, as far as is known.
    """

    url: str
    pid: int
    bodies: Callable[[int], Sequence[str]] = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    rate: float | None = None
    kept: bool | None = None

    def sample(self, seconds: float) -> "Sample":
        """Load it fully, for about so long."""
        rate = self.rate
        if rate is None:
            self._bundled(_FEW)  # what comes first is loaded, compiled and connected
            rate = self._bundled(_FEW).per_second
        while True:
            self.rate = rate
            sample = (self._wrk if _WRK else self._bundled)(max(20, int(rate * seconds)))
            self.rate = rate = sample.per_second
            if not sample.repeated:
                return sample

    def paced(self, seconds: float, rate: float) -> "Sample":
        """Ask it so often in a second, for so long."""
        return self._bundled(max(20, int(rate * seconds)), rate=rate)

    def _bundled(self, count: int, *, rate: float | None = None) -> "Sample":
        with tempfile.NamedTemporaryFile("w", encoding="ascii") as bodies:
            self._write(bodies, count)
            address = urlsplit(self.url)
            plan = {
                "host": address.hostname,
                "port": address.port,
                "path": address.path,
                "headers": self._headers,
                "bodies": bodies.name,
                "connections": CONNECTIONS,
                "rate": rate,
            }
            return self._measured([sys.executable, "-m", "tests.benchmarks.load", json.dumps(plan)])

    def _wrk(self, count: int) -> "Sample":
        """It counts in seconds; so there are more bodies than it should need."""
        assert self.rate
        assert _WRK
        seconds = max(1, round(count / self.rate))
        with (
            tempfile.NamedTemporaryFile("w", encoding="ascii") as bodies,
            tempfile.NamedTemporaryFile("w", encoding="ascii") as headers,
        ):
            self._write(bodies, int(self.rate * seconds * 1.3) + 100)
            headers.writelines(f"{name}: {value}\n" for name, value in self._headers.items())
            headers.flush()
            command = [_WRK, "--threads", "1", "--connections", str(CONNECTIONS)]
            command += ["--duration", f"{seconds}s", "--script", str(_SCRIPT), self.url]
            return self._measured([*command, "--", bodies.name, headers.name])

    @property
    def _headers(self) -> dict[str, str]:
        return {"Content-Type": "application/x-www-form-urlencoded", **self.headers}

    def _write(self, file: Any, count: int) -> None:
        file.write("\n".join(self.bodies(count)))
        file.flush()

    def _measured(self, command: list[str]) -> "Sample":
        before = spent(self.pid)
        # It inherits where it may run.
        found = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603
        cpu = spent(self.pid) - before
        said: dict[str, Any] = json.loads(found.stdout.splitlines()[-1])
        self.kept = said.get("kept", self.kept)
        repeated = bool(said.get("ran_out", False))
        if (
            said["granted"] != said["sent"] and not repeated
        ):  # what can be used once is then refused
            refusal = said.get("refusal", "")
            raise NotGranted(f"{said['granted']} of {said['sent']} were granted\n{refusal}")
        return Sample(
            cpu=cpu / said["sent"] * 1e6,
            per_second=said["sent"] / said["seconds"],
            p50=said["p50"],
            p95=said["p95"],
            p99=said["p99"],
            requests=said["sent"],
            repeated=repeated,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One: microseconds of CPU of the server for each request, and milliseconds of waiting.

    *repeated* says whether it could send nothing new at the end.
    """

    cpu: float
    per_second: float
    p50: float
    p95: float
    p99: float
    requests: int
    repeated: bool = False


def keep_to_other_cores() -> None:
    """This process and all that it starts from now on leave the server's core alone."""
    os.sched_setaffinity(0, OTHER_CORES)
