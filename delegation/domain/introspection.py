"""The use case: is a token of ours alive, and what does it say (RFC 7662)."""

from dataclasses import dataclass

from delegation.domain.case import Case
from delegation.domain.parties import Client
from delegation.domain.ports import LiveExchanges, OwnTokens
from delegation.domain.tokens import VerifiedToken


@dataclass(frozen=True, slots=True, kw_only=True)
class Introspection:
    """Tell the API that a token is for, or an auditor, whether it is good at this moment."""

    tokens: OwnTokens
    exchanges: LiveExchanges

    def __call__(self, value: str, case: Case) -> VerifiedToken | None:
        """What the token says; `None` where it is not alive, or none of the client's business.

        Asked anew each time: a lock on whatever it grew from is seen at once. Raises `Unavailable`
        where nobody can tell.
        """
        token = self.tokens.own(value, case.registry)
        if token is None or not _may_know(case.client, token):
            return None
        return token if self.exchanges.is_alive(token.id, token.subject) else None


def _may_know(client: Client, token: VerifiedToken) -> bool:
    """RFC 7662 §2.2, §4: nobody learns of tokens that are for somebody else."""
    return client.is_auditor or client.audience in token.audience
