"""The connection to Redis or Valkey: how scripts run, what is sent again, what an error means."""

import secrets
from collections.abc import Callable, Sequence
from functools import partial
from time import perf_counter
from typing import Any, Protocol, TypeVar

import redis
from redis.exceptions import NoScriptError

from delegation.domain.errors import Unavailable
from delegation.domain.locks import Durability
from delegation.ledger.batch import Command, together, together_durably
from delegation.ledger.routing import FAILURES, Batch, Routing, is_lost, is_unanswered
from delegation.ledger.scripts import Script
from delegation.ledger.topology import topology

T = TypeVar("T")
Argument = bytes | str | int

Call = tuple[Sequence[str], Sequence[Argument]]
"""The keys and the arguments of a script."""

UNREACHABLE = "ledger_unreachable"
UNWELL = "ledger_unwell"


class Meter(Protocol):
    """Told how the server is."""

    def ledger_answered(self, seconds: float) -> None:
        """It has answered one script after so long."""
        ...

    def ledger_failed(self, problem: str) -> None:
        """It has not answered, or with an error."""
        ...


class Server:
    """One Redis or Valkey, or several. Every failure is `Unavailable`: without a reply, no belief.

    *url* names the topology. Primaries alone are asked; who is primary is looked up anew when one
    does not answer. The keys of a call share a hash tag: its first says where it goes.

    *timeout* is in seconds, for connecting and for each reply. Where a primary must be looked up,
    it is so for each Sentinel or node that is asked, until one answers; that is not done twice.

    The library's own retries are off: it would take its own claim for a replay. What is sent may be
    sent once more where the reply was lost, so every script must answer a repetition as it answered
    before. Besides, a cluster may send a call on, four times: where it does, nothing was run.

    *patience* is in milliseconds, and for `run_durably`: for the replicas, and then for the disk.
    *meter* is told of each script that runs by itself, and of each failure.
    """

    def __init__(
        self, url: str, *, timeout: float, patience: int = 1000, meter: Meter | None = None
    ) -> None:
        self._meter = meter
        self._routing = Routing(topology(url, timeout=timeout))
        self._durably = partial(together_durably, patience=patience, timeout=timeout)

    def begin(
        self, script: Script, keys: Sequence[str], arguments: Sequence[Argument]
    ) -> Callable[[], list[Any]]:
        """Send a script, and do not wait: what is returned waits, and gives its answer.

        That raises `Unavailable`. A thread begins one thing at a time; what is not waited for is
        given up at the next.
        """
        began = perf_counter()
        answered = self._routing.begin(keys[0], _command(script, keys, arguments))

        def again() -> Any:
            return self._routing.send(
                keys[0], lambda client: _evaluate(client, script, keys, arguments)
            )

        def answer() -> list[Any]:
            found: list[Any] = self._surely(answered, again)
            if self._meter is not None:
                self._meter.ledger_answered(perf_counter() - began)
            return found

        return answer

    def run_all(self, script: Script, calls: Sequence[Call]) -> list[list[Any]]:
        """Run a script for each of several *calls*, in as few round trips as can be."""
        return [answer for answer, _ in self._run_together(script, calls, together)]

    def run_durably(
        self, script: Script, calls: Sequence[Call]
    ) -> list[tuple[list[Any], Durability]]:
        """As `run_all`; each answer comes with how safely its server keeps all that it has by then.

        It comes once that is as safe as it gets, or patience is over, for each server in turn. The
        server is asked on the very connection that wrote: of no other would it speak.
        """
        return self._run_together(script, calls, self._durably)

    def take(self, key: str, milliseconds: int) -> bool:
        """Take *key* for so long, unless it is taken; whether it was free. Raises `Unavailable`."""
        nonce = secrets.token_bytes(16)
        holder = self._ask(
            key, lambda client: client.set(key, nonce, nx=True, px=milliseconds, get=True)
        )
        return holder in {None, nonce}  # ours where it was sent again

    def read_stream(
        self, stream: str, count: int, *, since: str = "-"
    ) -> list[tuple[bytes, dict[bytes, bytes]]]:
        """The first *count* entries of a stream, from *since* on. A full server answers this."""
        entries: Any = self._ask(stream, lambda client: client.xrange(stream, since, count=count))
        return list(entries)

    def evicts(self) -> bool:
        """Whether a full server drops what it knows. Raises `Unavailable`."""
        return self._surely(lambda: any(self._routing.everywhere(_evicts)))

    def close(self) -> None:
        """Close every connection."""
        self._routing.close()

    def _ask(self, key: str, command: Callable[[redis.Redis], T]) -> T:
        return self._surely(lambda: self._routing.send(key, command))

    def _run_together(
        self, script: Script, calls: Sequence[Call], batch: Batch[T]
    ) -> list[tuple[list[Any], T]]:
        """The script itself goes ahead of its calls: one batch cannot ask whether it is known."""
        commands = [(keys[0], _command(script, keys, arguments)) for keys, arguments in calls]

        def with_script(client: redis.Redis, commands: Sequence[Command]) -> tuple[list[Any], T]:
            (_, *answers), outcome = batch(client, [("SCRIPT LOAD", script.source), *commands])
            return answers, outcome

        return self._surely(lambda: self._routing.send_all(commands, with_script))

    def _surely(self, send: Callable[[], T], again: Callable[[], T] | None = None) -> T:
        """What came of *send*; where its reply was lost, or there is no such script, of *again*.

        That is to send the same once more, unless it is said.
        """
        try:
            try:
                return send()
            except FAILURES as error:
                if not (is_lost(error) or isinstance(error, NoScriptError)):
                    raise
                return (again or send)()
        except FAILURES as error:  # full, read-only, loading, out of rights, ...
            problem = UNREACHABLE if is_unanswered(error) else UNWELL
            if self._meter is not None:
                self._meter.ledger_failed(problem)
            raise Unavailable(problem) from error


def _evaluate(
    client: redis.Redis, script: Script, keys: Sequence[str], arguments: Sequence[Argument]
) -> Any:
    try:
        return client.execute_command(*_command(script, keys, arguments))
    except NoScriptError:  # a server that was restarted, or has never seen us
        return client.eval(script.source, len(keys), *keys, *arguments)


def _command(script: Script, keys: Sequence[str], arguments: Sequence[Argument]) -> Command:
    return ("EVALSHA", script.sha, len(keys), *keys, *arguments)


def _evicts(client: redis.Redis) -> bool:
    memory: Any = client.info("memory")
    return bool(memory.get("maxmemory_policy") != "noeviction")
