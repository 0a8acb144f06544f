"""The connection to Redis or Valkey: how scripts are run, what is tried again, and what an error
means.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import redis
from redis.backoff import NoBackoff
from redis.exceptions import BusyLoadingError, NoScriptError, RedisError
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

        def send() -> list[list[Any]]:
            with self._redis.pipeline(transaction=False) as pipeline:
                pipeline.script_load(script.source)
                for keys, arguments in calls:
                    pipeline.evalsha(script.sha, len(keys), *keys, *arguments)
                return pipeline.execute()[1:]

        return self._surely(send)

    def set_once(self, key: str, milliseconds: int) -> bool:
        """Set *key* for so long, unless it is set; whether it was not."""
        return self._surely(
            lambda: self._redis.set(key, b"1", nx=True, px=milliseconds) is not None
        )

    def read_stream(self, stream: str, count: int) -> list[tuple[bytes, dict[bytes, bytes]]]:
        """The first *count* entries of a stream. A full server answers this, too."""
        entries: Any = self._surely(lambda: self._redis.xrange(stream, count=count))
        return list(entries)

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
            except BusyLoadingError:
                raise
            except (LostConnectionError, LostReplyError):
                return send()
        except (LostConnectionError, LostReplyError) as error:
            raise Unavailable(UNREACHABLE) from error
        except RedisError as error:  # full, read-only, loading, out of rights, ...
            raise Unavailable(UNWELL) from error
