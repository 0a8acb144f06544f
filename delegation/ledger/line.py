"""A line to one server: a connection that a thread keeps, for one command at a time."""

from threading import local
from typing import Any
from weakref import WeakKeyDictionary, finalize

import redis
from hiredis import pack_command

from delegation.ledger.batch import Command


class Line:
    """One connection of *client*. After any error, and where nobody read, it is made anew.

    A connection out of the pool would be looked at, locked and timed for each command, and each
    argument of it asked for its type: that takes longer than to send it.
    """

    def __init__(self, client: redis.Redis) -> None:
        pool = client.connection_pool
        self._connection: Any = pool.get_connection()
        self._is_clean = True
        finalize(self, _hang_up, pool, self._connection).atexit = False  # with its thread

    def send(self, command: Command) -> None:
        """Send *command*, whose answer is then to be read."""
        connection = self._connection
        if not self._is_clean:
            connection.disconnect()  # and is connected by what is sent next
        self._is_clean = False
        packed = pack_command(command)  # type: ignore[arg-type]  # of any length, not of one
        connection.send_packed_command([packed])

    def read(self) -> Any:
        """Wait for the answer, or raise the error that it is."""
        answer = self._connection.read_response()
        self._is_clean = True
        return answer


class Lines(local):
    """The lines of a thread, one to each server."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: WeakKeyDictionary[redis.Redis, Line] = WeakKeyDictionary()

    def to(self, client: redis.Redis) -> Line:
        """The line to the server of *client*. Raises what the library raises."""
        line = self._lines.get(client)
        if line is None:
            line = self._lines[client] = Line(client)
        return line


def _hang_up(pool: Any, connection: Any) -> None:
    connection.disconnect()
    pool.release(connection)
