"""Several commands down one connection, and how safely what they wrote is kept."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import redis
from redis.exceptions import ResponseError

from delegation.domain.locks import Durability
from delegation.ledger.scripts import script

Command = tuple[bytes | str | int, ...]
Answers = list[Any]
"""What each command was answered; an error is an answer."""


def together(client: redis.Redis, commands: Sequence[Command]) -> tuple[Answers, None]:
    """Send all, then read all: one round trip."""
    with _connection(client) as connection:
        return _converse(connection, commands), None


def together_durably(
    client: redis.Redis, commands: Sequence[Command], *, patience: int, timeout: float
) -> tuple[Answers, Durability]:
    """Send all, and read all once the server is as safe as it gets, or *patience* is over.

    What it tells covers all that was written at this server so far, by whomever. *patience* is in
    milliseconds, for the replicas that are there now, and then for the disk. The last command runs
    a script.
    """
    with _connection(client) as connection:
        role, policy = _converse(connection, [("ROLE",), ("CONFIG GET", "appendfsync")])
        if isinstance(role, ResponseError):
            raise role
        # Where this is no primary, the commands themselves will be told, and perhaps where it is.
        replicas_now = len(role[2]) if role[0] == b"master" else 0
        # With `everysec` a server may tell before it is true, as Valkey 9.1 does.
        can_tell = policy == [b"appendfsync", b"always"]
        # All in one piece: the last two speak of the connection's own writes, and one that was lost
        # and made anew in between would have none.
        questions = (
            ("EVAL", _WITNESS.source, 1, f"{_first_key(commands[-1])}:witness"),
            ("WAIT", replicas_now, patience),
            ("WAITAOF", int(can_tell), 0, patience),
        )
        *answers, witness, replicas, disk = _converse(
            connection, [*commands, *questions], timeout=timeout + patience / 1000
        )
    if isinstance(witness, ResponseError):  # its slot has moved, say: then nothing is shown
        return answers, Durability()
    if isinstance(replicas, ResponseError):
        raise replicas
    # A server that knows no WAITAOF (before 7.2), or keeps no such file, answers with an error.
    on_disk = can_tell and not isinstance(disk, ResponseError) and disk[0] == 1
    return answers, Durability(on_disk=on_disk, replicas=replicas)


_WITNESS = script("witness", flags="allow-oom")


def _first_key(command: Command) -> str:
    """That of `EVALSHA digest number key ...`: the slot of any key of ours is held here."""
    return str(command[3])


@contextmanager
def _connection(client: redis.Redis) -> Iterator[Any]:
    """One connection of the client's own. After an error it is closed: more may be on its way."""
    pool = client.connection_pool
    connection = pool.get_connection()
    try:
        yield connection
    except BaseException:
        connection.disconnect()
        raise
    finally:
        pool.release(connection)


def _converse(
    connection: Any, commands: Sequence[Command], timeout: float | None = None
) -> Answers:
    patience = {} if timeout is None else {"timeout": timeout}
    connection.send_packed_command(connection.pack_commands(commands))
    return [_read(connection, patience) for _ in commands]


def _read(connection: Any, patience: dict[str, float]) -> Any:
    try:
        return connection.read_response(**patience)
    except ResponseError as error:
        return error
