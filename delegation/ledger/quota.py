"""Counts exchanges against their rates, in the partition of the client that asks for them."""

import math
from collections.abc import Sequence

from delegation.domain.case import Case
from delegation.domain.delegations import Delegation
from delegation.domain.errors import Cause, TooManyExchanges
from delegation.domain.parties import Identity
from delegation.domain.rates import Per, Rate, Rates, Usage, together
from delegation.ledger import scripts
from delegation.ledger.partitions import Partition
from delegation.ledger.store import Store, must_be_ok

_CAUSES = {
    Per.CLIENT: Cause.LIMIT_PER_CLIENT,
    Per.CLIENT_AND_SUBJECT: Cause.LIMIT_PER_CLIENT_AND_SUBJECT,
    Per.GRANT: Cause.LIMIT_PER_GRANT,
}


class RedisQuota:
    """What exchanges use of their rates. Raises `Unavailable` when not sure.

    In any window of a rate there are never more exchanges than its amount. What was used comes back
    a window later, or a twentieth of the window after that.
    """

    def __init__(self, store: Store, rates: Rates) -> None:
        self._store = store
        self._rates = {per: together(rates.get(per, ())) for per in Per}
        self._always = _listed(self._rates)

    def take(self, delegation: Delegation, case: Case) -> None:
        """Count an exchange, in one step for all of its rates, or raise `TooManyExchanges`.

        Where one of them is used up, none is counted. The same request is counted once, however
        often it has to be sent. Where there are none, nothing is asked.
        """
        rates = self._in_force(delegation.rates)
        if not rates:
            return
        partition = self._store.partitions.of_client(delegation.client)
        counted = _counted(delegation.client, delegation.subject, delegation.grant)
        keys = [_counter(partition, per, rate, *counted[per]) for per, rate in rates]
        status, *found = self._store.ask(
            scripts.TAKE,
            partition,
            [partition.rate("attempt", delegation.client, case.nonce), *keys],
            [number for _, rate in rates for number in (rate.amount, rate.seconds * 1000)],
        )
        if status == b"used_up":
            place, wait = found
            per, rate = rates[place - 1]
            raise TooManyExchanges(
                _CAUSES[per], retry_after=math.ceil(wait / 1000), limit=str(rate)
            )
        must_be_ok(status)

    def usage(
        self,
        client: str,
        *,
        subject: Identity | None = None,
        grant: str | None = None,
        rates: Sequence[Rate] = (),
    ) -> Sequence[Usage]:
        """What *client* uses: of its own rates, and of those for the subject and grant named.

        *rates* are the grant's own.
        """
        partition = self._store.partitions.of_client(client)
        counted = _counted(client, subject, grant)
        shown = [one for one in self._in_force(rates) if one[0] in counted]
        status, *found = self._store.ask(
            scripts.USAGE,
            partition,
            [_counter(partition, per, rate, *counted[per]) for per, rate in shown],
            [rate.seconds * 1000 for _, rate in shown],
        )
        must_be_ok(status)
        return [
            Usage(per=per, rate=rate, used=used, resets_at=at or None)
            for (per, rate), (used, at) in zip(shown, found, strict=True)
        ]

    def _in_force(self, of_the_grant: Sequence[Rate]) -> list[tuple[Per, Rate]]:
        """What is counted, and how: of a grant its own rates, and those of all grants."""
        if not of_the_grant:
            return self._always
        return _listed(self._rates | {Per.GRANT: together(self._rates[Per.GRANT], of_the_grant)})


def _listed(rates: Rates) -> list[tuple[Per, Rate]]:
    return [(per, rate) for per, several in rates.items() for rate in several]


def _counted(
    client: str, subject: Identity | None, grant: str | None
) -> dict[Per, tuple[str, ...]]:
    """What is counted together, by its names: always of one client."""
    counted: dict[Per, tuple[str, ...]] = {Per.CLIENT: (client,)}
    if subject is not None:
        counted[Per.CLIENT_AND_SUBJECT] = (client, subject.issuer, subject.subject)
    if grant is not None:
        counted[Per.GRANT] = (client, grant)
    return counted


def _counter(partition: Partition, per: Per, rate: Rate, *names: str) -> str:
    """By its window: who changes an amount does not begin anew."""
    return partition.rate(per, str(rate.seconds), *names)
