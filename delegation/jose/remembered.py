"""Remembers subject tokens whose signature has held, so that the next exchange need not check it.

One MCP session exchanges the same token again and again, for one target after the other.
"""

from collections import OrderedDict
from dataclasses import dataclass
from hashlib import sha256
from threading import Lock

from delegation.domain.registry import Registry
from delegation.domain.tokens import VerifiedToken
from delegation.jose.keys import VerificationKey
from delegation.jose.parser import UnverifiedToken
from delegation.jose.profiles import Profile

CAPACITY = 2048
"""Tokens that a worker remembers. Only who signs for a trusted issuer can have any remembered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """A token that was good by *key*, and what it means.

    That is all that is remembered: not that it has not expired, nor what binds or stops it.
    """

    key: VerificationKey
    unverified: UnverifiedToken
    profile: Profile[VerifiedToken]
    meaning: VerifiedToken

    def holds(self) -> bool:
        """Whether its key is still that, looked for as for the first time.

        Raises `TokenFault` where there is none any more, `Unavailable` where nobody can tell.
        """
        return self.profile.key(self.unverified) == self.key


class Memory:
    """The tokens that were found good last, by their exact bytes; of those only a digest is kept.

    With another registry than the last, all is forgotten: it may trust others. Safe under threads.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._registry: Registry | None = None
        self._known: OrderedDict[bytes, Remembered] = OrderedDict()
        self._lock = Lock()

    def find(self, digest: bytes, registry: Registry) -> Remembered | None:
        """What is remembered of the token with this digest, under this very *registry*."""
        with self._lock:
            self._must_be_under(registry)
            found = self._known.get(digest)
            if found is not None:
                self._known.move_to_end(digest)
            return found

    def keep(self, digest: bytes, registry: Registry, remembered: Remembered) -> None:
        """Remember it, and forget what was asked for least lately where there are too many."""
        with self._lock:
            self._must_be_under(registry)
            self._known[digest] = remembered
            self._known.move_to_end(digest)
            if len(self._known) > self._capacity:
                self._known.popitem(last=False)

    def _must_be_under(self, registry: Registry) -> None:
        if registry is not self._registry:
            self._known.clear()
            self._registry = registry


def digest_of(value: str) -> bytes:
    """By what a token is remembered."""
    return sha256(value.encode(errors="surrogatepass")).digest()
