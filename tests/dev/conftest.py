"""A development world in a process of its own, as people start it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex

import pytest

DELEGATION = Path(sys.executable).with_name("delegation")


@dataclass(slots=True)
class Standing:
    """`delegation dev` at work. *process* leads a group, as a shell's job does."""

    process: "subprocess.Popen[str]"
    env_file: Path
    mark: str

    @property
    def world(self) -> Path:
        """Where it keeps what it keeps."""
        return self.env_file.with_name(f"{self.env_file.name}.world")

    def until_it_stands(self) -> dict[str, str]:
        """The settings for a client, once they are there."""
        wait_until(lambda: "DELEGATION_REGISTRY" in self._settings())
        lines = self._settings().splitlines()
        return dict(line.split("=", 1) for line in lines)

    def _settings(self) -> str:
        try:
            return self.env_file.read_text()
        except FileNotFoundError:
            return ""

    def told(self, number: signal.Signals, *, everyone: bool = False) -> tuple[str, str]:
        """What it has said, after a signal to it, or to all its group as a terminal sends it."""
        (os.killpg if everyone else os.kill)(self.process.pid, number)
        return self.process.communicate(timeout=30)

    def left(self) -> list[int]:
        """The processes that are still there, of all that it has started."""
        return processes(self.mark)


def processes(mark: str) -> list[int]:
    """The processes with *mark* in their environment, which their children inherit."""
    return sorted(
        int(directory.name)
        for directory in Path("/proc").glob("[0-9]*")
        if mark.encode() in _environment(directory)
    )


def _environment(directory: Path) -> bytes:
    try:
        return (directory / "environ").read_bytes()
    except OSError:
        return b""  # it has ended


def wait_until(happens: Callable[[], bool]) -> None:
    """Wait, for half a minute at most."""
    deadline = time.monotonic() + 30
    while not happens():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture(autouse=True, scope="module")
def _signals() -> Iterator[None]:
    """As a terminal leaves them: who runs the tests in the background has them ignored."""
    usual = {signal.SIGINT: signal.default_int_handler, signal.SIGHUP: signal.SIG_DFL}
    before = {number: signal.signal(number, handler) for number, handler in usual.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(name="start")
def _start(tmp_path: Path) -> Iterator[Callable[..., Standing]]:
    """Starts worlds; none outlives the test."""
    started: list[Standing] = []

    def start(*arguments: str, env_file: Path = tmp_path / "here" / "dev.env") -> Standing:
        started.append(_begin(env_file, *arguments))
        return started[-1]

    yield start
    for one in started:
        _end(one)


@pytest.fixture(name="standing", scope="module")
def _standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    """A world that stands, and that tests leave as it is."""
    world = _begin(tmp_path_factory.mktemp("standing") / "dev.env")
    try:
        world.until_it_stands()
        yield world
    finally:
        _end(world)


def _begin(env_file: Path, *arguments: str) -> Standing:
    mark = f"TEST_WORLD={token_hex(16)}"
    process = subprocess.Popen(  # noqa: S603, our own command
        [DELEGATION, "dev", "--port", "0", "--env-file", env_file, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
        env=os.environ | dict([mark.split("=")]),
    )
    return Standing(process, env_file, mark)


def _end(world: Standing) -> None:
    if world.process.poll() is None:
        world.told(signal.SIGTERM)
