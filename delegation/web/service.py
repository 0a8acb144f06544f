"""What the endpoints need of the rest of the house, as one value."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from delegation.domain.case import Case, ExchangeRequest
from delegation.domain.errors import Cause
from delegation.domain.ports import AlarmBell, ClientAssertions, Ledger
from delegation.domain.registry import Registry
from delegation.domain.tokens import IssuedToken, VerifiedToken


class Meter(Protocol):
    """Measures what comes in. It never waits, and never raises."""

    def exchange(self, case: Case) -> AbstractContextManager[object]:
        """A context in which the exchange of *case* is asked for, and comes to its outcome."""
        ...

    def requested(self, endpoint: str, status: int, seconds: float) -> None:
        """A request was answered; *endpoint* is the name of a view of ours."""
        ...

    def authentication_failed(
        self, client: str | None, cause: Cause | None, registry: Registry
    ) -> None:
        """Somebody was not who they claimed to be: *client*, if they said so."""
        ...

    def throttled(self) -> None:
        """Somebody is told to stay away for a while."""
        ...

    def malformed(self, cause: str) -> None:
        """A request was refused before anybody was known."""
        ...

    def alarm(self, cause: Cause) -> None:
        """An alarm was sounded."""
        ...

    def line_suppressed(self) -> None:
        """A line of the log was not written, but counted."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A service that is ready to be put on the web.

    *issuer* is our own identifier: the only source of our address. *registry* gives the current
    snapshot, *jwks* our public key set. *assertions* verifies what clients sign to authenticate,
    by one of *assertion_algorithms*. *bell* is for alarms about nobody who is known yet.
    *problems* names what is unwell; it is empty when all is well, and its names are constants.
    *meter* is told of all that is answered.
    """

    issuer: str
    registry: Callable[[], Registry]
    exchange: Callable[[ExchangeRequest, Case], IssuedToken]
    introspect: Callable[[str, Case], VerifiedToken | None]
    revoke: Callable[[str, Case], None]
    assertions: ClientAssertions
    assertion_algorithms: frozenset[str]
    ledger: Ledger
    bell: AlarmBell
    jwks: Callable[[], Mapping[str, object]]
    problems: Callable[[], Sequence[str]]
    meter: Meter
