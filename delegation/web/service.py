"""What the endpoints need of the rest of the house, as one value."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from delegation.domain.case import Case, ExchangeRequest
from delegation.domain.ports import ClientAssertions, Ledger
from delegation.domain.registry import Registry
from delegation.domain.tokens import IssuedToken


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A service that is ready to be put on the web.

    *issuer* is our own identifier: the only source of our address. *registry* gives the current
    snapshot, *jwks* our public key set. *assertions* verifies what clients sign to authenticate,
    by one of *assertion_algorithms*.
    *problems* names what is unwell; it is empty when all is well, and its names are constants.
    """

    issuer: str
    registry: Callable[[], Registry]
    exchange: Callable[[ExchangeRequest, Case], IssuedToken]
    assertions: ClientAssertions
    assertion_algorithms: frozenset[str]
    ledger: Ledger
    jwks: Callable[[], Mapping[str, object]]
    problems: Callable[[], Sequence[str]]
