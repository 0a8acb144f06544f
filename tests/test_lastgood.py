"""What was last good outlives the worker that found it so, even one that dies in the middle."""

import os
import signal
from collections.abc import Callable, Iterator

import pytest

from delegation.lastgood import LastGood, shared

# The children do nothing that a thread of the test run could be in the middle of.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")


@pytest.fixture(name="memory")
def _memory() -> Iterator[LastGood]:
    memory = LastGood()
    yield memory
    memory.close()


def in_a_child(act: Callable[[], object]) -> int:
    """Do it in a process that is forked from this one, as workers are; its exit status."""
    pid = os.fork()
    if pid == 0:  # pragma: no cover, it does not live to tell
        try:
            act()
        except BaseException:  # noqa: BLE001, the test's own exceptions must not get any further
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_at_first_there_is_nothing(memory: LastGood) -> None:
    """Nothing has ever been good; that is not the same as an empty file that was."""
    before = memory.recall()

    memory.keep(b"")

    assert (before, memory.recall()) == (None, b"")


def test_the_latest_counts(memory: LastGood) -> None:
    """Whatever was kept before, and however long it was."""
    for content in (b"one" * 1000, b"two", b"two", b"three", b"one"):
        memory.keep(content)

        assert memory.recall() == content


def test_it_outlives_who_kept_it(memory: LastGood) -> None:
    """A process and those that are forked from it see the same."""
    statuses = [in_a_child(lambda number=n: memory.keep(b"%d" % number)) for n in range(5)]

    assert statuses == [0] * 5
    assert memory.recall() == b"4"


def test_who_dies_while_writing_leaves_what_was(
    memory: LastGood, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a value is none; and nobody waits for a dead one."""
    memory.keep(b"good")
    memory.keep(b"better")

    def die(slot: int, _length: int) -> None:  # pragma: no cover, in the child
        os.write(slot, b"half")
        os.kill(os.getpid(), signal.SIGKILL)

    with monkeypatch.context() as patched:
        patched.setattr(os, "ftruncate", die)
        status = in_a_child(lambda: memory.keep(b"best"))
    after = memory.recall()
    memory.keep(b"best")

    assert (status, after) == (-signal.SIGKILL, b"better")
    assert memory.recall() == b"best"


def test_many_at_once(memory: LastGood) -> None:
    """What they keep is never mixed: it is what one of them kept, whole."""
    contents = [bytes([65 + n]) * 100_000 for n in range(8)]
    children = []
    for content in contents:
        pid = os.fork()
        if pid == 0:  # pragma: no cover, in the child
            for _ in range(20):
                memory.keep(content)
                if memory.recall() not in contents:
                    os._exit(1)
            os._exit(0)
        children.append(pid)

    assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * 8
    assert memory.recall() in contents


def test_each_name_has_its_own() -> None:
    """The same name is the same memory."""
    assert shared("one") is shared("one")
    assert shared("one") is not shared("other")
