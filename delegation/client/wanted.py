"""One token that somebody wants: who shows what, for which API, with which scopes."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from delegation.client.current import NO_CONTEXT, CallContext
from delegation.client.rfc8693 import ACCESS_TOKEN, Request


class Key(NamedTuple):
    """What tells one wanted token from all others. Tokens stand in it as digests."""

    subject: bytes
    actor: bytes
    resource: str
    scope: str
    consent: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A token for *resource* and the space-delimited *scope*; without that, for all that may be.

    Without an actor token the client itself is the actor. Raises `ValueError` without a subject
    token: nobody is no user.
    """

    subject_token: str = field(repr=False)
    resource: str
    scope: str = ""
    actor_token: str = field(default="", repr=False)
    actor_token_type: str = ""
    context: CallContext = NO_CONTEXT
    key: Key = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Nothing stands for a user or an API that is not there."""
        if not self.subject_token or not self.resource:
            raise ValueError("a token needs a subject token and a resource")
        key = Key(
            _digest(self.subject_token),
            _digest(f"{self.actor_token_type} {self.actor_token}") if self.actor_token else b"",
            self.resource,
            self.scope,
            self.context.consent,
        )
        object.__setattr__(self, "key", key)

    def request(self) -> Request:
        """How to ask for it."""
        type_ = self.actor_token_type or ACCESS_TOKEN
        return Request(
            subject_token=self.subject_token,
            resources=(self.resource,),
            scope=self.scope,
            actor_token=self.actor_token,
            actor_token_type=type_ if self.actor_token else "",
            context=self.context,
        )


def in_order(scope: str | Iterable[str]) -> str:
    """Space-delimited, each scope once: the same scopes are the same text."""
    words = scope.split(" ") if isinstance(scope, str) else scope
    return " ".join(sorted({word for word in words if word}))


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
