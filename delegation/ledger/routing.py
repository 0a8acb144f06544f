"""To which server a call goes: the primary of its key, and on from there where that has moved."""

from collections import defaultdict
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import redis
from redis.exceptions import (
    AskError,
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    ClusterDownError,
    ClusterError,
    MovedError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
)
from redis.exceptions import ConnectionError as LostConnectionError
from redis.exceptions import TimeoutError as LostReplyError
from redis.sentinel import MasterNotFoundError

from delegation.ledger.batch import Answers, Command
from delegation.ledger.line import Lines
from delegation.ledger.topology import Topology

T = TypeVar("T")

Batch = Callable[[redis.Redis, Sequence[Command]], tuple[Answers, T]]
"""Sends to one server: what each command was answered, and what else came of it."""

FAILURES = (RedisError, RedisClusterException)
"""The library's errors: that nobody tells the table of a cluster is none of the first kind."""

_REDIRECTIONS = 4
"""How often a call may be sent on before a cluster counts as in disorder."""


def is_unanswered(error: BaseException) -> bool:
    """Whether nobody answered. The library counts some answers as lost connections."""
    if isinstance(error, RedisClusterException) and error.__cause__ is not None:
        return is_unanswered(error.__cause__)  # what the last of a cluster's hosts did
    if isinstance(error, (BusyLoadingError, AuthenticationError, AuthorizationError)):
        return False
    return isinstance(error, (LostConnectionError, LostReplyError, RedisClusterException))


def is_lost(error: BaseException) -> bool:
    """Whether a reply may be lost: something was sent, or there was somebody to send it to."""
    return is_unanswered(error) and not isinstance(
        error, (RedisClusterException, MasterNotFoundError)
    )


class Routing:
    """Sends by key; nothing a second time, unless a server has said that it did not run it.

    A server that is not the primary that it was is looked up anew for the next call. Every verb
    raises one of `FAILURES`.
    """

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self._lines = Lines()

    def send(self, key: str, command: Callable[[redis.Redis], T]) -> T:
        """What came of *command* at the primary of *key*."""
        for _ in range(1 + _REDIRECTIONS):
            client = self._topology.primary(key)
            try:
                with self._watched(client):
                    return command(client)
            except MovedError as moved:
                self._topology.moved(moved)
            except AskError as asked:
                with self._topology.asked(asked).client() as connection:
                    connection.execute_command("ASKING")
                    return command(connection)
        raise ClusterError("sent on too often")

    def begin(self, key: str, command: Command) -> Callable[[], Any]:
        """Send *command* to the primary of *key*; what is returned reads what it was answered.

        It goes down a line that the thread keeps for one command at a time. All is raised there.
        """
        try:
            client = self._topology.primary(key)
        except FAILURES as failure:
            return _failing(failure)
        try:
            line = self._lines.to(client)
            line.send(command)
        except FAILURES as failure:
            self._failed(client, failure)
            return _failing(failure)

        def answer() -> Any:
            try:
                return line.read()
            except (MovedError, AskError):
                # Nothing was run there. Who is asked again says so again, and is believed.
                return self.send(key, lambda client: client.execute_command(*command))
            except FAILURES as failure:
                self._failed(client, failure)
                raise

        return answer

    def send_all(
        self, commands: Sequence[tuple[str, Command]], batch: Batch[T]
    ) -> list[tuple[Any, T]]:
        """Each command with its key: what it was answered, and what else came of its batch.

        All of one primary go in one batch, together; those that had moved go in another. Where one
        primary fails, the others are asked before that is raised: a stop gets as far as it can.
        """
        found: dict[int, tuple[Any, T]] = {}
        for _ in range(1 + _REDIRECTIONS):
            failures: list[Exception] = []
            for client, numbers in self._by_primary(commands, without=found).items():
                try:
                    with self._watched(client):
                        answers, outcome = batch(client, [commands[one][1] for one in numbers])
                        for number, answer in zip(numbers, answers, strict=True):
                            if isinstance(answer, MovedError):
                                self._topology.moved(answer)
                            elif isinstance(answer, RedisError):
                                raise answer
                            else:
                                found[number] = answer, outcome
                except FAILURES as failure:
                    failures.append(failure)
            if failures:
                raise failures[0]
            if len(found) == len(commands):
                return [found[number] for number in range(len(commands))]
        raise ClusterError("sent on too often")

    def everywhere(self, command: Callable[[redis.Redis], T]) -> Iterator[T]:
        """What came of it at each primary."""
        for client in self._topology.primaries():
            with self._watched(client):
                yield command(client)

    def close(self) -> None:
        """Close every connection."""
        self._topology.close()

    def _by_primary(
        self, commands: Sequence[tuple[str, Command]], *, without: Container[int]
    ) -> Mapping[redis.Redis, list[int]]:
        """The numbers of the commands that each primary is to be sent."""
        numbers: defaultdict[redis.Redis, list[int]] = defaultdict(list)
        for number, (key, _) in enumerate(commands):
            if number not in without:
                numbers[self._topology.primary(key)].append(number)
        return numbers

    @contextmanager
    def _watched(self, client: redis.Redis) -> Iterator[None]:
        try:
            yield
        except RedisError as error:
            self._failed(client, error)
            raise

    def _failed(self, client: redis.Redis, error: Exception) -> None:
        """Have it looked up anew, where it is not the primary any more."""
        if is_unanswered(error) or isinstance(error, (ClusterDownError, ReadOnlyError)):
            self._topology.lost(client)


def _failing(failure: Exception) -> Callable[[], Any]:
    def answer() -> Any:
        raise failure

    return answer
