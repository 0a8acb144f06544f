"""Asks a partition, and believes no server that is behind what has been seen of it."""

from collections.abc import Callable, Sequence
from typing import Any

from delegation.domain.errors import Unavailable
from delegation.domain.locks import Durability
from delegation.ledger.partitions import Partition, Partitions
from delegation.ledger.scripts import Script
from delegation.ledger.server import Argument, Call, Server

Question = tuple[Partition, Sequence[str]]
"""A partition, and the keys besides its layout that are asked about."""

LAYOUT_VERSION = 2

_UNTRUSTED = frozenset(
    {
        b"no_layout",
        b"other_layout_version",
        b"other_number_of_partitions",
        b"layout_not_ready",
        b"stale",
    }
)
"""Answers of a store that is not to be believed: nothing is remembered of it."""


class Store:
    """A server laid out in partitions. Each question carries the layout that is expected.

    Per partition it remembers the epoch and the lock counter it has seen, and sends them along:
    within an epoch, a server that has seen fewer locks is stale, and answers so.
    """

    def __init__(self, server: Server, partitions: Partitions) -> None:
        self.server = server
        self.partitions = partitions
        self._seen: dict[int, tuple[bytes, int]] = {}

    def ask(
        self,
        script: Script,
        partition: Partition,
        keys: Sequence[str],
        arguments: Sequence[Argument],
    ) -> list[Any]:
        """The status of the script's answer, and what follows it. Raises `Unavailable`."""
        return self.begin(script, partition, keys, arguments)()

    def begin(
        self,
        script: Script,
        partition: Partition,
        keys: Sequence[str],
        arguments: Sequence[Argument],
    ) -> Callable[[], list[Any]]:
        """Send a question, and do not wait: what is returned waits, and then does as `ask`."""
        answer = self.server.begin(script, *self._call(partition, keys, arguments))
        return lambda: self._remember(partition, answer())

    def ask_all(
        self,
        script: Script,
        questions: Sequence[Question],
        arguments: Sequence[Argument],
    ) -> list[list[Any]]:
        """The same question to several partitions, together. Raises `Unavailable`."""
        answers = self.server.run_all(script, self._calls(questions, arguments))
        return [
            self._remember(partition, answer)
            for (partition, _), answer in zip(questions, answers, strict=True)
        ]

    def ask_durably(
        self,
        script: Script,
        questions: Sequence[Question],
        arguments: Sequence[Argument],
    ) -> list[tuple[list[Any], Durability]]:
        """As `ask_all`; with each answer how safely what was written in that partition is kept.

        The same question again tells how safely what already stands there is kept by now.
        """
        answers = self.server.run_durably(script, self._calls(questions, arguments))
        return [
            (self._remember(partition, answer), durability)
            for (partition, _), (answer, durability) in zip(questions, answers, strict=True)
        ]

    def lock_changes(self) -> int:
        """How many changes of locks have been seen so far, over all partitions."""
        return sum(locks for _, locks in tuple(self._seen.values()))

    def _calls(self, questions: Sequence[Question], arguments: Sequence[Argument]) -> list[Call]:
        return [self._call(partition, keys, arguments) for partition, keys in questions]

    def _call(
        self, partition: Partition, keys: Sequence[str], arguments: Sequence[Argument]
    ) -> Call:
        epoch, locks = self._seen.get(partition.number, (b"", 0))
        expected = (LAYOUT_VERSION, self.partitions.count, epoch, locks)
        return (partition.layout, *keys), (*expected, *arguments)

    def _remember(self, partition: Partition, answer: list[Any]) -> list[Any]:
        status, epoch, locks, *rest = answer
        if status not in _UNTRUSTED:
            known, most = self._seen.get(partition.number, (b"", 0))
            # Answers to several threads may arrive in another order than they were given.
            self._seen[partition.number] = (epoch, max(locks, most) if epoch == known else locks)
        return [status, *rest]


def must_be_ok(status: bytes) -> None:
    """Raise `Unavailable` for any other status."""
    if status != b"ok":
        raise Unavailable(status.decode())
