"""The machine (Linux): who may run on which core, and what each process and all others spend."""

import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ALL_CORES = os.sched_getaffinity(0)

SERVER_CORE = max(ALL_CORES)
"""Where what is measured runs, alone."""

OTHER_CORES = ALL_CORES - {SERVER_CORE} or {SERVER_CORE}
"""Where load and store run; where there is one core only, they share it."""


def pin(pid: int, cores: set[int]) -> None:
    """Let *pid*, all that it has started, and all their threads run on *cores* alone."""
    for process in family(pid):
        for thread in Path(f"/proc/{process}/task").iterdir():
            os.sched_setaffinity(int(thread.name), cores)


def family(pid: int) -> Iterator[int]:
    """It, and all that it has started, and these."""
    yield pid
    try:
        threads = [*Path(f"/proc/{pid}/task").iterdir()]
        children = " ".join((thread / "children").read_text() for thread in threads)
    except FileNotFoundError:  # it has just ended
        return
    for child in children.split():
        yield from family(int(child))


def spent(pid: int) -> float:
    """Seconds of CPU of *pid* and all that it has started, as far as they still run."""
    return sum(map(_clock, family(pid)))


def _clock(pid: int) -> float:
    try:
        return time.clock_gettime((~pid << 3) | 2)  # clock_getcpuclockid(3)
    except OSError:
        return 0.0


class Others:
    """What everybody else has spent since this was made, in cores."""

    def __init__(self) -> None:
        self._before = self._seconds()
        self._began = time.monotonic()

    def __call__(self) -> float:
        """So many cores, on average."""
        return (self._seconds() - self._before) / (time.monotonic() - self._began)

    @staticmethod
    def _seconds() -> float:
        fields = [int(field) for field in Path("/proc/stat").read_text().split("\n")[0].split()[1:]]
        # Interrupts are nobody's, and here the most of them are our own requests.
        user, nice, system, _idle, _waiting, _irq, _soft, stolen, *_ = fields
        busy = (user + nice + system + stolen) / os.sysconf("SC_CLK_TCK")
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        return busy - spent(os.getpid()) - ended.ru_utime - ended.ru_stime


def described() -> dict[str, str]:
    """The machine and the interpreter, for a report."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = {line.partition(": ")[2] for line in lines if line.startswith("model name")}
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = len(ALL_CORES)
    return {
        "machine": f"{cores} cores, {', '.join(sorted(models)) or 'unknown'}, {memory:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}, Python {sys.version.split()[0]}",
        "pinned": "what is measured to one core, load and store to the others"
        if cores > 1
        else "nothing: there is one core",
        "revision": _revision(),
    }


def _revision() -> str:
    """That of the code, where git knows it."""
    command = ["git", "describe", "--always", "--dirty"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    except FileNotFoundError:
        return "unknown"
    return found.stdout.strip() or "unknown"
