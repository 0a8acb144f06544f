"""What the endpoints need of the rest of the house, as one value."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from delegation.domain.case import Case, ExchangeRequest
from delegation.domain.ports import AlarmBell, ClientAssertions, Ledger
from delegation.domain.registry import Registry
from delegation.domain.tokens import IssuedToken, VerifiedToken


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A service that is ready to be put on the web.

    *issuer* is our own identifier: the only source of our address. *registry* gives the current
    snapshot, *jwks* our public key set. *assertions* verifies what clients sign to authenticate,
    by one of *assertion_algorithms*. *bell* is for alarms about nobody who is known yet.
    *problems* names what is unwell; it is empty when all is well, and its names are constants.
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
