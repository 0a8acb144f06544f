"""What an exchange makes the processor do, counted by Valgrind: the same, whoever else is there.

Time says more, where there is a machine that nobody else uses. Here each request comes down a pair
of sockets, in a process that Valgrind plays the processor for, with caches of its own.
"""

import gc
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from socket import AF_UNIX, SOCK_SEQPACKET, socket, socketpair

from flask import Flask
from gunicorn.config import Config

from delegation import watch
from delegation.connection import Connection
from delegation.wiring import application
from delegation.worker import Settled
from tests.attacks.endpoint import FORM
from tests.benchmarks.driving import NotGranted
from tests.benchmarks.figures import Figure
from tests.benchmarks.load import as_sent
from tests.benchmarks.rounds import Rounds
from tests.benchmarks.scene import a_scene

GROUP = "an exchange, counted (without waiting for it; caches of 32 KiB and 1 MiB)"

NAMES = {
    "I refs": "instructions",
    "I1 misses": "lines of code that the first cache has no more",
    "D1 misses": "lines of data that the first cache has no more",
    "LLi misses": "lines of code that the second cache has no more",
    "LLd misses": "lines of data that the second cache has no more",
}
"""What Valgrind calls what it counts, and what that is."""

_VALGRIND = shutil.which("valgrind")
_CACHES = ("--I1=32768,8,64", "--D1=32768,8,64", "--LL=1048576,8,64")

_GRANTS = 20
"""Of the registry: more of them take longer to read, and no longer to decide by."""

_BEFORE, _FEW, _MANY = 100, 50, 350
"""Exchanges that are not counted, and those of two runs of which the second did more."""


def figures(_rounds: Rounds) -> Iterator[Figure]:
    """Count it: once, for it is the same each time."""
    if _VALGRIND is None:
        raise NotGranted("there is no valgrind on the path")
    runs = [_begun(_VALGRIND, exchanges) for exchanges in (_FEW, _MANY)]
    few, many = [counts(run.communicate()[1]) for run in runs]
    for name, meaning in NAMES.items():
        each = (many[name] - few[name]) / (_MANY - _FEW)
        yield Figure.of(GROUP, meaning, "", [each])


def counts(said: str) -> Mapping[str, int]:
    """What Valgrind has *said* at its end. Raises `NotGranted` where it has not got there."""
    lines = re.findall(r"^==\d+== (\w+ +(?:refs|misses)): +([\d,]+)", said, re.MULTILINE)
    found = {" ".join(name.split()): int(count.replace(",", "")) for name, count in lines}
    if not found.keys() >= NAMES.keys():
        raise NotGranted(said)
    return found


def _begun(valgrind: str, exchanges: int) -> subprocess.Popen[str]:
    counting = (valgrind, "--tool=cachegrind", "--cache-sim=yes", "--cachegrind-out-file=/dev/null")
    ours = (sys.executable, "-m", "tests.benchmarks.counted", str(exchanges))
    return subprocess.Popen(  # noqa: S603
        [*counting, *_CACHES, *ours],
        env=os.environ | {"PYTHONHASHSEED": "0"},  # sets have one order
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def main(exchanges: int) -> None:
    """Make so many of them, and as many preparations, whatever their number."""
    os.sched_setaffinity(0, range(os.cpu_count() or 1))  # nothing here is a matter of time
    # What is done four times a second would be counted by the second.
    watch.INTERVAL = 3600
    # To make an RSA key takes as long as chance will have it.
    with a_scene(grants=_GRANTS, algorithms=("ES256",)) as scene:
        target = scene.target()
        app = application(scene.world.settings)
        headers = {"Host": "127.0.0.1", "Content-Type": FORM, **target.headers}
        bodies = target.bodies(_BEFORE + _MANY)
        asked = [as_sent(one, path="/token", headers=headers) for one in bodies]
        ask = _asking(app)
        gc.freeze()  # as under gunicorn
        for request in asked[: _BEFORE + exchanges]:
            answer = ask(request)
            if not answer.startswith(b"HTTP/1.1 200 OK\r\n"):
                sys.exit(f"it was refused: {answer!r}")


def _asking(app: Flask) -> Callable[[bytes], bytes]:
    """Has *app* answer a request, on a connection that it keeps for as long as it keeps any."""
    # Of such a pair each piece that is sent is received as one.
    theirs, connection = _connected()

    def ask(request: bytes) -> bytes:
        nonlocal theirs, connection
        if not connection.stays:
            theirs, connection = _connected()
        theirs.send(request)
        received = connection.request()
        assert received
        connection.answer(received, app, last=False)
        return theirs.recv(1 << 20)

    return ask


def _connected() -> tuple[socket, Connection]:
    theirs, ours = socketpair(AF_UNIX, SOCK_SEQPACKET)
    return theirs, Connection(ours, ("192.0.2.1", 7), Settled(Config()))


if __name__ == "__main__":
    main(int(sys.argv[1]))
    sys.stdout.flush()
    os._exit(0)  # threads that look at files have nothing to write any more
