"""The connection to Redis or Valkey: how scripts run, what is sent again, what an error means."""

import secrets
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import redis
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    NoScriptError,
    RedisError,
)
from redis.exceptions import ConnectionError as LostConnectionError
from redis.exceptions import TimeoutError as LostReplyError
from redis.retry import Retry

from delegation.domain.errors import Unavailable
from delegation.ledger.scripts import Script

T = TypeVar("T")
Argument = bytes | str | int

UNREACHABLE = "ledger_unreachable"
UNWELL = "ledger_unwell"


class Server:
    """One Redis or Valkey. Every failure is an `Unavailable`: nothing is believed without a reply.

    *timeout* is in seconds, for connecting and for each reply. The library's own retries are off:
    it would take its own claim for a replay. What is sent may be sent once more where the reply was
    lost, so every script must answer a repetition as it answered before.
    """

    def __init__(self, url: str, *, timeout: float) -> None:
        self._redis = redis.Redis.from_url(
            url,
            protocol=2,
            decode_responses=False,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            health_check_interval=0,
            retry=Retry(NoBackoff(), 0),
            retry_on_timeout=False,
            retry_on_error=[],
            client_name="delegation",
        )

    def run(self, script: Script, keys: Sequence[str], arguments: Sequence[Argument]) -> list[Any]:
        """Run a script; its answer. Raises `Unavailable`."""
        return self._surely(lambda: self._run(script, keys, arguments))

    def run_all(
        self, script: Script, calls: Sequence[tuple[Sequence[str], Sequence[Argument]]]
    ) -> list[list[Any]]:
        """Run a script for each of several *calls*, in as few round trips as can be."""
        if not calls:
            return []

        def send() -> list[list[Any]]:
            with self._redis.pipeline(transaction=False) as pipeline:
                pipeline.script_load(script.source)
                for keys, arguments in calls:
                    pipeline.evalsha(script.sha, len(keys), *keys, *arguments)
                return pipeline.execute()[1:]

        return self._surely(send)

    def take(self, key: str, milliseconds: int) -> bool:
        """Take *key* for so long, unless it is taken; whether it was free. Raises `Unavailable`."""
        nonce = secrets.token_bytes(16)
        holder = self._surely(
            lambda: self._redis.set(key, nonce, nx=True, px=milliseconds, get=True)
        )
        return holder in {None, nonce}  # ours where it was sent again

    def read_stream(self, stream: str, count: int) -> list[tuple[bytes, dict[bytes, bytes]]]:
        """The first *count* entries of a stream. A full server answers this, too."""
        entries: Any = self._surely(lambda: self._redis.xrange(stream, count=count))
        return list(entries)

    def evicts(self) -> bool:
        """Whether a full server drops what it knows. Raises `Unavailable`."""
        memory: Any = self._surely(lambda: self._redis.info("memory"))
        return bool(memory.get("maxmemory_policy") != "noeviction")

    def close(self) -> None:
        """Close every connection."""
        self._redis.close()

    def _run(self, script: Script, keys: Sequence[str], arguments: Sequence[Argument]) -> Any:
        try:
            return self._redis.evalsha(script.sha, len(keys), *keys, *arguments)
        except NoScriptError:  # a server that was restarted, or has never seen us
            return self._redis.eval(script.source, len(keys), *keys, *arguments)

    def _surely(self, send: Callable[[], T]) -> T:
        try:
            try:
                return send()
            except RedisError as error:
                if not _is_lost(error):
                    raise
                return send()
        except RedisError as error:  # full, read-only, loading, out of rights, ...
            raise Unavailable(UNREACHABLE if _is_lost(error) else UNWELL) from error


def _is_lost(error: RedisError) -> bool:
    """Whether there was no reply. The library counts some replies as lost connections."""
    if isinstance(error, (BusyLoadingError, AuthenticationError, AuthorizationError)):
        return False
    return isinstance(error, (LostConnectionError, LostReplyError))
