"""The keys of others: fetched by each worker, kept for a while, never taken on trust."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from delegation.domain.errors import Cause, Unavailable
from delegation.domain.parties import InlineKeys, KeySource, PublishedKeys
from delegation.domain.ports import Cooldown
from delegation.jose.fetch import Fetcher
from delegation.jose.keys import PRIVATE_MEMBERS, VerificationKey, natural_algorithm, read_key
from delegation.jose.parser import TokenFault
from delegation.jose.strict_json import read_object

FRESH_FOR = 300.0
"""Seconds after which keys are fetched anew."""

USABLE_FOR = 3600.0
"""Seconds for which keys are used when they cannot be fetched anew; then nothing is believed."""

RETRY_AFTER = 5.0
"""Seconds for which a worker leaves an owner of keys alone after a fetch that failed."""

_DEFAULT_RSA_ALGORITHM = "RS256"

_INLINE_SOURCES = 4096

Fetch = Callable[[PublishedKeys], Mapping[str, Any]]
"""Gets the document at a `jwks_uri`, or raises `Unavailable`."""

KeysReplaced = Callable[[str, tuple[str, ...]], None]
"""Told whose keys were replaced, and the names of the new ones; may raise `Unavailable`."""

Fetched = Callable[[str, bool], None]
"""Told whose keys were fetched, and whether they could be had."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What is known of one owner's keys. *fetched_at* is `None` where they never were."""

    keys: Mapping[str, VerificationKey] = field(default_factory=dict)
    fetched_at: float | None = None
    not_before: float = 0.0
    failing: bool = False

    def is_fresh(self, now: float) -> bool:
        return self.fetched_at is not None and now < self.fetched_at + FRESH_FOR

    def is_usable(self, now: float) -> bool:
        return self.fetched_at is not None and now < self.fetched_at + USABLE_FOR


_NOTHING = _Known()


class ForeignKeys:
    """Finds the keys of trusted issuers and clients. Safe under threads: no fetch holds a lock.

    *cooldown* is shared by all workers, so that unknown key ids cannot be turned into a flood of
    requests to whoever publishes the keys. *replaced* is told where an owner publishes none of the
    keys that it had: who rotates keeps some. Where it raises, the fetch has failed, and is tried
    again. *fetched* is told of each fetch. *clock* tells monotonic seconds.
    """

    def __init__(
        self,
        cooldown: Cooldown,
        *,
        fetch: Fetch | None = None,
        replaced: KeysReplaced | None = None,
        fetched: Fetched | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cooldown = cooldown
        self._fetch = fetch or fetching(Fetcher())
        self._replaced = replaced or _unheard
        self._fetched = fetched or _unheard
        self._clock = clock
        self._memo: dict[PublishedKeys, _Known] = {}

    def find(self, source: KeySource, kid: str) -> VerificationKey:
        """The key *kid* of *source*, and of no other (RFC 8725 §3.8).

        Raises `TokenFault` where there is no such key, `Unavailable` where nobody can tell.
        """
        if isinstance(source, PublishedKeys):
            return self._published(source, kid)
        try:
            return _inline(source)[kid]
        except KeyError:
            raise TokenFault(Cause.KEY_UNKNOWN, kid=kid) from None

    def _published(self, source: PublishedKeys, kid: str) -> VerificationKey:
        began = self._clock()
        known = self._current(source, began)
        if kid not in known.keys and self._may_have_more(source, known, began):
            known = self._refetched(source, known)
        if kid in known.keys:
            return known.keys[kid]
        if known.failing:
            raise Unavailable("issuer_keys")
        raise TokenFault(Cause.KEY_UNKNOWN, kid=kid)

    def _current(self, source: PublishedKeys, now: float) -> _Known:
        known = self._memo.get(source, _NOTHING)
        if not known.is_fresh(now) and now >= known.not_before:
            known = self._refetched(source, known)
        if not known.is_usable(now):
            raise Unavailable("issuer_keys")
        return known

    def _may_have_more(self, source: PublishedKeys, known: _Known, began: float) -> bool:
        """Whether to ask the owner again: they may have a new key, or somebody made up an id."""
        just_fetched = known.fetched_at is not None and known.fetched_at >= began
        if just_fetched or began < known.not_before:
            return False
        return self._cooldown.begin(f"keys:{source.owner}")

    def _refetched(self, source: PublishedKeys, known: _Known) -> _Known:
        if known.fetched_at is not None:
            # Meanwhile other threads make do with what there is.
            self._memo[source] = replace(known, not_before=self._clock() + RETRY_AFTER)
        try:
            keys = _usable_keys(self._fetch(source), source)
            if known.keys and not _kept(known.keys, keys):
                self._replaced(source.owner, tuple(sorted(keys)))
        except Unavailable:
            result = replace(known, not_before=self._clock() + RETRY_AFTER, failing=True)
        else:
            result = _Known(keys=keys, fetched_at=self._clock())
        self._memo[source] = result
        self._fetched(source.owner, not result.failing)
        return result


def _unheard(_owner: str, _what: object) -> None:
    """Nobody wants to know."""


def _kept(old: Mapping[str, VerificationKey], new: Mapping[str, VerificationKey]) -> bool:
    """Whether any key is still there: the key itself, for its name alone can be taken over."""
    return any(new.get(kid) == key for kid, key in old.items())


def fetching(fetcher: Fetcher) -> Fetch:
    """By *fetcher*, as the owner of the keys may be asked."""
    return lambda source: fetcher(source.jwks_uri, private_network=source.private_network)


@lru_cache(_INLINE_SOURCES)
def _inline(source: InlineKeys) -> Mapping[str, VerificationKey]:
    return _usable_keys({"keys": [read_object(jwk.encode()) for jwk in source.jwks]}, source)


def _usable_keys(document: Mapping[str, Any], source: KeySource) -> dict[str, VerificationKey]:
    """The signature keys in a JWK Set. What we cannot use is passed over (RFC 7517 §5)."""
    listed = document.get("keys")
    if not isinstance(listed, list):
        raise Unavailable("issuer_keys")
    usable = [key for jwk in listed if (key := _read(jwk, source)) is not None]
    # Two keys of one name: whichever we took, their owner may have meant the other.
    count = Counter(key.kid for key in usable)
    return {key.kid: key for key in usable if count[key.kid] == 1}


def _read(jwk: object, source: KeySource) -> VerificationKey | None:
    if not isinstance(jwk, dict) or PRIVATE_MEMBERS & jwk.keys():
        return None
    if jwk.get("use", "sig") != "sig" or "verify" not in _list(jwk.get("key_ops", ["verify"])):
        return None
    kid, algorithm = jwk.get("kid"), jwk.get("alg", _algorithm(jwk, source))
    if not isinstance(kid, str) or not isinstance(algorithm, str):
        return None
    try:
        return VerificationKey(kid=kid, algorithm=algorithm, key=read_key(jwk, algorithm))
    except ValueError:
        return None


def _algorithm(jwk: Mapping[str, Any], source: KeySource) -> str:
    """One key, one algorithm (RFC 8725 §3.1), also where the key itself does not say which."""
    rsa = [name for name in source.algorithms if name.startswith(("RS", "PS"))]
    return natural_algorithm(jwk) or (rsa[0] if len(rsa) == 1 else _DEFAULT_RSA_ALGORITHM)


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
