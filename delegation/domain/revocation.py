"""The use case: a client ends what was issued to it, with all that came from it (RFC 7009)."""

from dataclasses import dataclass

from delegation.domain.case import Case
from delegation.domain.errors import Cause, SubjectTokenRejected
from delegation.domain.locks import LockOrder, Target
from delegation.domain.ports import Locks, OwnTokens, RecordedExchanges

REASON = "revoked by its client"


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocation:
    """Put a cut-off on the exchange that a token came from, in the name of its client."""

    tokens: OwnTokens
    exchanges: RecordedExchanges
    locks: Locks

    def __call__(self, value: str, case: Case) -> None:
        """End it at once; once ended it stays so, and a repetition changes nothing.

        What is no token of ours, or over, needs no end. Raises `SubjectTokenRejected` for a token
        of another client, and `Unavailable` where it may not be ended.
        """
        token = self.tokens.own(value, case.registry)
        if token is None:
            return
        case.subject = token
        if token.agent != case.client.id:
            raise SubjectTokenRejected(Cause.PRESENTED_BY_ANOTHER_CLIENT, issued_to=token.agent)
        recorded = self.exchanges.find(token.id)
        if recorded is None:
            return
        target = Target.exchange(token.id)
        author = f"client:{case.client.id}"
        self.locks.lock(
            LockOrder(
                id=self.locks.new_id(target, key=f"{author}:{token.id}"),
                target=target,
                reason=REASON,
                author=author,
                # By the store's clock, when it was recorded: no worker's clock can fall short.
                ends_at=recorded.recorded_at,
            ),
            case.origin,
        )
